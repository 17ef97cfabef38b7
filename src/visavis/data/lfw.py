"""Labeled Faces in the Wild: its photos, and its official pairs (View 1 and View 2)."""

import re
from pathlib import Path, PurePosixPath

import numpy as np

from visavis.data.dataset import FaceDataset
from visavis.data.folders import Size, read_archive, read_folder
from visavis.data.names import normalise_name
from visavis.data.protocols import PairProtocol
from visavis.data.tables import read_lines
from visavis.errors import DataError

__all__ = ["LFW_CROP", "lfw_folds", "read_lfw", "read_lfw_pairs"]

LFW_CROP = 0.52
"""The fraction of a deep-funneled photo's side that holds the face from hairline to chin."""


def read_lfw(
    path: Path | str,
    *,
    size: Size | None = (64, 64),
    crop: float | None = LFW_CROP,
    gray: bool = False,
) -> FaceDataset:
    """Read LFW's folder or archive, `NAME/NAME_0001.jpg`, cropped to the face.

    Args:
        path: The folder or the `.tar`, `.tgz` or `.zip` of it.
        size: Height and width of a face, or the side of a square; None: as cropped.
        crop: The fraction of the side that is kept around the centre; None: the whole photo.
        gray: Whether to convert to grey.

    Raises:
        DataError: As `read_folder` and `read_archive` do.
    """
    read = read_folder if Path(path).is_dir() else read_archive
    return read(path, size=size, crop=crop, gray=gray)


def read_lfw_pairs(path: Path | str, dataset: FaceDataset, *, encoding: str | None = None) -> PairProtocol:
    """Read LFW's `pairs.txt` (View 2), `pairsDevTrain.txt` or `pairsDevTest.txt` (View 1), or `xqlfw_pairs.txt` of XQLFW.

    The first line of View 2 gives the number of folds and of pairs of a kind in each, that of View 1 the number of pairs of a kind.
    `NAME i j` is a mated pair, `NAME i NAME2 j` a non-mated one, separated by tabs or blanks.

    Args:
        path: The file.
        dataset: What `read_lfw` returned.
        encoding: Of the file; see `read_pairs`.

    Returns:
        The pairs with their folds (None for View 1), in the file's order.

    Raises:
        DataError: If a line cannot be read, or if its photo is not in the data set; the message quotes the line.
    """
    lines = read_lines(path, encoding)
    header = lines[0].split() if lines else []
    if len(header) not in (1, 2) or not all(text.isdecimal() for text in header):
        got = repr(lines[0]) if lines else "an empty file"
        raise DataError(f"{path}: line 1: must give the number of folds and of pairs, such as 10 300 (View 1: of pairs), got {got}")
    folds, per_kind = (1, *map(int, header))[-2:]
    filled = [(at, line) for at, line in enumerate(lines[1:], start=2) if line.strip()]
    if len(filled) != 2 * folds * per_kind:
        raise DataError(f"{path}: must have {2 * folds * per_kind:,} pairs by its first line {lines[0]!r}, got {len(filled):,}")
    number = {normalise_name(PurePosixPath(source).stem): index for index, source in enumerate(dataset.sources)}
    pairs, labels = [], []
    for at, line in filled:
        try:
            names = _photos_of_line(line)
            pairs.append([number[name] for name in names])
        except ValueError as error:
            raise DataError(f"{path}: line {at}: {error}: {line!r}") from None
        except KeyError as error:
            raise DataError(f"{path}: line {at}: no photo {error} in the data: {line!r}") from None
        labels.append(int(names[0].rpartition("_")[0] == names[1].rpartition("_")[0]))
    return PairProtocol(
        pairs=np.array(pairs, dtype=np.int64),
        labels=np.array(labels, dtype=np.int64),
        folds=np.repeat(np.arange(folds), 2 * per_kind) if len(header) == 2 else None,
        name=_name(Path(path).stem, folds=len(header) == 2),
    )


def _name(stem: str, *, folds: bool) -> str:
    if stem.casefold().startswith("xqlfw"):
        return "XQLFW"
    return "LFW View 2" if folds else f"LFW View 1, {stem}"


def _photos_of_line(line: str) -> tuple[str, str]:
    """Return the two photos' names of a line `NAME i j` or `NAME i NAME2 j`; with tabs, a name may have blanks."""
    parts = [normalise_name(part) for part in (line.split("\t") if "\t" in line else line.split())]
    if len(parts) not in (3, 4) or not all(re.fullmatch(r"[0-9]+", number) for number in (parts[1], parts[-1])):
        raise ValueError("must be NAME i j or NAME i NAME2 j")
    return f"{parts[0]}_{int(parts[1]):04d}", f"{parts[0 if len(parts) == 3 else 2]}_{int(parts[-1]):04d}"


def lfw_folds(dataset: FaceDataset, protocol: PairProtocol, folds: int | list[int]) -> tuple[FaceDataset, FaceDataset]:
    """Split the people of some folds' pairs from all others.

    Args:
        dataset: All photos.
        protocol: What `read_lfw_pairs` returned.
        folds: One fold, or several, numbered from 0.

    Returns:
        The people of the other folds, to train on, and those of these folds.

    Raises:
        ValueError: If there is no such fold.
    """
    if protocol.folds is None or not set(np.atleast_1d(folds)) <= set(protocol.folds):
        raise ValueError(f"folds must be among the protocol's folds, got {folds}")
    tested = np.unique(dataset.labels[protocol.pairs[np.isin(protocol.folds, folds)]])
    held_out = np.isin(dataset.labels, tested)
    return dataset.select(np.flatnonzero(~held_out)), dataset.select(np.flatnonzero(held_out))
