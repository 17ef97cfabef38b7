"""Operating points from several populations: the most cautious one counts, and the card says what it does on each."""

import numpy as np
import pytest

from visavis.encoders.card import Card
from visavis.encoders.card_calibration import calibrated, with_worst_rules
from visavis.errors import DataError
from visavis.faces import Crop
from visavis.metrics import all_pairs_curve
from visavis.metrics.operating_points import threshold_for_fmr

TARGETS = (1e-1, 1e-2)


def population(people, spread, *, seed):
    """Two photos each of so many people on a sphere of 16 dimensions, around one direction: the narrower, the more alike."""
    rng = np.random.default_rng(seed)
    centres = np.eye(16)[0] + spread * rng.normal(size=(people, 16)) / 4
    rows = np.repeat(centres, 2, axis=0) + 0.1 * rng.normal(size=(2 * people, 16)) / 4
    return (rows / np.linalg.norm(rows, axis=1, keepdims=True)).astype(np.float32), np.repeat(np.arange(people), 2)


@pytest.fixture(scope="module")
def people():
    return {"easy people": population(300, 4.0, seed=0), "hard people": population(300, 1.0, seed=1)}


@pytest.fixture(scope="module")
def card(people):
    return with_worst_rules(Card(Crop((8, 8))), people, TARGETS)


def test_the_highest_threshold_counts(card, people):
    for target in TARGETS:
        scores = {name: threshold_for_fmr(*found, target).score for name, found in people.items()}
        assert scores["hard people"] > scores["easy people"]
        assert card.rule(target).score == scores["hard people"]
        assert card.rule(target).chosen_on == "hard people"
    assert card.rule() == card.rule(1e-1)
    assert card.histogram.chosen_on == "hard people"


def test_the_card_says_what_each_threshold_does_on_each_population(card, people):
    assert [found.name for found in card.populations] == list(people)
    for found in card.populations:
        curve = all_pairs_curve(*people[found.name])
        assert found.photos == 600
        for point, target in zip(found.points, TARGETS, strict=True):
            counts = curve.at(card.rule(target).score)
            assert (point.false_matches, point.false_nonmatches, point.people) == (counts.fp, counts.fn, 300)
            assert point.false_matches / point.nonmated <= target
    assert "on easy people" in str(card) and "300 people, 600 photos" in str(card)


def test_probabilities_are_those_of_the_more_cautious_calibration(card, people):
    single = {name: calibrated(Card(Crop((8, 8))), *found).calibration for name, found in people.items()}
    assert card.calibration in single.values()
    at = {
        name: np.interp(0.95, found.probability(np.linspace(-1, 1, 2001)), np.linspace(-1, 1, 2001))
        for name, found in single.items()
    }
    assert card.calibration == single[max(at, key=at.get)]


def test_a_card_with_populations_is_read_again(card):
    assert Card.from_json(card.to_json(), source="here") == card


def test_calibrating_for_other_people_forgets_the_populations(card, people):
    assert calibrated(card, *people["easy people"], target_fmrs=(0.1,)).populations == ()


def test_a_rate_that_no_population_can_show_is_refused(people):
    with pytest.raises(DataError, match="cannot be shown"):
        with_worst_rules(Card(Crop((8, 8))), people, (1e-7,))


def test_a_population_that_can_show_a_rate_is_enough(people):
    few = population(12, 1.0, seed=2)
    found = with_worst_rules(Card(Crop((8, 8))), {"few": few, **people}, (1e-2,))
    assert found.rule().chosen_on == "hard people"
