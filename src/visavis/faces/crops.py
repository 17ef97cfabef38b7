"""The crop that an encoder takes: where the landmarks of a face lie, in how many pixels and in which colours.

A face is aligned by the similarity transform (Umeyama, 1991) that maps its five landmarks closest to those of the crop. `(0, 0)` is
the middle of the first pixel.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Any, Literal

import numpy as np
import numpy.typing as npt
from PIL import Image

from visavis.errors import check_option
from visavis.faces.geometry import Similarity
from visavis.images import crop_centre, resize_image, to_gray

__all__ = ["ARCFACE_LANDMARKS", "CANONICAL_CROP", "PREPARED_CROP", "Colour", "Crop", "warp_face"]

Pixels = npt.NDArray[np.uint8]
Points = npt.NDArray[np.float64]
Colour = Literal["rgb", "bgr", "gray"]

ARCFACE_LANDMARKS = (
    (38.2946, 51.6963),
    (73.5318, 51.5014),
    (56.0252, 71.7366),
    (41.5493, 92.3655),
    (70.7299, 92.2041),
)
"""Landmarks `(x, y)` in 112 x 112 pixels (Deng et al., ArcFace, 2019): the eye on the left of the photo, the other eye, the nose,
and the two corners of the mouth."""

MAX_SIDE = 4096
"""Maximum height and width of what an encoder takes, pixels."""
_ARCFACE_SIDE = 112
_HALF = 0.5 + 0.5j
_SHARP = 0.99  # scale from which a face is sampled once for each pixel
_TOLERANCE = 1.0  # pixels by which one crop may reach beyond another


@dataclass(frozen=True)
class Crop:
    """What an encoder takes of a photo.

    Attributes:
        size: Height and width, pixels.
        colour: The order of the channels in the network's input; faces are RGB or gray arrays in any case.
        landmarks: Five points `(x, y)` in pixels of the crop, in the order of `ARCFACE_LANDMARKS`; None: no face is detected, the
            photo itself is taken.
        centre: Where `landmarks` is None, the fraction of the photo's shorter side that a square around its centre keeps; None: the
            whole photo.
    """

    size: tuple[int, int]
    colour: Colour = "rgb"
    landmarks: tuple[tuple[float, float], ...] | None = None
    centre: float | None = None

    def __post_init__(self) -> None:
        """Check the values.

        Raises:
            ValueError: If one is out of range.
        """
        if len(self.size) != 2 or not all(isinstance(side, int | np.integer) and 0 < side <= MAX_SIDE for side in self.size):
            raise ValueError(f"size must be a height and a width of at most {MAX_SIDE:,} pixels, got {self.size!r}")
        check_option("colour", self.colour, Colour)
        if self.landmarks is not None:
            points = np.asarray(self.landmarks, dtype=np.float64)
            if points.shape != (5, 2) or not np.isfinite(points).all():
                raise ValueError(f"landmarks must be five finite points [x, y], got {self.landmarks!r}")
            if self.centre is not None:
                raise ValueError(f"centre must be None where there are landmarks, got {self.centre}")
            Similarity.between(ARCFACE_LANDMARKS, points)
        if self.centre is not None and not 0 < self.centre <= 1:
            raise ValueError(f"centre must be in (0, 1], got {self.centre}")

    @classmethod
    def arcface(cls, side: int = _ARCFACE_SIDE, *, margin: float = 0.0, colour: Colour = "rgb") -> "Crop":
        """Return the square crop that most face encoders take.

        Args:
            side: Height and width, pixels.
            margin: How much more of the photo it shows on each side, as a fraction of the ArcFace crop's side, at least 0.
            colour: The order of the channels.

        Raises:
            ValueError: If an argument is out of range.
        """
        if not 0 <= margin < np.inf:
            raise ValueError(f"margin must be at least 0, got {margin}")
        whole = _ARCFACE_SIDE * (1 + 2 * margin)
        points = (np.array(ARCFACE_LANDMARKS) + 0.5 + margin * _ARCFACE_SIDE) * (side / whole) - 0.5
        return cls((side, side), colour, tuple((float(x), float(y)) for x, y in points))

    @property
    def channels(self) -> int:
        """Channels of a face, 1 or 3."""
        return 1 if self.colour == "gray" else 3

    @property
    def shape(self) -> tuple[int, int, int]:
        """Height, width and channels of a face."""
        return *self.size, self.channels

    @property
    def aligned(self) -> bool:
        """Whether a face is aligned by its landmarks; False: the photo itself is taken."""
        return self.landmarks is not None

    def transform(self, landmarks: npt.ArrayLike) -> Similarity:
        """Return the transform from the pixels in which a face has `landmarks` `(5, 2)` to those of the crop."""
        return Similarity.between(landmarks, self._points)

    def cut(self, photo: Pixels, landmarks: npt.ArrayLike) -> Pixels:
        """Cut a face out of its photo, anti-aliased; black where the crop reaches beyond the photo.

        Args:
            photo: `(h, w, c)` uint8, RGB or gray.
            landmarks: Of the face in the photo, `(5, 2)` pixels.

        Returns:
            The face, uint8 of the crop's shape, RGB or gray.
        """
        return self.match_colour(warp_face(photo, self.transform(landmarks), self.size))

    def fit(self, photo: Pixels) -> Pixels:
        """Bring a photo as it is into the crop's shape: the square around the centre where the crop has one, size and colour.

        Args:
            photo: `(h, w, c)` uint8, RGB or gray: the whole photo, or a face that was cut before.
        """
        if photo.shape[:2] != self.size:
            photo = resize_image(photo if self.centre is None else crop_centre(photo, self.centre), self.size)
        return self.match_colour(photo)

    def match_colour(self, photo: Pixels) -> Pixels:
        """Turn `(..., 1)` or `(..., 3)` uint8 into the crop's channels, RGB or gray."""
        if photo.shape[-1] == self.channels:
            return photo
        return to_gray(photo) if self.channels == 1 else photo.repeat(3, axis=-1)

    def covers(self, other: "Crop") -> bool:
        """Tell whether this crop shows all of the face that another one shows, to a pixel of it; both must have landmarks."""
        low, high = -0.5 + _TOLERANCE, np.array(other.size[::-1]) - 0.5 - _TOLERANCE
        corners = [[low, low], [high[0], high[1]], [high[0], low], [low, high[1]]]
        here = self.transform(other._points).apply(corners)
        return bool((here >= -0.5 - 1e-6).all() and (here <= np.array(self.size[::-1]) - 0.5 + 1e-6).all())

    def to_json(self) -> dict[str, Any]:
        """Return the crop as plain values."""
        landmarks = None if self.landmarks is None else [list(point) for point in self.landmarks]
        return {"size": list(self.size), "colour": self.colour, "landmarks": landmarks, "centre": self.centre}

    @classmethod
    def from_json(cls, values: Mapping[str, Any]) -> "Crop":
        """Return the crop that `to_json` gave.

        Raises:
            KeyError: If a value is missing.
            TypeError: If one is of another kind.
            ValueError: If one is out of range.
        """
        landmarks = values["landmarks"]
        points = None if landmarks is None else tuple((float(x), float(y)) for x, y in landmarks)
        height, width = values["size"]
        return cls((height, width), values["colour"], points, values["centre"])

    def describe(self) -> str:
        """Return the crop in a few words."""
        height, width = self.size
        how = "aligned" if self.aligned else "not aligned" if self.centre is None else f"centre {self.centre:g} of the photo"
        return f"{width} x {height}, {self.colour}, {how}"

    @cached_property
    def _points(self) -> Points:
        if self.landmarks is None:
            raise ValueError("a crop without landmarks takes the photo as it is; it cannot align a face")
        return np.array(self.landmarks, dtype=np.float64)


def warp_face(photo: Pixels, transform: Similarity, size: tuple[int, int]) -> Pixels:
    """Resample a rectangle out of a photo, anti-aliased; black where it reaches beyond.

    Args:
        photo: `(h, w, c)` uint8, RGB or gray.
        transform: From the photo's pixels to those of the rectangle.
        size: Height and width of the rectangle, pixels.

    Returns:
        `(height, width, c)` uint8.
    """
    height, width = size
    image = Image.fromarray(photo[:, :, 0] if photo.shape[2] == 1 else photo)
    reduced = max(1, int(1 / transform.scale))
    if reduced > 1:
        image = image.reduce(reduced)
    samples = 2 if transform.scale * reduced < _SHARP else 1  # along each side of a pixel
    back = transform.inverse()
    factor = back.factor / reduced / samples
    shift = (back.shift + _HALF - back.factor * _HALF) / reduced  # Pillow counts from the corner of the first pixel
    real, imag = round(factor.real, 6), round(factor.imag, 6)  # so that a shift by whole pixels leaves them as they are
    matrix = (real, -imag, round(shift.real, 3), imag, real, round(shift.imag, 3))
    cut = image.transform((width * samples, height * samples), Image.Transform.AFFINE, matrix, Image.Resampling.BICUBIC)
    return np.asarray(cut.reduce(samples) if samples > 1 else cut, dtype=np.uint8).reshape(height, width, photo.shape[2])


CANONICAL_CROP = Crop.arcface()
"""ArcFace's own crop of 112 x 112 pixels."""

PREPARED_CROP = Crop.arcface(144, margin=1 / 7)
"""What `visavis prepare` keeps of a face: the canonical crop with a margin, in which the crops of other encoders lie."""
