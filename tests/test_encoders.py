"""Model files: ONNX with a card, ONNX of other origin, and what is wrong with a file."""

import json
from dataclasses import replace

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper

import visavis
from visavis.data import FaceDataset
from visavis.encoders import load_faces
from visavis.encoders.card import Card, DataSide
from visavis.encoders.description import Description
from visavis.encoders.export import export_model
from visavis.encoders.keras import KerasEncoder, load_model
from visavis.encoders.onnx import CARD_KEY, copy_with_card
from visavis.errors import DataError, ModelError
from visavis.faces import Crop
from visavis.metrics.calibration import Calibration
from visavis.metrics.operating_points import OperatingPoint
from visavis.models import build_embedding, build_siamese, copy_network, embedding_of, products


@pytest.fixture(scope="module")
def trained():
    """A network with weights and batch statistics that are not those of the start, and a card."""
    rng = np.random.default_rng(5)
    network = build_embedding("compact", (32, 32, 3), embedding_size=16, seed=5)
    for variable in network.variables:
        shift = rng.uniform(0.1, 0.4, variable.shape)
        variable.assign(variable + shift if "moving" in variable.path else variable * (1 + shift))
    rule = OperatingPoint(0.4, "validation people", 1, 100, 2, 50)
    card = Card(Crop((32, 32)), calibration=Calibration(5.0, 5.0), threshold=rule, flip=True, data="generated", licence="MIT")
    return KerasEncoder(card, build_siamese(network))


@pytest.fixture(scope="module")
def file(trained, tmp_path_factory):
    return export_model(trained, tmp_path_factory.mktemp("models") / "small.onnx")


def some_faces(count=70, side=32, channels=3):
    return np.random.default_rng(1).integers(0, 256, (count, side, side, channels), dtype=np.uint8)


def channel_means(path, *, channels_first=True, batch="n", side=8):
    """Write a model whose embedding is the mean of each channel of its input."""
    shape = [batch, 3, side, side] if channels_first else [batch, side, side, 3]
    axes = [2, 3] if channels_first else [1, 2]
    node = helper.make_node("ReduceMean", ["faces"], ["means"], axes=axes, keepdims=0)
    graph = helper.make_graph(
        [node],
        "means",
        [helper.make_tensor_value_info("faces", TensorProto.FLOAT, shape)],
        [helper.make_tensor_value_info("means", TensorProto.FLOAT, [batch, 3])],
    )
    onnx.save(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8), path)
    return path


def scaled_means(path, weights, *, beside):
    """Write a model that multiplies the channel means with a matrix, which is in a file beside it."""
    channel_means(path)
    model = onnx.load(path)
    model.graph.initializer.append(onnx.numpy_helper.from_array(weights, "weights"))
    model.graph.node.append(helper.make_node("MatMul", ["means", "weights"], ["scaled"]))
    model.graph.output[0].CopyFrom(helper.make_tensor_value_info("scaled", TensorProto.FLOAT, ["n", weights.shape[1]]))
    onnx.save_model(model, path, save_as_external_data=True, location=beside, size_threshold=0)


def test_an_exported_model_gives_the_embeddings_of_keras_and_keeps_its_card(trained, file):
    encoder = visavis.load_encoder(file)
    assert encoder.card == trained.card
    faces = some_faces()
    found = encoder.embed(faces)
    assert found.dtype == np.float32
    np.testing.assert_allclose(found, trained.embed(faces), atol=1e-5)
    np.testing.assert_allclose(np.linalg.norm(found, axis=1), 1, atol=1e-6)
    assert encoder.embed(faces[:0]).shape == (0, 16)


def test_raw_embeddings_are_as_long_as_a_face_and_its_mirror_image_agree(trained, file):
    faces = some_faces()
    raw = visavis.load_encoder(file).raw(faces)
    np.testing.assert_allclose(raw, trained.raw(faces), atol=1e-5)
    lengths = np.linalg.norm(raw, axis=1)
    assert lengths.max() < 1
    symmetric = np.concatenate([faces[:, :, :16], faces[:, :, 15::-1]], axis=2)
    np.testing.assert_allclose(np.linalg.norm(trained.raw(symmetric), axis=1), 1, atol=1e-5)


def test_weights_that_are_whole_in_16_bits_take_half_the_room(trained, file, tmp_path):
    network = copy_network(embedding_of(trained.siamese))
    for product, normalise in products(network):
        gamma, beta, mean, variance = normalise.get_weights()
        one = np.full_like(variance, np.float32(1) - np.float32(normalise.epsilon))
        product.set_weights([product.get_weights()[0].astype(np.float16).astype(np.float32)])
        normalise.set_weights([np.ones_like(gamma), beta, np.zeros_like(mean), one])
    whole = KerasEncoder(trained.card, build_siamese(network))
    smaller = export_model(whole, tmp_path / "smaller.onnx")
    assert smaller.stat().st_size < 0.52 * file.stat().st_size
    faces = some_faces(4)
    np.testing.assert_allclose(visavis.load_encoder(smaller).embed(faces), whole.embed(faces), atol=1e-5)


def test_one_thread_gives_the_same(file):
    faces = some_faces(5)
    np.testing.assert_allclose(
        visavis.load_encoder(file, threads=1).embed(faces), visavis.load_encoder(file).embed(faces), atol=1e-5
    )


def test_a_litert_file_has_its_card_beside_it(trained, tmp_path):
    path = export_model(trained, tmp_path / "small.tflite")
    assert path.stat().st_size > 1_000_000
    assert Card.from_json(json.loads(path.with_suffix(".json").read_text()), source="beside") == trained.card


def test_a_file_that_would_embed_otherwise_is_not_written(trained, tmp_path, monkeypatch):
    monkeypatch.setattr("visavis.encoders.export._TOLERANCE", -1.0)
    with pytest.raises(ModelError, match=r"small.onnx: its embeddings would differ"):
        export_model(trained, tmp_path / "small.onnx")
    assert not list(tmp_path.iterdir())


def test_export_names_the_endings_that_it_knows(trained, tmp_path):
    with pytest.raises(ValueError, match=r"out must end in .onnx or .tflite"):
        export_model(trained, tmp_path / "small.h5")


def test_a_verifier_runs_an_exported_model(file):
    faces = some_faces(3)
    verdict = visavis.Verifier(file, threads=1).verify(faces[0], faces[0])
    assert verdict.same
    assert verdict.probability > 0.9


@pytest.mark.parametrize("content", [b"", b"not a model at all", b"\x08\x0a\x12\x04junk"])
def test_a_file_that_is_no_model_is_named(tmp_path, content):
    path = tmp_path / "broken.onnx"
    path.write_bytes(content)
    with pytest.raises(ModelError, match=r"broken.onnx: (not an ONNX model|it has no card)"):
        visavis.load_encoder(path)


def test_a_truncated_model_is_named(file, tmp_path):
    path = tmp_path / "half.onnx"
    path.write_bytes(file.read_bytes()[: file.stat().st_size // 2])
    with pytest.raises(ModelError, match=r"half.onnx: not an ONNX model, a damaged one"):
        visavis.load_encoder(path)


@pytest.mark.parametrize(
    ("card", "message"),
    [
        ({"format": 99}, "made by a newer visavis"),
        ({}, "its card is incomplete or damaged"),
        ([1], "its card is incomplete or damaged"),
        ({"input_shape": [32, 32, 3], "threshold": 0.4}, "its card is incomplete or damaged"),
    ],
)
def test_a_card_that_cannot_be_used_is_named(file, tmp_path, card, message):
    model = onnx.load(file)
    onnx.helper.set_model_props(model, {CARD_KEY: json.dumps(card)})
    path = tmp_path / "other.onnx"
    onnx.save(model, path)
    with pytest.raises(ModelError, match=message):
        visavis.load_encoder(path)


def test_an_installation_without_an_encoder_says_so(monkeypatch, tmp_path):
    monkeypatch.setattr("visavis.encoders.loading.PRETRAINED_FILE", tmp_path / "none.onnx")
    with pytest.raises(ModelError, match="comes without an encoder"):
        visavis.Verifier()


def test_a_missing_file_is_named(tmp_path):
    with pytest.raises(ModelError, match="no such model file"):
        visavis.load_encoder(tmp_path / "none.onnx")


@pytest.mark.parametrize(
    ("model", "error", "message"),
    [
        ("pretrained", ModelError, "pretrained: a known encoder, not a model of visavis train"),
        ("dlib", ModelError, "dlib: a known encoder"),
        ("sface", ModelError, "sface: a known encoder"),
        ("no-such-run", ModelError, "no-such-run: no such model. Train one with"),
        ("a\0b", DataError, "must not have a NUL character"),
    ],
)
def test_what_is_no_trained_model_is_named(model, error, message, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    for read in (load_model, lambda model: export_model(model, tmp_path / "out.onnx")):
        with pytest.raises(error, match=message):
            read(model)


def test_a_model_of_other_origin_needs_a_description(tmp_path):
    path = channel_means(tmp_path / "foreign.onnx")
    with pytest.raises(ModelError, match=r"it has no card.*foreign.toml.*input_size"):
        visavis.load_encoder(path)


@pytest.mark.parametrize("batch", ["n", 4])
@pytest.mark.parametrize("channels_first", [True, False])
def test_a_description_says_how_faces_become_inputs(tmp_path, batch, channels_first):
    path = channel_means(tmp_path / "foreign.onnx", channels_first=channels_first, batch=batch)
    lines = [
        "input_size = [8, 8]",
        'colour = "bgr"',
        "mean = [1.0, 2.0, 3.0]",
        "scale = 0.5",
        "threshold = 0.25",
        "aligned = false",
    ]
    path.with_suffix(".toml").write_text("\n".join(lines))
    encoder = visavis.load_encoder(path)
    faces = some_faces(6, side=8)
    expected = (faces.mean(axis=(1, 2))[:, ::-1] - [1, 2, 3]) * 0.5
    np.testing.assert_allclose(encoder.embed(faces), expected / np.linalg.norm(expected, axis=1, keepdims=True), atol=1e-5)
    assert encoder.card.threshold == OperatingPoint(0.25, str(path.with_suffix(".toml")))
    verdict = visavis.Verifier(encoder).verify(faces[0], faces[0])
    assert verdict.same
    assert verdict.probability is None


def test_a_threshold_may_be_a_distance():
    described = Description(Crop((8, 8)), metric="euclidean", threshold=1.0)
    assert described.card("here").threshold.score == pytest.approx(0.5)


def test_without_a_threshold_nothing_is_decided(tmp_path):
    path = channel_means(tmp_path / "foreign.onnx")
    path.with_suffix(".toml").write_text("input_size = [8, 8]\naligned = false")
    verifier = visavis.Verifier(path)
    assert verifier.embed(some_faces(2, side=8)).shape == (2, 3)
    with pytest.raises(ModelError, match="no threshold"):
        verifier.verify(*some_faces(2, side=8))


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("input_size = [8]", r"input_size must be \[height, width\]"),
        ('input_size = [8, 8]\ncolour = "cmyk"', "colour must be 'rgb', 'bgr' or 'gray', got 'cmyk'"),
        ('input_size = [8, 8]\nmetric = "manhattan"', "metric must be 'cosine' or 'euclidean', got 'manhattan'"),
        (f"input_size = [8, 8]\nscale = 1{'0' * 400}", "scale must be a finite number"),
        (f"input_size = [8, 8]\nthreshold = 1{'0' * 400}", r"threshold must be in"),
        (f"input_size = [8, 8]\nmargin = 1{'0' * 400}", "margin must be a number of at most 10"),
        ("input_size = [8, 8]\nmargin = 1e9", "margin must be a number of at most 10"),
        ("input_size = [1_000_000, 1_000_000]", r"input_size must be \[height, width\], 1 to 4,096 pixels"),
        ("input_size = [8, 8]\nmean = [1.0, 2.0]", r"mean must be a finite number, or one for each channel, got \[1.0, 2.0\]"),
        ("input_size = [8, 8]\nsize = 3", "unknown key 'size'; known are aligned, colour, flip"),
        ("input_size = [9, 9]", r"its input is \['n', 3, 8, 8\], which is neither"),
        ("colour = 'rgb'", "input_size"),
        ("input_size = ", "foreign.toml"),
    ],
)
def test_a_wrong_description_is_named(tmp_path, text, message):
    path = channel_means(tmp_path / "foreign.onnx")
    path.with_suffix(".toml").write_text(text)
    with pytest.raises(ModelError, match=message):
        visavis.load_encoder(path)


def test_faces_are_brought_into_the_shape_of_the_model():
    card = Card(Crop((16, 16)))
    gray = some_faces(1, side=20, channels=1)[0]
    assert card.crop.fit(gray).shape == (16, 16, 3)


def test_an_aligned_model_refuses_faces_that_are_not():
    dataset = FaceDataset(some_faces(4), np.array([0, 0, 1, 1]), ("a", "b"), ["1", "2", "3", "4"])
    with pytest.raises(DataError, match="the model takes aligned faces"):
        load_faces(Card(Crop.arcface(32)), dataset)
    assert load_faces(Card(Crop((32, 32))), dataset) is dataset


def test_names_can_be_left_out_of_a_file(trained, tmp_path):
    sides = {"train": DataSide(("anna", "berta"), 4, "00"), "test": DataSide(("carla",), 2, "01")}
    encoder = KerasEncoder(replace(trained.card, sides=sides), trained.siamese)
    card = visavis.load_encoder(export_model(encoder, tmp_path / "small.onnx", names=False)).card
    assert b"anna" not in (tmp_path / "small.onnx").read_bytes()
    assert [card.has_seen(person) for person in ("anna", "berta", "carla", "dora")] == [True, True, False, False]
    assert str(card) == str(encoder.card)


def test_a_card_is_summarised(trained):
    summary = str(trained.card)
    for part in ("32 x 32, rgb", "0.4000, chosen on validation people", "MIT"):
        assert part in summary
    assert str(Card(Crop.arcface(8, colour="gray"))).splitlines()[0].endswith("8 x 8, gray, aligned")


def test_a_digest_is_that_of_the_weights_and_not_of_the_rules(trained, file, tmp_path):
    encoder = visavis.load_encoder(file)
    assert len(encoder.digest) == 64
    other_rule = replace(trained.card, threshold=replace(trained.card.threshold, score=0.7))
    copy_with_card(encoder, other_rule, tmp_path / "door.onnx")
    assert visavis.load_encoder(tmp_path / "door.onnx").digest == encoder.digest
    copy_with_card(encoder, replace(trained.card, flip=False), tmp_path / "once.onnx")
    assert visavis.load_encoder(tmp_path / "once.onnx").digest != encoder.digest
    assert visavis.load_encoder("pretrained").digest != encoder.digest


def test_digests_of_foreign_models_tell_how_a_face_becomes_their_input(tmp_path):
    channel_means(tmp_path / "means.onnx")
    digests = set()
    for mean in (0, 127.5):
        (tmp_path / "means.toml").write_text(f"input_size = [8, 8]\nmean = {mean}\n")
        digests.add(visavis.load_encoder(tmp_path / "means.onnx").digest)
    (tmp_path / "means.toml").write_text("input_size = [8, 8]\nmargin = 0.1\n")
    digests.add(visavis.load_encoder(tmp_path / "means.onnx").digest)
    assert len(digests) == 3


def test_weights_in_a_file_beside_the_model_are_part_of_its_digest(tmp_path):
    digests = {}
    for name, weight in (("one", 1.0), ("two", 2.0)):
        folder = tmp_path / name
        folder.mkdir()
        scaled_means(folder / "model.onnx", np.full((3, 400), weight, np.float32), beside="weights.bin")
        assert (folder / "weights.bin").stat().st_size >= 4800
        (folder / "model.toml").write_text("input_size = [8, 8]")
        digests[name] = visavis.load_encoder(folder / "model.onnx").digest
    assert (tmp_path / "one" / "model.onnx").read_bytes() == (tmp_path / "two" / "model.onnx").read_bytes()
    assert digests["one"] != digests["two"]


def test_digests_of_keras_models_follow_their_weights(trained):
    assert trained.digest == KerasEncoder(trained.card, trained.siamese).digest
    other = build_siamese(build_embedding("compact", (32, 32, 3), embedding_size=16, seed=6))
    assert trained.digest != KerasEncoder(trained.card, other).digest
