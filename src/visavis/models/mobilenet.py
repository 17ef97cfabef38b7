"""The network of the bundled encoder in Keras: MobileNet with PReLUs and a dense layer over the whole last feature map.

MobileNet (Howard et al., 2017) as face networks have it: the first convolution keeps the photo's size, a PReLU follows every
convolution, and no pooling comes before the dense layer. Levels of 0 .. 255 are only shifted and scaled; photos are not
standardised. Batch normalisations are folded into the convolutions: the network is for training on, not for training from random
weights.
"""

from collections.abc import Mapping
from typing import Any

import numpy as np
import numpy.typing as npt

from visavis.backend import keras, layers

__all__ = ["BLOCKS", "CONVOLUTIONS", "DENSE", "MIDDLE", "SCALE", "STEM", "build_mobilenet", "is_mobilenet", "mobilenet_weights"]

Floats = npt.NDArray[np.float32]
Tensor = Any

STEM = 32
BLOCKS = ((64, 1), (128, 2), (128, 1), (256, 2), (256, 1), (512, 2), *[(512, 1)] * 5, (1024, 2), (1024, 1))
"""Channels and stride of the 13 blocks, each a depthwise convolution of 3 x 3 pixels and one of 1 x 1."""
CONVOLUTIONS = 1 + 2 * len(BLOCKS)
DENSE, LAST = CONVOLUTIONS + 1, CONVOLUTIONS + 2
"""The numbers of the two dense layers: over the whole feature map, and from embedding to embedding."""
MIDDLE, SCALE = 127.5, 1 / 128
"""What is subtracted from a level of 0 .. 255, and what the difference is multiplied by."""


def build_mobilenet(weights: Mapping[str, Floats], input_shape: tuple[int, int, int] = (112, 112, 3)) -> keras.Model:
    """Build the network with given weights.

    `product_N` is the N-th convolution or dense layer, `slope_N` the PReLU after it. The last dense layer, of the embedding's size
    squared, has a batch normalisation as the other networks have; it can be adapted without the large one before it.

    Args:
        weights: By name, in ONNX's order of axes: `product_1` to `product_27` `(out, in, h, w)`, `product_28` and `product_29`
            `(out, in)`; `offset_1` to `offset_29` `(out,)`; `slope_1` to `slope_27` `(out,)`.
        input_shape: Height, width and channels of a face.

    Returns:
        A model from `(n, h, w, c)`, 0 .. 255, to `(n, d)` float32, rows of unit length.
    """
    photos = keras.Input(input_shape, name="photos")
    x = layers.Rescaling(SCALE, -MIDDLE * SCALE, name="rescale")(photos)
    x = _convolution(x, 1, layers.Conv2D(STEM, 3, padding="same", name="product_1"))
    for block, (filters, stride) in enumerate(BLOCKS):
        number = 2 * block + 2
        padded = layers.ZeroPadding2D(1)(x)
        x = _convolution(padded, number, layers.DepthwiseConv2D(3, strides=stride, name=f"product_{number}"))
        x = _convolution(x, number + 1, layers.Conv2D(filters, 1, name=f"product_{number + 1}"))
    x = layers.Dense(len(weights[f"offset_{DENSE}"]), name=f"product_{DENSE}")(layers.Flatten()(x))
    x = layers.Dense(len(weights[f"offset_{LAST}"]), use_bias=False, name=f"product_{LAST}")(x)
    x = layers.BatchNormalization(name=f"normalise_{LAST}")(x)
    network = keras.Model(photos, layers.UnitNormalization(name="unit")(x), name="embedding")
    _set_weights(network, weights)
    return network


def is_mobilenet(network: keras.Model) -> bool:
    """Return whether `build_mobilenet` made a network."""
    names = {layer.name for layer in network.layers}
    return {f"slope_{CONVOLUTIONS}", f"product_{LAST}"} <= names


def mobilenet_weights(network: keras.Model) -> dict[str, Floats]:
    """Return the weights of a network that `build_mobilenet` made, in the form that it takes them."""
    weights = {}
    for number in range(1, LAST + 1):
        kernel, *bias = network.get_layer(f"product_{number}").get_weights()
        if number <= CONVOLUTIONS:
            depthwise = isinstance(network.get_layer(f"product_{number}"), layers.DepthwiseConv2D)
            weights[f"product_{number}"] = kernel.transpose(2, 3, 0, 1) if depthwise else kernel.transpose(3, 2, 0, 1)
            weights[f"slope_{number}"] = network.get_layer(f"slope_{number}").get_weights()[0].ravel()
        else:
            weights[f"product_{number}"] = kernel.T
        if bias:
            weights[f"offset_{number}"] = bias[0]
    places = _places(network)
    weights[f"product_{DENSE}"] = _reordered(weights[f"product_{DENSE}"], (places, -1))
    last = network.get_layer(f"normalise_{LAST}")
    gamma, beta, mean, variance = (value.astype(np.float64) for value in last.get_weights())
    scale = gamma / np.sqrt(variance + last.epsilon)
    weights[f"product_{LAST}"] = (weights[f"product_{LAST}"] * scale[:, None]).astype(np.float32)
    weights[f"offset_{LAST}"] = (beta - mean * scale).astype(np.float32)
    return {name: np.ascontiguousarray(values) for name, values in weights.items()}


def _set_weights(network: keras.Model, weights: Mapping[str, Floats]) -> None:
    for number in range(1, CONVOLUTIONS + 1):
        layer, kernel = network.get_layer(f"product_{number}"), weights[f"product_{number}"]
        depthwise = isinstance(layer, layers.DepthwiseConv2D)
        kernel = kernel.transpose(2, 3, 0, 1) if depthwise else kernel.transpose(2, 3, 1, 0)
        layer.set_weights([kernel, weights[f"offset_{number}"]])
        network.get_layer(f"slope_{number}").set_weights([weights[f"slope_{number}"].reshape(1, 1, -1)])
    dense = _reordered(weights[f"product_{DENSE}"], (-1, _places(network)))
    network.get_layer(f"product_{DENSE}").set_weights([dense.T, weights[f"offset_{DENSE}"]])
    network.get_layer(f"product_{LAST}").set_weights([weights[f"product_{LAST}"].T])
    last, offset = network.get_layer(f"normalise_{LAST}"), weights[f"offset_{LAST}"]
    variance = np.float32(1) - np.float32(last.epsilon)
    last.set_weights([np.ones_like(offset), offset, np.zeros_like(offset), np.full_like(offset, variance)])


def _convolution(x: Tensor, number: int, layer: keras.layers.Layer) -> Tensor:
    return layers.PReLU(shared_axes=[1, 2], name=f"slope_{number}")(layer(x))


def _places(network: keras.Model) -> int:
    """Height times width of the last feature map."""
    _, height, width, _ = network.get_layer(f"slope_{CONVOLUTIONS}").output.shape
    return height * width


def _reordered(rows: Floats, shape: tuple[int, int]) -> Floats:
    """Rows `(n, a * b)` of a map flattened with one axis first, as if flattened with the other one first."""
    return rows.reshape(len(rows), *shape).swapaxes(1, 2).reshape(rows.shape)
