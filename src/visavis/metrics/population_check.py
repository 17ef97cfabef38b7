"""Predict the false match rate of a threshold on other photos from the quartiles of their non-mated scores.

The non-mated scores of the population that the threshold was chosen on are shifted and scaled so that their quartiles are those of
the photos. Quartiles hardly depend on mated pairs that are taken for non-mated ones, as in unlabelled photos.
"""

from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from visavis.errors import DataError
from visavis.metrics.bootstrap import PeopleCurves, curve_points
from visavis.metrics.histograms import ScoreHistogram
from visavis.metrics.intervals import RESAMPLES
from visavis.metrics.scores import PairScores

__all__ = ["PopulationCheck", "predict_fmr", "predict_fmr_of_scores"]

Floats = npt.NDArray[np.float64]

_MIN_PHOTOS = 10
_QUARTILES = np.array([0.25, 0.5, 0.75])
_RATIO = 1.5  # of the rates, from which on a population is called different


@dataclass(frozen=True)
class PopulationCheck:
    """What a threshold is expected to do to another population than the one it was chosen on.

    Attributes:
        threshold: The score from which on a pair is accepted.
        chosen_on: The population of the histogram.
        photos: How many photos of the other population were compared.
        pairs: How many pairs of theirs.
        shift: How much higher their median non-mated score is.
        scale: How much wider their non-mated scores spread, as a ratio.
        fmr_chosen: The false match rate of the histogram.
        fmr_expected: The false match rate to expect.
        interval: The 95 % interval of that, as far as it depends on which people the photos are of, not on how well the shape of
            the scores carries over.
    """

    threshold: float
    chosen_on: str
    photos: int
    pairs: int
    shift: float
    scale: float
    fmr_chosen: float
    fmr_expected: float
    interval: tuple[float, float]

    @property
    def higher(self) -> bool:
        """Whether more false matches are to be expected than where the threshold was chosen, beyond chance."""
        return self.fmr_expected > _RATIO * self.fmr_chosen and self.interval[0] > self.fmr_chosen

    def to_json(self) -> dict[str, Any]:
        """Return it as plain values."""
        return {**asdict(self), "interval": list(self.interval), "higher": self.higher}

    def __str__(self) -> str:
        """Return a one-paragraph summary."""
        low, high = self.interval
        rates = (
            f"expect an FMR of about {self.fmr_expected:.2g} ({low:.2g} to {high:.2g}) at threshold {self.threshold:.4f}, "
            f"against {self.fmr_chosen:.2g} there"
        )
        if self.higher:
            return (
                f"these photos score higher among different people than those of {self.chosen_on}, which the threshold was "
                f"chosen on: {rates}"
            )
        if high > _RATIO * self.fmr_chosen:
            unclear = f"{self.photos:,} photos do not show whether they score higher among different people than {self.chosen_on}"
            return f"{unclear}: {rates}"
        return f"these photos do not score higher among different people than {self.chosen_on}: {rates}"


def predict_fmr(scores: PairScores, histogram: ScoreHistogram, threshold: float) -> PopulationCheck:
    """Predict the false match rate of other photos.

    Args:
        scores: All pairs of the photos; only the non-mated ones are used. For unlabelled photos: each its own person.
        histogram: The scores of the population that the threshold was chosen on.
        threshold: The score from which on a pair is accepted.

    Raises:
        DataError: If there are fewer than ten photos.
    """
    if len(scores.people) < _MIN_PHOTOS:
        raise DataError(f"a population check needs at least {_MIN_PHOTOS} photos, got {len(scores.people)}")
    curves = PeopleCurves.of(scores, curve_points(scores.curve))
    below = 1 - curves.resampled().fmr[:, ::-1]
    quartiles = np.array([np.interp(_QUARTILES, row, curves.thresholds[::-1]) for row in below])
    return _check(quartiles, histogram, threshold, photos=len(scores.people), pairs=scores.curve.nonmated)


def predict_fmr_of_scores(scores: npt.NDArray[np.floating], histogram: ScoreHistogram, threshold: float) -> PopulationCheck:
    """Predict the false match rate from scores `(n, k)` of n photos, each with k photos of most likely other people.

    Raises:
        DataError: If there are fewer than ten photos.
    """
    photos, each = scores.shape
    if photos < _MIN_PHOTOS:
        raise DataError(f"a population check needs at least {_MIN_PHOTOS} photos, got {photos}")
    order = np.argsort(scores, axis=None)
    ordered, photo = scores.ravel()[order].astype(np.float64), order // each
    weights = np.random.default_rng(0).standard_exponential((RESAMPLES // 4, photos))
    weights[0] = 1
    quartiles = []
    for row in weights:
        weight = row[photo]
        quartiles.append(np.interp(_QUARTILES, (np.cumsum(weight) - weight / 2) / weight.sum(), ordered))
    return _check(np.array(quartiles), histogram, threshold, photos=photos, pairs=scores.size)


def _check(quartiles: Floats, histogram: ScoreHistogram, threshold: float, *, photos: int, pairs: int) -> PopulationCheck:
    """Return the check of quartiles `(r, 3)`, of which the first row is not resampled."""
    edges = np.linspace(histogram.low, histogram.high, len(histogram.nonmated) + 1)
    share = np.append(0, np.cumsum(histogram.nonmated)) / sum(histogram.nonmated)
    known = np.interp(_QUARTILES, share, edges)
    scale = (quartiles[:, 2] - quartiles[:, 0]) / max(1e-6, known[2] - known[0])
    moved = known[1] + (threshold - quartiles[:, 1]) / np.maximum(1e-6, scale)
    expected = 1 - np.interp(moved, edges, share)
    low, high = np.quantile(expected[1:], [0.025, 0.975])
    return PopulationCheck(
        threshold,
        histogram.chosen_on,
        photos,
        pairs,
        shift=float(quartiles[0, 1] - known[1]),
        scale=float(scale[0]),
        fmr_chosen=float(1 - np.interp(threshold, edges, share)),
        fmr_expected=float(expected[0]),
        interval=(float(low), float(high)),
    )
