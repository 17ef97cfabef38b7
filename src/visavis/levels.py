"""Bring the samples of a decoded picture to 8 bits: 10, 12, 14 and 16 bits, floats, narrow ranges."""

import io
import sys
from typing import Any

import numpy as np
import numpy.typing as npt
from PIL import Image

from visavis.metadata import declared_bits

__all__ = ["has_few_bits", "low_bytes", "scale_levels"]

Pixels = npt.NDArray[np.uint8]

_BITS = tuple(2.0**bits - 1 for bits in (8, 10, 12, 14, 16))
_FLOATS = (1.0, 255.0)
_NARROW = 0.2  # of its range
_DARK = 64
_BITS_PER_SAMPLE = 258
_GRAY_AND_ALPHA = "LA;16B"
_OTHER_BYTE = {"16B": "16L", "16L": "16B", "16N": "16B" if sys.byteorder == "little" else "16L"}


def has_few_bits(image: Any, rgb: Pixels, data: bytes) -> bool:
    """Return whether the samples of a colour picture have 16 bits, of which the first ones are empty.

    Cameras of 10 to 14 bits write such files. Pillow keeps the upper 8 bits only, in which little of the picture is left.

    Args:
        image: The opened file.
        rgb: Its upper bytes, `(h, w, 3)`.
        data: The file.
    """
    if image.format == "PNG":
        sixteen = data[24:25] == b"\x10"
    else:
        sixteen = image.format == "TIFF" and 16 in tuple(image.tag_v2.get(_BITS_PER_SAMPLE, ()))
    return sixteen and int(rgb.max(initial=0)) < _DARK


def low_bytes(data: bytes, formats: tuple[str, ...]) -> Image.Image | None:
    """Return the lower bytes of the samples of a colour picture of 16 bits as an RGB picture; None: Pillow cannot read them.

    Pillow's decoders take the upper byte of each sample in the byte order that is named; with the other one named, the lower byte.
    """
    with Image.open(io.BytesIO(data), formats=formats) as image:
        picture: Any = image
        try:
            gray = picture.tile[0].args == _GRAY_AND_ALPHA
            picture.tile = [tile._replace(args=_with_other_byte(tile.args)) for tile in picture.tile]
            picture.load()
        except (KeyError, ValueError):
            return None
        return Image.merge("RGB", [picture.getchannel(1)] * 3) if gray else picture.convert("RGB")


def scale_levels(levels: npt.NDArray[np.float32], data: bytes, *, floats: bool = False) -> tuple[Pixels, tuple[str, ...]]:
    """Scale samples of more than 8 bits to 0 .. 255.

    The range is the declared one, or else the smallest usual one that holds all samples (1.0 of floats; 8, 10, 12, 14, 16 bits; the
    maximum). A picture that uses a small part of its range is stretched to all of it.

    Args:
        levels: The samples, of any shape; overwritten.
        data: The file, which may declare their depth.
        floats: Whether they are floats.

    Returns:
        The pixels in the same shape, and a warning where another range than that of the file's depth is used.
    """
    bits, ranges = declared_bits(data), _FLOATS if floats else _BITS
    levels = np.nan_to_num(levels, copy=False, nan=0.0, posinf=0.0, neginf=0.0)
    darkest, high = float(levels.min(initial=np.inf)), float(levels.max(initial=0))
    ranges = ranges if bits is None else (2.0**bits - 1, *ranges)
    top = next((top for top in ranges if high <= top), high)
    bottom = min(darkest, 0.0)
    if 0 < high - darkest < _NARROW * (top - bottom):
        bottom, top = darkest, high
    levels -= bottom
    levels *= 255 / max(top - bottom, 1e-12)
    pixels = np.clip(np.rint(levels, out=levels), 0, 255, out=levels).astype(np.uint8)
    if (bottom, top) == (0.0, _BITS[-1]):
        return pixels, ()
    return pixels, (f"levels of {bottom:,.6g} to {top:,.6g} were scaled to 0 to 255",)


def _with_other_byte(arguments: Any) -> Any:
    """Return the arguments of a decoder with the other byte order: a raw mode such as `RGB;16B`, or a tuple that begins with it."""
    if isinstance(arguments, tuple):
        return _with_other_byte(arguments[0]), *arguments[1:]
    if arguments == _GRAY_AND_ALPHA:
        return "RGBA"  # upper and lower byte of each sample
    mode, _, order = arguments.partition(";")
    return f"{mode};{_OTHER_BYTE[order]}"
