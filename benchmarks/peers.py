"""Networks of other face encoders with random weights, as fast as the trained ones."""

from typing import Any

import keras
from keras import layers

__all__ = ["facenet_style", "mobilefacenet_style"]

Tensor = Any


def _conv(x: Tensor, filters: int, kernel: Any, strides: int = 1, padding: str = "same", relu: bool = True) -> Tensor:
    x = layers.Conv2D(filters, kernel, strides=strides, padding=padding, use_bias=False)(x)
    x = layers.BatchNormalization(scale=False)(x)
    return layers.ReLU()(x) if relu else x


def _residual(x: Tensor, branches: list[Tensor], scale: float, relu: bool = True) -> Tensor:
    """Join branches, scale them to the size of the input, and add them to it."""
    joined = layers.Concatenate()(branches) if len(branches) > 1 else branches[0]
    added = layers.Add()([x, layers.Rescaling(scale)(layers.Conv2D(x.shape[-1], 1)(joined))])
    return layers.ReLU()(added) if relu else added


def facenet_style(shape: tuple[int, int, int], size: int = 512) -> keras.Model:
    """Build the Inception-ResNet v1 (Szegedy et al., 2016) of facenet."""
    photos = keras.Input(shape)
    x = _conv(layers.Rescaling(1 / 128, -127.5 / 128)(photos), 32, 3, 2, "valid")
    x = _conv(_conv(x, 32, 3, padding="valid"), 64, 3)
    x = _conv(layers.MaxPooling2D(3, 2)(x), 80, 1)
    x = _conv(_conv(x, 192, 3, padding="valid"), 256, 3, 2, "valid")
    for _ in range(5):
        branches = [_conv(x, 32, 1), _conv(_conv(x, 32, 1), 32, 3), _conv(_conv(_conv(x, 32, 1), 32, 3), 32, 3)]
        x = _residual(x, branches, 0.17)
    first = _conv(x, 384, 3, 2, "valid")
    second = _conv(_conv(_conv(x, 192, 1), 192, 3), 256, 3, 2, "valid")
    x = layers.Concatenate()([first, second, layers.MaxPooling2D(3, 2)(x)])
    for _ in range(10):
        x = _residual(x, [_conv(x, 128, 1), _conv(_conv(_conv(x, 128, 1), 128, (1, 7)), 128, (7, 1))], 0.10)
    first = _conv(_conv(x, 256, 1), 384, 3, 2, "valid")
    second = _conv(_conv(x, 256, 1), 256, 3, 2, "valid")
    third = _conv(_conv(_conv(x, 256, 1), 256, 3), 256, 3, 2, "valid")
    x = layers.Concatenate()([first, second, third, layers.MaxPooling2D(3, 2)(x)])
    for number in range(6):
        branches = [_conv(x, 192, 1), _conv(_conv(_conv(x, 192, 1), 192, (1, 3)), 192, (3, 1))]
        x = _residual(x, branches, 0.20 if number < 5 else 1.0, relu=number < 5)
    x = layers.Dense(size, use_bias=False)(layers.GlobalAveragePooling2D()(x))
    return keras.Model(photos, layers.UnitNormalization()(layers.BatchNormalization()(x)))


def _bottleneck(x: Tensor, filters: int, expansion: int, strides: int) -> Tensor:
    y = layers.PReLU(shared_axes=[1, 2])(_conv(x, expansion * x.shape[-1], 1, relu=False))
    y = layers.DepthwiseConv2D(3, strides=strides, padding="same", use_bias=False)(y)
    y = layers.PReLU(shared_axes=[1, 2])(layers.BatchNormalization()(y))
    y = _conv(y, filters, 1, relu=False)
    return layers.Add()([x, y]) if strides == 1 and x.shape[-1] == filters else y


def mobilefacenet_style(shape: tuple[int, int, int], size: int = 128) -> keras.Model:
    """Build MobileFaceNet (Chen et al., 2018)."""
    photos = keras.Input(shape)
    x = layers.Rescaling(1 / 128, -127.5 / 128)(photos)
    x = layers.PReLU(shared_axes=[1, 2])(_conv(x, 64, 3, 2, relu=False))
    x = layers.DepthwiseConv2D(3, padding="same", use_bias=False)(x)
    x = layers.PReLU(shared_axes=[1, 2])(layers.BatchNormalization()(x))
    for filters, expansion, repeated, strides in ((64, 2, 5, 2), (128, 4, 1, 2), (128, 2, 6, 1), (128, 4, 1, 2), (128, 2, 2, 1)):
        for number in range(repeated):
            x = _bottleneck(x, filters, expansion, strides if number == 0 else 1)
    x = layers.PReLU(shared_axes=[1, 2])(_conv(x, 512, 1, relu=False))
    x = layers.BatchNormalization()(layers.DepthwiseConv2D(x.shape[1:3], use_bias=False)(x))
    x = _conv(x, size, 1, relu=False)
    return keras.Model(photos, layers.UnitNormalization()(layers.Flatten()(x)))
