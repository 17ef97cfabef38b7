"""Names that a user gave to faces of an album: read, kept, and turned into a folder of people."""

import csv
import hashlib
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import numpy.typing as npt

from visavis.albums.faces import AlbumFaces
from visavis.albums.reading import ReadingSettings, thumbnail
from visavis.albums.tables import open_pictures
from visavis.data.intake import is_system_entry
from visavis.data.names import check_name
from visavis.errors import DataError
from visavis.files import atomic_write, write_csv

__all__ = ["REJECTED", "Names", "check_label", "read_names", "write_people"]

_COLUMNS = ("face", "name")
_LONGEST = 200  # bytes of a name; file systems allow 255
REJECTED = "-"
"""Stands for a name where a face is not to be sorted."""


@dataclass(frozen=True)
class Names:
    """Which faces were named.

    Attributes:
        people: The name of each named face, by its key, see `AlbumFaces.keys`.
        rejected: The keys of faces that are not to be sorted.
        cleared: The keys of faces whose earlier name is removed by these names.
    """

    people: Mapping[str, str] = field(default_factory=dict)
    rejected: frozenset[str] = frozenset()
    cleared: frozenset[str] = frozenset()

    @classmethod
    def of(cls, names: Mapping[str, str]) -> "Names":
        """Return names by keys of faces, of which `-` and an empty one have their meaning."""
        return cls(
            {key: name for key, name in names.items() if name not in ("", REJECTED)},
            frozenset(key for key, name in names.items() if name == REJECTED),
            frozenset(key for key, name in names.items() if not name),
        )

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
        rejected = (self.rejected - set(other.people) - other.cleared) | other.rejected
        gone = rejected | other.cleared
        return Names({key: name for key, name in people.items() if key not in gone}, rejected)

    def write(self, path: Path) -> None:
        """Write a CSV with the columns face and name."""
        rows = [*self.people.items(), *((key, REJECTED) for key in sorted(self.rejected))]
        write_csv(path, _COLUMNS, rows, private=True)


def check_label(name: str) -> str:
    """Normalise a name that becomes a folder, or what stands for one: `-` and an empty one.

    Raises:
        ValueError: If the name cannot be used.
    """
    if name.strip() in ("", REJECTED):
        return name.strip()
    checked = check_name(name)
    if "/" in checked or "\\" in checked or is_system_entry(checked) or len(checked.encode()) > _LONGEST:
        raise ValueError(
            "a person's name becomes a folder: it must have no / or \\, not begin with a dot, not be the name of a system folder, "
            f"and have at most {_LONGEST} bytes, got {checked[:_LONGEST]!r}"
        )
    return checked


def read_names(path: Path) -> Names:
    """Read a CSV with the columns face and name, as the review page saves it.

    A face named `-` is not sorted, and one with an empty name loses the name that it had.

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
            name = check_label(row["name"])
        except ValueError as error:
            raise DataError(f"{path}: line {number}: {error}") from error
        if people.setdefault(row["face"], name) != name:
            raise DataError(f"{path}: line {number}: {row['face']} has two names: {people[row['face']]} and {name}")
    return Names.of(people)


def write_people(
    out: Path, faces: AlbumFaces, names: Iterable[str | None], photos: Path | str, settings: ReadingSettings
) -> dict[str, int]:
    """Write a folder of people: each named face with some of its surroundings, in the pixels of its photo.

    Faces that an earlier call wrote stay, unless they have another name by now; other files are left alone.

    Args:
        out: The folder.
        faces: The faces of the album.
        names: The name of each; None: it has none.
        photos: Where they are: the photos, or a table; the photos of a table that are not there any more are left out.
        settings: How the photos were read.

    Returns:
        How many faces each person has in the folder.
    """
    named, keys = {place: name for place, name in enumerate(names) if name is not None}, faces.keys
    files = {place: out / name / f"face-{_digest(keys[place], faces.boxes[place])}.jpg" for place, name in named.items()}
    with open_pictures(photos, faces.intake.root, settings) as picture:
        last, pixels = "", None
        for place in (place for place, file in files.items() if not file.is_file()):
            if faces.photos[place] != last:
                last, pixels = faces.photos[place], picture(faces.photos[place])
            if pixels is not None:
                with atomic_write(files[place], private=True) as temporary:
                    temporary.write_bytes(thumbnail(pixels, faces.boxes[place].astype(np.float64), None))
    for file in set(out.glob("*/face-*.jpg")) - set(files.values()):
        file.unlink()
        if not any(file.parent.iterdir()):
            file.parent.rmdir()
    return dict(Counter(named[place] for place, file in files.items() if file.is_file()))


def _digest(key: str, box: npt.NDArray[np.float32]) -> str:
    """Return a name for the picture of a face, which is another one when the face is."""
    return hashlib.sha256(key.encode() + box.tobytes()).hexdigest()[:16]
