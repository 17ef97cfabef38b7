"""The bundled encoder's network: the same in ONNX as in Keras, read back from its file, and rewritten so that it runs fast."""

import keras
import numpy as np
import onnx
import onnxruntime
import pytest

from visavis.data import generate_faces, split_people
from visavis.encoders.mobilenet import Quantized, mobilenet_graph, read_weights
from visavis.models import build_embedding, embed, embedding_of
from visavis.models.mobilenet import BLOCKS, CONVOLUTIONS, DENSE, LAST, STEM, build_mobilenet, is_mobilenet, mobilenet_weights
from visavis.training.frozen import FrozenTrunk, can_be_cut
from visavis.training.run_options import RunOptions
from visavis.training.trainer import train

SHAPE = (32, 32, 3)
SIZE = 8


@pytest.fixture(scope="module")
def weights():
    """Random weights of the network for faces of 32 x 32 pixels, with slopes on both sides of 1."""
    rng = np.random.default_rng(0)
    found, inputs = {}, 3
    for number in range(1, CONVOLUTIONS + 1):
        depthwise = number % 2 == 0
        filters = inputs if depthwise else STEM if number == 1 else BLOCKS[(number - 3) // 2][0]
        side = 3 if depthwise or number == 1 else 1
        shape = (filters, 1 if depthwise else inputs, side, side)
        found[f"product_{number}"] = rng.normal(0, np.sqrt(2 / np.prod(shape[1:])), shape)
        found[f"offset_{number}"] = rng.normal(0, 0.1, filters)
        found[f"slope_{number}"] = rng.uniform(-0.5, 1.2 if number in (1, 8) else 0.9, filters)
        inputs = filters
    found |= {f"product_{DENSE}": rng.normal(0, 0.02, (SIZE, inputs * 4)), f"offset_{DENSE}": rng.normal(0, 0.1, SIZE)}
    found |= {f"product_{LAST}": rng.normal(0, 0.5, (SIZE, SIZE)), f"offset_{LAST}": rng.normal(0, 0.1, SIZE)}
    return {name: values.astype(np.float32) for name, values in found.items()}


@pytest.fixture(scope="module")
def faces():
    return np.random.default_rng(1).integers(0, 256, (5, *SHAPE)).astype(np.float32)


def run(model, faces):
    session = onnxruntime.InferenceSession(model.SerializeToString(), providers=["CPUExecutionProvider"])
    return session.run(None, {session.get_inputs()[0].name: faces})[0]


def quantized(values, blocks):
    """A weight in 8 bits, each row in so many blocks."""
    rows = values.reshape(len(values), blocks, -1)
    low, high = rows.min(axis=2, keepdims=True), rows.max(axis=2, keepdims=True)
    scales = ((high - low) / 255).astype(np.float32)
    zeros = np.clip(np.rint(-128 - low / scales), -128, 127).astype(np.int8)
    levels = np.clip(np.rint(rows / scales) + zeros, -128, 127).astype(np.int8)
    return Quantized(levels.reshape(len(values), -1), zeros[..., 0], scales[..., 0], values.shape)


def test_onnx_and_keras_give_the_same_embeddings(weights, faces):
    network = build_mobilenet(weights, SHAPE)
    embeddings = run(mobilenet_graph(weights, SHAPE), faces)
    np.testing.assert_allclose(embeddings, network.predict_on_batch(faces), atol=1e-5)
    np.testing.assert_allclose(np.linalg.norm(embeddings, axis=1), 1, atol=1e-5)
    assert np.abs(embeddings[0] - embeddings[1]).max() > 0.01


def test_no_prelu_is_left_in_the_graph(weights):
    kinds = {node.op_type for node in mobilenet_graph(weights, SHAPE).graph.node}
    assert "PRelu" not in kinds and {"Relu", "Conv"} <= kinds


def test_weights_are_read_back_from_keras_and_from_onnx(weights):
    for found in (mobilenet_weights(build_mobilenet(weights, SHAPE)), read_weights(mobilenet_graph(weights, SHAPE))):
        assert found.keys() == weights.keys()
        for name, values in weights.items():
            np.testing.assert_allclose(found[name], values, rtol=1e-5, atol=1e-7, err_msg=name)


def test_weights_in_8_bits_are_those_that_the_graph_computes_with(weights, faces):
    names = ("product_1", "product_2", "product_3", f"product_{DENSE}")
    small = {**weights, **{name: quantized(weights[name], 1 if weights[name].ndim == 4 else 16) for name in names}}
    values = {name: weight.values if isinstance(weight, Quantized) else weight for name, weight in small.items()}
    assert all(np.abs(values[name] - weights[name]).max() > 0 for name in names)
    model = mobilenet_graph(small, SHAPE)
    np.testing.assert_allclose(run(model, faces), run(mobilenet_graph(values, SHAPE), faces), atol=1e-6)
    np.testing.assert_array_equal(read_weights(model)[f"product_{DENSE}"], values[f"product_{DENSE}"])


def test_the_last_feature_map_can_be_scaled(weights, faces):
    factors = np.random.default_rng(2).uniform(-1, 1, BLOCKS[-1][0]).astype(np.float32)
    model = mobilenet_graph({**weights, "features": factors}, SHAPE)
    np.testing.assert_allclose(run(model, faces), run(mobilenet_graph(read_weights(model), SHAPE), faces), atol=1e-5)
    assert np.abs(run(model, faces) - run(mobilenet_graph(weights, SHAPE), faces)).max() > 0.01


def test_the_graph_can_stop_before_the_last_dense_layer(weights, faces):
    features = run(mobilenet_graph(weights, SHAPE, features=True), faces)
    rows = features @ weights[f"product_{LAST}"].T + weights[f"offset_{LAST}"]
    expected = rows / np.linalg.norm(rows, axis=1, keepdims=True)
    np.testing.assert_allclose(run(mobilenet_graph(weights, SHAPE), faces), expected, atol=1e-5)


def test_another_network_is_recognised(weights):
    assert is_mobilenet(build_mobilenet(weights, SHAPE))
    assert not is_mobilenet(build_embedding("classic", SHAPE))
    empty = onnx.helper.make_model(onnx.helper.make_graph([], "other", [], []))
    with pytest.raises(ValueError, match="no weight product_1"):
        read_weights(empty)


@pytest.mark.parametrize("kind", ["mobilenet", "compact"])
def test_a_frozen_trunk_and_its_head_give_the_embeddings_of_the_network(weights, faces, kind):
    network = build_mobilenet(weights, SHAPE) if kind == "mobilenet" else build_embedding("compact", SHAPE)
    trunk = FrozenTrunk(network)
    views = trunk.views(faces, flip=True)
    np.testing.assert_allclose(trunk.embed(views[:1]), embed(network, faces), atol=1e-5)
    np.testing.assert_allclose(trunk.embed(views), embed(network, faces, flip=True), atol=1e-5)


def test_a_network_of_another_ending_cannot_be_cut():
    network = build_embedding("compact", SHAPE)
    cut = keras.Model(network.input, network.layers[-2].output)
    assert can_be_cut(network) and not can_be_cut(cut)
    with pytest.raises(ValueError, match="network must end in Dense, BatchNormalization, UnitNormalization"):
        FrozenTrunk(cut)


def test_only_the_last_layer_of_this_network_is_trained(weights):
    people = generate_faces(people=6, photos=3, size=32, seed=0)
    start = build_mobilenet(weights, SHAPE)
    changes = {
        "steps": 2,
        "validate_every": 1,
        "learning_rate": 0.1,
        "ema_decay": 0.0,
        "whitening": False,
        "loss": "binary-crossentropy",
    }
    run = train(split_people(people, fractions=(0.5, 0.5, 0)), start=start, options=RunOptions(progress=False), **changes)
    assert run.config.fine_tuning.head_warmup_steps == run.config.optimization.steps == 2
    assert [row["step"] for row in run.history] == [0, 1, 2]
    found = mobilenet_weights(embedding_of(run.siamese))
    for name, values in mobilenet_weights(start).items():
        if name not in (f"product_{LAST}", f"offset_{LAST}"):
            np.testing.assert_array_equal(found[name], values, err_msg=name)
