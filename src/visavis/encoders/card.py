"""The card of a model: its input crop, operating points, calibration, training data and versions."""

import hashlib
import json
import math
from dataclasses import asdict, dataclass, field, fields, replace
from functools import cached_property
from typing import Any

from visavis.errors import ModelError
from visavis.faces import Colour, Crop
from visavis.metrics.calibration import Calibration
from visavis.metrics.histograms import ScoreHistogram
from visavis.metrics.operating_points import OperatingPoint
from visavis.wording import counted

__all__ = ["Card", "DataSide"]

FORMAT = 2


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
class Card:
    """All that travels with the weights.

    Models that other software made have only what is known of them.

    Attributes:
        crop: What the model takes of a photo.
        flip: Whether embeddings are averaged with those of the mirrored photo.
        calibration: Maps scores to likelihood ratios; None: not known.
        threshold: The default operating point; None: there is none.
        operating_points: Operating points for other false match rates.
        histogram: Score histogram of the population of the default operating point; None: not known.
        data: The name of the data set.
        split: `"person"`, or `"photo"` where people were on several sides.
        sides: `train`, `validation` and `test`; `calibration` where operating points were chosen on people other than the
            validation people.
        training: The settings of `TrainingConfig`, with `best_step` and `validation_eer`.
        versions: Of visavis, Keras, its backend and Python.
        created: Date and time, ISO 8601, UTC.
        command: The command that made the model.
        licence: The licence of the weights.
        format: The version of this layout.
    """

    crop: Crop
    flip: bool = False
    calibration: Calibration | None = None
    threshold: OperatingPoint | None = None
    operating_points: tuple[OperatingPoint, ...] = ()
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

    @property
    def input_shape(self) -> tuple[int, int, int]:
        """Height, width and channels of a face."""
        return self.crop.shape

    @property
    def aligned(self) -> bool:
        """Whether the model takes faces that were aligned by their landmarks."""
        return self.crop.aligned

    @property
    def input_digest(self) -> str:
        """SHA-256 of the crop and of whether faces are mirrored as well: embeddings depend on both, not on thresholds."""
        return hashlib.sha256(json.dumps([self.crop.to_json(), self.flip]).encode()).hexdigest()

    def has_seen(self, person: str, sides: tuple[str, ...] = ("train", "validation", "calibration")) -> bool:
        """Return whether a person of this name is on one of these sides of the data."""
        names = self._names
        return any(person in names[side] or _pseudonym(person) in names[side] for side in sides if side in names)

    @cached_property
    def _names(self) -> dict[str, frozenset[str]]:
        return {name: frozenset(side.people) for name, side in self.sides.items()}

    def rule(self, target_fmr: float | None = None) -> OperatingPoint:
        """Return an operating point.

        Args:
            target_fmr: The false match rate for which it was chosen; None: the default operating point.

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
        """Return the card with a digest instead of each person's name: `has_seen` still works, but no name can be read."""
        return replace(
            self,
            sides={name: replace(side, people=tuple(map(_pseudonym, side.people))) for name, side in self.sides.items()},
        )

    @property
    def rules(self) -> tuple[OperatingPoint, ...]:
        """All operating points, the default one first."""
        return (() if self.threshold is None else (self.threshold,)) + self.operating_points

    @property
    def summary(self) -> dict[str, str]:
        """The card as short texts by topic."""
        training, texts = self.training, {"input": self.crop.describe()}
        if training:
            texts["network"] = f"{_named(training.get('network'))}, embeddings of {training.get('embedding_size')}"
            if "steps" in training:
                texts["loss"] = f"{_named(training.get('loss'))} {training.get('loss_options') or ''}".rstrip()
                texts["steps"] = f"{training['steps']}, best at {training.get('best_step')}"
            if training.get("shrinkage") is not None:
                texts["start"] = f"adapted to the training people, shrinkage {training['shrinkage']:g}"
            if "seed" in training:
                texts["seed"] = str(training["seed"])
        texts["threshold"] = "none" if self.threshold is None else str(self.threshold)
        for rule in self.operating_points:
            texts[f"FMR {rule.target_fmr:g}"] = str(rule)
        for row in () if self.threshold is None else self.threshold.populations:
            texts[f"on {row.name}"] = str(row)
        if self.sides:
            texts |= {"data": self.data, "split by": self.split}
        for name, side in self.sides.items():
            texts[name] = f"{counted(len(side.people), 'person')}, {counted(side.photos, 'photo')}, sha256 {side.digest[:16]}"
        versions = ", ".join(f"{name} {version}" for name, version in self.versions.items())
        origin = {"licence": self.licence, "created": self.created, "command": self.command, "versions": versions}
        return {**texts, **{name: text for name, text in origin.items() if text}}

    def __str__(self) -> str:
        """Return the summary as a table."""
        return "\n".join(f"{name:<12} {text}" for name, text in self.summary.items())

    def __repr__(self) -> str:
        """Return input, threshold and data in one line."""
        threshold = None if self.threshold is None else round(self.threshold.score, 4)
        return f"Card({self.crop.describe()}; threshold={threshold}, data={self.data!r})"

    def to_json(self) -> dict[str, Any]:
        """Return the card as plain values."""
        return {**asdict(self), "crop": self.crop.to_json()}

    @classmethod
    def from_json(cls, values: dict[str, Any], *, source: str) -> "Card":
        """Return the card that `to_json` gave.

        Args:
            values: Plain values.
            source: The file they come from, for the error message.

        Raises:
            ModelError: If they are not a card, or one of a newer visavis.
        """
        try:
            if int(values.get("format", FORMAT)) > FORMAT:
                made = f"card format {values['format']}, supported up to {FORMAT}"
                raise ModelError(f"{source}: made by a newer visavis ({made}). Upgrade visavis.")
            parts = {f.name: values[f.name] for f in fields(cls) if f.name in values}
            parts["format"] = FORMAT
            parts["crop"] = Crop.from_json(values["crop"]) if "input_shape" not in values else _crop_of_format_1(values)
            if parts.get("threshold") is not None:
                parts["threshold"] = OperatingPoint.from_json(parts["threshold"])
            if parts.get("calibration") is not None:
                parts["calibration"] = _calibration(parts["calibration"])
            if parts.get("histogram") is not None:
                parts["histogram"] = _histogram(parts["histogram"])
            parts["operating_points"] = tuple(map(OperatingPoint.from_json, parts.get("operating_points", ())))
            parts["sides"] = {
                name: DataSide(tuple(side["people"]), side["photos"], side["digest"])
                for name, side in parts.get("sides", {}).items()
            }
            return cls(**parts)
        except (KeyError, TypeError, ValueError, AttributeError) as error:
            raise ModelError(f"{source}: its card is incomplete or damaged ({error})") from error


def _crop_of_format_1(values: dict[str, Any]) -> Crop:
    """Return the crop of a card of format 1, in which all aligned faces had ArcFace's landmarks."""
    height, width, channels = values["input_shape"]
    colour: Colour = "gray" if channels == 1 else "rgb"
    return (
        Crop.arcface(height, colour=colour) if values.get("aligned") else Crop((height, width), colour, centre=values.get("crop"))
    )


def _calibration(values: dict[str, Any]) -> Calibration:
    isotonic = tuple((float(score), float(ratio)) for score, ratio in values.get("isotonic", ()))
    return Calibration(values["offset"], values["slope"], isotonic)


def _histogram(values: dict[str, Any]) -> ScoreHistogram:
    counts = {name: tuple(map(int, values[name])) for name in ("mated", "nonmated")}
    return ScoreHistogram(**{**values, **counts})


def _named(value: Any) -> Any:
    """Return a hyperparameter's name; an object is recorded with its class."""
    return value["class"] if isinstance(value, dict) else value


def _pseudonym(person: str) -> str:
    return "sha256:" + hashlib.sha256(person.encode()).hexdigest()[:16]
