"""Run an embedding model: faces in, embeddings of unit length out."""

from pathlib import Path
from typing import Any, Protocol

import numpy as np
import numpy.typing as npt

from visavis.cards import Card
from visavis.images import crop_centre, read_image, resize_image, to_gray

__all__ = ["Encoder", "PhotoSource", "fit_face", "load_encoder", "read_photo"]

PhotoSource = str | Path | bytes | npt.NDArray[Any]


class Encoder(Protocol):
    """An embedding model with its card."""

    @property
    def card(self) -> Card:
        """What the model takes and how it decides."""

    def embed(self, faces: npt.NDArray[Any]) -> npt.NDArray[np.float32]:
        """Turn faces `(n, h, w, c)`, of the card's input shape, into `(n, d)` float32, rows of unit length."""


def load_encoder(path: Path | str) -> Encoder:
    """Load the model of a run folder, or a model file.

    Args:
        path: What `visavis train` wrote, or the `model.keras` in it.

    Raises:
        ModelError: If there is none, or if it is damaged or foreign.
        MissingDependencyError: If Keras has no backend to run it with.
    """
    from visavis.runs import load_model

    return load_model(path)


def read_photo(photo: PhotoSource) -> npt.NDArray[np.uint8]:
    """Read one photo.

    Args:
        photo: A path, the bytes of an image file, or an array `(h, w)`, `(h, w, 1)` or `(h, w, 3)`: uint8, or float in [0, 1].

    Returns:
        `(h, w, 1)` or `(h, w, 3)` uint8.

    Raises:
        ImageError: If a file cannot be read.
        ValueError: If an array is of another shape or type.
    """
    return _pixels(photo) if isinstance(photo, np.ndarray) else read_image(photo)


def fit_face(image: npt.NDArray[np.uint8], card: Card) -> npt.NDArray[np.uint8]:
    """Bring one photo `(h, w, c)` into the shape that a model takes: centre crop, size and colour."""
    height, width, channels = card.input_shape
    if card.crop is not None and image.shape[:2] != (height, width):
        image = crop_centre(image, card.crop)
    if image.shape[:2] != (height, width):
        image = resize_image(image, (height, width))
    if channels == 1 and image.shape[2] == 3:
        image = to_gray(image)
    elif channels == 3 and image.shape[2] == 1:
        image = image.repeat(3, axis=2)
    return image


def _pixels(photo: npt.NDArray[Any]) -> npt.NDArray[np.uint8]:
    if photo.ndim == 2:
        photo = photo[:, :, None]
    if photo.ndim != 3 or photo.shape[2] not in (1, 3):
        raise ValueError(f"a photo must be (h, w), (h, w, 1) or (h, w, 3). Received: shape {photo.shape}")
    if photo.dtype == np.uint8:
        return photo
    if np.issubdtype(photo.dtype, np.floating) and photo.size and photo.min() >= 0 and photo.max() <= 1:
        return np.rint(photo * 255).astype(np.uint8)
    raise ValueError(f"a photo must be uint8, or float in [0, 1]. Received: dtype {photo.dtype}")
