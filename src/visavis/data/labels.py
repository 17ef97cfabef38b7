"""Labels of any kind, one for each photo, to people's names and their numbers."""

from typing import Any

import numpy as np
import numpy.typing as npt

from visavis.data.names import check_name
from visavis.errors import DataError

__all__ = ["number_labels"]


def number_labels(labels: npt.ArrayLike, name: str = "labels") -> tuple[npt.NDArray[Any], npt.NDArray[np.int64]]:
    """Number the people that labels stand for, in sorted order.

    Args:
        labels: `(n,)`, equal for photos of one person: integers (also as whole floats), booleans or strings, as an array, a
            list or a pandas column. Strings are normalised as names of people are.
        name: What to call them in errors.

    Returns:
        The different labels, sorted, `(people,)`, and the number of each photo's label among them, `(n,)`.

    Raises:
        DataError: If they are of another shape or type, if one is missing (NaN, None), or if one cannot be a name.

    Example:
        >>> present, numbers = number_labels(["b", "a", " b "])
        >>> present.tolist(), numbers.tolist()
        (['a', 'b'], [1, 0, 1])
    """
    array = np.asarray(labels)
    if array.ndim == 2 and 1 in array.shape:
        raise DataError(f"{name} must be (n,), one for each photo, got shape {array.shape}; try {name}.ravel()")
    if array.ndim != 1:
        raise DataError(f"{name} must be (n,), one for each photo, got shape {array.shape}")
    if array.dtype.kind in "fO" and len(missing := np.flatnonzero(list(map(_is_missing, array.tolist())))):
        raise DataError(f"{name} must name the person of every photo, got {array[missing[0]]} for photo {missing[0]}")
    if array.dtype == object:
        array = _of_one_type(array, name)
    if array.dtype.kind == "f" and np.array_equal(array, np.rint(array)):
        array = array.astype(np.int64)
    if array.dtype.kind not in "iuUSTb":
        raise DataError(f"{name} must be integers or strings, got dtype {array.dtype}")
    if array.dtype.kind in "iub":
        present, numbers = np.unique(array, return_inverse=True)
        return present, numbers.astype(np.int64, copy=False)
    spelled, numbers = np.unique(array, return_inverse=True)
    try:
        texts = [label.decode() if isinstance(label, bytes) else str(label) for label in spelled.tolist()]
        normal = np.array([check_name(text, "a label") for text in texts], dtype=np.str_)
    except ValueError as error:
        raise DataError(f"{name}: {error}") from error
    present, joined = np.unique(normal, return_inverse=True)
    return present, joined[numbers].astype(np.int64, copy=False)


def _is_missing(value: object) -> bool:
    try:
        return value is None or bool(value != value)  # noqa: PLR0124 - NaN and NaT differ from themselves
    except TypeError:  # pandas.NA cannot be compared
        return True


def _of_one_type(array: npt.NDArray[Any], name: str) -> npt.NDArray[Any]:
    """Bring an array of objects, as pandas keeps strings, to a type of its own."""
    types = {
        bool if isinstance(value, bool | np.bool_) else int if isinstance(value, int | np.integer) else type(value)
        for value in array
    }
    if types <= {str, np.str_}:
        return array.astype(np.str_)
    if types == {int} or types == {bool}:
        return np.array(array.tolist())
    raise DataError(f"{name} must be all integers or all strings, got {' and '.join(sorted(kind.__name__ for kind in types))}")
