"""Labelled faces, in memory or on disk."""

import hashlib
import json
import os
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from visavis.data.intake import Intake
from visavis.data.names import normalise_name
from visavis.errors import DataError
from visavis.faces import Crop
from visavis.files import atomic_write, make_private_folder
from visavis.wording import counted

__all__ = ["DatasetSummary", "FaceDataset", "map_new", "read_saved"]

FACES, LANDMARKS, _LABELS, _NAMES = "faces.npy", "landmarks.npy", "labels.npy", "names.json"
_CHUNK = 4096


@dataclass(frozen=True)
class DatasetSummary:
    """The size of a data set.

    Attributes:
        photos: Number of photos.
        people: Number of people.
        single_photo_people: Number of people with one photo only; they form non-mated pairs alone.
        shape: Height, width and channels of a face.
        bytes: Size of all pixels.
    """

    photos: int
    people: int
    single_photo_people: int
    shape: tuple[int, int, int]
    bytes: int

    def __str__(self) -> str:
        """Return a one-sentence summary."""
        height, width, channels = self.shape
        colour = "colour" if channels == 3 else "grey"
        photos = counted(self.photos, f"{colour} photo")
        single = f" ({self.single_photo_people:,} of them with one photo only)" if self.single_photo_people else ""
        return f"{photos} of {counted(self.people, 'person')}{single}, {width} x {height} pixels"


@dataclass(frozen=True, eq=False, repr=False)
class FaceDataset:
    """Faces, the person of each, and where each came from.

    Attributes:
        pixels: `(m, h, w, c)` uint8, an array or a read-only memory map.
        labels: `(n,)` int64, indices into `people`.
        people: The people's names, normalised (`normalise_name`), each once.
        sources: `n` names of photos: files, or other unique names.
        rows: `(n,)` int64, the row of `pixels` that each photo is in; None: all of them in order.
        crop: The crop to which faces were aligned in their photos; None: they are not aligned.
        landmarks: `(m, 5, 2)` float32, the landmarks of each face in pixels of `pixels`, NaN where none were detected; None: those
            of the crop.
        intake: What was read from a folder or archive, and what was passed over; None for other sources, and for subsets.
    """

    pixels: npt.NDArray[np.uint8]
    labels: npt.NDArray[np.int64]
    people: tuple[str, ...]
    sources: Sequence[str]
    rows: npt.NDArray[np.int64] | None = None
    crop: Crop | None = None
    landmarks: npt.NDArray[np.float32] | None = None
    intake: Intake | None = None

    def __post_init__(self) -> None:
        """Normalise the names, and check that all parts fit together.

        Raises:
            DataError: If they do not.
        """
        if self.pixels.ndim != 4 or self.pixels.dtype != np.uint8 or self.pixels.shape[3] not in (1, 3):
            raise DataError(
                f"faces must be (n, h, w, c) uint8 with 1 or 3 channels, got shape {self.pixels.shape}, dtype {self.pixels.dtype}"
            )
        count = len(self.pixels) if self.rows is None else len(self.rows)
        if not len(self.labels) == len(self.sources) == count:
            raise DataError(
                "faces, labels and sources must have the same length, "
                f"got {counted(count, 'face')}, {counted(len(self.labels), 'label')} and {counted(len(self.sources), 'source')}"
            )
        if count == 0:
            raise DataError("no photos")
        if self.crop is not None and not (self.crop.aligned and self.crop.size == self.shape[:2]):
            raise DataError(
                f"crop must have landmarks and the size of the faces, got {self.crop.describe()} for faces {self.shape}"
            )
        if self.landmarks is not None and (self.crop is None or self.landmarks.shape != (len(self.pixels), 5, 2)):
            raise DataError(
                f"landmarks must be (n, 5, 2) and go with a crop, got {self.landmarks.shape} for "
                f"{counted(len(self.pixels), 'face')}"
            )
        present = np.unique(self.labels)
        if present[0] < 0 or present[-1] >= len(self.people) or len(present) != len(self.people):
            raise DataError(
                f"labels must be 0 .. people - 1, and every person must have a photo, got {counted(len(self.people), 'person')} "
                f"and {counted(len(present), 'label')} from {present[0]} to {present[-1]}"
            )
        people = tuple(map(normalise_name, self.people))
        if len(set(people)) < len(people):
            raise DataError(f"people must have different names, got {Counter(people).most_common(1)[0][0]!r} twice")
        object.__setattr__(self, "people", people)

    def __len__(self) -> int:
        """Return the number of photos."""
        return len(self.labels)

    def __repr__(self) -> str:
        """Return the numbers of photos and people, and the shape of a face."""
        aligned = ", aligned" if self.aligned else ""
        return (
            f"FaceDataset({counted(len(self), 'photo')} of {counted(len(self.people), 'person')}, "
            f"{' x '.join(map(str, self.shape))}{aligned})"
        )

    @property
    def shape(self) -> tuple[int, int, int]:
        """Height, width and channels of a face."""
        height, width, channels = self.pixels.shape[1:]
        return height, width, channels

    @property
    def aligned(self) -> bool:
        """Whether the faces are aligned by their landmarks."""
        return self.crop is not None

    @property
    def faces(self) -> npt.NDArray[np.uint8]:
        """All faces `(n, h, w, c)`: `pixels` itself without `rows`, else a copy."""
        return self.pixels if self.rows is None else self.gather(np.arange(len(self)))

    @cached_property
    def photos_per_person(self) -> npt.NDArray[np.int64]:
        """Number of photos of each person, `(people,)`."""
        return np.bincount(self.labels, minlength=len(self.people))

    def gather(self, indices: npt.ArrayLike) -> npt.NDArray[np.uint8]:
        """Copy some faces, `(k, h, w, c)`; no others are read from the disk."""
        chosen = np.asarray(indices, dtype=np.int64)
        return np.asarray(self.pixels[chosen if self.rows is None else self.rows[chosen]])

    def select(self, indices: npt.ArrayLike) -> "FaceDataset":
        """Return a data set of some of the photos, without copying a pixel; people without any of them are left out.

        Raises:
            DataError: If no photo is chosen.
        """
        chosen = np.asarray(indices, dtype=np.int64)
        if not len(chosen):
            raise DataError("no photos were chosen")
        present, labels = np.unique(self.labels[chosen], return_inverse=True)
        return FaceDataset(
            pixels=self.pixels,
            labels=labels.astype(np.int64),
            people=tuple(self.people[label] for label in present),
            sources=[self.sources[index] for index in chosen],
            rows=chosen if self.rows is None else self.rows[chosen],
            crop=self.crop,
            landmarks=self.landmarks,
        )

    def select_people(self, people: Iterable[str]) -> "FaceDataset":
        """Return a data set of these people's photos; names are normalised first.

        Raises:
            DataError: If a person is not in it.
        """
        number = {name: index for index, name in enumerate(self.people)}
        wanted = set(map(normalise_name, people))
        if unknown := sorted(wanted - set(number)):
            raise DataError(f"no such person in the data: {', '.join(unknown[:5])}")
        chosen = np.zeros(len(self.people), dtype=bool)
        chosen[[number[name] for name in wanted]] = True
        return self.select(np.flatnonzero(chosen[self.labels]))

    def cut(self, crop: Crop) -> "FaceDataset":
        """Return the faces as an encoder takes them.

        Aligned faces are cut by their landmarks for a crop that has some; all others are resized and converted to its colour.

        Args:
            crop: The encoder's.

        Returns:
            This data set where it has that crop already, else a copy in memory.

        Raises:
            DataError: If the crop needs landmarks and the faces are not aligned, or if it shows more than the prepared faces do.
        """
        crop = replace(crop, colour="rgb") if crop.colour == "bgr" else crop
        self.check_crop(crop)
        if self.shape == crop.shape and (not crop.aligned or crop == self.crop):
            return self
        faces = np.empty((len(self), *crop.shape), dtype=np.uint8)
        landmarks = np.empty((len(self), 5, 2), dtype=np.float32)
        for index in range(len(self)):
            faces[index] = self.cut_face(index, crop)
            if crop.aligned:
                points = self._landmarks_of(index)
                landmarks[index] = crop.transform(points).apply(points)
        if crop.aligned:
            return replace(self, pixels=faces, rows=None, crop=crop, landmarks=landmarks)
        return replace(self, pixels=faces, rows=None, crop=None, landmarks=None)

    def cut_face(self, index: int, crop: Crop) -> npt.NDArray[np.uint8]:
        """Return one face as an encoder takes it; see `cut`. `check_crop` tells whether it can be."""
        face = self.gather([index])[0]
        if crop.aligned and crop != self.crop:
            return crop.cut(face, self._landmarks_of(index))
        return replace(crop, landmarks=None, centre=None).fit(face)

    def check_crop(self, crop: Crop) -> None:
        """Check that the faces can be cut for an encoder.

        Raises:
            DataError: If they cannot; see `cut`.
        """
        if not crop.aligned:
            return
        if self.crop is None:
            raise DataError(
                "the model takes aligned faces, and these are not. Align them first: visavis prepare PHOTOS --out FACES"
            )
        if not self.crop.covers(crop):
            raise DataError(
                f"the model's crop ({crop.describe()}) shows more of a face than was kept of these ({self.crop.describe()}). "
                "Prepare the photos again: visavis prepare PHOTOS --out FACES"
            )

    def _landmarks_of(self, index: int) -> npt.NDArray[np.float64]:
        """Landmarks `(5, 2)` of one face, those of the crop where none were detected."""
        assert self.crop is not None
        row = index if self.rows is None else self.rows[index]
        points = None if self.landmarks is None else self.landmarks[row]
        return np.array(self.crop.landmarks if points is None or np.isnan(points).any() else points, dtype=np.float64)

    def summary(self) -> DatasetSummary:
        """Count photos and people."""
        size = len(self) * int(np.prod(self.shape))
        return DatasetSummary(len(self), len(self.people), int(np.sum(self.photos_per_person == 1)), self.shape, size)

    @cached_property
    def photo_digests(self) -> list[bytes]:
        """Digest of the pixels of each photo (BLAKE2b, 16 bytes)."""
        return [
            hashlib.blake2b(face, digest_size=16).digest()
            for start in range(0, len(self), _CHUNK)
            for face in self.gather(np.arange(start, min(start + _CHUNK, len(self))))
        ]

    def digest(self) -> str:
        """Return the SHA-256 of names, labels and pixels, hexadecimal."""
        return self._digest

    @cached_property
    def _digest(self) -> str:
        sha = hashlib.sha256(json.dumps([self.people, self.shape]).encode())
        sha.update(self.labels.astype("<i8").tobytes())
        for digest in self.photo_digests:
            sha.update(digest)
        return sha.hexdigest()

    def save(self, folder: Path | str) -> Path:
        """Write the data set into a folder that `read_saved` maps into memory; only its owner may read the files.

        Returns:
            The folder.
        """
        folder = make_private_folder(Path(folder))
        out = map_new(folder / FACES, (len(self), *self.shape))
        for start in range(0, len(self), _CHUNK):
            stop = min(start + _CHUNK, len(self))
            out[start:stop] = self.gather(np.arange(start, stop))
        out.flush()
        return self.save_names(folder)

    def save_names(self, folder: Path) -> Path:
        """Write labels and names beside the pixels, which are in the folder already."""
        with atomic_write(folder / _LABELS, private=True) as path:
            np.save(path, self.labels)
        if self.landmarks is not None:
            with atomic_write(folder / LANDMARKS, private=True) as path:
                np.save(path, self.landmarks if self.rows is None else self.landmarks[self.rows])
        crop = None if self.crop is None else self.crop.to_json()
        names = {"people": self.people, "sources": list(self.sources), "crop": crop}
        with atomic_write(folder / _NAMES, private=True) as path:
            path.write_text(json.dumps(names), encoding="utf-8")
        return folder


def map_new(path: Path | str, shape: tuple[int, ...]) -> Any:
    """Map a new `.npy` file of uint8 into memory; only its owner may read it.

    Its space on the disk is allocated at once: writing to a mapped file on a full disk would kill the process.

    Raises:
        OSError: If there is not enough space; an older file of that name stays then.
    """
    path = Path(path)
    with atomic_write(path, private=True) as temporary:
        np.lib.format.open_memmap(temporary, "w+", np.uint8, shape)
        if hasattr(os, "posix_fallocate"):
            with temporary.open("r+b") as file:
                os.posix_fallocate(file.fileno(), 0, temporary.stat().st_size)
    return np.lib.format.open_memmap(path, "r+")


def read_saved(folder: Path | str) -> FaceDataset:
    """Open what `FaceDataset.save` wrote; pixels stay on the disk until they are needed.

    Raises:
        DataError: If the folder does not hold a complete data set.
    """
    folder = Path(folder)
    try:
        pixels = np.load(folder / FACES, mmap_mode="r", allow_pickle=False)
        labels = np.load(folder / _LABELS, allow_pickle=False)
        names = json.loads((folder / _NAMES).read_text(encoding="utf-8"))
        crop = _saved_crop(names, pixels.shape)
        landmarks = np.load(folder / LANDMARKS, allow_pickle=False) if (folder / LANDMARKS).is_file() else None
        return FaceDataset(pixels, labels, tuple(names["people"]), names["sources"], crop=crop, landmarks=landmarks)
    except (OSError, KeyError, TypeError, ValueError, RecursionError) as error:
        raise DataError(f"{folder}: not a saved data set ({error})") from error


def _saved_crop(names: dict[str, Any], shape: tuple[int, ...]) -> Crop | None:
    """Return the crop of a saved data set; aligned faces that were saved without one have ArcFace's."""
    if "crop" in names:
        return None if names["crop"] is None else Crop.from_json(names["crop"])
    return Crop.arcface(shape[1], colour="gray" if shape[3] == 1 else "rgb") if names["aligned"] else None
