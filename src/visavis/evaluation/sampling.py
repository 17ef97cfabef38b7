"""Sample pairs of very many photos, and report the standard error that sampling adds."""

from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from visavis.data import PairProtocol
from visavis.errors import DataError
from visavis.metrics import Rate
from visavis.wording import counted

__all__ = ["SampledPairs", "sample_pairs"]

Pairs = npt.NDArray[np.int64]


@dataclass(frozen=True, eq=False)
class SampledPairs:
    """Pairs sampled from all pairs.

    Attributes:
        protocol: The pairs drawn.
        mated: How many mated pairs there are in all.
        nonmated: How many non-mated pairs there are in all.
    """

    protocol: PairProtocol
    mated: int
    nonmated: int

    def standard_error(self, rate: Rate) -> float:
        """Return the standard error that sampling adds to a rate; 0 where all pairs were taken.

        Args:
            rate: Of the mated or of the non-mated pairs drawn.
        """
        if rate.trials in (0, self.mated, self.nonmated):
            return 0.0
        return float(np.sqrt(rate.value * (1 - rate.value) / rate.trials))

    def to_json(self, rates: dict[str, Rate]) -> dict[str, Any]:
        """Return the counts, and the standard error that was added to each rate, as plain values."""
        errors = {name: self.standard_error(rate) for name, rate in rates.items()}
        return {"mated_in_all": self.mated, "nonmated_in_all": self.nonmated, "standard_errors": errors}


def sample_pairs(labels: npt.NDArray[np.int64], *, count: int = 1_000_000, seed: int = 0) -> SampledPairs:
    """Draw pairs of photos: of each kind all pairs, or `count` of them where there are more, with equal probability.

    Time and memory are those of the pairs drawn, not of all pairs. Pairs are drawn one by one, with repetition.

    Args:
        labels: `(n,)`, equal for photos of one person.
        count: How many mated, and how many non-mated pairs, at most.
        seed: Draws the pairs.

    Raises:
        DataError: If there are no mated or no non-mated pairs.
        ValueError: If `count` is not positive.
    """
    if count < 1:
        raise ValueError(f"count must be positive, got {count}")
    rng = np.random.default_rng(seed)
    people, photos = np.unique(labels, return_inverse=True, return_counts=True)[1:]
    mated = int(np.sum(photos * (photos - 1) // 2))
    nonmated = len(labels) * (len(labels) - 1) // 2 - mated
    if not mated or not nonmated:
        raise DataError(f"sampling needs mated and non-mated pairs, got {mated:,} mated and {counted(nonmated, 'non-mated pair')}")
    own = _mated(people, photos, np.arange(mated) if mated <= count else rng.integers(0, mated, count))
    others = _all_nonmated(people) if nonmated <= count else _drawn_nonmated(people, count, rng)
    name = f"{len(own):,} of {mated:,} mated and {len(others):,} of {counted(nonmated, 'non-mated pair')}"
    protocol = PairProtocol(np.concatenate([own, others]), np.repeat([1, 0], [len(own), len(others)]), None, name)
    return SampledPairs(protocol, mated, nonmated)


def _mated(people: Pairs, photos: Pairs, numbers: Pairs) -> Pairs:
    """The mated pairs with these numbers: those of the first person, then those of the second, and so on."""
    ordered, first = np.argsort(people, kind="stable"), np.cumsum(photos) - photos
    before = np.cumsum(photos * (photos - 1) // 2)
    person = np.searchsorted(before, numbers, side="right")
    within = numbers - (before[person] - photos[person] * (photos[person] - 1) // 2)
    # Pair number j (j - 1) / 2 + i of a person is that of the photos i < j.
    later = ((1 + np.sqrt(1 + 8.0 * within)) / 2).astype(np.int64)
    later -= later * (later - 1) // 2 > within  # where the square root was rounded up
    earlier = within - later * (later - 1) // 2
    return np.stack([ordered[first[person] + earlier], ordered[first[person] + later]], axis=1)


def _all_nonmated(people: Pairs) -> Pairs:
    first, second = np.nonzero(np.triu(people[:, None] != people))
    return np.stack([first, second], axis=1)


def _drawn_nonmated(people: Pairs, count: int, rng: np.random.Generator) -> Pairs:
    drawn = np.empty((0, 2), dtype=np.int64)
    while len(drawn) < count:
        pairs = rng.integers(0, len(people), (count, 2))
        drawn = np.concatenate([drawn, pairs[people[pairs[:, 0]] != people[pairs[:, 1]]]])
    return drawn[:count]
