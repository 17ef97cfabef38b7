"""Decision rules: from which score on two photos are of one person, chosen so that a false match rate is kept."""

import math
from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt

from visavis.errors import DataError
from visavis.metrics import ErrorCurve, Rate, all_pairs_curve, equal_error_rate, threshold_at_fmr
from visavis.metrics.intervals import all_pairs_errors, effective_trials

__all__ = ["OperatingPoint", "threshold_for_fmr"]

_RULE_OF_THREE = 3.0


@dataclass(frozen=True)
class OperatingPoint:
    """A decision rule and what it did to the people it was chosen on.

    Attributes:
        score: Accept where the comparison score (cosine) is at least this.
        chosen_on: Whose pairs it was chosen on, such as `"validation people"`, or where else it is from, which has no counts.
        false_matches: Non-mated pairs of theirs that it accepted.
        nonmated: Non-mated pairs of theirs.
        false_nonmatches: Mated pairs of theirs that it refused.
        mated: Mated pairs of theirs.
        people: How many they are.
        target_fmr: The false match rate that it was chosen to keep; None: it was chosen otherwise.
        fmr_upper: Where the 95 % interval of the rate that it reached ends; None: not known.
    """

    score: float
    chosen_on: str
    false_matches: int = 0
    nonmated: int = 0
    false_nonmatches: int = 0
    mated: int = 0
    people: int = 0
    target_fmr: float | None = None
    fmr_upper: float | None = None

    @classmethod
    def tried(cls, score: float, curve: ErrorCurve, *, chosen_on: str, people: int) -> "OperatingPoint":
        """Return the rule of a score, with what it does to the pairs of the people that it was chosen on."""
        counts = curve.at(score)
        return cls(score, chosen_on, counts.fp, curve.nonmated, counts.fn, curve.mated, people)

    def __str__(self) -> str:
        """Tell the score, and what is known of it."""
        if not self.nonmated:
            return f"{self.score:.4f}, from {self.chosen_on}"
        aim = "" if self.target_fmr is None else f" for FMR {self.target_fmr:g}"
        bound = "" if self.fmr_upper is None else f", at most {self.fmr_upper:.2g}"
        reached = f"FMR {self.false_matches / self.nonmated:.2g}{bound}, FNMR {self.false_nonmatches / max(1, self.mated):.2g}"
        people = f"{self.people:,} " if self.people else ""
        return f"{self.score:.4f}{aim}, chosen on {people}{self.chosen_on}: {reached}"


def threshold_for_fmr(
    embeddings: npt.NDArray[np.float32], labels: npt.ArrayLike, target: float, *, chosen_on: str = "validation people"
) -> OperatingPoint:
    """Choose the lowest threshold at which no more than a part of strangers' pairs is accepted.

    Args:
        embeddings: `(n, d)`, rows of unit length, of people that the model did not learn from.
        labels: `(n,)`, equal for photos of one person.
        target: The false match rate to keep, in (0, 1).
        chosen_on: Who these people are.

    Raises:
        DataError: If these people are too few to show such a rate. Three over the rate is how many independent pairs without an
            error it takes (the rule of three); pairs that share people count as the fewer independent ones that tell as much.
        ValueError: If `target` is out of range.
    """
    if not 0 < target < 1:
        raise ValueError(f"target must be in (0, 1). Received: target={target}")
    curve = all_pairs_curve(embeddings, labels)
    _, at_equal_errors = equal_error_rate(curve)
    score = threshold_at_fmr(curve, target)
    if math.isinf(score):
        score = float(np.nextafter(curve.thresholds[0], np.inf))
    errors, lax = all_pairs_errors(embeddings, labels, [score, at_equal_errors])
    effective = effective_trials("fmr", errors, lax)
    if effective * target < _RULE_OF_THREE:
        needed = math.ceil(_RULE_OF_THREE / target)
        raise DataError(
            f"a false match rate of {target:g} cannot be shown on these {chosen_on}: the {curve.nonmated:,} non-mated pairs of "
            f"{errors.people:,} people tell as much as {effective:,.0f} independent ones, and {needed:,} are needed. "
            f"Take about {math.ceil(errors.people * needed / effective):,} people, or a rate of {_RULE_OF_THREE / effective:.2g}."
        )
    rule = OperatingPoint.tried(score, curve, chosen_on=chosen_on, people=errors.people)
    upper = Rate(rule.false_matches, rule.nonmated, effective).interval[1]
    return replace(rule, target_fmr=target, fmr_upper=upper)
