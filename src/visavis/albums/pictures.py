"""Photos with the boxes and names of faces: reduced for a page, or whole copies."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import numpy.typing as npt
from PIL import Image, ImageDraw, ImageFont

from visavis.files import atomic_write

__all__ = ["Label", "annotate", "save_jpeg"]

Pixels = npt.NDArray[np.uint8]
Label = tuple[tuple[float, float, float, float], str]

_NAMED, _UNKNOWN = "#0072b2", "#8a8d93"


def annotate(photo: Pixels, labels: Sequence[Label]) -> Image.Image:
    """Draw boxes and names on a copy of a photo.

    Args:
        photo: `(h, w, 3)` uint8, RGB.
        labels: The box of each face (left, top, width, height) and its name, empty for unknown people.
    """
    image = Image.fromarray(photo)
    draw = ImageDraw.Draw(image)
    thick = max(2, round(max(image.size) / 400))
    font = ImageFont.load_default(size=max(12, round(max(image.size) / 60)))
    for (left, top, width, height), name in labels:
        colour = _NAMED if name else _UNKNOWN
        draw.rectangle((left, top, left + width, top + height), outline=colour, width=thick)
        if name:
            place = draw.textbbox((left, top + height + thick), name, font=font)
            draw.rectangle((place[0] - thick, place[1] - thick, place[2] + thick, place[3] + thick), fill=colour)
            draw.text((left, top + height + thick), name, fill="#ffffff", font=font)
    return image


def save_jpeg(image: Image.Image, path: Path, *, side: int | None = None, quality: int = 85) -> None:
    """Write a JPEG that only its owner may read; `side` is the longest in pixels, None: as it is."""
    if side is not None:
        image = image.copy()
        image.thumbnail((side, side))
    with atomic_write(path, private=True) as temporary:
        image.save(temporary, "JPEG", quality=quality)
