"""Error rates of comparison scores: ROC, DET, EER, FMR and FNMR, accuracy, recall, F1.

A higher score is more alike; a pair is accepted where its score is at or above the threshold; label 1 is a mated pair (one person),
0 a non-mated one (two people). Everything follows from `ErrorCurve`: how many pairs of either kind each threshold accepts.
"""

from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
import numpy.typing as npt

from visavis.errors import DataError
from visavis.wording import counted

__all__ = [
    "Confusion",
    "ErrorCurve",
    "Rate",
    "accepted_at",
    "best_accuracy_threshold",
    "confusion",
    "det_curve",
    "equal_error_rate",
    "error_curve",
    "roc_auc",
    "roc_curve",
    "tar_at_fmr",
    "threshold_at_fmr",
]

Floats = npt.NDArray[Any]
Counts = npt.NDArray[np.int64]

_NORMAL = 1.959964  # the 97.5 % quantile of the standard normal distribution


@dataclass(frozen=True)
class Rate:
    """A rate and the counts behind it.

    Attributes:
        count: How many trials had the outcome.
        trials: How many there were.
        limits: The 95 % interval where trials share people, see `intervals`; None: they are independent.
    """

    count: int
    trials: int
    limits: tuple[float, float] | None = None

    @property
    def value(self) -> float:
        """The rate; NaN without trials."""
        return self.count / self.trials if self.trials else float("nan")

    @property
    def defined(self) -> float | None:
        """The value; None without trials, since JSON knows no NaN."""
        return self.value if self.trials else None

    @property
    def interval(self) -> tuple[float, float]:
        """The 95 % interval: `limits`, or Wilson's (1927) of independent trials."""
        if self.limits is not None or not self.trials:
            return self.limits or (0.0, 1.0)
        z, n, p = _NORMAL, self.trials, self.value
        centre = (p + z * z / (2 * n)) / (1 + z * z / n)
        half = z / (1 + z * z / n) * np.sqrt(p * (1 - p) / n + z * z / (4 * n * n))
        return max(0.0, float(centre - half)), min(1.0, float(centre + half))

    def to_json(self) -> dict[str, Any]:
        """Return counts, value and interval as plain values; no value without trials."""
        return {"count": self.count, "trials": self.trials, "value": self.defined, "interval": list(self.interval)}

    def __str__(self) -> str:
        """Show rate, interval and counts."""
        low, high = self.interval
        return f"{self.value:.2%} ({low:.2%} .. {high:.2%}; {self.count:,} of {self.trials:,})"


@dataclass(frozen=True)
class Confusion:
    """Decisions compared with the truth.

    Attributes:
        tp: Mated pairs accepted.
        fp: Non-mated pairs accepted: false matches.
        tn: Non-mated pairs rejected.
        fn: Mated pairs rejected: false non-matches.
    """

    tp: int
    fp: int
    tn: int
    fn: int

    @property
    def accuracy(self) -> Rate:
        """Correct decisions among all."""
        return Rate(self.tp + self.tn, self.tp + self.tn + self.fp + self.fn)

    @property
    def precision(self) -> Rate:
        """Mated pairs among the accepted ones."""
        return Rate(self.tp, self.tp + self.fp)

    @property
    def recall(self) -> Rate:
        """Accepted pairs among the mated ones: the true accept rate."""
        return Rate(self.tp, self.tp + self.fn)

    @property
    def f1(self) -> float:
        """Harmonic mean of precision and recall; 0 where nothing mated was accepted."""
        return 2 * self.tp / max(1, 2 * self.tp + self.fp + self.fn)

    @property
    def fmr(self) -> Rate:
        """False match rate: accepted pairs among the non-mated ones."""
        return Rate(self.fp, self.fp + self.tn)

    @property
    def fnmr(self) -> Rate:
        """False non-match rate: rejected pairs among the mated ones."""
        return Rate(self.fn, self.tp + self.fn)


@dataclass(frozen=True, eq=False)
class ErrorCurve:
    """How many pairs each threshold accepts.

    Attributes:
        thresholds: `(k,)` float64, falling, each a score that occurs (or the lower edge of a bin of scores).
        accepted_mated: `(k,)` int64, the mated pairs at or above each threshold; the last is all of them.
        accepted_nonmated: `(k,)` int64, likewise.
    """

    thresholds: Floats
    accepted_mated: Counts
    accepted_nonmated: Counts

    def __repr__(self) -> str:
        """Show how many pairs and thresholds there are."""
        return (
            f"ErrorCurve({self.mated:,} mated and {counted(self.nonmated, 'non-mated pair')}, "
            f"{counted(len(self.thresholds), 'threshold')})"
        )

    @property
    def mated(self) -> int:
        """How many mated pairs there are."""
        return int(self.accepted_mated[-1])

    @property
    def nonmated(self) -> int:
        """How many non-mated pairs there are."""
        return int(self.accepted_nonmated[-1])

    @cached_property
    def fmr(self) -> Floats:
        """False match rate at each threshold, rising."""
        return self.accepted_nonmated / max(1, self.nonmated)

    @cached_property
    def fnmr(self) -> Floats:
        """False non-match rate at each threshold, falling."""
        return 1 - self.accepted_mated / max(1, self.mated)

    @cached_property
    def shares(self) -> tuple[Floats, Floats, Floats]:
        """Scores that occur, falling, with the share of all mated and of all non-mated pairs that each has, `(k,)` each."""
        mated = np.diff(self.accepted_mated, prepend=0) / max(1, self.mated)
        nonmated = np.diff(self.accepted_nonmated, prepend=0) / max(1, self.nonmated)
        seen = (mated > 0) | (nonmated > 0)
        return self.thresholds[seen].astype(np.float64), mated[seen], nonmated[seen]

    def at(self, threshold: float) -> Confusion:
        """Return the decisions at any threshold."""
        place = int(np.searchsorted(-self.thresholds, -threshold, side="right")) - 1
        tp = int(self.accepted_mated[place]) if place >= 0 else 0
        fp = int(self.accepted_nonmated[place]) if place >= 0 else 0
        return Confusion(tp=tp, fp=fp, tn=self.nonmated - fp, fn=self.mated - tp)


def error_curve(scores: npt.ArrayLike, labels: npt.ArrayLike) -> ErrorCurve:
    """Count accepted pairs at every score that occurs.

    Args:
        scores: `(m,)`, finite.
        labels: `(m,)`, 1 for mated and 0 for non-mated pairs.

    Raises:
        DataError: If they differ in length, are empty, or hold something else.

    Example:
        >>> curve = error_curve([0.9, 0.7, 0.7, 0.1], [1, 1, 0, 0])
        >>> curve.accepted_mated.tolist(), curve.accepted_nonmated.tolist()
        ([1, 2, 2], [0, 1, 2])
    """
    scores, labels = np.asarray(scores, dtype=np.float64).ravel(), np.asarray(labels).ravel()
    if scores.shape != labels.shape or not len(scores):
        raise DataError(f"scores and labels must be of one length and not empty, got {len(scores)} and {len(labels)}")
    if not np.isfinite(scores).all():
        raise DataError(f"scores must be finite, got {scores[~np.isfinite(scores)][0]}")
    if not np.isin(labels, (0, 1)).all():
        raise DataError("labels must be 1 (mated) or 0 (non-mated)")
    # Sorting values is ten times as fast as `argsort`; the mated scores, which are few, are sorted a second time.
    ordered = np.sort(scores)[::-1]
    last_of_each = np.append(np.flatnonzero(np.diff(ordered)), len(ordered) - 1)
    thresholds, mated = ordered[last_of_each], np.sort(scores[labels == 1])
    accepted_mated = len(mated) - np.searchsorted(mated, thresholds)
    return ErrorCurve(thresholds, accepted_mated, last_of_each + 1 - accepted_mated)


def accepted_at(ordered: Floats, thresholds: Floats) -> Counts:
    """Return how many of these rising scores are at or above each threshold."""
    return len(ordered) - np.searchsorted(ordered, thresholds).astype(np.int64)


def roc_curve(scores: npt.ArrayLike, labels: npt.ArrayLike) -> tuple[Floats, Floats, Floats]:
    """Return FMR, TAR and thresholds, as `sklearn.metrics.roc_curve` does with `drop_intermediate=False`.

    The first point accepts nothing, at threshold infinity.
    """
    curve = error_curve(scores, labels)
    return np.append(0, curve.fmr), np.append(0, 1 - curve.fnmr), np.append(np.inf, curve.thresholds)


def det_curve(scores: npt.ArrayLike, labels: npt.ArrayLike) -> tuple[Floats, Floats, Floats]:
    """Return FMR (falling), FNMR (rising) and thresholds (rising), as `sklearn.metrics.det_curve` does before it drops points."""
    curve = error_curve(scores, labels)
    return curve.fmr[::-1], curve.fnmr[::-1], curve.thresholds[::-1]


def roc_auc(curve: ErrorCurve) -> float:
    """Return the area under the ROC curve: the probability that a mated pair scores above a non-mated one, ties counting half.

    Raises:
        DataError: If there are no mated or no non-mated pairs.
    """
    _check_both_kinds(curve, "the area under the ROC curve")
    return float(np.trapezoid(np.append(0, 1 - curve.fnmr), np.append(0, curve.fmr)))


def equal_error_rate(curve: ErrorCurve) -> tuple[float, float]:
    """Return the rate at which FMR and FNMR are equal, and a threshold that comes nearest to it.

    Between two thresholds both rates are taken to change linearly, as on the ROC curve drawn through its points.

    Raises:
        DataError: If there are no mated or no non-mated pairs.

    Example:
        >>> equal_error_rate(error_curve([0.9, 0.8, 0.7, 0.1], [1, 0, 1, 0]))
        (0.5, 0.8)
    """
    _check_both_kinds(curve, "an equal error rate")
    fmr, fnmr = np.append(0.0, curve.fmr), np.append(1.0, curve.fnmr)
    after = int(np.argmax(fmr >= fnmr))
    gap_before, gap_after = fnmr[after - 1] - fmr[after - 1], fmr[after] - fnmr[after]
    fraction = gap_before / (gap_before + gap_after)
    rate = fmr[after - 1] + fraction * (fmr[after] - fmr[after - 1])
    nearest = after if gap_after <= gap_before or after == 1 else after - 1
    return float(rate), float(curve.thresholds[nearest - 1])


def threshold_at_fmr(curve: ErrorCurve, fmr: float) -> float:
    """Return the lowest threshold whose false match rate is at most `fmr`; infinity where even the highest score exceeds it.

    Raises:
        ValueError: If `fmr` is not in [0, 1].
    """
    if not 0 <= fmr <= 1:
        raise ValueError(f"fmr must be in [0, 1], got {fmr}")
    allowed = int(np.searchsorted(curve.fmr, fmr, side="right"))
    return float(curve.thresholds[allowed - 1]) if allowed else float("inf")


def tar_at_fmr(curve: ErrorCurve, fmr: float) -> Rate:
    """Return the true accept rate at the lowest threshold whose false match rate is at most `fmr`."""
    return curve.at(threshold_at_fmr(curve, fmr)).recall


def confusion(labels: npt.ArrayLike, predicted: npt.ArrayLike) -> Confusion:
    """Count decisions (1: the same person) by the truth.

    Raises:
        DataError: If labels and decisions differ in length.
    """
    truth, decided = np.asarray(labels).astype(bool).ravel(), np.asarray(predicted).astype(bool).ravel()
    if truth.shape != decided.shape:
        raise DataError(f"labels and predictions must be of one length, got {len(truth)} and {len(decided)}")
    tp, fp, fn = (int(np.sum(a & b)) for a, b in ((truth, decided), (~truth, decided), (truth, ~decided)))
    return Confusion(tp=tp, fp=fp, tn=len(truth) - tp - fp - fn, fn=fn)


def best_accuracy_threshold(scores: npt.ArrayLike, labels: npt.ArrayLike) -> float:
    """Return the threshold of the highest accuracy, half-way down to the next lower score so that it generalises.

    Example:
        >>> best_accuracy_threshold([0.9, 0.8, 0.2, 0.1], [1, 1, 0, 0])
        0.5
    """
    curve = error_curve(scores, labels)
    correct = np.append(0, curve.accepted_mated) + curve.nonmated - np.append(0, curve.accepted_nonmated)
    best = int(np.argmax(correct))
    if best == 0:
        return float(np.nextafter(curve.thresholds[0], np.inf))
    accepted = float(curve.thresholds[best - 1])
    if best == len(curve.thresholds):
        return accepted
    lower = float(curve.thresholds[best])
    middle = lower + (accepted - lower) / 2
    return middle if lower < middle else accepted  # between adjacent floats the middle may round to the lower one


def _check_both_kinds(curve: ErrorCurve, what: str) -> None:
    if not curve.mated or not curve.nonmated:
        raise DataError(
            f"{what} needs mated and non-mated pairs, got {curve.mated} mated and {counted(curve.nonmated, 'non-mated pair')}"
        )
