"""Losses over pairs, as functions: of given pairs, or of every pair of a batch.

`contrastive_loss` takes the labels and distances of given pairs. The batch losses take the labels and embeddings of one batch and
use all of its B(B-1)/2 pairs; with a `Memory`, also the pairs of a photo of the batch and one of an earlier batch.
"""

import math
from typing import Any, NamedTuple

from visavis.backend import keras, ops
from visavis.models.losses.miners import Miner, MinerName, Pairs, build_miner

__all__ = [
    "Memory",
    "batch_binary_crossentropy",
    "batch_contrastive_loss",
    "check_positive",
    "contrastive_loss",
    "contrastive_terms",
    "masked_mean",
    "multi_similarity_loss",
    "pairwise_distances",
    "supervised_contrastive_loss",
    "triplet_loss",
]

Tensor = Any

_SMALLEST_SQUARE = 1e-12
_MASKED = 1e9


class Memory(NamedTuple):
    """Photos of earlier batches that the photos of a batch are also compared with (Wang et al. 2020, cross-batch memory).

    Attributes:
        labels: `(m,)` integers as those of the batches; a negative label marks an empty row.
        embeddings: `(m, d)`; no gradient flows into them.
    """

    labels: Tensor
    embeddings: Tensor


def contrastive_loss(y: Tensor, preds: Tensor, margin: float = 1) -> Tensor:
    """Compute the contrastive loss of Hadsell, Chopra and LeCun (2006); here 1 labels the pairs of the same person.

    ``mean(y * d**2 + (1 - y) * max(margin - d, 0)**2)``: mated pairs are pulled together, non-mated pairs are pushed apart up to
    the distance `margin`.

    Args:
        y: `(m,)` or `(m, 1)`; 1 where a pair shows the same person, 0 where it shows two.
        preds: The pairs' embedding distances (not probabilities), of the same shape, at least 0.
        margin: The distance from which a non-mated pair has no loss.

    Returns:
        A scalar, at least 0.

    Raises:
        ValueError: If `margin` is not positive, or if `y` and `preds` differ in size.

    Example:
        >>> float(contrastive_loss([1.0, 0.0], [0.5, 0.5]))
        0.25
    """
    return ops.mean(contrastive_terms(y, preds, margin))


def pairwise_distances(embeddings: Tensor, references: Tensor | None = None) -> Tensor:
    """Compute the Euclidean distances between the rows of a batch and those of another, or of itself.

    Args:
        embeddings: `(b, d)`.
        references: `(r, d)`; None: the batch itself.

    Returns:
        `(b, r)` float32, accurate to a relative 1e-5; the gradient is zero where two rows are equal.
    """
    # In float32 the products lose the distances of near rows. In float64 they do not, and TensorFlow computes them faster than
    # the differences, whose memory grows with b * r * d; JAX has no float64 by default and fuses the differences.
    by_products = keras.backend.backend() == "tensorflow"
    embeddings = ops.cast(embeddings, "float64" if by_products else "float32")
    references = embeddings if references is None else ops.cast(references, embeddings.dtype)
    if not by_products:
        squares = ops.sum(ops.square(embeddings[:, None] - references[None, :]), axis=2)
        return ops.sqrt(ops.maximum(squares, _SMALLEST_SQUARE))
    squares = ops.sum(ops.square(embeddings), axis=1)[:, None] + ops.sum(ops.square(references), axis=1)[None, :]
    products = ops.matmul(embeddings, ops.transpose(references))
    return ops.cast(ops.sqrt(ops.maximum(squares - 2.0 * products, _SMALLEST_SQUARE)), "float32")


def batch_contrastive_loss(
    labels: Tensor, embeddings: Tensor, margin: float = 1, mining: Miner | MinerName | None = None, memory: Memory | None = None
) -> Tensor:
    """Compute `contrastive_loss` over every pair of a batch, or over the pairs of mined triplets.

    All pairs have the same weight: most non-mated pairs are soon past the margin, so a higher weight of the few mated pairs would
    pull non-mated pairs together.

    Args:
        labels: `(b,)`, equal for photos of one person.
        embeddings: `(b, d)`.
        margin: As in `contrastive_loss`.
        mining: A miner or its name, see `visavis.models.losses.miners`: the loss is then the mean over the mated and non-mated
            pairs of the mined triplets. None: all pairs.
        memory: Photos of earlier batches.

    Returns:
        A scalar, at least 0.

    Raises:
        ValueError: If `margin` is not positive or there is no miner of that name.
    """
    check_positive(margin=margin)
    pairs = _pairs(labels, embeddings, memory)
    if mining is None:
        return masked_mean(contrastive_terms(pairs.mated, pairs.distances, margin), pairs.mated + pairs.nonmated)
    triplets = build_miner(mining)(pairs)
    terms = ops.square(triplets.mated) + ops.square(ops.relu(margin - triplets.nonmated))
    return masked_mean(terms / 2, triplets.weights)


def batch_binary_crossentropy(labels: Tensor, logits: Tensor, memory_labels: Tensor | None = None) -> Tensor:
    """Compute the binary cross-entropy over every pair of a batch, mated and non-mated pairs each with half of the weight.

    Args:
        labels: `(b,)`, equal for photos of one person.
        logits: `(b, b)`, the head's logit for "the same person" of every pair; the diagonal is ignored. With a memory of m photos
            `(b, b + m)`.
        memory_labels: `(m,)`, the labels of the memory.

    Returns:
        A scalar, at least 0.
    """
    mated, nonmated = _pair_masks(labels, memory_labels)
    logits = ops.cast(logits, "float32")
    terms = ops.softplus(logits) - mated * logits
    return 0.5 * (masked_mean(terms, mated) + masked_mean(terms, nonmated))


def triplet_loss(
    labels: Tensor,
    embeddings: Tensor,
    margin: float = 0.2,
    mining: Miner | MinerName = "hard",
    memory: Memory | None = None,
) -> Tensor:
    """Compute the triplet loss with triplets mined within the batch.

    Args:
        labels: `(b,)`, equal for photos of one person.
        embeddings: `(b, d)`.
        margin: How much farther a negative must be than a positive; positive.
        mining: `"hard"`, `"semi-hard"`, `"distance-weighted"` or a miner, see `visavis.models.losses.miners`.
        memory: Photos of earlier batches, as further positives and negatives.

    Returns:
        A scalar, the weighted mean over the mined triplets: over the anchors (`hard`) or over the anchor-positive pairs
        (`semi-hard`, `distance-weighted`) that have a negative.

    Raises:
        ValueError: If `margin` is not positive or there is no miner of that name.
    """
    check_positive(margin=margin)
    triplets = build_miner(mining)(_pairs(labels, embeddings, memory))
    return masked_mean(ops.relu(triplets.mated - triplets.nonmated + margin), triplets.weights)


def supervised_contrastive_loss(
    labels: Tensor, embeddings: Tensor, temperature: float = 0.1, memory: Memory | None = None
) -> Tensor:
    """Compute the supervised contrastive loss of Khosla et al. (2020), equation 2 (the sum outside of the logarithm).

    Args:
        labels: `(b,)`, equal for photos of one person.
        embeddings: `(b, d)`, rows of unit length.
        temperature: Divisor of the cosines, positive; a lower one gives the nearest negatives more weight.
        memory: Photos of earlier batches, with embeddings of unit length.

    Returns:
        A scalar, the mean over the photos that have a positive in the batch or the memory.

    Raises:
        ValueError: If `temperature` is not positive.
    """
    check_positive(temperature=temperature)
    mated, nonmated = _pair_masks(labels, memory and memory.labels)
    logits = _cosines(embeddings, memory) / temperature
    others = logits - _MASKED * (1.0 - mated - nonmated)
    log_likelihood = logits - ops.logsumexp(others, axis=1, keepdims=True)
    positives = ops.sum(mated, axis=1)
    per_photo = -ops.sum(mated * log_likelihood, axis=1) / ops.maximum(positives, 1.0)
    return masked_mean(per_photo, ops.minimum(positives, 1.0))


def multi_similarity_loss(
    labels: Tensor,
    embeddings: Tensor,
    alpha: float = 2.0,
    beta: float = 50.0,
    base: float = 0.5,
    memory: Memory | None = None,
) -> Tensor:
    """Compute the multi-similarity loss of Wang et al. (2019), equation 13, over all pairs (without the paper's mining).

    Args:
        labels: `(b,)`, equal for photos of one person.
        embeddings: `(b, d)`, rows of unit length.
        alpha: Scale of the mated pairs, positive; a higher one gives those of low cosine more weight.
        beta: Scale of the non-mated pairs, positive; a higher one gives those of high cosine more weight.
        base: The cosine at which both kinds of pairs have half of their greatest weight.
        memory: Photos of earlier batches, with embeddings of unit length.

    Returns:
        A scalar, the mean over the photos of the batch.

    Raises:
        ValueError: If `alpha` or `beta` is not positive.
    """
    check_positive(alpha=alpha, beta=beta)
    mated, nonmated = _pair_masks(labels, memory and memory.labels)
    excess = _cosines(embeddings, memory) - base
    zero = ops.zeros_like(excess[:, :1])

    def soft_sum(exponents: Tensor, mask: Tensor) -> Tensor:
        masked = exponents - _MASKED * (1.0 - mask)
        return ops.logsumexp(ops.concatenate([zero, masked], axis=1), axis=1)

    return ops.mean(soft_sum(-alpha * excess, mated) / alpha + soft_sum(beta * excess, nonmated) / beta)


def contrastive_terms(y: Tensor, distances: Tensor, margin: float) -> Tensor:
    """Return the terms whose mean is `contrastive_loss`, of the shape of `distances`."""
    check_positive(margin=margin)
    distances = ops.cast(ops.convert_to_tensor(distances), "float32")
    y = ops.cast(ops.convert_to_tensor(y), "float32")
    sizes = [None if None in shape else math.prod(shape) for shape in (y.shape, distances.shape)]
    if None not in sizes and sizes[0] != sizes[1]:
        raise ValueError(f"y and preds must have the same size, got shapes {tuple(y.shape)} and {tuple(distances.shape)}")
    if len(y.shape) != len(distances.shape):
        y = ops.reshape(y, ops.shape(distances))
    return y * ops.square(distances) + (1.0 - y) * ops.square(ops.relu(margin - distances))


def _pairs(labels: Tensor, embeddings: Tensor, memory: Memory | None) -> Pairs:
    """Return the distances of all pairs, and which are mated."""
    embeddings = ops.convert_to_tensor(embeddings)
    references = None if memory is None else _with_memory(embeddings, memory.embeddings)
    distances = pairwise_distances(embeddings, references)
    return Pairs(distances, *_pair_masks(labels, memory and memory.labels), int(embeddings.shape[1]))


def _pair_masks(labels: Tensor, memory_labels: Tensor | None = None) -> tuple[Tensor, Tensor]:
    """Return float32 masks `(b, b + m)` of the mated and of the non-mated pairs; a photo with itself is neither."""
    labels = ops.reshape(ops.convert_to_tensor(labels), (-1,))
    references = labels if memory_labels is None else _with_memory(labels, memory_labels)
    same = ops.cast(labels[:, None] == references[None, :], "float32")
    itself = ops.cast(ops.arange(ops.shape(labels)[0])[:, None] == ops.arange(ops.shape(references)[0])[None, :], "float32")
    if memory_labels is None:
        return same - itself, 1.0 - same
    present = ops.cast(references >= 0, "float32")[None, :]
    return (same - itself) * present, (1.0 - same) * present


def _with_memory(batch: Tensor, memory: Tensor) -> Tensor:
    return ops.concatenate([batch, ops.stop_gradient(ops.cast(memory, batch.dtype))], axis=0)


def _cosines(embeddings: Tensor, memory: Memory | None) -> Tensor:
    embeddings = ops.cast(embeddings, "float32")
    references = embeddings if memory is None else _with_memory(embeddings, memory.embeddings)
    return ops.matmul(embeddings, ops.transpose(references))


def masked_mean(values: Tensor, weights: Tensor) -> Tensor:
    """Return the weighted mean; 0 where all weights are 0."""
    return ops.sum(values * weights) / ops.maximum(ops.sum(weights), 1.0)


def check_positive(**arguments: float) -> None:
    """Check numbers.

    Raises:
        ValueError: If one is not positive.
    """
    for name, value in arguments.items():
        if not value > 0:
            raise ValueError(f"{name} must be positive, got {value}")
