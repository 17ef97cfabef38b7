"""Whose errors they are: concentration, means by person, and the animals of the zoo."""

import numpy as np
import pytest

from visavis.metrics import score_all_pairs
from visavis.metrics.concentration import Concentration, PersonErrors, person_errors


def embeddings(people=40, photos=4, *, seed=0, noise=0.6, wolves=0):
    """Rows of unit length; wolves lie near the centre of all."""
    rng = np.random.default_rng(seed)
    centres = rng.normal(size=(people, 16))
    centres[:wolves] = 0.05 * centres[:wolves] + centres.mean(axis=0) + 2.0
    centres[wolves:] += 0.8
    labels = np.repeat(np.arange(people), photos)
    rows = centres[labels] + noise * rng.normal(size=(len(labels), 16))
    return (rows / np.linalg.norm(rows, axis=1, keepdims=True)).astype(np.float32), labels


def test_means_and_errors_of_each_person_are_those_of_their_pairs():
    rows, labels = embeddings(7, 3, seed=2)
    labels[-1] = 99  # a person with one photo has no mated pair
    found = person_errors(rows, score_all_pairs(rows, labels), 0.5)
    cosines = rows @ rows.T
    assert found.numbers.tolist() == [0, 1, 2, 3, 4, 5, 6]
    for place in found.numbers:
        own = labels == place
        mated = cosines[np.ix_(own, own)][np.triu_indices(own.sum(), 1)]
        nonmated = cosines[np.ix_(own, ~own)].ravel()
        assert (found.mated[place], found.nonmated[place]) == (len(mated), len(nonmated))
        assert np.isclose(found.mean_mated[place], mated.mean(), atol=1e-6)
        assert np.isclose(found.mean_nonmated[place], nonmated.mean(), atol=1e-6)
        assert found.false_nonmatches[place] == np.sum(mated < 0.5)
        assert found.false_matches[place] == np.sum(nonmated >= 0.5)


def test_errors_of_a_few_people_are_more_than_chance():
    rows, labels = embeddings(40, 4, wolves=4)
    found = person_errors(rows, score_all_pairs(rows, labels), 0.6)
    of_matches = found.concentrations[1]
    assert of_matches.errors == "false matches" and of_matches.count == found.false_matches.sum() // 2
    assert of_matches.share > of_matches.by_chance[1]
    assert of_matches.finding.startswith("4 of 40 people, those with the most, have")
    assert "more than chance" in of_matches.finding


def test_errors_that_fall_on_people_at_random_are_no_finding():
    claimed = 0
    for seed in range(60):
        errors = np.random.default_rng(seed).binomial(30, 0.1, 50)
        found = of_people(false_nonmatches=errors, mated=np.full(50, 30)).concentrations[0]
        claimed += found.share > found.by_chance[1]
    assert claimed <= 7  # 2.5 % are expected; the bound is exceeded once in 1,000


def test_no_error_is_said_plainly():
    rows, labels = embeddings(5, 2, noise=0.01)
    first, second = person_errors(rows, score_all_pairs(rows, labels), -1.0).concentrations
    assert (first.count, first.finding) == (0, "no false non-matches")
    assert second.count == 40
    assert Concentration("false matches", 0, 5, 0.0, (0.0, 0.0)).to_json()["finding"] == "no false matches"


def test_animals_are_found_where_both_means_are_extreme():
    mated, nonmated = np.arange(40.0), np.arange(40.0)
    nonmated[[0, 30]], nonmated[[1, 31]] = nonmated[[30, 0]], nonmated[[31, 1]]
    found = {animal.name: animal for animal in of_people(mean_mated=-mated, mean_nonmated=nonmated).animals}
    assert {name: animal.people for name, animal in found.items()} == {"chameleons": 2, "phantoms": 2, "doves": 8, "worms": 8}
    assert {name: animal.exists for name, animal in found.items()} == {
        "chameleons": False,
        "phantoms": False,
        "doves": True,
        "worms": True,
    }
    assert found["worms"].expected == pytest.approx(2.5)
    few = of_people(mean_mated=mated[:6], mean_nonmated=nonmated[:6])
    assert all(animal.exists is None for animal in few.animals)


def of_people(**values):
    """Errors of people, with zeros for the values that do not matter."""
    zeros = np.zeros(len(next(iter(values.values()))), dtype=np.int64)
    names = ("numbers", "mated", "nonmated", "false_nonmatches", "false_matches", "mean_mated", "mean_nonmated")
    return PersonErrors(**{name: values.get(name, zeros) for name in names})
