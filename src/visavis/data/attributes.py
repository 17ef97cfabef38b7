"""Attributes of people and photos, such as groups and quality measures, from a CSV."""

from pathlib import Path

import numpy as np
import numpy.typing as npt

from visavis.data.dataset import FaceDataset
from visavis.data.names import normalise_name, normalise_path
from visavis.data.protocols import numbers_of_photos
from visavis.data.tables import read_table
from visavis.errors import DataError

__all__ = ["as_numbers", "read_attributes"]

_KEYS = ("person", "photo", "source")


def read_attributes(path: Path | str, dataset: FaceDataset, *, encoding: str | None = None) -> dict[str, npt.NDArray[np.str_]]:
    """Read a CSV with one line for each person or each photo.

    Args:
        path: A CSV whose column `person` names people, or whose column `photo` (or `source`) names photos, by their source or the
            end of it; the other columns are attributes. With both, the photo counts.
        dataset: The data set; people and photos of the file that are not in it are ignored.
        encoding: Of the file; see `read_pairs`.

    Returns:
        For each attribute `(n,)` texts, one for each photo; empty where nothing is known.

    Raises:
        DataError: If there is no such column, or if the file names none of the people or photos.
    """
    table = read_table(path, encoding)
    by_photo = next((name for name in ("photo", "source") if name in table.columns), None)
    if by_photo is None and "person" not in table.columns:
        raise DataError(f"{path}: must have a column person or photo, got {', '.join(table.columns)}")
    names = [name for name in table.columns if name not in _KEYS]
    if not names:
        raise DataError(f"{path}: must have a column of an attribute beside {by_photo or 'person'}")
    values = {name: np.full(len(dataset), "", dtype=object) for name in names}
    rows_of = _rows_of_photos(dataset) if by_photo else _rows_of_people(dataset)
    matched = 0
    for _, row in table.rows:
        key = normalise_path(row[by_photo]) if by_photo else normalise_name(row["person"])
        rows = rows_of.get(key, np.zeros(0, dtype=np.int64))
        matched += len(rows)
        for name in names:
            values[name][rows] = row[name]
    if not matched:
        raise DataError(f"{path}: names none of the {len(dataset.people):,} people in the data")
    return {name: column.astype(np.str_) for name, column in values.items()}


def _rows_of_photos(dataset: FaceDataset) -> dict[str, npt.NDArray[np.int64]]:
    return {name: np.array([number]) for name, number in numbers_of_photos(dataset).items()}


def _rows_of_people(dataset: FaceDataset) -> dict[str, npt.NDArray[np.int64]]:
    order = np.argsort(dataset.labels, kind="stable")
    ends = np.cumsum(dataset.photos_per_person)[:-1]
    return dict(zip(dataset.people, np.split(order, ends), strict=True))


def as_numbers(values: npt.NDArray[np.str_]) -> npt.NDArray[np.float64] | None:
    """Return an attribute as numbers, NaN where nothing is known; None: it is not of numbers."""
    try:
        return np.array([float(value) if value else np.nan for value in values])
    except ValueError:
        return None
