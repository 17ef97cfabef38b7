"""How a training run executes: resume, callbacks, devices, progress."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from visavis.errors import check_numbers
from visavis.training.devices import Devices

if TYPE_CHECKING:
    from visavis.backend import keras

__all__ = ["RunOptions"]


@dataclass(frozen=True)
class RunOptions:
    """How a training run executes. None of this is a hyperparameter.

    Attributes:
        resume: Whether to continue from the checkpoint in the run folder.
        overwrite: Whether to train from scratch over the run that the folder holds.
        callbacks: Keras callbacks. An epoch ends with each validation step, whose `logs` hold `loss`, `learning_rate` and
            `validation_eer`; `model.stop_training = True` ends training there.
        devices: What `use_devices` returned; None: one device.
        progress: Whether to show a progress bar on standard error; None: where that is a terminal.
        command: The command line, for the card.
    """

    resume: bool = False
    overwrite: bool = False
    callbacks: "Sequence[keras.callbacks.Callback]" = ()
    devices: Devices | None = None
    progress: bool | None = None
    command: str = ""

    def __post_init__(self) -> None:
        """Check that the options do not contradict each other.

        Raises:
            ValueError: If the run is to be resumed and overwritten.
        """
        check_numbers(self)
        if self.resume and self.overwrite:
            raise ValueError("resume and overwrite exclude each other, got both")
