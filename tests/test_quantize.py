"""Models in 8 bits: what the file computes, what it loses, and when it is refused."""

import json

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper

import visavis
from visavis.errors import DataError, ModelError
from visavis.evaluation.quantize import QuantizationOptions, quantize_model


@pytest.fixture(scope="module")
def people():
    """Generated people, unseen by any model."""
    return visavis.generate_faces(24, 4, size=32, seed=8)


@pytest.fixture(scope="module")
def quantized(run, people, tmp_path_factory):
    out = tmp_path_factory.mktemp("models") / "small-8bit.onnx"
    return quantize_model(run, people, out, QuantizationOptions(max_loss=0.1))


def test_convolutions_and_products_are_computed_in_8_bits(run, quantized, people):
    proto = onnx.load(quantized.out)
    weights = {tensor.name: tensor for tensor in proto.graph.initializer}
    made = {name: node for node in proto.graph.node for name in node.output}
    kernels = [made[node.input[1]] for node in proto.graph.node if node.op_type == "Conv"]
    assert kernels and all(node.op_type == "DequantizeLinear" for node in kernels)
    assert all(weights[node.input[0]].data_type == TensorProto.INT8 and weights[node.input[1]].dims for node in kernels)
    before, after = visavis.load_encoder(run), visavis.load_encoder(quantized.out)
    cosines = np.einsum("nd,nd->n", before.embed(people.faces), after.embed(people.faces))
    assert 0.95 < cosines.min() < cosines.max() < 1 - 1e-7
    assert quantized.size == quantized.out.stat().st_size


def test_the_loss_is_measured_on_people_who_set_no_range(quantized, people):
    assert (quantized.people, quantized.photos) == (12, 48)
    low, high = quantized.difference
    assert low <= quantized.quantized_eer - quantized.eer <= high
    assert json.loads(json.dumps(quantized.to_json()))["out"] == str(quantized.out)
    assert f"EER on 12 people {quantized.eer:.2%} -> {quantized.quantized_eer:.2%}" in str(quantized)


def test_the_card_says_that_the_thresholds_were_not_measured_in_8_bits(run, quantized):
    before, after = (visavis.load_encoder(model).card for model in (run, quantized.out))
    assert before.threshold.score == after.threshold.score and after.rules
    assert all(rule.measured_on.endswith("; not measured on the model in 8 bits") for rule in after.rules)
    assert after.sides == before.sides


def test_names_can_be_left_out(run, people, tmp_path):
    options = QuantizationOptions(max_loss=1, names=False)
    card = visavis.load_encoder(quantize_model(run, people, tmp_path / "small.onnx", options).out).card
    assert not any("person" in name for side in card.sides.values() for name in side.people)


def test_what_loses_too_much_is_not_written(run, people, tmp_path, monkeypatch):
    from visavis.encoders import quantization

    out = tmp_path / "small.onnx"
    write = quantization.write_quantized  # ranges of black pictures cut off what faces need
    monkeypatch.setattr(quantization, "write_quantized", lambda encoder, faces, path: write(encoder, np.zeros_like(faces), path))
    with pytest.raises(ModelError, match=r"would rise from .* to .*, more than max_loss 0.10%; it was not written"):
        quantize_model(run, people, out, QuantizationOptions(max_loss=0.001))
    assert not list(tmp_path.iterdir())


def test_a_model_of_other_software_is_quantised_with_its_description(tmp_path):
    rng = np.random.default_rng(0)
    kernel = helper.make_tensor("kernel", TensorProto.FLOAT, (8, 3, 3, 3), rng.normal(size=216).astype(np.float32))
    nodes = [
        helper.make_node("Conv", ["faces", "kernel"], ["maps"], pads=[1] * 4, strides=[4, 4]),
        helper.make_node("Flatten", ["maps"], ["rows"]),
    ]
    graph = helper.make_graph(
        nodes,
        "conv",
        [helper.make_tensor_value_info("faces", TensorProto.FLOAT, [2, 3, 32, 32])],
        [helper.make_tensor_value_info("rows", TensorProto.FLOAT, [2, 512])],
        [kernel],
    )
    path = tmp_path / "foreign.onnx"
    onnx.save(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8), path)
    path.with_suffix(".toml").write_text(
        'input_size = [32, 32]\naligned = false\nmean = 127.5\nscale = 0.0078125\nmetric = "cosine"\nthreshold = 0.9\n'
    )
    people = visavis.generate_faces(9, 3, size=32, seed=1)
    result = quantize_model(path, people, tmp_path / "small.onnx", QuantizationOptions(max_loss=0.1))
    before, after = (visavis.load_encoder(model).embed(people.faces) for model in (path, result.out))
    np.testing.assert_allclose(np.einsum("nd,nd->n", before, after), 1, atol=0.01)


@pytest.mark.parametrize(
    ("change", "error", "message"),
    [
        (lambda people: people.select_people(people.people[:3]), DataError, "at least four unseen people .* got 3"),
        (lambda people: people.select(np.arange(0, len(people), 4)), DataError, "0 of the half to be measured have two or more"),
    ],
)
def test_too_few_people_are_refused(run, people, tmp_path, change, error, message):
    with pytest.raises(error, match=message):
        quantize_model(run, change(people), tmp_path / "small.onnx")


def test_arguments_are_checked_first(run, people, tmp_path):
    with pytest.raises(ValueError, match=r"max_loss must be in \[0, 1\], got -0.1"):
        QuantizationOptions(max_loss=-0.1)
    with pytest.raises(ValueError, match=r"out must end in \.onnx, got .*small\.tflite"):
        quantize_model("no-such-model", people, tmp_path / "small.tflite")
