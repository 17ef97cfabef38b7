"""Losses over pairs: the brief's contrastive loss, and losses that see every pair of a batch.

There are two kinds. `contrastive_loss` takes pairs that somebody made: their labels and their distances. The *batch* losses take
the labels and the embeddings of one batch and look at all of its B(B-1)/2 pairs. Each is a pure function and a thin Keras class.
"""

import math
from collections.abc import Callable
from typing import Any

import keras
from keras import ops

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

_SMALLEST_SQUARE = 1e-12
_MASKED = 1e9


def contrastive_loss(y: Tensor, preds: Tensor, margin: float = 1) -> Tensor:
    """Contrastive loss of Hadsell, Chopra and LeCun (2006), with labels the way round that the brief has them.

    ``mean(y * d**2 + (1 - y) * max(margin - d, 0)**2)``: pairs of one person are drawn together, pairs of two people are pushed
    apart until they are `margin` away.

    Args:
        y: `(m,)` or `(m, 1)`; 1 where a pair shows the same person, 0 where it shows two.
        preds: The pairs' embedding distances (not probabilities), of the same shape, 0 or more.
        margin: The distance past which a pair of two people costs nothing.

    Returns:
        A scalar, 0 or more.

    Raises:
        ValueError: If `margin` is not positive, or if `y` and `preds` differ in size.

    Example:
        >>> float(contrastive_loss([1.0, 0.0], [0.5, 0.5]))
        0.25
    """
    return ops.mean(_contrastive_terms(y, preds, margin))


def pairwise_distances(embeddings: Tensor) -> Tensor:
    """Euclidean distances between all rows of a batch.

    Args:
        embeddings: `(b, d)`.

    Returns:
        `(b, b)` float32; the gradient is finite (zero) where two rows are equal.
    """
    embeddings = ops.cast(embeddings, "float32")
    squares = ops.sum(ops.square(embeddings), axis=1)
    products = ops.matmul(embeddings, ops.transpose(embeddings))
    return ops.sqrt(ops.maximum(squares[:, None] + squares[None, :] - 2.0 * products, _SMALLEST_SQUARE))


def batch_contrastive_loss(labels: Tensor, embeddings: Tensor, margin: float = 1) -> Tensor:
    """`contrastive_loss` over every pair of a batch.

    Plainly their mean: most non-mated pairs are soon past the margin and cost nothing, so to give the few mated pairs more weight
    would draw strangers together.

    Args:
        labels: `(b,)`, equal for photos of one person.
        embeddings: `(b, d)`.
        margin: As in `contrastive_loss`.

    Returns:
        A scalar, 0 or more.
    """
    mated, nonmated = _pair_masks(labels)
    return _masked_mean(_contrastive_terms(mated, pairwise_distances(embeddings), margin), mated + nonmated)


def batch_binary_crossentropy(labels: Tensor, logits: Tensor) -> Tensor:
    """Binary cross-entropy over every pair of a batch, mated and non-mated pairs each with half of the weight.

    Args:
        labels: `(b,)`, equal for photos of one person.
        logits: `(b, b)`, the head's logit for "the same person" of every pair; the diagonal is ignored.

    Returns:
        A scalar, 0 or more.
    """
    mated, nonmated = _pair_masks(labels)
    logits = ops.cast(logits, "float32")
    terms = ops.softplus(logits) - mated * logits
    return 0.5 * (_masked_mean(terms, mated) + _masked_mean(terms, nonmated))


def triplet_loss(labels: Tensor, embeddings: Tensor, margin: float = 0.2, mining: str = "hard") -> Tensor:
    """Triplet loss with triplets mined inside the batch.

    `hard` takes, for each anchor, its farthest positive and its nearest negative (Hermans, Beyer and Leibe 2017).
    `semi-hard` takes, for each anchor and positive, the nearest negative that is farther than the positive, or the farthest
    negative where there is none (Schroff, Kalenichenko and Philbin 2015, with plain distances).

    Args:
        labels: `(b,)`, equal for photos of one person.
        embeddings: `(b, d)`.
        margin: By how much a negative must be farther than a positive.
        mining: `"hard"` or `"semi-hard"`.

    Returns:
        A scalar, the mean over anchors (`hard`) or over anchor-positive pairs (`semi-hard`) that have a negative in the batch.

    Raises:
        ValueError: If `margin` is not positive or `mining` is neither of the two.
    """
    _check_positive(margin=margin)
    mated, nonmated = _pair_masks(labels)
    distances = pairwise_distances(embeddings)
    if mining == "hard":
        farthest_positive = ops.max(distances * mated, axis=1)
        nearest_negative = ops.min(distances + _MASKED * (1.0 - nonmated), axis=1)
        counted = ops.max(mated, axis=1) * ops.max(nonmated, axis=1)
        return _masked_mean(ops.relu(farthest_positive - nearest_negative + margin), counted)
    if mining != "semi-hard":
        raise ValueError(f"mining must be 'hard' or 'semi-hard'. Received: mining={mining!r}")
    farther = ops.cast(distances[:, None, :] > distances[:, :, None], "float32") * nonmated[:, None, :]
    nearest_farther = ops.min(distances[:, None, :] + _MASKED * (1.0 - farther), axis=2)
    farthest_negative = ops.max(distances * nonmated, axis=1)[:, None]
    negative = ops.where(ops.max(farther, axis=2) > 0, nearest_farther, farthest_negative)
    return _masked_mean(ops.relu(distances - negative + margin), mated * ops.max(nonmated, axis=1)[:, None])


def supervised_contrastive_loss(labels: Tensor, embeddings: Tensor, temperature: float = 0.1) -> Tensor:
    """Supervised contrastive loss of Khosla et al. (2020), equation 2 (the sum outside of the logarithm).

    Args:
        labels: `(b,)`, equal for photos of one person.
        embeddings: `(b, d)`, rows of unit length.
        temperature: Divides the cosines; smaller looks harder at the nearest negatives.

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
    """Multi-similarity loss of Wang et al. (2019), equation 13, over all pairs (without the paper's mining).

    Args:
        labels: `(b,)`, equal for photos of one person.
        embeddings: `(b, d)`, rows of unit length.
        alpha: How sharply mated pairs of a low cosine are weighted.
        beta: How sharply non-mated pairs of a high cosine are weighted.
        base: The cosine around which both are weighted.

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
        raise ValueError(f"y and preds must be of one size. Received: shapes {y.shape} and {distances.shape}")
    if len(y.shape) != len(distances.shape):
        y = ops.reshape(y, ops.shape(distances))
    return y * ops.square(distances) + (1.0 - y) * ops.square(ops.relu(margin - distances))


def _pair_masks(labels: Tensor) -> tuple[Tensor, Tensor]:
    """Which of the `(b, b)` pairs are mated, and which are non-mated; the diagonal is neither. Float32."""
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
            raise ValueError(f"{name} must be positive. Received: {name}={value}")


@keras.saving.register_keras_serializable(package="visavis")
class ContrastiveLoss(keras.losses.Loss):
    """`contrastive_loss` as a Keras loss, for a model that predicts the distances of pairs."""

    def __init__(self, margin: float = 1, name: str = "contrastive_loss", **kwargs: Any) -> None:
        """Keep the margin; see `contrastive_loss`."""
        _check_positive(margin=margin)
        super().__init__(name=name, **kwargs)
        self.margin = margin

    def call(self, y_true: Tensor, y_pred: Tensor) -> Tensor:
        """Return the loss of each pair; Keras takes the mean."""
        return _contrastive_terms(y_true, y_pred, self.margin)

    def get_config(self) -> dict[str, Any]:
        """Return what `from_config` needs."""
        return {**super().get_config(), "margin": self.margin}


class _BatchLoss(keras.losses.Loss):
    """A batch loss as a Keras class: `y_true` holds the labels, `y_pred` the embeddings (or the pairs' logits)."""

    function: Callable[..., Tensor]

    def __init__(self, name: str | None = None, dtype: Any = None, **parameters: Any) -> None:
        super().__init__(name=name or self.function.__name__, reduction=None, dtype=dtype)
        self.parameters = parameters

    def call(self, y_true: Tensor, y_pred: Tensor) -> Tensor:
        """Return the loss of the batch, a scalar."""
        return type(self).function(y_true, y_pred, **self.parameters)

    def get_config(self) -> dict[str, Any]:
        """Return what `from_config` needs."""
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
