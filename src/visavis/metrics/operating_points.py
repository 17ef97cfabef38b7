"""Operating points: thresholds with their error rates, chosen for a false match rate on one or several populations."""

import math
from collections.abc import Sequence
from dataclasses import dataclass, fields
from functools import cached_property
from typing import Any, Literal

import numpy as np
import numpy.typing as npt

from visavis.errors import DataError, check_option
from visavis.metrics.bootstrap import PeopleCurves, curve_points
from visavis.metrics.curves import ErrorCurve, threshold_at_fmr
from visavis.metrics.intervals import RAREST_KIND, limits_of, smallest_fmr
from visavis.metrics.photos import at_most_photos
from visavis.metrics.scores import PairScores, score_all_pairs
from visavis.wording import counted

__all__ = [
    "ChosenAs",
    "OperatingPoint",
    "Population",
    "PopulationRates",
    "choose_operating_point",
    "population_rates",
    "threshold_for_fmr",
]

ChosenAs = Literal["guaranteed", "estimated"]

_RULE_OF_THREE = 3.0
_MARGIN = 1.3  # more people than the point estimate asks for, since the design effect is estimated too
_MIN_MATCHES = 30  # expected false matches behind an estimated threshold
_POINTS = 60


@dataclass(frozen=True, eq=False)
class Population:
    """People and photos of one kind, such as those of one camera or data set.

    Attributes:
        name: What to call it, such as `"LFW"` or `"validation people"`.
        scores: All pairs of their photos.
    """

    name: str
    scores: PairScores

    @cached_property
    def even(self) -> PairScores:
        """All pairs of at most as many photos of each person as half of the people have, but at least two.

        Thresholds are chosen for these pairs and their rates are of these pairs, so that nobody counts for much more than others.
        Otherwise a few people with very many photos would decide, and a sample of some hundred people would show little.
        """
        photos = np.bincount(self.scores.people)
        return at_most_photos(self.scores, max(2, int(np.median(photos[photos > 0]))))

    def __repr__(self) -> str:
        """Show name and number of people."""
        return f"Population({self.name!r}, {counted(self.scores.compared, 'person')})"


@dataclass(frozen=True)
class PopulationRates:
    """What one threshold does to a population.

    Attributes:
        name: The population.
        people: How many people it has.
        false_matches: Non-mated pairs accepted. All pairs are those of `Population.even`.
        nonmated: Non-mated pairs.
        false_nonmatches: Mated pairs rejected.
        mated: Mated pairs.
        fmr_upper: One-sided 95 % bound of the false match rate.
        fnmr_upper: Likewise of the false non-match rate.
        ece: Expected calibration error of the probabilities at prior 0.5; None: there are none.
    """

    name: str
    people: int
    false_matches: int
    nonmated: int
    false_nonmatches: int
    mated: int
    fmr_upper: float
    fnmr_upper: float
    ece: float | None = None

    @property
    def fmr(self) -> float:
        """The false match rate."""
        return self.false_matches / max(1, self.nonmated)

    @property
    def fnmr(self) -> float:
        """The false non-match rate."""
        return self.false_nonmatches / max(1, self.mated)

    def __str__(self) -> str:
        """Show the rates with their bounds."""
        return (
            f"{counted(self.people, 'person')}: FMR {self.fmr:.2g} (at most {self.fmr_upper:.2g}), "
            f"FNMR {self.fnmr:.2g} (at most {self.fnmr_upper:.2g})"
            f"{'' if self.ece is None else f', calibration error {self.ece:.2g} at prior 0.5'}"
        )


@dataclass(frozen=True)
class OperatingPoint:
    """A threshold, and the error rates of the people that it was chosen on.

    Attributes:
        score: Accept where the comparison score (cosine) is at least this.
        chosen_on: The population it was chosen on, such as `"validation people"`, or another source, which has no counts.
            Of several populations, the one with the highest threshold.
        false_matches: Non-mated pairs of theirs that it accepted.
        nonmated: Non-mated pairs of theirs.
        false_nonmatches: Mated pairs of theirs that it rejected.
        mated: Mated pairs of theirs.
        people: How many they are.
        target_fmr: The false match rate that it was chosen for; None: it was chosen otherwise.
        fmr_upper: One-sided 95 % bound of the false match rate on the population where it is highest; None: not known.
        chosen_as: `"guaranteed"`: that bound is at most the target. `"estimated"`: the rate itself was, so that among other people
            it is as often above as below. None: not known.
        populations: The rates on every population that it was chosen on; empty: not known.
        refused_on: People who were too few to choose another one on, so that it stays although it was not measured on them; empty:
            nobody.
    """

    score: float
    chosen_on: str
    false_matches: int = 0
    nonmated: int = 0
    false_nonmatches: int = 0
    mated: int = 0
    people: int = 0
    target_fmr: float | None = None
    fmr_upper: float | None = None
    chosen_as: ChosenAs | None = None
    populations: tuple[PopulationRates, ...] = ()
    refused_on: str = ""

    @classmethod
    def tried(cls, score: float, curve: ErrorCurve, *, chosen_on: str, people: int) -> "OperatingPoint":
        """Return the operating point of a threshold, with what it does to the pairs of the people that it was chosen on."""
        counts = curve.at(score)
        return cls(score, chosen_on, counts.fp, curve.nonmated, counts.fn, curve.mated, people)

    @classmethod
    def from_json(cls, values: dict[str, Any]) -> "OperatingPoint":
        """Return the operating point whose `dataclasses.asdict` this is; fields of a newer version are left out."""
        known = {field.name: values[field.name] for field in fields(cls) if field.name in values}
        known["populations"] = tuple(PopulationRates(**rates) for rates in known.get("populations", ()))
        return cls(**known)

    @property
    def measured_on(self) -> str:
        """Where the rate was measured, such as `"FMR at most 0.001 on LFW and wild"`; empty without counts."""
        if not self.nonmated:
            return ""
        names = [rates.name for rates in self.populations] or [self.chosen_on]
        joined = " and ".join([", ".join(names[:-1]), names[-1]] if len(names) > 1 else names)
        if self.chosen_as == "guaranteed" and self.target_fmr is not None:
            return f"FMR at most {self.target_fmr:.3g} on {joined}{self._refused}"
        return f"FMR about {self.false_matches / self.nonmated:.2g} on {joined}{self._refused}"

    @property
    def _refused(self) -> str:
        return f"; not measured on {self.refused_on}" if self.refused_on else ""

    def __str__(self) -> str:
        """Show the threshold and what is known of it."""
        if not self.nonmated:
            return f"{self.score:.4f}, from {self.chosen_on}"
        aim = "" if self.target_fmr is None else f" for FMR {self.target_fmr:g}"
        kind = "" if self.chosen_as is None else f" ({self.chosen_as})"
        bound = "" if self.fmr_upper is None else f", at most {self.fmr_upper:.2g}"
        rates = f"FMR {self.false_matches / self.nonmated:.2g}{bound}, FNMR {self.false_nonmatches / max(1, self.mated):.2g}"
        people = f"{self.people:,} " if self.people else ""
        return f"{self.score:.4f}{aim}{kind}, chosen on {people}{self.chosen_on}: {rates}{self._refused}"


def choose_operating_point(
    populations: Sequence[Population], target: float, *, chosen_as: ChosenAs = "guaranteed"
) -> OperatingPoint:
    """Choose the lowest threshold that keeps a false match rate on every one of some populations.

    Args:
        populations: People that the model was not trained on, with all pairs of their photos.
        target: The false match rate, in (0, 1).
        chosen_as: `"guaranteed"`: the one-sided 95 % bound of the rate is at most the target on each population. `"estimated"`: the
            rate itself is.

    Raises:
        DataError: If a population has too few people. For a guarantee that depends on how many there are and on the design effect
            at a lax threshold, not on how few false matches happened to be seen; for an estimate, on how many pairs there are.
        ValueError: If an argument is out of range.
    """
    if not 0 < target < 1:
        raise ValueError(f"target must be in (0, 1), got {target}")
    if not populations:
        raise ValueError("populations must hold at least one population, got none")
    check_option("chosen_as", chosen_as, ChosenAs)
    chosen = [(_threshold(population, target, chosen_as), place) for place, population in enumerate(populations)]
    score, place = max(chosen)
    rates = tuple(population_rates(population, score) for population in populations)
    own = rates[place]
    return OperatingPoint(
        score,
        own.name,
        own.false_matches,
        own.nonmated,
        own.false_nonmatches,
        own.mated,
        own.people,
        target_fmr=target,
        fmr_upper=max(row.fmr_upper for row in rates),
        chosen_as=chosen_as,
        populations=rates,
    )


def threshold_for_fmr(
    embeddings: npt.NDArray[np.float32],
    labels: npt.ArrayLike,
    target: float,
    *,
    chosen_on: str = "validation people",
    chosen_as: ChosenAs = "guaranteed",
) -> OperatingPoint:
    """Choose an operating point on one population; see `choose_operating_point`.

    Args:
        embeddings: `(n, d)`, rows of unit length, of people that the model was not trained on.
        labels: `(n,)`, equal for photos of one person.
        target: The false match rate, in (0, 1).
        chosen_on: What to call these people.
        chosen_as: See there.

    Raises:
        DataError: See there.
        ValueError: See there.
    """
    return choose_operating_point([Population(chosen_on, score_all_pairs(embeddings, labels))], target, chosen_as=chosen_as)


def population_rates(population: Population, threshold: float, *, ece: float | None = None) -> PopulationRates:
    """Return the rates of a population at a threshold, with their one-sided 95 % bounds.

    Args:
        population: The population.
        threshold: The score from which on a pair is accepted.
        ece: The expected calibration error that is known of it.
    """
    scores = population.even
    curve = scores.curve_at(threshold) if threshold >= scores.floor else scores.curve
    resampled = PeopleCurves.of(scores, curve_points(curve, [threshold])).resampled()
    best, worst = resampled.best.at(threshold), resampled.worst.at(threshold)
    uppers = [limits_of(low, high, tail=0.05)[1] for low, high in zip(best, worst, strict=True)]
    counts = curve.at(threshold)
    return PopulationRates(
        population.name, scores.compared, counts.fp, curve.nonmated, counts.fn, curve.mated, uppers[0], uppers[1], ece
    )


def _threshold(population: Population, target: float, chosen_as: ChosenAs) -> float:
    """Return the lowest threshold that keeps the target on one population."""
    scores = population.even
    curves = PeopleCurves.of(scores, _fine_points(scores.curve, target))
    _check_shown(population.name, curves, target, chosen_as)
    if chosen_as == "estimated":
        score = threshold_at_fmr(scores.curve, target)
    else:
        bounds = np.quantile(curves.resampled().worst.fmr[1:, 1:], 0.95, axis=0)
        kept = np.flatnonzero(bounds <= target)
        score = float(curves.thresholds[kept[-1]]) if len(kept) else math.inf
    return float(np.nextafter(scores.curve.thresholds[0], np.inf)) if math.isinf(score) else score


def _fine_points(curve: ErrorCurve, target: float) -> npt.NDArray[np.float64]:
    """Return thresholds that are close to each other where the false match rate is somewhat below the target."""
    rates = target * np.geomspace(0.01, 1, _POINTS)
    places = np.clip(np.searchsorted(curve.fmr, rates, side="right") - 1, 0, None)
    return curve_points(curve, curve.thresholds[places])


def _check_shown(name: str, curves: PeopleCurves, target: float, chosen_as: ChosenAs) -> None:
    """Refuse a target that these people cannot show, whatever they happened to score."""
    pairs = int(curves.nonmated[:, -1].sum()) // 2
    if chosen_as == "estimated":
        if target * pairs < _MIN_MATCHES:
            raise DataError(
                f"a false match rate of {target:g} cannot be estimated on {name}: of their {counted(pairs, 'non-mated pair')} "
                f"{target * pairs:.2g} would be accepted, and at least {_MIN_MATCHES} are needed."
            )
        return
    people, effective = int(np.count_nonzero(curves.nonmated[:, -1])), curves.effective_pairs
    unseen = float(np.quantile(curves.resampled().unseen_fmr[1:], 0.95))
    smallest = max(unseen, smallest_fmr(curves.effective_people, effective))
    if smallest > target:
        raise DataError(
            f"a false match rate of {target:g} cannot be guaranteed on {name}: {counted(people, 'person')} with "
            f"{counted(pairs, 'non-mated pair')}, "
            f"which tell as much as {effective:,.0f} independent ones, can show {smallest:.2g} at best. "
            f"Take about {counted(_people_needed(curves, people, target), 'person')}, or take an estimated threshold (--estimate)."
        )


def _people_needed(curves: PeopleCurves, people: int, target: float) -> int:
    """Return how many people like these can show a false match rate, nearly surely."""
    kinds = max(RAREST_KIND, 1 - math.sqrt(1 - target))
    for_kinds = (math.log(0.05) / math.log(1 - kinds) + 1) * people / curves.effective_people
    return math.ceil(_MARGIN * max(people * _RULE_OF_THREE / (target * curves.effective_pairs), for_kinds))
