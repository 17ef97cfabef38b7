"""Labeled Faces in the Wild: its photos, and its official pairs (View 2)."""

from pathlib import Path, PurePosixPath

import numpy as np

from visavis.data.dataset import FaceDataset
from visavis.data.folders import read_archive, read_folder
from visavis.data.protocols import PairProtocol
from visavis.errors import DataError

__all__ = ["LFW_CROP", "lfw_folds", "read_lfw", "read_lfw_pairs"]

LFW_CROP = 0.52
"""The part of a deep-funneled photo's side that holds the face from hairline to chin."""


def read_lfw(
    path: Path | str,
    *,
    size: tuple[int, int] | None = (64, 64),
    crop: float | None = LFW_CROP,
    gray: bool = False,
) -> FaceDataset:
    """Read LFW's folder or archive, `NAME/NAME_0001.jpg`, cut to the face.

    Args:
        path: The folder or the `.tar`, `.tgz` or `.zip` of it.
        size: Height and width of a face; None: as cut.
        crop: The part of the side that is kept around the centre; None: the whole photo.
        gray: Whether the colour is taken out.

    Raises:
        DataError: As `read_folder` and `read_archive` do.
    """
    read = read_folder if Path(path).is_dir() else read_archive
    return read(path, size=size, crop=crop, gray=gray)


def read_lfw_pairs(path: Path | str, dataset: FaceDataset) -> PairProtocol:
    """Read LFW's `pairs.txt`.

    Its first line gives the number of folds and of pairs of a kind in each. `NAME i j` is a mated pair, `NAME i NAME2 j` a
    non-mated one, separated by tabs.

    Args:
        path: The file.
        dataset: What `read_lfw` gave.

    Returns:
        The pairs with their folds, in the file's order.

    Raises:
        DataError: If a line cannot be read, or if its photo is not in the data set; the message names the line.
    """
    lines = Path(path).read_text(encoding="utf-8").splitlines()
    try:
        folds, per_kind = map(int, lines[0].split())
    except (IndexError, ValueError):
        raise DataError(f"{path}: line 1 must give the number of folds and of pairs, such as 10 and 300") from None
    if len(lines) < 1 + 2 * folds * per_kind:
        raise DataError(f"{path}: {folds} folds of twice {per_kind} pairs are announced, but there are {len(lines) - 1} lines")
    number = {PurePosixPath(source).stem: index for index, source in enumerate(dataset.sources)}
    pairs, labels = [], []
    for at, line in enumerate(lines[1 : 1 + 2 * folds * per_kind], start=2):
        parts = line.split("\t")
        try:
            name, first, *other, second = parts
            names = [f"{name}_{int(first):04d}", f"{other[0] if other else name}_{int(second):04d}"]
            pairs.append([number[photo] for photo in names])
        except ValueError:
            raise DataError(f"{path}: line {at} is neither NAME i j nor NAME i NAME2 j: {line!r}") from None
        except KeyError as error:
            raise DataError(f"{path}: line {at}: no photo {error} in the data") from None
        labels.append(int(not other))
    return PairProtocol(
        pairs=np.array(pairs, dtype=np.int64),
        labels=np.array(labels, dtype=np.int64),
        folds=np.repeat(np.arange(folds), 2 * per_kind),
        name="LFW View 2",
    )


def lfw_folds(dataset: FaceDataset, protocol: PairProtocol, folds: int | list[int]) -> tuple[FaceDataset, FaceDataset]:
    """Part the people of some folds' pairs from all others.

    Args:
        dataset: All photos.
        protocol: What `read_lfw_pairs` gave.
        folds: One fold, or several, numbered from 0.

    Returns:
        Everybody else, to train on, and the people of these folds.

    Raises:
        ValueError: If there is no such fold.
    """
    if protocol.folds is None or not set(np.atleast_1d(folds)) <= set(protocol.folds):
        raise ValueError(f"folds must be folds of the protocol. Received: folds={folds}")
    tested = np.unique(dataset.labels[protocol.pairs[np.isin(protocol.folds, folds)]])
    held_out = np.isin(dataset.labels, tested)
    return dataset.select(np.flatnonzero(~held_out)), dataset.select(np.flatnonzero(held_out))
