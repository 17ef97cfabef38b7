"""Protocol files: the pairs to score, and which of them are mated."""

from dataclasses import dataclass, replace
from pathlib import Path, PurePosixPath

import numpy as np
import numpy.typing as npt

from visavis.data.dataset import FaceDataset
from visavis.data.names import normalise_path
from visavis.data.tables import read_table
from visavis.errors import DataError
from visavis.wording import counted

__all__ = ["PairProtocol", "connected_people", "numbers_of_photos", "read_pairs_csv"]


@dataclass(frozen=True, eq=False, repr=False)
class PairProtocol:
    """A list of pairs.

    Attributes:
        pairs: `(m, 2)` int64, indices of photos.
        labels: `(m,)` int64, 1 mated and 0 non-mated.
        folds: `(m,)` int64, numbered from 0, or None.
        name: What to call it.
    """

    pairs: npt.NDArray[np.int64]
    labels: npt.NDArray[np.int64]
    folds: npt.NDArray[np.int64] | None
    name: str

    def __len__(self) -> int:
        """Return the number of pairs."""
        return len(self.labels)

    def __repr__(self) -> str:
        """Return the numbers of pairs and folds."""
        mated = int(np.sum(self.labels))
        folds = "" if self.folds is None else f", {counted(len(np.unique(self.folds)), 'fold')}"
        return f"PairProtocol({self.name!r}, {mated:,} mated and {counted(len(self) - mated, 'non-mated pair')}{folds})"

    def within(self, photos: npt.NDArray[np.int64]) -> "PairProtocol":
        """Return the pairs of some of the photos, numbered as `FaceDataset.select` numbers these.

        Args:
            photos: `(n,)`, which photos; pairs with any other photo are left out.

        Raises:
            DataError: If no pair is left.
        """
        places = {int(photo): place for place, photo in enumerate(photos)}
        kept = np.isin(self.pairs, photos).all(axis=1)
        if not kept.any():
            raise DataError(f"{self.name}: none of its {counted(len(self), 'pair')} has both photos among those to be scored")
        pairs = np.array([[places[first], places[second]] for first, second in self.pairs[kept].tolist()])
        folds = None if self.folds is None else self.folds[kept]
        name = self.name if kept.all() else f"{self.name}, {kept.sum():,} of {counted(len(self), 'pair')}"
        return replace(self, pairs=pairs, labels=self.labels[kept], folds=folds, name=name)


def read_pairs_csv(path: Path | str, dataset: FaceDataset, *, encoding: str | None = None) -> PairProtocol:
    """Read pairs from a CSV with the columns `first`, `second` and, if wanted, `same` and `fold`.

    `first` and `second` name photos as `dataset.sources` does, or by the end of that, such as `anna/1.jpg`. Without `same`
    the people's names decide. Columns may be separated by commas, semicolons or tabs.

    Args:
        path: The file.
        dataset: The photos that it names.
        encoding: Of the file; see `read_pairs`.

    Raises:
        DataError: If a column is missing, or if a line cannot be read; the message quotes the line.
    """
    table = read_table(path, encoding)
    if not {"first", "second"} <= set(table.columns):
        raise DataError(f"{path}: line 1: must have the columns first and second, got {', '.join(table.columns)}")
    if not table.rows:
        raise DataError(f"{path}: must have at least one pair, got none")
    number = numbers_of_photos(dataset)
    pairs, labels, folds = [], [], []
    for line, row in table.rows:
        try:
            pair = [_photo(row[name], number) for name in ("first", "second")]
            same = row.get("same") or str(int(dataset.labels[pair[0]] == dataset.labels[pair[1]]))
            if same not in ("0", "1"):
                raise ValueError(f"same must be 0 or 1, got {same!r}")
            folds.append(_fold(row.get("fold") or "0"))
        except ValueError as error:
            raise DataError(f"{path}: line {line}: {error}: {','.join(row.values())!r}") from None
        pairs.append(pair)
        labels.append(int(same))
    has_folds = len(set(folds)) > 1
    return PairProtocol(np.array(pairs), np.array(labels), np.array(folds) if has_folds else None, Path(path).stem)


def connected_people(
    pairs: npt.NDArray[np.int64], labels: npt.NDArray[np.int64], *, count: int, name: str
) -> npt.NDArray[np.int64]:
    """Number the people of photos that nobody has named: photos that mated pairs connect show one person.

    Args:
        pairs: `(m, 2)`, indices of photos.
        labels: `(m,)`, 1 mated and 0 non-mated.
        count: Number of photos.
        name: What to call the pairs in an error.

    Returns:
        `(count,)` int64, the person of each photo, numbered from 0 without gaps.

    Raises:
        DataError: If mated pairs connect the two photos of a non-mated pair.
    """
    from scipy.sparse import coo_array
    from scipy.sparse.csgraph import connected_components

    mated = pairs[labels == 1]
    edges = coo_array((np.ones(len(mated)), (mated[:, 0], mated[:, 1])), shape=(count, count))
    people = connected_components(edges, directed=False)[1].astype(np.int64)
    wrong = np.flatnonzero((labels == 0) & (people[pairs[:, 0]] == people[pairs[:, 1]]))
    if len(wrong):
        raise DataError(f"{name}: pair {wrong[0] + 1} is non-mated, but mated pairs connect its two photos")
    return people


def _photo(name: str, number: dict[str, int]) -> int:
    """Return the number of the photo of this name."""
    if (found := number.get(normalise_path(name))) is None:
        raise ValueError(f"no photo {name!r} in the data, or several")
    return found


def _fold(text: str) -> int:
    if not text.isdecimal():
        raise ValueError(f"fold must be a whole number, got {text!r}")
    return int(text)


def numbers_of_photos(dataset: FaceDataset) -> dict[str, int]:
    """Return the number of each photo by its normalised source, and by each end of the source that only one photo has."""
    number: dict[str, int] = {}
    ambiguous = set()
    for index, source in enumerate(dataset.sources):
        parts = PurePosixPath(normalise_path(source)).parts
        for start in range(len(parts)):
            end = "/".join(parts[start:])
            if number.setdefault(end, index) != index:
                ambiguous.add(end)
    return {end: index for end, index in number.items() if end not in ambiguous}
