"""Intervals of rates whose trials share people, which never claim more than those people can show.

A rate is resampled over people with the Bayesian bootstrap (Rubin, 1981): each person has a random weight. Resampling alone
collapses where nothing went wrong, so one more, unobserved person is added: everything goes wrong for this person at the upper
limit, nothing at the lower limit (Learned-Miller and Thomas, 2019). Where all trials of a person end alike, this is the interval of
Clopper and Pearson (1934) with people as trials.

A non-mated pair belongs to two people. Its rate is resampled to first order: twice the deviation of the mean over people, whose
spread is that of the people's sums (Fafchamps and Gubert, 2007). The unobserved person may match everybody; kinds of people rarer
than `RAREST_KIND` are left out of account, since no sample of ordinary size excludes them. For these stands one more false match
among as many independent pairs as would tell as much, by the design effect at a lax threshold, where it is well known.
"""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

__all__ = [
    "LAX_FMR",
    "RAREST_KIND",
    "RESAMPLES",
    "TAIL",
    "PeopleWeights",
    "effective_pairs",
    "limits_of",
    "people_interval",
    "smallest_fmr",
]

Floats = npt.NDArray[np.float64]

RESAMPLES = 1000
RAREST_KIND = 1 / 80
"""The rarest kind of people, as a share of all, that intervals and guarantees allow for although it is not in the sample."""
LAX_FMR = 0.05
"""The false match rate at which the design effect of non-mated pairs is estimated."""
TAIL = 0.025
"""The risk at each end of a 95 % interval."""


@dataclass(frozen=True, eq=False)
class PeopleWeights:
    """Random weights of people.

    Attributes:
        seen: `(r, p)`, positive, of mean 1; the first row is 1 everywhere.
        unseen: `(r,)`, that of one more person, of mean 1; 0 in the first row.
    """

    seen: Floats
    unseen: Floats

    @classmethod
    def draw(cls, people: int, resamples: int = RESAMPLES, *, seed: int = 0, predict: bool = False) -> "PeopleWeights":
        """Draw them; the same for any two models that are compared on the same people.

        Args:
            people: How many.
            resamples: How many times.
            seed: Draws the weights.
            predict: Whether these are the numbers of each kind of people in another sample of as many people, not only the
                uncertain shares of each kind in the population.
        """
        rng, weights = np.random.default_rng(seed), np.ones((1 + resamples, 1 + people))
        drawn = rng.standard_exponential(out=weights[1:])
        if predict:
            weights[1:] = rng.multinomial(people, drawn / drawn.sum(axis=1, keepdims=True))
        weights[0, 0] = 0
        return cls(weights[:, 1:], weights[:, 0])

    def shares(self, events: Floats, trials: Floats) -> Floats:
        """Return the share of trials `(p,)` that are events `(p, k)` in each resample: `(r, k)`."""
        some = trials > 0
        if not some.all():
            return PeopleWeights(self.seen[:, some], self.unseen).shares(events[some], trials[some])
        return np.asarray((self.seen @ events) / np.maximum(self.seen @ trials, 1e-300)[:, None])

    def pair_shares(self, events: Floats, trials: Floats) -> Floats:
        """Likewise for pairs of two people, which stand with each of them in `events` and `trials`."""
        share = self.shares(events, trials)
        return np.clip(2 * share - share[:1], 0, 1)

    def unseen_share(self, trials: Floats) -> Floats:
        """Return the share of trials that one more person has in each resample, `(r,)`; trials like those behind most trials."""
        typical = np.square(trials).sum() / max(1e-300, trials.sum())
        extra = self.unseen * typical
        return np.asarray(extra / np.maximum(extra + self.seen @ trials, 1e-300))

    def unseen_pairs(self, trials: Floats, effective: float) -> Floats:
        """Return the share of non-mated pairs that may be unobserved false matches, `(r,)`."""
        share = self.unseen_share(trials)
        kinds = np.where(share >= RAREST_KIND, 1 - np.square(1 - share), 0)
        total = self.unseen + effective
        return np.maximum(kinds, np.divide(self.unseen, total, out=np.ones_like(total), where=total > 0))


def limits_of(best: Floats, worst: Floats, *, tail: float = TAIL) -> tuple[float, float]:
    """Return the limits of a number from its resamples `(r,)` at the best and the worst, whichever of them is the higher one."""
    if np.mean(best) > np.mean(worst):
        best, worst = worst, best
    return float(np.quantile(best[1:], tail)), float(np.quantile(worst[1:], 1 - tail))


def people_interval(
    events: npt.ArrayLike,
    trials: npt.ArrayLike,
    *,
    pairs: bool = False,
    effective: float | None = None,
    predict: bool = False,
    seed: int = 0,
) -> tuple[float, float]:
    """Return the 95 % interval of the share of trials that are events, where one person's trials depend on each other.

    Args:
        events: `(p,)`, those of each person.
        trials: `(p,)`, likewise.
        pairs: Whether trials are pairs of two people, which stand with both.
        effective: How many independent pairs would tell as much; None: `effective_pairs` of the events.
        predict: Whether to return the prediction interval of the share in another sample of as many people of the same kind.
        seed: Draws the weights of people.
    """
    counts, of = (np.asarray(values, dtype=np.float64) for values in (events, trials))
    counts, of = counts[of > 0], of[of > 0]
    if not len(of):
        return 0.0, 1.0
    weights = PeopleWeights.draw(len(of), seed=seed, predict=predict)
    if pairs:
        share = weights.pair_shares(counts[:, None], of)[:, 0]
        unseen = weights.unseen_pairs(of, effective_pairs(counts, of) if effective is None else effective)
    else:
        share, unseen = weights.shares(counts[:, None], of)[:, 0], weights.unseen_share(of)
    return limits_of((1 - unseen) * share, unseen + (1 - unseen) * share)


def effective_pairs(events: Floats, trials: Floats) -> float:
    """Return how many independent pairs would tell a false match rate as well as these pairs do.

    Args:
        events: `(p,)`, the false matches of each person; each counts for both of its people.
        trials: `(p,)`, the non-mated pairs of each person, likewise.
    """
    pairs, people = trials.sum() / 2, int(np.count_nonzero(trials))
    rate = events.sum() / max(1e-300, trials.sum())
    variance = np.square(events - rate * trials).sum() / max(1e-300, pairs**2) * people / max(1, people - 1)
    if not 0 < rate < 1 or variance <= 1e-18:
        return people / 2
    return float(min(pairs, rate * (1 - rate) / variance))


def smallest_fmr(people: float, effective: float, *, confidence: float = 0.95) -> float:
    """Return the smallest false match rate that people can show: the upper bound where no pair at all was matched.

    Args:
        people: How many, by effective number.
        effective: How many independent pairs would tell as much as theirs, see `effective_pairs`.
        confidence: Of the bound, one-sided.

    Example:
        >>> round(smallest_fmr(1000, 30_000), 6)
        0.0001
    """
    miss = 1 - confidence
    kind = 1 - miss ** (1 / max(1, people))
    pairs = -np.log(miss) / (effective - np.log(miss))
    return float(max(pairs, 1 - (1 - kind) ** 2 if kind >= RAREST_KIND else 0.0))
