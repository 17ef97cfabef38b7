"""The checkpoint of a training run."""

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from zipfile import BadZipFile

import numpy as np
import numpy.typing as npt

from visavis.encoders.loading import CHECKPOINT, MODEL
from visavis.errors import TrainingError
from visavis.files import atomic_write

__all__ = ["Checkpoint", "check_vacant", "load_checkpoint", "save_checkpoint"]

Arrays = list[npt.NDArray[Any]]

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


def save_checkpoint(path: Path, checkpoint: Checkpoint) -> None:
    """Write a checkpoint in the place of an older one."""
    arrays: dict[str, Any] = {"state": np.array(json.dumps(checkpoint.state))}
    for kind in _KINDS:
        arrays |= {f"{kind}_{index}": array for index, array in enumerate(getattr(checkpoint, kind))}
    with atomic_write(path) as temporary:
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
