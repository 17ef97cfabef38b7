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

_KINDS = ("weights", "ema", "best")


@dataclass(frozen=True)
class Checkpoint:
    """All that resuming a training run needs.

    Attributes:
        state: Plain values: the run's identity, its step, whether it has stopped early, and its history.
        weights: Every variable of the model, then what the loss learns or remembers, then the optimizer's.
        ema: The exponential moving average of the model's weights.
        best: The averaged weights of the best validation step.
    """

    state: dict[str, Any]
    weights: Arrays
    ema: Arrays
    best: Arrays


def check_vacant(out: Path | str) -> None:
    """Check that a folder holds no run that training into it would overwrite.

    Raises:
        TrainingError: If a model or a checkpoint is in it.
    """
    present = [name for name in (MODEL, CHECKPOINT) if (Path(out) / name).exists()]
    if present:
        raise TrainingError(
            f"{out}: already holds a run ({present[0]}). Use another folder, --resume to continue, or --overwrite to start again."
        )


def save_checkpoint(path: Path, checkpoint: Checkpoint) -> None:
    """Write a checkpoint; an older one is replaced atomically."""
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
        raise TrainingError(f"{path}: no checkpoint to resume from. Start the run without --resume.")
    try:
        with np.load(path, allow_pickle=False) as arrays:
            parts: dict[str, Arrays] = {
                kind: [arrays[f"{kind}_{index}"] for index in range(sum(name.startswith(kind) for name in arrays))]
                for kind in _KINDS
            }
            return Checkpoint(json.loads(str(arrays["state"])), **parts)
    except (BadZipFile, KeyError, OSError, ValueError, RecursionError) as error:
        raise TrainingError(f"{path}: not a checkpoint, or a damaged one ({error}). Start again with --overwrite.") from error
