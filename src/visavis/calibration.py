"""From comparison scores to probabilities."""

import numpy as np

from visavis.errors import DataError
from visavis.metrics import ErrorCurve

__all__ = ["distance_of", "fit_sigmoid", "score_of"]


def distance_of(score: float) -> float:
    """Return the Euclidean distance of two unit embeddings whose cosine is `score`.

    Example:
        >>> distance_of(1.0), distance_of(0.5), distance_of(-1.0)
        (0.0, 1.0, 2.0)
    """
    return float(np.sqrt(max(0.0, 2.0 - 2.0 * score)))


def score_of(distance: float) -> float:
    """Return the cosine of two unit embeddings that are `distance` apart; the inverse of `distance_of`."""
    return 1.0 - distance**2 / 2.0


def fit_sigmoid(curve: ErrorCurve, *, iterations: int = 100) -> tuple[float, float]:
    """Fit ``sigmoid(offset - slope * distance)`` to pairs, mated and non-mated ones each with half of the weight.

    So 0.5 is where a pair is as likely to be of one person as of two, if both are as frequent. Newton's method on the logistic
    likelihood, with Platt's (1999) softened targets, which keep the slope finite where the pairs separate perfectly.

    Args:
        curve: The pairs' cosines, from `metrics.error_curve` or `metrics.all_pairs_curve`.
        iterations: The most steps of Newton's method.

    Returns:
        Offset and slope, the slope positive.

    Raises:
        DataError: If there are no mated or no non-mated pairs, or if mated pairs are farther apart than non-mated ones.
    """
    if not curve.mated or not curve.nonmated:
        raise DataError(
            f"a calibration needs mated and non-mated pairs. Received: {curve.mated} mated and {curve.nonmated} non-mated pairs"
        )
    mated = np.diff(curve.accepted_mated, prepend=0)
    nonmated = np.diff(curve.accepted_nonmated, prepend=0)
    seen = (mated + nonmated) > 0
    mated, nonmated = mated[seen], nonmated[seen]
    distances = np.sqrt(np.maximum(0.0, 2.0 - 2.0 * curve.thresholds[seen].astype(np.float64)))
    inputs = np.stack([np.ones_like(distances), -distances], axis=1)
    weights = mated / (2 * curve.mated) + nonmated / (2 * curve.nonmated)
    softened = (curve.mated + 1) / (curve.mated + 2), 1 / (curve.nonmated + 2)
    targets = mated / (2 * curve.mated) * softened[0] + nonmated / (2 * curve.nonmated) * softened[1]
    parameters = np.array([1.0, 1.0])
    for _ in range(iterations):
        probabilities = 1 / (1 + np.exp(-np.clip(inputs @ parameters, -50, 50)))
        gradient = inputs.T @ (targets - weights * probabilities)
        curvature = (inputs * (weights * probabilities * (1 - probabilities))[:, None]).T @ inputs
        step = np.linalg.solve(curvature + 1e-9 * np.eye(2), gradient)
        parameters += np.clip(step, -5.0, 5.0)
        if np.abs(step).max() < 1e-8:
            break
    offset, slope = parameters
    if not slope > 0:
        raise DataError("mated pairs are farther apart than non-mated pairs: the embeddings tell nobody apart")
    return float(offset), float(slope)
