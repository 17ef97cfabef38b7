"""How far an error rate can be from the truth, given that pairs which share a person are not independent. NumPy only.

A rate is a ratio of sums over pairs, and every pair belongs to two people (a mated one to a single person). Its variance is
estimated from the residuals of all pairs that have a person in common (Fafchamps and Gubert, 2007; Aronow, Samii and Assenova,
2015). That is what a bootstrap over people tends to, but for the excess of up to three times that redrawing both people of a
pair brings (Owen, 2007). From the variance follows how many independent trials would tell as much, and from that Wilson's
interval.
"""

from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

__all__ = [
    "FEW",
    "RATES",
    "PeopleErrors",
    "Weights",
    "all_pairs_errors",
    "cross_pairs_errors",
    "effective_trials",
    "pair_errors",
    "student_quantile",
]

Floats = npt.NDArray[np.float64]
Indices = npt.NDArray[np.int64]

_BLOCK = 1024
FEW = 5
_NORMAL = 1.959964
_NOTHING = 1e-18


class Weights(NamedTuple):
    """What a pair weighs in a sum, by the decision on it.

    Attributes:
        tp: A mated pair that was accepted.
        fn: A mated pair that was refused.
        fp: A non-mated pair that was accepted.
        tn: A non-mated pair that was refused.
    """

    tp: float = 0.0
    fn: float = 0.0
    fp: float = 0.0
    tn: float = 0.0


RATES = {
    "accuracy": (Weights(tp=1, tn=1), Weights(1, 1, 1, 1)),
    "precision": (Weights(tp=1), Weights(tp=1, fp=1)),
    "recall": (Weights(tp=1), Weights(tp=1, fn=1)),
    "fmr": (Weights(fp=1), Weights(fp=1, tn=1)),
    "fnmr": (Weights(fn=1), Weights(tp=1, fn=1)),
}
"""Each rate: which pairs count, and among which."""


@dataclass(frozen=True, eq=False)
class PeopleErrors:
    """Decisions at one threshold, counted by the people whose photos were compared.

    Attributes:
        accepted: `(p,)`, mated pairs of each person that were accepted.
        refused: `(p,)`, mated pairs that were refused.
        first: `(k,)`, the first person of each two people who have photos compared, or who were mistaken for each other.
        second: `(k,)`, the other.
        matched: `(k,)`, how many of their pairs were accepted: false matches.
        compared: `(k,)`, how many of their pairs there are.
        photos: `(p,)`, how many photos each person has, where all photos are compared with all others; then people who do not stand
            in `first` and `second` were never mistaken. None: those in `first` and `second` are all that were compared.
    """

    accepted: Floats
    refused: Floats
    first: Indices
    second: Indices
    matched: Floats
    compared: Floats
    photos: Floats | None = None

    @property
    def nonmated(self) -> float:
        """How many non-mated pairs there are."""
        if self.photos is None:
            return float(self.compared.sum())
        return float((self.photos.sum() ** 2 - (self.photos**2).sum()) / 2)

    def effective(self, count: Weights, trials: Weights) -> float:
        """Return how many independent trials would tell a rate as well as these pairs do.

        That the variance is itself uncertain is allowed for by Student's distribution.

        Args:
            count: Which pairs count.
            trials: Among which; each pair that counts is among them.

        Returns:
            A number up to that of the trials; NaN where the rate is 0, 1 or undefined, or where there are no two people or pairs of
            people to compare: nothing is known of how it varies.
        """
        total, of = self._total(count), self._total(trials)
        if not 0 < total < of:
            return float("nan")
        rate = total / of
        residual = Weights(*(x - rate * y for x, y in zip(count, trials, strict=True)))
        variance, freedom = self._variance(residual)
        if variance <= _NOTHING * of**2:  # all residuals cancel, as where there are only two people
            return float("nan")
        return min(of, rate * (1 - rate) * of**2 / variance) * (_NORMAL / student_quantile(freedom)) ** 2

    @property
    def people(self) -> int:
        """How many people there are."""
        return len(self.accepted)

    def counts(self, name: str) -> tuple[float, float]:
        """Return how many trials of a rate count, and how many there are."""
        count, trials = RATES[name]
        return self._total(count), self._total(trials)

    def _total(self, weights: Weights) -> float:
        mated = weights.tp * self.accepted.sum() + weights.fn * self.refused.sum()
        matched = float(self.matched.sum())
        return float(mated + weights.fp * matched + weights.tn * (self.nonmated - matched))

    def _variance(self, weights: Weights) -> tuple[float, float]:
        """Of the sum of these weights over all pairs: products of residuals of any two pairs that share a person.

        It is at least that of pairs which have both people in common; the estimate alone can fall below, even below zero. With it
        come its degrees of freedom (after Satterthwaite, 1946), few where a few people have most of the residuals.
        """
        of_errors, of_all = weights.fp - weights.tn, weights.tn
        own = weights.tp * self.accepted + weights.fn * self.refused
        sums = own.copy()
        squares = (of_errors * self.matched + of_all * self.compared) ** 2
        if self.photos is None:
            between = of_errors * self.matched + of_all * self.compared
        else:
            between = of_errors * self.matched
            sums += of_all * self.photos * (self.photos.sum() - self.photos)
            squares = squares - (of_all * self.compared) ** 2
            every = ((self.photos**2).sum() ** 2 - (self.photos**4).sum()) / 2
            squares = np.append(squares, of_all**2 * every)
        for people in (self.first, self.second):
            sums += np.bincount(people, weights=between, minlength=len(sums))
        alone = squares.sum() + np.square(own).sum()
        variance = max(np.square(sums).sum() - squares.sum(), alone) * self.people / max(1, self.people - 1)
        return float(variance), float(np.square(sums).sum() ** 2 / max((sums**4).sum(), 1e-300))


def effective_trials(name: str, errors: PeopleErrors, lax: PeopleErrors) -> float:
    """Return how many independent trials would tell a rate as well, also where hardly anything went wrong.

    With fewer than five errors their variance says nothing. Then the trials are discounted as at a laxer threshold; and where
    nothing went wrong there either, no more is claimed than pairs of which no two share a person would tell.

    Args:
        name: A rate of `RATES`.
        errors: The decisions at the threshold of the rate.
        lax: Those at a threshold with more errors, such as that of the equal error rate.
    """
    count, trials = errors.counts(name)
    effective = errors.effective(*RATES[name])
    if not min(count, trials - count) >= FEW:
        effective = trials * lax.effective(*RATES[name]) / max(1.0, lax.counts(name)[1])
    if not np.isfinite(effective):
        effective = errors.people / 2 if name == "fmr" else errors.people
    return float(min(trials, effective))


def student_quantile(freedom: float) -> float:
    """The 97.5 % quantile of Student's distribution, by the first terms of its series in 1 / freedom (Fisher and Cornish, 1960)."""
    z, n = _NORMAL, max(2.0, freedom)
    terms = (
        (z**3 + z) / 4,
        (5 * z**5 + 16 * z**3 + 3 * z) / 96,
        (3 * z**7 + 19 * z**5 + 17 * z**3 - 15 * z) / 384,
        (79 * z**9 + 776 * z**7 + 1482 * z**5 - 1920 * z**3 - 945 * z) / 92160,
    )
    return z + sum(term / n ** (power + 1) for power, term in enumerate(terms))


def all_pairs_errors(embeddings: npt.NDArray[np.floating], labels: npt.ArrayLike, thresholds: npt.ArrayLike) -> list[PeopleErrors]:
    """Count the decisions on all pairs of photos by the people that they are of.

    Memory grows with the false matches at the lowest threshold, not with the pairs.

    Args:
        embeddings: `(n, d)`, rows of unit length; their cosine is a pair's score.
        labels: `(n,)`, equal for photos of one person.
        thresholds: `(t,)`, scores from which on a pair is accepted.

    Returns:
        One for each threshold.
    """
    people, numbers = np.unique(np.asarray(labels), return_inverse=True)
    rows, limits = np.ascontiguousarray(embeddings, dtype=np.float32), np.asarray(thresholds, dtype=np.float64)
    found = [_block_scores(rows, numbers, start, float(limits.min())) for start in range(0, len(rows), _BLOCK)]
    own, own_scores, keys, scores = (np.concatenate(parts) for parts in zip(*found, strict=True))
    photos = np.bincount(numbers).astype(np.float64)
    results = []
    for limit in limits:
        same = np.bincount(own[own_scores >= limit], minlength=len(people)).astype(np.float64)
        pairs, matched = np.unique(keys[scores >= limit], return_counts=True)
        first, second = np.divmod(pairs, len(people))
        results.append(
            PeopleErrors(
                accepted=same,
                refused=photos * (photos - 1) / 2 - same,
                first=first,
                second=second,
                matched=matched.astype(np.float64),
                compared=photos[first] * photos[second],
                photos=photos,
            )
        )
    return results


def _block_scores(
    rows: npt.NDArray[np.float32], numbers: Indices, start: int, lowest: float
) -> tuple[npt.NDArray[np.generic], ...]:
    """Compare a block of photos with themselves and all later ones.

    Returns:
        Person and score of each mated pair; key of the two people and score of each non-mated pair from the lowest score on.
    """
    block, own_numbers = rows[start : start + _BLOCK], numbers[start : start + _BLOCK]
    scores = block @ rows[start:].T
    later = np.arange(len(rows) - start)[None, :] > np.arange(len(block))[:, None]
    same = own_numbers[:, None] == numbers[start:][None, :]
    mated = np.nonzero(same & later)
    matched = np.nonzero(~same & later & (scores >= lowest))
    low, high = own_numbers[matched[0]], numbers[start + matched[1]]
    keys = np.minimum(low, high) * (int(numbers.max()) + 1) + np.maximum(low, high)
    return own_numbers[mated[0]], scores[mated], keys, scores[matched]


def cross_pairs_errors(
    embeddings: npt.NDArray[np.floating], labels: npt.ArrayLike, first: Indices, second: Indices, thresholds: npt.ArrayLike
) -> list[PeopleErrors]:
    """Count the decisions on all pairs of one photo here and one photo there by the people that they are of.

    Args:
        embeddings: `(n, d)`, rows of unit length.
        labels: `(n,)`, equal for photos of one person.
        first: `(a,)`, the photos here.
        second: `(b,)`, the photos there, none of which is here.
        thresholds: `(t,)`, scores from which on a pair is accepted.

    Returns:
        One for each threshold.
    """
    people, numbers = np.unique(np.asarray(labels)[np.concatenate([first, second])], return_inverse=True)
    here, there, count = numbers[: len(first)], numbers[len(first) :], len(people)
    rows, limits = np.asarray(embeddings, dtype=np.float32), np.asarray(thresholds, dtype=np.float64)
    found = []
    for start in range(0, len(first), _BLOCK):
        block = here[start : start + _BLOCK]
        scores = rows[first[start : start + _BLOCK]] @ rows[second].T
        same = block[:, None] == there[None, :]
        own, strangers = np.nonzero(same), np.nonzero(~same & (scores >= limits.min()))
        low, high = np.sort(np.stack([block[strangers[0]], there[strangers[1]]]), axis=0)
        found.append((block[own[0]], scores[own], low * count + high, scores[strangers]))
    mated, own_scores, keys, scores = (np.concatenate(parts) for parts in zip(*found, strict=True))
    compared = np.outer(*(np.bincount(of, minlength=count).astype(np.float64) for of in (here, there)))
    compared = np.triu(compared + compared.T, 1).ravel()
    dyads = np.flatnonzero(compared)
    every = np.bincount(mated, minlength=count).astype(np.float64)
    results = []
    for limit in limits:
        accepted = np.bincount(mated[own_scores >= limit], minlength=count).astype(np.float64)
        matched = np.bincount(np.searchsorted(dyads, keys[scores >= limit]), minlength=len(dyads)).astype(np.float64)
        results.append(PeopleErrors(accepted, every - accepted, *np.divmod(dyads, count), matched, compared[dyads]))
    return results


def pair_errors(scores: npt.ArrayLike, people: npt.ArrayLike, threshold: float) -> PeopleErrors:
    """Count the decisions on a list of pairs by the people that they are of.

    Args:
        scores: `(m,)`.
        people: `(m, 2)`, the two people of each pair; a mated pair has the same one twice.
        threshold: The score from which on a pair is accepted.
    """
    accepted = (np.asarray(scores) >= threshold).astype(np.float64)
    names, numbers = np.unique(np.asarray(people), return_inverse=True)
    low, high = np.sort(numbers.reshape(-1, 2), axis=1).T
    mated = low == high
    keys, places = np.unique(low[~mated] * len(names) + high[~mated], return_inverse=True)
    first, second = np.divmod(keys, len(names))

    def counted(of: Indices, weights: Floats, length: int) -> Floats:
        return np.asarray(np.bincount(of, weights=weights, minlength=length), dtype=np.float64)

    return PeopleErrors(
        accepted=counted(low[mated], accepted[mated], len(names)),
        refused=counted(low[mated], 1 - accepted[mated], len(names)),
        first=first,
        second=second,
        matched=counted(places, accepted[~mated], len(keys)),
        compared=counted(places, np.ones(len(places)), len(keys)),
    )
