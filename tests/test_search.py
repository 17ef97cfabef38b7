"""One against many: against searches made one by one."""

import numpy as np
import pytest

from visavis.errors import DataError
from visavis.metrics.search import evaluate_search, reference_scores


def rows_of(people, photos, *, spread=0.5, size=16, seed=0):
    rng = np.random.default_rng(seed)
    labels = np.repeat(np.arange(people), photos)
    rows = rng.normal(size=(people, size))[labels] + spread * rng.normal(size=(len(labels), size))
    return (rows / np.linalg.norm(rows, axis=1, keepdims=True)).astype(np.float32), labels


def test_references_are_what_they_say():
    rows, _ = rows_of(5, 3)
    enrolled, probes = rows[:12].reshape(4, 3, -1), rows[12:]
    best, mean = (reference_scores(probes, enrolled, name) for name in ("best", "mean"))
    for probe in range(3):
        for person in range(4):
            assert best[probe, person] == pytest.approx(max(probes[probe] @ photo for photo in enrolled[person]), abs=1e-6)
            middle = enrolled[person].sum(axis=0)
            assert mean[probe, person] == pytest.approx(probes[probe] @ middle / np.linalg.norm(middle), abs=1e-6)
    with pytest.raises(ValueError, match="reference must be 'mean' or 'best', got 'worst'"):
        reference_scores(probes, enrolled, "worst")


def test_searches_are_counted_one_by_one():
    rows, labels = rows_of(20, 4)
    found = evaluate_search(rows, labels, threshold=0.8, photos=2)
    assert (found.enrolled, found.not_enrolled) == (10, 10)
    assert (found.rank1.trials, found.fnir.trials, found.fpir.trials) == (20, 20, 40)
    rng = np.random.default_rng(0)
    enrolled = np.sort(rng.permutation(20)[:10])
    kept = [rng.choice(np.flatnonzero(labels == person), 2, replace=False) for person in enrolled]
    first = missed = false = 0
    for probe in range(80):
        if any(probe in chosen for chosen in kept):
            continue
        middles = [rows[chosen].mean(axis=0) for chosen in kept]
        scores = [rows[probe] @ middle / np.linalg.norm(middle) for middle in middles]
        top = int(np.argmax(scores))
        if labels[probe] in enrolled:
            right = enrolled[top] == labels[probe]
            first += right
            missed += not (right and scores[top] >= 0.8)
        else:
            false += scores[top] >= 0.8
    assert (found.rank1.count, found.fnir.count, found.fpir.count) == (first, missed, false)
    assert 0 < found.fnir.count < 20
    assert list(found.cmc) == sorted(found.cmc) and found.cmc[0] == found.rank1.value
    assert found.fpir.interval[0] <= found.fpir.value <= found.fpir.interval[1]


def test_more_people_more_false_positives_as_predicted():
    rows, labels = rows_of(400, 3, size=10)
    found = evaluate_search(rows, labels, threshold=0.75)
    measured, predicted = (np.array([getattr(step, name) for step in found.growth]) for name in ("measured", "predicted"))
    assert [step.enrolled for step in found.growth][-1] == found.enrolled == 200
    assert (np.diff(measured) >= 0).all() and measured[-1] > 5 * measured[0]
    assert measured[-1] == pytest.approx(predicted[-1], abs=0.15)
    several = evaluate_search(rows, labels, threshold=0.75, photos=2)
    assert several.reference_eer < found.reference_eer


def test_what_cannot_be_searched():
    rows, labels = rows_of(4, 2)
    with pytest.raises(DataError, match="with 3 photos or more, and others who are not enrolled, got 0 of 4"):
        evaluate_search(rows, labels, threshold=0.5, photos=2)
    with pytest.raises(ValueError, match="photos must be at least 1"):
        evaluate_search(rows, labels, threshold=0.5, photos=0)
