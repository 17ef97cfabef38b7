"""Histograms of mated and non-mated scores, small enough to travel with a model, and what they predict for other photos."""

from dataclasses import asdict, dataclass
from typing import Any

import numpy as np

from visavis.errors import DataError
from visavis.metrics.curves import ErrorCurve
from visavis.metrics.scores import PairScores

__all__ = ["PopulationCheck", "ScoreHistogram", "predict_fmr", "score_histogram"]

_MIN_PHOTOS = 10
_QUARTILES = (0.25, 0.5, 0.75)
_RATIO = 1.5  # of the rates, from which on a population is called different


@dataclass(frozen=True)
class ScoreHistogram:
    """Pairs counted in bins of equal width.

    Attributes:
        low: Where the first bin begins.
        high: Where the last one ends.
        mated: Mated pairs in each bin.
        nonmated: Non-mated pairs in each bin.
        chosen_on: The population whose pairs they are.
    """

    low: float
    high: float
    mated: tuple[int, ...]
    nonmated: tuple[int, ...]
    chosen_on: str

    def __repr__(self) -> str:
        """Show how many pairs of which people there are."""
        pairs = f"{sum(self.mated):,} mated and {sum(self.nonmated):,} non-mated pairs"
        return f"ScoreHistogram({pairs} of {self.chosen_on}, {len(self.mated)} bins)"


def score_histogram(curve: ErrorCurve, *, chosen_on: str, bins: int = 100) -> ScoreHistogram:
    """Count pairs by their score, from -1 to 1.

    Args:
        curve: The pairs' cosines, from `metrics.error_curve` or `metrics.all_pairs_curve`.
        chosen_on: The population whose pairs they are.
        bins: How many.

    Example:
        >>> from visavis.metrics import error_curve
        >>> found = score_histogram(error_curve([0.9, 0.2, -0.3], [1, 0, 0]), chosen_on="three pairs", bins=4)
        >>> found.mated, found.nonmated
        ((0, 0, 0, 1), (0, 1, 1, 0))
    """
    low, high = -1.0, 1.0
    places = np.clip(curve.thresholds, low, high)
    mated, nonmated = (
        tuple(map(int, np.histogram(places, bins, (low, high), weights=np.diff(accepted, prepend=0))[0]))
        for accepted in (curve.accepted_mated, curve.accepted_nonmated)
    )
    return ScoreHistogram(low, high, mated, nonmated, chosen_on)


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
    """

    threshold: float
    chosen_on: str
    photos: int
    pairs: int
    shift: float
    scale: float
    fmr_chosen: float
    fmr_expected: float

    @property
    def higher(self) -> bool:
        """Whether more false matches are to be expected than where the threshold was chosen."""
        return self.fmr_expected > _RATIO * self.fmr_chosen

    def to_json(self) -> dict[str, Any]:
        """Return it as plain values."""
        return {**asdict(self), "higher": self.higher}

    def __str__(self) -> str:
        """Return a one-paragraph summary."""
        rates = (
            f"expect an FMR of about {self.fmr_expected:.2g} at threshold {self.threshold:.4f}, against {self.fmr_chosen:.2g} there"
        )
        if self.higher:
            return (
                f"these photos score higher among different people than those of {self.chosen_on}, which the threshold was "
                f"chosen on: {rates}"
            )
        return f"these photos do not score higher among different people than {self.chosen_on}: {rates}"


def predict_fmr(scores: PairScores, histogram: ScoreHistogram, threshold: float) -> PopulationCheck:
    """Predict the false match rate of other photos from the quartiles of their non-mated scores.

    The non-mated scores of the histogram are shifted and scaled so that their quartiles are those of the photos. Quartiles hardly
    depend on mated pairs that are taken for non-mated ones, as in unlabelled photos.

    Args:
        scores: All pairs of the photos; only the non-mated ones are used.
        histogram: The scores of the population that the threshold was chosen on.
        threshold: The score from which on a pair is accepted.

    Raises:
        DataError: If there are fewer than ten photos.
    """
    if len(scores.people) < _MIN_PHOTOS:
        raise DataError(f"a population check needs at least {_MIN_PHOTOS} photos, got {len(scores.people)}")
    edges = np.linspace(histogram.low, histogram.high, len(histogram.nonmated) + 1)
    share = np.append(0, np.cumsum(histogram.nonmated)) / sum(histogram.nonmated)
    known = np.interp(_QUARTILES, share, edges)
    curve = scores.curve
    below = 1 - curve.fmr[::-1]
    found = np.interp(_QUARTILES, below, curve.thresholds[::-1])
    scale = float((found[2] - found[0]) / max(1e-6, known[2] - known[0]))
    shift = float(found[1] - known[1])
    moved = known[1] + (threshold - found[1]) / max(1e-6, scale)
    rates = [float(1 - np.interp(limit, edges, share)) for limit in (threshold, moved)]
    return PopulationCheck(threshold, histogram.chosen_on, len(scores.people), curve.nonmated, shift, scale, rates[0], rates[1])
