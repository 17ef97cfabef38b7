"""Cllr and detection costs: by hand, and at what they must be for perfect and for useless scores."""

import numpy as np
import pytest

from visavis.errors import DataError
from visavis.metrics import error_curve
from visavis.metrics.bootstrap import PeopleCurves, curve_points
from visavis.metrics.calibration import Calibration, fit_calibration
from visavis.metrics.reliability import NIST_COSTS, Costs, cllr, dcf, min_cllr, min_dcf, summarise_costs
from visavis.metrics.scores import list_scores

SCORES, LABELS = [0.9, 0.8, 0.3, 0.7, 0.2, 0.1], [1, 1, 1, 0, 0, 0]


def test_cllr_by_hand():
    calibration = Calibration(4.0, 4.0)
    ratios = calibration.log_likelihood_ratio(np.array(SCORES))
    mated, nonmated = np.log2(1 + np.exp(-ratios[:3])), np.log2(1 + np.exp(ratios[3:]))
    assert cllr(error_curve(SCORES, LABELS), calibration) == pytest.approx((mated.mean() + nonmated.mean()) / 2)


def test_scores_without_information_cost_one_bit():
    no_information = Calibration(0.0, 1.0, ((-1.0, 0.0), (1.0, 0.0)))
    assert cllr(error_curve(SCORES, LABELS), no_information) == pytest.approx(1)
    rng = np.random.default_rng(0)
    useless = error_curve(rng.uniform(-1, 1, 4000), rng.integers(0, 2, 4000))
    assert min_cllr(useless) == pytest.approx(1, abs=0.05)
    assert min_dcf(useless, Costs(0.01)) == pytest.approx(1, abs=0.05)


def test_the_minimum_is_that_of_the_best_calibration():
    rng = np.random.default_rng(1)
    truth = rng.integers(0, 2, 3000)
    curve = error_curve(np.clip(0.4 * truth + rng.normal(0, 0.2, 3000), -1, 1), truth)
    fitted = fit_calibration(curve)
    assert min_cllr(curve) <= cllr(curve, fitted) < cllr(curve, Calibration(fitted.offset + 2, fitted.slope))
    for costs in (*NIST_COSTS, Costs(0.5), Costs(0.1, miss=10, false_match=1)):
        assert min_dcf(curve, costs) <= dcf(curve, fitted, costs) + 1e-12
    perfect = error_curve([0.9, 0.8, 0.1, 0.0], [1, 1, 0, 0])
    assert min_dcf(perfect, Costs(0.01)) == 0 and min_cllr(perfect) < 0.95


def test_detection_cost_by_hand():
    curve = error_curve(SCORES, LABELS)
    costs = Costs(0.25, miss=2, false_match=1)
    assert costs.default == 0.5 and costs.threshold == pytest.approx(np.log(1.5))
    assert costs.of(1 / 3, 1 / 3) == pytest.approx((2 * 0.25 / 3 + 0.75 / 3) / 0.5)
    calibration = Calibration(0.0, 1.0, ((-1.0, -10.0), (0.5, np.log(1.5)), (1.0, 10.0)))
    assert dcf(curve, calibration, costs) == pytest.approx(costs.of(1 / 3, 1 / 3))
    assert min_dcf(curve, costs) == pytest.approx(min(costs.of(0, 1 / 3), costs.of(1 / 3, 0), costs.of(1 / 3, 1 / 3)))


def test_what_cllr_is_by_thresholds_is_what_it_is_by_scores():
    rng = np.random.default_rng(2)
    labels = np.repeat(np.arange(30), 4)
    pairs = np.stack(np.triu_indices(120, 1), axis=1)
    same = labels[pairs[:, 0]] == labels[pairs[:, 1]]
    scores = list_scores(labels, pairs, np.clip(0.5 * same + rng.normal(0, 0.15, len(pairs)), -1, 1))
    curve = scores.curve
    calibration = fit_calibration(curve)
    curves = PeopleCurves.of(scores, curve_points(curve))
    summary = summarise_costs(curve, calibration, curves.thresholds)
    assert summary.cllr == pytest.approx(cllr(curve, calibration))
    resampled = curves.resampled(50)
    assert resampled.best.mean_cost(*summary.by_threshold)[0] == pytest.approx(summary.cllr, rel=1e-6)
    assert resampled.worst.mean_cost(*summary.by_threshold)[1:].mean() > summary.cllr
    assert [row["prior"] for row in summary.to_json()["detection_costs"]] == [0.01, 0.001]


@pytest.mark.parametrize(
    ("values", "message"), [({"prior": 0}, "prior must be in"), ({"prior": 0.5, "miss": 0}, "costs must be positive")]
)
def test_costs_out_of_range(values, message):
    with pytest.raises(ValueError, match=message):
        Costs(**values)


def test_costs_need_both_kinds_of_pairs():
    with pytest.raises(DataError, match="needs mated and non-mated pairs"):
        cllr(error_curve([0.5], [1]), Calibration(1.0, 1.0))
