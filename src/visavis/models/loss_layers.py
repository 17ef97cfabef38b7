"""Layers that compute a loss in training and hold what it learns or remembers: class centres, or photos of earlier batches.

Each takes `[embeddings, labels]` and returns the loss `(1,)`. They belong to the training model alone, never to an exported one.
"""

from typing import Any

import numpy as np
import numpy.typing as npt

from visavis.backend import keras, layers, ops
from visavis.models.layers import DistanceSigmoid
from visavis.models.losses import BatchBinaryCrossentropy, ClassLoss, Memory, PairLoss, pairwise_distances

__all__ = ["ClassCentres", "ComputedLoss", "CrossBatchMemory"]

Tensor = Any

_SMALLEST_LENGTH = 1e-6


class ComputedLoss(keras.losses.Loss):
    """Pass on the loss that one of the layers of this module returns."""

    def __init__(self) -> None:
        """Name it as Keras does."""
        super().__init__(name="loss", reduction=None)

    def call(self, y_true: Tensor, y_pred: Tensor) -> Tensor:
        """Return the loss, a scalar."""
        return ops.mean(y_pred)


class ClassCentres(layers.Layer):
    """A loss over classes with its trainable class centres.

    For very many classes a step can use a sample of them (An et al. 2022, PartialFC): those of the batch, and others drawn at
    random without replacement. A step then computes `b * sampled` cosines instead of `b * classes`. The centres themselves, their
    gradient and the optimizer's two moments take `4 * classes * d * 4` bytes either way: 205 MB for 100,000 classes of length 128.

    Takes embeddings before they are scaled to unit length, whose length is the quality that AdaFace uses.
    """

    def __init__(self, loss: ClassLoss, classes: int, *, sampled: int | None = None, seed: int = 0, **kwargs: Any) -> None:
        """Choose the loss and the number of classes.

        Args:
            loss: The loss.
            classes: Number of classes; labels outside of 0 .. classes - 1 are ignored.
            sampled: Number of classes of a step, at least the number of people in a batch; None, or as many as there are: all.
            seed: Seed of the initial centres and of the samples.
            **kwargs: Arguments of `keras.layers.Layer`.

        Raises:
            ValueError: If a number is not positive.
        """
        super().__init__(dtype="float32", **kwargs)
        for name, value in {"classes": classes, "sampled": sampled or 1}.items():
            if value < 1:
                raise ValueError(f"{name} must be at least 1, got {value}")
        self.loss, self.classes, self.sampled = loss, classes, min(sampled or classes, classes)
        self._initial_seed = seed
        self._samples = keras.random.SeedGenerator(seed + 1) if self.sampled < classes else None

    def build(self, input_shape: Any) -> None:
        """Create the centres and the running statistics of the lengths."""
        initializer = keras.initializers.RandomNormal(stddev=0.05, seed=self._initial_seed)
        self.centres = self.add_weight(shape=(self.classes, input_shape[0][-1]), initializer=initializer, name="centres")
        if self.loss.needs_quality:
            self.length_mean, self.length_deviation, self.steps = (
                self.add_weight(shape=(), initializer="zeros", trainable=False, name=name)
                for name in ("length_mean", "length_deviation", "steps")
            )

    def set_centres(self, embeddings: npt.NDArray[Any], labels: npt.NDArray[np.integer]) -> None:
        """Set each class's centre to the mean of its embeddings, unit length; classes without any keep theirs.

        Args:
            embeddings: `(n, d)`.
            labels: `(n,)`.
        """
        centres = np.array(ops.convert_to_numpy(self.centres))
        sums = np.zeros_like(centres)
        np.add.at(sums, labels, embeddings)
        lengths = np.linalg.norm(sums, axis=1, keepdims=True)
        self.centres.assign(np.where(lengths > 0, sums / np.maximum(lengths, _SMALLEST_LENGTH), centres))

    def call(self, inputs: tuple[Tensor, Tensor], training: bool = False) -> Tensor:
        """Return the loss of a batch."""
        embeddings, labels = ops.cast(inputs[0], "float32"), inputs[1]
        lengths = ops.sqrt(ops.maximum(ops.sum(ops.square(embeddings), axis=1, keepdims=True), _SMALLEST_LENGTH**2))
        centres = self.centres
        if self._samples is not None:
            centres, labels = self._sample(labels)
        predictions = ops.matmul(embeddings / lengths, ops.transpose(ops.normalize(centres, axis=1)))
        if self.loss.needs_quality:
            predictions = ops.concatenate([predictions, self._quality(lengths, training)], axis=1)
        return ops.reshape(self.loss.call(labels, predictions), (1,))

    def _sample(self, labels: Tensor) -> tuple[Tensor, Tensor]:
        """Return the centres of the batch's classes and of others drawn at random, and the labels' positions among them."""
        labels = ops.cast(labels, "int32")
        known = ops.logical_and(labels >= 0, labels < self.classes)
        slots = ops.where(known, labels, self.classes)[:, None]  # one more, for labels that are no class
        drawn = keras.random.uniform((self.classes + 1,), seed=self._samples)
        drawn = ops.scatter_update(drawn, slots, 2.0 * ops.ones_like(labels, dtype="float32"))
        _, chosen = ops.top_k(drawn[:-1], self.sampled)
        positions = ops.full((self.classes + 1,), self.sampled, dtype="int32")
        positions = ops.scatter_update(positions, chosen[:, None], ops.arange(self.sampled, dtype="int32"))
        return ops.take(self.centres, chosen, axis=0), ops.take(positions, slots[:, 0])

    def _quality(self, lengths: Tensor, training: bool) -> Tensor:
        """Return the standardised lengths `(b, 1)`, -1 .. 1, and update the statistics."""
        lengths = ops.stop_gradient(lengths)
        mean, deviation = ops.mean(lengths), ops.std(lengths)
        if training:
            kept = ops.minimum(0.99, (1.0 + self.steps) / (10.0 + self.steps))
            mean = kept * self.length_mean + (1.0 - kept) * mean
            deviation = kept * self.length_deviation + (1.0 - kept) * deviation
            self.length_mean.assign(mean)
            self.length_deviation.assign(deviation)
            self.steps.assign(self.steps + 1.0)
        # A standard deviation is a third of the range, as in the paper, so that most photos are inside of it.
        return ops.clip(0.333 * (lengths - mean) / (deviation + 1e-3), -1.0, 1.0)


class CrossBatchMemory(layers.Layer):
    """A loss over pairs that also compares a batch with the photos of earlier batches (Wang et al. 2020).

    The memory takes `size * (d + 1) * 4` bytes: 2 MB for 4,096 embeddings of length 128.
    """

    def __init__(self, loss: PairLoss | BatchBinaryCrossentropy, size: int, *, head: DistanceSigmoid | None = None) -> None:
        """Choose the loss and the size.

        Args:
            loss: A loss over pairs, or the binary cross-entropy with a head.
            size: Number of embeddings to remember; the oldest are replaced.
            head: The layer from distances to logits, for the binary cross-entropy.

        Raises:
            ValueError: If the loss cannot use a memory, or if `size` is not positive.
        """
        super().__init__(dtype="float32")
        if not isinstance(loss, PairLoss) and not (isinstance(loss, BatchBinaryCrossentropy) and head is not None):
            raise ValueError(f"memory needs a loss over pairs (a visavis.models.losses.PairLoss), got {loss.name}")
        if size < 1:
            raise ValueError(f"memory must be at least 1, got {size}")
        self.loss, self.size, self.head = loss, size, head

    def build(self, input_shape: Any) -> None:
        """Create the empty memory."""
        self.embeddings = self.add_weight(
            shape=(self.size, input_shape[0][-1]), initializer="zeros", trainable=False, name="embeddings"
        )
        self.labels = self.add_weight(
            shape=(self.size,), initializer=keras.initializers.Constant(-1), dtype="int32", trainable=False, name="labels"
        )

    def call(self, inputs: tuple[Tensor, Tensor], training: bool = False) -> Tensor:
        """Return the loss of a batch, and remember the batch."""
        embeddings, labels = ops.cast(inputs[0], "float32"), ops.cast(ops.reshape(inputs[1], (-1,)), "int32")
        memory = Memory(ops.convert_to_tensor(self.labels), ops.convert_to_tensor(self.embeddings))
        if isinstance(self.loss, PairLoss):
            loss = self.loss.with_memory(labels, embeddings, memory)
        else:
            assert self.head is not None, "checked in __init__"
            references = ops.concatenate([embeddings, memory.embeddings], axis=0)
            logits = self.head.logit(pairwise_distances(embeddings, references))
            loss = self.loss.function(labels, logits, memory.labels)
        if training:
            self.embeddings.assign(ops.concatenate([ops.stop_gradient(embeddings), memory.embeddings], axis=0)[: self.size])
            self.labels.assign(ops.concatenate([labels, memory.labels], axis=0)[: self.size])
        return ops.reshape(loss, (1,))
