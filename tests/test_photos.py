"""Pairs of fewer photos, and of photos from which no face was acquired."""

import numpy as np
import pytest

from visavis.evaluation.protocols import Claims, evaluate_scores
from visavis.metrics import score_all_pairs
from visavis.metrics.photos import AcquisitionFailures, at_most_photos, with_failures


def embeddings(labels, seed=0):
    rng = np.random.default_rng(seed)
    rows = rng.normal(size=(labels.max() + 1, 12))[labels] + 0.7 * rng.normal(size=(len(labels), 12))
    return (rows / np.linalg.norm(rows, axis=1, keepdims=True)).astype(np.float32)


@pytest.mark.parametrize("photos", [3, 30])  # all scores kept, and most of them in bins
def test_at_most_so_many_photos_of_each_person_are_compared(photos):
    labels = np.repeat(np.arange(60), np.where(np.arange(60) < 10, photos * 2, photos))
    rows = embeddings(labels)
    scores = score_all_pairs(rows, labels, thresholds=[0.25])
    even = at_most_photos(scores, photos)
    assert even.nonmated_of.tolist() == [photos * 59 * photos] * 60
    assert len(even.mated) == 60 * photos * (photos - 1) // 2
    assert even.curve.nonmated == 60 * 59 * photos**2 // 2
    assert at_most_photos(scores, 2 * photos) is scores
    kept = np.unique(np.concatenate([even.mated.first, even.mated.second]))
    direct = score_all_pairs(rows[kept], labels[kept], thresholds=[0.25])
    for threshold in (0.3, 0.5, 0.8):
        limit = float(even.curve.thresholds[np.searchsorted(-even.curve.thresholds, -threshold, side="right") - 1])
        assert even.curve.at(limit).fp == np.sum(direct.nonmated.scores >= limit)
        assert even.curve.at(limit).fn == np.sum(direct.mated.scores < limit)


def test_failures_to_acquire_are_false_non_matches_by_hand():
    labels = np.array([0, 0, 0, 1, 1, 2])
    scores = score_all_pairs(embeddings(labels), labels)
    counted = with_failures(scores, np.array([0, 2, 3, 3]))
    assert counted.people.tolist() == [0, 0, 0, 1, 1, 2, 0, 2, 3, 3]
    assert len(counted.mated) == 4 + 3 + 1 + 1  # one more photo of person 0 and of person 2, and two of a person without others
    assert counted.mated_of.tolist() == [6, 1, 1, 1]
    assert np.sum(counted.mated.scores == -1) == 5
    assert counted.curve.nonmated == scores.curve.nonmated
    before, after = (evaluate_scores(each, Claims(threshold=-0.9), name="") for each in (scores, counted))
    assert (before.decisions.fnmr.count, after.decisions.fnmr.count) == (0, 5)
    assert after.decisions.fnmr.trials == 9
    assert before.decisions.fmr == after.decisions.fmr


def test_the_failure_to_acquire_rate_has_an_interval_over_people():
    found = AcquisitionFailures.of(np.repeat(np.arange(20), 5), np.zeros(6, dtype=np.int64), counted=False)
    assert (found.rate.count, found.rate.trials) == (6, 106)
    low, high = found.rate.interval
    assert low < 6 / 106 < high and high > 0.2  # all failures are of one of twenty people
    assert "not counted into the FNMR" in str(found)
    assert found.to_json()["counted_into_fnmr"] is False
