"""Operating points from several populations: the most cautious one counts, and the card says what it does on each."""

import numpy as np
import pytest

from visavis.encoders.card import Card
from visavis.encoders.card_calibration import calibrated, calibrated_on
from visavis.errors import DataError
from visavis.faces import Crop
from visavis.metrics import score_all_pairs, unit_rows
from visavis.metrics.operating_points import Population, choose_operating_point

TARGETS = (1e-1, 3e-2)


def embeddings(people, spread, *, seed):
    """Two photos each of so many people on a sphere of 16 dimensions, around one direction: the narrower, the more alike."""
    rng = np.random.default_rng(seed)
    centres = np.eye(16)[0] + spread * rng.normal(size=(people, 16)) / 4
    rows = np.repeat(centres, 2, axis=0) + 0.1 * rng.normal(size=(2 * people, 16)) / 4
    return unit_rows(rows), np.repeat(np.arange(people), 2)


@pytest.fixture(scope="module")
def rows():
    return {"easy people": embeddings(300, 4.0, seed=0), "hard people": embeddings(300, 1.0, seed=1)}


@pytest.fixture(scope="module")
def populations(rows):
    return [Population(name, score_all_pairs(*found)) for name, found in rows.items()]


@pytest.fixture(scope="module")
def card(populations):
    return calibrated_on(Card(Crop((8, 8))), populations, TARGETS)


def test_the_highest_threshold_counts(card, populations):
    for target in TARGETS:
        easy, hard = (choose_operating_point([population], target).score for population in populations)
        assert hard > easy
        assert card.rule(target).score == hard
        assert card.rule(target).chosen_on == "hard people"
    assert card.rule() == card.rule(1e-1)
    assert card.histogram.chosen_on == "hard people"


def test_the_card_says_what_each_threshold_does_on_each_population(card, populations):
    for target in TARGETS:
        point = card.rule(target)
        assert [rates.name for rates in point.populations] == ["easy people", "hard people"]
        for rates, population in zip(point.populations, populations, strict=True):
            counts = population.scores.curve.at(point.score)
            assert (rates.false_matches, rates.false_nonmatches, rates.people) == (counts.fp, counts.fn, 300)
            assert rates.fmr <= rates.fmr_upper <= target
    assert "on easy people" in str(card) and "300 people" in str(card)


def test_probabilities_are_those_of_the_more_cautious_calibration(card, rows):
    single = {name: calibrated(Card(Crop((8, 8))), *found).calibration for name, found in rows.items()}
    assert card.calibration in single.values()
    at = {
        name: np.interp(0.95, found.probability(np.linspace(-1, 1, 2001)), np.linspace(-1, 1, 2001))
        for name, found in single.items()
    }
    assert card.calibration == single[max(at, key=at.get)]


def test_a_card_with_populations_is_read_again(card):
    assert Card.from_json(card.to_json(), source="here") == card


def test_calibrating_for_other_people_forgets_the_populations(card, rows):
    names = [rates.name for rates in calibrated(card, *rows["easy people"], target_fmrs=(0.1,)).threshold.populations]
    assert names == ["calibration people"]


def test_a_rate_that_one_population_cannot_show_is_refused(populations):
    few = Population("few people", score_all_pairs(*embeddings(12, 1.0, seed=2)))
    with pytest.raises(DataError, match="0.1 cannot be guaranteed on few people: 12 people"):
        calibrated_on(Card(Crop((8, 8))), [few, *populations], TARGETS)


def test_thresholds_stay_where_people_are_too_few_and_say_so(card, populations, caplog):
    few = Population("my people", score_all_pairs(*embeddings(12, 1.0, seed=2)))
    kept = calibrated_on(card, [few], TARGETS)
    assert [point.score for point in kept.rules] == [point.score for point in card.rules]
    strict = calibrated_on(card, [few], TARGETS[1:])  # decides by another one, and keeps all
    assert [point.target_fmr for point in strict.rules] == [TARGETS[1], TARGETS[0]]
    assert all(point.measured_on.endswith("; not measured on my people") for point in kept.rules)
    assert "not measured on my people" in str(kept.threshold)
    assert kept.calibration == card.calibration and kept.histogram == card.histogram
    assert "cannot be guaranteed on my people: 12 people" in caplog.text
    assert "not measured on my people" in caplog.text and "fit probabilities" not in caplog.text
    assert Card.from_json(kept.to_json(), source="here") == kept
    again = calibrated_on(kept, populations, TARGETS)  # people enough are measured
    assert not any(point.refused_on for point in again.rules)


def test_probabilities_are_not_fitted_to_few_people(card, caplog):
    few = Population("my people", score_all_pairs(*embeddings(12, 1.0, seed=2)))
    kept = calibrated_on(card, [few])  # the threshold is where the likelihood ratio is 1
    assert kept.calibration == card.calibration
    assert "my people: 12 people by effective number are too few to fit probabilities, at least 20 are needed" in caplog.text
    enough = Population("my people", score_all_pairs(*embeddings(25, 1.0, seed=2)))
    assert calibrated_on(card, [enough]).calibration != card.calibration
    assert calibrated_on(Card(Crop((8, 8))), [few]).calibration is not None  # there is no other
