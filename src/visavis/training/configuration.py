"""How to train: every setting with its default, and the settings that suit a data set."""

from dataclasses import asdict, dataclass, field, fields
from typing import Any

import keras
import numpy as np

from visavis.data import FaceDataset
from visavis.models.losses import BatchBinaryCrossentropy, BatchContrastive, BatchTriplet, MultiSimilarity, SupervisedContrastive
from visavis.training.augmentation import Augmentation
from visavis.training.batches import BatchShape

__all__ = ["LOSSES", "TrainingConfig", "config_for"]

LOSSES: dict[str, type[keras.losses.Loss]] = {
    "binary-crossentropy": BatchBinaryCrossentropy,
    "contrastive": BatchContrastive,
    "multi-similarity": MultiSimilarity,
    "supervised-contrastive": SupervisedContrastive,
    "triplet": BatchTriplet,
}

_FEW = 100  # people
# For them: photos that are seen again and again must look different each time, and most of a batch be nobody who exists, or
# the network learns the few by heart.
_MANY_LOOKS = Augmentation(rotation=15, scale=0.2, shift=0.1, contrast=0.4, gamma=1.8, side_light=0.8, cutout=0.7)
_MANY_COMPOSITES = BatchShape(people=8, photos=4, composites=16)


@dataclass(frozen=True)
class TrainingConfig:
    """How to train.

    Attributes:
        network: A name in `visavis.models.NETWORKS`.
        embedding_size: The length of an embedding.
        loss: A name in `LOSSES`.
        loss_options: Arguments of the loss, such as `{"margin": 1.0}`.
        batch: Who is in a batch.
        augmentation: How photos are changed.
        steps: How many batches in all.
        learning_rate: The peak of the schedule: a linear rise, then half a cosine down to zero.
        warmup: The part of the steps that the rise takes.
        weight_decay: AdamW's.
        averaging: The decay of the running mean of the weights, which is what is looked at and kept in the end (Polyak and
            Juditsky, 1992); 0: the weights of the step itself.
        adapt: Where training goes on from a trained network: whether it is brought to the training people in closed form first.
        frozen_steps: Where training goes on from a trained network: so many steps only its last layer, which makes the embedding,
            learns; then all layers do.
        thawed_rate: The part of the learning rate that is left for that.
        validate_every: Steps between two looks at the validation people; each one also writes a checkpoint.
        patience: Stop after this many looks without a better equal error rate; None: never.
        flip: Whether a mirrored photo shows the same person (of a letter or a digit it would not show the same): then photos are
            mirrored at random, and embeddings are averaged with those of the mirrored photos once training is over.
        mixed_precision: Whether to compute in 16 bits where the machine is faster so.
        seed: Draws weights and batches.
    """

    network: str = "compact"
    embedding_size: int = 128
    loss: str = "supervised-contrastive"
    loss_options: dict[str, Any] = field(default_factory=dict)
    batch: BatchShape = field(default_factory=BatchShape)
    augmentation: Augmentation = field(default_factory=Augmentation)
    steps: int = 500
    learning_rate: float = 2e-3
    warmup: float = 0.05
    weight_decay: float = 0.02
    averaging: float = 0.995
    adapt: bool = True
    frozen_steps: int = 0
    thawed_rate: float = 0.1
    validate_every: int = 100
    patience: int | None = None
    flip: bool = True
    mixed_precision: bool = False
    seed: int = 0

    def __post_init__(self) -> None:
        """Check what nothing else checks.

        Raises:
            ValueError: If a value is out of range.
        """
        if self.loss not in LOSSES:
            raise ValueError(f"loss must be one of {sorted(LOSSES)}. Received: loss={self.loss!r}")
        for name in ("steps", "validate_every", "learning_rate", "thawed_rate"):
            if not getattr(self, name) > 0:
                raise ValueError(f"{name} must be positive. Received: {name}={getattr(self, name)}")
        if not 0 <= self.frozen_steps < self.steps:
            raise ValueError(f"frozen_steps must be in [0, steps). Received: frozen_steps={self.frozen_steps}, steps={self.steps}")
        for name in ("warmup", "averaging"):
            if not 0 <= getattr(self, name) < 1:
                raise ValueError(f"{name} must be in [0, 1). Received: {name}={getattr(self, name)}")

    def to_json(self) -> dict[str, Any]:
        """Return the settings as plain values."""
        return asdict(self)

    @classmethod
    def from_json(cls, values: dict[str, Any]) -> "TrainingConfig":
        """Return the settings that `to_json` gave; names that this version does not know are an error."""
        known = {f.name for f in fields(cls)}
        if unknown := sorted(set(values) - known):
            raise ValueError(f"unknown training settings: {', '.join(unknown)}")
        nested = {"batch": BatchShape(**values["batch"]), "augmentation": Augmentation(**values["augmentation"])}
        return cls(**{**values, **nested})


def config_for(dataset: FaceDataset, *, trained: bool = False, **changes: Any) -> TrainingConfig:
    """Return settings that suit a data set: photos of few people again and again, or many people with few photos.

    Args:
        dataset: The data, or its training side.
        trained: Whether training goes on from a trained network, which few careful steps improve and many spoil.
        **changes: Fields of `TrainingConfig` to set otherwise.
    """
    counts = dataset.photos_per_person
    few = np.sum(counts > 1) < _FEW
    suited: dict[str, Any] = {"network": "classic", "augmentation": _MANY_LOOKS}
    if trained:
        suited = {"steps": 150, "frozen_steps": 50, "learning_rate": 1e-3, "averaging": 0.98, "validate_every": 25}
    elif np.median(counts) < 4 and not few:
        suited = {
            "batch": BatchShape(people=48, photos=2, single_people=16),
            "learning_rate": 3e-3,
            "steps": 3000,
            "validate_every": 250,
        }
    elif few and changes.get("flip", True):  # half a letter on half another is no letter
        suited["batch"] = _MANY_COMPOSITES
    if changes.get("loss") == "contrastive":
        suited["loss_options"] = {"margin": 1.4}  # strangers at a right angle: embeddings of unit length are 1.41 apart
    return TrainingConfig(**{**suited, **changes})
