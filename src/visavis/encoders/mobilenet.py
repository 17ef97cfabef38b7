"""The bundled encoder's network as an ONNX graph that ONNX Runtime runs fast, made from its weights, and the weights read back.

The network is MobileNet (Howard et al., 2017) with a PReLU after every convolution, a first convolution without stride, and a
dense layer over all places of the last feature map. ONNX Runtime leaves its blocked layout for a PReLU and comes back after it.
So each is written as ``a x + relu((1 - a) x)``, two depthwise convolutions of one pixel, where no slope `a` is above 1, and as
``a x + (1 - a) relu(x)`` elsewhere. What is derived from a weight is computed once, when the file is loaded.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import onnx
from onnx import TensorProto, helper, numpy_helper

from visavis.encoders.onnx import QUANTIZED_KEY
from visavis.models.mobilenet import BLOCKS, CONVOLUTIONS, DENSE, LAST, MIDDLE, SCALE

__all__ = ["Quantized", "Weights", "mobilenet_graph", "read_weights"]

Floats = npt.NDArray[np.float32]

_OPSET, _IR = 21, 10


@dataclass(frozen=True, eq=False)
class Quantized:
    """A weight in 8 bits, ``(levels - zeros) * scales``: each row in blocks that have a zero and a scale of their own.

    Attributes:
        levels: `(rows, columns)` int8.
        zeros: `(rows, blocks)` int8.
        scales: `(rows, blocks)` float32.
        shape: Of the weight.
    """

    levels: npt.NDArray[np.int8]
    zeros: npt.NDArray[np.int8]
    scales: Floats
    shape: tuple[int, ...]

    @property
    def values(self) -> Floats:
        """The weight in float32."""
        blocks = self.levels.reshape(*self.zeros.shape, -1).astype(np.float32)
        return ((blocks - self.zeros[..., None]) * self.scales[..., None]).reshape(self.shape)


Weights = Mapping[str, Floats | Quantized]
"""Weights by name as `models.mobilenet.build_mobilenet` takes them; and `features` `(1024,)`, if the last feature map is scaled."""


def mobilenet_graph(
    weights: Weights,
    input_shape: tuple[int, int, int] = (112, 112, 3),
    *,
    features: bool = False,
    metadata: Mapping[str, str] | None = None,
) -> onnx.ModelProto:
    """Build the model from faces `(n, h, w, c)`, RGB levels of 0 .. 255, to embeddings `(n, d)`, rows of unit length.

    Args:
        weights: See `Weights`.
        input_shape: Height, width and channels of a face.
        features: Whether to stop before the last dense layer and return what goes into it.
        metadata: Properties of the file, such as the card.

    Raises:
        KeyError: If a weight is missing.
    """
    graph = _Graph(weights)
    x = graph.add("Transpose", "photos", perm=[0, 3, 1, 2])
    x = graph.add("Mul", graph.add("Sub", x, graph.constant("middle", MIDDLE)), graph.constant("scale", SCALE))
    x = graph.prelu(graph.conv(x, 1), 1)
    for block, (_, stride) in enumerate(BLOCKS):
        x = graph.prelu(graph.conv(x, 2 * block + 2, stride=stride, depthwise=True), 2 * block + 2)
        number = 2 * block + 3
        x = graph.prelu(
            graph.conv(x, number), number, scale="features" if number == CONVOLUTIONS and "features" in weights else None
        )
    x = graph.dense(graph.add("Flatten", x), DENSE)
    if features:
        return graph.model(x, input_shape, len(_values(weights[f"offset_{DENSE}"])), metadata or {})
    x = graph.dense(x, LAST)
    length = graph.add("Max", graph.add("ReduceL2", x, graph.constant("last", [1]), keepdims=1), graph.constant("least", 1e-6))
    return graph.model(graph.add("Div", x, length), input_shape, len(_values(weights[f"offset_{LAST}"])), metadata or {})


def read_weights(model: onnx.ModelProto) -> dict[str, Floats]:
    """Return the weights of what `mobilenet_graph` built, in float32, as `models.mobilenet.build_mobilenet` takes them.

    Raises:
        ValueError: If it is another model.
    """
    tensors = {tensor.name: numpy_helper.to_array(tensor) for tensor in model.graph.initializer}
    weights: dict[str, Floats] = {}
    for number in range(1, LAST + 1):
        for kind in ("product", "offset", *(("slope",) if number <= CONVOLUTIONS else ())):
            name = f"{kind}_{number}"
            if f"{name}.levels" in tensors:
                levels, zeros, scales = (tensors[f"{name}.{part}"] for part in ("levels", "zeros", "scales"))
                weights[name] = Quantized(levels, zeros, scales, tuple(tensors.get(f"{name}.shape", levels.shape))).values
            elif name in tensors:
                weights[name] = np.asarray(tensors[name], dtype=np.float32)
            else:
                raise ValueError(f"the model has no weight {name}: not the network of the bundled encoder")
    if "features" in tensors:
        rows = weights[f"product_{DENSE}"]
        scaled = rows.reshape(len(rows), len(tensors["features"]), -1) * tensors["features"][:, None]
        weights[f"product_{DENSE}"] = scaled.reshape(rows.shape)
    return weights


class _Graph:
    """Nodes and initializers of an ONNX graph."""

    def __init__(self, weights: Weights) -> None:
        self._weights = weights
        self._nodes: list[Any] = []
        self._initializers: dict[str, Any] = {}

    def model(self, output: str, input_shape: tuple[int, int, int], size: int, metadata: Mapping[str, str]) -> onnx.ModelProto:
        """Return the model whose output is a tensor `(n, size)`."""
        faces = helper.make_tensor_value_info("photos", TensorProto.FLOAT, ["n", *input_shape])
        embeddings = helper.make_tensor_value_info(output, TensorProto.FLOAT, ["n", size])
        graph = helper.make_graph(self._nodes, "mobilenet", [faces], [embeddings], list(self._initializers.values()))
        model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", _OPSET)], ir_version=_IR)
        quantized = any(isinstance(weight, Quantized) for weight in self._weights.values())
        helper.set_model_props(model, {**metadata, **({QUANTIZED_KEY: "1"} if quantized else {})})
        return model

    def conv(self, x: str, number: int, *, stride: int = 1, depthwise: bool = False) -> str:
        rows, _, side, _ = _values(self._weights[f"product_{number}"]).shape
        return self.add(
            "Conv",
            x,
            self._weight(f"product_{number}"),
            self._weight(f"offset_{number}"),
            group=rows if depthwise else 1,
            kernel_shape=[side, side],
            pads=[side // 2] * 4,
            strides=[stride, stride],
        )

    def prelu(self, x: str, number: int, *, scale: str | None = None) -> str:
        """A PReLU as the module's docstring says, and what comes of it multiplied by the weight `scale`."""
        slopes = _values(self._weights[f"slope_{number}"])
        slope = self._factors(f"slope_{number}")
        rest = self.add("Sub", self.constant("one", 1.0), slope)
        if scale is not None:
            slope, rest = (self.add("Mul", factors, self._factors(scale)) for factors in (slope, rest))
        if scale is None and slopes.max() <= 1:
            bent = self.add("Relu", self._each(x, rest, len(slopes)))
        else:
            bent = self._each(self.add("Relu", x), rest, len(slopes))
        return self.add("Add", self._each(x, slope, len(slopes)), bent)

    def dense(self, x: str, number: int) -> str:
        return self.add("Gemm", x, self._weight(f"product_{number}"), self._weight(f"offset_{number}"), transB=1)

    def constant(self, name: str, value: float | list[int]) -> str:
        self._keep(name, np.asarray(value, dtype=np.int64 if isinstance(value, list) else np.float32))
        return name

    def add(self, kind: str, *inputs: str, output: str | None = None, **attributes: Any) -> str:
        name = output or f"x{len(self._nodes)}"
        self._nodes.append(helper.make_node(kind, list(inputs), [name], **attributes))
        return name

    def _factors(self, name: str) -> str:
        return self.add("Reshape", self._weight(name), self.constant("channels", [-1, 1, 1, 1]))

    def _each(self, x: str, factors: str, channels: int) -> str:
        """Multiply each channel by a factor of its own, as a depthwise convolution, which keeps the blocked layout."""
        return self.add("Conv", x, factors, group=channels, kernel_shape=[1, 1])

    def _weight(self, name: str) -> str:
        weight = self._weights[name]
        if not isinstance(weight, Quantized):
            self._keep(name, np.asarray(weight, dtype=np.float32))
            return name
        for part in ("levels", "zeros", "scales"):
            self._keep(f"{name}.{part}", getattr(weight, part))
        parts = [f"{name}.{part}" for part in ("levels", "scales", "zeros")]
        block = weight.levels.shape[1] // weight.zeros.shape[1]
        if len(weight.shape) == 2:
            return self.add("DequantizeLinear", *parts, output=name, axis=1, block_size=block)
        self._keep(f"{name}.shape", np.array(weight.shape, dtype=np.int64))
        return self.add("Reshape", self.add("DequantizeLinear", *parts, axis=1, block_size=block), f"{name}.shape", output=name)

    def _keep(self, name: str, values: npt.NDArray[Any]) -> None:
        if name not in self._initializers:
            self._initializers[name] = numpy_helper.from_array(np.ascontiguousarray(values), name)


def _values(weight: Floats | Quantized) -> Floats:
    return weight.values if isinstance(weight, Quantized) else weight
