"""The card of a model: what it takes, how it decides, what it learned from."""

import hashlib
import math
from dataclasses import asdict, dataclass, field, fields, replace
from functools import cached_property
from typing import Any

from visavis.errors import ModelError
from visavis.metrics.calibration import Calibration
from visavis.metrics.histograms import ScoreHistogram
from visavis.metrics.operating_points import OperatingPoint

__all__ = ["Card", "DataSide", "Population"]

FORMAT = 1


@dataclass(frozen=True)
class DataSide:
    """One side of a split.

    Attributes:
        people: Names of the people.
        photos: How many photos they have.
        digest: SHA-256 of photos and labels, hexadecimal.
    """

    people: tuple[str, ...]
    photos: int
    digest: str


@dataclass(frozen=True)
class Population:
    """People on whom the operating points were measured.

    Attributes:
        name: Who they are, such as `"validation people of LFW"`.
        photos: How many photos they have.
        points: The card's operating points, the usual one first, each with the errors that it makes on these people.
    """

    name: str
    photos: int
    points: tuple[OperatingPoint, ...]


@dataclass(frozen=True)
class Card:
    """All that must travel with the weights.

    Models that something else made have only as much of it as is known.

    Attributes:
        input_shape: Height, width and channels of a face.
        crop: The part of a photo's shorter side that the centre crop keeps; None: the whole photo.
        aligned: Whether it takes faces that were found in whole photos and cut by their five points.
        flip: Whether embeddings are averaged with those of the mirrored photo.
        calibration: What a score is worth as evidence; None: not known.
        threshold: The decision rule; None: there is none.
        operating_points: Rules for other false match rates.
        populations: Where operating points were chosen on several populations, what they do on each: the highest threshold counts.
        histogram: How the scores lie of those whom the rules were chosen on; None: not known.
        data: The name of the data set.
        split: `"person"`, or `"photo"` where people were on several sides.
        sides: `train`, `validation` and `test`; `calibration` where the rules were chosen on others than the validation people.
        training: The settings of `TrainingConfig`, with `best_step` and `validation_eer`.
        versions: Of visavis, Keras, its backend and Python.
        created: When, ISO 8601, UTC.
        command: The command that made it.
        licence: The terms of the weights.
        format: The version of this layout.
    """

    input_shape: tuple[int, int, int]
    crop: float | None = None
    aligned: bool = False
    flip: bool = False
    calibration: Calibration | None = None
    threshold: OperatingPoint | None = None
    operating_points: tuple[OperatingPoint, ...] = ()
    populations: tuple[Population, ...] = ()
    histogram: ScoreHistogram | None = None
    data: str = ""
    split: str = "person"
    sides: dict[str, DataSide] = field(default_factory=dict)
    training: dict[str, Any] = field(default_factory=dict)
    versions: dict[str, str] = field(default_factory=dict)
    created: str = ""
    command: str = ""
    licence: str = ""
    format: int = FORMAT

    def has_seen(self, person: str, sides: tuple[str, ...] = ("train", "validation", "calibration")) -> bool:
        """Tell whether the model was trained, validated or calibrated on somebody of this name; or only some of these."""
        names = self._names
        return any(person in names[side] or _pseudonym(person) in names[side] for side in sides if side in names)

    @cached_property
    def _names(self) -> dict[str, frozenset[str]]:
        return {name: frozenset(side.people) for name, side in self.sides.items()}

    def rule(self, target_fmr: float | None = None) -> OperatingPoint:
        """Return the decision rule.

        Args:
            target_fmr: The false match rate that it was chosen for; None: the rule that the model decides by if nobody asks.

        Raises:
            ModelError: If there is none.
        """
        if target_fmr is None:
            if self.threshold is None:
                raise ModelError("the model has no threshold. Choose one with: visavis calibrate MODEL DATA --out NEW")
            return self.threshold
        for rule in self.rules:
            if rule.target_fmr is not None and math.isclose(rule.target_fmr, target_fmr, rel_tol=1e-6):
                return rule
        known = ", ".join(f"{rule.target_fmr:g}" for rule in self.rules if rule.target_fmr is not None)
        raise ModelError(
            f"the model has no threshold for a false match rate of {target_fmr:g}, only for {known or 'none'}. "
            f"Choose one with: visavis calibrate MODEL DATA --target-fmr {target_fmr:g} --out NEW"
        )

    def without_names(self) -> "Card":
        """Return the card with a digest in the place of each name: who has a name can still ask for it, but none can be read."""
        return replace(
            self,
            sides={name: replace(side, people=tuple(map(_pseudonym, side.people))) for name, side in self.sides.items()},
        )

    @property
    def rules(self) -> tuple[OperatingPoint, ...]:
        """All decision rules, the usual one first."""
        return (() if self.threshold is None else (self.threshold,)) + self.operating_points

    @property
    def summary(self) -> dict[str, str]:
        """What a person wants to know of it, in words."""
        height, width, channels = self.input_shape
        training, known = self.training, {}
        known["input"] = f"{width} x {height}, {'colour' if channels == 3 else 'grey'}{', aligned' if self.aligned else ''}"
        if training:
            known["network"] = f"{training.get('network')}, embeddings of {training.get('embedding_size')}"
            if "steps" in training:
                known["loss"] = f"{training.get('loss')} {training.get('loss_options') or ''}".rstrip()
                known["steps"] = f"{training['steps']}, best at {training.get('best_step')}"
            if training.get("shrinkage") is not None:
                known["start"] = f"brought to the training people, shrinkage {training['shrinkage']:g}"
            if "seed" in training:
                known["seed"] = str(training["seed"])
        known["threshold"] = "none" if self.threshold is None else str(self.threshold)
        for rule in self.operating_points:
            known[f"FMR {rule.target_fmr:g}"] = str(rule)
        for population in self.populations:
            known[f"on {population.name}"] = _measured(population)
        if self.sides:
            known["data"] = self.data
            known["split by"] = self.split
        for name, side in self.sides.items():
            known[name] = f"{len(side.people):,} people, {side.photos:,} photos, sha256 {side.digest[:16]}"
        told = {"licence": self.licence, "created": self.created, "command": self.command}
        told["versions"] = ", ".join(f"{name} {version}" for name, version in self.versions.items())
        return {**known, **{name: text for name, text in told.items() if text}}

    def __str__(self) -> str:
        """Show the summary as a small table."""
        return "\n".join(f"{name:<12} {text}" for name, text in self.summary.items())

    def to_json(self) -> dict[str, Any]:
        """Return the card as plain values."""
        return asdict(self)

    @classmethod
    def from_json(cls, values: dict[str, Any], *, source: str) -> "Card":
        """Return the card that `to_json` gave.

        Args:
            values: Plain values.
            source: The file they come from, for the error.

        Raises:
            ModelError: If they are not a card, or one of a newer visavis.
        """
        try:
            if int(values.get("format", FORMAT)) > FORMAT:
                raise ModelError(
                    f"{source}: made by a newer visavis (card format {values['format']}, known up to {FORMAT}). Upgrade visavis."
                )
            known = {f.name: values[f.name] for f in fields(cls) if f.name in values}
            known["input_shape"] = tuple(known["input_shape"])
            if known.get("threshold") is not None:
                known["threshold"] = OperatingPoint(**known["threshold"])
            if known.get("calibration") is not None:
                known["calibration"] = _calibration(known["calibration"])
            if known.get("histogram") is not None:
                known["histogram"] = _histogram(known["histogram"])
            known["operating_points"] = tuple(OperatingPoint(**rule) for rule in known.get("operating_points", ()))
            known["populations"] = tuple(
                Population(found["name"], found["photos"], tuple(OperatingPoint(**rule) for rule in found["points"]))
                for found in known.get("populations", ())
            )
            known["sides"] = {
                name: DataSide(tuple(side["people"]), side["photos"], side["digest"])
                for name, side in known.get("sides", {}).items()
            }
            return cls(**known)
        except (KeyError, TypeError, ValueError, AttributeError) as error:
            raise ModelError(f"{source}: its card lacks something ({error}). Was it made by visavis?") from error


def _measured(population: Population) -> str:
    """What the operating points do on a population, in one line."""
    people = population.points[0].people if population.points else 0
    rates = (
        f"at {point.score:.4f} FMR {point.false_matches / max(1, point.nonmated):.2g}, "
        f"FNMR {point.false_nonmatches / max(1, point.mated):.2g}"
        for point in population.points
    )
    return f"{people:,} people, {population.photos:,} photos: {'; '.join(rates)}"


def _calibration(values: dict[str, Any]) -> Calibration:
    isotonic = tuple((float(score), float(ratio)) for score, ratio in values.get("isotonic", ()))
    return Calibration(values["offset"], values["slope"], isotonic)


def _histogram(values: dict[str, Any]) -> ScoreHistogram:
    counts = {name: tuple(map(int, values[name])) for name in ("mated", "nonmated")}
    return ScoreHistogram(**{**values, **counts})


def _pseudonym(person: str) -> str:
    return "sha256:" + hashlib.sha256(person.encode()).hexdigest()[:16]
