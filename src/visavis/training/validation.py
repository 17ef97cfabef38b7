"""Validation steps of a training run, early stopping, and which weights are kept."""

import math
from collections.abc import Callable
from typing import Any

import numpy as np
import numpy.typing as npt

from visavis.backend import keras
from visavis.data import FaceDataset
from visavis.errors import TrainingError
from visavis.metrics import all_pairs_curve, equal_error_rate
from visavis.metrics.bootstrap import ONE_STANDARD_ERROR, probability_of_fewer_errors
from visavis.models import embed, embedding_of
from visavis.training.checkpoints import Checkpoint
from visavis.training.configuration import TrainingConfig
from visavis.training.frozen import FrozenTrunk

__all__ = ["ValidationMonitor"]

Floats = npt.NDArray[np.float32]
Arrays = list[npt.NDArray[Any]]

_EMA_EVERY = 4  # steps
_COLLAPSED = 0.98  # mean cosine of all pairs of photos


class ValidationMonitor:
    """Averages the weights, validates them, and selects those that are kept.

    Attributes:
        history: One row for each validation step: step, loss, learning_rate, validation_eer.
        ema_weights: Exponential moving average of the weights; these are what is validated.
        ema_step: The step at which they were last updated.
        best_step: The validation step with the lowest equal error rate so far; after `select_weights`, that of the weights kept.
        best_eer: The equal error rate at that step.
        best_weights: The averaged weights at that step.
        trunk: The frozen part of the network, as long as only the last layer is trained; None: all of it is run.
    """

    def __init__(
        self,
        siamese: keras.Model,
        validation: FaceDataset,
        config: TrainingConfig,
        *,
        trained: bool = False,
        broadcast: Callable[[float], float] = float,
    ) -> None:
        """Start before the first step.

        Args:
            siamese: The Siamese model that weights are loaded into to be validated.
            validation: The validation people.
            config: The hyperparameters.
            trained: Whether training starts from a trained network, whose weights are kept unless others are better by a standard
                error.
            broadcast: Returns the first process's value of a number that every process has computed.
        """
        self.siamese, self.validation, self.config, self.broadcast = siamese, validation, config, broadcast
        self.history: list[dict[str, float]] = []
        self.best_step, self.best_eer = 0, math.inf
        self.ema_weights: Arrays = []
        self.ema_step = 0
        self.best_weights: Arrays = []
        self.start_weights: Arrays | None = siamese.get_weights() if trained else None
        self.trunk: FrozenTrunk | None = None
        self._features: list[Floats] = []

    def update_ema(self, variables: list[keras.Variable], step: int) -> None:
        """Move the averaged weights towards those of this step, every few steps and before each validation step.

        The decay of one step rises to its full value over the first steps. The weights of the steps between two updates count as
        those of the later one, which changes the average little and saves most of the time.
        """
        if step % _EMA_EVERY and not self.is_due(step):
            return
        if not self.ema_weights:
            self.ema_weights = [np.array(keras.ops.convert_to_numpy(variable)) for variable in variables]
        decay = min(self.config.optimization.ema_decay, (1 + step) / (10 + step)) ** (step - self.ema_step)
        for mean, variable in zip(self.ema_weights, variables, strict=True):
            change = keras.ops.convert_to_numpy(variable) - mean
            change *= 1 - decay
            mean += change
        self.ema_step = step

    def is_due(self, step: int) -> bool:
        """Whether there is a validation step after this step."""
        return step % self.config.validation.validate_every == 0 or step == self.config.optimization.steps

    def validate(self, step: int, *, loss: float, learning_rate: float) -> None:
        """Measure the averaged weights on the validation people, and remember them if they are the best.

        Raises:
            TrainingError: If all embeddings have become alike.
        """
        weights = self.siamese.get_weights()
        embeddings = self._embed(self.ema_weights, flip=False)
        self.siamese.set_weights(weights)
        mean_cosine = float(np.square(embeddings.mean(axis=0)).sum())
        if mean_cosine > _COLLAPSED:
            raise TrainingError(
                f"training collapsed at step {step}: the embeddings of all photos are alike (mean cosine {mean_cosine:.3f}). "
                f"Lower the learning rate ({self.config.optimization.learning_rate}) or use another loss ({self.config.loss})."
            )
        eer = self.broadcast(equal_error_rate(all_pairs_curve(embeddings, self.validation.labels))[0])
        self.history.append({"step": step, "loss": loss, "learning_rate": learning_rate, "validation_eer": eer})
        if eer < self.best_eer:
            self.best_step, self.best_eer = step, eer
            self.best_weights = [np.array(value) for value in self.ema_weights]

    @property
    def should_stop(self) -> bool:
        """Whether training ends here.

        Either by early stopping, after `patience` validation steps without a lower equal error rate; or because a trained network
        has no errors on the validation people, so that no later step could replace the weights that are kept.
        """
        if self.start_weights is not None and self.best_eer == 0:
            return True
        patience = self.config.validation.patience
        return patience is not None and sum(row["step"] > self.best_step for row in self.history) >= patience

    def select_weights(self) -> Floats:
        """Load the weights that are kept into the model, and return the validation people's embeddings.

        The default is the last validation step, or the start where that is a trained network. The best validation step replaces
        it only if it is better by a standard error: of several steps measured on few people one is nearly always best by chance,
        and other people are then worse off.
        """
        default, weights = self.history[-1], self.ema_weights
        if self.start_weights is not None:
            default, weights = self.history[0], self.start_weights
        embeddings = self._embed(weights, flip=self.config.flip)
        if self.best_step != default["step"]:
            best = self._embed(self.best_weights, flip=self.config.flip)
            if probability_of_fewer_errors(embeddings, best, self.validation.labels) >= ONE_STANDARD_ERROR:
                return best
            self.siamese.set_weights(weights)
        self.best_step, self.best_eer = int(default["step"]), default["validation_eer"]
        return embeddings

    def _embed(self, weights: Arrays, *, flip: bool) -> Floats:
        """Load these weights into the model and embed the validation people."""
        self.siamese.set_weights(weights)
        if self.trunk is None:
            return embed(embedding_of(self.siamese), self.validation.faces, flip=flip)
        if not self._features:
            self._features = self.trunk.views(self.validation.faces, flip=self.config.flip)
        return self.trunk.embed(self._features[: 1 + flip])

    def state(self) -> dict[str, Any]:
        """Return what a checkpoint stores beside the weights."""
        return {"history": self.history, "best_step": self.best_step, "best_eer": self.best_eer}

    def restore(self, checkpoint: Checkpoint) -> None:
        """Return to the state of a checkpoint."""
        self.history = checkpoint.state["history"]
        self.best_step, self.best_eer = checkpoint.state["best_step"], checkpoint.state["best_eer"]
        self.ema_weights, self.best_weights = checkpoint.ema, checkpoint.best
        self.ema_step = checkpoint.state["step"]
