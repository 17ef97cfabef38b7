"""Freezing of layers, and the frozen part of a network run outside of the training step."""

from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import numpy.typing as npt

from visavis.backend import keras, layers
from visavis.models.mobilenet import is_mobilenet

__all__ = ["FrozenTrunk", "can_be_cut", "freeze"]

Floats = npt.NDArray[np.float32]
_TAIL = [layers.Dense, layers.BatchNormalization, layers.UnitNormalization]
_BATCH = 64


class FrozenTrunk:
    """A trained network in two: what is frozen, which turns photos into features, and its last dense layer, which learns.

    The bundled encoder's network is run by ONNX Runtime, three times as fast as by Keras on TensorFlow.

    Attributes:
        head: The model from features to embeddings; it shares its layers with the network.
    """

    def __init__(self, network: keras.Model) -> None:
        """Cut a network before its last dense layer.

        Raises:
            ValueError: If it does not end in a dense layer, a batch normalisation and a normalisation to unit length.
        """
        if not can_be_cut(network):
            raise ValueError(f"network must end in {', '.join(layer.__name__ for layer in _TAIL)}, got {network.name}")
        tail = network.layers[-len(_TAIL) :]
        features = keras.Input(tail[0].input.shape[1:])
        x = features
        for layer in tail:
            x = layer(x)
        self.head = keras.Model(features, x, name="head_of_trunk")
        self._run = _onnx_trunk(network) if is_mobilenet(network) else keras.Model(network.input, tail[0].input).predict_on_batch

    def features(self, photos: npt.NDArray[Any]) -> Floats:
        """Return the features `(n, k)` of photos `(n, h, w, c)`, 0 .. 255."""
        parts = [self._run(photos[start : start + _BATCH]) for start in range(0, len(photos), _BATCH)]
        return np.concatenate([np.asarray(part, dtype=np.float32) for part in parts])


def can_be_cut(network: keras.Model) -> bool:
    """Return whether a network ends as `FrozenTrunk` needs it."""
    return [type(layer) for layer in network.layers[-len(_TAIL) :]] == _TAIL


def freeze(network: keras.Model, *, but_the_last: bool) -> None:
    """Freeze the batch statistics; and, if asked, all layers but the last that has weights."""
    layers = list(_leaves(network))
    trained = [layer for layer in layers if layer.weights and not isinstance(layer, keras.layers.BatchNormalization)]
    for layer in layers:
        layer.trainable = layer in (trained[-1:] if but_the_last else trained)


def _leaves(network: keras.Model) -> Iterator[keras.Layer]:
    """The layers of a network, those of nested models in place of these."""
    for layer in network.layers:
        if isinstance(layer, keras.Model):
            yield from _leaves(layer)
        else:
            yield layer


def _onnx_trunk(network: keras.Model) -> Callable[[npt.NDArray[Any]], Floats]:
    import onnxruntime

    from visavis.encoders.mobilenet import mobilenet_graph
    from visavis.models.mobilenet import mobilenet_weights

    model = mobilenet_graph(mobilenet_weights(network), network.input_shape[1:], features=True)
    session = onnxruntime.InferenceSession(model.SerializeToString(), providers=["CPUExecutionProvider"])
    name = session.get_inputs()[0].name

    def run(photos: npt.NDArray[Any]) -> Floats:
        return np.concatenate(
            [session.run(None, {name: np.asarray(photos[at : at + 4], dtype=np.float32)})[0] for at in range(0, len(photos), 4)]
        )

    return run
