"""Names that a user gave to faces of an album: read, kept, and turned into a folder of people."""

import csv
import hashlib
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from visavis.albums.faces import AlbumFaces
from visavis.albums.reading import ReadingSettings, thumbnail
from visavis.albums.tables import open_pictures
from visavis.data.names import check_name
from visavis.errors import DataError
from visavis.files import atomic_write, write_csv

__all__ = ["Names", "read_names", "write_people"]

_COLUMNS = ("face", "name")
REJECTED = "-"
"""Stands for a name where a face is not to be sorted."""


@dataclass(frozen=True)
class Names:
    """Which faces were named.

    Attributes:
        people: The name of each named face, by its key, see `AlbumFaces.keys`.
        rejected: The keys of faces that are not to be sorted.
    """

    people: Mapping[str, str] = field(default_factory=dict)
    rejected: frozenset[str] = frozenset()

    def groups(self, keys: Sequence[str]) -> dict[str, list[int]]:
        """Return the faces of each name, as places in `keys`."""
        groups: dict[str, list[int]] = {}
        for place, key in enumerate(keys):
            if key in self.people:
                groups.setdefault(self.people[key], []).append(place)
        return groups

    def updated(self, other: "Names") -> "Names":
        """Return these names, where others do not change them."""
        people = {**self.people, **other.people}
        rejected = (self.rejected - set(other.people)) | other.rejected
        return Names({key: name for key, name in people.items() if key not in rejected}, rejected)

    def write(self, path: Path) -> None:
        """Write a CSV with the columns face and name."""
        rows = [*self.people.items(), *((key, REJECTED) for key in sorted(self.rejected))]
        write_csv(path, _COLUMNS, rows, private=True)


def read_names(path: Path) -> Names:
    """Read a CSV with the columns face and name, as the review page saves it; a face named `-` is not sorted.

    Raises:
        DataError: If it is no such file, if a face stands in it twice with different names, or if a name cannot be used.
    """
    try:
        with path.open(encoding="utf-8-sig", newline="") as file:
            rows = list(csv.DictReader(file))
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise DataError(f"{path}: not a readable list of names ({error})") from error
    people: dict[str, str] = {}
    for number, row in enumerate(rows, 2):
        if row.get("face") is None or row.get("name") is None:
            raise DataError(f"{path}: line {number} must have a face and a name; the first line must be: face,name")
        try:
            name = REJECTED if row["name"].strip() == REJECTED else check_name(row["name"])
        except ValueError as error:
            raise DataError(f"{path}: line {number}: {error}") from error
        if people.setdefault(row["face"], name) != name:
            raise DataError(f"{path}: line {number}: {row['face']} has two names: {people[row['face']]} and {name}")
    rejected = frozenset(key for key, name in people.items() if name == REJECTED)
    return Names({key: name for key, name in people.items() if key not in rejected}, rejected)


def write_people(
    out: Path, faces: AlbumFaces, names: Iterable[str | None], photos: Path | str, settings: ReadingSettings
) -> dict[str, int]:
    """Write a folder of people: each named face with some of its surroundings, in the pixels of its photo.

    Faces that an earlier call wrote and that have another name by now are removed; other files are left alone.

    Args:
        out: The folder.
        faces: The faces of the album.
        names: The name of each; None: it has none.
        photos: Where they are: the photos, or a table; the photos of a table that are not there any more are left out.
        settings: How the photos were read.

    Returns:
        How many faces of each person were written.
    """
    counts: dict[str, int] = {}
    named, keys = {place: name for place, name in enumerate(names) if name is not None}, faces.keys
    files = {
        place: out / name / f"face-{hashlib.sha256(keys[place].encode()).hexdigest()[:16]}.jpg" for place, name in named.items()
    }
    with open_pictures(photos, faces.intake.root, settings) as picture:
        last, pixels = "", None
        for place, name in named.items():
            if faces.photos[place] != last:
                last, pixels = faces.photos[place], picture(faces.photos[place])
            if pixels is None:
                continue
            with atomic_write(files[place], private=True) as temporary:
                temporary.write_bytes(thumbnail(pixels, faces.boxes[place].astype(np.float64), None))
            counts[name] = counts.get(name, 0) + 1
    for file in set(out.glob("*/face-*.jpg")) - set(files.values()):
        file.unlink()
    return counts
