"""Error curves of other people of the same kind: the Bayesian bootstrap over people, see `intervals`."""

from dataclasses import dataclass
from functools import cached_property

import numpy as np
import numpy.typing as npt

from visavis.metrics.curves import ErrorCurve, equal_error_rate
from visavis.metrics.intervals import (
    LAX_FMR,
    RESAMPLES,
    TAIL,
    PeopleWeights,
    effective_pairs,
    limits_of,
    smallest_fmr,
)
from visavis.metrics.scores import PairScores, first_accepting, score_all_pairs
from visavis.wording import counted

__all__ = [
    "ONE_STANDARD_ERROR",
    "CurveRows",
    "PeopleCurves",
    "ResampledCurves",
    "curve_points",
    "paired_equal_error_rates",
    "paired_limits",
    "probability_of_fewer_errors",
]

Floats = npt.NDArray[np.float64]
Indices = npt.NDArray[np.int64]

ONE_STANDARD_ERROR = 0.84  # how often a normal variable is no higher than one above its mean
_POINTS = 100
_SAFELY_SHOWN = 3.5  # times the smallest false match rate shown, see `ResampledCurves.fnmr_limits`


@dataclass(frozen=True, eq=False)
class CurveRows:
    """Error curves, one a row.

    Attributes:
        thresholds: `(k,)`, falling; the last accepts every pair.
        fmr: `(r, k)`, false match rates, rising along a row.
        fnmr: `(r, k)`, false non-match rates, falling along a row.
    """

    thresholds: Floats
    fmr: Floats
    fnmr: Floats

    def __repr__(self) -> str:
        """Show how many curves and thresholds there are."""
        return f"{type(self).__name__}({counted(len(self.fmr), 'curve')}, {counted(len(self.thresholds), 'threshold')})"

    def eer(self) -> Floats:
        """Equal error rate of each row, `(r,)`."""
        fmr, fnmr = (np.pad(rates, ((0, 0), (1, 0)), constant_values=first) for rates, first in ((self.fmr, 0), (self.fnmr, 1)))
        after = np.maximum(np.argmax(fmr >= fnmr, axis=1), 1)
        rows = np.arange(len(fmr))
        before, behind = ((fnmr - fmr)[rows, after - 1], (fmr - fnmr)[rows, after])
        fraction = before / np.maximum(before + behind, 1e-300)
        return np.asarray(fmr[rows, after - 1] + fraction * (fmr[rows, after] - fmr[rows, after - 1]))

    def roc_auc(self) -> Floats:
        """Area under the ROC curve of each row, `(r,)`."""
        fmr, tar = np.pad(self.fmr, ((0, 0), (1, 0))), np.pad(1 - self.fnmr, ((0, 0), (1, 0)))
        return np.asarray(np.trapezoid(tar, fmr, axis=1))

    def fnmr_at(self, fmr: float) -> Floats:
        """False non-match rate of each row at the lowest threshold whose false match rate is at most `fmr`, `(r,)`."""
        last = np.sum(self.fmr <= fmr, axis=1) - 1
        return np.where(last >= 0, self.fnmr[np.arange(len(self.fnmr)), last], 1.0)

    def mean_cost(self, mated: Floats, nonmated: Floats) -> Floats:
        """Return the mean of what mated and non-mated pairs cost, both kinds with half of the weight, `(r,)`.

        Args:
            mated: `(k,)`, the cost of a mated pair that is accepted at a threshold and at none above it.
            nonmated: `(k,)`, likewise of a non-mated pair.
        """
        tar, fmr = np.diff(1 - self.fnmr, axis=1, prepend=0), np.diff(self.fmr, axis=1, prepend=0)
        return np.asarray(tar @ mated + fmr @ nonmated) / 2

    def at(self, threshold: float) -> tuple[Floats, Floats]:
        """False match and false non-match rate of each row at the lowest threshold of the curves that is not below `threshold`."""
        place = int(np.searchsorted(-self.thresholds, -threshold, side="right")) - 1
        if place < 0:
            return np.zeros(len(self.fmr)), np.ones(len(self.fnmr))
        return self.fmr[:, place], self.fnmr[:, place]


@dataclass(frozen=True, eq=False, repr=False)
class ResampledCurves(CurveRows):
    """Error curves of resampled people. The first row is that of the people as they are.

    Attributes:
        unseen_fmr: `(r,)`, the share of non-mated pairs that may be unobserved false matches.
        unseen_fnmr: `(r,)`, likewise of mated pairs that may be unobserved false non-matches.
        smallest_fmr: The smallest false match rate that the people can show.
    """

    unseen_fmr: Floats
    unseen_fnmr: Floats
    smallest_fmr: float

    @cached_property
    def worst(self) -> CurveRows:
        """The curves with everything unobserved going wrong at every threshold; for the limits on the side of more errors."""
        pairs, mated = self.unseen_fmr[:, None], self.unseen_fnmr[:, None]
        fmr = np.concatenate([pairs, pairs + (1 - pairs) * self.fmr], axis=1)
        fnmr = np.concatenate([np.ones_like(mated), mated + (1 - mated) * self.fnmr], axis=1)
        fnmr[:, -1] = 0  # the last threshold accepts every pair
        return CurveRows(np.append(np.inf, self.thresholds), fmr, fnmr)

    @cached_property
    def best(self) -> CurveRows:
        """The curves with nothing unobserved going wrong; for the limits on the side of fewer errors."""
        pairs, mated = self.unseen_fmr[:, None], self.unseen_fnmr[:, None]
        fmr = np.concatenate([np.zeros_like(pairs), (1 - pairs) * self.fmr], axis=1)
        fmr[:, -1] = 1
        fnmr = np.concatenate([1 - mated, (1 - mated) * self.fnmr], axis=1)
        return CurveRows(np.append(np.inf, self.thresholds), fmr, fnmr)

    def fnmr_limits(self, fmr: float) -> tuple[float, float]:
        """Return the 95 % limits of the false non-match rate at a false match rate, whose threshold is resampled as well.

        Near the smallest false match rate that people can show, it depends on chance whether they show it: those who happen to
        have few false matches do, and their threshold is too low. So the risk at each end is smaller there.
        """
        tail = TAIL * min(1.0, fmr / (_SAFELY_SHOWN * self.smallest_fmr)) ** 2
        return limits_of(self.best.fnmr_at(fmr), self.worst.fnmr_at(fmr), tail=tail)

    def band(self, fmr: npt.ArrayLike) -> tuple[Floats, Floats]:
        """Return the limits of the false non-match rate at each of these false match rates: `(m,)` and `(m,)`."""
        low, high = np.array([self.fnmr_limits(float(rate)) for rate in np.asarray(fmr)]).T
        return low, high


@dataclass(frozen=True, eq=False)
class PeopleCurves:
    """Accepted pairs by the people that they are of.

    Attributes:
        thresholds: `(k,)`, falling; the last accepts every pair.
        mated: `(p, k)`, each person's mated pairs at or above each threshold.
        nonmated: `(p, k)`, likewise the non-mated pairs that a photo of the person is in: each pair counts for both people.
    """

    thresholds: Floats
    mated: Floats
    nonmated: Floats

    def __repr__(self) -> str:
        """Show how many people and thresholds there are."""
        return f"PeopleCurves({counted(len(self.mated), 'person')}, {counted(len(self.thresholds), 'threshold')})"

    @classmethod
    def of(cls, scores: PairScores, thresholds: Floats) -> "PeopleCurves":
        """Count accepted pairs by people.

        Below `scores.floor`, where non-mated pairs are only known as a whole, each person's are spread as all people's are.

        Args:
            scores: The pairs.
            thresholds: `(k,)`, falling; the last must accept every pair.
        """
        known = thresholds[thresholds >= scores.floor]
        nonmated = scores.nonmated
        counts = _counted(scores, nonmated.scores, known, nonmated.first, nonmated.second)
        if len(known) < len(thresholds):
            counts = np.concatenate([counts, _below(scores, counts, thresholds[len(known) :])], axis=1)
        return cls(thresholds, _counted(scores, scores.mated.scores, thresholds, scores.mated.first), counts)

    @cached_property
    def effective_pairs(self) -> float:
        """How many independent non-mated pairs would tell as much, by the design effect at a lax threshold."""
        place = int(np.argmax(self.nonmated.sum(axis=0) >= LAX_FMR * self.nonmated[:, -1].sum()))
        return effective_pairs(self.nonmated[:, min(place, len(self.thresholds) - 2)], self.nonmated[:, -1])

    @property
    def effective_people(self) -> float:
        """How many people with equally many non-mated pairs would weigh as these do (Kish, 1965)."""
        pairs = self.nonmated[:, -1]
        return float(pairs.sum() ** 2 / max(1e-300, np.square(pairs).sum()))

    def resampled(self, resamples: int = RESAMPLES, *, seed: int = 0) -> ResampledCurves:
        """Resample people.

        Args:
            resamples: How many times.
            seed: Draws the weights of people.
        """
        mated, nonmated = self.mated[:, -1], self.nonmated[:, -1]
        weights = PeopleWeights.draw(len(mated), resamples, seed=seed)
        return ResampledCurves(
            self.thresholds,
            fmr=np.maximum.accumulate(weights.pair_shares(self.nonmated, nonmated), axis=1),
            fnmr=np.maximum(0, 1 - weights.shares(self.mated, mated)),
            unseen_fmr=weights.unseen_pairs(nonmated, self.effective_pairs),
            unseen_fnmr=weights.unseen_share(mated),
            smallest_fmr=smallest_fmr(self.effective_people, self.effective_pairs, confidence=1 - TAIL),
        )


def curve_points(curve: ErrorCurve, also: npt.ArrayLike = ()) -> Floats:
    """Choose some hundred thresholds that follow the course of a curve.

    Args:
        curve: Of all pairs.
        also: Thresholds that must be among them.

    Returns:
        `(k,)`, falling; the last accepts every pair.
    """
    rates = np.geomspace(1 / max(2, curve.nonmated), 1, _POINTS)
    by_fmr = np.searchsorted(curve.fmr, rates, side="right") - 1
    by_fnmr = np.searchsorted(1 - curve.fnmr, np.linspace(0, 1, _POINTS))
    places = np.unique(np.clip(np.concatenate([by_fmr, by_fnmr]), 0, len(curve.thresholds) - 1))
    chosen = np.concatenate([curve.thresholds[places], curve.thresholds[-1:], np.asarray(also, dtype=np.float64)])
    return np.unique(chosen[np.isfinite(chosen) & (chosen >= curve.thresholds[-1])])[::-1]


def probability_of_fewer_errors(
    before: npt.NDArray[np.floating], after: npt.NDArray[np.floating], labels: npt.ArrayLike, *, seed: int = 0
) -> float:
    """Return how often other people of the same kind would have a lower equal error rate after than before, all pairs.

    The paired bootstrap: the same people are drawn for both. One half: no difference. 0.84: better by one standard error.

    Args:
        before: `(n, d)`, embeddings of their photos by one model, rows of unit length.
        after: `(n, e)`, by another one.
        labels: `(n,)`, equal for photos of one person.
        seed: Draws the people.

    Returns:
        A fraction of the resamples, 0 .. 1; ties count half.
    """
    rates = []
    for rows in (before, after):
        scores = score_all_pairs(rows, labels)
        rates.append(PeopleCurves.of(scores, curve_points(scores.curve)).resampled(seed=seed).eer()[1:])
    return float(np.mean((rates[1] < rates[0]) + 0.5 * (rates[1] == rates[0])))


def paired_limits(first: Floats, second: Floats, people: float) -> tuple[float, float]:
    """Return the 95 % interval of the difference of a measure, second minus first, of models on the same people.

    Args:
        first: `(r,)`, the first model's measure of resampled people; the first value is not resampled.
        second: `(r,)`, the second model's, of the same resamples.
        people: The effective number of people.
    """
    from scipy.special import stdtrit  # its import takes as long as two photos take to be verified

    change = second - first
    freedom = max(1.0, people - 1)
    half = float(np.std(change[1:])) * np.sqrt((freedom + 1) / freedom) * float(stdtrit(freedom, 0.975))
    return float(change[0]) - half, float(change[0]) + half


def paired_equal_error_rates(first: PairScores, second: PairScores) -> tuple[float, float, tuple[float, float]]:
    """Return the equal error rates of two models on the same people, and the 95 % interval of the second minus the first.

    Args:
        first: All pairs of these people by the first model.
        second: By the second model.
    """
    resampled = [PeopleCurves.of(scores, curve_points(scores.curve)).resampled().eer() for scores in (first, second)]
    rates = [equal_error_rate(scores.curve)[0] for scores in (first, second)]
    return rates[0], rates[1], paired_limits(resampled[0], resampled[1], first.effective_people)


def _below(scores: PairScores, counts: Floats, thresholds: Floats) -> Floats:
    """Return each person's accepted non-mated pairs below `floor`, spread as those of all people are: `(p, k)`."""
    last = counts[:, -1:] if counts.shape[1] else np.zeros((len(scores.nonmated_of), 1))
    rising = np.ones(len(thresholds))  # the share of the pairs below the floor that each threshold accepts
    if len(thresholds) > 1:
        at = np.array([scores.curve.at(limit).fp for limit in thresholds])
        known = last.sum() / 2
        rising = (at - known) / max(1e-300, scores.curve.nonmated - known)
    return np.asarray(last + (scores.nonmated_of[:, None] - last) * rising)


def _counted(scores: PairScores, values: npt.NDArray[np.float32], thresholds: Floats, *photos: npt.NDArray[np.int32]) -> Floats:
    """Count for each person the pairs with a photo of theirs that each threshold accepts: `(p, k)`."""
    people, columns = len(scores.nonmated_of), len(thresholds)
    places = first_accepting(values, thresholds)
    counts = np.zeros(people * (columns + 1), dtype=np.int64)
    for photo in photos:
        counts += np.bincount(scores.people[photo] * (columns + 1) + places, minlength=len(counts))
    return np.cumsum(counts.reshape(people, columns + 1)[:, :columns], axis=1).astype(np.float64)
