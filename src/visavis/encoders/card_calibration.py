"""Cards with thresholds and probabilities fitted to given people."""

from collections.abc import Mapping, Sequence
from dataclasses import replace

import numpy as np
import numpy.typing as npt

from visavis.encoders.card import Card, Population
from visavis.errors import DataError
from visavis.metrics import ErrorCurve, all_pairs_curve
from visavis.metrics.calibration import Calibration, fit_calibration, score_of
from visavis.metrics.histograms import score_histogram
from visavis.metrics.operating_points import OperatingPoint, threshold_for_fmr

__all__ = ["calibrated", "with_rules", "with_worst_rules"]


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
    card = replace(card, calibration=calibration, threshold=likelier, operating_points=(), populations=(), histogram=histogram)
    return with_rules(card, embeddings, labels, target_fmrs, chosen_on=chosen_on) if target_fmrs else card


def with_rules(
    card: Card, embeddings: npt.NDArray[np.float32], labels: npt.ArrayLike, target_fmrs: Sequence[float], *, chosen_on: str
) -> Card:
    """Return a card that decides by the threshold for the first of these false match rates, and knows those for the others."""
    first, *others = (threshold_for_fmr(embeddings, labels, target, chosen_on=chosen_on) for target in target_fmrs)
    histogram = score_histogram(all_pairs_curve(embeddings, labels), chosen_on=chosen_on)
    return replace(card, threshold=first, operating_points=tuple(others), populations=(), histogram=histogram)


def with_worst_rules(
    card: Card, people: Mapping[str, tuple[npt.NDArray[np.float32], npt.NDArray[np.int64]]], target_fmrs: Sequence[float]
) -> Card:
    """Return a card with the operating points and the calibration of whichever of several populations asks for more caution.

    For each false match rate the highest of the populations' thresholds is kept, among the populations that can show such a rate.
    Of the calibrations the one is kept whose probability reaches 0.95 at the highest score.

    Args:
        card: The model's card so far.
        people: Of each population, by name, embeddings `(n, d)`, rows of unit length, and labels `(n,)`.
        target_fmrs: False match rates; by the first one's threshold the model decides if nobody asks for another.

    Raises:
        DataError: If no population can show one of these rates.
    """
    curves = {name: all_pairs_curve(*found) for name, found in people.items()}
    first, *others = points = [_highest(people, target) for target in target_fmrs]
    populations = tuple(
        Population(name, len(labels), tuple(_measured_on(point, name, curves[name], labels) for point in points))
        for name, (_, labels) in people.items()
    )
    return replace(
        card,
        calibration=max(map(fit_calibration, curves.values()), key=_surely_the_same),
        threshold=first,
        operating_points=tuple(others),
        populations=populations,
        histogram=score_histogram(curves[first.chosen_on], chosen_on=first.chosen_on),
    )


def _highest(people: Mapping[str, tuple[npt.NDArray[np.float32], npt.NDArray[np.int64]]], target: float) -> OperatingPoint:
    """The highest of the populations' thresholds for a false match rate."""
    points, refused = [], DataError("an operating point needs a population, got none")
    for name, (embeddings, labels) in people.items():
        try:
            points.append(threshold_for_fmr(embeddings, labels, target, chosen_on=name))
        except DataError as error:
            refused = error
    if not points:
        raise refused
    return max(points, key=lambda point: point.score)


def _measured_on(point: OperatingPoint, name: str, curve: ErrorCurve, labels: npt.NDArray[np.int64]) -> OperatingPoint:
    """The same threshold with what it does to other people."""
    measured = OperatingPoint.tried(point.score, curve, chosen_on=name, people=len(np.unique(labels)))
    return replace(measured, target_fmr=point.target_fmr)


def _surely_the_same(calibration: Calibration) -> float:
    """The score whose probability is 0.95 at even odds."""
    return score_of((calibration.offset - np.log(0.95 / 0.05)) / calibration.slope)
