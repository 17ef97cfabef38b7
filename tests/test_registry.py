"""Known encoders: listed, described by the user, fetched, run by name, and removed."""

import hashlib
import json

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper

import visavis
from visavis import cli
from visavis.encoders.registry import config_folder, find_encoder, known_encoders, shipped_encoder
from visavis.errors import DownloadError, ModelError


@pytest.fixture(autouse=True)
def home(tmp_path, monkeypatch):
    """The user's folders."""
    monkeypatch.setattr("platformdirs.user_cache_path", lambda name: tmp_path / "cache" / name)
    monkeypatch.setattr("platformdirs.user_config_path", lambda name: tmp_path / "config" / name)
    return tmp_path


def channel_means(path):
    node = helper.make_node("ReduceMean", ["faces"], ["means"], axes=[2, 3], keepdims=0)
    values = [("faces", ["n", 3, 8, 8]), ("means", ["n", 3])]
    infos = [helper.make_tensor_value_info(name, TensorProto.FLOAT, shape) for name, shape in values]
    graph = helper.make_graph([node], "means", infos[:1], infos[1:])
    onnx.save(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8), path)
    return path


@pytest.fixture
def own(home):
    """A description of the user's own encoder of ten lines, and the file that it names."""
    model = channel_means(home / "means.onnx")
    lines = [
        'summary = "channel means"',
        'url = "https://example.org/means.onnx"',
        f'sha256 = "{hashlib.sha256(model.read_bytes()).hexdigest()}"',
        f"bytes = {model.stat().st_size}",
        'weights_licence = "MIT"',
        "input_size = [8, 8]",
        'colour = "bgr"',
        "mean = 127.5",
        "scale = 0.0078125",
        "threshold = 0.25",
    ]
    config_folder().mkdir(parents=True)
    (config_folder() / "means.toml").write_text("\n".join(lines))
    return model


def call(capsys, *arguments):
    with pytest.raises(SystemExit) as stop:
        cli.main([str(argument) for argument in arguments])
    captured = capsys.readouterr()
    return stop.value.code, captured.out, captured.err


def test_the_known_encoders_are_described_whole():
    known = known_encoders()
    assert list(known) == ["pretrained", "dlib", "sface"]
    for encoder in known.values():
        assert encoder.summary and encoder.source.startswith("https://")
        assert all(vars(encoder.licences).values())
    sface = known["sface"]
    assert sface.remote.sha256 == "0ba9fbfa01b5270c96627c4ef784da859931e02f04419c829e83484087c34e79"
    assert sface.remote.size == 38_696_353
    assert sface.description.crop == visavis.load_encoder().card.crop
    assert not sface.available and known["pretrained"].available


def test_an_encoder_of_ones_own_is_fetched_run_and_removed(capsys, own, tmp_path):
    code, out, _ = call(capsys, "encoders", "list")
    assert code == 0 and "means        not downloaded  channel means" in out and str(config_folder()) in out
    with pytest.raises(ModelError, match="Download it with: visavis encoders get means"):
        visavis.load_encoder("means")
    code, out, _ = call(capsys, "encoders", "get", "means", "--file", own, "--json")
    assert (code, json.loads(out)["path"]) == (0, str(find_encoder("means").path))
    encoder = visavis.load_encoder("means")
    face = np.zeros((1, 8, 8, 3), np.uint8)
    face[..., 0] = 255
    np.testing.assert_allclose(encoder.raw(face), [[-0.99609375, -0.99609375, 0.99609375]])
    assert (encoder.card.threshold.score, encoder.card.licence) == (0.25, "MIT")
    code, out, _ = call(capsys, "encoders", "show", "means")
    assert code == 0 and "8 x 8, bgr, aligned" in out and hashlib.sha256(own.read_bytes()).hexdigest() in out
    assert call(capsys, "encoders", "remove", "means")[1] == "removed\n"
    assert call(capsys, "encoders", "remove", "means")[1] == "means was not downloaded\n"
    assert not find_encoder("means").available


def test_a_file_that_is_another_one_is_refused(own, tmp_path):
    (tmp_path / "other.onnx").write_bytes(b"something else")
    with pytest.raises(DownloadError, match="other.onnx: the file has SHA-256"):
        find_encoder("means").get(file=tmp_path / "other.onnx")
    assert not find_encoder("means").available


def test_names_that_are_not_known_and_encoders_that_are_not_downloaded(capsys):
    code, _, err = call(capsys, "encoders", "show", "arcface")
    assert (code, err) == (2, "error: unknown encoder 'arcface'; known are pretrained, dlib, sface\n")
    assert call(capsys, "encoders", "get", "pretrained")[2] == "error: pretrained is not downloaded: it comes with visavis\n"
    assert call(capsys, "encoders", "remove", "dlib")[2] == "error: dlib is not downloaded: an extra of visavis brings it\n"
    code, out, _ = call(capsys, "encoders", "list", "--json")
    assert [encoder["name"] for encoder in json.loads(out)["encoders"]] == ["pretrained", "dlib", "sface"]


@pytest.mark.parametrize(
    ("name", "change", "message"),
    [
        ("means", ("sha256", "sha512"), "sha256 is missing"),
        ("means", ("https://", "http://"), "url must begin with https://"),
        ("means", ('"bgr"', '"cmyk"'), "colour must be 'rgb', 'bgr' or 'gray'"),
        ("means", ("mean = 127.5", "mean = nan"), "mean must be a finite number"),
        ("means", ("threshold = 0.25", "threshold = inf"), r"threshold must be in \[-1, 1\]"),
        ("means", ("mean = 127.5", f"mean = {'[' * 5000}{']' * 5000}"), "nested too deep"),
        ("Other Name", ("", ""), "the file name must be lower-case"),
        ("sface", ("", ""), "there is an encoder of the name 'sface' already"),
    ],
)
def test_a_wrong_description_names_its_file(own, name, change, message):
    text = (config_folder() / "means.toml").read_text().replace(*change)
    (config_folder() / "means.toml").unlink()
    (config_folder() / f"{name}.toml").write_text(text)
    with pytest.raises(ModelError, match=rf"{name}.toml: .*{message}"):
        known_encoders()


def test_what_the_package_describes_is_found_beside_a_broken_description_of_ones_own(home):
    config_folder().mkdir(parents=True)
    (config_folder() / "mine.toml").write_text("not = [toml")
    assert shipped_encoder("dlib").origin == "package"
    with pytest.raises(ModelError, match=r"mine\.toml"):
        find_encoder("dlib")
