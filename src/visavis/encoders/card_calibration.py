"""Cards with operating points and probabilities fitted to given people."""

import logging
from collections.abc import Sequence
from dataclasses import replace

import numpy as np
import numpy.typing as npt

from visavis.encoders.card import Card
from visavis.errors import DataError, ModelError
from visavis.metrics import score_all_pairs
from visavis.metrics.calibration import Calibration, Method, fit_calibration, score_of
from visavis.metrics.histograms import score_histogram
from visavis.metrics.operating_points import (
    ChosenAs,
    OperatingPoint,
    Population,
    PopulationRates,
    choose_operating_point,
    population_rates,
)
from visavis.metrics.reliability import measure_reliability

__all__ = ["MIN_CALIBRATION_PEOPLE", "calibrated", "calibrated_on", "kept_card", "with_rules"]

MIN_CALIBRATION_PEOPLE = 20
"""The minimum of people, by effective number, that `calibrated_on` fits other probabilities to."""


def calibrated(
    card: Card,
    embeddings: npt.NDArray[np.float32],
    labels: npt.ArrayLike,
    *,
    target_fmrs: Sequence[float] = (),
    method: Method = "logistic",
    chosen_on: str = "calibration people",
) -> Card:
    """Return a card whose probabilities and operating points are fitted to these people; see `calibrated_on`.

    Args:
        card: The model's card so far.
        embeddings: `(n, d)`, rows of unit length, of people that the model was not trained on.
        labels: `(n,)`, equal for photos of one person.
        target_fmrs: False match rates to keep.
        method: How probabilities are fitted.
        chosen_on: What to call these people.
    """
    return calibrated_on(card, [Population(chosen_on, score_all_pairs(embeddings, labels))], target_fmrs, method=method)


def calibrated_on(
    card: Card,
    populations: Sequence[Population],
    target_fmrs: Sequence[float] = (),
    *,
    method: Method = "logistic",
    chosen_as: ChosenAs = "guaranteed",
) -> Card:
    """Return a card whose operating points hold on each of some populations.

    The highest threshold counts, and of the calibrations the one whose probability reaches 0.95 at the highest score. The histogram
    is that of the population whose non-mated scores are highest. Where the people are too few for a target that the card has a
    threshold for, the card stays as it is, and its threshold says that it was not measured on them. Likewise its probabilities stay
    where they are too few to fit others.

    Args:
        card: The model's card so far.
        populations: People that the model was not trained on.
        target_fmrs: False match rates to keep. The model decides by the threshold for the first one; none: where the likelihood
            ratio is 1.
        method: How probabilities are fitted, see `fit_calibration`.
        chosen_as: See `choose_operating_point`.

    Raises:
        DataError: If a population has too few people to show such a rate, and the card has no threshold for it.
        ValueError: If an argument is out of range.
    """
    try:
        points = [choose_operating_point(populations, target, chosen_as=chosen_as) for target in target_fmrs]
    except DataError as refusal:
        return kept_card(card, target_fmrs, refused_on=" and ".join(population.name for population in populations), reason=refusal)
    calibration = _calibration(card, populations, method)
    first = points[0] if points else _likelier(populations, calibration)
    rated = [replace(point, populations=_with_ece(point, populations, calibration)) for point in points or [first]]
    shown = next(population for population in populations if population.name == first.chosen_on)
    return replace(
        card,
        calibration=calibration,
        threshold=rated[0],
        operating_points=tuple(rated[1:]),
        histogram=score_histogram(shown.scores.curve, chosen_on=shown.name),
    )


def kept_card(card: Card, target_fmrs: Sequence[float], *, refused_on: str, reason: DataError) -> Card:
    """Return a card with its own thresholds for some rates, which say that they were not measured on people who are too few.

    Args:
        card: The model's card.
        target_fmrs: The false match rates; the model decides by the threshold for the first one.
        refused_on: What to call the people.
        reason: Why they are refused; logged as a warning.

    Raises:
        DataError: `reason`, if the card has no threshold for one of the rates that was measured on more people.
    """
    try:
        first, *others = (card.rule(target) for target in target_fmrs)
    except ModelError:
        raise reason from None
    if not all(point.populations for point in (first, *others)):
        raise reason
    logging.getLogger("visavis").warning("%s The model's own thresholds stay, which were not measured on %s.", reason, refused_on)
    chosen = (first, *others)
    rated = [replace(point, refused_on=refused_on) for point in (*chosen, *(point for point in card.rules if point not in chosen))]
    return replace(card, threshold=rated[0], operating_points=tuple(rated[1:]))


def with_rules(
    card: Card,
    embeddings: npt.NDArray[np.float32],
    labels: npt.ArrayLike,
    target_fmrs: Sequence[float],
    *,
    chosen_on: str,
    chosen_as: ChosenAs = "guaranteed",
) -> Card:
    """Return a card that decides by the threshold for the first of these false match rates, and keeps those for the others.

    Args:
        card: The model's card so far; its probabilities stay.
        embeddings: `(n, d)`, rows of unit length, of people that the model was not trained on.
        labels: `(n,)`, equal for photos of one person.
        target_fmrs: False match rates to keep, at least one.
        chosen_on: What to call these people.
        chosen_as: See `choose_operating_point`.

    Raises:
        DataError: If these people are too few to show such a rate.
        ValueError: If an argument is out of range.
    """
    population = Population(chosen_on, score_all_pairs(embeddings, labels))
    first, *others = (choose_operating_point([population], target, chosen_as=chosen_as) for target in target_fmrs)
    histogram = score_histogram(population.scores.curve, chosen_on=chosen_on)
    return replace(card, threshold=first, operating_points=tuple(others), histogram=histogram)


def _calibration(card: Card, populations: Sequence[Population], method: Method) -> Calibration:
    """Return the most cautious calibration of some populations; that of the card where one of them has few people."""
    few = [population for population in populations if population.scores.effective_people < MIN_CALIBRATION_PEOPLE]
    if few and card.calibration is not None:
        logging.getLogger("visavis").warning(
            "%s: %.0f people by effective number are too few to fit probabilities, at least %d are needed; the model's stay.",
            few[0].name,
            few[0].scores.effective_people,
            MIN_CALIBRATION_PEOPLE,
        )
        return card.calibration
    return max((fit_calibration(population.scores.curve, method) for population in populations), key=_cautious)


def _likelier(populations: Sequence[Population], calibration: Calibration) -> OperatingPoint:
    """Return the operating point where the likelihood ratio is 1, with its rates on the population with the most false matches."""
    score = calibration.even_score
    worst = max(populations, key=lambda population: population.scores.curve.at(score).fmr.value)
    return OperatingPoint.tried(score, worst.scores.curve, chosen_on=worst.name, people=worst.scores.compared)


def _with_ece(point: OperatingPoint, populations: Sequence[Population], calibration: Calibration) -> tuple[PopulationRates, ...]:
    rates = point.populations or tuple(population_rates(population, point.score) for population in populations)
    return tuple(
        replace(row, ece=measure_reliability(population.scores.curve, calibration).ece)
        for row, population in zip(rates, populations, strict=True)
    )


def _cautious(calibration: Calibration) -> float:
    """Return the score at which the probability is 0.95 at prior 0.5."""
    return score_of(max(0.0, (calibration.offset - np.log(0.95 / 0.05)) / calibration.slope))
