"""Labelled faces, in memory or on disk."""

import hashlib
import json
import os
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from visavis.data.intake import Intake
from visavis.data.names import normalise_name
from visavis.errors import DataError
from visavis.files import atomic_write, make_private_folder

__all__ = ["DatasetSummary", "FaceDataset", "map_new", "read_saved"]

FACES, _LABELS, _NAMES = "faces.npy", "labels.npy", "names.json"
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
        single = f" ({self.single_photo_people:,} of them with one photo only)" if self.single_photo_people else ""
        return f"{self.photos:,} {colour} photos of {self.people:,} people{single}, {width} x {height} pixels"


@dataclass(frozen=True, eq=False, repr=False)
class FaceDataset:
    """Faces, the person of each, and where each came from.

    Attributes:
        pixels: `(m, h, w, c)` uint8, an array or a read-only memory map.
        labels: `(n,)` int64, indices into `people`.
        people: The people's names, normalised (`normalise_name`), each once.
        sources: `n` names of photos: files, or whatever tells them apart.
        rows: `(n,)` int64, the row of `pixels` that each photo is in; None: all of them in order.
        aligned: Whether the faces were detected in whole photos and aligned by their five landmarks (`visavis.faces`).
        intake: What was read from a folder or archive, and what was passed over; None for other sources, and for subsets.
    """

    pixels: npt.NDArray[np.uint8]
    labels: npt.NDArray[np.int64]
    people: tuple[str, ...]
    sources: Sequence[str]
    rows: npt.NDArray[np.int64] | None = None
    aligned: bool = False
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
                f"got {count} faces, {len(self.labels)} labels and {len(self.sources)} sources"
            )
        if count == 0:
            raise DataError("no photos")
        present = np.unique(self.labels)
        if present[0] < 0 or present[-1] >= len(self.people) or len(present) != len(self.people):
            raise DataError(
                f"labels must be 0 .. people - 1, and every person must have a photo, got {len(self.people)} people "
                f"and {len(present)} labels from {present[0]} to {present[-1]}"
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
        return f"FaceDataset({len(self):,} photos of {len(self.people):,} people, {' x '.join(map(str, self.shape))}{aligned})"

    @property
    def shape(self) -> tuple[int, int, int]:
        """Height, width and channels of a face."""
        height, width, channels = self.pixels.shape[1:]
        return height, width, channels

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
            aligned=self.aligned,
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
        names = {"people": self.people, "sources": list(self.sources), "aligned": self.aligned}
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
        return FaceDataset(pixels, labels, tuple(names["people"]), names["sources"], aligned=names["aligned"])
    except (OSError, KeyError, ValueError) as error:
        raise DataError(f"{folder}: not a saved data set ({error})") from error
