"""Faces with the person of each, in memory or on disk."""

import hashlib
import json
import os
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from visavis.errors import DataError
from visavis.files import atomic_write

__all__ = ["DatasetSummary", "FaceDataset", "map_new", "read_saved"]

FACES, _LABELS, _NAMES = "faces.npy", "labels.npy", "names.json"
_CHUNK = 4096


@dataclass(frozen=True)
class DatasetSummary:
    """What is in a data set, in numbers.

    Attributes:
        photos: How many photos.
        people: How many people.
        single_photo_people: How many of them have one photo only; they serve in non-mated pairs alone.
        shape: Height, width and channels of a face.
        bytes: Of all pixels.
    """

    photos: int
    people: int
    single_photo_people: int
    shape: tuple[int, int, int]
    bytes: int

    def __str__(self) -> str:
        """Say it in a sentence."""
        height, width, channels = self.shape
        colour = "colour" if channels == 3 else "grey"
        single = f" ({self.single_photo_people:,} of them with one photo only)" if self.single_photo_people else ""
        return f"{self.photos:,} {colour} photos of {self.people:,} people{single}, {width} x {height} pixels"


@dataclass(frozen=True, eq=False)
class FaceDataset:
    """Faces, the person of each, and where each came from.

    Attributes:
        pixels: `(m, h, w, c)` uint8, an array or a read-only memory map.
        labels: `(n,)` int64, indices into `people`.
        people: The people's names, each once.
        sources: `n` names of photos: files, or whatever tells them apart.
        rows: `(n,)` int64, the row of `pixels` that each photo is in; None: all of them in order.
        aligned: Whether the faces were found in whole photos and cut by their five points (`visavis.faces`).
    """

    pixels: npt.NDArray[np.uint8]
    labels: npt.NDArray[np.int64]
    people: tuple[str, ...]
    sources: Sequence[str]
    rows: npt.NDArray[np.int64] | None = None
    aligned: bool = False

    def __post_init__(self) -> None:
        """Check that all parts fit together.

        Raises:
            DataError: If they do not.
        """
        if self.pixels.ndim != 4 or self.pixels.dtype != np.uint8 or self.pixels.shape[3] not in (1, 3):
            raise DataError(
                "faces must be (n, h, w, c) uint8 with 1 or 3 channels. "
                f"Received: shape {self.pixels.shape}, dtype {self.pixels.dtype}"
            )
        count = len(self.pixels) if self.rows is None else len(self.rows)
        if not len(self.labels) == len(self.sources) == count:
            raise DataError(
                f"faces, labels and sources must be of one length. "
                f"Received: {count} faces, {len(self.labels)} labels and {len(self.sources)} sources"
            )
        if count == 0:
            raise DataError("no photos")
        present = np.unique(self.labels)
        if present[0] < 0 or present[-1] >= len(self.people) or len(present) != len(self.people):
            raise DataError("labels must be 0 .. people - 1, and every person must have a photo")

    def __len__(self) -> int:
        """Count the photos."""
        return len(self.labels)

    @property
    def shape(self) -> tuple[int, int, int]:
        """Height, width and channels of a face."""
        height, width, channels = self.pixels.shape[1:]
        return height, width, channels

    @property
    def faces(self) -> npt.NDArray[np.uint8]:
        """All faces `(n, h, w, c)`: `pixels` itself where it holds just these, else a copy of those chosen."""
        return self.pixels if self.rows is None else self.gather(np.arange(len(self)))

    @cached_property
    def photos_per_person(self) -> npt.NDArray[np.int64]:
        """How many photos each person has, `(people,)`."""
        return np.bincount(self.labels, minlength=len(self.people))

    def gather(self, indices: npt.ArrayLike) -> npt.NDArray[np.uint8]:
        """Copy some faces, `(k, h, w, c)`; nothing else is read from the disk."""
        chosen = np.asarray(indices, dtype=np.int64)
        return np.asarray(self.pixels[chosen if self.rows is None else self.rows[chosen]])

    def select(self, indices: npt.ArrayLike) -> "FaceDataset":
        """Return a data set of some of the photos, without copying a pixel; people who have none of them drop out.

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
            aligned=self.aligned,
        )

    def select_people(self, people: Iterable[str]) -> "FaceDataset":
        """Return a data set of these people's photos.

        Raises:
            DataError: If somebody is not in it.
        """
        number = {name: index for index, name in enumerate(self.people)}
        wanted = set(people)
        if unknown := sorted(wanted - set(number)):
            raise DataError(f"no such person in the data: {', '.join(unknown[:5])}")
        chosen = np.zeros(len(self.people), dtype=bool)
        chosen[[number[name] for name in wanted]] = True
        return self.select(np.flatnonzero(chosen[self.labels]))

    def summary(self) -> DatasetSummary:
        """Count photos and people."""
        size = len(self) * int(np.prod(self.shape))
        return DatasetSummary(len(self), len(self.people), int(np.sum(self.photos_per_person == 1)), self.shape, size)

    @cached_property
    def photo_digests(self) -> list[bytes]:
        """Hashes of the pixels of every photo (BLAKE2b, 16 bytes); equal photos have equal hashes."""
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
        """Write the data set into a folder that `read_saved` maps into memory.

        Returns:
            The folder.
        """
        folder = Path(folder)
        folder.mkdir(parents=True, exist_ok=True)
        out = map_new(folder / FACES, (len(self), *self.shape))
        for start in range(0, len(self), _CHUNK):
            stop = min(start + _CHUNK, len(self))
            out[start:stop] = self.gather(np.arange(start, stop))
        out.flush()
        return self.save_names(folder)

    def save_names(self, folder: Path) -> Path:
        """Write all but the pixels, which are in the folder already."""
        np.save(folder / _LABELS, self.labels)
        names = {"people": self.people, "sources": list(self.sources), "aligned": self.aligned}
        (folder / _NAMES).write_text(json.dumps(names), encoding="utf-8")
        return folder


def map_new(path: Path | str, shape: tuple[int, ...]) -> Any:
    """Map a new `.npy` file of uint8 into memory, with its room on the disk taken: where there is none, a later write would kill.

    Raises:
        OSError: If there is no room for it; an older file of that name stays then.
    """
    path = Path(path)
    with atomic_write(path) as temporary:
        np.lib.format.open_memmap(temporary, "w+", np.uint8, shape)
        if hasattr(os, "posix_fallocate"):
            with temporary.open("r+b") as file:
                os.posix_fallocate(file.fileno(), 0, temporary.stat().st_size)
    return np.lib.format.open_memmap(path, "r+")


def read_saved(folder: Path | str) -> FaceDataset:
    """Open what `FaceDataset.save` wrote; the pixels stay on the disk until they are asked for.

    Raises:
        DataError: If the folder does not hold a whole data set.
    """
    folder = Path(folder)
    try:
        pixels = np.load(folder / FACES, mmap_mode="r", allow_pickle=False)
        labels = np.load(folder / _LABELS, allow_pickle=False)
        names = json.loads((folder / _NAMES).read_text(encoding="utf-8"))
        return FaceDataset(pixels, labels, tuple(names["people"]), names["sources"], aligned=names["aligned"])
    except (OSError, KeyError, ValueError) as error:
        raise DataError(f"{folder}: not a saved data set ({error})") from error
