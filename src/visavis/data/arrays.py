"""Arrays, .npz and .npy files to a `FaceDataset`, with every way to get them wrong named."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from visavis.data.dataset import FaceDataset
from visavis.errors import DataError
from visavis.images import resize_image

__all__ = ["NumberedSources", "read_arrays", "read_npy", "read_npz"]

_IMAGE_KEYS = ("face_images", "images", "X", "x")
_LABEL_KEYS = ("face_labels", "labels", "y")


class NumberedSources(Sequence[str]):
    """Names such as `faces[17]` for the rows of an array, made when they are asked for."""

    def __init__(self, name: str, count: int) -> None:
        """Name `count` rows of `name`."""
        self._name, self._count = name, count

    def __len__(self) -> int:
        """Count the names."""
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
    size: tuple[int, int] | None = None,
    name: str = "face_images",
) -> FaceDataset:
    """Make a data set of images and labels in memory.

    Args:
        face_images: `(n, h, w)` or `(n, h, w, c)`, grey or RGB: uint8, or float in [0, 1].
        face_labels: `(n,)`, equal for photos of one person: integers or strings.
        people: Names for labels 0, 1, 2 ...; by default the labels name the people.
        size: Height and width to resize to; None: as they are.
        name: What to call the images in errors and sources.

    Raises:
        DataError: If they cannot be used; the message names the array and what is wrong with it.
    """
    images = _as_photos(face_images, name)
    labels = np.asarray(face_labels)
    if labels.ndim == 2 and 1 in labels.shape:
        raise DataError(f"labels must be (n,), one for each photo. Received: shape {labels.shape}; try labels.ravel()")
    if labels.ndim != 1 or labels.dtype.kind not in "iuUSb":
        raise DataError(f"labels must be (n,), integers or strings. Received: shape {labels.shape}, dtype {labels.dtype}")
    if len(labels) != len(images):
        raise DataError(f"{name} and labels must be of one length. Received: {len(images)} and {len(labels)}")
    present, numbers = np.unique(labels, return_inverse=True)
    if len(present) < 2:
        raise DataError(f"{name}: photos of two people or more are needed. Received: one person, {present[0]}")
    if people is not None and (present[0] < 0 or present[-1] >= len(people)):
        raise DataError(f"people names {len(people)} labels, but labels go from {present[0]} to {present[-1]}")
    names = tuple(str(label) if people is None else str(people[label]) for label in present.tolist())
    if size is not None and images.shape[1:3] != size:
        images = np.stack([resize_image(image, size) for image in images])
    return FaceDataset(images, numbers.astype(np.int64), names, NumberedSources(name, len(images)))


def read_npz(path: Path | str, *, size: tuple[int, int] | None = None) -> FaceDataset:
    """Read a `.npz` file with `face_images` and `face_labels` (or `images`/`X` and `labels`/`y`).

    Raises:
        DataError: If the file or its arrays cannot be used.
    """
    try:
        with np.load(path, allow_pickle=False) as arrays:
            names = list(arrays)
            found = [next((key for key in keys if key in names), None) for keys in (_IMAGE_KEYS, _LABEL_KEYS)]
            if found[0] is None or found[1] is None:
                raise DataError(f"{path}: needs face_images and face_labels. Received: {', '.join(names) or 'no arrays'}")
            images, labels = arrays[found[0]], arrays[found[1]]
    except DataError:
        raise
    except Exception as error:  # a damaged archive raises almost anything
        raise DataError(f"{path}: not a readable .npz file ({error})") from error
    return read_arrays(images, labels, size=size, name=str(path))


def read_npy(images: Path | str, labels: Path | str, *, size: tuple[int, int] | None = None) -> FaceDataset:
    """Read a `.npy` file of images and one of labels; uint8 images `(n, h, w, c)` stay on the disk until they are needed.

    Raises:
        DataError: If a file or its array cannot be used.
    """
    arrays = []
    for path in (images, labels):
        try:
            arrays.append(np.load(path, mmap_mode="r", allow_pickle=False))
        except Exception as error:  # a damaged file raises almost anything
            raise DataError(f"{path}: not a readable .npy file ({error})") from error
    return read_arrays(arrays[0], arrays[1], size=size, name=str(images))


def _as_photos(face_images: npt.ArrayLike, name: str) -> npt.NDArray[np.uint8]:
    """Check images and bring them to `(n, h, w, c)` uint8; a uint8 array is not copied."""
    try:
        images = face_images if isinstance(face_images, np.ndarray) else np.asarray(face_images)
    except ValueError as error:
        raise DataError(f"{name}: images of several sizes; give all the same size first") from error
    if images.dtype == object:
        raise DataError(f"{name}: images of several sizes, or no images; give all the same size first")
    if images.size == 0:
        raise DataError(f"{name}: no images. Received: shape {images.shape}")
    if images.ndim == 3:
        images = images[:, :, :, None]
    if images.ndim != 4 or images.shape[3] not in (1, 3):
        raise DataError(f"{name} must be (n, h, w), (n, h, w, 1) or (n, h, w, 3). Received: shape {images.shape}")
    if images.dtype == np.uint8:
        return images
    if images.dtype.kind != "f":
        raise DataError(f"{name} must be uint8, or float in [0, 1]. Received: dtype {images.dtype}")
    finite = np.isfinite(images).all(axis=(1, 2, 3))
    if not finite.all():
        raise DataError(f"{name}: image {int(np.argmin(finite))} holds NaN or infinity")
    if images.min() < 0 or images.max() > 1:
        hint = "; for levels of 0 .. 255 pass uint8" if images.max() > 1 else ""
        raise DataError(f"{name} must lie in [0, 1]. Received: {images.min():g} .. {images.max():g}{hint}")
    return np.rint(images * 255).astype(np.uint8)
