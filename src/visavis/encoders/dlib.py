"""dlib's face network, built from dlib's own weights and run by ONNX Runtime: needs the extra `dlib`, and no compiler.

The network (King, 2017; weights in the public domain) is a residual network of 29 convolutions that turns a face of 150 x 150
pixels into 128 numbers. Its file holds the weights as plain float32 in the order of the layers from input to output.
"""

import importlib.util
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import onnx
from onnx import TensorProto, helper, numpy_helper

from visavis.encoders.description import Description
from visavis.encoders.onnx import OnnxEncoder
from visavis.errors import MissingDependencyError, ModelError
from visavis.faces import ARCFACE_LANDMARKS, Crop
from visavis.inference import Provider, open_session

__all__ = ["DLIB_CROP", "dlib_model", "dlib_weights", "load_dlib"]

Floats = npt.NDArray[np.float32]

_SIDE = 150
_SCALE, _LEFT, _TOP = 1.503, 6.7, 22.4  # where dlib itself cuts a face in the ArcFace crop: medians over photos of LFW
DLIB_CROP = Crop(
    (_SIDE, _SIDE),
    landmarks=tuple(((x + 0.5 - _LEFT) * _SCALE - 0.5, (y + 0.5 - _TOP) * _SCALE - 0.5) for x, y in ARCFACE_LANDMARKS),
)
"""Where dlib's network expects a face."""

_MEAN = (122.782, 117.001, 104.298)  # of red, green and blue, as dlib's input layer has them
_STAGES = ((32, 3), (64, 4), (128, 3), (256, 3), (256, 1))  # filters and residual blocks; all but the first stage halve the map
_LENGTH = 1.4  # of a descriptor, about
_TOLERANCE = 0.6


def load_dlib(*, threads: int | None = None, provider: Provider | None = None) -> OnnxEncoder:
    """Load dlib's network from the package `face_recognition_models`.

    Its threshold is the tolerance of 0.6 that face_recognition uses, for embeddings of unit length: descriptors are about 1.4 long.

    Args:
        threads: Threads that share a batch; None: one for each core.
        provider: See `visavis.inference.open_session`.

    Raises:
        MissingDependencyError: If the extra is not installed, or if the provider is not available.
        ModelError: If the weights are not those of dlib's network.
    """
    description = Description(
        DLIB_CROP, mean=_MEAN, scale=1 / 256, metric="euclidean", threshold=_TOLERANCE / _LENGTH, licence="public domain"
    )
    content = dlib_model(dlib_weights())
    session = open_session(content, threads=threads, provider=provider)
    return OnnxEncoder(description.card("face_recognition's tolerance of 0.6"), session, content, description)


def dlib_weights() -> Path:
    """Return the file of dlib's weights in the package `face_recognition_models`.

    Raises:
        MissingDependencyError: If the package is not installed.
    """
    package = importlib.util.find_spec("face_recognition_models")
    if package is None or not package.submodule_search_locations:
        raise MissingDependencyError("dlib's encoder needs: pip install 'visavis[dlib]'")
    return Path(package.submodule_search_locations[0]) / "models" / "dlib_face_recognition_resnet_model_v1.dat"


def dlib_model(weights: Path) -> bytes:
    """Build the ONNX model from dlib's weights: standardised faces `(n, 3, 150, 150)` to descriptors `(n, 128)`.

    Raises:
        ModelError: If the file cannot be read, or is not that of dlib's network.
    """
    try:
        content = weights.read_bytes()
    except OSError as error:
        raise ModelError(f"{weights}: {error.strerror or error}") from error
    return _Graph(_Tensors(content, weights)).model().SerializeToString()


class _Tensors:
    """The tensors of dlib's file, in their order."""

    def __init__(self, content: bytes, path: Path) -> None:
        self._content, self._path, self._at = content, path, 0

    def read(self, rows: int, columns: int = 1) -> Floats:
        """Return the next tensor of that shape, flat; its header is the version, 2, and four dimensions."""
        header, size = b"".join(_packed(number) for number in (2, rows, columns, 1, 1)), rows * columns
        start = self._content.find(header, self._at) + len(header)
        self._at = start + 4 * size
        if start < len(header) or self._at > len(self._content):
            raise ModelError(
                f"{self._path}: no tensor of {rows} x {columns} numbers, so not dlib's face network, or a damaged file"
            )
        return np.frombuffer(self._content, dtype="<f4", count=size, offset=start)


def _packed(number: int) -> bytes:
    """Encode a whole number as dlib does: the number of bytes, then the bytes, the lowest first."""
    length = (number.bit_length() + 7) // 8
    return bytes([length]) + number.to_bytes(length, "little")


class _Graph:
    """dlib's layers as ONNX nodes."""

    def __init__(self, tensors: _Tensors) -> None:
        self._tensors = tensors
        self._nodes: list[Any] = []
        self._initializers: list[Any] = []

    def model(self) -> onnx.ModelProto:
        """Build the whole network."""
        x = self._add("Relu", self._convolution("faces", 3, 32, kernel=7, stride=2, padding=0))
        x = self._add("MaxPool", x, kernel_shape=[3, 3], strides=[2, 2])
        channels, side = 32, ((_SIDE - 7) // 2 + 1 - 3) // 2 + 1
        for stage, (filters, blocks) in enumerate(_STAGES):
            for block in range(blocks):
                halve = stage > 0 and block == 0
                x, side = self._residual(x, channels, filters, side=side, halve=halve)
                channels = filters
        x = self._add("Flatten", self._add("GlobalAveragePool", x))
        dense = self._constant(self._tensors.read(channels, 128).reshape(channels, 128))
        self._nodes.append(helper.make_node("MatMul", [x, dense], ["descriptors"]))
        inputs = [helper.make_tensor_value_info("faces", TensorProto.FLOAT, ["n", 3, _SIDE, _SIDE])]
        outputs = [helper.make_tensor_value_info("descriptors", TensorProto.FLOAT, ["n", 128])]
        graph = helper.make_graph(self._nodes, "dlib", inputs, outputs, self._initializers)
        return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)

    def _residual(self, x: str, channels: int, filters: int, *, side: int, halve: bool) -> tuple[str, int]:
        """Add a residual block to a map of `side` pixels; return its output and that one's side."""
        y = self._add("Relu", self._convolution(x, channels, filters, stride=2 if halve else 1, padding=0 if halve else 1))
        y = self._convolution(y, filters, filters, padding=1)
        if halve:
            pooled, convolved = side // 2, (side - 3) // 2 + 1
            x = self._add("AveragePool", x, kernel_shape=[2, 2], strides=[2, 2])
            side = max(pooled, convolved)
            x = self._pad(x, side - pooled, filters - channels)
            y = self._pad(y, side - convolved, 0)
        return self._add("Relu", self._add("Add", y, x)), side

    def _pad(self, x: str, pixels: int, channels: int) -> str:
        """Add zeros below, to the right and behind: dlib adds tensors of two sizes as if zeros stood where the smaller one ends."""
        if pixels == channels == 0:
            return x
        return self._add("Pad", x, self._constant(np.array([0, 0, 0, 0, 0, channels, pixels, pixels], dtype=np.int64)))

    def _convolution(self, x: str, channels: int, filters: int, *, kernel: int = 3, stride: int = 1, padding: int) -> str:
        """Add a convolution with its bias, and the affine layer that follows it folded in."""
        size = filters * channels * kernel * kernel
        numbers = self._tensors.read(size + filters)
        scale, offset = self._tensors.read(2 * filters).reshape(2, filters)
        kernels = numbers[:size].reshape(filters, channels, kernel, kernel) * scale[:, None, None, None]
        return self._add(
            "Conv",
            x,
            self._constant(kernels.astype(np.float32)),
            self._constant((numbers[size:] * scale + offset).astype(np.float32)),
            strides=[stride, stride],
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
