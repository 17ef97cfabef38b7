"""Miners: which triplets of a batch the triplet and the contrastive loss use.

A miner is a function of the batch's `Pairs` that returns `Triplets`. Your own can be passed to the losses as well.
"""

from collections.abc import Callable, Mapping
from types import MappingProxyType
from typing import Any, Literal, NamedTuple

from visavis.backend import keras, ops
from visavis.errors import check_option

__all__ = ["MINERS", "DistanceWeighted", "Hard", "Miner", "MinerName", "Pairs", "SemiHard", "Triplets", "build_miner"]

Tensor = Any
MinerName = Literal["distance-weighted", "hard", "semi-hard"]

_MASKED = 1e9


class Pairs(NamedTuple):
    """The pairs of a batch of b photos with r photos: the batch itself, then the memory if there is one.

    Attributes:
        distances: `(b, r)` float32.
        mated: `(b, r)` float32, 1 where two photos show one person, 0 elsewhere and on the diagonal.
        nonmated: `(b, r)` float32, 1 where they show two people.
        dimensions: Length of an embedding.
    """

    distances: Tensor
    mated: Tensor
    nonmated: Tensor
    dimensions: int


class Triplets(NamedTuple):
    """Triplets of an anchor, a positive and a negative, by their distances; the three arrays broadcast to one shape.

    Attributes:
        mated: `(b, ...)` float32, the distance of anchor and positive.
        nonmated: `(b, ...)` float32, the distance of anchor and negative.
        weights: `(b, ...)` float32, at least 0; 0 where there is no such triplet.
    """

    mated: Tensor
    nonmated: Tensor
    weights: Tensor


Miner = Callable[[Pairs], Triplets]


class _Configured:
    """What Keras needs to save a miner without arguments."""

    def get_config(self) -> dict[str, Any]:
        """Return the arguments of the class."""
        return {}

    @classmethod
    def from_config(cls, config: dict[str, Any]) -> Any:
        """Return the miner with these arguments."""
        return cls(**config)


@keras.saving.register_keras_serializable(package="visavis")
class Hard(_Configured):
    """For each anchor, its farthest positive and its nearest negative (Hermans, Beyer and Leibe 2017)."""

    def __call__(self, pairs: Pairs) -> Triplets:
        """Return one triplet for each anchor, `(b, 1)`."""
        farthest_positive = ops.max(pairs.distances * pairs.mated, axis=1, keepdims=True)
        nearest_negative = ops.min(pairs.distances + _MASKED * (1.0 - pairs.nonmated), axis=1, keepdims=True)
        complete = ops.max(pairs.mated, axis=1, keepdims=True) * ops.max(pairs.nonmated, axis=1, keepdims=True)
        return Triplets(farthest_positive, nearest_negative, complete)


@keras.saving.register_keras_serializable(package="visavis")
class SemiHard(_Configured):
    """For each anchor and positive of the batch, the nearest negative that is farther than the positive.

    Where there is none, it is the farthest negative (Schroff, Kalenichenko and Philbin 2015, with plain distances).
    """

    def __call__(self, pairs: Pairs) -> Triplets:
        """Return one triplet for each anchor and positive, `(b, b)`; takes memory for `b * b * r` numbers."""
        distances, mated = _of_the_batch(pairs)
        references, nonmated = pairs.distances[:, None, :], pairs.nonmated[:, None, :]
        farther = ops.cast(references > distances[:, :, None], "float32") * nonmated
        nearest_farther = ops.min(references + _MASKED * (1.0 - farther), axis=2)
        farthest_negative = ops.max(pairs.distances * pairs.nonmated, axis=1)[:, None]
        negative = ops.where(ops.max(farther, axis=2) > 0, nearest_farther, farthest_negative)
        return Triplets(distances, negative, mated * ops.max(pairs.nonmated, axis=1)[:, None])


@keras.saving.register_keras_serializable(package="visavis")
class DistanceWeighted(_Configured):
    """Each negative with the weight that evens out how common its distance is (Wu et al. 2017, equation 4).

    On a sphere most points are about 1.41 apart, so uniformly drawn negatives are nearly all too easy. The paper draws one negative
    with probability ``min(1 / q(cutoff), 1 / q(d))``, where ``q(d)`` is the density of the distance d of random points. Here every
    negative counts with its probability: the expected value of the paper's loss, without random numbers.

    Args:
        cutoff: Distance below which negatives have no more weight than at it; in (0, 2).
        maximum: Distance from which negatives have no weight, since they have no loss; above `cutoff`.

    Raises:
        ValueError: If an argument is out of range.
    """

    def __init__(self, cutoff: float = 0.5, maximum: float = 1.4) -> None:
        """See the class."""
        if not 0 < cutoff < 2:
            raise ValueError(f"cutoff must be in (0, 2), got {cutoff}")
        if not maximum > cutoff:
            raise ValueError(f"maximum must be above cutoff ({cutoff}), got {maximum}")
        self.cutoff, self.maximum = cutoff, maximum

    def __call__(self, pairs: Pairs) -> Triplets:
        """Return all triplets of an anchor, a positive of the batch and a negative, `(b, b, r)`."""
        distances, mated = _of_the_batch(pairs)
        probabilities = self.probabilities(pairs)
        weights = mated[:, :, None] * probabilities[:, None, :]
        return Triplets(distances[:, :, None], pairs.distances[:, None, :], weights)

    def probabilities(self, pairs: Pairs) -> Tensor:
        """Return the probability `(b, r)` of each negative; a row without negatives nearer than `maximum` is 0."""
        distances = ops.stop_gradient(pairs.distances)
        clipped = ops.clip(distances, self.cutoff, 1.99)
        dimensions = pairs.dimensions
        logs = (2.0 - dimensions) * ops.log(clipped) - (dimensions - 3) / 2 * ops.log(1.0 - ops.square(clipped) / 4)
        possible = pairs.nonmated * ops.cast(distances < self.maximum, "float32")
        return ops.softmax(logs - _MASKED * (1.0 - possible), axis=1) * possible

    def get_config(self) -> dict[str, Any]:
        """Return the arguments of the class."""
        return {"cutoff": self.cutoff, "maximum": self.maximum}


MINERS: Mapping[str, Callable[[], Miner]] = MappingProxyType(
    {"distance-weighted": DistanceWeighted, "hard": Hard, "semi-hard": SemiHard}
)


def build_miner(miner: Miner | MinerName) -> Miner:
    """Return a miner by its name, or the miner that is passed in.

    Raises:
        ValueError: If there is no miner of that name.
    """
    if isinstance(miner, str):
        check_option("mining", miner, MinerName)
        return MINERS[miner]()
    return miner


def _of_the_batch(pairs: Pairs) -> tuple[Tensor, Tensor]:
    """Return distances and mated pairs `(b, b)` within the batch."""
    batch = ops.shape(pairs.distances)[0]
    return pairs.distances[:, :batch], pairs.mated[:, :batch]
