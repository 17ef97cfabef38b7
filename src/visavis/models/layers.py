"""Keras layers: photo standardisation, convolution, pooling, batch normalisation, distances, and the head of a Siamese model."""

from typing import Any

import numpy as np

from visavis.backend import keras, layers, ops
from visavis.models.losses import pairwise_distances

__all__ = [
    "DirectAveragePooling2D",
    "DirectConv2D",
    "DirectMaxPooling2D",
    "DistanceSigmoid",
    "EuclideanDistance",
    "FusedBatchNormalization",
    "PairLogits",
    "StandardizePhotos",
]

Tensor = Any


@keras.saving.register_keras_serializable(package="visavis")
class StandardizePhotos(layers.Layer):
    """Scale each photo of `(n, h, w, c)` to mean 0 and standard deviation 1 over all its pixels and channels."""

    def build(self, input_shape: Any) -> None:
        """Remember the shape of a photo."""
        self.photo_shape = tuple(input_shape[1:])

    def call(self, photos: Tensor) -> Tensor:
        """Return the photos standardised; a photo of one flat colour becomes all zeros.

        Raises:
            ValueError: If they are of another size or number of channels than the network was built for.
        """
        if tuple(photos.shape[1:]) != self.photo_shape:
            expected = ", ".join(map(str, self.photo_shape))
            raise ValueError(f"photos must be (n, {expected}), got shape {tuple(photos.shape)}")
        photos = ops.cast(photos, "float32")
        centred = photos - ops.mean(photos, axis=(1, 2, 3), keepdims=True)
        deviation = ops.sqrt(ops.mean(ops.square(centred), axis=(1, 2, 3), keepdims=True))
        return ops.cast(centred / ops.maximum(deviation, 1e-4), self.compute_dtype)


@keras.saving.register_keras_serializable(package="visavis")
class DirectConv2D(layers.Conv2D):
    """Keras's convolution of feature maps `(n, h, w, c)`; on PyTorch with `padding="same"` without copies.

    Keras copies the features to `(n, c, h, w)` there and back for each layer. PyTorch computes on either order in memory.
    """

    def convolution_op(self, inputs: Tensor, kernel: Tensor) -> Tensor:
        """Return the features convolved."""
        direct = keras.backend.backend() == "torch" and self.padding == "same" and self.data_format == "channels_last"
        if not direct or self.dilation_rate != (1, 1):
            return super().convolution_op(inputs, kernel)
        from torch.nn import functional

        features = inputs.permute(0, 3, 1, 2)
        wanted = [_same_padding(*sizes) for sizes in zip(features.shape[2:], self.kernel_size, self.strides, strict=True)]
        padding = [least for least, _ in wanted]
        if any(least != most for least, most in wanted):
            features, padding = functional.pad(features, (*wanted[1], *wanted[0])), [0, 0]
        weights = ops.convert_to_tensor(kernel).permute(3, 2, 0, 1)
        outputs = functional.conv2d(features, weights, stride=self.strides, padding=padding, groups=self.groups)
        return outputs.permute(0, 2, 3, 1)


def _same_padding(side: int, kernel: int, stride: int) -> tuple[int, int]:
    """Return the rows before and after, such that `ceil(side / stride)` remain."""
    added = max((-(-side // stride) - 1) * stride + kernel - side, 0)
    return added // 2, added - added // 2


class _DirectPooling(layers.Layer):
    """The pooling of Keras's layer that it is mixed into; on PyTorch without copies where nothing is padded."""

    def call(self, inputs: Tensor) -> Tensor:
        """Return the features pooled."""
        direct = keras.backend.backend() == "torch" and self.data_format == "channels_last"
        if direct and self.padding == "same":
            sizes = zip(inputs.shape[1:3], self.pool_size, self.strides, strict=True)
            direct = not any(sum(_same_padding(*of_side)) for of_side in sizes)
        if not direct:
            return super().call(inputs)
        from torch.nn import functional

        pool = functional.max_pool2d if self.pool_mode == "max" else functional.avg_pool2d
        return pool(inputs.permute(0, 3, 1, 2), self.pool_size, self.strides).permute(0, 2, 3, 1)


@keras.saving.register_keras_serializable(package="visavis")
class DirectMaxPooling2D(_DirectPooling, layers.MaxPooling2D):
    """Keras's maximum pooling of feature maps `(n, h, w, c)`; on PyTorch without copies, as `DirectConv2D`."""


@keras.saving.register_keras_serializable(package="visavis")
class DirectAveragePooling2D(_DirectPooling, layers.AveragePooling2D):
    """Keras's average pooling of feature maps `(n, h, w, c)`; on PyTorch without copies, as `DirectConv2D`."""


@keras.saving.register_keras_serializable(package="visavis")
class FusedBatchNormalization(layers.BatchNormalization):
    """Keras's batch normalisation of feature maps `(n, h, w, c)`; in training by the fused kernel of TensorFlow or PyTorch.

    Keras composes it of elementary operations, each of which reads and writes all features. JAX fuses these by itself. The result
    is the same but for rounding.

    Args:
        relu: Whether to return the maximum of the result and 0. A ReLU layer does the same, but Keras keeps the features before it
            as well on PyTorch until the whole network is computed.
        **kwargs: The arguments of Keras's layer.
    """

    def __init__(self, *, relu: bool = False, **kwargs: Any) -> None:
        """Set the options."""
        super().__init__(**kwargs)
        self.relu = relu

    def call(self, inputs: Tensor, training: bool | None = None, mask: Tensor | None = None) -> Tensor:
        """Return the features normalised, in training by the statistics of the batch, which also move the moving averages."""
        normalise = _FUSED.get(keras.backend.backend())
        if normalise is None or not training or not self.trainable or mask is not None:
            outputs = super().call(inputs, training=training, mask=mask)
            return ops.relu(outputs) if self.relu else outputs
        gamma, beta = ops.cast(self.gamma, "float32"), ops.cast(self.beta, "float32")
        outputs, mean, variance = normalise(inputs, gamma, beta, self.epsilon, self.relu)
        for average, value in ((self.moving_mean, mean), (self.moving_variance, variance)):
            average.assign(average * self.momentum + value * (1 - self.momentum))
        return outputs

    def get_config(self) -> dict[str, Any]:
        """Return the arguments, for Keras to save."""
        return {**super().get_config(), "relu": self.relu}


def _normalise_by_tensorflow(
    inputs: Tensor, gamma: Tensor, beta: Tensor, epsilon: float, relu: bool
) -> tuple[Tensor, Tensor, Tensor]:
    """Return normalised features, and mean and variance `(c,)` of the batch."""
    import tensorflow as tf

    empty = tf.zeros(0)
    outputs, mean, unbiased, *_ = tf.raw_ops.FusedBatchNormV3(
        x=inputs, scale=gamma, offset=beta, mean=empty, variance=empty, epsilon=epsilon, is_training=True
    )
    count = tf.cast(tf.size(inputs) // tf.size(gamma), tf.float32)
    biased = unbiased * ((count - 1) / count)  # which Keras averages
    return tf.nn.relu(outputs) if relu else outputs, mean, biased


def _normalise_by_torch(inputs: Tensor, gamma: Tensor, beta: Tensor, epsilon: float, relu: bool) -> tuple[Tensor, Tensor, Tensor]:
    """Likewise."""
    import torch

    outputs, mean, inverse = torch.native_batch_norm(inputs.permute(0, 3, 1, 2), gamma, beta, None, None, True, 0.0, epsilon)
    outputs = outputs.relu_() if relu else outputs  # in place: no gradient needs the features before it
    return outputs.permute(0, 2, 3, 1), mean, inverse.pow(-2) - epsilon


_FUSED = {"tensorflow": _normalise_by_tensorflow, "torch": _normalise_by_torch}


@keras.saving.register_keras_serializable(package="visavis")
class EuclideanDistance(layers.Layer):
    """Compute the Euclidean distance `(n, 1)` of two batches of embeddings `(n, d)`; its gradient is finite at distance 0."""

    def call(self, embeddings: tuple[Tensor, Tensor]) -> Tensor:
        """Return the distance of each pair."""
        first, second = embeddings
        squares = ops.sum(ops.square(ops.cast(first, "float32") - ops.cast(second, "float32")), axis=1, keepdims=True)
        return ops.sqrt(ops.maximum(squares, 1e-12))


@keras.saving.register_keras_serializable(package="visavis")
class DistanceSigmoid(layers.Layer):
    """The head: ``sigmoid(offset - slope * distance)``, the probability of "the same person".

    The slope is the softplus of a weight and so is always positive: the probability falls with the distance.
    """

    def build(self, input_shape: Any) -> None:
        """Create the weights; a probability of one half is at distance 1 at first."""
        self.offset = self.add_weight(shape=(), initializer=keras.initializers.Constant(5.0), name="offset")
        self.raw_slope = self.add_weight(shape=(), initializer=keras.initializers.Constant(5.0), name="raw_slope")

    def logit(self, distance: Tensor) -> Tensor:
        """Return the log-odds of "the same person" at these distances."""
        return self.offset - ops.softplus(self.raw_slope) * distance

    def call(self, distance: Tensor) -> Tensor:
        """Return the probability at these distances."""
        return ops.sigmoid(self.logit(distance))

    def calibration(self) -> tuple[float, float]:
        """Return the offset and the slope."""
        return float(ops.convert_to_numpy(self.offset)), float(ops.convert_to_numpy(ops.softplus(self.raw_slope)))

    def calibrate(self, offset: float, slope: float) -> None:
        """Set the offset and the slope.

        Raises:
            ValueError: If `slope` is not positive.
        """
        if not slope > 0:
            raise ValueError(f"slope must be positive, got {slope}")
        self.offset.assign(offset)
        self.raw_slope.assign(slope + np.log(-np.expm1(-slope)))


class PairLogits(layers.Layer):
    """Compute a head's log-odds `(b, b)` for every pair of a batch of embeddings `(b, d)`, for binary cross-entropy."""

    def __init__(self, head: DistanceSigmoid, **kwargs: Any) -> None:
        """Share the weights of a head."""
        super().__init__(**kwargs)
        self.head = head

    def call(self, embeddings: Tensor) -> Tensor:
        """Return the log-odds of all pairs, each pair twice, and of each photo with itself."""
        return self.head.logit(pairwise_distances(embeddings))
