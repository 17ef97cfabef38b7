"""Scores of pairs: counts equal to brute force at any size, whatever the number of threads, and cosines that acos takes."""

import math

import numpy as np
import pytest
from threadpoolctl import threadpool_limits

from visavis.errors import DataError
from visavis.evaluation import evaluate_all_pairs, evaluate_folds
from visavis.metrics import all_pairs_curve, cosine_scores, paired_scores, score_all_pairs, unit_rows
from visavis.metrics.bootstrap import PeopleCurves, curve_points
from visavis.metrics.calibration import fit_calibration
from visavis.metrics.histograms import score_histogram
from visavis.metrics.reliability import measure_reliability, summarise_costs
from visavis.metrics.scores import first_accepting, list_scores, score_pairs, scored_blocks


def embeddings_of(photos, people, *, size=16, seed=0):
    rng = np.random.default_rng(seed)
    labels = rng.integers(0, people, photos)
    return unit_rows(rng.normal(size=(people, size))[labels] + rng.normal(size=(photos, size))), labels


def by_brute_force(rows, labels):
    first, second = np.triu_indices(len(labels), 1)
    return cosine_scores(rows, rows)[first, second], labels[first] == labels[second]


@pytest.fixture(scope="module")
def many():
    """More photos than are all kept, in three blocks, the last one narrow."""
    return embeddings_of(2300, 300)


@pytest.mark.parametrize("keep", [True, False])
def test_counts_of_many_photos_are_exact_at_every_threshold_of_the_curve(many, keep):
    rows, labels = many
    scores, mated = by_brute_force(rows, labels)
    curve = score_all_pairs(rows, labels, keep=keep).curve
    assert (curve.mated, curve.nonmated) == (mated.sum(), (~mated).sum())
    for threshold in curve.thresholds[:: len(curve.thresholds) // 60]:
        decisions = curve.at(threshold)
        assert (decisions.tp, decisions.fp) == (np.sum(mated & (scores >= threshold)), np.sum(~mated & (scores >= threshold)))


def test_counts_at_a_threshold_of_interest_are_exact_too(many):
    rows, labels = many
    scores, mated = by_brute_force(rows, labels)
    thresholds = [0.123456, float(np.sort(scores[~mated])[-1000]), -0.2]
    pairs = score_all_pairs(rows, labels, thresholds=thresholds)
    assert pairs.floor <= -0.2
    curve = pairs.curve_at(*thresholds)
    for threshold in thresholds:
        decisions = curve.at(threshold)
        assert (decisions.tp, decisions.fp) == (np.sum(mated & (scores >= threshold)), np.sum(~mated & (scores >= threshold)))


def test_the_pairs_kept_are_those_from_the_floor_on(many):
    rows, labels = many
    scores, mated = by_brute_force(rows, labels)
    pairs = score_all_pairs(rows, labels)
    assert -1 < pairs.floor < 1
    assert len(pairs.nonmated) == np.sum(~mated & (scores >= pairs.floor))
    assert (labels[pairs.nonmated.first] != labels[pairs.nonmated.second]).all()
    assert len(pairs.mated) == mated.sum()
    assert (labels[pairs.mated.first] == labels[pairs.mated.second]).all()
    np.testing.assert_allclose(pairs.mated.scores, paired_scores(rows[pairs.mated.first], rows[pairs.mated.second]), atol=1e-6)
    photos = np.bincount(labels)
    np.testing.assert_array_equal(pairs.nonmated_of, photos * (len(labels) - photos))
    np.testing.assert_array_equal(pairs.mated_of, photos * (photos - 1) // 2)


def test_counts_do_not_depend_on_the_number_of_threads(many):
    curves = []
    for threads in (1, 2):
        with threadpool_limits(threads, user_api="blas"):
            curves.append(all_pairs_curve(*many))
    for name in ("thresholds", "accepted_mated", "accepted_nonmated"):
        np.testing.assert_array_equal(getattr(curves[0], name), getattr(curves[1], name))


def test_each_block_of_pairs_comes_once(many):
    rows, _ = many
    seen = np.zeros((len(rows), len(rows)), dtype=int)
    for row, column, scores in scored_blocks(rows):
        seen[row : row + len(scores), column : column + scores.shape[1]] += 1
    assert (seen[np.triu_indices(len(rows), 1)] == 1).all()
    assert sum(scores.size for _, _, scores in scored_blocks(rows[:1100], rows[:30])) == 1100 * 30


def test_equal_rows_score_at_most_one():
    rows = unit_rows(np.random.default_rng(0).normal(size=(3000, 100)))
    for scores in (paired_scores(rows, rows), np.diag(cosine_scores(rows, rows)), cosine_scores(rows[:1], rows[:1])):
        assert scores.max() <= 1
        assert all(math.acos(score) >= 0 for score in scores.ravel().tolist())
    assert cosine_scores(rows, -rows).min() >= -1


def test_pairs_between_two_sets_of_photos(many):
    rows, labels = many
    here = np.arange(len(labels)) % 3 == 0
    pairs = score_all_pairs(rows, labels)
    across, within = pairs.between(here, ~here), pairs.between(here, here)
    first, second = np.triu_indices(len(labels), 1)
    same = labels[first] == labels[second]
    assert len(across.mated) == np.sum(same & (here[first] != here[second]))
    assert across.nonmated_of.sum() == 2 * np.sum(~same & (here[first] != here[second]))
    assert within.nonmated_of.sum() == 2 * np.sum(~same & here[first] & here[second])


def test_a_list_of_all_pairs_is_the_same_as_all_pairs():
    rows, labels = embeddings_of(60, 9)
    pairs = np.stack(np.triu_indices(60, 1), axis=1)
    listed, every = score_pairs(rows, labels, pairs), score_all_pairs(rows, labels)
    np.testing.assert_array_equal(listed.nonmated_of, every.nonmated_of)
    np.testing.assert_allclose(listed.curve.thresholds, every.curve.thresholds, atol=1e-6)
    assert listed.effective_people == pytest.approx(every.effective_people)


def test_people_who_hold_most_pairs_weigh_as_fewer():
    labels = np.repeat(np.arange(5), [20, 2, 2, 2, 2])
    pairs = score_all_pairs(embeddings_of(len(labels), 5)[0], labels)
    assert pairs.effective_people == pytest.approx((190 + 4) ** 2 / (190**2 + 4))


def test_the_first_threshold_that_accepts_is_exact_in_every_bin():
    rng = np.random.default_rng(1)
    scores = np.concatenate([rng.uniform(-1, 1, 90_000), [1, -1, 0, 0.5, -0.5, 1 / 32768, -1 / 32768]]).astype(np.float32)
    thresholds = np.unique(np.concatenate([scores[:40], [0.0, 0.5, -0.5, -1.0], rng.uniform(-1, 1, 40)]))[::-1].astype(np.float64)
    places = first_accepting(scores, thresholds)
    np.testing.assert_array_equal(places, np.searchsorted(-thresholds, -scores.astype(np.float64), side="left"))
    curve = list_scores(np.arange(4), np.array([[0, 1], [2, 3]]), [0.5, 0.25]).curve
    assert curve.thresholds.tolist() == [0.5, 0.25]


@pytest.mark.parametrize(
    ("rows", "labels", "message"),
    [
        (np.zeros((3, 4)), [0, 1], r"got shape \(3, 4\) and 2 labels"),
        (np.array([[1.0, 0], [np.nan, 0]]), [0, 1], "embedding 1 is not finite"),
        (np.zeros((1, 4)), [0], "n at least 2"),
    ],
)
def test_what_cannot_be_scored_is_named(rows, labels, message):
    with pytest.raises(DataError, match=message):
        score_all_pairs(rows, labels)


def test_reprs_are_short():
    rows, labels = embeddings_of(80, 20)
    pairs = score_all_pairs(rows, labels)
    curves = PeopleCurves.of(pairs, curve_points(pairs.curve))
    calibration = fit_calibration(pairs.curve, "isotonic")
    shown = [
        pairs,
        pairs.mated,
        pairs.curve,
        curves,
        curves.resampled(5),
        calibration,
        measure_reliability(pairs.curve, calibration),
        summarise_costs(pairs.curve, calibration, curves.thresholds),
        score_histogram(pairs.curve, chosen_on="test people"),
        evaluate_all_pairs(rows, labels),
        evaluate_folds([0.1, 0.9, 0.2, 0.8], [0, 1, 0, 1], [0, 0, 1, 1]),
    ]
    for value in shown:
        assert repr(value).startswith(type(value).__name__) and len(repr(value)) < 120 and "array(" not in repr(value)
