"""Error rates by subgroup, at one threshold for all: within each group, and between people of two groups."""

from dataclasses import dataclass
from itertools import combinations
from typing import Any

import numpy as np
import numpy.typing as npt

from visavis.errors import DataError
from visavis.metrics.bootstrap import PeopleCurves
from visavis.metrics.curves import Rate, equal_error_rate
from visavis.metrics.intervals import limits_of, smallest_fmr
from visavis.metrics.scores import PairScores

__all__ = ["MAX_GROUPS", "GroupErrors", "Subgroups", "check_groups", "evaluate_groups"]

_RULE_OF_THREE = 3.0
MAX_GROUPS = 20


@dataclass(frozen=True)
class GroupErrors:
    """The errors of one group, or between two.

    Attributes:
        first: The group.
        second: The same, or another one: then a pair has one photo of each.
        people: How many people are compared.
        fmr: The false match rate.
        fnmr: The false non-match rate; without trials where no person has photos in both groups.
        enough_fmr: Whether there are people enough to show a false match rate like that of all people.
        enough_fnmr: Likewise for false non-matches.
    """

    first: str
    second: str
    people: int
    fmr: Rate
    fnmr: Rate
    enough_fmr: bool
    enough_fnmr: bool

    @property
    def name(self) -> str:
        """The group's name, or both names."""
        return self.first if self.first == self.second else f"{self.first} with {self.second}"

    def to_json(self) -> dict[str, Any]:
        """Return it as plain values."""
        rates = {
            "fmr": {**self.fmr.to_json(), "enough": self.enough_fmr},
            "fnmr": {**self.fnmr.to_json(), "enough": self.enough_fnmr},
        }
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
        """What the rates show, one sentence each."""
        within = [group for group in self.groups if group.first == group.second]
        small = [group.name for group in within if not (group.enough_fmr and group.enough_fnmr)]
        sentences = [
            self._difference([group for group in within if group.enough_fmr], "fmr", "false match rate"),
            self._difference([group for group in within if group.enough_fnmr], "fnmr", "false non-match rate"),
        ]
        return [*sentences, f"Too few people to show both error rates: {', '.join(small)}."] if small else sentences

    def _difference(self, groups: list[GroupErrors], rate: str, name: str) -> str:
        """Say which group has the highest rate and which the lowest, if their intervals do not overlap."""
        if len(groups) < 2:
            return f"{self.attribute}: fewer than two groups are large enough to compare the {name}."
        highest, lowest = (pick(groups, key=lambda group: getattr(group, rate).value) for pick in (max, min))
        high, low = getattr(highest, rate), getattr(lowest, rate)
        if high.interval[0] <= low.interval[1]:
            return f"{self.attribute}: no difference in the {name} shown between groups of this size."
        return (
            f"{self.attribute}: the {name} is higher for {highest.name} ({high.value:.2%}, {_span(high)}) "
            f"than for {lowest.name} ({low.value:.2%}, {_span(low)})."
        )

    def to_json(self) -> dict[str, Any]:
        """Return it as plain values."""
        groups = [group.to_json() for group in self.groups]
        return {"attribute": self.attribute, "threshold": self.threshold, "findings": self.findings, "groups": groups}


def check_groups(values: npt.NDArray[np.str_], attribute: str) -> list[str]:
    """Return the names of the groups of photos; empty values are no group.

    Raises:
        DataError: If there is only one group, or if there are more than twenty.
    """
    names = [str(name) for name in np.unique(values) if name]
    if not 2 <= len(names) <= MAX_GROUPS:
        raise DataError(f"{attribute} must have 2 to {MAX_GROUPS} groups, got {len(names)}")
    return names


def evaluate_groups(scores: PairScores, values: npt.NDArray[np.str_], *, threshold: float, attribute: str = "group") -> Subgroups:
    """Count errors within each group and between every two.

    Args:
        scores: All pairs of photos, those that the threshold accepts among them.
        values: `(n,)`, the group of each photo; photos without one (empty) are left out.
        threshold: The score from which on a pair is accepted, the same for all groups.
        attribute: What the groups differ in.

    Raises:
        DataError: As `check_groups`.
    """
    names = check_groups(values, attribute)
    lax = max(scores.floor, equal_error_rate(scores.curve)[1])
    limits = np.unique([threshold, lax, -1.0])[::-1]
    overall = PeopleCurves.of(scores, limits)
    pairs = [(name, name) for name in names] + list(combinations(names, 2))
    groups = []
    for one, other in pairs:
        own = PeopleCurves.of(scores.between(values == one, values == other), limits)
        groups.append(_group(one, other, own, overall, threshold))
    return Subgroups(attribute, threshold, tuple(groups))


def _group(first: str, second: str, own: PeopleCurves, overall: PeopleCurves, threshold: float) -> GroupErrors:
    place = int(np.flatnonzero(own.thresholds == threshold)[0])
    resampled = own.resampled()
    limits = [limits_of(*sides) for sides in zip(resampled.best.at(threshold), resampled.worst.at(threshold), strict=True)]
    matched, nonmated = (int(own.nonmated[:, column].sum()) // 2 for column in (place, -1))
    accepted, mated = (int(own.mated[:, column].sum()) for column in (place, -1))
    fmr = overall.nonmated[:, place].sum() / max(1.0, overall.nonmated[:, -1].sum())
    fnmr = 1 - overall.mated[:, place].sum() / max(1.0, overall.mated[:, -1].sum())
    pairs = own.mated[:, -1]
    effective_people = pairs.sum() ** 2 / max(1.0, np.square(pairs).sum())
    people = int(np.count_nonzero(own.nonmated[:, -1] + pairs))
    return GroupErrors(
        first,
        second,
        people,
        fmr=Rate(matched, nonmated, limits[0] if nonmated else None),
        fnmr=Rate(mated - accepted, mated, limits[1] if mated else None),
        enough_fmr=nonmated > 0 and bool(smallest_fmr(own.effective_people, own.effective_pairs) <= fmr),
        enough_fnmr=bool(effective_people * fnmr >= _RULE_OF_THREE),
    )


def _span(rate: Rate) -> str:
    low, high = rate.interval
    return f"{low:.2%} to {high:.2%}"
