"""Cards with thresholds and probabilities fitted to given people."""

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
import numpy.typing as npt

from visavis.encoders.card import Card
from visavis.metrics import all_pairs_curve
from visavis.metrics.calibration import fit_calibration
from visavis.metrics.histograms import score_histogram
from visavis.metrics.operating_points import OperatingPoint, threshold_for_fmr

__all__ = ["calibrated", "with_rules"]


def calibrated(
    card: Card,
    embeddings: npt.NDArray[np.float32],
    labels: npt.ArrayLike,
    *,
    target_fmrs: Sequence[float] = (),
    method: str = "logistic",
    chosen_on: str = "calibration people",
) -> Card:
    """Return a card whose probabilities and decision rules are made for these people.

    Args:
        card: The model's card so far.
        embeddings: `(n, d)`, rows of unit length, of people that the model did not learn from.
        labels: `(n,)`, equal for photos of one person.
        target_fmrs: As in `calibrate_model`.
        method: Likewise.
        chosen_on: Who these people are.

    Raises:
        DataError: If these people are too few to show such a rate.
        ValueError: If an argument is out of range.
    """
    curve = all_pairs_curve(embeddings, labels)
    calibration = fit_calibration(curve, method)
    likelier = OperatingPoint.tried(calibration.even_score, curve, chosen_on=chosen_on, people=len(np.unique(labels)))
    histogram = score_histogram(curve, chosen_on=chosen_on)
    card = replace(card, calibration=calibration, threshold=likelier, operating_points=(), histogram=histogram)
    return with_rules(card, embeddings, labels, target_fmrs, chosen_on=chosen_on) if target_fmrs else card


def with_rules(
    card: Card, embeddings: npt.NDArray[np.float32], labels: npt.ArrayLike, target_fmrs: Sequence[float], *, chosen_on: str
) -> Card:
    """Return a card that decides by the threshold for the first of these false match rates, and knows those for the others."""
    first, *others = (threshold_for_fmr(embeddings, labels, target, chosen_on=chosen_on) for target in target_fmrs)
    histogram = score_histogram(all_pairs_curve(embeddings, labels), chosen_on=chosen_on)
    return replace(card, threshold=first, operating_points=tuple(others), histogram=histogram)
