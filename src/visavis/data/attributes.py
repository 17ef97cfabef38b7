"""What is known of people and photos beside their pixels: groups, qualities."""

import csv
from pathlib import Path

import numpy as np
import numpy.typing as npt

from visavis.data.dataset import FaceDataset
from visavis.data.protocols import numbers_of_photos
from visavis.errors import DataError

__all__ = ["as_numbers", "read_attributes"]

_KEYS = ("person", "photo", "source")


def read_attributes(path: Path | str, dataset: FaceDataset) -> dict[str, npt.NDArray[np.str_]]:
    """Read a CSV with one line for each person or each photo.

    Args:
        path: A CSV whose column `person` names people, or whose column `photo` (or `source`) names photos, by their source or the
            end of it; the other columns are attributes. With both, the photo counts.
        dataset: The data set; people and photos of the file that are not in it are passed over.

    Returns:
        For each attribute `(n,)` texts, one for each photo; empty where nothing is known.

    Raises:
        DataError: If there is no such column, or if the file tells of none of the people or photos.
    """
    with Path(path).open(newline="", encoding="utf-8-sig") as file:
        reader = csv.DictReader(file)
        columns, rows = list(reader.fieldnames or ()), list(reader)
    by_photo = next((name for name in ("photo", "source") if name in columns), None)
    if by_photo is None and "person" not in columns:
        raise DataError(f"{path}: needs a column person or photo. Received: {columns}")
    names = [name for name in columns if name not in _KEYS]
    values = {name: np.full(len(dataset), "", dtype=object) for name in names}
    known = numbers_of_photos(dataset) if by_photo else {}
    number_of = {person: number for number, person in enumerate(dataset.people)}
    told = 0
    for row in rows:
        chosen: npt.NDArray[np.int64]
        if by_photo:
            chosen = np.array([known[row[by_photo]]] if row[by_photo] in known else [], dtype=np.int64)
        else:
            chosen = np.flatnonzero(dataset.labels == number_of.get(row["person"], -1))
        told += len(chosen)
        for name in names:
            values[name][chosen] = (row[name] or "").strip()
    if not told or not names:
        raise DataError(f"{path}: tells of none of the {len(dataset.people):,} people in the data")
    return {name: column.astype(np.str_) for name, column in values.items()}


def as_numbers(values: npt.NDArray[np.str_]) -> npt.NDArray[np.float64] | None:
    """Return an attribute as numbers, NaN where nothing is known; None: it is not of numbers."""
    try:
        return np.array([float(value) if value else np.nan for value in values])
    except ValueError:
        return None
