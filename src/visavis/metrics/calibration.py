"""From comparison scores to probabilities, and how far these can be believed."""

from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from visavis.errors import DataError
from visavis.metrics import ErrorCurve

__all__ = [
    "METHODS",
    "Calibration",
    "Reliability",
    "distance_of",
    "fit_calibration",
    "fit_isotonic",
    "fit_sigmoid",
    "measure_reliability",
    "score_of",
]

Floats = npt.NDArray[np.float64]

METHODS = ("logistic", "isotonic")


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
    """What a comparison score is worth as evidence.

    Attributes:
        offset: Of the logistic calibration: the log-likelihood ratio is ``offset - slope * distance``.
        slope: Likewise, positive.
        isotonic: Scores, rising, with the log-likelihood ratio of each, and straight lines between; then it is this that counts.
            Empty: the logistic calibration counts.
    """

    offset: float
    slope: float
    isotonic: tuple[tuple[float, float], ...] = ()

    def log_likelihood_ratio(self, scores: npt.ArrayLike) -> Floats:
        """Return the natural logarithm of how much likelier scores are for one person than for two."""
        cosines = np.asarray(scores, dtype=np.float64)
        if self.isotonic:
            known, ratios = np.array(self.isotonic).T
            return np.asarray(np.interp(cosines, known, ratios))
        return self.offset - self.slope * np.sqrt(np.maximum(0.0, 2.0 - 2.0 * cosines))

    @property
    def even_score(self) -> float:
        """The score that is as likely for one person as for two."""
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
            prior: The part of mated pairs among all that are compared, in (0, 1), before their photos are seen.

        Raises:
            ValueError: If `prior` is out of range.
        """
        if not 0 < prior < 1:
            raise ValueError(f"prior must be in (0, 1). Received: prior={prior}")
        return 1 / (1 + np.exp(-self.log_likelihood_ratio(scores) - np.log(prior / (1 - prior))))


def fit_calibration(curve: ErrorCurve, method: str = "logistic") -> Calibration:
    """Fit a calibration to pairs, mated and non-mated ones each with half of the weight.

    Args:
        curve: The pairs' cosines, from `metrics.error_curve` or `metrics.all_pairs_curve`.
        method: `"logistic"`, two numbers, which some hundred pairs tell well enough; or `"isotonic"`, any rising function, which
            wants thousands.

    Raises:
        DataError: If there are no mated or no non-mated pairs, or if mated pairs are farther apart than non-mated ones.
        ValueError: If there is no such method.
    """
    if method not in METHODS:
        raise ValueError(f"method must be one of {', '.join(METHODS)}. Received: method={method!r}")
    offset, slope = fit_sigmoid(curve)
    return Calibration(offset, slope, fit_isotonic(curve) if method == "isotonic" else ())


def fit_sigmoid(curve: ErrorCurve, *, iterations: int = 100) -> tuple[float, float]:
    """Fit ``sigmoid(offset - slope * distance)`` to pairs, mated and non-mated ones each with half of the weight.

    So 0.5 is where a pair is as likely to be of one person as of two, if both are as frequent. Newton's method on the logistic
    likelihood, with steps halved until they help, and with Platt's (1999) softened targets, which keep the slope finite where the
    pairs separate perfectly.

    Args:
        curve: The pairs' cosines, from `metrics.error_curve` or `metrics.all_pairs_curve`.
        iterations: The most steps of Newton's method.

    Returns:
        Offset and slope, the slope positive.

    Raises:
        DataError: If there are no mated or no non-mated pairs, or if mated pairs are farther apart than non-mated ones.
    """
    scores, mated, nonmated = _shares(curve)
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
        raise DataError("mated pairs are farther apart than non-mated pairs: the embeddings tell nobody apart")
    return float(offset), float(slope)


def fit_isotonic(curve: ErrorCurve) -> tuple[tuple[float, float], ...]:
    """Fit the rising function of the score that makes the pairs likeliest, by pooling adjacent violators.

    One mated pair is added below all scores and one non-mated pair above all, so that no ratio is infinite (Brummer and du Preez,
    2006).

    Returns:
        As in `Calibration.isotonic`.

    Raises:
        DataError: If there are no mated or no non-mated pairs.
    """
    from sklearn.isotonic import isotonic_regression

    scores, mated, nonmated = (values[::-1] for values in _shares(curve))
    scores = np.concatenate([[scores[0]], scores, [scores[-1]]])
    mated = np.concatenate([[1 / curve.mated], mated, [0]])
    nonmated = np.concatenate([[0], nonmated, [1 / curve.nonmated]])
    fitted = isotonic_regression(mated / (mated + nonmated), sample_weight=mated + nonmated)
    block = np.concatenate([[0], np.cumsum(np.diff(fitted) > 0)])
    starts, ends = (np.flatnonzero(np.diff(block, **{side: -1})) for side in ("prepend", "append"))
    ratios = np.log(fitted[starts] / (1 - fitted[starts]))
    knots = [(scores[place], ratio) for pair, ratio in zip(zip(starts, ends, strict=True), ratios, strict=True) for place in pair]
    return tuple(dict.fromkeys((float(score), float(ratio)) for score, ratio in knots))


@dataclass(frozen=True, eq=False)
class Reliability:
    """Probabilities against the truth, in bins of equal width from 0 to 1.

    Attributes:
        prior: The part of mated pairs that is supposed: mated pairs have this weight in all, non-mated ones the rest.
        predicted: `(k,)`, the mean probability of each bin that has pairs.
        observed: `(k,)`, the part of mated pairs in it.
        weight: `(k,)`, the part of all pairs that it has.
        brier: The mean squared difference of probability and truth (Brier, 1950): 0 is perfect, a coin has 0.25.
    """

    prior: float
    predicted: Floats
    observed: Floats
    weight: Floats
    brier: float

    @property
    def ece(self) -> float:
        """Expected calibration error: the mean difference of both over the bins."""
        return float(np.sum(self.weight * np.abs(self.predicted - self.observed)))

    def to_json(self) -> dict[str, Any]:
        """Return it as plain values."""
        bins = {name: getattr(self, name).tolist() for name in ("predicted", "observed", "weight")}
        return {"prior": self.prior, "brier": self.brier, "ece": self.ece, **bins}


def measure_reliability(curve: ErrorCurve, calibration: Calibration, *, prior: float = 0.5, bins: int = 15) -> Reliability:
    """Compare the probabilities of pairs with the truth.

    Args:
        curve: The pairs' cosines; of other people than those that the calibration was fitted to.
        calibration: What gives the probabilities.
        prior: The part of mated pairs that is supposed, in (0, 1).
        bins: How many, of equal width.

    Raises:
        DataError: If there are no mated or no non-mated pairs.
        ValueError: If `prior` is out of range.
    """
    scores, mated, nonmated = _shares(curve)
    probabilities = calibration.probability(scores, prior=prior)
    mated, nonmated = prior * mated, (1 - prior) * nonmated
    places = np.minimum((probabilities * bins).astype(int), bins - 1)
    weight, inside, predicted = (
        np.bincount(places, weights=values, minlength=bins).astype(np.float64)
        for values in (mated + nonmated, mated, (mated + nonmated) * probabilities)
    )
    seen = weight > 0
    brier = float(np.sum(mated * (1 - probabilities) ** 2 + nonmated * probabilities**2))
    return Reliability(prior, predicted[seen] / weight[seen], inside[seen] / weight[seen], weight[seen], brier)


def _shares(curve: ErrorCurve) -> tuple[Floats, Floats, Floats]:
    """Scores that occur, falling, with the part of all mated and of all non-mated pairs that each has."""
    if not curve.mated or not curve.nonmated:
        raise DataError(
            f"a calibration needs mated and non-mated pairs. Received: {curve.mated} mated and {curve.nonmated} non-mated pairs"
        )
    mated = np.diff(curve.accepted_mated, prepend=0) / curve.mated
    nonmated = np.diff(curve.accepted_nonmated, prepend=0) / curve.nonmated
    seen = (mated + nonmated) > 0
    return curve.thresholds[seen].astype(np.float64), mated[seen], nonmated[seen]
