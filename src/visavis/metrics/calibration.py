"""Calibration: from comparison scores to log-likelihood ratios and probabilities."""

from dataclasses import dataclass
from typing import Literal

import numpy as np
import numpy.typing as npt

from visavis.errors import DataError, check_option
from visavis.metrics import ErrorCurve
from visavis.wording import counted

__all__ = [
    "Calibration",
    "Method",
    "distance_of",
    "fit_calibration",
    "fit_isotonic",
    "fit_sigmoid",
    "score_of",
    "score_shares",
]

Floats = npt.NDArray[np.float64]

Method = Literal["logistic", "isotonic"]


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


@dataclass(frozen=True)
class Calibration:
    """The log-likelihood ratio of a comparison score.

    Attributes:
        offset: Of the logistic calibration: the log-likelihood ratio is ``offset - slope * distance``.
        slope: Likewise, positive.
        isotonic: Scores, rising, with the log-likelihood ratio of each, linear between them; used instead where given. Empty: the
            logistic calibration is used.
    """

    offset: float
    slope: float
    isotonic: tuple[tuple[float, float], ...] = ()

    def __repr__(self) -> str:
        """Show the logistic parameters, and how many points an isotonic calibration has."""
        points = f", isotonic with {counted(len(self.isotonic), 'point')}" if self.isotonic else ""
        return f"Calibration(offset={self.offset:.4g}, slope={self.slope:.4g}{points})"

    def log_likelihood_ratio(self, scores: npt.ArrayLike) -> Floats:
        """Return the natural logarithm of the likelihood ratio of scores: mated to non-mated."""
        cosines = np.asarray(scores, dtype=np.float64)
        if self.isotonic:
            known, ratios = np.array(self.isotonic).T
            return np.asarray(np.interp(cosines, known, ratios))
        return self.offset - self.slope * np.sqrt(np.maximum(0.0, 2.0 - 2.0 * cosines))

    @property
    def even_score(self) -> float:
        """The score at which the likelihood ratio is 1: the threshold of a decision without prior."""
        if not self.isotonic:
            return score_of(max(0.0, self.offset / self.slope))
        scores, ratios = np.array(self.isotonic).T
        after = int(np.argmax(ratios >= 0))
        if after == 0:
            return float(scores[0])
        return float(np.interp(0.0, ratios[after - 1 : after + 1], scores[after - 1 : after + 1]))

    def probability(self, scores: npt.ArrayLike, *, prior: float = 0.5) -> Floats:
        """Return the probability of "the same person".

        Args:
            scores: Comparison scores.
            prior: The probability of a mated pair before the photos are seen, in (0, 1).

        Raises:
            ValueError: If `prior` is out of range.
        """
        if not 0 < prior < 1:
            raise ValueError(f"prior must be in (0, 1), got {prior}")
        return 1 / (1 + np.exp(-self.log_likelihood_ratio(scores) - np.log(prior / (1 - prior))))


def fit_calibration(curve: ErrorCurve, method: Method = "logistic") -> Calibration:
    """Fit a calibration to pairs; mated and non-mated ones have half of the weight each.

    Args:
        curve: The pairs' cosines, from `metrics.error_curve` or `metrics.all_pairs_curve`.
        method: `"logistic"`, two parameters, which some hundred pairs determine; or `"isotonic"`, any rising function, which needs
            thousands.

    Raises:
        DataError: If there are no mated or no non-mated pairs, or if mated pairs do not score higher than non-mated ones.
        ValueError: If `method` is another one.
    """
    check_option("method", method, Method)
    offset, slope = fit_sigmoid(curve)
    return Calibration(offset, slope, fit_isotonic(curve) if method == "isotonic" else ())


def fit_sigmoid(curve: ErrorCurve, *, iterations: int = 100) -> tuple[float, float]:
    """Fit ``sigmoid(offset - slope * distance)`` to pairs, mated and non-mated ones with half of the weight each.

    So 0.5 is where a pair is as likely to be of one person as of two, if both are as frequent. Newton's method on the logistic
    likelihood, with steps halved until they help, and with Platt's (1999) softened targets, which keep the slope finite where the
    pairs separate perfectly.

    Args:
        curve: The pairs' cosines, from `metrics.error_curve` or `metrics.all_pairs_curve`.
        iterations: Steps of Newton's method, at most.

    Returns:
        Offset and slope, the slope positive.

    Raises:
        DataError: If there are no mated or no non-mated pairs, or if mated pairs do not score higher than non-mated ones.
    """
    scores, mated, nonmated = score_shares(curve)
    distances = np.sqrt(np.maximum(0.0, 2.0 - 2.0 * scores))
    inputs = np.stack([np.ones_like(distances), -distances], axis=1)
    weights = (mated + nonmated) / 2
    softened = (curve.mated + 1) / (curve.mated + 2), 1 / (curve.nonmated + 2)
    targets = (mated * softened[0] + nonmated * softened[1]) / 2

    def loss(parameters: Floats) -> float:
        logits = inputs @ parameters
        return float(np.sum(weights * np.logaddexp(0, logits) - targets * logits))

    parameters = np.array([1.0, 1.0])
    for _ in range(iterations):
        probabilities = 1 / (1 + np.exp(-np.clip(inputs @ parameters, -50, 50)))
        gradient = inputs.T @ (targets - weights * probabilities)
        curvature = (inputs * (weights * probabilities * (1 - probabilities))[:, None]).T @ inputs
        step = np.linalg.solve(curvature + 1e-9 * np.eye(2), gradient)
        while loss(parameters + step) > loss(parameters) and np.abs(step).max() > 1e-8:
            step /= 2
        parameters += step
        if np.abs(step).max() < 1e-8:
            break
    offset, slope = parameters
    if not slope > 0:
        raise DataError("mated pairs do not score higher than non-mated pairs: the embeddings do not tell people apart")
    return float(offset), float(slope)


def fit_isotonic(curve: ErrorCurve) -> tuple[tuple[float, float], ...]:
    """Fit the rising function of the score with the highest likelihood, by pooling adjacent violators.

    One mated pair is added below all scores and one non-mated pair above all, so that no ratio is infinite (Brummer and du Preez,
    2006).

    Returns:
        As in `Calibration.isotonic`.

    Raises:
        DataError: If there are no mated or no non-mated pairs.
    """
    from sklearn.isotonic import isotonic_regression

    scores, mated, nonmated = (values[::-1] for values in score_shares(curve))
    scores = np.concatenate([[scores[0]], scores, [scores[-1]]])
    mated = np.concatenate([[1 / curve.mated], mated, [0]])
    nonmated = np.concatenate([[0], nonmated, [1 / curve.nonmated]])
    fitted = isotonic_regression(mated / (mated + nonmated), sample_weight=mated + nonmated)
    block = np.concatenate([[0], np.cumsum(np.diff(fitted) > 0)])
    starts, ends = (np.flatnonzero(np.diff(block, **{side: -1})) for side in ("prepend", "append"))
    ratios = np.log(fitted[starts] / (1 - fitted[starts]))
    knots = [(scores[place], ratio) for pair, ratio in zip(zip(starts, ends, strict=True), ratios, strict=True) for place in pair]
    return tuple(dict.fromkeys((float(score), float(ratio)) for score, ratio in knots))


def score_shares(curve: ErrorCurve) -> tuple[Floats, Floats, Floats]:
    """Return the scores that occur, falling, with the share of all mated and of all non-mated pairs that each has, `(k,)` each.

    Raises:
        DataError: If there are no mated or no non-mated pairs.
    """
    if not curve.mated or not curve.nonmated:
        raise DataError(
            f"a calibration needs mated and non-mated pairs, got {curve.mated} mated and "
            f"{counted(curve.nonmated, 'non-mated pair')}"
        )
    return curve.shares
