"""The optimizer of a training run and its learning-rate schedule."""

from typing import Any

from visavis.backend import keras
from visavis.training.configuration import Optimization

__all__ = ["build_optimizer"]


def build_optimizer(settings: Optimization, *, steps: int, multiplier: float = 1.0) -> keras.optimizers.Optimizer:
    """Return a new optimizer.

    Args:
        settings: The hyperparameters; an optimizer that they hold is copied.
        steps: Number of steps of the schedule: a linear warm-up, then half a cosine down to zero.
        multiplier: Factor of the learning rate.
    """
    if settings.optimizer is None:
        warmup = max(1, round(settings.warmup * steps))
        schedule = keras.optimizers.schedules.CosineDecay(
            0.0, max(1, steps - warmup), warmup_target=settings.learning_rate * multiplier, warmup_steps=warmup
        )
        return keras.optimizers.AdamW(schedule, weight_decay=settings.weight_decay)
    copy = type(settings.optimizer).from_config(settings.optimizer.get_config())
    schedule = getattr(copy, "_learning_rate", None)
    if isinstance(schedule, keras.optimizers.schedules.LearningRateSchedule):
        copy.learning_rate = _Scaled(schedule, multiplier)
    else:
        copy.learning_rate = float(keras.ops.convert_to_numpy(copy.learning_rate)) * multiplier
    return copy


class _Scaled(keras.optimizers.schedules.LearningRateSchedule):
    """A learning-rate schedule times a factor."""

    def __init__(self, schedule: keras.optimizers.schedules.LearningRateSchedule, factor: float) -> None:
        self.schedule, self.factor = schedule, factor

    def __call__(self, step: Any) -> Any:
        return self.schedule(step) * self.factor

    def get_config(self) -> dict[str, Any]:
        return {"schedule": keras.saving.serialize_keras_object(self.schedule), "factor": self.factor}
