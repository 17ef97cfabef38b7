"""IJB-B and IJB-C as InsightFace distributes them: photos with landmarks, templates of several photos, and pairs of templates.

IJBC/loose_crop/1.jpg ...                     the photos
IJBC/meta/ijbc_face_tid_mid.txt               photo, template, medium (a video's frames are one medium)
IJBC/meta/ijbc_name_5pts_score.txt            photo, five landmarks, detector score
IJBC/meta/ijbc_template_pair_label.txt        template, template, 1 mated or 0 non-mated
"""

import warnings
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt

from visavis.data.protocols import PairProtocol, connected_people
from visavis.errors import DataError
from visavis.wording import counted

__all__ = ["TemplateProtocol", "read_ijb"]

_PHOTOS, _META = "loose_crop", "meta"
_LISTED, _POINTS, _PAIRS = "face_tid_mid", "name_5pts_score", "template_pair_label"


@dataclass(frozen=True, eq=False, repr=False)
class TemplateProtocol:
    """Photos, the template of each, and pairs of templates.

    Attributes:
        folder: The folder of the photos.
        photos: `n` names of photos in it.
        landmarks: `(n, 5, 2)` float32, pixels of the photo.
        templates: `(n,)` int64, the template of each photo, numbered from 0 without gaps.
        media: `(n,)` int64, the medium of each photo within its template.
        people: `(t,)` int64, the person of each template; templates that mated pairs connect are of one person.
        pairs: Pairs of templates.
    """

    folder: Path
    photos: tuple[str, ...]
    landmarks: npt.NDArray[np.float32]
    templates: npt.NDArray[np.int64]
    media: npt.NDArray[np.int64]
    people: npt.NDArray[np.int64]
    pairs: PairProtocol

    def __repr__(self) -> str:
        """Return the numbers of photos, templates and pairs."""
        return f"TemplateProtocol({counted(len(self.photos), 'photo')}, {counted(len(self.people), 'template')}, {self.pairs!r})"


def read_ijb(folder: Path | str) -> TemplateProtocol:
    """Read the lists of IJB-B or IJB-C; the photos themselves are not opened.

    Args:
        folder: The folder that holds `loose_crop` and `meta`.

    Raises:
        DataError: If a list is missing, cannot be read, or contradicts another.
    """
    folder = Path(folder)
    listed, points, pairs = (_list_of(folder, ending) for ending in (_LISTED, _POINTS, _PAIRS))
    rows = _rows(listed, 3)
    located = _rows(points, 12)
    names = tuple(row[0] for row in rows)
    if [row[0] for row in located] != list(names):
        raise DataError(f"{points}: must list the photos of {listed.name} in the same order")
    numbers = _numbers(listed, rows, int)
    landmarks = _numbers(points, located, float)[:, :10].reshape(-1, 5, 2).astype(np.float32)
    known, templates = np.unique(numbers[:, 0].astype(np.int64), return_inverse=True)
    protocol = _read_pairs(pairs, known, name=folder.name)
    people = connected_people(protocol.pairs, protocol.labels, count=len(known), name=str(pairs))
    media = numbers[:, 1].astype(np.int64)
    return TemplateProtocol(folder / _PHOTOS, names, landmarks, templates.astype(np.int64), media, people, protocol)


def _list_of(folder: Path, ending: str) -> Path:
    found = sorted((folder / _META).glob(f"*{ending}.txt"))
    if len(found) != 1:
        raise DataError(f"{folder}: must have one file {_META}/*_{ending}.txt, as IJB-B and IJB-C have, got {len(found)}")
    return found[0]


def _rows(path: Path, columns: int) -> list[list[str]]:
    rows = [line.split() for line in _text_of(path).splitlines()]
    for number, row in enumerate(rows, start=1):
        if len(row) != columns:
            raise DataError(f"{path}: line {number}: must have {columns} columns, got {len(row)}")
    if not rows:
        raise DataError(f"{path}: must have at least one line, got none")
    return rows


def _text_of(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8")
    except OSError as error:
        raise DataError(f"{path}: {error.strerror or error}") from error
    except UnicodeDecodeError as error:
        raise _other_encoding(path, error) from None


def _other_encoding(path: Path, error: UnicodeDecodeError) -> DataError:
    return DataError(f"{path}: must be in UTF-8 ({error.reason} at byte {error.start})")


def _numbers(path: Path, rows: list[list[str]], kind: type) -> npt.NDArray[np.float64]:
    """Return the columns after the first as numbers."""
    values = np.empty((len(rows), len(rows[0]) - 1))
    for number, row in enumerate(rows, start=1):
        try:
            values[number - 1] = [kind(text) for text in row[1:]]
        except ValueError as error:
            raise DataError(f"{path}: line {number}: {error}") from None
    return values


def _read_pairs(path: Path, known: npt.NDArray[np.int64], *, name: str) -> PairProtocol:
    """Read the pairs, with templates numbered by their place among those that have photos."""
    try:
        with path.open(encoding="utf-8") as file, warnings.catch_warnings():
            warnings.simplefilter("ignore", UserWarning)  # of a file without lines
            table = np.loadtxt(file, dtype=np.int64, ndmin=2)  # line by line: IJB-C has 15 million
    except UnicodeDecodeError as error:
        raise _other_encoding(path, error) from None
    except ValueError as error:
        raise DataError(f"{path}: {error}") from None
    except OSError as error:
        raise DataError(f"{path}: {error.strerror or error}") from error
    if not table.size:
        raise DataError(f"{path}: must have at least one pair, got none")
    if table.shape[1] != 3 or not np.isin(table[:, 2], (0, 1)).all():
        raise DataError(f"{path}: each line must have two templates and 0 or 1")
    places = np.searchsorted(known, table[:, :2]).clip(max=len(known) - 1)
    unknown = np.argwhere(known[places] != table[:, :2])
    if len(unknown):
        line, column = unknown[0]
        raise DataError(f"{path}: line {line + 1}: template {table[line, column]} has no photos")
    return PairProtocol(places, table[:, 2], None, name)
