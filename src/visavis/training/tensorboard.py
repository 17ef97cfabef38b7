"""Training curves as TensorBoard logs."""

from pathlib import Path
from typing import Any

from visavis.backend import keras
from visavis.errors import MissingDependencyError

__all__ = ["TensorBoardLogs"]


class TensorBoardLogs(keras.callbacks.Callback):
    """Write loss, learning rate and validation EER of each validation step into `out/tensorboard`.

    Keras's own callback needs TensorFlow and `fit`.
    """

    def __init__(self, out: Path | str) -> None:
        """Open the log.

        Raises:
            MissingDependencyError: If TensorBoard is not installed.
        """
        super().__init__()
        try:
            from tensorboard.summary import Writer
        except ImportError as error:
            raise MissingDependencyError("TensorBoard logs need: pip install 'visavis[tensorboard]'") from error
        self.writer = Writer(str(Path(out) / "tensorboard"))

    def on_epoch_end(self, epoch: int, logs: dict[str, Any] | None = None) -> None:
        """Write one row of the history."""
        row = dict(logs or {})
        step = int(row.pop("step"))
        for name, value in row.items():
            self.writer.add_scalar(name, value, step)
        self.writer.flush()
