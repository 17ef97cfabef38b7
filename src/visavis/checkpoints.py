"""Files that are written whole or not at all, the checkpoint of a training run, and what else a run folder holds."""

import csv
import json
import os
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from zipfile import BadZipFile

import numpy as np
import numpy.typing as npt

from visavis.errors import TrainingError

__all__ = ["CHECKPOINT", "MODEL", "Checkpoint", "check_vacant", "load_checkpoint", "replaced", "save_checkpoint", "write_table"]

Arrays = list[npt.NDArray[Any]]

CHECKPOINT, MODEL = "checkpoint.npz", "model.keras"
_KINDS = ("weights", "mean", "best")


@dataclass(frozen=True)
class Checkpoint:
    """All that a training run needs to go on.

    Attributes:
        state: Plain values: the run's identity, step and history.
        weights: Every variable of the model, then of its optimizer.
        mean: The running mean of the model's weights.
        best: The weights of the best look at the validation people.
    """

    state: dict[str, Any]
    weights: Arrays
    mean: Arrays
    best: Arrays


@contextmanager
def replaced(path: Path) -> Iterator[Path]:
    """Give a temporary file beside `path` to write to, which takes its place once all of it is on the disk.

    A run that is killed at any moment, or finds the disk full, leaves the old file or the new one, never a part.

    Raises:
        OSError: If it cannot be written; names `path` where the system names none.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_name(f".{path.stem}.{os.getpid()}.tmp{path.suffix}")
    try:
        yield temporary
        with temporary.open("rb") as file:
            os.fsync(file.fileno())
        temporary.replace(path)
    except OSError as error:
        if error.filename is None:
            error.filename = str(path)
        raise
    finally:
        temporary.unlink(missing_ok=True)


def check_vacant(out: Path | str) -> None:
    """Check that training into this folder would lose nothing.

    Raises:
        TrainingError: If a model or a checkpoint is in it.
    """
    found = [name for name in (MODEL, CHECKPOINT) if (Path(out) / name).exists()]
    if found:
        raise TrainingError(
            f"{out}: holds a run already ({found[0]}). Take another folder, or go on with --resume, or train anew with --overwrite."
        )


def write_table(path: Path, columns: Iterable[str], rows: Iterable[Iterable[Any]]) -> None:
    """Write a CSV with a line of column names, whole or not at all."""
    with replaced(path) as temporary, temporary.open("w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file)
        writer.writerow(columns)
        writer.writerows(rows)


def save_checkpoint(path: Path, checkpoint: Checkpoint) -> None:
    """Write a checkpoint in the place of an older one."""
    arrays: dict[str, Any] = {"state": np.array(json.dumps(checkpoint.state))}
    for kind in _KINDS:
        arrays |= {f"{kind}_{index}": array for index, array in enumerate(getattr(checkpoint, kind))}
    with replaced(path) as temporary:
        np.savez(temporary, **arrays)


def load_checkpoint(path: Path) -> Checkpoint:
    """Read what `save_checkpoint` wrote.

    Raises:
        TrainingError: If there is no such file, or if it is damaged.
    """
    if not path.is_file():
        raise TrainingError(f"{path}: no checkpoint to resume from. Train without resuming first.")
    try:
        with np.load(path, allow_pickle=False) as arrays:
            parts: dict[str, Arrays] = {
                kind: [arrays[f"{kind}_{index}"] for index in range(sum(name.startswith(kind) for name in arrays))]
                for kind in _KINDS
            }
            return Checkpoint(json.loads(str(arrays["state"])), **parts)
    except (BadZipFile, KeyError, OSError, ValueError) as error:
        raise TrainingError(f"{path}: not a checkpoint, or a damaged one ({error}). Train from the start.") from error
