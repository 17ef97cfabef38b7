"""dlib's face network, read from its own file and run by ONNX Runtime: the same descriptors, several times faster.

The network (King, 2017; public domain) is a residual network of 29 convolutions that turns a face of 150 x 150 pixels into 128
numbers. Its file holds the weights as plain float32, in the order of the layers from input to output. `dlib_descriptors` asks dlib
itself; the recipe compares the two before it believes the first.
"""

import importlib.util
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import onnx
import onnxruntime
from onnx import TensorProto, helper, numpy_helper

__all__ = ["CHIP", "Teacher", "dlib_descriptors", "weights_path"]

CHIP = 150
_MEAN = (122.782, 117.001, 104.298)  # of red, green and blue, as dlib's input layer has them
_LEVELS = ((32, 3, False), (64, 4, True), (128, 3, True), (256, 3, True), (256, 1, True))  # filters, blocks, first one halves

Floats = npt.NDArray[np.float32]


def weights_path() -> Path:
    """Where the package `face_recognition_models` keeps dlib's network.

    Raises:
        ImportError: If it is not installed.
    """
    found = importlib.util.find_spec("face_recognition_models")
    if found is None or not found.submodule_search_locations:
        raise ImportError("the recipe needs: pip install 'visavis[recipe]'")
    return Path(found.submodule_search_locations[0]) / "models" / "dlib_face_recognition_resnet_model_v1.dat"


def dlib_descriptors(chips: npt.NDArray[np.uint8]) -> Floats:
    """Descriptors `(n, 128)` of chips `(n, 150, 150, 3)` by dlib itself, about 66 ms each."""
    import dlib

    network = dlib.face_recognition_model_v1(str(weights_path()))
    return np.array([network.compute_face_descriptor(np.ascontiguousarray(chip)) for chip in chips], dtype=np.float32)


class Teacher:
    """dlib's network in ONNX Runtime."""

    def __init__(self, *, threads: int = 0) -> None:
        """Read the weights and build the network; `threads` of 0: one for each core."""
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = threads
        model = _Graph(_Weights(weights_path().read_bytes())).model()
        self._session = onnxruntime.InferenceSession(model.SerializeToString(), options, providers=["CPUExecutionProvider"])

    def descriptors(self, chips: npt.NDArray[np.uint8]) -> Floats:
        """Descriptors `(n, 128)` of chips `(n, 150, 150, 3)` RGB."""
        inputs = (chips.astype(np.float32) - np.array(_MEAN, dtype=np.float32)) / 256
        return np.asarray(self._session.run(None, {"chips": np.ascontiguousarray(inputs.transpose(0, 3, 1, 2))})[0])


class _Weights:
    """The tensors of dlib's file, in their order."""

    def __init__(self, content: bytes) -> None:
        self._content, self._at = content, 0

    def next(self, rows: int, columns: int = 1) -> Floats:
        """The next tensor of that shape, flat; its header is the version, 2, and four dimensions."""
        header, size = b"".join(_packed(number) for number in (2, rows, columns, 1, 1)), rows * columns
        start = self._content.find(header, self._at)
        if start < 0:
            raise ValueError(f"{weights_path()}: no tensor of {rows} x {columns} numbers after byte {self._at}; another network?")
        start += len(header)
        self._at = start + 4 * size
        return np.frombuffer(self._content, dtype="<f4", count=size, offset=start)


def _packed(number: int) -> bytes:
    """A whole number as dlib writes it: how many bytes, then the bytes, the lowest first."""
    length = (number.bit_length() + 7) // 8
    return bytes([length]) + number.to_bytes(length, "little")


class _Graph:
    """dlib's layers as ONNX nodes."""

    def __init__(self, weights: _Weights) -> None:
        self._weights = weights
        self._nodes: list[Any] = []
        self._initializers: list[Any] = []

    def model(self) -> onnx.ModelProto:
        """The network from standardised chips `(n, 3, 150, 150)` to descriptors `(n, 128)`."""
        x = self._add("Relu", self._conv("chips", 3, 32, kernel=7, strides=2))
        x = self._add("MaxPool", x, kernel_shape=[3, 3], strides=[2, 2])
        channels = 32
        for filters, blocks, halves in _LEVELS:
            for block in range(blocks):
                x = self._residual(x, channels, filters, halves=halves and block == 0)
                channels = filters
        x = self._add("Flatten", self._add("GlobalAveragePool", x))
        dense = self._constant(self._weights.next(channels, 128).reshape(channels, 128))
        self._nodes.append(helper.make_node("MatMul", [x, dense], ["descriptors"]))
        inputs = [helper.make_tensor_value_info("chips", TensorProto.FLOAT, ["n", 3, CHIP, CHIP])]
        outputs = [helper.make_tensor_value_info("descriptors", TensorProto.FLOAT, ["n", 128])]
        graph = helper.make_graph(self._nodes, "dlib", inputs, outputs, self._initializers)
        return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)

    def _residual(self, x: str, channels: int, filters: int, *, halves: bool) -> str:
        y = self._add("Relu", self._conv(x, channels, filters, strides=2 if halves else 1))
        y = self._conv(y, filters, filters)
        if halves:
            x = self._add("AveragePool", x, kernel_shape=[2, 2], strides=[2, 2])
            y, x = self._same_size(y, x, filters, channels)
        return self._add("Relu", self._add("Add", y, x))

    def _same_size(self, y: str, x: str, filters: int, channels: int) -> tuple[str, str]:
        """Dlib adds tensors of two sizes as if zeros stood where the smaller one ends."""
        shapes = [self._add("Shape", name, start=2) for name in (y, x)]
        larger, most = self._add("Max", *shapes), max(filters, channels)
        first, second = (
            self._add("Pad", name, self._pads(self._add("Sub", larger, shape), most - have))
            for name, shape, have in ((y, shapes[0], filters), (x, shapes[1], channels))
        )
        return first, second

    def _pads(self, lacking: str, lacking_channels: int) -> str:
        front = self._constant(np.array([0, 0, 0, 0, 0, lacking_channels], dtype=np.int64))
        return self._add("Concat", front, lacking, axis=0)

    def _conv(self, x: str, channels: int, filters: int, *, kernel: int = 3, strides: int = 1) -> str:
        """A convolution with its bias, and the affine layer that follows it folded in."""
        size = filters * channels * kernel * kernel
        numbers = self._weights.next(size + filters)
        scale, offset = self._weights.next(2 * filters).reshape(2, filters)
        kernels = numbers[:size].reshape(filters, channels, kernel, kernel) * scale[:, None, None, None]
        padding = kernel // 2 if strides == 1 else 0
        return self._add(
            "Conv",
            x,
            self._constant(kernels.astype(np.float32)),
            self._constant((numbers[size:] * scale + offset).astype(np.float32)),
            strides=[strides, strides],
            pads=[padding] * 4,
        )

    def _constant(self, values: npt.NDArray[Any]) -> str:
        name = f"c{len(self._initializers)}"
        self._initializers.append(numpy_helper.from_array(np.ascontiguousarray(values), name))
        return name

    def _add(self, kind: str, *inputs: str, **attributes: Any) -> str:
        name = f"x{len(self._nodes)}"
        self._nodes.append(helper.make_node(kind, list(inputs), [name], **attributes))
        return name
