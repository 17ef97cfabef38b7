"""How reliable probabilities are: calibration error, Brier score, and the costs Cllr and DCF of log-likelihood ratios."""

from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from visavis.errors import check_numbers
from visavis.metrics.calibration import Calibration, fit_isotonic, score_shares
from visavis.metrics.curves import ErrorCurve
from visavis.wording import counted

__all__ = [
    "NIST_COSTS",
    "CostSummary",
    "Costs",
    "DetectionCost",
    "Reliability",
    "cllr",
    "cllr_costs",
    "dcf",
    "measure_reliability",
    "min_cllr",
    "min_dcf",
    "summarise_costs",
]

Floats = npt.NDArray[np.float64]


@dataclass(frozen=True, eq=False)
class Reliability:
    """Probabilities compared with the truth, in bins of equal width from 0 to 1.

    Attributes:
        prior: The assumed share of mated pairs: they have this weight in all, non-mated ones the rest.
        predicted: `(k,)`, the mean probability of each bin that has pairs.
        observed: `(k,)`, the share of mated pairs in it.
        weight: `(k,)`, the share of all pairs that it has.
        brier: The mean squared difference of probability and truth (Brier, 1950): 0 is perfect, always answering 0.5 has 0.25.
    """

    prior: float
    predicted: Floats
    observed: Floats
    weight: Floats
    brier: float

    def __repr__(self) -> str:
        """Show the calibration error and the Brier score."""
        return f"Reliability(prior={self.prior:g}, ece={self.ece:.4f}, brier={self.brier:.4f}, {counted(len(self.weight), 'bin')})"

    @property
    def ece(self) -> float:
        """Expected calibration error: the weighted mean difference of both over the bins."""
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
        prior: The assumed share of mated pairs, in (0, 1).
        bins: How many, of equal width.

    Raises:
        DataError: If there are no mated or no non-mated pairs.
        ValueError: If `prior` is out of range.
    """
    scores, mated, nonmated = score_shares(curve)
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


@dataclass(frozen=True)
class Costs:
    """What decisions cost, and how often pairs are mated.

    Attributes:
        prior: The probability of a mated pair, in (0, 1).
        miss: The cost of a false non-match, positive.
        false_match: The cost of a false match, positive.
    """

    prior: float
    miss: float = 1.0
    false_match: float = 1.0

    def __post_init__(self) -> None:
        """Check the ranges."""
        check_numbers(self)
        if not 0 < self.prior < 1:
            raise ValueError(f"prior must be in (0, 1), got {self.prior}")
        if not (self.miss > 0 and self.false_match > 0):
            raise ValueError(f"costs must be positive, got miss={self.miss} and false_match={self.false_match}")

    @property
    def threshold(self) -> float:
        """The log-likelihood ratio from which on accepting costs less (Bayes)."""
        return float(np.log(self.false_match * (1 - self.prior) / (self.miss * self.prior)))

    @property
    def default(self) -> float:
        """What always accepting or always rejecting costs, whichever is less; costs are divided by it."""
        return min(self.miss * self.prior, self.false_match * (1 - self.prior))

    def of(self, fmr: npt.ArrayLike, fnmr: npt.ArrayLike) -> Floats:
        """Return the detection cost of error rates, divided by `default`."""
        cost = self.miss * self.prior * np.asarray(fnmr) + self.false_match * (1 - self.prior) * np.asarray(fmr)
        return np.asarray(cost / self.default)


NIST_COSTS = (Costs(0.01), Costs(0.001))
"""The operating points of NIST's speaker recognition evaluations, both errors costing 1."""


@dataclass(frozen=True)
class DetectionCost:
    """The detection cost of decisions by calibrated scores.

    Attributes:
        costs: What errors cost.
        actual: At the threshold that the calibration gives for these costs.
        minimum: At the best threshold of these pairs; the difference is what miscalibration costs.
    """

    costs: Costs
    actual: float
    minimum: float


@dataclass(frozen=True, eq=False)
class CostSummary:
    """What calibrated scores cost on pairs.

    Attributes:
        cllr: See `cllr`.
        min_cllr: See `min_cllr`.
        detection: Detection costs, actual and minimum.
        by_threshold: What `cllr_costs` gives for the thresholds of resampled curves.
    """

    cllr: float
    min_cllr: float
    detection: tuple[DetectionCost, ...]
    by_threshold: tuple[Floats, Floats]

    def __repr__(self) -> str:
        """Show Cllr and its minimum."""
        return f"CostSummary(cllr={self.cllr:.4f}, min_cllr={self.min_cllr:.4f})"

    def to_json(self) -> dict[str, Any]:
        """Return it as plain values."""
        detection = [
            {
                "prior": row.costs.prior,
                "miss": row.costs.miss,
                "false_match": row.costs.false_match,
                "dcf": row.actual,
                "min_dcf": row.minimum,
            }
            for row in self.detection
        ]
        return {"cllr": self.cllr, "min_cllr": self.min_cllr, "detection_costs": detection}


def summarise_costs(
    curve: ErrorCurve, calibration: Calibration, thresholds: Floats, costs: tuple[Costs, ...] = NIST_COSTS
) -> CostSummary:
    """Return Cllr and detection costs of pairs.

    Args:
        curve: The pairs' scores.
        calibration: What gives the log-likelihood ratios.
        thresholds: `(k,)`, falling, those of resampled curves; the last accepts every pair.
        costs: What errors cost.
    """
    detection = tuple(DetectionCost(each, dcf(curve, calibration, each), min_dcf(curve, each)) for each in costs)
    columns = cllr_costs(curve, calibration, np.append(np.inf, thresholds))
    return CostSummary(cllr(curve, calibration), min_cllr(curve), detection, columns)


def cllr(curve: ErrorCurve, calibration: Calibration) -> float:
    """Return the cost of log-likelihood ratios in bits (Brummer and du Preez, 2006): 0 is perfect, 1 is that of no information.

    Args:
        curve: The pairs' scores, of other people than those that the calibration was fitted to.
        calibration: What gives the log-likelihood ratios.

    Raises:
        DataError: If there are no mated or no non-mated pairs.
    """
    scores, mated, nonmated = score_shares(curve)
    ratios = calibration.log_likelihood_ratio(scores)
    return float((mated @ np.logaddexp(0, -ratios) + nonmated @ np.logaddexp(0, ratios)) / (2 * np.log(2)))


def cllr_costs(curve: ErrorCurve, calibration: Calibration, thresholds: Floats) -> tuple[Floats, Floats]:
    """Return the mean cost in bits of mated and of non-mated pairs between neighbouring falling thresholds `(k,)`: `(k,)` each.

    The last threshold must accept every pair; infinity costs what a score of 1 costs.
    """
    scores, mated, nonmated = score_shares(curve)
    places = np.searchsorted(-thresholds, -scores, side="left")
    at = calibration.log_likelihood_ratio(np.minimum(thresholds, 1.0))
    ratios, columns = calibration.log_likelihood_ratio(scores), len(thresholds)
    costs = []
    for sign, weights in ((-1, mated), (1, nonmated)):
        weight = np.bincount(places, weights=weights, minlength=columns)
        total = np.bincount(places, weights=weights * np.logaddexp(0, sign * ratios), minlength=columns)
        costs.append(np.where(weight > 0, total / np.maximum(weight, 1e-300), np.logaddexp(0, sign * at)) / np.log(2))
    return costs[0], costs[1]


def min_cllr(curve: ErrorCurve) -> float:
    """Return `cllr` with the best calibration of these very pairs: what is lost by discrimination alone.

    Raises:
        DataError: If there are no mated or no non-mated pairs.
    """
    return cllr(curve, Calibration(0.0, 1.0, fit_isotonic(curve)))


def dcf(curve: ErrorCurve, calibration: Calibration, costs: Costs) -> float:
    """Return the detection cost at the threshold that the calibration gives for these costs; 1 is that of ignoring the photos."""
    scores, mated, nonmated = score_shares(curve)
    accepted = calibration.log_likelihood_ratio(scores) >= costs.threshold
    return float(costs.of(nonmated[accepted].sum(), mated[~accepted].sum()))


def min_dcf(curve: ErrorCurve, costs: Costs) -> float:
    """Return the detection cost at the best threshold of these pairs."""
    return float(min(1.0, costs.of(curve.fmr, curve.fnmr).min()))
