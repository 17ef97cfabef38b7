"""Scores in standard deviations above those of other people: by hand, and by simulation."""

import numpy as np
import pytest

from visavis.metrics import equal_error_rate, error_curve
from visavis.metrics.normalisation import normalised_scores


def unit(rows):
    return (rows / np.linalg.norm(rows, axis=-1, keepdims=True)).astype(np.float32)


@pytest.mark.parametrize("nearest", [None, 5])
def test_each_score_by_hand(nearest):
    rng = np.random.default_rng(0)
    first, second, cohort = (unit(rng.normal(size=(count, 6))) for count in (4, 4, 20))
    found = normalised_scores(first, second, cohort, nearest=nearest)
    for a, b, score in zip(first, second, found, strict=True):
        parts = []
        for row in (a, b):
            others = np.sort(cohort @ row)[-(nearest or 20) :]
            parts.append((a @ b - others.mean()) / others.std())
        assert score == pytest.approx(np.mean(parts), rel=1e-4)
    with pytest.raises(ValueError, match=r"nearest must be in 2 .. 20, the size of the cohort, got 21"):
        normalised_scores(first, second, cohort, nearest=21)


def test_people_who_are_like_everybody_are_separated_better():
    """Where one half of the photos lies near the middle of all, one threshold for all does badly."""
    rng = np.random.default_rng(1)
    middle = rng.normal(size=24)
    places = rng.normal(size=(400, 24)) + np.where(np.arange(400) % 2, 0.0, 2.0)[:, None] * middle
    photos = unit(places[:, None] + 0.9 * rng.normal(size=(400, 2, 24)))
    cohort, tested = photos[:200].reshape(-1, 24), photos[200:]
    partner = (np.arange(200) + 2) % 200
    first = np.concatenate([tested[:, 0], tested[:, 0]])
    second = np.concatenate([tested[:, 1], tested[partner, 1]])
    truth = np.repeat([1, 0], 200)
    plain, normal = np.sum(first * second, axis=1), normalised_scores(first, second, cohort, nearest=100)
    assert equal_error_rate(error_curve(normal, truth))[0] < 0.8 * equal_error_rate(error_curve(plain, truth))[0]
