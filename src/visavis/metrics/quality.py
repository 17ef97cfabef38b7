"""What rejecting photos of low quality gains and costs.

Error versus discard (Grother and Tabassi, 2007) for one measure; and the cost of a gate for enrolment.
"""

from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from visavis.errors import DataError
from visavis.metrics.curves import Rate
from visavis.metrics.intervals import PeopleWeights, people_interval
from visavis.metrics.scores import PairScores

__all__ = ["DiscardCurve", "GateCost", "check_quality", "evaluate_gate", "evaluate_quality", "is_quality"]

_SHARES = (0.0, 0.01, 0.02, 0.05, 0.1, 0.15, 0.2, 0.3, 0.4, 0.5)
_REPORTED = 0.1  # the share of photos of which `finding` speaks
_WORTH = 0.05  # the share of the errors that a gate must save
_MIN_PEOPLE = 10  # with false non-matches; fewer cannot show that a gate helps


@dataclass(frozen=True)
class DiscardCurve:
    """Errors among the photos that are left when those of the lowest quality are rejected.

    Attributes:
        measure: The quality measure, such as `"sharpness"`; the higher the better.
        threshold: The score from which on a pair was accepted.
        gates: For each share that was to be rejected: photos below this quality were.
        rejected: The share of photos that was rejected in fact.
        fmr: The false match rate of the others.
        fnmr: The false non-match rate, with its interval.
        change: 95 % interval of the ratio of the false non-match rate with about a tenth rejected to that of all photos.
        people: How many people have a false non-match.
    """

    measure: str
    threshold: float
    gates: tuple[float, ...]
    rejected: tuple[float, ...]
    fmr: tuple[Rate, ...]
    fnmr: tuple[Rate, ...]
    change: tuple[float, float]
    people: int

    @property
    def helps(self) -> bool | None:
        """Whether rejecting about a tenth of the photos saves errors beyond chance; None: too few people to show it."""
        if self.people < _MIN_PEOPLE:
            return None
        return self.change[1] < 1 - _WORTH

    @property
    def finding(self) -> str:
        """What the rates show of the gate that rejects one photo in ten, or nearly."""
        place = _reported(self.rejected)
        low, high = self.change
        sentence = (
            f"{self.measure}: rejecting the {self.rejected[place]:.0%} of photos below {self.gates[place]:g} changes the false "
            f"non-match rate from {self.fnmr[0].value:.2%} to {self.fnmr[place].value:.2%} ({low:.2f} to {high:.2f} times)"
        )
        if self.helps is None:
            return f"{sentence}: too few people with errors to show whether it helps"
        return f"{sentence}: it helps" if self.helps else f"{sentence}: no gain shown"

    def to_json(self) -> dict[str, Any]:
        """Return it as plain values."""
        rates = {name: [rate.to_json() for rate in getattr(self, name)] for name in ("fmr", "fnmr")}
        about = {"measure": self.measure, "threshold": self.threshold, "finding": self.finding, "helps": self.helps}
        return {**about, "gates": list(self.gates), "rejected": list(self.rejected), "change": list(self.change), **rates}


@dataclass(frozen=True)
class GateCost:
    """What a quality gate for enrolment refuses, and what it changes.

    Every mated pair counts twice: each of its photos is the reference of the other.

    Attributes:
        gate: The name of the gate.
        threshold: The score from which on a pair was accepted.
        refused: The share of photos that are refused, with its interval over people.
        lost: People without a photo left, among all.
        before: False non-match rate where every photo is a reference, with its interval.
        after: The same where those that pass are.
        change: 95 % interval of the ratio of `after` to `before`; None: no mated pair is left.
        reasons: How many photos are refused for each reason.
    """

    gate: str
    threshold: float
    refused: Rate
    lost: Rate
    before: Rate
    after: Rate
    change: tuple[float, float] | None
    reasons: dict[str, int]

    @property
    def finding(self) -> str:
        """The cost as one sentence."""
        reasons = ", ".join(f"{reason} {count:,}" for reason, count in self.reasons.items())
        refused = f"--min-quality {self.gate}: photos refused {self.refused}{f' ({reasons})' if reasons else ''}"
        refused = f"{refused}, people without a photo left: {self.lost.count:,} of {self.lost.trials:,}"
        if self.change is None:
            return f"{refused}; no mated pair is left"
        low, high = self.change
        return f"{refused}; false non-match rate {self.before} without it, {self.after} with it ({low:.2f} to {high:.2f} times)"

    def to_json(self) -> dict[str, Any]:
        """Return it as plain values."""
        rates = {name: getattr(self, name).to_json() for name in ("refused", "lost", "before", "after")}
        about = {"gate": self.gate, "threshold": self.threshold, "finding": self.finding}
        return {**about, **rates, "change": self.change and list(self.change), "reasons": self.reasons}


def evaluate_gate(
    scores: PairScores, passed: npt.NDArray[np.bool_], *, threshold: float, gate: str, reasons: dict[str, int] | None = None
) -> GateCost:
    """Count what a gate for enrolment refuses, and false non-matches with and without it.

    Args:
        scores: All pairs of photos.
        passed: `(n,)`, whether each photo may be enrolled.
        threshold: The score from which on a pair is accepted.
        gate: The name of the gate.
        reasons: How many photos it refuses for each reason.
    """
    people, first, second = len(scores.nonmated_of), scores.mated.first, scores.mated.second
    person, wrong = scores.people[first], scores.mated.scores < threshold
    kept = passed[first].astype(np.int64) + passed[second]

    def rate(of_pair: npt.NDArray[np.int64]) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.int64], Rate]:
        trials, events = (
            np.bincount(person, weights=weights, minlength=people).astype(np.int64) for weights in (of_pair, of_pair * wrong)
        )
        return events, trials, Rate(int(events.sum()), int(trials.sum()), people_interval(events, trials))

    events, trials, before = rate(np.full(len(first), 2))
    kept_events, kept_trials, after = rate(kept)
    photos, left = (np.bincount(scores.people[chosen], minlength=people) for chosen in (slice(None), passed))
    refused = Rate(int(np.sum(~passed)), len(passed), people_interval(photos - left, photos))
    with_photos = photos > 0
    lost = Rate(int(np.sum(with_photos & (left == 0))), int(with_photos.sum()))
    change = _ratio_interval(events, trials, kept_events, kept_trials) if after.trials else None
    return GateCost(gate, threshold, refused, lost, before, after, change, reasons or {})


def is_quality(quality: npt.NDArray[np.float64]) -> bool:
    """Return whether a measure can reject some photos and keep others: fewer than half have the lowest quality."""
    gates = _gates(quality)
    return bool(gates[0] < gates[-1])


def check_quality(quality: npt.NDArray[np.float64], measure: str) -> npt.NDArray[np.float64]:
    """Return the qualities below which photos are rejected, rising.

    Raises:
        DataError: If half of the photos or more have the lowest quality.
    """
    gates = _gates(quality)
    if not is_quality(quality):
        raise DataError(f"{measure}: half of the photos or more have the lowest quality ({gates[0]:g}), so it rejects all or none")
    return np.unique(gates)


def evaluate_quality(
    scores: PairScores, quality: npt.NDArray[np.float64], *, threshold: float, measure: str = "quality"
) -> DiscardCurve:
    """Reject more and more of the photos of low quality, and count the errors among all pairs of the others.

    Args:
        scores: All pairs of photos, those that the threshold accepts among them.
        quality: `(n,)`, the higher the better; photos without one (NaN) are rejected last.
        threshold: The score from which on a pair is accepted.
        measure: The name of the quality measure.

    Raises:
        DataError: As `check_quality`.
    """
    gates = check_quality(quality, measure)
    quality = np.where(np.isnan(quality), np.inf, quality)
    matches = scores.nonmated.where(scores.nonmated.scores >= threshold)
    lower_mated, lower_match = (np.minimum(quality[pairs.first], quality[pairs.second]) for pairs in (scores.mated, matches))
    wrong, person = scores.mated.scores < threshold, scores.people[scores.mated.first]
    people = len(scores.nonmated_of)
    rejected, fmr, fnmr, events, trials = [], [], [], [], []
    for gate in gates:
        kept, mated = quality >= gate, lower_mated >= gate
        photos = np.bincount(scores.people[kept]).astype(np.int64)
        events.append(np.bincount(person[mated & wrong], minlength=people))
        trials.append(np.bincount(person[mated], minlength=people))
        rejected.append(float(1 - kept.mean()))
        fmr.append(Rate(int(np.sum(lower_match >= gate)), int((photos.sum() ** 2 - (photos**2).sum()) // 2)))
        fnmr.append(Rate(int(events[-1].sum()), int(trials[-1].sum()), people_interval(events[-1], trials[-1])))
    place = _reported(rejected)
    change = _ratio_interval(events[0], trials[0], events[place], trials[place])
    with_errors = int(np.count_nonzero(events[0]))
    return DiscardCurve(measure, threshold, tuple(map(float, gates)), tuple(rejected), tuple(fmr), tuple(fnmr), change, with_errors)


def _gates(quality: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
    return np.quantile(np.where(np.isnan(quality), np.inf, quality), _SHARES, method="lower")


def _reported(rejected: list[float] | tuple[float, ...]) -> int:
    return int(np.argmin(np.abs(np.array(rejected) - _REPORTED)))


def _ratio_interval(
    events: npt.NDArray[np.int64],
    trials: npt.NDArray[np.int64],
    kept_events: npt.NDArray[np.int64],
    kept_trials: npt.NDArray[np.int64],
) -> tuple[float, float]:
    """Return the 95 % interval of the ratio of a rate after to that before, the same people being resampled for both."""
    weights = PeopleWeights.draw(len(trials))
    before, after = (
        weights.shares(count[:, None].astype(np.float64), of.astype(np.float64))[:, 0]
        for count, of in ((events, trials), (kept_events, kept_trials))
    )
    ratios = (after / np.maximum(before, 1e-12))[1:]
    return float(np.quantile(ratios, 0.025)), float(np.quantile(ratios, 0.975))
