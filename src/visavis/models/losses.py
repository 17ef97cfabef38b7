"""Metric-learning losses over pairs: of given pairs, or of every pair of a batch.

`contrastive_loss` takes the labels and distances of given pairs. The batch losses take the labels and embeddings of one batch and
use all of its B(B-1)/2 pairs. Each is a pure function and a thin Keras class.
"""

import math
from collections.abc import Callable
from typing import Any, Literal

from visavis.backend import keras, ops
from visavis.errors import check_option

__all__ = [
    "BatchBinaryCrossentropy",
    "BatchContrastive",
    "BatchTriplet",
    "ContrastiveLoss",
    "MultiSimilarity",
    "SupervisedContrastive",
    "batch_binary_crossentropy",
    "batch_contrastive_loss",
    "contrastive_loss",
    "multi_similarity_loss",
    "pairwise_distances",
    "supervised_contrastive_loss",
    "triplet_loss",
]

Tensor = Any
Mining = Literal["hard", "semi-hard"]

_SMALLEST_SQUARE = 1e-12
_MASKED = 1e9


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
    return ops.mean(_contrastive_terms(y, preds, margin))


def pairwise_distances(embeddings: Tensor) -> Tensor:
    """Compute the Euclidean distances between all rows of a batch.

    Args:
        embeddings: `(b, d)`.

    Returns:
        `(b, b)` float32, accurate to a relative 1e-5; the gradient is zero where two rows are equal.
    """
    if keras.backend.backend() != "tensorflow":
        embeddings = ops.cast(embeddings, "float32")
        squares = ops.sum(ops.square(embeddings[:, None] - embeddings[None, :]), axis=2)
        return ops.sqrt(ops.maximum(squares, _SMALLEST_SQUARE))
    # In float32 the products lose the distances of near rows. In float64 they do not, and TensorFlow computes them faster than
    # the differences, whose memory grows with b * b * d; JAX has no float64 by default and fuses the differences.
    embeddings = ops.cast(embeddings, "float64")
    squares = ops.sum(ops.square(embeddings), axis=1)
    products = ops.matmul(embeddings, ops.transpose(embeddings))
    distances = ops.sqrt(ops.maximum(squares[:, None] + squares[None, :] - 2.0 * products, _SMALLEST_SQUARE))
    return ops.cast(distances, "float32")


def batch_contrastive_loss(labels: Tensor, embeddings: Tensor, margin: float = 1) -> Tensor:
    """Compute `contrastive_loss` over every pair of a batch.

    All pairs have the same weight: most non-mated pairs are soon past the margin, so a higher weight of the few mated pairs would
    pull non-mated pairs together.

    Args:
        labels: `(b,)`, equal for photos of one person.
        embeddings: `(b, d)`.
        margin: As in `contrastive_loss`.

    Returns:
        A scalar, at least 0.
    """
    mated, nonmated = _pair_masks(labels)
    return _masked_mean(_contrastive_terms(mated, pairwise_distances(embeddings), margin), mated + nonmated)


def batch_binary_crossentropy(labels: Tensor, logits: Tensor) -> Tensor:
    """Compute the binary cross-entropy over every pair of a batch, mated and non-mated pairs each with half of the weight.

    Args:
        labels: `(b,)`, equal for photos of one person.
        logits: `(b, b)`, the head's logit for "the same person" of every pair; the diagonal is ignored.

    Returns:
        A scalar, at least 0.
    """
    mated, nonmated = _pair_masks(labels)
    logits = ops.cast(logits, "float32")
    terms = ops.softplus(logits) - mated * logits
    return 0.5 * (_masked_mean(terms, mated) + _masked_mean(terms, nonmated))


def triplet_loss(labels: Tensor, embeddings: Tensor, margin: float = 0.2, mining: Mining = "hard") -> Tensor:
    """Compute the triplet loss with triplets mined within the batch.

    `hard` takes, for each anchor, its farthest positive and its nearest negative (Hermans, Beyer and Leibe 2017).
    `semi-hard` takes, for each anchor and positive, the nearest negative that is farther than the positive, or the farthest
    negative where there is none (Schroff, Kalenichenko and Philbin 2015, with plain distances).

    Args:
        labels: `(b,)`, equal for photos of one person.
        embeddings: `(b, d)`.
        margin: How much farther a negative must be than a positive; positive.
        mining: `"hard"` or `"semi-hard"`.

    Returns:
        A scalar, the mean over anchors (`hard`) or over anchor-positive pairs (`semi-hard`) that have a negative in the batch.

    Raises:
        ValueError: If `margin` is not positive or `mining` is neither of the two.
    """
    _check_positive(margin=margin)
    check_option("mining", mining, Mining)
    mated, nonmated = _pair_masks(labels)
    distances = pairwise_distances(embeddings)
    if mining == "hard":
        farthest_positive = ops.max(distances * mated, axis=1)
        nearest_negative = ops.min(distances + _MASKED * (1.0 - nonmated), axis=1)
        counted = ops.max(mated, axis=1) * ops.max(nonmated, axis=1)
        return _masked_mean(ops.relu(farthest_positive - nearest_negative + margin), counted)
    farther = ops.cast(distances[:, None, :] > distances[:, :, None], "float32") * nonmated[:, None, :]
    nearest_farther = ops.min(distances[:, None, :] + _MASKED * (1.0 - farther), axis=2)
    farthest_negative = ops.max(distances * nonmated, axis=1)[:, None]
    negative = ops.where(ops.max(farther, axis=2) > 0, nearest_farther, farthest_negative)
    return _masked_mean(ops.relu(distances - negative + margin), mated * ops.max(nonmated, axis=1)[:, None])


def supervised_contrastive_loss(labels: Tensor, embeddings: Tensor, temperature: float = 0.1) -> Tensor:
    """Compute the supervised contrastive loss of Khosla et al. (2020), equation 2 (the sum outside of the logarithm).

    Args:
        labels: `(b,)`, equal for photos of one person.
        embeddings: `(b, d)`, rows of unit length.
        temperature: Divisor of the cosines, positive; a lower one gives the nearest negatives more weight.

    Returns:
        A scalar, the mean over the photos that have a positive in the batch.

    Raises:
        ValueError: If `temperature` is not positive.
    """
    _check_positive(temperature=temperature)
    mated, nonmated = _pair_masks(labels)
    logits = _cosines(embeddings) / temperature
    others = logits - _MASKED * (1.0 - mated - nonmated)
    log_likelihood = logits - ops.logsumexp(others, axis=1, keepdims=True)
    positives = ops.sum(mated, axis=1)
    per_photo = -ops.sum(mated * log_likelihood, axis=1) / ops.maximum(positives, 1.0)
    return _masked_mean(per_photo, ops.minimum(positives, 1.0))


def multi_similarity_loss(labels: Tensor, embeddings: Tensor, alpha: float = 2.0, beta: float = 50.0, base: float = 0.5) -> Tensor:
    """Compute the multi-similarity loss of Wang et al. (2019), equation 13, over all pairs (without the paper's mining).

    Args:
        labels: `(b,)`, equal for photos of one person.
        embeddings: `(b, d)`, rows of unit length.
        alpha: Scale of the mated pairs, positive; a higher one gives those of low cosine more weight.
        beta: Scale of the non-mated pairs, positive; a higher one gives those of high cosine more weight.
        base: The cosine at which both kinds of pairs have half of their greatest weight.

    Returns:
        A scalar, the mean over the photos of the batch.

    Raises:
        ValueError: If `alpha` or `beta` is not positive.
    """
    _check_positive(alpha=alpha, beta=beta)
    mated, nonmated = _pair_masks(labels)
    excess = _cosines(embeddings) - base
    zero = ops.zeros_like(excess[:, :1])

    def soft_sum(exponents: Tensor, mask: Tensor) -> Tensor:
        masked = exponents - _MASKED * (1.0 - mask)
        return ops.logsumexp(ops.concatenate([zero, masked], axis=1), axis=1)

    return ops.mean(soft_sum(-alpha * excess, mated) / alpha + soft_sum(beta * excess, nonmated) / beta)


def _contrastive_terms(y: Tensor, distances: Tensor, margin: float) -> Tensor:
    _check_positive(margin=margin)
    distances = ops.cast(ops.convert_to_tensor(distances), "float32")
    y = ops.cast(ops.convert_to_tensor(y), "float32")
    sizes = [None if None in shape else math.prod(shape) for shape in (y.shape, distances.shape)]
    if None not in sizes and sizes[0] != sizes[1]:
        raise ValueError(f"y and preds must have the same size, got shapes {tuple(y.shape)} and {tuple(distances.shape)}")
    if len(y.shape) != len(distances.shape):
        y = ops.reshape(y, ops.shape(distances))
    return y * ops.square(distances) + (1.0 - y) * ops.square(ops.relu(margin - distances))


def _pair_masks(labels: Tensor) -> tuple[Tensor, Tensor]:
    """Return float32 masks `(b, b)` of the mated and of the non-mated pairs; the diagonal is neither."""
    labels = ops.reshape(ops.convert_to_tensor(labels), (-1,))
    same = ops.cast(labels[:, None] == labels[None, :], "float32")
    itself = ops.cast(ops.arange(ops.shape(labels)[0])[:, None] == ops.arange(ops.shape(labels)[0])[None, :], "float32")
    return same - itself, 1.0 - same


def _cosines(embeddings: Tensor) -> Tensor:
    embeddings = ops.cast(embeddings, "float32")
    return ops.matmul(embeddings, ops.transpose(embeddings))


def _masked_mean(values: Tensor, mask: Tensor) -> Tensor:
    return ops.sum(values * mask) / ops.maximum(ops.sum(mask), 1.0)


def _check_positive(**arguments: float) -> None:
    for name, value in arguments.items():
        if not value > 0:
            raise ValueError(f"{name} must be positive, got {value}")


@keras.saving.register_keras_serializable(package="visavis")
class ContrastiveLoss(keras.losses.Loss):
    """`contrastive_loss` as a Keras loss, for a model that predicts the distances of pairs."""

    def __init__(self, margin: float = 1, name: str = "contrastive_loss", **kwargs: Any) -> None:
        """See `contrastive_loss`."""
        _check_positive(margin=margin)
        super().__init__(name=name, **kwargs)
        self.margin = margin

    def call(self, y_true: Tensor, y_pred: Tensor) -> Tensor:
        """Return the loss of each pair; Keras takes the mean."""
        return _contrastive_terms(y_true, y_pred, self.margin)

    def get_config(self) -> dict[str, Any]:
        """Return the arguments of the class."""
        return {**super().get_config(), "margin": self.margin}


class _BatchLoss(keras.losses.Loss):
    """Base of batch losses as Keras classes: `y_true` are labels, `y_pred` embeddings (or the pairs' logits)."""

    function: Callable[..., Tensor]

    def __init__(self, name: str | None = None, dtype: Any = None, **parameters: Any) -> None:
        super().__init__(name=name or self.function.__name__, reduction=None, dtype=dtype)
        self.parameters = parameters

    def call(self, y_true: Tensor, y_pred: Tensor) -> Tensor:
        """Return the loss of the batch, a scalar."""
        return type(self).function(y_true, y_pred, **self.parameters)

    def get_config(self) -> dict[str, Any]:
        """Return the arguments of the class."""
        return {"name": self.name, **self.parameters}


@keras.saving.register_keras_serializable(package="visavis")
class BatchContrastive(_BatchLoss):
    """`batch_contrastive_loss` as a Keras loss; takes `margin`."""

    function = staticmethod(batch_contrastive_loss)


@keras.saving.register_keras_serializable(package="visavis")
class BatchBinaryCrossentropy(_BatchLoss):
    """`batch_binary_crossentropy` as a Keras loss."""

    function = staticmethod(batch_binary_crossentropy)


@keras.saving.register_keras_serializable(package="visavis")
class BatchTriplet(_BatchLoss):
    """`triplet_loss` as a Keras loss; takes `margin` and `mining`."""

    function = staticmethod(triplet_loss)


@keras.saving.register_keras_serializable(package="visavis")
class SupervisedContrastive(_BatchLoss):
    """`supervised_contrastive_loss` as a Keras loss; takes `temperature`."""

    function = staticmethod(supervised_contrastive_loss)


@keras.saving.register_keras_serializable(package="visavis")
class MultiSimilarity(_BatchLoss):
    """`multi_similarity_loss` as a Keras loss; takes `alpha`, `beta` and `base`."""

    function = staticmethod(multi_similarity_loss)
