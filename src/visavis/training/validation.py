"""Which weights of a training run are kept: their running mean, looked at on the validation people now and then."""

import math
from collections.abc import Callable
from typing import Any

import keras
import numpy as np
import numpy.typing as npt

from visavis.data import FaceDataset
from visavis.errors import TrainingError
from visavis.metrics import all_pairs_curve, equal_error_rate
from visavis.metrics.bootstrap import ONE_STANDARD_ERROR, chance_of_fewer_errors
from visavis.models import embed, embedding_of
from visavis.training.checkpoints import Checkpoint
from visavis.training.configuration import TrainingConfig

__all__ = ["Selection"]

Floats = npt.NDArray[np.float32]
Arrays = list[npt.NDArray[Any]]

_ALIKE = 0.98  # mean cosine


class Selection:
    """The looks at the validation people, and the weights that come of them.

    Attributes:
        history: One row for each look: step, loss, learning_rate, validation_eer.
        mean_weights: The running mean of the weights, which is what is looked at.
        best_step: The step of the look with the fewest errors so far; once chosen, that of the weights kept.
        best_eer: The equal error rate there.
        best_weights: The mean weights there.
    """

    def __init__(
        self,
        shown: keras.Model,
        validation: FaceDataset,
        config: TrainingConfig,
        *,
        trained: bool = False,
        agreed: Callable[[float], float] = float,
    ) -> None:
        """Begin before the first step.

        Args:
            shown: The Siamese model that weights are put into to be looked at.
            validation: The people who are looked at.
            config: How the run is trained.
            trained: Whether the network was trained before, so that its weights are kept unless others are surely better.
            agreed: Gives what the first of several processes found, for what this one found.
        """
        self.shown, self.validation, self.config, self.agreed = shown, validation, config, agreed
        self.history: list[dict[str, float]] = []
        self.best_step, self.best_eer = 0, math.inf
        self.mean_weights: Arrays = []
        self.best_weights: Arrays = []
        self.start_weights: Arrays | None = shown.get_weights() if trained else None

    def average(self, variables: list[keras.Variable], step: int) -> None:
        """Move the mean of the weights towards those of this step, less so the longer training goes on."""
        decay = min(self.config.averaging, (1 + step) / (10 + step))
        weights = [keras.ops.convert_to_numpy(variable) for variable in variables]
        if not self.mean_weights:
            self.mean_weights = [np.array(value) for value in weights]
        for mean, value in zip(self.mean_weights, weights, strict=True):
            mean += (1 - decay) * (value - mean)

    def look(self, step: int, *, loss: float, rate: float) -> None:
        """Measure the validation people by the mean weights, and remember the best.

        Raises:
            TrainingError: If all embeddings have become alike.
        """
        weights = self.shown.get_weights()
        embeddings = self._embeddings(self.mean_weights, flip=False)
        self.shown.set_weights(weights)
        alike = float(np.square(embeddings.mean(axis=0)).sum())
        if alike > _ALIKE:
            raise TrainingError(
                f"training collapsed at step {step}: the embeddings of all photos are alike (mean cosine {alike:.3f}). "
                f"Lower the learning rate ({self.config.learning_rate}) or take another loss ({self.config.loss})."
            )
        eer = self.agreed(equal_error_rate(all_pairs_curve(embeddings, self.validation.labels))[0])
        self.history.append({"step": step, "loss": loss, "learning_rate": rate, "validation_eer": eer})
        if eer < self.best_eer:
            self.best_step, self.best_eer = step, eer
            self.best_weights = [np.array(value) for value in self.mean_weights]

    def out_of_patience(self) -> bool:
        """Whether as many looks as the config allows were no better than the best."""
        looks = sum(row["step"] > self.best_step for row in self.history)
        return self.config.patience is not None and looks >= self.config.patience

    def choose(self) -> Floats:
        """Put the weights of one look into the model, and return the validation people's embeddings.

        Those of the best look where it is better by a standard error than the start that was trained before, or than the last look;
        else these: of several looks at few people one is nearly always best by chance, and other people are then worse off.
        """
        usual, weights = self.history[-1], self.mean_weights
        if self.start_weights is not None:
            usual, weights = self.history[0], self.start_weights
        other = self._embeddings(weights, flip=self.config.flip)
        if self.best_step != usual["step"]:
            best = self._embeddings(self.best_weights, flip=self.config.flip)
            if chance_of_fewer_errors(other, best, self.validation.labels) >= ONE_STANDARD_ERROR:
                return best
            self.shown.set_weights(weights)
        self.best_step, self.best_eer = int(usual["step"]), usual["validation_eer"]
        return other

    def _embeddings(self, weights: Arrays, *, flip: bool) -> Floats:
        """The validation people's, by weights that are put into the model."""
        self.shown.set_weights(weights)
        return embed(embedding_of(self.shown), self.validation.faces, flip=flip)

    def state(self) -> dict[str, Any]:
        """What a checkpoint keeps beside the weights."""
        return {"history": self.history, "best_step": self.best_step, "best_eer": self.best_eer}

    def restore(self, checkpoint: Checkpoint) -> None:
        """Go back to where a checkpoint was written."""
        self.history = checkpoint.state["history"]
        self.best_step, self.best_eer = checkpoint.state["best_step"], checkpoint.state["best_eer"]
        self.mean_weights, self.best_weights = checkpoint.mean, checkpoint.best
