"""Paint generated faces: a head is a solid of revolution with the features on its surface, turned, lit and photographed."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from visavis.data._face_parameters import Condition, Identity

__all__ = ["render"]

Floats = npt.NDArray[Any]
Mask = npt.NDArray[Any]

_NOTHING = (slice(None), slice(0, 0), slice(0, 0))
_DARK = np.array([30, 22, 20], dtype=np.float32)
_WHITE_OF_EYE = np.array([238, 234, 228], dtype=np.float32)


@dataclass(frozen=True)
class _Canvas:
    """Pixels under work, `(n, h, w)` each but for the colours.

    Attributes:
        colours: `(n, 3, h, w)`, levels of 0 .. 255, painted over in place.
        x: Across, in half sides of the photo, after shift, scale and roll are undone.
        y: Down, likewise.
        across: Place on the head's surface, across; where the head is turned, so is this.
        down: Place on the head's surface, down.
        sharpness: One over the width of a pixel, for soft edges.
    """

    colours: Floats
    x: Floats
    y: Floats
    across: Floats
    down: Floats
    sharpness: float

    def edge(self, inside: Floats) -> Floats:
        """Turn a signed distance (positive inside) into cover, 0 .. 1, over the width of a pixel."""
        cover = inside * np.float32(self.sharpness)
        cover += np.float32(0.5)
        np.maximum(cover, 0, out=cover)
        return np.minimum(cover, 1, out=cover)

    def paint(self, cover: Floats, colour: Floats) -> None:
        """Paint one colour for each face, `(n, 3)` or `(3,)`, where there is cover."""
        change = (colour[:, :, None, None] if colour.ndim == 2 else colour[:, None, None]) - self.colours
        change *= cover[:, None]
        np.add(self.colours, change, out=self.colours)

    def scale(self, factor: Floats) -> None:
        """Make every pixel brighter or darker."""
        np.multiply(self.colours, factor[:, None], out=self.colours)

    def window(self, top: float, bottom: float, left: float = -9, right: float = 9) -> "_Canvas":
        """Restrict work to the rectangle that holds these places of the head's surface, at the poses at hand."""
        inside = (self.down > top) & (self.down < bottom) & (self.across > left) & (self.across < right)
        return self._cut(inside)

    def below(self, top: float) -> "_Canvas":
        """Restrict work to what is below this height of the photo, at the poses at hand."""
        return self._cut(self.y > top)

    def _cut(self, inside: Mask) -> "_Canvas":
        anywhere = np.any(inside, axis=0)
        rows, columns = (np.append(np.flatnonzero(np.any(anywhere, axis=axis)), 0) for axis in (1, 0))
        cut = (slice(None), slice(rows[0], rows[-2] + 1), slice(columns[0], columns[-2] + 1)) if len(rows) > 1 else _NOTHING
        x, y, across, down = (part[cut] for part in (self.x, self.y, self.across, self.down))
        return _Canvas(self.colours[:, :, cut[1], cut[2]], x, y, across, down, self.sharpness)

    def faces(self, chosen: npt.NDArray[np.int64]) -> "_Canvas":
        """Copy the canvas of some of the faces."""
        colours, x, y, across, down = (part[chosen] for part in (self.colours, self.x, self.y, self.across, self.down))
        return _Canvas(colours, x, y, across, down, self.sharpness)


def render(who: Identity, how: Condition, size: int, noise: Floats) -> npt.NDArray[np.uint8]:
    """Paint faces.

    Args:
        who: n people.
        how: n circumstances.
        size: Side of a photo in pixels.
        noise: `(n, size, size)`, standard normal.

    Returns:
        `(n, size, size, 3)` uint8.
    """
    canvas, depth = _set_up(who, how, size)
    head = _head_cover(canvas, who)
    _paint_behind(canvas, who, how)
    _paint_skin(canvas, who, head)
    _paint_on_some(canvas, who, np.flatnonzero(who.beard + who.moustache), _paint_beard)
    _paint_mouth(canvas.window(0.02, 0.75, -0.37, 0.37), who, how)
    _paint_nose(canvas.window(-0.25, 0.45, -0.3, 0.3), who, how)
    for side in (-1, 1):
        _paint_eye(canvas.window(-0.65, 0.18, *sorted((-0.05 * side, 0.56 * side))), who, how, side)
    _paint_hair(canvas, who, head)
    _light(canvas, who, how, depth)
    _paint_on_some(canvas, who, np.flatnonzero(who.glasses), _paint_glasses)
    _occlude(canvas, how)
    return _photograph(canvas.colours, how, noise)


def _column(values: Floats) -> Floats:
    return values[:, None, None]


def _set_up(who: Identity, how: Condition, size: int) -> tuple[_Canvas, Floats]:
    """Place every pixel on the head's surface; `depth` is 1 where the head faces the camera and 0 at its outline."""
    axis = ((np.arange(size, dtype=np.float32) + 0.5) * (2 / size) - 1).astype(np.float32)
    cos, sin = _column(np.cos(how.roll) / how.scale), _column(np.sin(how.roll) / how.scale)
    wide, high = axis[None, None, :] - _column(how.shift_x), axis[None, :, None] - _column(how.shift_y)
    x, y = cos * wide + sin * high, cos * high - sin * wide
    relative = np.clip(x / _half_width(y, who), -1, 1)
    square = relative * relative
    depth = np.sqrt(1 - square) * (np.abs(y) < _column(who.head_height))
    # The arc sine of the place across, turned by the yaw; a short series is near enough and much faster.
    angle = relative * (1 + square * (0.15 + 0.42 * square * square)) + _column(how.yaw)
    canvas = _Canvas(
        colours=np.empty((len(x), 3, size, size), dtype=np.float32),
        x=x,
        y=y,
        across=angle * _column(who.head_width),
        down=y + _column(how.pitch) * depth,
        sharpness=size / 2,
    )
    return canvas, depth


def _half_width(y: Floats, who: Identity) -> Floats:
    """Half of the head's width at each height: an ellipse that the jaw makes narrower below."""
    relative = y / _column(who.head_height)
    ellipse = np.sqrt(np.maximum(1 - relative * relative, 0.0004))
    lower = np.maximum(relative, 0)
    return _column(who.head_width) * ellipse * (1 - _column(who.jaw) * lower * lower + 0.12 * lower * (1 - lower))


def _ellipse(u: Floats, v: Floats, wide: Floats, high: Floats) -> Floats:
    """Signed distance to an ellipse around 0, roughly: positive inside."""
    wide, high = _column(wide), _column(high)
    return (1 - np.sqrt((u / wide) ** 2 + (v / high) ** 2 + 1e-9)) * np.minimum(wide, high)


def _bump(u: Floats, v: Floats | float) -> Floats:
    """A soft hill, 1 at 0, that is exactly 0 where `u` and `v` leave the unit circle."""
    return np.square(np.maximum(1 - u * u - v * v, 0))


def _head_cover(canvas: _Canvas, who: Identity) -> Floats:
    return canvas.edge(np.minimum(_half_width(canvas.y, who) - np.abs(canvas.x), _column(who.head_height) - np.abs(canvas.y)))


def _paint_behind(canvas: _Canvas, who: Identity, how: Condition) -> None:
    """Background, the hair behind the head, neck, clothes and ears."""
    x, y = canvas.x, canvas.y
    slope = (x * 0.6 + y)[:, None] * how.background_slope[:, :, None, None]
    np.add(how.background[:, :, None, None], slope, out=canvas.colours)
    volume = who.hair_volume * (1 - who.bald)
    behind = _ellipse(x, y + 0.06, who.head_width + volume, who.head_height + volume)
    long = np.minimum(_column(who.head_width + volume * 0.8) - np.abs(x), y)
    behind = np.maximum(behind, np.where(_column(who.hair_length) > 0.3, long, -1))
    behind = np.minimum(behind, _column(np.where(who.bald > 0, -1, who.hair_length)) - y)
    canvas.paint(canvas.edge(behind), who.hair * 0.9)
    low = canvas.below(0.25)
    neck = np.minimum(_column(who.head_width * 0.58) - np.abs(low.x), low.y - 0.3)
    low.paint(low.edge(neck), who.skin * 0.72)
    shoulders = low.y - 0.92 - 0.35 * low.x * low.x + 0.25 * np.maximum(0, 0.28 - np.abs(low.x))
    low.paint(low.edge(shoulders), how.clothes)
    level = canvas.window(-0.25, 0.3)
    away = np.abs(level.x) - _column(who.head_width * 0.98)
    level.paint(level.edge(_ellipse(away, level.y - 0.02, who.ear_size * 0.6, who.ear_size)), who.skin * 0.85)


def _paint_skin(canvas: _Canvas, who: Identity, head: Floats) -> None:
    """The skin, redder on the cheeks, and a mole."""
    canvas.paint(head, who.skin)
    canvas = canvas.window(-0.22, 0.62, -0.62, 0.62)
    cheeks = _bump((np.abs(canvas.across) - 0.27) / 0.33, (canvas.down - 0.14) / 0.33)
    canvas.paint(cheeks * 0.22, who.skin * np.array([1.0, 0.72, 0.68], np.float32))
    mole = _ellipse(
        canvas.across - _column(who.mole_x),
        canvas.down - _column(who.mole_y),
        who.head_width * 0.05,
        who.head_width * 0.05,
    )
    canvas.paint(canvas.edge(mole) * _column(who.mole), who.skin * 0.4)


def _paint_on_some(
    canvas: _Canvas, who: Identity, chosen: npt.NDArray[np.int64], paint: Callable[[_Canvas, Identity], None]
) -> None:
    """Paint what only some of the people have."""
    if len(chosen):
        part = canvas.faces(chosen)
        paint(part, Identity(**{name: values[chosen] for name, values in vars(who).items()}))
        canvas.colours[chosen] = part.colours


def _paint_beard(canvas: _Canvas, who: Identity) -> None:
    canvas = canvas.window(0.0, 1.1)
    cover = _head_cover(canvas, who)
    below = canvas.down - _column(who.mouth_height) + 0.10 - 1.1 * canvas.across * canvas.across
    canvas.paint(np.clip(below * 6, 0, 1) * cover * _column(who.beard), who.hair * 0.85)
    above_lip = _ellipse(
        canvas.across, canvas.down - _column(who.mouth_height) + 0.085, who.mouth_width * 0.95, who.head_width * 0.09
    )
    canvas.paint(canvas.edge(above_lip) * _column(who.moustache), who.hair * 0.85)


def _paint_mouth(canvas: _Canvas, who: Identity, how: Condition) -> None:
    """Lips on a curve that smiles, and teeth or dark between them where the mouth is open."""
    wide = who.mouth_width * (1 + 0.25 * np.maximum(how.smile, 0))
    u = canvas.across
    curve = _column(how.smile * 0.07 / wide**2) * u * u
    v = canvas.down - _column(who.mouth_height) + curve
    narrowing = np.maximum(1 - (u / _column(wide)) ** 2, 0)
    opening = _column(how.mouth_open * 0.10) * narrowing
    upper, lower = _column(who.upper_lip) * narrowing, _column(who.lower_lip) * narrowing
    canvas.paint(canvas.edge(np.minimum(v + opening + upper, opening + lower - v)) * (narrowing > 0), who.lips)
    canvas.paint(canvas.edge(np.minimum(v + opening, opening - v) + 0.006) * (narrowing > 0), _DARK + 30)
    teeth = np.minimum(v + opening * 0.9, opening * 0.1 - v)
    canvas.paint(canvas.edge(teeth) * (opening > 0.02), _WHITE_OF_EYE)


def _paint_nose(canvas: _Canvas, who: Identity, how: Condition) -> None:
    """A ridge that stands out (so that it moves farther as the head turns), a shadow beside it, nostrils."""
    top = _column(who.eye_height)
    along = np.clip((canvas.down - top) / _column(who.nose_length), 0, 1.2)
    u = canvas.across - _column(how.yaw * 0.10) * along
    width = _column(who.nose_width) * (0.35 + 0.65 * along * along)
    on_nose = canvas.edge(width - np.abs(u)) * (along > 0) * np.clip((1.08 - along) * 8, 0, 1)
    shaded = np.clip(np.abs(u) / width, 0, 1) ** 2 * on_nose * (0.10 + 0.25 * along)
    canvas.paint(shaded, who.skin * 0.55)
    canvas.paint(_bump(u / (0.8 * width), 0) * on_nose * 0.25, np.minimum(who.skin * 1.18, 255))
    end = canvas.down - top - _column(who.nose_length)
    under = _bump((end - 0.02) / 0.06, 0) * canvas.edge(_column(who.nose_width * 0.9) - np.abs(u))
    canvas.paint(under * 0.5, who.skin * 0.5)
    nostrils = _ellipse(np.abs(u) - _column(who.nose_width * 0.5), end, who.nose_width * 0.26, who.nose_width * 0.17)
    canvas.paint(canvas.edge(nostrils) * 0.8, who.skin * 0.3)


def _paint_eye(canvas: _Canvas, who: Identity, how: Condition, side: int) -> None:
    """One brow, then the eye below it: socket, white, iris, pupil and upper lid."""
    u = side * canvas.across - _column(who.eye_distance)
    v = canvas.down - _column(who.eye_height)
    _paint_brow(canvas, who, how, u)
    socket = _bump(u / 0.22, v / 0.17)
    canvas.paint(socket * 0.22, who.skin * 0.55)
    tilted = v + _column(who.eye_tilt) * u
    wide = _column(who.eye_width)
    narrowing = np.maximum(1 - (u / wide) ** 2, 0)
    opening = _column(who.eye_width * who.eye_opening * (1 - how.eye_closing)) * narrowing
    visible = canvas.edge(opening - np.abs(tilted)) * (narrowing > 0)
    canvas.paint(visible, _WHITE_OF_EYE)
    iris = who.eye_width * 0.46
    gazed = u - _column(side * how.gaze * who.eye_width)
    canvas.paint(canvas.edge(_ellipse(gazed, tilted, iris, iris)) * visible, who.iris)
    canvas.paint(canvas.edge(_ellipse(gazed, tilted, iris * 0.5, iris * 0.5)) * visible, _DARK)
    lid = np.maximum(0.022 - np.abs(tilted + opening), -0.05)
    canvas.paint(canvas.edge(lid) * np.clip(narrowing * 4, 0, 1) * 0.85, _DARK + 20)


def _paint_brow(canvas: _Canvas, who: Identity, how: Condition, u: Floats) -> None:
    v = canvas.down - _column(who.brow_height - how.brow_raise)
    v = v + _column(who.brow_tilt) * u + _column(who.brow_arch) * u * u
    thickness = _column(who.brow_thickness) * np.clip(1.2 - 2.0 * u, 0.4, 1.3)
    brow = np.minimum(thickness - np.abs(v), _column(who.brow_length) - np.abs(u))
    canvas.paint(canvas.edge(brow) * 0.9, who.hair * 0.75)


def _paint_hair(canvas: _Canvas, who: Identity, head: Floats) -> None:
    """The hair on the head: above the hairline, and down the sides."""
    u, v = canvas.across, canvas.down
    line = _column(who.hairline) + _column(who.hair_curve) * u * u + _column(who.hair_part) * u
    on_top = line - v
    sides = np.minimum(np.abs(u) - _column(who.head_width * 1.12), _column(np.minimum(who.hair_length, 0.9)) - v)
    wreath = _ellipse(np.abs(u) - _column(who.head_width * 1.5), v, who.head_width * 0.4, who.head_width * 0.4)
    cover = canvas.edge(np.where(_column(who.bald) > 0, wreath, np.maximum(on_top, sides))) * head
    canvas.paint(cover, who.hair)
    canvas.scale(1 + cover * (0.10 * np.sin(u * 46 + v * 9)))


def _light(canvas: _Canvas, who: Identity, how: Condition, depth: Floats) -> None:
    """Lambert's law on the solid of revolution; what is not the head is lit as if it were rather flat."""
    x, y, z = (_column(part) for part in how.light.T)
    across = np.clip(canvas.x / _column(who.head_width), -1, 1)
    facing = x * across + y * canvas.y / _column(who.head_height) + z * np.maximum(depth, 0.45)
    canvas.scale(_column(how.ambient) + _column(1.15 - how.ambient) * np.maximum(facing, 0))


def _paint_glasses(canvas: _Canvas, who: Identity) -> None:
    canvas = canvas.window(-0.45, 0.22, -0.6, 0.6)
    for side in (-1, 1):
        u, v = side * canvas.across - _column(who.eye_distance), canvas.down - _column(who.eye_height)
        rim = 0.020 - np.abs(_ellipse(u, v, who.glasses_size, who.glasses_size * 0.85))
        canvas.paint(canvas.edge(rim) * 0.9, _DARK)
    bridge = np.minimum(
        0.018 - np.abs(canvas.down - _column(who.eye_height)),
        _column(who.eye_distance - who.glasses_size) - np.abs(canvas.across),
    )
    canvas.paint(canvas.edge(bridge) * 0.9, _DARK)


def _occlude(canvas: _Canvas, how: Condition) -> None:
    """One face in five has something before it: dark glasses, a scarf, or a hand."""
    for face, draw in enumerate(how.occlusion):
        if draw >= 0.20:
            continue
        one = canvas.faces(np.array([face]))
        if draw < 0.06:
            cover, colour = np.minimum(0.13 - np.abs(one.down + 0.12), 0.42 - np.abs(one.across)), _DARK
        elif draw < 0.12:
            cover, colour = one.down - (0.26 + 0.2 * how.occlusion_y[face]), how.scarf[face]
        else:
            cover, colour = _hand(one.x - how.occlusion_x[face], one.y - how.occlusion_y[face]), how.hand[face]
        one.paint(one.edge(cover), colour)
        canvas.colours[face] = one.colours[0]


def _hand(u: Floats, v: Floats) -> Floats:
    """Signed distance to four fingers that reach up, and to the palm and the arm below them."""
    finger = np.clip(np.floor(u / 0.11), -2, 1) + 0.5
    tips = 0.05 * finger * finger
    fingers = np.minimum(0.05 - np.abs(u - 0.11 * finger), v - tips)
    return np.maximum(fingers, np.minimum(0.23 - np.abs(u), v - 0.3))


def _photograph(colours: Floats, how: Condition, noise: Floats) -> npt.NDArray[np.uint8]:
    """Exposure, white balance, blur and noise."""
    colours *= (how.gain[:, None] * how.tint)[:, :, None, None]
    for face in np.flatnonzero(how.blur):
        soft = colours[face]
        for axis in (1, 2):
            soft = soft + 0.5 * (np.roll(soft, 1, axis) + np.roll(soft, -1, axis))
        colours[face] += how.blur[face] * (soft / 4 - colours[face])
    colours += (_column(how.noise) * noise)[:, None]
    np.clip(colours, 0, 255, out=colours)
    return np.ascontiguousarray(colours.astype(np.uint8).transpose(0, 2, 3, 1))
