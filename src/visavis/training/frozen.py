"""Freezing of layers, and the frozen part of a network run outside of the training step."""

from collections.abc import Callable, Iterator, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from visavis.backend import keras, layers
from visavis.metrics import unit_rows
from visavis.models.mobilenet import is_mobilenet

__all__ = ["FrozenTrunk", "can_be_cut", "freeze", "head_of_trunk"]

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
        self.head = head_of_trunk(network)
        before = network.layers[-len(_TAIL)].input
        self._run = _onnx_trunk(network) if is_mobilenet(network) else keras.Model(network.input, before).predict_on_batch

    def features(self, photos: npt.NDArray[Any]) -> Floats:
        """Return the features `(n, k)` of photos `(n, h, w, c)`, 0 .. 255."""
        parts = [self._run(photos[start : start + _BATCH]) for start in range(0, len(photos), _BATCH)]
        return np.concatenate([np.asarray(part, dtype=np.float32) for part in parts])

    def views(self, photos: npt.NDArray[Any], *, flip: bool) -> list[Floats]:
        """Return the features of photos and, if `flip`, of their mirror images."""
        return [self.features(view) for view in ((photos, photos[:, :, ::-1]) if flip else (photos,))]

    def embed(self, views: Sequence[Floats], head: keras.Model | None = None) -> Floats:
        """Return the embeddings `(n, d)` of features, unit length; of several views the mean, scaled to unit length.

        Args:
            views: What `views` returned.
            head: The last layers of another network with the same trunk, from `head_of_trunk`; None: those of this one.
        """
        rows = [np.asarray((head or self.head).predict_on_batch(view), dtype=np.float32) for view in views]
        return unit_rows(np.mean(rows, axis=0))


def head_of_trunk(network: keras.Model, *, unit: bool = True) -> keras.Model:
    """Return the model from features to embeddings; it shares its layers with the network.

    Args:
        network: A network for which `can_be_cut` holds.
        unit: Whether the embeddings have unit length.
    """
    tail = network.layers[-len(_TAIL) :]
    features = keras.Input(tail[0].input.shape[1:])
    x = features
    for layer in tail if unit else tail[:-1]:
        x = layer(x)
    return keras.Model(features, x, name="head_of_trunk")


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
