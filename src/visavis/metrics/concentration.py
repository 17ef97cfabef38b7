"""Whose errors they are: the concentration of errors on people, and the animals of Doddington's zoo.

Doddington et al. (1998) call people who are hard to match goats, people who are easy to imitate lambs, and people who match others
wolves. Yager and Dunstone (2010) sort people by their mean mated and their mean non-mated score.
"""

from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
from scipy.stats import binomtest

from visavis.metrics.scores import PairScores
from visavis.wording import counted

__all__ = ["Animal", "Concentration", "PersonErrors", "person_errors"]

Floats = npt.NDArray[np.float64]
Indices = npt.NDArray[np.int64]

_SHARE = 0.1  # of the people, of whose errors `Concentration` speaks
_DRAWS, _LEVEL = 200, 0.05
_ANIMALS = {  # whether mean mated and mean non-mated scores are in the highest or in the lowest quarter
    "chameleons": (True, True),
    "phantoms": (False, False),
    "doves": (True, False),
    "worms": (False, True),
}
_MIN_PEOPLE = 16  # with one person expected for each animal


@dataclass(frozen=True)
class Concentration:
    """How many of the errors a few people have.

    Attributes:
        errors: Which, such as `"false matches"`.
        count: How many there are.
        people: How many people could have any.
        share: The share of the errors that a tenth of the people have, those with the most.
        by_chance: 95 % range of this share if each error fell on any of the pairs alike.
    """

    errors: str
    count: int
    people: int
    share: float
    by_chance: tuple[float, float]

    @property
    def finding(self) -> str:
        """What it shows, in one sentence."""
        if not self.count:
            return f"no {self.errors}"
        tenth = _tenth(self.people)
        low, high = self.by_chance
        most = "the one with the most, has" if tenth == 1 else "those with the most, have"
        more = "more than chance" if self.share > high else "no more than chance explains"
        return (
            f"{tenth:,} of {self.people:,} people, {most} {self.share:.0%} of the {self.errors}: {more} "
            f"({low:.0%} to {high:.0%} if people did not differ)"
        )

    def to_json(self) -> dict[str, Any]:
        """Return it as plain values."""
        return {**vars(self), "by_chance": list(self.by_chance), "finding": self.finding}


@dataclass(frozen=True)
class Animal:
    """People of a kind of Yager and Dunstone's.

    Attributes:
        name: Such as `"worms"`, who score low with themselves and high with others.
        people: How many are in the quarters of the highest or lowest means that make the kind.
        expected: How many if mated and non-mated scores had nothing to do with each other.
        exists: Whether there are more than chance explains, all four kinds tested together; None: too few people to tell.
    """

    name: str
    people: int
    expected: float
    exists: bool | None


@dataclass(frozen=True, eq=False)
class PersonErrors:
    """Scores and errors of each person who has pairs of both kinds.

    Attributes:
        numbers: `(p,)`, the people, as `PairScores.people` numbers them.
        mated: `(p,)`, mated pairs.
        nonmated: `(p,)`, non-mated pairs; each counts for both of its people.
        false_nonmatches: `(p,)`, mated pairs that the threshold rejects.
        false_matches: `(p,)`, non-mated pairs that it accepts.
        mean_mated: `(p,)`, mean score of the mated pairs.
        mean_nonmated: `(p,)`, mean score of the non-mated pairs.
    """

    numbers: Indices
    mated: Indices
    nonmated: Indices
    false_nonmatches: Indices
    false_matches: Indices
    mean_mated: Floats
    mean_nonmated: Floats

    def __repr__(self) -> str:
        """Show how many people and errors there are."""
        errors = (
            f"{self.false_nonmatches.sum():,} false non-matches, {counted(self.false_matches.sum(), 'person')} in false matches"
        )
        return f"PersonErrors({counted(len(self.numbers), 'person')}, {errors})"

    @property
    def concentrations(self) -> tuple[Concentration, Concentration]:
        """The concentration of false non-matches and of false matches."""
        return (
            _concentration("false non-matches", self.false_nonmatches, self.mated, sides=1),
            _concentration("false matches", self.false_matches, self.nonmated, sides=2),
        )

    @property
    def quartiles(self) -> tuple[Floats, Floats]:
        """First and third quartile of the mean mated, and of the mean non-mated scores."""
        mated, nonmated = (np.quantile(means, [0.25, 0.75]) for means in (self.mean_mated, self.mean_nonmated))
        return mated, nonmated

    @property
    def animals(self) -> tuple[Animal, ...]:
        """How many people are of each kind."""
        mated, nonmated = self.quartiles
        people, found = len(self.numbers), []
        for name, (high_mated, high_nonmated) in _ANIMALS.items():
            first = self.mean_mated >= mated[1] if high_mated else self.mean_mated <= mated[0]
            second = self.mean_nonmated >= nonmated[1] if high_nonmated else self.mean_nonmated <= nonmated[0]
            count, share = int(np.sum(first & second)), float(first.mean() * second.mean())
            exists = None if people < _MIN_PEOPLE else _more(count, people, share)
            found.append(Animal(name, count, share * people, exists))
        return tuple(found)


def person_errors(embeddings: npt.NDArray[np.floating], scores: PairScores, threshold: float) -> PersonErrors:
    """Return scores and errors of each person over all pairs.

    Means need no pairs: they follow from the sum of each person's embeddings.

    Args:
        embeddings: `(n, d)`, rows of unit length; photos without a face, which come last in `scores`, have none.
        scores: All pairs of photos, those that the threshold accepts among them.
        threshold: The score from which on a pair is accepted.
    """
    people, rows = scores.people[: len(embeddings)], np.asarray(embeddings, dtype=np.float64)
    sums = np.zeros((len(scores.nonmated_of), rows.shape[1]))
    np.add.at(sums, people, rows)
    photos, total = np.bincount(people, minlength=len(sums)).astype(np.float64), sums.sum(axis=0)
    own = np.square(sums).sum(axis=1) - np.bincount(people, weights=np.square(rows).sum(axis=1), minlength=len(sums))
    others = sums @ total - np.square(sums).sum(axis=1)
    chosen = np.flatnonzero((photos > 1) & (photos < len(people)))
    rejected = scores.people[scores.mated.first[scores.mated.scores < threshold]]
    accepted = scores.nonmated.where(scores.nonmated.scores >= threshold)
    matched = scores.people[np.concatenate([accepted.first, accepted.second])]
    wrong, false = (np.bincount(errors, minlength=len(sums)) for errors in (rejected, matched))
    return PersonErrors(
        chosen,
        scores.mated_of[chosen],
        scores.nonmated_of[chosen],
        wrong[chosen],
        false[chosen],
        own[chosen] / (photos[chosen] * (photos[chosen] - 1)),
        others[chosen] / (photos[chosen] * (len(people) - photos[chosen])),
    )


def _concentration(errors: str, events: Indices, trials: Indices, *, sides: int) -> Concentration:
    """Compare the share of the people with the most errors with what chance would give them."""
    count = int(events.sum())
    if not count:
        return Concentration(errors, 0, len(events), 0.0, (0.0, 0.0))
    drawn = np.random.default_rng(0).multinomial(count, trials / trials.sum(), size=_DRAWS)
    low, high = np.quantile([_of_the_most(row) for row in drawn], [0.025, 0.975])
    return Concentration(errors, count // sides, len(events), _of_the_most(events), (float(low), float(high)))


def _of_the_most(events: Indices) -> float:
    return float(np.sort(events)[::-1][: _tenth(len(events))].sum() / events.sum())


def _tenth(people: int) -> int:
    return max(1, round(_SHARE * people))


def _more(count: int, people: int, share: float) -> bool:
    return bool(binomtest(count, people, share, alternative="greater").pvalue < _LEVEL / len(_ANIMALS))
