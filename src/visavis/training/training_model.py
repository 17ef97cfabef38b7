"""The model that a training step runs: the network, and what the loss needs on top of it."""

from typing import Any

import numpy as np
import numpy.typing as npt

from visavis.backend import keras
from visavis.data import FaceDataset
from visavis.models import DistanceSigmoid, PairLogits, embed
from visavis.models.loss_layers import ClassCentres, ComputedLoss, CrossBatchMemory
from visavis.models.losses import BatchBinaryCrossentropy, ClassLoss
from visavis.training.configuration import TrainingConfig
from visavis.training.frozen import FrozenTrunk, can_be_cut, head_of_trunk

__all__ = ["build_loss_layer", "build_training_model", "start_centres"]

LossLayer = ClassCentres | CrossBatchMemory


def build_loss_layer(config: TrainingConfig, loss: keras.losses.Loss, *, classes: int, head: DistanceSigmoid) -> LossLayer | None:
    """Return the layer that holds what a loss learns or remembers; None: the loss is a function of a batch alone.

    Args:
        config: The hyperparameters.
        loss: The loss of the config.
        classes: Number of training people.
        head: The head of the Siamese model, for the binary cross-entropy.

    Raises:
        ValueError: If the loss cannot use the config's `memory` or `sampled_classes`.
    """
    if isinstance(loss, ClassLoss):
        if config.memory:
            raise ValueError(f"memory needs a loss over pairs, got {config.memory} with {loss.name}")
        return ClassCentres(loss, classes, sampled=config.sampled_classes, seed=config.seed, name="centres")
    if config.sampled_classes is not None:
        raise ValueError(f"sampled_classes needs a loss over classes, got {config.sampled_classes} with {loss.name}")
    if not config.memory:
        return None
    return CrossBatchMemory(loss, config.memory, head=head if isinstance(loss, BatchBinaryCrossentropy) else None)


def build_training_model(
    network: keras.Model, loss: keras.losses.Loss, layer: LossLayer | None, *, trunk: FrozenTrunk | None, head: DistanceSigmoid
) -> tuple[keras.Model, keras.losses.Loss]:
    """Return the model to train and the loss to compile it with.

    Args:
        network: The embedding network, whose layers the model shares.
        loss: The loss of the config.
        layer: What `build_loss_layer` returned. With one, the model also takes the labels.
        trunk: The frozen part of the network, where the model takes its features instead of photos.
        head: The head of the Siamese model, for the binary cross-entropy.
    """
    trained = trunk.head if trunk else network
    if layer is None:
        # The embedding network itself is never compiled: it would carry the loss into every file.
        output = PairLogits(head, dtype="float32")(trained.output) if isinstance(loss, BatchBinaryCrossentropy) else trained.output
        return keras.Model(trained.input, output), loss
    labels = keras.Input((), dtype="int32", name="labels")
    inputs, embeddings = trained.input, trained.output
    if isinstance(layer, ClassCentres):
        without_unit = head_of_trunk(network, unit=False) if trunk else keras.Model(network.input, network.layers[-1].input)
        inputs, embeddings = without_unit.input, without_unit.output
    return keras.Model([inputs, labels], layer([embeddings, labels])), ComputedLoss()


def start_centres(layer: LossLayer | None, network: keras.Model, training: FaceDataset) -> None:
    """Set class centres to the mean embedding of each person by a trained network; random ones would spoil it first."""
    if isinstance(layer, ClassCentres):
        layer.set_centres(_embeddings(network, training.faces), training.labels)


def _embeddings(network: keras.Model, photos: npt.NDArray[Any]) -> npt.NDArray[np.float32]:
    if not can_be_cut(network):
        return embed(network, photos)
    trunk = FrozenTrunk(network)
    return trunk.embed([trunk.features(photos)])
