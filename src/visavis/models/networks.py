"""Embedding networks, and the Siamese model of two inputs around one.

The networks of this module standardise each photo first, so that 0 .. 255 and 0 .. 1 are the same photo. All end in embeddings of
unit length.
"""

from collections.abc import Callable, Mapping
from types import MappingProxyType
from typing import Any, Literal

import numpy as np
import numpy.typing as npt

from visavis.backend import keras, layers
from visavis.errors import check_option
from visavis.metrics import unit_rows
from visavis.models.layers import (
    DirectAveragePooling2D,
    DirectConv2D,
    DirectMaxPooling2D,
    DistanceSigmoid,
    EuclideanDistance,
    FusedBatchNormalization,
    StandardizePhotos,
)

__all__ = [
    "NETWORKS",
    "NetworkName",
    "as_embedding",
    "build_embedding",
    "build_siamese",
    "copy_network",
    "embed",
    "embedding_of",
    "head_of",
    "products",
]

Tensor = Any
NetworkName = Literal["classic", "compact", "deep", "deeper"]

SMALLEST_SIDE = 32
_PRODUCT, _NORMALISE = "product_", "normalise_"


def build_embedding(
    network: NetworkName = "compact",
    input_shape: tuple[int, int, int] = (64, 64, 3),
    *,
    embedding_size: int = 128,
    dtype: Any = None,
    seed: int = 0,
) -> keras.Model:
    """Build an embedding network with random weights.

    Args:
        network: `"compact"` (residual, made for faces in the wild), `"deep"` (twice the work, for larger faces and many people),
            `"deeper"` (twice that) or `"classic"` (the brief's plain stack of convolutions).
        input_shape: Height, width and channels (1 or 3) of a face; the sides are at least 32.
        embedding_size: Length of an embedding, at least 2.
        dtype: Keras's dtype policy for the convolutions, such as `"mixed_bfloat16"`; embeddings are always float32.
        seed: Seed of the weights.

    Returns:
        A model from `(n, h, w, c)`, 0 .. 255 or 0 .. 1, to `(n, embedding_size)` float32, rows of unit length.

    Raises:
        ValueError: If an argument is out of range.
    """
    check_option("network", network, NetworkName)
    if len(input_shape) != 3 or min(input_shape[:2]) < SMALLEST_SIDE or input_shape[2] not in (1, 3):
        raise ValueError(
            f"input_shape must be (height, width, channels) with sides of at least 32 and 1 or 3 channels, got {tuple(input_shape)}"
        )
    if embedding_size < 2:
        raise ValueError(f"embedding_size must be at least 2, got {embedding_size}")
    photos = keras.Input(input_shape, name="photos")
    blocks = _Blocks(seed, dtype)
    features = NETWORKS[network](StandardizePhotos(dtype=dtype, name="standardize")(photos), blocks)
    embedding = blocks.dense(layers.Flatten()(features), int(embedding_size))
    return keras.Model(photos, layers.UnitNormalization(dtype="float32", name="unit")(embedding), name="embedding")


def as_embedding(model: keras.Model, input_shape: tuple[int, int, int]) -> keras.Model:
    """Return a Keras model as an embedding network that shares its weights.

    Args:
        model: A model from photos `(n, h, w, c)` to `(n, d)`, whose rows are scaled to unit length where it does not end in Keras's
            `UnitNormalization`; or a Siamese model, whose embedding network is returned.
        input_shape: Height, width and channels of the photos.

    Raises:
        ValueError: If the model takes other photos, or does not return one embedding for each.
    """
    if not isinstance(model, keras.Model):
        raise ValueError(f"the network must be a Keras model, got {type(model).__name__}; of an encoder, its siamese")
    if len(getattr(model, "inputs", None) or ()) == 2:
        model = embedding_of(model)
    if not getattr(model, "inputs", None):  # a subclassed model, or a Sequential one without an input
        photos = keras.Input(input_shape, name="photos")
        model = keras.Model(photos, model(photos))
    if tuple(model.input_shape[1:]) != tuple(input_shape):
        raise ValueError(f"the network must take photos of {tuple(input_shape)}, got one of {tuple(model.input_shape[1:])}")
    if len(model.output_shape) != 2:
        raise ValueError(f"the network must return one embedding (n, d) for each photo, got shape {model.output_shape}")
    if isinstance(model.layers[-1], layers.UnitNormalization):
        return model
    return keras.Model(model.inputs[0], layers.UnitNormalization(dtype="float32", name="unit")(model.outputs[0]), name="embedding")


def build_siamese(embedding: keras.Model, head: DistanceSigmoid | None = None) -> keras.Model:
    """Build the Siamese model of two inputs around an embedding network, whose weights it shares.

    Args:
        embedding: A model from photos to embeddings.
        head: The layer from distances to probabilities; None: a new one.

    Returns:
        A model from `[first, second]`, each `(n, h, w, c)`, to the probability `(n, 1)` of "the same person".
    """
    first = keras.Input(embedding.input_shape[1:], name="first")
    second = keras.Input(embedding.input_shape[1:], name="second")
    distance = EuclideanDistance(dtype="float32", name="distance")([embedding(first), embedding(second)])
    head = head or DistanceSigmoid(dtype="float32", name="head")
    return keras.Model([first, second], head(distance), name="siamese")


def embedding_of(siamese: keras.Model) -> keras.Model:
    """Return the embedding network of a Siamese model that `build_siamese` made."""
    return next(layer for layer in siamese.layers if isinstance(layer, keras.Model))


def head_of(siamese: keras.Model) -> DistanceSigmoid:
    """Return the head of a Siamese model that `build_siamese` made."""
    return next(layer for layer in siamese.layers if isinstance(layer, DistanceSigmoid))


def products(network: keras.Model) -> list[tuple[keras.Layer, keras.Layer]]:
    """Return the convolutions and dense layers of a network of `build_embedding`, each with the batch normalisation after it."""
    count = sum(layer.name.startswith(_PRODUCT) for layer in network.layers)
    return [
        (network.get_layer(f"{_PRODUCT}{number}"), network.get_layer(f"{_NORMALISE}{number}")) for number in range(1, count + 1)
    ]


def copy_network(network: keras.Model) -> keras.Model:
    """Return a deep copy of a network."""
    copy = keras.models.clone_model(network)
    copy.set_weights(network.get_weights())
    return copy


def embed(
    model: keras.Model, photos: npt.NDArray[Any], *, flip: bool = False, unit: bool = True, batch_size: int = 128
) -> npt.NDArray[np.float32]:
    """Embed photos with an embedding network.

    Args:
        model: The embedding network.
        photos: `(n, h, w, c)`, 0 .. 255 or 0 .. 1, of the network's size. Gray photos, `(n, h, w)` or of one channel, are repeated
            to three channels for a network of colour photos.
        flip: Whether to average each embedding with that of the mirrored photo: twice the time, somewhat fewer errors.
        unit: Whether to scale that average to unit length; without, its length is lower the less the two agree.
        batch_size: Number of photos that go through the network at once.

    Returns:
        `(n, d)` float32, rows of unit length, or at most that.

    Raises:
        ValueError: If the photos are of another size or number of channels, or a single photo without the first axis.
    """
    photos = _as_batch(photos, tuple(model.input_shape[1:]))
    rows = []
    for start in range(0, len(photos), batch_size):
        batch = np.asarray(photos[start : start + batch_size])
        short = batch_size - len(batch) if start else 0  # a last batch of another size would be compiled again
        padded = np.concatenate([batch, np.repeat(batch[:1], short, axis=0)])
        row = model.predict_on_batch(padded)
        if flip:
            row = (row + model.predict_on_batch(padded[:, :, ::-1])) / 2
        rows.append(np.asarray(row, dtype=np.float32)[: len(batch)])
    if not rows:
        return np.zeros((0, model.output_shape[-1]), dtype=np.float32)
    embeddings = np.concatenate(rows)
    return unit_rows(embeddings) if unit else embeddings


def _as_batch(photos: npt.ArrayLike, shape: tuple[int, int, int]) -> npt.NDArray[Any]:
    """Return photos as `(n, *shape)`, gray ones repeated for a network of colour photos."""
    batch = np.asarray(photos)
    if batch.ndim == 3 and batch.shape[1:] == shape[:2]:
        batch = batch[..., None]
    if batch.ndim == 4 and batch.shape[3] == 1 and shape[2] == 3:
        batch = np.repeat(batch, 3, axis=3)
    if batch.shape[1:] != shape:
        hint = "; one photo is photo[None]" if batch.shape in (shape, shape[:2]) else ""
        raise ValueError(f"photos must be (n, {', '.join(map(str, shape))}), got shape {np.shape(photos)}{hint}")
    return batch


class _Blocks:
    """The building blocks of the networks; each layer takes the next seed.

    `product_7` is the seventh convolution or dense layer, `normalise_7` the batch normalisation that follows it.
    """

    def __init__(self, seed: int, dtype: Any) -> None:
        self._seeds = np.random.default_rng(seed)
        self._dtype = dtype
        self._made = 0

    def _product(self) -> dict[str, Any]:
        """Return the arguments of the next convolution or dense layer."""
        self._made += 1
        initializer = keras.initializers.HeNormal(seed=int(self._seeds.integers(2**31)))
        return {"use_bias": False, "kernel_initializer": initializer, "dtype": self._dtype, "name": f"{_PRODUCT}{self._made}"}

    def _normalisation(self) -> dict[str, Any]:
        """Return the arguments of the batch normalisation after it."""
        return {"momentum": 0.98, "dtype": self._dtype, "name": f"{_NORMALISE}{self._made}"}

    def dense(self, x: Tensor, units: int) -> Tensor:
        x = layers.Dense(units, **self._product())(x)
        return layers.BatchNormalization(**self._normalisation())(x)

    def conv(self, x: Tensor, filters: int, *, strides: int = 1, kernel: int = 3, relu: bool = True) -> Tensor:
        x = DirectConv2D(filters, kernel, strides=strides, padding="same", **self._product())(x)
        return FusedBatchNormalization(relu=relu, **self._normalisation())(x)

    def residual(self, x: Tensor, filters: int, *, strides: int = 1) -> Tensor:
        y = self.conv(x, filters, strides=strides)
        y = self.conv(y, filters, relu=False)
        if strides > 1:
            x = DirectAveragePooling2D(strides, padding="same")(x)
        if x.shape[-1] != filters:
            x = self.conv(x, filters, kernel=1, relu=False)
        return layers.ReLU()(layers.Add()([x, y]))


def _classic(x: Tensor, blocks: _Blocks) -> Tensor:
    """Four plain convolutions with batch normalisation, and pooling between them."""
    x = DirectMaxPooling2D(2)(blocks.conv(x, 32, strides=2))
    for filters in (64, 128):
        x = DirectMaxPooling2D(2)(blocks.conv(x, filters))
    return blocks.conv(x, 128)


def _compact(x: Tensor, blocks: _Blocks) -> Tensor:
    """Two strided convolutions down to a quarter of the side, then three residual stages."""
    x = blocks.conv(x, 32, strides=2)
    x = blocks.conv(x, 64, strides=2)
    x = blocks.residual(x, 64)
    x = blocks.residual(x, 128, strides=2)
    return blocks.residual(x, 256, strides=2)


def _deep(x: Tensor, blocks: _Blocks) -> Tensor:
    """As compact, with one more residual stage and fewer features before the last layer: for at least 80 pixels."""
    x = blocks.conv(x, 32, strides=2)
    x = blocks.conv(x, 64, strides=2)
    x = blocks.residual(x, 64)
    x = blocks.residual(x, 128, strides=2)
    x = blocks.residual(x, 128)
    x = blocks.residual(x, 256, strides=2)
    return blocks.conv(x, 128, kernel=1)


def _deeper(x: Tensor, blocks: _Blocks) -> Tensor:
    """As deep, with four more residual blocks."""
    x = blocks.conv(x, 32, strides=2)
    x = blocks.conv(x, 64, strides=2)
    for _ in range(2):
        x = blocks.residual(x, 64)
    x = blocks.residual(x, 128, strides=2)
    for _ in range(4):
        x = blocks.residual(x, 128)
    x = blocks.residual(x, 256, strides=2)
    return blocks.conv(x, 128, kernel=1)


NETWORKS: Mapping[str, Callable[[Tensor, _Blocks], Tensor]] = MappingProxyType(
    {
        "classic": _classic,
        "compact": _compact,
        "deep": _deep,
        "deeper": _deeper,
    }
)
