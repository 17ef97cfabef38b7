"""Several devices and machines that share each batch: every one does its rows, and the loss sees all of them.

On JAX by Keras's `DataParallel`: weights are on every device, a batch is divided by its rows, and the step is one program over all
of them. So a loss over every pair of the batch, and the statistics of batch normalisation, are those of the whole batch, and the
training is that of one device but for rounding.
"""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
import numpy.typing as npt

if TYPE_CHECKING:
    import keras

__all__ = ["Devices", "compiling", "use_devices"]

_WORTH_COMPILING = 400  # steps
_ADDRESSES = "KERAS_DISTRIBUTION_JOB_ADDRESSES"


@dataclass(frozen=True)
class Devices:
    """Who shares a batch. The usual one: nobody, one device does all of it.

    Attributes:
        distribution: Keras's; None: one device.
        process: The number of this process.
        processes: How many there are, on one machine or several.
    """

    distribution: "keras.distribution.DataParallel | None" = None
    process: int = 0
    processes: int = 1

    @property
    def shared(self) -> bool:
        """Whether there are several."""
        return self.distribution is not None

    @property
    def writes(self) -> bool:
        """Whether it is this process that writes files and speaks."""
        return self.process == 0

    @contextmanager
    def scope(self) -> Iterator[None]:
        """Make variables, and take steps, on all of the devices."""
        if self.distribution is None:
            yield
        else:
            with self.distribution.scope():
                yield

    def part(self, batch: npt.NDArray[Any]) -> npt.NDArray[Any]:
        """Return the rows of a batch `(b, ...)` that are this process's.

        Raises:
            ValueError: If the devices cannot share it evenly.
        """
        if self.distribution is None:
            return batch
        devices = self.distribution.num_model_replicas
        if len(batch) % devices:
            raise ValueError(f"a batch must be a multiple of the {devices} devices that share it. Received: {len(batch)} photos")
        own = len(batch) // self.processes
        return batch[self.process * own : (self.process + 1) * own]

    def agreed(self, value: float) -> float:
        """Return what the first process found: machines that round differently must still stop at the same step."""
        if self.processes == 1:
            return value
        from jax.experimental import multihost_utils

        return float(multihost_utils.broadcast_one_to_all(np.float32(value)))


def use_devices(devices: int | Literal["all"]) -> Devices:
    """Choose the devices to train on, and join the other processes where the environment names them.

    Keras reads who they are from `KERAS_DISTRIBUTION_JOB_ADDRESSES`, `KERAS_DISTRIBUTION_NUM_PROCESSES` and
    `KERAS_DISTRIBUTION_PROCESS_ID`. Must be called before anything is computed.

    Args:
        devices: How many of this process's; `"all"`: all of them, of all processes.

    Raises:
        ValueError: If there are not so many, or if the backend of Keras is not JAX.
    """
    if devices == 1 and _ADDRESSES not in os.environ:
        return Devices()
    import keras

    if keras.backend.backend() != "jax":
        raise ValueError(
            "training on several devices needs the JAX backend: pip install 'visavis[jax]' and set KERAS_BACKEND=jax. "
            f"Received: devices={devices!r}, backend {keras.backend.backend()!r}"
        )
    if _ADDRESSES in os.environ:
        keras.distribution.initialize()
    import jax

    found = keras.distribution.list_devices()
    if devices != "all":
        if jax.process_count() > 1:
            raise ValueError(f"devices must be 'all' where several processes train. Received: devices={devices!r}")
        if not 1 <= devices <= len(found):
            raise ValueError(f"devices must be 1 to {len(found)} here ({', '.join(found)}). Received: devices={devices!r}")
        found = found[:devices]
    if len(found) == 1:
        return Devices()
    shared = keras.distribution.DataParallel(devices=found, auto_shard_dataset=False)
    return Devices(shared, jax.process_index(), jax.process_count())


def compiling(steps: int) -> bool | Literal["auto"]:
    """Tell Keras whether XLA pays for so many steps.

    On TensorFlow it takes seconds to compile a step, and makes it a fifth shorter; but not on processors with AVX-512, which
    TensorFlow's own convolutions use.
    """
    import keras

    if keras.backend.backend() != "tensorflow":
        return "auto"
    return steps >= _WORTH_COMPILING and not _has_avx512()


@cache
def _has_avx512() -> bool:
    try:
        return "avx512f" in Path("/proc/cpuinfo").read_text()
    except OSError:  # not Linux
        return False
