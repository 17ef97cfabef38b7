"""Parameters of generated faces: of the person and of the conditions of a photo, from uniform random numbers."""

from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

__all__ = ["Condition", "Identity", "draw_conditions", "draw_identities"]

Floats = npt.NDArray[Any]

_SKIN = np.array([[255, 224, 204], [243, 200, 170], [224, 172, 135], [190, 132, 96], [141, 90, 62], [92, 58, 42]], dtype=np.float32)
_HAIR = np.array(
    [[28, 24, 24], [66, 44, 32], [104, 66, 40], [150, 84, 46], [206, 164, 98], [230, 206, 150], [176, 172, 170]],
    dtype=np.float32,
)
_IRIS = np.array([[66, 40, 26], [100, 66, 36], [96, 110, 60], [86, 130, 150], [120, 140, 156]], dtype=np.float32)


@dataclass(frozen=True)
class Identity:
    """Who: one row for each face. Lengths are in half sides of the photo, colours are levels of 0 .. 255."""

    head_width: Floats
    head_height: Floats
    jaw: Floats
    skin: Floats
    hair: Floats
    iris: Floats
    lips: Floats
    hairline: Floats
    hair_curve: Floats
    hair_part: Floats
    hair_volume: Floats
    hair_length: Floats
    bald: Floats
    brow_height: Floats
    brow_thickness: Floats
    brow_length: Floats
    brow_tilt: Floats
    brow_arch: Floats
    eye_height: Floats
    eye_distance: Floats
    eye_width: Floats
    eye_opening: Floats
    eye_tilt: Floats
    nose_length: Floats
    nose_width: Floats
    mouth_height: Floats
    mouth_width: Floats
    upper_lip: Floats
    lower_lip: Floats
    ear_size: Floats
    beard: Floats
    moustache: Floats
    glasses: Floats
    glasses_size: Floats
    mole: Floats
    mole_x: Floats
    mole_y: Floats


@dataclass(frozen=True)
class Condition:
    """How: one row for each face. Angles are in radians, `light` is a unit vector towards the light."""

    yaw: Floats
    pitch: Floats
    roll: Floats
    scale: Floats
    shift_x: Floats
    shift_y: Floats
    light: Floats
    ambient: Floats
    gain: Floats
    tint: Floats
    smile: Floats
    mouth_open: Floats
    brow_raise: Floats
    eye_closing: Floats
    gaze: Floats
    background: Floats
    background_slope: Floats
    clothes: Floats
    blur: Floats
    noise: Floats
    occlusion: Floats
    occlusion_x: Floats
    occlusion_y: Floats
    scarf: Floats
    hand: Floats


IDENTITY_NUMBERS = 48
CONDITION_NUMBERS = 56


class _Uniform:
    """Hands out columns of uniform numbers `(n, k)`, each once."""

    def __init__(self, numbers: npt.NDArray[np.float64]) -> None:
        self._columns = iter(np.ascontiguousarray(numbers.T, dtype=np.float32))

    def between(self, low: float, high: float) -> Floats:
        return np.float32(low) + np.float32(high - low) * next(self._columns)

    def middle(self, low: float, high: float) -> Floats:
        """Like `between`, but the middle is likelier (the mean of two)."""
        return (self.between(low, high) + self.between(low, high)) / 2

    def with_chance(self, chance: float) -> Floats:
        return (next(self._columns) < chance).astype(np.float32)

    def colour(self, low: float, high: float) -> Floats:
        return np.stack([self.between(low, high) for _ in range(3)], axis=1)

    def along(self, palette: Floats) -> Floats:
        """A colour on the way along a palette."""
        place = self.between(0, len(palette) - 1)
        lower = np.minimum(place.astype(int), len(palette) - 2)
        part = (place - lower)[:, None]
        mixed: Floats = palette[lower] * (1 - part) + palette[lower + 1] * part
        return mixed


def draw_identities(numbers: npt.NDArray[np.float64]) -> Identity:
    """Turn uniform numbers `(n, IDENTITY_NUMBERS)` into people."""
    draw = _Uniform(numbers)
    skin = draw.along(_SKIN)
    lips = skin * np.array([0.86, 0.60, 0.58], np.float32) + draw.between(-14, 14)[:, None]
    beard = draw.with_chance(0.28) * draw.between(0.25, 0.8)
    return Identity(
        skin=skin,
        hair=draw.along(_HAIR),
        iris=draw.along(_IRIS),
        lips=lips,
        beard=beard,
        head_width=draw.between(0.50, 0.66),
        head_height=draw.between(0.68, 0.84),
        jaw=draw.between(0.0, 0.34),
        hairline=draw.between(-0.62, -0.38),
        hair_curve=draw.between(0.1, 0.9),
        hair_part=draw.between(-0.35, 0.35),
        hair_volume=draw.between(0.02, 0.20),
        hair_length=draw.between(-0.35, 1.1),
        bald=draw.with_chance(0.08),
        brow_height=draw.between(-0.33, -0.23),
        brow_thickness=draw.between(0.018, 0.055),
        brow_length=draw.between(0.10, 0.17),
        brow_tilt=draw.between(-0.3, 0.3),
        brow_arch=draw.between(0.0, 3.0),
        eye_height=draw.between(-0.17, -0.07),
        eye_distance=draw.between(0.20, 0.30),
        eye_width=draw.between(0.085, 0.13),
        eye_opening=draw.between(0.36, 0.66),
        eye_tilt=draw.between(-0.28, 0.28),
        nose_length=draw.between(0.22, 0.38),
        nose_width=draw.between(0.07, 0.14),
        mouth_height=draw.between(0.32, 0.44),
        mouth_width=draw.between(0.14, 0.25),
        upper_lip=draw.between(0.018, 0.055),
        lower_lip=draw.between(0.025, 0.075),
        ear_size=draw.between(0.09, 0.16),
        moustache=np.maximum(beard * draw.with_chance(0.7), draw.with_chance(0.08) * 0.7),
        glasses=draw.with_chance(0.2),
        glasses_size=draw.between(0.13, 0.18),
        mole=draw.with_chance(0.25),
        mole_x=draw.between(-0.4, 0.4),
        mole_y=draw.between(0.05, 0.5),
    )


def draw_conditions(numbers: npt.NDArray[np.float64]) -> Condition:
    """Turn uniform numbers `(n, CONDITION_NUMBERS)` into circumstances."""
    draw = _Uniform(numbers)
    side, height = draw.between(-1.2, 1.2), draw.between(-0.9, 0.3)
    light = np.stack([np.sin(side) * np.cos(height), np.sin(height), np.cos(side) * np.cos(height)], axis=1)
    tint = 1 + np.stack([draw.middle(-0.12, 0.12) for _ in range(3)], axis=1)
    return Condition(
        light=light.astype(np.float32),
        tint=tint.astype(np.float32),
        yaw=draw.middle(-0.75, 0.75),
        pitch=draw.middle(-0.16, 0.16),
        roll=draw.middle(-0.3, 0.3),
        scale=draw.between(0.88, 1.12),
        shift_x=draw.middle(-0.13, 0.13),
        shift_y=draw.middle(-0.13, 0.13),
        ambient=draw.between(0.35, 0.8),
        gain=draw.between(0.65, 1.15),
        smile=draw.between(-0.35, 1.0),
        mouth_open=draw.with_chance(0.45) * draw.between(0.0, 1.0),
        brow_raise=draw.between(-0.025, 0.045),
        eye_closing=draw.with_chance(0.12) * draw.between(0.4, 1.0),
        gaze=draw.middle(-0.5, 0.5),
        background=draw.colour(-32, 32) + draw.between(40, 210)[:, None],
        background_slope=draw.colour(-16, 16) + draw.between(-40, 40)[:, None],
        clothes=draw.colour(-55, 55) + draw.between(55, 200)[:, None],
        blur=draw.with_chance(0.35) * draw.between(0.2, 1.0),
        noise=draw.between(1.0, 9.0),
        occlusion=draw.between(0, 1),
        occlusion_x=draw.between(-0.5, 0.5),
        occlusion_y=draw.between(-0.2, 0.6),
        scarf=draw.colour(-55, 55) + draw.between(55, 200)[:, None],
        hand=draw.along(_SKIN),
    )
