"""ONNX Runtime sessions: which provider runs them, and what is said where one is missing or fails."""

import logging
import subprocess
import sys

import numpy as np
import onnxruntime
import pytest
from onnx import TensorProto, helper

from visavis.errors import MissingDependencyError
from visavis.inference import batch_size, open_session, provider_of


@pytest.fixture(scope="module")
def model():
    """The content of a model that doubles its input."""
    node = helper.make_node("Add", ["x", "x"], ["y"])
    values = [helper.make_tensor_value_info(name, TensorProto.FLOAT, ["n"]) for name in "xy"]
    graph = helper.make_graph([node], "double", values[:1], values[1:])
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8).SerializeToString()


def test_the_cpu_runs_a_model(model, tmp_path):
    (tmp_path / "double.onnx").write_bytes(model)
    for source in (model, tmp_path / "double.onnx"):
        session = open_session(source, threads=1, provider="cpu")
        assert session.run(None, {"x": np.float32([1.5])})[0] == [3]
        assert (provider_of(session), batch_size(session)) == ("cpu", 8)


def test_the_environment_names_the_provider_and_an_argument_overrules_it(model, monkeypatch):
    monkeypatch.setenv("VISAVIS_PROVIDER", "directml")
    with pytest.raises(MissingDependencyError, match=r"provider 'directml' is not in this ONNX Runtime.*onnxruntime-directml"):
        open_session(model)
    assert provider_of(open_session(model, provider="cpu")) == "cpu"
    monkeypatch.setenv("VISAVIS_PROVIDER", "gpu")
    with pytest.raises(ValueError, match="VISAVIS_PROVIDER must be 'auto', 'cpu', .* got 'gpu'"):
        open_session(model)
    with pytest.raises(ValueError, match="provider must be 'auto', .* got 'tpu'"):
        open_session(model, provider="tpu")


@pytest.fixture
def listed(monkeypatch):
    """ONNX Runtime lists CUDA, as its GPU package does on a machine whose driver does not start."""
    if "CUDAExecutionProvider" in onnxruntime.get_available_providers():
        pytest.skip("CUDA is installed")
    monkeypatch.delenv("VISAVIS_PROVIDER", raising=False)
    monkeypatch.setattr(onnxruntime, "get_available_providers", lambda: ["CUDAExecutionProvider", "CPUExecutionProvider"])


@pytest.mark.filterwarnings("ignore:Specified provider 'CUDAExecutionProvider':UserWarning")
def test_auto_falls_back_to_the_cpu_with_a_message(model, listed, caplog):
    with caplog.at_level(logging.WARNING, logger="visavis"):
        session = open_session(model)
    assert provider_of(session) == "cpu"
    assert "provider 'cuda' does not start" in caplog.text and "the CPU is used" in caplog.text


@pytest.mark.filterwarnings("ignore:Specified provider 'CUDAExecutionProvider':UserWarning")
def test_a_named_provider_that_does_not_start_is_an_error(model, listed):
    with pytest.raises(MissingDependencyError, match="provider 'cuda' does not start"):
        open_session(model, provider="cuda")


def test_the_command_line_takes_a_provider(tmp_path):
    command = [sys.executable, "-m", "visavis", "verify", "a.jpg", "b.jpg", "--provider", "openvino"]
    result = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True)
    assert result.returncode == 2
    assert result.stderr.startswith("error: provider 'openvino' is not in this ONNX Runtime")
