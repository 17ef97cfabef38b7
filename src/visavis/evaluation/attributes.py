"""Errors by attributes of people and photos: subgroups, and error versus discard for quality measures."""

from pathlib import Path

import numpy as np
import numpy.typing as npt

from visavis.data import FaceDataset, as_numbers, read_attributes
from visavis.data.preparation import QUALITIES, TABLE
from visavis.errors import DataError
from visavis.metrics import PairScores
from visavis.metrics.quality import DiscardCurve, check_quality, evaluate_quality
from visavis.metrics.subgroups import MAX_GROUPS, Subgroups, check_groups, evaluate_groups

__all__ = ["errors_by_attribute", "known_attributes"]


def known_attributes(
    data: str | FaceDataset, faces: FaceDataset, attributes: Path | str | None, encoding: str | None
) -> dict[str, npt.NDArray[np.str_]]:
    """Read the attributes that the user gives and those that `visavis prepare` wrote, and check that they can be used."""
    known = {} if attributes is None else read_attributes(attributes, faces, encoding=encoding)
    for name, values in known.items():
        _check_attribute(values, name)
    table = Path(data) / TABLE if isinstance(data, str) else None
    if table is not None and table.is_file():
        prepared = read_attributes(table, faces)
        known = {**{name: prepared[column] for column, name in QUALITIES.items() if _usable(prepared[column], name)}, **known}
    return known


def _check_attribute(values: npt.NDArray[np.str_], name: str) -> None:
    numbers = _quality(values)
    if numbers is None:
        check_groups(values, name)
    else:
        check_quality(numbers, name)


def _usable(values: npt.NDArray[np.str_], name: str) -> bool:
    try:
        _check_attribute(values, name)
    except DataError:
        return False
    return True


def _quality(values: npt.NDArray[np.str_]) -> npt.NDArray[np.float64] | None:
    """Return an attribute as numbers if it is a quality measure, None if it makes groups."""
    numbers = as_numbers(values)
    few = numbers is not None and len(np.unique(numbers[~np.isnan(numbers)])) <= MAX_GROUPS
    return None if few else numbers


def errors_by_attribute(
    scores: PairScores, attributes: dict[str, npt.NDArray[np.str_]], threshold: float
) -> tuple[tuple[Subgroups, ...], tuple[DiscardCurve, ...]]:
    """Return errors by each attribute that makes groups, and by each quality measure."""
    groups, quality = [], []
    for name, values in attributes.items():
        numbers = _quality(values)
        if numbers is None:
            groups.append(evaluate_groups(scores, values, threshold=threshold, attribute=name))
        else:
            quality.append(evaluate_quality(scores, numbers, threshold=threshold, measure=name))
    return tuple(groups), tuple(quality)
