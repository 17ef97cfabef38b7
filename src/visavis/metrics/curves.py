"""Error rates of comparison scores. NumPy only.

A higher score is more alike; a pair is accepted where its score is at or above the threshold; label 1 is a mated pair (one person),
0 a non-mated one (two people). All of it rests on `ErrorCurve`: how many pairs of either kind each threshold accepts.
"""

from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
import numpy.typing as npt

from visavis.errors import DataError

__all__ = [
    "Confusion",
    "ErrorCurve",
    "Rate",
    "all_pairs_curve",
    "best_accuracy_threshold",
    "confusion",
    "det_curve",
    "equal_error_rate",
    "error_curve",
    "roc_auc",
    "roc_curve",
    "tar_at_fmr",
    "threshold_at_fmr",
    "unit_rows",
]

Floats = npt.NDArray[Any]
Counts = npt.NDArray[np.int64]

_EXACT_PHOTOS = 2000
_RESOLUTION = 2e-5
_BLOCK = 1024


def unit_rows(embeddings: npt.ArrayLike) -> npt.NDArray[np.float32]:
    """Bring rows `(n, d)` to unit length, float32: what scores are products of."""
    rows = np.asarray(embeddings, dtype=np.float32)
    return np.asarray(rows / np.maximum(np.linalg.norm(rows, axis=1, keepdims=True), 1e-12), dtype=np.float32)


@dataclass(frozen=True)
class Rate:
    """A rate and the counts behind it.

    Attributes:
        count: How many trials had the outcome.
        trials: How many there were.
        effective: How many independent trials would tell as much, see `intervals.effective_trials`; None: they are independent.
    """

    count: int
    trials: int
    effective: float | None = None

    @property
    def value(self) -> float:
        """The rate; NaN without trials."""
        return self.count / self.trials if self.trials else float("nan")

    @property
    def interval(self) -> tuple[float, float]:
        """Wilson's (1927) 95 % interval with the effective number of trials."""
        if not self.trials:
            return 0.0, 1.0
        z = 1.959964
        n, p = self.trials if self.effective is None else self.effective, self.value
        centre = (p + z * z / (2 * n)) / (1 + z * z / n)
        half = z / (1 + z * z / n) * np.sqrt(p * (1 - p) / n + z * z / (4 * n * n))
        return max(0.0, float(centre - half)), min(1.0, float(centre + half))

    def __str__(self) -> str:
        """Show rate, interval and counts."""
        low, high = self.interval
        return f"{self.value:.2%} ({low:.2%} .. {high:.2%}; {self.count:,} of {self.trials:,})"


@dataclass(frozen=True)
class Confusion:
    """Decisions against the truth.

    Attributes:
        tp: Mated pairs accepted.
        fp: Non-mated pairs accepted: false matches.
        tn: Non-mated pairs refused.
        fn: Mated pairs refused: false non-matches.
    """

    tp: int
    fp: int
    tn: int
    fn: int

    @property
    def accuracy(self) -> Rate:
        """Right decisions among all."""
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
        """False non-match rate: refused pairs among the mated ones."""
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
        raise DataError(f"scores and labels must be of one length, and not empty. Received: {len(scores)} and {len(labels)}")
    if not np.isfinite(scores).all():
        raise DataError(f"scores must be finite. Received: {scores[~np.isfinite(scores)][0]}")
    if not np.isin(labels, (0, 1)).all():
        raise DataError("labels must be 1 (mated) or 0 (non-mated)")
    # Sorted numbers, not their order, which takes NumPy ten times as long: those of the mated pairs, which are few, once more.
    ordered = np.sort(scores)[::-1]
    last_of_each = np.append(np.flatnonzero(np.diff(ordered)), len(ordered) - 1)
    thresholds, mated = ordered[last_of_each], np.sort(scores[labels == 1])
    accepted_mated = len(mated) - np.searchsorted(mated, thresholds)
    return ErrorCurve(thresholds, accepted_mated, last_of_each + 1 - accepted_mated)


def all_pairs_curve(embeddings: npt.NDArray[np.floating], labels: npt.ArrayLike, *, resolution: float | None = None) -> ErrorCurve:
    """Count accepted pairs over all n(n-1)/2 pairs of photos, scored by the cosine of their embeddings.

    Up to 2,000 photos every score is kept as it is. Beyond that scores are counted in bins, block by block, so that memory
    does not grow with the number of pairs; a threshold is then the lower edge of its bin.

    Args:
        embeddings: `(n, d)`, rows of unit length.
        labels: `(n,)`, equal for photos of one person.
        resolution: Width of a bin; None: exact for up to 2,000 photos, else 0.00002.

    Raises:
        DataError: If they differ in length, if there are fewer than two photos, or if an embedding is not finite.
    """
    people = np.unique(np.asarray(labels), return_inverse=True)[1]
    if embeddings.ndim != 2 or len(embeddings) != len(people) or len(people) < 2:
        raise DataError(
            f"embeddings must be (n, d) with n labels, n at least 2. Received: shape {embeddings.shape} and {len(people)} labels"
        )
    if not np.isfinite(embeddings).all():
        raise DataError(f"embedding {int(np.argmin(np.isfinite(embeddings).all(axis=1)))} is not finite")
    rows = np.ascontiguousarray(embeddings, dtype=np.float32)
    if resolution is None and len(rows) <= _EXACT_PHOTOS:
        first, second = np.triu_indices(len(rows), 1)
        return error_curve((rows @ rows.T)[first, second], people[first] == people[second])
    return _binned_curve(rows, people, resolution or _RESOLUTION)


def _binned_curve(rows: npt.NDArray[np.float32], people: Counts, resolution: float) -> ErrorCurve:
    """Count scores in bins; non-mated ones are all minus the mated, which are few and next to each other once sorted by person."""
    order = np.argsort(people, kind="stable")
    rows, people = rows[order], people[order]
    end_of_person = np.searchsorted(people, people, side="right")
    bins = int(np.ceil(2.0 / resolution)) + 1
    every, mated = np.zeros(bins, dtype=np.int64), np.zeros(bins, dtype=np.int64)
    for start in range(0, len(rows), _BLOCK):
        block = rows[start : start + _BLOCK]
        for left in range(start, len(rows), _BLOCK):
            scores = block @ rows[left : left + _BLOCK].T
            places = ((np.clip(scores, -1, 1) + np.float32(1)) * np.float32(1 / resolution)).astype(np.int32)
            if left == start:
                every += np.bincount(places[np.triu_indices(len(block), 1)], minlength=bins)
            else:
                every += np.bincount(places.ravel(), minlength=bins)
            mated += np.bincount(places[_mated_mask(start, left, places.shape, end_of_person)], minlength=bins)
    seen = np.flatnonzero(every)[::-1]
    accepted_mated, accepted = np.cumsum(mated[seen]), np.cumsum(every[seen])
    return ErrorCurve(seen * resolution - 1.0, accepted_mated, accepted - accepted_mated)


def _mated_mask(start: int, left: int, shape: tuple[int, ...], end_of_person: Counts) -> npt.NDArray[np.bool_]:
    """Which pairs of a block of the sorted photos are mated, each pair once."""
    columns = np.arange(left, left + shape[1])
    numbers = np.arange(start, start + shape[0])[:, None]
    mask: npt.NDArray[np.bool_] = (columns > numbers) & (columns < end_of_person[start : start + shape[0]][:, None])
    return mask


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
    """Area under the ROC curve: the chance that a mated pair scores above a non-mated one, ties counting half."""
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
    if not curve.mated or not curve.nonmated:
        raise DataError(
            "an equal error rate needs mated and non-mated pairs. "
            f"Received: {curve.mated} mated and {curve.nonmated} non-mated pairs"
        )
    fmr, fnmr = np.append(0.0, curve.fmr), np.append(1.0, curve.fnmr)
    after = int(np.argmax(fmr >= fnmr))
    gap_before, gap_after = fnmr[after - 1] - fmr[after - 1], fmr[after] - fnmr[after]
    part = gap_before / (gap_before + gap_after)
    rate = fmr[after - 1] + part * (fmr[after] - fmr[after - 1])
    nearest = after if gap_after <= gap_before or after == 1 else after - 1
    return float(rate), float(curve.thresholds[nearest - 1])


def threshold_at_fmr(curve: ErrorCurve, fmr: float) -> float:
    """Return the lowest threshold whose false match rate is at most `fmr`; infinity where even the highest score exceeds it.

    Raises:
        ValueError: If `fmr` is not in [0, 1].
    """
    if not 0 <= fmr <= 1:
        raise ValueError(f"fmr must be in [0, 1]. Received: fmr={fmr}")
    allowed = int(np.searchsorted(curve.fmr, fmr, side="right"))
    return float(curve.thresholds[allowed - 1]) if allowed else float("inf")


def tar_at_fmr(curve: ErrorCurve, fmr: float) -> Rate:
    """Return the true accept rate at the lowest threshold whose false match rate is at most `fmr`."""
    return curve.at(threshold_at_fmr(curve, fmr)).recall


def confusion(labels: npt.ArrayLike, predicted: npt.ArrayLike) -> Confusion:
    """Count decisions (1: the same person) against the truth."""
    truth, said = np.asarray(labels).astype(bool).ravel(), np.asarray(predicted).astype(bool).ravel()
    if truth.shape != said.shape:
        raise DataError(f"labels and predictions must be of one length. Received: {len(truth)} and {len(said)}")
    tp, fp, fn = (int(np.sum(a & b)) for a, b in ((truth, said), (~truth, said), (truth, ~said)))
    return Confusion(tp=tp, fp=fp, tn=len(truth) - tp - fp - fn, fn=fn)


def best_accuracy_threshold(scores: npt.ArrayLike, labels: npt.ArrayLike) -> float:
    """Return the threshold of the highest accuracy, half-way to the next lower score so that it carries over best."""
    curve = error_curve(scores, labels)
    right = np.append(0, curve.accepted_mated) + curve.nonmated - np.append(0, curve.accepted_nonmated)
    best = int(np.argmax(right))
    if best == 0:
        return float(np.nextafter(curve.thresholds[0], np.inf))
    return float(curve.thresholds[best - 1 : best + 1].mean())
