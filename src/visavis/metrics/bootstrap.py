"""The bootstrap over people: what an error curve would have been with other people of the same kind. NumPy only.

People are drawn with replacement. A mated pair counts as often as its person was drawn, ``w``; a non-mated pair
``w + w' - 1`` times, its two people's part in it added up rather than multiplied. So the spread of a sum is that of its people's
sums, which is what makes pairs that share people dependent (Fafchamps and Gubert, 2007); the product would add the chance of each
pair by itself up to three times (Owen, 2007). It is linear in the weights: a thousand resamples are one matrix product.
"""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from visavis.metrics import ErrorCurve, all_pairs_curve
from visavis.metrics.intervals import student_quantile

__all__ = [
    "ONE_STANDARD_ERROR",
    "RESAMPLES",
    "PeopleCurves",
    "Replicates",
    "all_pairs_by_people",
    "chance_of_fewer_errors",
    "interval",
    "pairs_by_people",
    "telling_thresholds",
]

Floats = npt.NDArray[np.float64]
Indices = npt.NDArray[np.int64]

RESAMPLES = 1000
ONE_STANDARD_ERROR = 0.84  # how often a normal variable is no higher than one above its mean
_BLOCK = 1024
_EXACT_PHOTOS = 2000
_RESOLUTION = 2e-5
_POINTS = 200
_FEWEST = 20  # resamples that have pairs of both kinds


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

    def resampled(self, resamples: int = RESAMPLES, *, seed: int = 0) -> "Replicates":
        """Draw people with replacement, many times.

        Args:
            resamples: How many times.
            seed: Draws them; the same people are drawn for any two models that are compared on the same data.
        """
        people = len(self.mated)
        rng = np.random.default_rng(seed)
        drawn = rng.multinomial(people, np.full(people, 1 / people), size=resamples)
        weights = np.concatenate([np.ones((1, people)), drawn])
        mated = weights @ self.mated
        nonmated = weights @ self.nonmated - self.nonmated.sum(axis=0) / 2
        with np.errstate(divide="ignore", invalid="ignore"):
            fnmr = 1 - mated / mated[:, -1:]
            fmr = np.maximum.accumulate(np.clip(nonmated / nonmated[:, -1:], 0, 1), axis=1)
        usable = (mated[:, -1] > 0) & (nonmated[:, -1] > 0)
        return Replicates(self.thresholds, fmr[usable], fnmr[usable])  # a draw of few people may have no mated pair


@dataclass(frozen=True, eq=False)
class Replicates:
    """Error curves of resampled people. The first row is that of the people as they are.

    Attributes:
        thresholds: `(k,)`, falling.
        fmr: `(r, k)`, false match rates, rising along a row.
        fnmr: `(r, k)`, false non-match rates, falling along a row.
    """

    thresholds: Floats
    fmr: Floats
    fnmr: Floats

    def eer(self) -> Floats:
        """Equal error rate of each row, `(r,)`."""
        fmr, fnmr = (np.pad(rates, ((0, 0), (1, 0)), constant_values=first) for rates, first in ((self.fmr, 0), (self.fnmr, 1)))
        after = np.maximum(np.argmax(fmr >= fnmr, axis=1), 1)
        rows = np.arange(len(fmr))
        before, behind = ((fnmr - fmr)[rows, after - 1], (fmr - fnmr)[rows, after])
        part = before / np.maximum(before + behind, 1e-300)
        return np.asarray(fmr[rows, after - 1] + part * (fmr[rows, after] - fmr[rows, after - 1]))

    def roc_auc(self) -> Floats:
        """Area under the ROC curve of each row, `(r,)`."""
        fmr, tar = np.pad(self.fmr, ((0, 0), (1, 0))), np.pad(1 - self.fnmr, ((0, 0), (1, 0)))
        return np.asarray(np.trapezoid(tar, fmr, axis=1))

    def fnmr_at(self, fmr: float) -> Floats:
        """False non-match rate of each row at the lowest threshold whose false match rate is at most `fmr`, `(r,)`."""
        last = np.sum(self.fmr <= fmr, axis=1) - 1
        return np.where(last >= 0, self.fnmr[np.arange(len(self.fnmr)), last], 1.0)

    def at(self, threshold: float) -> tuple[Floats, Floats]:
        """False match and false non-match rate of each row at the lowest known threshold that is not below `threshold`."""
        place = int(np.searchsorted(-self.thresholds, -threshold, side="right")) - 1
        if place < 0:
            return np.zeros(len(self.fmr)), np.ones(len(self.fnmr))
        return self.fmr[:, place], self.fnmr[:, place]

    def band(self, fmr: npt.ArrayLike) -> tuple[Floats, Floats]:
        """Where false non-match rates lie 95 times in 100 at each of these false match rates: `(m,)` from, `(m,)` to."""
        rates = np.stack([self.fnmr_at(float(rate))[1:] for rate in np.asarray(fmr)], axis=1)
        if len(rates) < _FEWEST:
            return np.zeros(rates.shape[1]), np.ones(rates.shape[1])
        low, high = np.percentile(rates, [2.5, 97.5], axis=0)
        return low, high


def interval(replicates: Floats, value: float, people: int) -> tuple[float, float]:
    """Return the 95 % interval of a rate by the spread of its replicates.

    Of its log-odds, so that it is wider towards the middle and never leaves [0, 1]; by Student's quantile for few people.

    Args:
        replicates: `(r,)`, the first one that of the people as they are.
        value: The rate.
        people: How many people were resampled.
    """
    if len(replicates) < _FEWEST:
        return 0.0, 1.0
    spread = float(np.std(replicates[1:])) * np.sqrt(people / max(1, people - 1)) * student_quantile(people - 1)
    if not 0 < value < 1:
        return max(0.0, value - spread), min(1.0, value + spread)
    odds = np.log(value / (1 - value)) + np.array([-1, 1]) * spread / (value * (1 - value))
    low, high = 1 / (1 + np.exp(-np.clip(odds, -50, 50)))
    return float(low), float(high)


def telling_thresholds(curve: ErrorCurve, also: npt.ArrayLike = ()) -> Floats:
    """Choose some hundred thresholds of a curve that tell its course.

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


def all_pairs_by_people(embeddings: npt.NDArray[np.floating], labels: npt.ArrayLike, thresholds: Floats) -> PeopleCurves:
    """Count accepted pairs by people over all pairs of photos.

    Args:
        embeddings: `(n, d)`, rows of unit length; their cosine is a pair's score.
        labels: `(n,)`, equal for photos of one person.
        thresholds: `(k,)`, falling; the last must accept every pair. Beyond 2,000 photos a score counts for the lower edge of its
            bin of 0.00002, as in `metrics.all_pairs_curve`.
    """
    people, numbers = np.unique(np.asarray(labels), return_inverse=True)
    rows = np.ascontiguousarray(embeddings, dtype=np.float32)
    if len(rows) <= _EXACT_PHOTOS:
        pairs = np.stack(np.triu_indices(len(rows), 1), axis=1)
        return pairs_by_people((rows @ rows.T)[pairs[:, 0], pairs[:, 1]], numbers[pairs], thresholds)
    edges = np.arange(int(np.ceil(2.0 / _RESOLUTION)) + 1, dtype=np.float64) * _RESOLUTION - 1.0
    of_bins = _first_accepting(edges + 1e-9, thresholds)
    columns = len(thresholds)
    every, mated = (np.zeros(len(people) * columns, dtype=np.int64) for _ in range(2))
    for start in range(0, len(rows), _BLOCK):
        block = np.arange(start, min(start + _BLOCK, len(rows)))
        bins = (np.clip(rows[block] @ rows.T, -1, 1) + np.float32(1)) * np.float32(1 / _RESOLUTION)
        keys = of_bins[bins.astype(np.int32)] + (numbers[block] * columns)[:, None]
        others = np.ones(keys.shape, dtype=bool)
        others[np.arange(len(block)), block] = False
        same = (numbers[block][:, None] == numbers[None, :]) & others
        every += np.bincount(keys.ravel(), minlength=len(every)) - np.bincount(keys[~others], minlength=len(every))
        mated += np.bincount(keys[same], minlength=len(every))
    every, mated = (np.cumsum(counts.reshape(len(people), columns), axis=1) for counts in (every, mated))
    return PeopleCurves(thresholds, mated / 2, (every - mated).astype(np.float64))


def chance_of_fewer_errors(
    before: npt.NDArray[np.floating], after: npt.NDArray[np.floating], labels: npt.ArrayLike, *, seed: int = 0
) -> float:
    """How often other people of the same kind would have a lower equal error rate after than before, all pairs.

    The paired bootstrap: the same people are drawn for both. One half: nothing can be told. 0.84: better by one standard error.

    Args:
        before: `(n, d)`, embeddings of their photos by one model, rows of unit length.
        after: `(n, e)`, by another one.
        labels: `(n,)`, equal for photos of one person.
        seed: Draws the people.

    Returns:
        A part of the draws, 0 .. 1; of those in which both are equal, half.
    """
    rates = []
    for rows in (before, after):
        thresholds = telling_thresholds(all_pairs_curve(np.asarray(rows, dtype=np.float32), labels))
        rates.append(all_pairs_by_people(rows, labels, thresholds).resampled(seed=seed).eer()[1:])
    return float(np.mean((rates[1] < rates[0]) + 0.5 * (rates[1] == rates[0])))


def pairs_by_people(scores: npt.ArrayLike, people: npt.ArrayLike, thresholds: Floats) -> PeopleCurves:
    """Count the accepted of a list of pairs by people.

    Args:
        scores: `(m,)`.
        people: `(m, 2)`, the two people of each pair; a mated pair has the same one twice.
        thresholds: `(k,)`, falling; the last must accept every pair.
    """
    names, numbers = np.unique(np.asarray(people), return_inverse=True)
    first, second = numbers.reshape(-1, 2).T
    columns = len(thresholds)
    places = _first_accepting(np.asarray(scores, dtype=np.float64), thresholds)

    def counted(of: Indices, chosen: npt.NDArray[np.bool_]) -> Floats:
        counts = np.bincount(of[chosen] * columns + places[chosen], minlength=len(names) * columns)
        return np.cumsum(counts.reshape(len(names), columns), axis=1).astype(np.float64)

    same = first == second
    return PeopleCurves(thresholds, counted(first, same), counted(first, ~same) + counted(second, ~same))


def _first_accepting(scores: Floats, thresholds: Floats) -> Indices:
    """Return the place of the first of the falling thresholds that accepts each score."""
    return np.minimum(np.searchsorted(-thresholds, -scores, side="left"), len(thresholds) - 1)
