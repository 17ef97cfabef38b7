"""Histograms of mated and non-mated scores, small enough to travel with a model."""

from dataclasses import dataclass

import numpy as np

from visavis.metrics.curves import ErrorCurve
from visavis.wording import counted

__all__ = ["ScoreHistogram", "score_histogram"]


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
        pairs = f"{sum(self.mated):,} mated and {counted(sum(self.nonmated), 'non-mated pair')}"
        return f"ScoreHistogram({pairs} of {self.chosen_on}, {counted(len(self.mated), 'bin')})"


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
