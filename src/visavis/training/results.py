"""The result of a training run."""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from visavis.backend import keras
from visavis.metrics import ErrorCurve, equal_error_rate
from visavis.metrics.calibration import Calibration
from visavis.models import head_of
from visavis.training.configuration import TrainingConfig

__all__ = ["TrainingRun"]


@dataclass(frozen=True)
class TrainingRun:
    """The result of a training run.

    Attributes:
        siamese: The Siamese model of two inputs, its head calibrated on the validation people.
        config: The hyperparameters.
        history: One row for each validation step: step, loss, learning_rate, validation_eer.
        best_step: The step that the weights are from: the last (0 where training starts from a trained network), unless another
            validation step was better by a standard error.
        embeddings: `(n, d)` float32, the validation people's embeddings by the finished model, rows of unit length.
        validation: The error curve of all pairs of the validation people at that step.
        shrinkage: Shrinkage of the closed-form adaptation, see `adaptation.adapt`; None: there was none.
    """

    siamese: keras.Model
    config: TrainingConfig
    history: list[dict[str, float]]
    best_step: int
    embeddings: npt.NDArray[np.float32]
    validation: ErrorCurve
    shrinkage: float | None = None

    @property
    def threshold(self) -> float:
        """The comparison score (cosine) at which the head's probability is one half."""
        return Calibration(*head_of(self.siamese).calibration()).even_score

    @property
    def validation_eer(self) -> float:
        """The equal error rate of all pairs of the validation people."""
        return equal_error_rate(self.validation)[0]

    def __repr__(self) -> str:
        """Return the step and the validation error, not the arrays."""
        steps = self.config.optimization.steps
        return f"TrainingRun(steps={steps}, best_step={self.best_step}, validation_eer={self.validation_eer:.4f})"
