"""The hyperparameters of a training run with their defaults, and those that suit a data set."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, fields, is_dataclass, replace
from functools import partial
from types import MappingProxyType
from typing import Any, Literal

import numpy as np

from visavis.backend import keras
from visavis.data import FaceDataset
from visavis.errors import check_numbers, check_option
from visavis.metrics.operating_points import ChosenAs
from visavis.models import NetworkName
from visavis.models.losses import (
    AdaFace,
    BatchBinaryCrossentropy,
    BatchContrastive,
    BatchTriplet,
    ClassLoss,
    MarginSoftmax,
    MultiSimilarity,
    ProxyAnchor,
    SupervisedContrastive,
)
from visavis.training.augmentation import Augmentation
from visavis.training.batches import BatchShape

__all__ = ["LOSSES", "FineTuning", "LossName", "Optimization", "TrainingConfig", "Validation", "build_loss", "config_for"]

LossName = Literal[
    "adaface",
    "arcface",
    "binary-crossentropy",
    "contrastive",
    "cosface",
    "multi-similarity",
    "proxy-anchor",
    "supervised-contrastive",
    "triplet",
]
LossFunction = Callable[[Any, Any], Any]

LOSSES: Mapping[str, Callable[..., keras.losses.Loss]] = MappingProxyType(
    {
        "adaface": AdaFace,
        "arcface": MarginSoftmax,
        "binary-crossentropy": BatchBinaryCrossentropy,
        "contrastive": BatchContrastive,
        "cosface": partial(MarginSoftmax, margins=(1.0, 0.0, 0.35)),
        "multi-similarity": MultiSimilarity,
        "proxy-anchor": ProxyAnchor,
        "supervised-contrastive": SupervisedContrastive,
        "triplet": BatchTriplet,
    }
)

_FEW = 100  # people
# A network that sees the same photos of few people many times overfits. Strong augmentation and many composites prevent that.
_STRONG = Augmentation(rotation=15, scale=0.2, shift=0.1, contrast=0.4, gamma=1.8, side_light=0.8, cutout=0.7)
_MANY_COMPOSITES = BatchShape(people=8, photos=4, composites=16)
_MANY_PEOPLE = BatchShape(people=24, photos=4)
# The margins and scales of the papers are for millions of photos. In a few thousand steps on fewer, little is learnt with them.
_MANY_PHOTOS = 100_000
_MILD_MARGINS: Mapping[str, Mapping[str, Any]] = MappingProxyType(
    {
        "adaface": {"margin": 0.1, "scale": 10.0},
        "arcface": {"margins": (1.0, 0.2, 0.0), "scale": 10.0},
        "cosface": {"margins": (1.0, 0.0, 0.1), "scale": 10.0},
    }
)


@dataclass(frozen=True)
class Optimization:
    """How the weights are updated.

    Attributes:
        steps: Number of batches.
        learning_rate: Peak of the schedule: a linear warm-up, then half a cosine down to zero.
        warmup: Fraction of the steps that the warm-up takes, in [0, 1).
        weight_decay: Weight decay of AdamW.
        ema_decay: Decay of the exponential moving average (EMA) of the weights, in [0, 1). The averaged weights are validated and
            kept (Polyak and Juditsky, 1992). 0 means no averaging.
        optimizer: A Keras optimizer to use instead of AdamW. It brings its own learning rate or schedule and its own weight
            decay. The object is copied, never changed.
    """

    steps: int = 500
    learning_rate: float = 2e-3
    warmup: float = 0.05
    weight_decay: float = 0.02
    ema_decay: float = 0.995
    optimizer: keras.optimizers.Optimizer | None = None

    def __post_init__(self) -> None:
        """Check the ranges.

        Raises:
            ValueError: If a value is out of range.
        """
        check_numbers(self)
        _check_positive(self, "steps", "learning_rate")
        for name in ("warmup", "ema_decay"):
            if not 0 <= getattr(self, name) < 1:
                raise ValueError(f"{name} must be in [0, 1), got {getattr(self, name)}")
        if self.weight_decay < 0:
            raise ValueError(f"weight_decay must be at least 0, got {self.weight_decay}")


@dataclass(frozen=True)
class Validation:
    """When the model is validated, when training stops early, and where it puts its threshold.

    Attributes:
        validate_every: Steps between two validation steps; each one also writes a checkpoint.
        patience: Early stopping: number of validation steps without a lower equal error rate after which training stops. None
            means no early stopping.
        target_fmrs: False match rates to choose thresholds for on the validation people; the model decides by the first one's.
            Empty means 0.01, estimated where the validation people are too few to guarantee it.
        chosen_as: `"guaranteed"`: the one-sided 95 % bound of each rate is at most the target. `"estimated"`: the rate itself is.
    """

    validate_every: int = 100
    patience: int | None = None
    target_fmrs: tuple[float, ...] = ()
    chosen_as: ChosenAs = "guaranteed"

    def __post_init__(self) -> None:
        """Check the ranges.

        Raises:
            ValueError: If a value is out of range.
        """
        check_numbers(self)
        _check_positive(self, "validate_every")
        if self.patience is not None and self.patience < 1:
            raise ValueError(f"patience must be at least 1, or None, got {self.patience}")
        for target in self.target_fmrs:
            if not 0 < target < 1:
                raise ValueError(f"target_fmrs must be in (0, 1), got {target}")
        check_option("chosen_as", self.chosen_as, ChosenAs)


@dataclass(frozen=True)
class FineTuning:
    """What differs where training starts from a trained network.

    Attributes:
        whitening: Whether to adapt the network to the training people in closed form first; see `visavis.training.adaptation`.
        head_warmup_steps: Number of first steps in which all layers but the last are frozen; as many as there are steps: always.
        learning_rate_multiplier: Factor of the learning rate once all layers are unfrozen.
    """

    whitening: bool = True
    head_warmup_steps: int = 0
    learning_rate_multiplier: float = 0.1

    def __post_init__(self) -> None:
        """Check the ranges.

        Raises:
            ValueError: If a value is out of range.
        """
        check_numbers(self)
        _check_positive(self, "learning_rate_multiplier")
        if self.head_warmup_steps < 0:
            raise ValueError(f"head_warmup_steps must be at least 0, got {self.head_warmup_steps}")


@dataclass(frozen=True)
class TrainingConfig:
    """The hyperparameters of a training run.

    Attributes:
        network: A name in `visavis.models.NETWORKS`, or a Keras model from photos `(n, h, w, c)`, 0 .. 255, to embeddings `(n, d)`,
            which are then scaled to unit length. Training does not change the model that is passed in.
        embedding_size: Length of an embedding; that of `network` where it is a model.
        loss: A name in `LOSSES`; or a `keras.losses.Loss` or a function of labels `(b,)`, each person's index among the training
            people, and embeddings `(b, d)` of unit length.
        loss_options: Arguments of a loss given by name, such as `{"margin": 1.0}`.
        memory: Number of photos of earlier batches that a loss over pairs also compares a batch with.
        sampled_classes: Number of people whose centres a loss over classes uses in a step, at least those of a batch; None: all.
        batch: Who is in a batch.
        augmentation: How photos are changed at random.
        optimization: How the weights are updated.
        validation: When the model is validated, and where it puts its threshold.
        fine_tuning: What differs where training starts from a trained network.
        flip: Whether a mirrored photo shows the same person, which does not hold for letters and digits. Then photos are mirrored
            at random, and after training each embedding is averaged with that of the mirrored photo.
        mixed_precision: Whether to compute in bfloat16 where that is faster.
        seed: Seed of weights and batches.

    Example:
        >>> config = TrainingConfig().replace(loss="triplet", steps=40)
        >>> config.optimization.steps
        40
    """

    network: NetworkName | keras.Model = "compact"
    embedding_size: int = 128
    loss: LossName | keras.losses.Loss | LossFunction = "supervised-contrastive"
    loss_options: Mapping[str, Any] = field(default_factory=dict)
    memory: int = 0
    sampled_classes: int | None = None
    batch: BatchShape = field(default_factory=BatchShape)
    augmentation: Augmentation = field(default_factory=Augmentation)
    optimization: Optimization = field(default_factory=Optimization)
    validation: Validation = field(default_factory=Validation)
    fine_tuning: FineTuning = field(default_factory=FineTuning)
    flip: bool = True
    mixed_precision: bool = False
    seed: int = 0

    def __post_init__(self) -> None:
        """Check what the groups do not check.

        Raises:
            ValueError: If a value is out of range.
        """
        check_numbers(self)
        if isinstance(self.network, keras.Model):
            object.__setattr__(self, "embedding_size", _embedding_size(self.network))
        else:
            check_option("network", self.network, NetworkName)
        if isinstance(self.loss, str):
            check_option("loss", self.loss, LossName)
        elif isinstance(self.loss, type) or not callable(self.loss):
            raise ValueError(f"loss must be a name, a keras.losses.Loss or a function, got {self.loss!r}")
        elif self.loss_options:
            raise ValueError(f"loss_options must be empty where loss is an object, got {dict(self.loss_options)}")
        _check_positive(self, "embedding_size")
        if self.memory < 0:
            raise ValueError(f"memory must be at least 0, got {self.memory}")
        people = self.batch.people + self.batch.single_people
        if self.sampled_classes is not None and self.sampled_classes < people:
            raise ValueError(f"sampled_classes must be at least the people of a batch ({people}), got {self.sampled_classes}")
        if self.fine_tuning.head_warmup_steps > self.optimization.steps:
            raise ValueError(
                f"head_warmup_steps must be at most steps ({self.optimization.steps}), got {self.fine_tuning.head_warmup_steps}"
            )

    def replace(self, **changes: Any) -> "TrainingConfig":
        """Return a config with other values.

        Args:
            **changes: Fields of this class, or of one of its groups (`steps`, `validate_every`, `head_warmup_steps`, ...).

        Raises:
            ValueError: If there is no such field, or if a value is out of range.
        """
        own = {f.name for f in fields(self)}
        if unknown := sorted(changes.keys() - own - _GROUP_OF.keys()):
            raise ValueError(f"unknown hyperparameter: {', '.join(unknown)}")
        values = {name: value for name, value in changes.items() if name in own}
        for group in _GROUPS:  # always in this order, so of two wrong values it is always the same that the error names
            if of_group := {name: value for name, value in changes.items() if _GROUP_OF.get(name) == group}:
                values[group] = replace(values.get(group, getattr(self, group)), **of_group)
        return replace(self, **values)

    def to_json(self) -> dict[str, Any]:
        """Return all hyperparameters by name, those of the groups beside the others, as plain values.

        An object is described by its class and, where it has one, its config.
        """
        values = {f.name: _plain(getattr(self, f.name)) for f in fields(self)}
        return {name: value for name, value in values.items() if name not in _GROUPS} | {
            name: value for group in _GROUPS for name, value in values[group].items()
        }


def _embedding_size(network: keras.Model) -> int:
    """Return the length of the embeddings of a model that was called or has an input."""
    try:
        return int(network.output_shape[-1])
    except AttributeError:
        raise ValueError(f"network must have an input, such as keras.Input((112, 112, 3)), got {network.name!r} without") from None


_GROUPS = {"optimization": Optimization, "validation": Validation, "fine_tuning": FineTuning}
_GROUP_OF = {f.name: group for group, cls in _GROUPS.items() for f in fields(cls)}


def config_for(dataset: FaceDataset, *, trained: bool = False, frozen: bool = False, **changes: Any) -> TrainingConfig:
    """Return the config that suits a data set: few people with many photos, or many people with few.

    Args:
        dataset: The data, or its training side.
        trained: Whether training starts from a trained network, which takes few steps at a low learning rate.
        frozen: Whether only the last layer of a trained network is trained.
        **changes: Fields of `TrainingConfig`, or of one of its groups, to set otherwise.

    Raises:
        ValueError: If there is no such field, or if a value is out of range.
    """
    counts = dataset.photos_per_person
    few = np.sum(counts > 1) < _FEW
    suited: dict[str, Any] = {"network": "classic", "augmentation": _STRONG}
    if trained:
        steps = changes.get("steps", 150)
        suited = {"steps": 150, "learning_rate": 2e-4, "ema_decay": 0.98, "validate_every": 25}
        suited["head_warmup_steps"] = 0 if not isinstance(steps, int | np.integer) else steps if frozen else steps // 3
    elif np.median(counts) < 4 and not few:
        suited = {
            "batch": BatchShape(people=48, photos=2, single_people=16),
            "learning_rate": 3e-3,
            "steps": 3000,
            "validate_every": 250,
        }
    elif few and _is_over_classes(changes.get("loss")):  # which ignores composites
        suited["batch"] = _MANY_PEOPLE
    elif few and changes.get("flip", True):  # half a letter on half another is no letter
        suited["batch"] = _MANY_COMPOSITES
    if changes.get("loss") == "contrastive":
        suited["loss_options"] = {"margin": 1.4}  # non-mated pairs at a right angle: such unit embeddings are 1.41 apart
    elif not trained and len(dataset) < _MANY_PHOTOS and isinstance(changes.get("loss"), str) and changes["loss"] in _MILD_MARGINS:
        suited["loss_options"] = dict(_MILD_MARGINS[changes["loss"]])
    return TrainingConfig().replace(**{**suited, **changes})


def _is_over_classes(loss: Any) -> bool:
    """Whether a loss compares photos with the centres of the training people, of which composites have none."""
    return isinstance(loss, ClassLoss) or (isinstance(loss, str) and loss in LOSSES and isinstance(LOSSES[loss](), ClassLoss))


def build_loss(config: TrainingConfig) -> keras.losses.Loss:
    """Return the loss of a config as a Keras loss of labels `(b,)` and embeddings `(b, d)`.

    Raises:
        ValueError: If a loss that is an object or a function fails on labels and embeddings.
    """
    if isinstance(config.loss, str):
        return LOSSES[config.loss](**config.loss_options)
    loss = config.loss if isinstance(config.loss, keras.losses.Loss) else _FunctionLoss(config.loss)
    if not isinstance(loss, ClassLoss | BatchBinaryCrossentropy):  # whose layers come between embeddings and loss
        try:
            loss(np.array([0, 0, 1, 1, 2]), np.eye(5, config.embedding_size, dtype=np.float32))
        except Exception as error:  # of the caller's code, or of the backend's
            expected = f"labels (b,) and embeddings (b, {config.embedding_size})"
            raise ValueError(f"loss must take {expected}, got {loss.name}, which fails: {str(error).splitlines()[0]}") from error
    return loss


class _FunctionLoss(keras.losses.Loss):
    """A function of labels and embeddings as a Keras loss; Keras's own wrapper gives the labels a second axis."""

    def __init__(self, function: LossFunction) -> None:
        name = getattr(function, "__name__", "loss")
        super().__init__(name=name if name.isidentifier() else "loss")  # a lambda's name is none of TensorFlow's
        self.function = function

    def call(self, y_true: Any, y_pred: Any) -> Any:
        return self.function(keras.ops.reshape(y_true, (-1,)), y_pred)


def _check_positive(group: Any, *names: str) -> None:
    for name in names:
        if not getattr(group, name) > 0:
            raise ValueError(f"{name} must be positive, got {getattr(group, name)}")


def _plain(value: Any) -> Any:
    """A value as JSON has it; an object as its class and config."""
    if isinstance(value, np.generic):
        return value.item()
    if value is None or isinstance(value, str | int | float):
        return value
    if isinstance(value, Mapping):
        return {str(name): _plain(item) for name, item in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(item) for item in value]
    if is_dataclass(value) and not isinstance(value, type):
        return {f.name: _plain(getattr(value, f.name)) for f in fields(value)}
    return _described(value)


def _described(value: Any) -> dict[str, Any]:
    """The class of an object, or the name of a function, with its config; of a model its name and size."""
    named = value if hasattr(value, "__qualname__") else type(value)
    description: dict[str, Any] = {"class": f"{named.__module__}.{named.__qualname__}"}
    if isinstance(value, keras.Model):
        return {**description, "name": value.name, "parameters": value.count_params()}
    if hasattr(value, "get_config"):
        description["config"] = _plain(value.get_config())
    return description
