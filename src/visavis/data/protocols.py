"""Protocol files: the pairs to score, and which of them are mated."""

import csv
from dataclasses import dataclass, replace
from pathlib import Path, PurePosixPath

import numpy as np
import numpy.typing as npt

from visavis.data.dataset import FaceDataset
from visavis.errors import DataError

__all__ = ["PairProtocol", "numbers_of_photos", "read_pairs_csv"]


@dataclass(frozen=True, eq=False)
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
        """Count the pairs."""
        return len(self.labels)

    def within(self, photos: npt.NDArray[np.int64]) -> "PairProtocol":
        """Return the pairs of some of the photos, numbered as `FaceDataset.select` numbers these.

        Args:
            photos: `(n,)`, which photos; pairs with any other one are left out.

        Raises:
            DataError: If no pair is left.
        """
        places = {int(photo): place for place, photo in enumerate(photos)}
        kept = np.isin(self.pairs, photos).all(axis=1)
        if not kept.any():
            raise DataError(f"{self.name}: none of its {len(self):,} pairs is of two photos that are to be scored")
        pairs = np.array([[places[first], places[second]] for first, second in self.pairs[kept].tolist()])
        folds = None if self.folds is None else self.folds[kept]
        name = self.name if kept.all() else f"{self.name}, {kept.sum():,} of {len(self):,} pairs"
        return replace(self, pairs=pairs, labels=self.labels[kept], folds=folds, name=name)


def read_pairs_csv(path: Path | str, dataset: FaceDataset) -> PairProtocol:
    """Read pairs from a CSV with the columns `first`, `second` and, if wanted, `same` and `fold`.

    `first` and `second` name photos as `dataset.sources` does, or by the end of that, such as `anna/1.jpg`. Without `same`
    the people's names decide.

    Raises:
        DataError: If a column lacks, or if a line cannot be read; the message names the line.
    """
    number = numbers_of_photos(dataset)
    pairs, labels, folds = [], [], []
    with Path(path).open(newline="", encoding="utf-8-sig") as file:
        reader = csv.DictReader(file)
        if not {"first", "second"} <= set(reader.fieldnames or ()):
            raise DataError(f"{path}: needs the columns first and second. Received: {reader.fieldnames}")
        for row in reader:
            try:
                pair = [number[row["first"]], number[row["second"]]]
                fold = int(row.get("fold") or 0)
            except KeyError as error:
                raise DataError(f"{path}: line {reader.line_num}: no photo {error} in the data, or more than one") from None
            except ValueError as error:
                raise DataError(f"{path}: line {reader.line_num}: {error}") from None
            same = row.get("same") or str(int(dataset.labels[pair[0]] == dataset.labels[pair[1]]))
            if same not in ("0", "1"):
                raise DataError(f"{path}: line {reader.line_num}: same must be 0 or 1. Received: {same}")
            pairs.append(pair)
            labels.append(int(same))
            folds.append(fold)
    if not pairs:
        raise DataError(f"{path}: no pairs")
    has_folds = len(set(folds)) > 1
    return PairProtocol(np.array(pairs), np.array(labels), np.array(folds) if has_folds else None, Path(path).stem)


def numbers_of_photos(dataset: FaceDataset) -> dict[str, int]:
    """Return photos by their whole source, and by each end of it that only one photo has."""
    number: dict[str, int] = {}
    ambiguous = set()
    for index, source in enumerate(dataset.sources):
        parts = PurePosixPath(source).parts
        for start in range(len(parts)):
            end = "/".join(parts[start:])
            if number.setdefault(end, index) != index:
                ambiguous.add(end)
    return {end: index for end, index in number.items() if end not in ambiguous}
