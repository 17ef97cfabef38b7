"""Occlusion maps: which regions of two faces raise or lower their comparison score (Zeiler and Fergus, 2014)."""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
from PIL import Image, ImageFilter

from visavis.encoders import Encoder, PhotoSource
from visavis.verification import AcquiredPhoto, Verdict, Verifier

__all__ = ["Explanation", "explain_faces", "explain_photos", "occlude", "occlusion_map"]

Floats = npt.NDArray[np.float64]

_GRID = 9  # positions a side: maps of 12 correlate with these by 0.994 or more, at nearly twice the cost
_SPREAD = 0.08
_SOFTNESS = 0.12


@dataclass(frozen=True, eq=False)
class Explanation:
    """A verdict with its occlusion maps.

    Attributes:
        verdict: The answer.
        photos: What was compared.
        maps: For each face `(h, w)`, by how much the score falls if a region is occluded: regions above zero raise the score,
            regions below zero lower it.
    """

    verdict: Verdict
    photos: tuple[AcquiredPhoto, AcquiredPhoto]
    maps: tuple[Floats, Floats]


def explain_photos(verifier: Verifier, first: PhotoSource, second: PhotoSource, *, out: Path | None = None) -> Explanation:
    """Compare two photos, and compute the occlusion maps of both faces.

    Args:
        verifier: Compares them.
        first: A photo.
        second: Another.
        out: Where to draw it, a PNG; None: nowhere.

    Raises:
        ImageError: If a photo cannot be read; as `FaceError` if it has no face, or too many.
    """
    faces = verifier.acquire_each(first), verifier.acquire_each(second)
    verdict = verifier.match(*faces)
    photos = faces[0][verdict.faces[0].number - 1], faces[1][verdict.faces[1].number - 1]
    explanation = Explanation(verdict, photos, explain_faces(verifier.encoder, photos[0].pixels, photos[1].pixels))
    if out is not None:
        from visavis.evaluation.plots import save_figure
        from visavis.verification.plots import plot_explanation

        save_figure(plot_explanation(photos, explanation.maps, verdict), out)
    return explanation


def explain_faces(encoder: Encoder, first: npt.NDArray[np.uint8], second: npt.NDArray[np.uint8]) -> tuple[Floats, Floats]:
    """Return the maps of two faces `(h, w, c)` uint8 of the encoder's input shape; see `Explanation`."""
    one, other = encoder.embed(np.stack([first, second]))
    return occlusion_map(encoder, first, other), occlusion_map(encoder, second, one)


def occlusion_map(encoder: Encoder, face: npt.NDArray[np.uint8], against: npt.NDArray[np.float32]) -> Floats:
    """Occlude one region of a face after the other, and return how the score changes.

    Args:
        encoder: The model.
        face: `(h, w, c)` uint8 of its input shape.
        against: `(d,)`, the embedding that the face is compared with, of unit length.

    Returns:
        `(h, w)`: by how much the score falls if a region is occluded, averaged over the masks that cover it.
    """
    masks = np.stack(list(_masks(face.shape[0], face.shape[1])))
    scores = encoder.embed(np.stack([face, *(occlude(face, mask) for mask in masks)])) @ against
    falls = (scores[0] - scores[1:]).astype(np.float64)
    return np.asarray(np.tensordot(falls, masks, axes=1) / masks.sum(axis=0))


def occlude(face: npt.NDArray[np.uint8], mask: Floats) -> npt.NDArray[np.uint8]:
    """Blur a face where a mask `(h, w)` is 1, keep it where it is 0, and blend in between."""
    channels = face.shape[2]
    image = Image.fromarray(face[:, :, 0] if channels == 1 else face)
    soft: npt.NDArray[Any] = np.asarray(image.filter(ImageFilter.GaussianBlur(_SOFTNESS * max(face.shape[:2]))), dtype=np.float64)
    mixed = face + mask[:, :, None] * (soft.reshape(face.shape) - face)
    return np.asarray(np.rint(mixed).astype(np.uint8))


def _masks(height: int, width: int) -> Iterator[Floats]:
    """Yield soft round masks on a grid."""
    rows, columns = (np.arange(size) + 0.5 for size in (height, width))
    for row in (np.arange(_GRID) + 0.5) / _GRID * height:
        for column in (np.arange(_GRID) + 0.5) / _GRID * width:
            far = ((rows - row) / height)[:, None] ** 2 + ((columns - column) / width)[None, :] ** 2
            yield np.exp(-far / (2 * _SPREAD**2))
