"""Error rates by subgroup, at one threshold for all: within each group, and between strangers of two groups."""

from dataclasses import dataclass
from itertools import combinations
from typing import Any

import numpy as np
import numpy.typing as npt

from visavis.errors import DataError
from visavis.metrics import Rate, all_pairs_curve, equal_error_rate
from visavis.metrics.intervals import PeopleErrors, all_pairs_errors, cross_pairs_errors, effective_trials

__all__ = ["MOST_GROUPS", "GroupErrors", "Subgroups", "evaluate_groups"]

_RULE_OF_THREE = 3.0
MOST_GROUPS = 20


@dataclass(frozen=True)
class GroupErrors:
    """The errors of one group, or between two.

    Attributes:
        first: The group.
        second: The same, or another one: then pairs are of one photo of either.
        people: How many people are compared.
        fmr: The false match rate.
        fnmr: The false non-match rate; without trials where no person has photos in both groups.
        tells_fmr: Whether there are pairs enough that false matches as frequent as among all would have been seen.
        tells_fnmr: Likewise for false non-matches.
    """

    first: str
    second: str
    people: int
    fmr: Rate
    fnmr: Rate
    tells_fmr: bool
    tells_fnmr: bool

    @property
    def name(self) -> str:
        """What to call it."""
        return self.first if self.first == self.second else f"{self.first} with {self.second}"

    def to_json(self) -> dict[str, Any]:
        """Return it as plain values."""
        rates = {}
        for name, rate, tells in (("fmr", self.fmr, self.tells_fmr), ("fnmr", self.fnmr, self.tells_fnmr)):
            value = rate.value if rate.trials else None
            rates[name] = {**vars(rate), "value": value, "interval": list(rate.interval), "enough": tells}
        return {"first": self.first, "second": self.second, "people": self.people, **rates}


@dataclass(frozen=True)
class Subgroups:
    """An attribute, and the errors of its groups.

    Attributes:
        attribute: Its name.
        threshold: The score from which on a pair was accepted.
        groups: Each group by itself, then every two.
    """

    attribute: str
    threshold: float
    groups: tuple[GroupErrors, ...]

    @property
    def findings(self) -> list[str]:
        """What follows from it, in words."""
        within = [group for group in self.groups if group.first == group.second]
        small = [group.name for group in within if not (group.tells_fmr and group.tells_fnmr)]
        told = [
            self._difference([group for group in within if group.tells_fmr], "fmr", "strangers are taken for one person"),
            self._difference([group for group in within if group.tells_fnmr], "fnmr", "photos of one person are refused"),
        ]
        if small:
            told.append(f"Too few pairs to tell both errors: {', '.join(small)}.")
        return told

    def _difference(self, groups: list[GroupErrors], rate: str, event: str) -> str:
        """Say which group has the most errors and which the fewest, if their intervals lie apart."""
        if len(groups) < 2:
            return f"{self.attribute}: there are not two groups large enough to compare how often {event}."
        most, least = (pick(groups, key=lambda group: getattr(group, rate).value) for pick in (max, min))
        high, low = getattr(most, rate), getattr(least, rate)
        if high.interval[0] <= low.interval[1]:
            return f"{self.attribute}: no group in which {event} more often than in another, as far as these people can tell."
        return (
            f"{self.attribute}: {event} more often where it is {most.name} ({high.value:.2%}, {_span(high)}) "
            f"than where it is {least.name} ({low.value:.2%}, {_span(low)})."
        )

    def to_json(self) -> dict[str, Any]:
        """Return it as plain values."""
        groups = [group.to_json() for group in self.groups]
        return {"attribute": self.attribute, "threshold": self.threshold, "findings": self.findings, "groups": groups}


def evaluate_groups(
    embeddings: npt.NDArray[np.float32],
    labels: npt.NDArray[np.int64],
    values: npt.NDArray[np.str_],
    *,
    threshold: float,
    attribute: str = "group",
) -> Subgroups:
    """Score all pairs within each group and between every two.

    Args:
        embeddings: `(n, d)`, rows of unit length.
        labels: `(n,)`, equal for photos of one person.
        values: `(n,)`, the group of each photo; empty where it is not known, such photos are left out.
        threshold: The score from which on a pair is accepted, the same for all groups.
        attribute: What tells the groups apart.

    Raises:
        DataError: If there are no two groups, or more than twenty.
    """
    names = [str(name) for name in np.unique(values) if name]
    if not 2 <= len(names) <= MOST_GROUPS:
        raise DataError(f"{attribute}: needs 2 to {MOST_GROUPS} groups. Received: {len(names)}")
    thresholds = [threshold, equal_error_rate(all_pairs_curve(embeddings, labels))[1]]
    rows = {name: np.flatnonzero(values == name) for name in names}
    found: dict[tuple[str, str], list[PeopleErrors]] = {}
    for name in names:
        found[name, name] = all_pairs_errors(embeddings[rows[name]], labels[rows[name]], thresholds)
    for one, other in combinations(names, 2):
        found[one, other] = cross_pairs_errors(embeddings, labels, rows[one], rows[other], thresholds)
    overall = all_pairs_errors(embeddings, labels, [threshold])[0]
    return Subgroups(attribute, threshold, tuple(_group(*names, at, lax, overall) for names, (at, lax) in found.items()))


def _group(first: str, second: str, errors: PeopleErrors, lax: PeopleErrors, overall: PeopleErrors) -> GroupErrors:
    rates = {}
    for name in ("fmr", "fnmr"):
        count, trials = errors.counts(name)
        rates[name] = Rate(int(count), int(trials), effective_trials(name, errors, lax) if trials else None)
    return GroupErrors(
        first,
        second,
        errors.people,
        fmr=rates["fmr"],
        fnmr=rates["fnmr"],
        tells_fmr=_tells(rates["fmr"], *overall.counts("fmr")),
        tells_fnmr=_tells(rates["fnmr"], *overall.counts("fnmr")),
    )


def _tells(rate: Rate, count: float, trials: float) -> bool:
    """Whether no error at all among the group's pairs would show that it has fewer than all people have (the rule of three)."""
    return rate.effective is not None and rate.effective * count / max(1.0, trials) >= _RULE_OF_THREE


def _span(rate: Rate) -> str:
    low, high = rate.interval
    return f"{low:.2%} to {high:.2%}"
