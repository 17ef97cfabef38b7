"""Losses over classes, as functions of the cosines between photos and one centre for each training person.

The cosines come from `visavis.models.loss_layers.ClassCentres`, whose centres are trained along and never part of the model. Labels
that are no class are ignored: synthetic people have no centre.
"""

import math
from typing import Any

from visavis.backend import ops
from visavis.models.losses.pairs import check_positive, masked_mean

__all__ = ["adaface_loss", "check_margins", "margin_softmax_loss", "proxy_anchor_loss"]

Tensor = Any
Margins = tuple[float, float, float]

_MASKED = 1e9
_STEEPEST = 1e-6  # the gradient of an angle is infinite at cosines of 1 and -1


def margin_softmax_loss(labels: Tensor, cosines: Tensor, margins: Margins = (1.0, 0.5, 0.0), scale: float = 64.0) -> Tensor:
    """Compute the softmax cross-entropy with the margins of SphereFace, ArcFace and CosFace (Deng et al. 2019, equation 4).

    A photo's cosine with its own class, ``cos(theta)``, is replaced by ``cos(m1 * theta + m2) - m3``. ArcFace is (1, 0.5, 0) and
    CosFace (1, 0, 0.35). Past ``m1 * theta + m2 = pi``, where the cosine would rise again, it goes on falling with ``cos(theta)``,
    without a jump.

    Args:
        labels: `(b,)` integers, the class of each photo; those outside of 0 .. n - 1 are ignored.
        cosines: `(b, n)`, of each photo with each class's centre.
        margins: m1, at least 1; m2 in radians, in [0, pi); m3, at least 0.
        scale: Factor of the cosines, positive.

    Returns:
        A scalar, the mean over the photos of a class; 0 if there are none.

    Raises:
        ValueError: If `margins` or `scale` is out of range.

    Example:
        >>> float(margin_softmax_loss([0], [[1.0, 0.0]], margins=(1.0, 0.0, 0.5), scale=2.0)).__round__(4)
        0.3133
    """
    check_margins(margins)
    factor, angle_margin, cosine_margin = margins

    def penalised(cosine: Tensor) -> Tensor:
        if (factor, angle_margin) == (1.0, 0.0):
            return cosine - cosine_margin
        angle = factor * _arccos(cosine) + angle_margin
        turning_point = math.cos((math.pi - angle_margin) / factor)
        return ops.where(angle <= math.pi, ops.cos(angle), cosine - turning_point - 1.0) - cosine_margin

    return _softmax_loss(labels, cosines, penalised, scale)


def adaface_loss(labels: Tensor, predictions: Tensor, margin: float = 0.4, scale: float = 64.0) -> Tensor:
    """Compute the AdaFace loss (Kim, Jain and Liu 2022, equations 17 to 20): the margin depends on the photo's quality.

    The quality z is the length of the embedding before it was scaled to unit length, standardised over recent batches and clipped
    to -1 .. 1. The photo's cosine with its own class becomes ``cos(theta - margin * z) - margin * (1 + z)``: among good photos the
    hard ones get more weight, among poor photos the easy ones.

    Args:
        labels: `(b,)` integers, the class of each photo; those outside of 0 .. n - 1 are ignored.
        predictions: `(b, n + 1)`, the cosines of each photo with each class's centre, and in the last column z.
        margin: In [0, pi).
        scale: Factor of the cosines, positive.

    Returns:
        A scalar, the mean over the photos of a class; 0 if there are none.

    Raises:
        ValueError: If an argument is out of range.
    """
    check_margins((1.0, margin, margin))
    quality = ops.stop_gradient(ops.cast(predictions, "float32")[:, -1])

    def penalised(cosine: Tensor) -> Tensor:
        angle = ops.clip(_arccos(cosine) - margin * quality, 0.0, math.pi)
        return ops.cos(angle) - margin * (1.0 + quality)

    return _softmax_loss(labels, predictions[:, :-1], penalised, scale)


def proxy_anchor_loss(labels: Tensor, cosines: Tensor, margin: float = 0.1, scale: float = 32.0) -> Tensor:
    """Compute the proxy-anchor loss (Kim et al. 2020, equation 4): each class's centre pulls its photos and pushes the others.

    Args:
        labels: `(b,)` integers, the class of each photo; those outside of 0 .. n - 1 are ignored.
        cosines: `(b, n)`, of each photo with each class's centre.
        margin: Added to the cosines of other classes and subtracted from that of the own class, at least 0.
        scale: Factor of the cosines, positive.

    Returns:
        A scalar: the mean over the classes of the batch of the pull, and over all classes of the push.

    Raises:
        ValueError: If an argument is out of range.
    """
    check_margins((1.0, 0.0, margin))
    check_positive(scale=scale)
    cosines = ops.cast(ops.convert_to_tensor(cosines), "float32")
    own, known = _one_hot(labels, cosines)
    pull = _soft_sum(-scale * (cosines - margin), own)
    push = _soft_sum(scale * (cosines + margin), known[:, None] - own)
    return masked_mean(pull, ops.max(own, axis=0)) + ops.mean(push)


def check_margins(margins: Margins) -> None:
    """Check the margins of `margin_softmax_loss`.

    Raises:
        ValueError: If they are not three numbers, or if one is out of range.
    """
    if len(margins) != 3:
        raise ValueError(f"margins must be three numbers, got {margins}")
    factor, angle_margin, cosine_margin = margins
    if not (factor >= 1 and 0 <= angle_margin < math.pi and cosine_margin >= 0):
        raise ValueError(f"margins must be at least 1, in [0, pi) and at least 0, got {tuple(margins)}")


def _softmax_loss(labels: Tensor, cosines: Tensor, penalised: Any, scale: float) -> Tensor:
    """Return the mean cross-entropy; the cosine with the own class is replaced by what a function makes of it."""
    check_positive(scale=scale)
    cosines = ops.cast(ops.convert_to_tensor(cosines), "float32")
    own, known = _one_hot(labels, cosines)
    cosine = ops.sum(own * cosines, axis=1)
    change = penalised(cosine) - cosine
    logits = scale * (cosines + own * change[:, None])
    likelihood = ops.sum(own * logits, axis=1) - ops.logsumexp(logits, axis=1)
    return masked_mean(-likelihood, known)


def _one_hot(labels: Tensor, cosines: Tensor) -> tuple[Tensor, Tensor]:
    """Return `(b, n)` float32, 1 at each photo's class, and `(b,)` float32, 1 where it has one."""
    labels = ops.reshape(ops.convert_to_tensor(labels), (-1, 1))
    own = ops.cast(labels == ops.arange(ops.shape(cosines)[1], dtype=labels.dtype)[None, :], "float32")
    return own, ops.sum(own, axis=1)


def _soft_sum(exponents: Tensor, mask: Tensor) -> Tensor:
    """Return ``log(1 + sum(exp(exponents)))`` over the photos of each column that the mask selects."""
    masked = exponents - _MASKED * (1.0 - mask)
    return ops.logsumexp(ops.concatenate([ops.zeros_like(masked[:1]), masked], axis=0), axis=0)


def _arccos(cosine: Tensor) -> Tensor:
    return ops.arccos(ops.clip(cosine, -1.0 + _STEEPEST, 1.0 - _STEEPEST))
