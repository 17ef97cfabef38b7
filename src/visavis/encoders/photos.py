"""Photos, arrays and data sets in the shape that an encoder takes."""

import io
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt
from PIL import Image

from visavis.encoders.card import Card
from visavis.errors import DataError
from visavis.faces import Crop
from visavis.images import DecodedImage, Limits, decode_image, to_gray

if TYPE_CHECKING:  # two photos are verified without data sets, and sooner
    from visavis.data import FaceDataset, IntakeRules

__all__ = ["PhotoSource", "as_faces", "load_faces", "read_photo"]

PhotoSource = str | Path | bytes | bytearray | memoryview | Image.Image | npt.NDArray[Any]


def read_photo(photo: PhotoSource, *, name: str | None = None, limits: Limits | None = None) -> DecodedImage:
    """Read one photo.

    Args:
        photo: A path, the bytes of an image file, a Pillow image, or an array `(h, w)`, `(h, w, 1)` or `(h, w, 3)`: uint8, or float
            in [0, 1].
        name: What to call a file in an error; None: its path.
        limits: Largest file and picture that are decoded; None: `Limits()`.

    Returns:
        The photo, `(h, w, 3)` uint8; also `(h, w, 1)` if it was an array.

    Raises:
        ImageError: If a file cannot be read.
        ValueError: If an array has another shape or type.
        TypeError: If `photo` is none of these.
    """
    if isinstance(photo, np.ndarray):
        return DecodedImage(_pixels(photo))
    if isinstance(photo, str | Path):
        return decode_image(photo, name=name, limits=limits)
    if isinstance(photo, bytes | bytearray | memoryview):
        return decode_image(bytes(photo), name=name, limits=limits)
    if isinstance(photo, Image.Image):
        return decode_image(_encoded(photo), name=name or getattr(photo, "filename", "") or None, limits=limits)
    raise TypeError(f"a photo must be a path, bytes, a Pillow image or an array, got {type(photo).__name__}")


def as_faces(faces: npt.ArrayLike, crop: Crop) -> npt.NDArray[Any]:
    """Check faces that are given as an array, and bring their channels to those of an encoder.

    Args:
        faces: `(n, h, w, c)` or gray `(n, h, w)`, of the crop's size, RGB or gray levels of 0 .. 255.
        crop: What the encoder takes.

    Returns:
        `(n, h, w, c)` of the crop's shape; the array itself where nothing had to be changed.

    Raises:
        ValueError: If they have another shape or type.
    """
    array = np.asarray(faces)
    if array.dtype.kind not in "uif" or (array.dtype.kind == "f" and not np.isfinite(array).all()):
        raise ValueError(
            f"faces must be finite numbers, got dtype {array.dtype}{' with NaN or inf' if array.dtype.kind == 'f' else ''}"
        )
    given = array.shape
    if array.ndim == 3 and given[1:] == crop.size:
        array = array[..., None]
    if array.ndim != 4 or array.shape[1:3] != crop.size or array.shape[3] not in (1, 3):
        raise ValueError(f"faces must be {_shape(crop)}, got {given}{_hint(given, crop)}")
    if array.shape[3] == crop.channels:
        return array
    if crop.channels == 3:
        return np.repeat(array, 3, axis=3)
    return to_gray(np.asarray(np.clip(np.rint(array), 0, 255), dtype=np.uint8))


def load_faces(card: Card, data: "str | Path | FaceDataset", rules: "IntakeRules | None" = None) -> "FaceDataset":
    """Load faces in the shape that a model takes.

    Args:
        card: The model's.
        data: What `load_dataset` takes, or a data set.
        rules: Which files are photos, and whose, and the limits of one; None: the usual rules.

    Raises:
        DataError: If the data cannot be read; if the model takes aligned faces and these are not, or are cut too narrowly.
    """
    from visavis.data import FaceDataset, is_aligned, load_dataset

    if isinstance(data, FaceDataset):
        return data.cut(card.crop)
    if is_aligned(data):
        return load_dataset(data).cut(card.crop)
    if card.aligned:
        load_dataset(data, rules=rules)  # what cannot be read is said first
        raise DataError("the model takes aligned faces, and these are not. Align them first: visavis prepare PHOTOS --out FACES")
    crop = card.crop
    return load_dataset(data, size=crop.size, crop=crop.centre, gray=crop.channels == 1, rules=rules)


def _shape(crop: Crop) -> str:
    height, width, channels = crop.shape
    return f"(n, {height}, {width}, {channels})"


def _hint(shape: tuple[int, ...], crop: Crop) -> str:
    """Return what to do with an array of another shape."""
    if len(shape) == 3 and shape[:2] == crop.size:
        return ": one face is face[None]"
    if len(shape) == 4 and shape[3] == 4:
        return ": leave out the alpha channel, faces[..., :3]"
    if len(shape) == 4 and crop.aligned:
        return ": FaceDataset.cut(encoder.card.crop) cuts prepared faces to it"
    return ""


def _encoded(image: Image.Image) -> bytes:
    """Return a Pillow image as a file, so that it is read as all files are: turned by its EXIF data, and on white."""
    buffer = io.BytesIO()
    kept = image if image.mode in ("1", "L", "LA", "P", "RGB", "RGBA", "I;16") else image.convert("RGB")
    kept.save(buffer, format="PNG", compress_level=1, exif=image.getexif())
    return buffer.getvalue()


def _pixels(photo: npt.NDArray[Any]) -> npt.NDArray[np.uint8]:
    if photo.ndim == 2:
        photo = photo[:, :, None]
    if photo.ndim != 3 or photo.shape[2] not in (1, 3) or 0 in photo.shape:
        raise ValueError(f"a photo must be (h, w), (h, w, 1) or (h, w, 3), got shape {photo.shape}")
    if photo.dtype == np.uint8:
        return photo
    if np.issubdtype(photo.dtype, np.floating) and photo.min() >= 0 and photo.max() <= 1:
        return np.rint(photo * 255).astype(np.uint8)
    raise ValueError(f"a photo must be uint8, or float in [0, 1], got dtype {photo.dtype}")
