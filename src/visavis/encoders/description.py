"""Description of an ONNX model that other software made: a TOML file that says what its input and its threshold are."""

import math
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any, Literal

import numpy as np
import numpy.typing as npt

from visavis.encoders.card import Card
from visavis.errors import ModelError, check_option
from visavis.faces import Crop
from visavis.faces.crops import MAX_SIDE
from visavis.metrics.calibration import score_of
from visavis.metrics.operating_points import OperatingPoint

__all__ = ["Description", "Metric", "is_finite", "read_description", "read_toml"]

Metric = Literal["cosine", "euclidean"]

_MAX_BYTES = 64_000
_MAX_MARGIN = 10  # sides of the crop
_CROP_KEYS = frozenset({"input_size", "colour", "landmarks", "margin", "aligned"})


@dataclass(frozen=True)
class Description:
    """How a face becomes the input of a model, and how the model decides.

    Attributes:
        crop: What the model takes of a photo.
        mean: What is subtracted from the levels 0 .. 255: a number, or one for each channel in the order of the input.
        scale: What the difference is multiplied by, likewise.
        metric: What `threshold` is: the lowest `"cosine"` similarity, or the largest `"euclidean"` distance between embeddings of
            unit length, of two photos of one person.
        threshold: See `metric`; None: not known.
        flip: Whether embeddings are averaged with those of the mirrored photo.
        licence: The licence of the weights.
    """

    crop: Crop
    mean: float | tuple[float, ...] = 0.0
    scale: float | tuple[float, ...] = 1.0
    metric: Metric = "cosine"
    threshold: float | None = None
    flip: bool = False
    licence: str = ""

    def __post_init__(self) -> None:
        """Check the values.

        Raises:
            ValueError: If one is out of range.
        """
        check_option("metric", self.metric, Metric)
        for name in ("mean", "scale"):
            value = getattr(self, name)
            numbers = value if isinstance(value, tuple) else (value,)
            if len(numbers) not in (1, self.crop.channels) or not all(map(is_finite, numbers)):
                raise ValueError(f"{name} must be a finite number, or one for each channel, got {_shown(value)}")
            if name == "scale" and 0 in numbers:
                raise ValueError(f"scale must not be 0, got {_shown(value)}")
        lowest, highest = (-1.0, 1.0) if self.metric == "cosine" else (0.0, 2.0)
        if self.threshold is not None and not (is_finite(self.threshold) and lowest <= self.threshold <= highest):
            raise ValueError(f"threshold must be in [{lowest:g}, {highest:g}] for metric {self.metric!r}, got {self.threshold!r}")
        if not isinstance(self.flip, bool):
            raise ValueError(f"flip must be true or false, got {self.flip!r}")
        if not isinstance(self.licence, str):
            raise ValueError(f"licence must be a text, got {_shown(self.licence)}")

    @classmethod
    def from_toml(cls, values: Mapping[str, Any]) -> "Description":
        """Return the description that the keys of a TOML file give.

        Args:
            values: `input_size`, and any of `colour`, `landmarks`, `margin`, `aligned`, `mean`, `scale`, `metric`, `threshold`,
                `flip` and `licence`.

        Raises:
            ValueError: If a key is missing, unknown or out of range.
        """
        own = {field.name for field in fields(cls)} - {"crop"}
        if unknown := sorted(set(values) - own - _CROP_KEYS):
            raise ValueError(f"unknown key {unknown[0]!r}; known are {', '.join(sorted(own | _CROP_KEYS))}")
        numbers = {name: _as_tuple(values[name]) for name in ("mean", "scale") if name in values}
        return cls(_crop(values), **{**{name: values[name] for name in own & set(values)}, **numbers})

    def to_json(self) -> dict[str, Any]:
        """Return the description as plain values."""
        return {field.name: getattr(self, field.name) for field in fields(self)} | {"crop": self.crop.to_json()}

    @classmethod
    def from_json(cls, values: Mapping[str, Any]) -> "Description":
        """Return the description that `to_json` gave.

        Raises:
            KeyError: If a value is missing.
            TypeError: If one is of another kind.
            ValueError: If one is out of range.
        """
        return cls(
            **{**values, "crop": Crop.from_json(values["crop"]), **{name: _as_tuple(values[name]) for name in ("mean", "scale")}}
        )

    def card(self, source: str) -> Card:
        """Return what is known of the model as a card; `source` is the file that the threshold is from."""
        rule = None
        if self.threshold is not None:
            score = self.threshold if self.metric == "cosine" else score_of(self.threshold)
            rule = OperatingPoint(score=score, chosen_on=source)
        return Card(self.crop, flip=self.flip, threshold=rule, licence=self.licence)

    def prepare(self, faces: npt.NDArray[np.float32]) -> npt.NDArray[np.float32]:
        """Turn faces `(n, h, w, c)`, RGB or gray levels of 0 .. 255, into the levels that the model takes."""
        if self.crop.colour == "bgr":
            faces = faces[..., ::-1]
        mean, scale = (np.asarray(value, dtype=np.float32) for value in (self.mean, self.scale))
        return (faces - mean) * scale


def read_description(model: Path) -> Description:
    """Read the TOML file beside a model.

    Args:
        model: The `.onnx` file; the description has the same name and ends in `.toml`.

    Raises:
        ModelError: If there is none, or if it cannot be used; the message names it.
    """
    path = model.with_suffix(".toml")
    if not path.is_file():
        raise ModelError(
            f"{model}: it has no card, so visavis did not export it. Describe it in {path}, for example: "
            'input_size = [112, 112], colour = "rgb", mean = 127.5, scale = 0.0078125, one to a line'
        )
    try:
        return Description.from_toml(read_toml(path))
    except ValueError as error:
        raise ModelError(f"{path}: {error}") from error


def read_toml(path: Path) -> dict[str, Any]:
    """Read a small TOML file.

    Raises:
        ModelError: If it cannot be read, is too large, nested too deep, or no TOML; the message names it.
    """
    try:
        with path.open("rb") as file:
            content = file.read(_MAX_BYTES + 1)
        if len(content) > _MAX_BYTES:
            raise ModelError(f"{path}: must be at most {_MAX_BYTES:,} bytes")
        return tomllib.loads(content.decode())
    except OSError as error:
        raise ModelError(f"{path}: {error.strerror or error}") from error
    except RecursionError as error:
        raise ModelError(f"{path}: its values are nested too deep") from error
    except ValueError as error:
        raise ModelError(f"{path}: not a TOML file ({error})") from error


def _crop(values: Mapping[str, Any]) -> Crop:
    """Return the crop that the keys of a TOML file give."""
    if "input_size" not in values:
        raise ValueError("input_size is missing; it must be [height, width]")
    size, aligned, margin = values["input_size"], values.get("aligned", True), values.get("margin", 0.0)
    if not isinstance(size, list) or len(size) != 2 or not all(type(side) is int and 0 < side <= MAX_SIDE for side in size):
        raise ValueError(f"input_size must be [height, width], 1 to {MAX_SIDE:,} pixels, got {_shown(size)}")
    if not isinstance(aligned, bool):
        raise ValueError(f"aligned must be true or false, got {_shown(aligned)}")
    height, width = size
    colour: Any = values.get("colour", "rgb")
    landmarks = values.get("landmarks", "arcface")
    if not aligned:
        if given := sorted({"landmarks", "margin"} & set(values)):
            raise ValueError(f"{given[0]} goes with aligned = true only")
        return Crop((height, width), colour)
    if landmarks == "arcface":
        if height != width:
            raise ValueError(f"landmarks must be five points [x, y] where input_size is not square, got {_shown(landmarks)}")
        if not is_finite(margin) or margin > _MAX_MARGIN:
            raise ValueError(f"margin must be a number of at most {_MAX_MARGIN}, got {_shown(margin)}")
        return Crop.arcface(height, margin=margin, colour=colour)
    if "margin" in values:
        raise ValueError('margin goes with landmarks = "arcface" only')
    points = landmarks if isinstance(landmarks, list) else []
    if len(points) != 5 or not all(isinstance(point, list) and len(point) == 2 and all(map(is_finite, point)) for point in points):
        raise ValueError(f'landmarks must be "arcface" or five points [x, y], got {_shown(landmarks)}')
    return Crop((height, width), colour, tuple((float(x), float(y)) for x, y in points))


def _as_tuple(value: Any) -> Any:
    return tuple(value) if isinstance(value, list) else value


def is_finite(value: Any) -> bool:
    """Return whether a value of a TOML file is a number that a float can hold; its whole numbers may have any length."""
    if not isinstance(value, int | float) or isinstance(value, bool):
        return False
    try:
        return math.isfinite(value)
    except OverflowError:
        return False


def _shown(value: Any) -> str:
    """Return a value for a message, cut off where it is long."""
    text = repr(list(value) if isinstance(value, tuple) else value)
    return text if len(text) <= 80 else f"{text[:77]}..."
