"""Operating points: guaranteed and estimated thresholds on one and several populations, by simulation and by hand."""

import json
import re
from dataclasses import asdict, replace

import numpy as np
import pytest

from visavis.encoders.card import Card
from visavis.encoders.card_calibration import calibrated_on
from visavis.errors import DataError
from visavis.faces import Crop
from visavis.metrics import all_pairs_curve, score_all_pairs, unit_rows
from visavis.metrics.histograms import score_histogram
from visavis.metrics.operating_points import OperatingPoint, Population, choose_operating_point, population_rates, threshold_for_fmr
from visavis.metrics.population_check import predict_fmr, predict_fmr_of_scores


def people(rng, count, photos, *, spread=0.5, size=16, common=0.0):
    """Embeddings of people whose photos lie around a place of their own; with `common`, more alike to each other."""
    places = rng.normal(size=(count, 1, size)) + common
    rows = unit_rows((places + spread * rng.normal(size=(count, photos, size))).reshape(-1, size))
    return rows, np.repeat(np.arange(count), photos)


def population(name, *args, **options):
    return Population(name, score_all_pairs(*people(*args, **options)))


def test_a_guaranteed_threshold_is_stricter_than_an_estimated_one():
    rows, labels = people(np.random.default_rng(2), 300, 4)
    estimated, guaranteed = (threshold_for_fmr(rows, labels, 0.02, chosen_as=kind) for kind in ("estimated", "guaranteed"))
    assert estimated.false_matches / estimated.nonmated <= 0.02 < estimated.fmr_upper
    assert guaranteed.fmr_upper <= 0.02 and guaranteed.score > estimated.score
    assert (guaranteed.people, guaranteed.mated, guaranteed.target_fmr) == (300, 300 * 6, 0.02)
    decisions = all_pairs_curve(rows, labels).at(guaranteed.score)
    assert (decisions.fp, decisions.fn) == (guaranteed.false_matches, guaranteed.false_nonmatches)
    with pytest.raises(ValueError, match="chosen_as must be 'guaranteed' or 'estimated', got 'sure'"):
        threshold_for_fmr(rows, labels, 0.02, chosen_as="sure")


def test_guaranteed_thresholds_hold_on_the_population_they_are_for():
    truth = all_pairs_curve(*people(np.random.default_rng(0), 2000, 2, common=0.3))
    exceeded = {"guaranteed": 0, "estimated": 0}
    for seed in range(40):
        rows, labels = people(np.random.default_rng([1, seed]), 250, 3, common=0.3)
        for kind in exceeded:
            exceeded[kind] += truth.at(threshold_for_fmr(rows, labels, 0.02, chosen_as=kind).score).fmr.value > 0.02
    assert exceeded["guaranteed"] <= 4 < 10 < exceeded["estimated"]


def test_too_few_people_are_refused_and_the_number_advised_is_enough():
    with pytest.raises(
        DataError, match=r"0.01 cannot be guaranteed on door people: 15 people with 1,680 non-mated pairs"
    ) as refusal:
        threshold_for_fmr(*people(np.random.default_rng(3), 15, 4), 0.01, chosen_on="door people")
    advised = int(re.search(r"Take about ([\d,]+) people", str(refusal.value))[1].replace(",", ""))
    assert 200 < advised < 600
    given = 0
    for seed in range(20):
        try:
            threshold_for_fmr(*people(np.random.default_rng([4, seed]), advised, 4), 0.01)
            given += 1
        except DataError:
            pass
    assert given >= 18


def test_the_refusal_does_not_hang_on_luck():
    """Whether a threshold is given depends on people and design effect, so a draw without false matches is refused as well."""
    rows = np.eye(40, dtype=np.float32)[np.repeat(np.arange(40), 3)]
    with pytest.raises(DataError, match="cannot be guaranteed"):
        threshold_for_fmr(rows, np.repeat(np.arange(40), 3), 0.01)


def test_an_estimate_needs_pairs_only():
    rows, labels = people(np.random.default_rng(3), 15, 4)
    assert threshold_for_fmr(rows, labels, 0.03, chosen_as="estimated").fmr_upper > 0.1
    with pytest.raises(DataError, match="0.01 cannot be estimated on door: of their 1,680 non-mated pairs 17 would be accepted"):
        threshold_for_fmr(rows, labels, 0.01, chosen_on="door", chosen_as="estimated")


@pytest.mark.parametrize("target", [0, 1, -0.1, 2])
def test_targets_out_of_range(target):
    with pytest.raises(ValueError, match=rf"target must be in \(0, 1\), got {target}"):
        choose_operating_point([], target)


def test_the_population_with_the_highest_threshold_counts():
    rng = np.random.default_rng(5)
    easy, hard = population("easy", rng, 260, 3), population("hard", rng, 260, 3, common=0.6)
    point = choose_operating_point([easy, hard], 0.05)
    alone = [choose_operating_point([each], 0.05).score for each in (easy, hard)]
    assert point.score == max(alone) == alone[1]
    assert point.chosen_on == "hard" and [row.name for row in point.populations] == ["easy", "hard"]
    assert point.populations[0].fmr < point.populations[1].fmr <= point.fmr_upper <= 0.05
    assert point.measured_on == "FMR at most 0.05 on easy and hard"
    assert "for FMR 0.05 (guaranteed), chosen on 260 hard" in str(point)
    assert "260 people" in repr(easy) and "FMR" in str(point.populations[0])
    with pytest.raises(ValueError, match="at least one population, got none"):
        choose_operating_point([], 0.05)


def test_what_is_known_of_where_a_rate_was_measured():
    point = OperatingPoint(0.5, "test people", 10, 1000, 2, 50, 30, target_fmr=0.01, chosen_as="estimated")
    assert point.measured_on == "FMR about 0.01 on test people"
    assert OperatingPoint(0.5, "a file").measured_on == ""
    assert str(OperatingPoint(0.5, "a file")) == "0.5000, from a file"


def test_rates_of_a_population_by_hand():
    rows = np.eye(4, dtype=np.float32)[[0, 0, 1, 1, 2, 3]]
    rates = population_rates(Population("four", score_all_pairs(rows, np.array([0, 0, 1, 1, 2, 3]))), 0.5)
    assert (rates.people, rates.false_matches, rates.nonmated, rates.false_nonmatches, rates.mated) == (4, 0, 13, 0, 2)
    assert rates.fmr == rates.fnmr == 0 and rates.fmr_upper > 0.4 and rates.fnmr_upper > 0.5


def test_a_card_keeps_all_of_it():
    rng = np.random.default_rng(6)
    card = calibrated_on(Card(Crop((8, 8), "gray")), [population("a", rng, 60, 3), population("b", rng, 60, 3)], (0.2, 0.1))
    assert [point.target_fmr for point in card.rules] == [0.2, 0.1]
    assert all(row.ece is not None for point in card.rules for row in point.populations)
    assert Card.from_json(json.loads(json.dumps(card.to_json())), source="card") == card
    older = {name: value for name, value in asdict(card.threshold).items() if name not in ("chosen_as", "populations")}
    assert OperatingPoint.from_json(older) == replace(card.threshold, chosen_as=None, populations=())
    likelier = calibrated_on(Card(Crop((8, 8), "gray")), [population("a", rng, 60, 3), population("b", rng, 60, 3)])
    assert likelier.threshold.target_fmr is None and len(likelier.threshold.populations) == 2


def test_the_rate_on_another_population_is_predicted():
    rng = np.random.default_rng(7)
    chosen = all_pairs_curve(*people(rng, 400, 3))
    threshold = float(np.quantile(chosen.thresholds, 0.9))
    histogram = score_histogram(chosen, chosen_on="LFW")
    same = predict_fmr(score_all_pairs(*people(rng, 200, 3)), histogram, threshold)
    assert same.fmr_expected == pytest.approx(chosen.at(threshold).fmr.value, rel=0.3) and not same.higher
    other = people(rng, 200, 3, common=0.5)
    check = predict_fmr(score_all_pairs(*other), histogram, threshold)
    assert check.higher and check.shift > 0.05
    assert check.fmr_expected == pytest.approx(all_pairs_curve(*other).at(threshold).fmr.value, rel=0.5)
    assert "score higher among different people than those of LFW" in str(check)
    assert check.to_json()["higher"] is True
    assert check.interval[0] < check.fmr_expected < check.interval[1]
    rows = people(rng, 700, 1, common=0.5)[0]
    pairs = rows[:350] @ rows[350:370].T
    assert predict_fmr_of_scores(pairs, histogram, threshold).fmr_expected == pytest.approx(check.fmr_expected, rel=0.3)


def test_few_photos_of_the_same_kind_are_not_called_different():
    rng = np.random.default_rng(8)
    chosen = all_pairs_curve(*people(rng, 400, 3))
    threshold = float(np.quantile(chosen.thresholds, 0.95))
    histogram = score_histogram(chosen, chosen_on="LFW")
    checks = [predict_fmr(score_all_pairs(*people(rng, 12, 1)), histogram, threshold) for _ in range(60)]
    assert sum(check.higher for check in checks) <= 7  # 2.5 % are expected; the bound is exceeded once in 1,000
    assert any("do not show whether" in str(check) for check in checks)
    with pytest.raises(DataError, match="at least 10 photos, got 3"):
        predict_fmr_of_scores(np.zeros((3, 5)), histogram, threshold)
