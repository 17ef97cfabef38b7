"""Read arrays, `.npz` and `.npy` files into a `FaceDataset`."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from visavis.data.dataset import FaceDataset
from visavis.data.folders import Size, as_size
from visavis.data.labels import number_labels
from visavis.errors import DataError
from visavis.files import check_path
from visavis.images import resize_image
from visavis.wording import counted

__all__ = ["NumberedSources", "read_arrays", "read_npy", "read_npz"]

_IMAGE_KEYS = ("face_images", "images", "X", "x")
_LABEL_KEYS = ("face_labels", "labels", "y")


class NumberedSources(Sequence[str]):
    """Names such as `faces[17]` for the rows of an array, made on request."""

    def __init__(self, name: str, count: int) -> None:
        """Name `count` rows of `name`."""
        self._name, self._count = name, count

    def __len__(self) -> int:
        """Return the number of names."""
        return self._count

    def __getitem__(self, index: Any) -> Any:
        """Return one name, or a list of them for a slice."""
        if isinstance(index, slice):
            return [self[place] for place in range(*index.indices(self._count))]
        if not -self._count <= index < self._count:
            raise IndexError(index)
        return f"{self._name}[{index % self._count}]"


def read_arrays(
    face_images: npt.ArrayLike,
    face_labels: npt.ArrayLike,
    *,
    people: Sequence[str] | None = None,
    size: Size | None = None,
    name: str = "face_images",
) -> FaceDataset:
    """Make a data set of images and labels in memory.

    Args:
        face_images: `(n, h, w)` or `(n, h, w, c)`, grey or RGB: uint8, or float in [0, 1].
        face_labels: `(n,)`, equal for photos of one person: integers or strings, also as a pandas column.
        people: Names for labels 0, 1, 2 ...; by default the labels name the people.
        size: Height and width to resize to, or the side of a square; None: as they are.
        name: What to call the images in errors and sources.

    Raises:
        DataError: If they cannot be used; the message names the array and what is wrong with it.
    """
    images = _as_photos(face_images, name)
    present, numbers = number_labels(face_labels)
    if len(numbers) != len(images):
        raise DataError(f"{name} and labels must have the same length, got {len(images)} and {len(numbers)}")
    if len(present) < 2:
        raise DataError(f"{name} must have photos of at least two people, got one, {present[0]}")
    names = _names_of(present, people)
    if (shape := as_size(size)) is not None and images.shape[1:3] != shape:
        images = np.stack([resize_image(image, shape) for image in images])
    return FaceDataset(images, numbers, names, NumberedSources(name, len(images)))


def _names_of(present: npt.NDArray[Any], people: Sequence[str] | None) -> tuple[str, ...]:
    """Return the people's names: the labels themselves, or those given for labels 0, 1, 2 ..."""
    if people is None:
        return tuple(map(str, present.tolist()))
    if present.dtype.kind not in "iub" or present[0] < 0 or present[-1] >= len(people):
        raise DataError(
            f"labels must be 0 .. {len(people) - 1}, as people has {counted(len(people), 'name')}, got "
            f"{present[0]} .. {present[-1]}"
        )
    return tuple(str(people[label]) for label in present.tolist())


def read_npz(path: Path | str, *, size: Size | None = None) -> FaceDataset:
    """Read a `.npz` file with `face_images` and `face_labels` (or `images`/`X` and `labels`/`y`).

    Raises:
        DataError: If the file or its arrays cannot be used.
    """
    try:
        with np.load(check_path(path), allow_pickle=False) as arrays:
            names = list(arrays)
            found = [next((key for key in keys if key in names), None) for keys in (_IMAGE_KEYS, _LABEL_KEYS)]
            if found[0] is None or found[1] is None:
                raise DataError(f"{path}: must hold face_images and face_labels, got {', '.join(names) or 'no arrays'}")
            images, labels = arrays[found[0]], arrays[found[1]]
    except DataError:
        raise
    except Exception as error:  # a damaged archive raises almost anything
        raise DataError(f"{path}: not a readable .npz file ({error})") from error
    return read_arrays(images, labels, size=size, name=str(path))


def read_npy(images: Path | str, labels: Path | str, *, size: Size | None = None) -> FaceDataset:
    """Read a `.npy` file of images and one of labels; uint8 images `(n, h, w, c)` stay on the disk until they are needed.

    Raises:
        DataError: If a file or its array cannot be used.
    """
    arrays = []
    for path in (images, labels):
        try:
            arrays.append(np.load(check_path(path), mmap_mode="r", allow_pickle=False))
        except DataError:
            raise
        except Exception as error:  # a damaged file raises almost anything
            raise DataError(f"{path}: not a readable .npy file ({error})") from error
    return read_arrays(arrays[0], arrays[1], size=size, name=str(images))


def _as_photos(face_images: npt.ArrayLike, name: str) -> npt.NDArray[np.uint8]:
    """Check images and convert them to `(n, h, w, c)` uint8; a uint8 array is not copied."""
    try:
        images = face_images if isinstance(face_images, np.ndarray) else np.asarray(face_images)
    except ValueError as error:
        raise DataError(f"{name}: images of several sizes; resize them to one size first") from error
    if images.dtype == object:
        raise DataError(f"{name}: images of several sizes, or no images; resize them to one size first")
    if images.size == 0:
        raise DataError(f"{name} must have at least one image, got shape {images.shape}")
    if images.ndim == 3:
        images = images[:, :, :, None]
    if images.ndim != 4 or images.shape[3] not in (1, 3):
        raise DataError(f"{name} must be (n, h, w), (n, h, w, 1) or (n, h, w, 3), got shape {images.shape}")
    if images.dtype == np.uint8:
        return images
    if images.dtype.kind != "f":
        raise DataError(f"{name} must be uint8, or float in [0, 1], got dtype {images.dtype}")
    finite = np.isfinite(images).all(axis=(1, 2, 3))
    if not finite.all():
        raise DataError(f"{name}: image {int(np.argmin(finite))} holds NaN or infinity")
    if images.min() < 0 or images.max() > 1:
        hint = "; for levels of 0 .. 255 pass uint8" if images.max() > 1 else ""
        raise DataError(f"{name} must lie in [0, 1], got {images.min():g} .. {images.max():g}{hint}")
    return np.rint(images * 255).astype(np.uint8)
