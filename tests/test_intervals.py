"""Intervals of rates whose trials share people: against counts made one by one, against Clopper and Pearson, and by simulation."""

from statistics import NormalDist

import numpy as np
import pytest
from scipy.stats import beta

from visavis.data import PairProtocol
from visavis.evaluation import Claims, evaluate_all_pairs, evaluate_protocol
from visavis.metrics import cosine_scores, equal_error_rate, roc_auc, tar_at_fmr, unit_rows
from visavis.metrics.bootstrap import PeopleCurves, curve_points, probability_of_fewer_errors
from visavis.metrics.intervals import RAREST_KIND, PeopleWeights, effective_pairs, limits_of, people_interval, smallest_fmr
from visavis.metrics.scores import list_scores, score_all_pairs, score_pairs


def scored_pairs(people, photos, *, between=0.3, seed=0):
    """Scores of all pairs where some people are more alike to everybody than others; a twentieth, so that all are cosines."""
    rng = np.random.default_rng(seed)
    labels = np.repeat(np.arange(people), photos)
    first, second = np.triu_indices(len(labels), 1)
    pull = rng.normal(0, between, people)
    scores = pull[labels[first]] + pull[labels[second]] + rng.normal(size=len(first)) + 2 * (labels[first] == labels[second])
    return list_scores(labels, np.stack([first, second], axis=1), scores / 20)


def rows_of(people, photos, *, size=12, seed=0):
    rng = np.random.default_rng(seed)
    labels = np.repeat(np.arange(people), photos)
    return unit_rows(rng.normal(size=(people, size))[labels] + 0.9 * rng.normal(size=(len(labels), size))), labels


@pytest.mark.parametrize(("events", "people"), [(0, 10), (0, 100), (1, 30), (3, 30), (30, 30)])
def test_people_who_are_all_right_or_all_wrong_give_clopper_and_pearson(events, people):
    wrong = np.arange(people) < events
    low, high = people_interval(4 * wrong, np.full(people, 4))
    assert low == pytest.approx(beta.ppf(0.025, events, people - events + 1) if events else 0, abs=0.03)
    assert high == pytest.approx(beta.ppf(0.975, events + 1, people - events) if events < people else 1, abs=0.03)


def test_few_people_with_most_trials_weigh_as_few():
    even, uneven = (people_interval(np.zeros(40), trials) for trials in (np.full(40, 10), np.repeat([370, 1], [1, 39])))
    assert even[1] < 0.12 < 0.5 < uneven[1]


def test_without_people_nothing_is_known():
    assert people_interval([], []) == people_interval([0], [0]) == (0.0, 1.0)


def test_counts_by_people_are_those_of_the_definition():
    rows, labels = rows_of(7, 3)
    pairs = score_all_pairs(rows, labels)
    thresholds = curve_points(pairs.curve, also=[0.123])
    curves = PeopleCurves.of(pairs, thresholds)
    first, second = np.triu_indices(len(labels), 1)
    scores = cosine_scores(rows, rows)[first, second]
    assert 0.123 in thresholds and (np.diff(thresholds) < 0).all()
    for place, threshold in enumerate(thresholds):
        accepted = scores >= threshold
        for person in range(7):
            own = (labels[first] == person).astype(int) + (labels[second] == person)
            assert curves.mated[person, place] == np.sum(accepted & (own == 2))
            assert curves.nonmated[person, place] == np.sum(accepted & (own == 1))


@pytest.mark.parametrize("photos", [4, 9])
def test_the_first_row_is_the_curve_itself(photos):
    rows, labels = rows_of(260, photos)  # with 9 photos each there are more than 1,000, and low scores are only counted
    pairs = score_all_pairs(rows, labels)
    curve = pairs.curve
    resampled = PeopleCurves.of(pairs, curve_points(curve)).resampled(20)
    assert resampled.eer()[0] == pytest.approx(equal_error_rate(curve)[0], rel=0.03)
    assert resampled.roc_auc()[0] == pytest.approx(roc_auc(curve), abs=5e-4)
    assert 1 - resampled.fnmr_at(0.01)[0] == pytest.approx(tar_at_fmr(curve, 0.01).value, abs=0.01)
    threshold = float(resampled.thresholds[90])
    assert resampled.at(threshold)[0][0] == pytest.approx(curve.at(threshold).fmr.value)
    assert resampled.at(threshold)[1][0] == pytest.approx(curve.at(threshold).fnmr.value)
    low, high = resampled.band([0.01, 0.1])
    assert (low <= high).all() and low[1] < low[0]


def test_a_resample_is_what_it_says():
    rows, labels = rows_of(9, 4)
    pairs = score_all_pairs(rows, labels)
    thresholds = curve_points(pairs.curve)
    resampled = PeopleCurves.of(pairs, thresholds).resampled(1, seed=3)
    drawn = np.random.default_rng(3).standard_exponential((1, 10))[0]
    first, second = np.triu_indices(len(labels), 1)
    scores, mated = cosine_scores(rows, rows)[first, second], labels[first] == labels[second]
    place = 60
    accepted = scores >= thresholds[place]
    weights = drawn[1:][labels[first]] + drawn[1:][labels[second]]
    share = weights[~mated & accepted].sum() / weights[~mated].sum()
    plain = (~mated & accepted).sum() / (~mated).sum()
    assert resampled.fmr[1, place] == pytest.approx(max(2 * share - plain, resampled.fmr[1, place - 1]), abs=1e-12)
    own = drawn[1:][labels[first]]
    assert resampled.fnmr[1, place] == pytest.approx(own[mated & ~accepted].sum() / own[mated].sum())
    assert resampled.unseen_fnmr[1] == pytest.approx(drawn[0] / drawn.sum())
    assert resampled.unseen_fmr[1] >= 1 - (1 - drawn[0] / drawn.sum()) ** 2


def test_worst_and_best_enclose_what_was_seen():
    resampled = PeopleCurves.of(*_with_points(scored_pairs(20, 3))).resampled(50)
    assert (resampled.best.eer() <= resampled.eer() + 1e-12).all() and (resampled.eer() <= resampled.worst.eer() + 1e-12).all()
    assert (resampled.worst.roc_auc() <= resampled.roc_auc() + 1e-12).all()
    assert (resampled.worst.fnmr[:, -1] == 0).all() and (resampled.best.fmr[:, -1] == 1).all()
    assert resampled.fnmr.min() == 0 and not np.signbit(resampled.fnmr).any()  # shown as 0.00 %, not as -0.00 %


def _with_points(pairs, *also):
    return pairs, curve_points(pairs.curve, also)


@pytest.mark.parametrize(("people", "photos", "between"), [(60, 3, 0.3), (30, 2, 0.6), (10, 4, 0.3)])
def test_intervals_hold_the_truth(people, photos, between):
    nonmated, mated = np.sqrt(2 * between**2 + 1), np.sqrt(4 * between**2 + 1)
    threshold = NormalDist(0, nonmated).inv_cdf(0.98) / 20
    truth = {
        "fmr": 0.02,
        "fnmr": NormalDist(2, mated).cdf(20 * threshold),
        "eer": NormalDist().cdf(-2 / (nonmated + mated)),
        "auc": NormalDist().cdf(2 / np.hypot(nonmated, mated)),
    }
    held = dict.fromkeys(truth, 0)
    for seed in range(60):
        pairs = scored_pairs(people, photos, between=between, seed=seed)
        resampled = PeopleCurves.of(*_with_points(pairs, threshold)).resampled(300, seed=seed)
        best, worst = resampled.best, resampled.worst
        limits = {
            "fmr": limits_of(best.at(threshold)[0], worst.at(threshold)[0]),
            "fnmr": limits_of(best.at(threshold)[1], worst.at(threshold)[1]),
            "eer": limits_of(best.eer(), worst.eer()),
            "auc": limits_of(best.roc_auc(), worst.roc_auc()),
        }
        for name, (low, high) in limits.items():
            held[name] += low <= truth[name] <= high
    assert min(held.values()) >= 54, held


def test_intervals_do_not_collapse_where_nothing_went_wrong():
    labels = np.repeat(np.arange(6), 10)
    result = evaluate_all_pairs(np.eye(6, dtype=np.float32)[labels], labels, Claims(threshold=0.5))
    assert result.rates()["fnmr"].count == result.rates()["fmr"].count == 0
    assert result.intervals["fnmr"][1] == pytest.approx(beta.ppf(0.975, 1, 6), abs=0.05)
    assert result.intervals["fmr"][1] > result.intervals["fnmr"][1]
    assert result.intervals["tar_at_fmr_1e-2"][0] == 0
    assert result.extrapolated == ("tar_at_fmr_1e-2", "tar_at_fmr_1e-3")
    assert result.intervals["roc_auc"][0] < 0.8 and result.intervals["eer"][1] > 0.3
    assert "extrapolated" in str(result)


def test_a_protocol_is_evaluated_by_its_people():
    rows, labels = rows_of(8, 4, size=6, seed=1)
    pairs = np.stack(np.triu_indices(32, 1), axis=1)
    same = (labels[pairs[:, 0]] == labels[pairs[:, 1]]).astype(np.int64)
    protocol = evaluate_protocol(rows, labels, PairProtocol(pairs, same, None, "all"), Claims(threshold=0.5))
    every = evaluate_all_pairs(rows, labels, Claims(threshold=0.5))
    for name, limits in every.intervals.items():
        assert protocol.intervals[name] == pytest.approx(limits, abs=1e-6)
    assert score_pairs(rows, labels, pairs).compared == 8


def test_few_people_who_hold_most_pairs_are_warned_of():
    rows, labels = rows_of(20, 3)
    more, _ = rows_of(1, 60, seed=9)
    result = evaluate_all_pairs(np.concatenate([rows, more]), np.append(labels, np.full(60, 20)), Claims(threshold=0.5))
    assert result.concentrated and "few people hold most of the mated pairs" in str(result)
    assert not evaluate_all_pairs(rows, labels).concentrated
    mated = result.curves.mated
    assert result.balanced["fnmr"].value == pytest.approx(
        np.mean(1 - mated[:, np.flatnonzero(result.curves.thresholds == 0.5)[0]] / mated[:, -1])
    )
    low, high = result.balanced["fnmr"].interval
    assert low <= result.balanced["fnmr"].value <= high and high - low < np.diff(result.intervals["fnmr"])[0]
    assert result.balanced["fmr"].interval[0] <= result.balanced["fmr"].value <= result.balanced["fmr"].interval[1]


def test_two_people_show_next_to_nothing_of_non_mated_pairs():
    rng = np.random.default_rng(4)
    rows = unit_rows(rng.normal(size=(40, 3)) + np.repeat([[1.0, 0, 0], [0, 1.0, 0]], 20, axis=0))
    result = evaluate_all_pairs(rows, np.repeat([0, 1], 20))
    assert result.rates()["fmr"].trials == 400
    assert result.curves.effective_pairs == 1
    low, high = result.intervals["fmr"]
    assert high - low > 0.5


def test_effective_pairs_are_fewer_where_people_differ():
    alike, unlike = (PeopleCurves.of(*_with_points(scored_pairs(80, 3, between=spread))) for spread in (0.0, 0.6))
    assert unlike.effective_pairs < alike.effective_pairs / 2
    assert effective_pairs(np.zeros(10), np.full(10, 36.0)) == 5


def test_the_smallest_rate_that_people_can_show():
    assert smallest_fmr(30, 1e9) == pytest.approx(1 - 0.05 ** (2 / 30))
    assert smallest_fmr(1000, 3000) == pytest.approx(0.001, rel=0.01)
    few = next(people for people in range(100, 1000) if smallest_fmr(people, 1e9) < 0.01)
    assert few == int(np.log(0.05) / np.log(1 - RAREST_KIND)) + 1


def test_limits_are_wider_near_the_smallest_rate_that_people_can_show():
    resampled = PeopleCurves.of(*_with_points(scored_pairs(80, 3, between=0.6))).resampled()
    assert resampled.smallest_fmr > 0.01

    def plain(fmr):
        return limits_of(resampled.best.fnmr_at(fmr), resampled.worst.fnmr_at(fmr))

    far, near = 4 * resampled.smallest_fmr, resampled.smallest_fmr
    assert resampled.fnmr_limits(far) == plain(far)
    (low, high), (least, most) = plain(near), resampled.fnmr_limits(near)
    assert least < low < high < most
    np.testing.assert_allclose(resampled.band([near, far]), np.transpose([(least, most), plain(far)]))


def test_weights_are_the_same_for_the_same_seed():
    one, other = (PeopleWeights.draw(5, 10, seed=2) for _ in range(2))
    np.testing.assert_array_equal(one.seen, other.seen)
    assert (one.seen[0] == 1).all() and one.unseen[0] == 0


def test_the_probability_of_fewer_errors_tells_luck_from_improvement():
    rng = np.random.default_rng(5)
    people, labels = rng.normal(size=(12, 16)), np.repeat(np.arange(12), 4)

    def photos(noise, seed):
        return unit_rows(people[labels] + np.random.default_rng(seed).normal(0, noise, (48, 16)))

    before = photos(1.2, 1)
    assert probability_of_fewer_errors(before, before, labels) == 0.5
    assert probability_of_fewer_errors(before, photos(0.5, 1), labels) > 0.99
    assert probability_of_fewer_errors(photos(0.5, 1), before, labels) < 0.01
    alike = [probability_of_fewer_errors(before, photos(1.2, seed), labels) for seed in range(2, 22)]
    assert 0.2 < np.mean(alike) < 0.8
