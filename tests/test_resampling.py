"""The bootstrap over people: against counts made one by one, and against data of known truth."""

from statistics import NormalDist

import numpy as np
import pytest
from test_intervals import scored_pairs

from visavis.metrics import all_pairs_curve, equal_error_rate, error_curve, roc_auc, tar_at_fmr
from visavis.metrics.bootstrap import all_pairs_by_people, chance_of_fewer_errors, interval, pairs_by_people, telling_thresholds


def rows_of(people, photos, *, size=12, seed=0):
    rng = np.random.default_rng(seed)
    labels = np.repeat(np.arange(people), photos)
    rows = rng.normal(size=(people, size))[labels] + 0.9 * rng.normal(size=(len(labels), size))
    return (rows / np.linalg.norm(rows, axis=1, keepdims=True)).astype(np.float32), labels


def test_counts_by_people_are_those_of_the_definition():
    rows, labels = rows_of(7, 3)
    curve = all_pairs_curve(rows, labels)
    thresholds = telling_thresholds(curve, also=[0.123])
    found = all_pairs_by_people(rows, labels, thresholds)
    first, second = np.triu_indices(len(labels), 1)
    scores = (rows @ rows.T)[first, second].astype(np.float64)
    listed = pairs_by_people(scores, np.stack([labels[first], labels[second]], axis=1), thresholds)
    assert 0.123 in thresholds and (np.diff(thresholds) < 0).all()
    for place, threshold in enumerate(thresholds):
        accepted = scores >= threshold
        for person in range(7):
            own = (labels[first] == person).astype(int) + (labels[second] == person)
            assert found.mated[person, place] == listed.mated[person, place] == np.sum(accepted & (own == 2))
            assert found.nonmated[person, place] == listed.nonmated[person, place] == np.sum(accepted & (own == 1))


@pytest.mark.parametrize("photos", [4, 9])
def test_the_people_as_they_are_give_the_curve_itself(photos):
    rows, labels = rows_of(260, photos)  # with 9 photos each there are more than 2,000, and scores are counted in bins
    curve = all_pairs_curve(rows, labels)
    replicates = all_pairs_by_people(rows, labels, telling_thresholds(curve)).resampled(20)
    assert replicates.eer()[0] == pytest.approx(equal_error_rate(curve)[0], rel=0.02)
    assert replicates.roc_auc()[0] == pytest.approx(roc_auc(curve), abs=2e-4)
    assert 1 - replicates.fnmr_at(0.01)[0] == pytest.approx(tar_at_fmr(curve, 0.01).value, abs=0.01)
    threshold = float(replicates.thresholds[150])
    assert replicates.at(threshold)[0][0] == pytest.approx(curve.at(threshold).fmr.value)
    assert replicates.at(threshold)[1][0] == pytest.approx(curve.at(threshold).fnmr.value)
    low, high = replicates.band([0.01, 0.1])
    assert (low <= high).all() and low[1] < low[0]


def test_a_resample_is_what_it_says():
    rows, labels = rows_of(9, 4)
    thresholds = telling_thresholds(all_pairs_curve(rows, labels))
    curves = all_pairs_by_people(rows, labels, thresholds)
    replicates = curves.resampled(1, seed=3)
    drawn = np.random.default_rng(3).multinomial(9, np.full(9, 1 / 9))
    first, second = np.triu_indices(len(labels), 1)
    scores, mated = (rows @ rows.T)[first, second], labels[first] == labels[second]
    weights = drawn[labels[first]] + drawn[labels[second]] - 1
    place = 60
    wrong = weights[~mated & (scores >= thresholds[place])].sum() / weights[~mated].sum()
    assert replicates.fmr[1, place] == pytest.approx(max(wrong, replicates.fmr[1, place - 1]), abs=1e-12)
    own = drawn[labels[first]]
    assert replicates.fnmr[1, place] == pytest.approx(own[mated & (scores < thresholds[place])].sum() / own[mated].sum())


@pytest.mark.parametrize(("people", "photos", "between"), [(60, 3, 0.3), (25, 6, 0.3)])
def test_intervals_hold_the_truth_about_95_times_in_100(people, photos, between):
    strangers, friends = np.sqrt(2 * between**2 + 1), np.sqrt(4 * between**2 + 1)
    truth = NormalDist().cdf(-2 / (strangers + friends))
    area = NormalDist().cdf(2 / np.hypot(strangers, friends))
    held = np.zeros(2)
    for seed in range(200):
        scores, pairs = scored_pairs(people, photos, between=between, seed=seed)
        curve = error_curve(scores, (pairs[:, 0] == pairs[:, 1]).astype(int))
        replicates = pairs_by_people(scores, pairs, telling_thresholds(curve)).resampled(200, seed=seed)
        eer = interval(replicates.eer(), equal_error_rate(curve)[0], people)
        auc = interval(replicates.roc_auc(), roc_auc(curve), people)
        held += [eer[0] <= truth <= eer[1], auc[0] <= area <= auc[1]]
    assert (held >= 184).all() and (held <= 197).all()


def test_the_chance_of_fewer_errors_tells_luck_from_improvement():
    rng = np.random.default_rng(5)
    people, labels = rng.normal(size=(12, 16)), np.repeat(np.arange(12), 4)

    def photos(noise, seed):
        rows = people[labels] + np.random.default_rng(seed).normal(0, noise, (48, 16))
        return (rows / np.linalg.norm(rows, axis=1, keepdims=True)).astype(np.float32)

    before = photos(1.2, 1)
    assert chance_of_fewer_errors(before, before, labels) == 0.5
    assert chance_of_fewer_errors(before, photos(0.5, 1), labels) > 0.99
    assert chance_of_fewer_errors(photos(0.5, 1), before, labels) < 0.01
    alike = [chance_of_fewer_errors(before, photos(1.2, seed), labels) for seed in range(2, 22)]
    assert 0.2 < np.mean(alike) < 0.8
