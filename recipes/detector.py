"""Convert the three MTCNN networks of the package `mtcnn` to the ONNX files that visavis ships.

    python recipes/detector.py src/visavis/faces/weights

Needs `pip install 'visavis[recipe]'`; takes a second. The package keeps its weights in pickles: their SHA-256 digests are checked
before they are read. Writes `pnet.onnx`, `rnet.onnx` and `onet.onnx` and prints their digests, which belong into the table that
the loader checks. The same input gives the same files.
"""

import hashlib
import io
import sys
from importlib.metadata import distribution
from pathlib import Path
from typing import Any

import joblib
import numpy as np
import numpy.typing as npt
import onnx
from onnx import TensorProto, helper, numpy_helper

__all__ = ["POOLS", "build_network", "read_weights"]

Floats = npt.NDArray[np.float32]
Pool = tuple[int, str] | None  # kernel size and padding of a max pooling with stride 2

POOLS: dict[str, tuple[Pool, ...]] = {
    "pnet": ((2, "SAME_UPPER"), None, None),
    "rnet": ((3, "SAME_UPPER"), (3, "VALID"), None, None),
    "onet": ((3, "SAME_UPPER"), (3, "VALID"), (2, "SAME_UPPER"), None, None),
}
"""The pooling after each hidden layer of a network; None: none."""

OUTPUTS = ("box_offsets", "landmarks", "probabilities")
_SOURCE_DIGESTS = {
    "pnet": "ea6b0c3e685ebee3165326ad6484acc95f2ef78f1c94fbf40a55704fa989f7b5",
    "rnet": "cb00e6460f3c98b0bfafaba3c0a0ded4bdf6e62cee7174d969e8670d7e757fee",
    "onet": "94f6ea2f4cf985275ee958cdd762d17b6009348a4fb9d8c6be39ba73ffd22ca3",
}
_DOC = "MTCNN (Zhang et al., 2016), weights of the Python package mtcnn 1.0.0; see NOTICE.txt beside this file"


def read_weights(name: str) -> list[Floats]:
    """Read the weights of one network from the package `mtcnn`.

    Args:
        name: `"pnet"`, `"rnet"` or `"onet"`.

    Returns:
        Kernel, bias and PReLU slopes of each hidden layer, then kernel and bias of each output.

    Raises:
        ValueError: If the file is not that of mtcnn 1.0.0.
    """
    path = Path(str(distribution("mtcnn").locate_file(f"mtcnn/assets/weights/{name}.lz4")))
    content = path.read_bytes()
    if hashlib.sha256(content).hexdigest() != _SOURCE_DIGESTS[name]:
        raise ValueError(f"{path}: not the weights of mtcnn 1.0.0. Install it: pip install mtcnn==1.0.0")
    return list(joblib.load(io.BytesIO(content)))


def build_network(weights: list[Floats], pools: tuple[Pool, ...]) -> onnx.ModelProto:
    """Build an ONNX model from the arrays of a network's Keras layers.

    Args:
        weights: See `read_weights`.
        pools: See `POOLS`.

    Returns:
        A model with the input `photo` `(n, 3, h, w)` and the outputs `box_offsets`, `landmarks` (O-Net only) and `probabilities`.
    """
    graph = _Graph()
    value, flat = "photo", False
    for layer, pool in enumerate(pools):
        kernel, bias, slopes = weights[3 * layer : 3 * layer + 3]
        if kernel.ndim == 2 and not flat:
            value, flat = graph.add("Flatten", graph.add("Transpose", value, perm=[0, 3, 2, 1])), True
        value = graph.add(
            "PRelu", graph.add_linear(value, kernel, bias), graph.add_constant(slopes.reshape(-1, *(() if flat else (1, 1))))
        )
        if pool is not None:
            value = graph.add("MaxPool", value, kernel_shape=[pool[0]] * 2, strides=[2, 2], auto_pad=pool[1])
    heads = weights[3 * len(pools) :]
    outputs = [graph.add_linear(value, kernel, bias) for kernel, bias in zip(heads[::2], heads[1::2], strict=True)]
    outputs[-1] = graph.add("Softmax", outputs[-1], axis=1)
    return graph.to_model(outputs, OUTPUTS if len(outputs) == 3 else OUTPUTS[::2], rank=2 if flat else 4)


class _Graph:
    """An ONNX graph under construction."""

    def __init__(self) -> None:
        self._nodes: list[onnx.NodeProto] = []
        self._constants: list[onnx.TensorProto] = []

    def add(self, kind: str, *inputs: str, **attributes: Any) -> str:
        """Append a node; return the name of its output."""
        self._nodes.append(helper.make_node(kind, inputs, [f"value_{len(self._nodes)}"], **attributes))
        return str(self._nodes[-1].output[0])

    def add_constant(self, values: Floats) -> str:
        """Store an array; return its name."""
        self._constants.append(numpy_helper.from_array(np.ascontiguousarray(values), f"weights_{len(self._constants)}"))
        return str(self._constants[-1].name)

    def add_linear(self, value: str, kernel: Floats, bias: Floats) -> str:
        """Append a convolution, or a dense layer if the kernel is a matrix."""
        if kernel.ndim == 4:
            return self.add("Conv", value, self.add_constant(kernel.transpose(3, 2, 0, 1)), self.add_constant(bias))
        return self.add("Gemm", value, self.add_constant(kernel), self.add_constant(bias))

    def to_model(self, values: list[str], names: tuple[str, ...], *, rank: int) -> onnx.ModelProto:
        """Return the finished model, whose outputs are these values under these names."""
        for value, name in zip(values, names, strict=True):
            self._nodes.append(helper.make_node("Identity", [value], [name]))
        graph = helper.make_graph(
            self._nodes,
            "mtcnn",
            [helper.make_tensor_value_info("photo", TensorProto.FLOAT, (None, 3, None, None))],
            [helper.make_tensor_value_info(name, TensorProto.FLOAT, (None,) * rank) for name in names],
            self._constants,
        )
        return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8, doc_string=_DOC)


def main() -> None:
    """Convert the three networks and print their digests."""
    folder = Path(sys.argv[1])
    for name, pools in POOLS.items():
        content = build_network(read_weights(name), pools).SerializeToString(deterministic=True)
        (folder / f"{name}.onnx").write_bytes(content)
        print(f'"{name}": "{hashlib.sha256(content).hexdigest()}",  # {len(content):,} bytes')


if __name__ == "__main__":
    main()
