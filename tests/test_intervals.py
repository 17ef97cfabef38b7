"""Intervals of rates whose pairs share people: against sums worked out pair by pair, and against data of known truth."""

from statistics import NormalDist

import numpy as np
import pytest
from scipy import stats

from visavis.data import PairProtocol
from visavis.evaluation import evaluate_all_pairs, evaluate_protocol
from visavis.metrics import Rate
from visavis.metrics.intervals import RATES, all_pairs_errors, effective_trials, pair_errors


def scored_pairs(people, photos, *, between=0.3, seed=0):
    """Scores of all pairs where some people are more alike to everybody than others, and the two people of each pair."""
    rng = np.random.default_rng(seed)
    labels = np.repeat(np.arange(people), photos)
    first, second = np.triu_indices(len(labels), 1)
    pull = rng.normal(0, between, people)
    scores = pull[labels[first]] + pull[labels[second]] + rng.normal(size=len(first)) + 2 * (labels[first] == labels[second])
    return scores, np.stack([labels[first], labels[second]], axis=1)


def variance_by_definition(scores, people, threshold, name):
    """The sum over all pairs of pairs with a person in common, one by one; and the residuals of each person."""
    count, trials = RATES[name]
    mated, accepted = people[:, 0] == people[:, 1], scores >= threshold
    kinds = np.where(mated, np.where(accepted, 0, 1), np.where(accepted, 2, 3))
    counted, tried = np.array(count)[kinds], np.array(trials)[kinds]
    rate = counted.sum() / tried.sum()
    residual = counted - rate * tried
    sets = [frozenset(pair) for pair in people.tolist()]
    every = [(i, j) for i in range(len(sets)) for j in range(len(sets))]
    sharing = sum(residual[i] * residual[j] for i, j in every if sets[i] & sets[j])
    alone = sum(residual[i] * residual[j] for i, j in every if sets[i] == sets[j])
    names = np.unique(people)
    sums = np.array([residual[[name in pair for pair in sets]].sum() for name in names])
    return rate, max(sharing, alone) * len(names) / (len(names) - 1) / tried.sum() ** 2, tried.sum(), sums


@pytest.mark.parametrize("name", RATES)
def test_effective_numbers_are_those_of_the_definition(name):
    scores, people = scored_pairs(6, 3)
    rate, variance, trials, sums = variance_by_definition(scores, people, 0.8, name)
    student = stats.t.isf(0.025, max(2, (sums**2).sum() ** 2 / (sums**4).sum()))
    expected = min(trials, rate * (1 - rate) / variance) * (1.959964 / student) ** 2
    assert pair_errors(scores, people, 0.8).effective(*RATES[name]) == pytest.approx(expected, rel=0.05)


def test_all_pairs_and_a_list_of_all_pairs_agree():
    rng = np.random.default_rng(2)
    labels = np.repeat(np.arange(12), 4)
    rows = rng.normal(size=(12, 8))[labels] + rng.normal(size=(48, 8))
    rows = (rows / np.linalg.norm(rows, axis=1, keepdims=True)).astype(np.float32)
    first, second = np.triu_indices(48, 1)
    scores = (rows @ rows.T)[first, second]
    thresholds = [0.3, 0.6]
    for threshold, found in zip(thresholds, all_pairs_errors(rows, labels, thresholds), strict=True):
        listed = pair_errors(scores, np.stack([labels[first], labels[second]], axis=1), threshold)
        for name, weights in RATES.items():
            assert found.counts(name) == listed.counts(name)
            assert found.effective(*weights) == pytest.approx(listed.effective(*weights))


@pytest.mark.parametrize(("people", "photos", "between"), [(60, 3, 0.3), (80, 2, 0.0), (60, 2, 0.6)])
def test_intervals_hold_the_truth_about_95_times_in_100(people, photos, between):
    spread = NormalDist(0, np.sqrt(2 * between**2 + 1))
    truth = 0.02
    threshold, lax = spread.inv_cdf(1 - truth), spread.inv_cdf(0.9)
    held, independent = 0, 0
    for seed in range(200):
        scores, pairs = scored_pairs(people, photos, between=between, seed=seed)
        errors = pair_errors(scores, pairs, threshold)
        count, trials = map(int, errors.counts("fmr"))
        low, high = Rate(count, trials, effective_trials("fmr", errors, pair_errors(scores, pairs, lax))).interval
        held += low <= truth <= high
        low, high = Rate(count, trials).interval
        independent += low <= truth <= high
    assert 184 <= held <= 196
    assert between == 0 or independent < 160


def test_without_errors_people_are_what_counts():
    labels = np.repeat(np.arange(10), 5)
    rows = np.eye(10, dtype=np.float32)[labels]
    result = evaluate_all_pairs(rows, labels, threshold=0.5)
    assert result.rates()["fmr"].count == 0
    assert result.effective["fmr"] == 5
    assert result.rates()["fmr"].interval[1] > 0.4
    assert result.rates()["fnmr"].interval[1] < result.rates()["fmr"].interval[1]


def test_few_errors_are_discounted_as_many_are():
    scores, people = scored_pairs(40, 4, between=0.5)
    strict, lax = (pair_errors(scores, people, threshold) for threshold in (4.0, 1.0))
    count, trials = strict.counts("fmr")
    assert count < 5
    share = effective_trials("fmr", strict, lax) / trials
    assert share == pytest.approx(effective_trials("fmr", lax, lax) / trials)


def test_a_protocol_is_evaluated_by_its_people():
    labels = np.repeat(np.arange(8), 4)
    rng = np.random.default_rng(1)
    rows = rng.normal(size=(8, 6))[labels] + rng.normal(size=(32, 6))
    rows = (rows / np.linalg.norm(rows, axis=1, keepdims=True)).astype(np.float32)
    pairs = np.stack(np.triu_indices(32, 1), axis=1)
    same = (labels[pairs[:, 0]] == labels[pairs[:, 1]]).astype(np.int64)
    protocol = evaluate_protocol(rows, labels, PairProtocol(pairs, same, None, "all"), threshold=0.5)
    assert protocol.effective == pytest.approx(evaluate_all_pairs(rows, labels, threshold=0.5).effective)
    assert protocol.to_json()["counts"]["fmr"]["effective"] == protocol.effective["fmr"]


def test_two_people_tell_next_to_nothing_of_strangers():
    rng = np.random.default_rng(4)
    rows = rng.normal(size=(40, 3)) + np.repeat([[1.0, 0, 0], [0, 1.0, 0]], 20, axis=0)
    rows = (rows / np.linalg.norm(rows, axis=1, keepdims=True)).astype(np.float32)
    found = evaluate_all_pairs(rows, np.repeat([0, 1], 20))
    assert found.rates()["fmr"].trials == 400
    assert found.effective["fmr"] == 1
    low, high = found.intervals["fmr"]
    assert high - low > 0.5
