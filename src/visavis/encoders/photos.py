"""Photos and data sets brought into the shape that a model takes."""

from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from visavis.encoders.card import Card
from visavis.errors import DataError
from visavis.images import Limits, crop_centre, read_image, resize_image, to_gray

if TYPE_CHECKING:  # two photos are verified without data sets, and sooner
    from visavis.data import FaceDataset, IntakeRules

__all__ = ["PhotoSource", "fit_face", "load_faces", "read_photo"]

PhotoSource = str | Path | bytes | npt.NDArray[Any]


def read_photo(photo: PhotoSource, *, name: str | None = None, limits: Limits | None = None) -> npt.NDArray[np.uint8]:
    """Read one photo.

    Args:
        photo: A path, the bytes of an image file, or an array `(h, w)`, `(h, w, 1)` or `(h, w, 3)`: uint8, or float in [0, 1].
        name: What to call a file in an error; None: its path.
        limits: Largest file and picture that are decoded; None: `Limits()`.

    Returns:
        `(h, w, 1)` or `(h, w, 3)` uint8.

    Raises:
        ImageError: If a file cannot be read.
        ValueError: If an array is of another shape or type.
    """
    return _pixels(photo) if isinstance(photo, np.ndarray) else read_image(photo, name=name, limits=limits)


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


def load_faces(card: Card, data: "str | FaceDataset", rules: "IntakeRules | None" = None) -> "FaceDataset":
    """Load faces in the shape that a model takes.

    Args:
        card: The model's.
        data: What `load_dataset` takes, or faces of that shape.
        rules: Which files are photos, and whose, and the limits of one; None: the usual rules.

    Raises:
        DataError: If the data cannot be read, or if the faces are not aligned as those were that the model learned from.
    """
    from visavis.data import load_dataset

    height, width, channels = card.input_shape
    faces = data
    if isinstance(faces, str):
        faces = load_dataset(faces, size=(height, width), crop=card.crop, gray=channels == 1, rules=rules)
    if card.aligned and not faces.aligned:
        raise DataError("the model takes aligned faces, and these are not. Align them first: visavis prepare PHOTOS --out FACES")
    return faces


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
