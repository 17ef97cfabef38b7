"""InsightFace's `.bin` files of verification pairs: LFW, CFP-FP, AgeDB-30, CALFW, CPLFW.

Such a file is a pickle of two lists: the bytes of 2m photos, and m truth values. It is parsed without being unpickled: only the
instructions that build lists of bytes and truth values are followed, and nothing is ever imported or called.
"""

import hashlib
import pickletools
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from visavis.data.dataset import FaceDataset
from visavis.data.protocols import PairProtocol, connected_people
from visavis.errors import DataError, ImageError
from visavis.faces.crops import CANONICAL_CROP
from visavis.images import Limits, read_image, resize_image
from visavis.wording import counted

__all__ = ["read_bin", "read_bin_lists"]

_FOLDS = 10
_THREADS = 4
_MARK = object()
_IGNORED = frozenset({"PROTO", "FRAME"})
_BYTES = frozenset({"BINBYTES", "SHORT_BINBYTES", "BINBYTES8", "BYTEARRAY8"})
_BYTES_OF_PYTHON_2 = frozenset({"BINSTRING", "SHORT_BINSTRING"})


def read_bin(path: Path | str, *, limits: Limits | None = None) -> tuple[FaceDataset, PairProtocol]:
    """Read the photos and pairs of a `.bin` file.

    Equal photos are kept once. The file does not say who is on them: photos that mated pairs connect are taken for one person, so a
    person whose photos no pair connects counts as several. The pairs have ten folds, in the order of the file.

    Args:
        path: The file.
        limits: Limits of one photo; None: `Limits()`.

    Returns:
        The photos as aligned faces of 112 x 112 pixels, which they are in these files, and the pairs.

    Raises:
        DataError: If the file cannot be read, holds anything but photos and truth values, or contradicts itself.
    """
    path = Path(path)
    photos, same = read_bin_lists(path)
    if len(photos) != 2 * len(same) or not same:
        raise DataError(
            f"{path}: must hold two photos for each truth value, got {counted(len(photos), 'photo')} and "
            f"{counted(len(same), 'value')}"
        )
    row_of: dict[bytes, int] = {}
    rows = [row_of.setdefault(hashlib.sha256(photo).digest(), len(row_of)) for photo in photos]
    unique = [photos[place] for place in np.unique(rows, return_index=True)[1]]
    pairs, labels = np.array(rows, dtype=np.int64).reshape(-1, 2), np.array(same, dtype=np.int64)
    people = connected_people(pairs, labels, count=len(unique), name=str(path))
    faces = FaceDataset(
        pixels=_decoded(unique, path, limits),
        labels=people,
        people=tuple(f"person {number + 1}" for number in range(people.max() + 1)),
        sources=[f"{path.stem}/{number + 1}" for number in range(len(unique))],
        crop=CANONICAL_CROP,
    )
    folds = np.arange(len(same)) * _FOLDS // len(same) if len(same) >= 2 * _FOLDS else None
    return faces, PairProtocol(pairs, labels, folds, path.stem)


def read_bin_lists(path: Path | str) -> tuple[list[bytes], list[bool]]:
    """Return the encoded photos and the truth values of a `.bin` file.

    Raises:
        DataError: If the file cannot be read, or holds anything but a list of bytes and one of truth values.
    """
    try:
        data = Path(path).read_bytes()
        whole = _interpret(data)
    except OSError as error:
        raise DataError(f"{path}: {error.strerror or error}") from error
    except (ValueError, IndexError, KeyError, TypeError, AttributeError) as error:
        raise DataError(f"{path}: not a file of photos and truth values, as InsightFace writes them ({error})") from error
    if not (isinstance(whole, list | tuple) and len(whole) == 2 and all(isinstance(part, list | tuple) for part in whole)):
        raise DataError(f"{path}: must hold a list of photos and one of truth values")
    photos, same = whole
    if not all(isinstance(photo, bytes) for photo in photos) or not all(isinstance(value, bool) for value in same):
        raise DataError(f"{path}: must hold photos as bytes and truth values, got other values")
    return list(photos), list(same)


def _interpret(data: bytes) -> Any:
    """Follow the instructions of a pickle that build lists of bytes and truth values.

    Raises:
        ValueError: If there is any other instruction, or if the file ends too early.
    """
    stack: list[Any] = []
    memo: dict[int, Any] = {}
    for name, argument in _instructions(data):
        if name in _IGNORED:
            continue
        if name == "STOP":
            if len(stack) != 1:
                raise ValueError("the file ends with several values")
            return stack[0]
        if name in _BYTES or name in _BYTES_OF_PYTHON_2:
            stack.append(argument.encode("latin-1") if name in _BYTES_OF_PYTHON_2 else bytes(argument))
        elif name in ("PUT", "BINPUT", "LONG_BINPUT", "MEMOIZE"):
            memo[len(memo) if argument is None else argument] = stack[-1]
        elif name in ("GET", "BINGET", "LONG_BINGET"):
            stack.append(memo[argument])
        elif name in _BUILDERS:
            _BUILDERS[name](stack)
        elif name == "INT" and isinstance(argument, bool):
            stack.append(argument)
        else:
            raise ValueError(f"instruction {name} is not allowed")
    raise ValueError("the file ends too early")


def _instructions(data: bytes) -> Iterator[tuple[str, Any]]:
    for opcode, argument, _ in pickletools.genops(data):
        yield opcode.name, argument


def _to_mark(stack: list[Any]) -> list[Any]:
    """Take all values above the last mark, and the mark, off the stack."""
    place = max(index for index, value in enumerate(stack) if value is _MARK)
    values = stack[place + 1 :]
    del stack[place:]
    return values


def _extend(stack: list[Any], values: list[Any]) -> None:
    if not isinstance(stack[-1], list):
        raise ValueError("values are added to something that is no list")
    stack[-1].extend(values)


_BUILDERS: dict[str, Callable[[list[Any]], Any]] = {
    "MARK": lambda stack: stack.append(_MARK),
    "EMPTY_LIST": lambda stack: stack.append([]),
    "LIST": lambda stack: stack.append(_to_mark(stack)),
    "APPEND": lambda stack: _extend(stack, [stack.pop()]),
    "APPENDS": lambda stack: _extend(stack, _to_mark(stack)),
    "TUPLE": lambda stack: stack.append(tuple(_to_mark(stack))),
    "TUPLE2": lambda stack: stack.append((stack.pop(-2), stack.pop())),
    "NEWTRUE": lambda stack: stack.append(True),
    "NEWFALSE": lambda stack: stack.append(False),
}


def _decoded(photos: list[bytes], path: Path, limits: Limits | None) -> npt.NDArray[np.uint8]:
    """Decode the photos, `(n, 112, 112, 3)`."""
    size = CANONICAL_CROP.size

    def decode(numbered: tuple[int, bytes]) -> npt.NDArray[np.uint8]:
        number, data = numbered
        photo = read_image(data, name=f"{path}, photo {number + 1}", limits=limits)
        if photo.shape[0] != photo.shape[1]:
            raise DataError(f"{path}, photo {number + 1}: must be square, as aligned faces are, got {photo.shape[:2]}")
        return photo if photo.shape[:2] == size else resize_image(photo, size)

    pixels = np.empty((len(photos), *size, 3), dtype=np.uint8)
    try:
        with ThreadPoolExecutor(_THREADS) as pool:
            for number, photo in enumerate(pool.map(decode, enumerate(photos))):
                pixels[number] = photo
    except ImageError as error:
        raise DataError(str(error)) from error
    return pixels
