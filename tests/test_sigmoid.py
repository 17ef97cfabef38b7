"""The sigmoid of scores is fitted by maximum likelihood."""

import numpy as np
import pytest

from visavis.errors import DataError
from visavis.metrics import error_curve
from visavis.metrics.calibration import fit_sigmoid, score_of


def test_a_sigmoid_is_found_again():
    rng = np.random.default_rng(0)
    distances = rng.uniform(0, 2, 40_000)
    mated = rng.random(40_000) < 1 / (1 + np.exp(-(4.0 - 4.0 * distances)))
    offset, slope = fit_sigmoid(error_curve(1 - distances**2 / 2, mated))
    assert (offset, slope) == (pytest.approx(4, abs=0.2), pytest.approx(4, abs=0.2))


def test_perfectly_separated_scores_keep_the_slope_finite():
    offset, slope = fit_sigmoid(error_curve([0.9, 0.8, 0.1, 0.0], [1, 1, 0, 0]))
    assert 0 < slope < 100
    assert 0.1 < score_of(offset / slope) < 0.8
    with pytest.raises(DataError, match="do not tell people apart"):
        fit_sigmoid(error_curve([0.9, 0.8, 0.1, 0.0], [0, 0, 1, 1]))
    with pytest.raises(DataError, match="2 mated and 0 non-mated"):
        fit_sigmoid(error_curve([0.9, 0.8], [1, 1]))
