"""Data-parallel training on several devices and machines: each computes its rows of a batch, and the loss sees all of them.

It uses Keras's `DataParallel` on JAX: weights are replicated, a batch is sharded by its rows, and a step is one program over all
devices. So the losses over all pairs and the statistics of batch normalisation are those of the whole batch, and the result is that
of one device but for rounding.
"""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
import numpy.typing as npt

from visavis.wording import counted

if TYPE_CHECKING:
    from visavis.backend import keras

__all__ = ["Devices", "jit_compile", "use_devices"]

_ADDRESSES = "KERAS_DISTRIBUTION_JOB_ADDRESSES"


@dataclass(frozen=True)
class Devices:
    """The devices that share each batch; by default a single one.

    Attributes:
        distribution: Keras's distribution; None: one device.
        process: Number of this process, from 0.
        processes: Number of processes, on one machine or several.
    """

    distribution: "keras.distribution.DataParallel | None" = None
    process: int = 0
    processes: int = 1

    @property
    def distributed(self) -> bool:
        """Whether there are several devices."""
        return self.distribution is not None

    @property
    def primary(self) -> bool:
        """Whether this process writes files and reports progress."""
        return self.process == 0

    @contextmanager
    def scope(self) -> Iterator[None]:
        """Create variables and take steps on all of the devices."""
        if self.distribution is None:
            yield
        else:
            with self.distribution.scope():
                yield

    def shard(self, batch: npt.NDArray[Any]) -> npt.NDArray[Any]:
        """Return this process's rows of a batch `(b, ...)`.

        Raises:
            ValueError: If the batch cannot be divided evenly among the devices.
        """
        if self.distribution is None:
            return batch
        devices = self.distribution.num_model_replicas
        if len(batch) % devices:
            raise ValueError(f"the batch size must be a multiple of the {devices} devices, got {counted(len(batch), 'photo')}")
        own = len(batch) // self.processes
        return batch[self.process * own : (self.process + 1) * own]

    def broadcast(self, value: float) -> float:
        """Return the first process's value: machines that round differently must still stop at the same step."""
        if self.processes == 1:
            return value
        from jax.experimental import multihost_utils

        return float(multihost_utils.broadcast_one_to_all(np.float32(value)))


def use_devices(devices: int | Literal["all"]) -> Devices:
    """Choose the devices to train on, and join the other processes if the environment names them.

    Keras reads their addresses from `KERAS_DISTRIBUTION_JOB_ADDRESSES`, `KERAS_DISTRIBUTION_NUM_PROCESSES` and
    `KERAS_DISTRIBUTION_PROCESS_ID`. Must be called before anything is computed.

    Args:
        devices: Number of this process's devices, from 1; `"all"`: all devices of all processes.

    Raises:
        ValueError: If there are fewer, or if Keras's backend is not JAX.
    """
    if devices == 1 and _ADDRESSES not in os.environ:
        return Devices()
    from visavis.backend import keras

    if keras.backend.backend() != "jax":
        raise ValueError(
            "training on several devices needs the JAX backend: pip install 'visavis[jax]' and set KERAS_BACKEND=jax. "
            f"Got devices={devices!r} with the backend {keras.backend.backend()!r}."
        )
    if _ADDRESSES in os.environ:
        keras.distribution.initialize()
    import jax

    available = keras.distribution.list_devices()
    if devices != "all":
        if jax.process_count() > 1:
            raise ValueError(f"devices must be 'all' where several processes train, got {devices!r}")
        if not 1 <= devices <= len(available):
            raise ValueError(f"devices must be 1 to {len(available)} here ({', '.join(available)}), got {devices!r}")
        available = available[:devices]
    if len(available) == 1:
        return Devices()
    distribution = keras.distribution.DataParallel(devices=available, auto_shard_dataset=False)
    return Devices(distribution, jax.process_index(), jax.process_count())


def jit_compile() -> bool | Literal["auto"]:
    """Return Keras's `jit_compile` for a training step: no XLA for TensorFlow on processors, whose own kernels are faster there."""
    from visavis.backend import keras

    if keras.backend.backend() != "tensorflow":
        return "auto"
    import tensorflow as tf

    return "auto" if tf.config.list_physical_devices("GPU") else False
