"""Static quantisation: an ONNX encoder with weights and activations in 8 bits."""

import json
import os
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import onnxruntime

from visavis.encoders.onnx import CARD_KEY, DESCRIPTION_KEY, OnnxEncoder, network_inputs
from visavis.errors import ModelError

__all__ = ["write_quantized"]

_KINDS = ["Conv", "Gemm", "MatMul"]
_BATCH = 8
_PREPROCESSED = {"onnx.quant.pre_process": "onnxruntime.quant"}  # without it the quantiser warns that this was not done


def write_quantized(encoder: OnnxEncoder, faces: npt.NDArray[Any], path: Path) -> None:
    """Write a model whose convolutions and matrix products are computed in 8 bits.

    Weights become signed levels of 7 bits with a scale for each output channel. Activations become unsigned levels of 8 bits with
    one scale and one zero, from the smallest and the largest value that occurs for some faces. Biases keep 32 bits (Jacob et al.,
    2018).

    Args:
        encoder: The model.
        faces: `(n, h, w, c)`, of the card's size: the ranges of the activations are those of these faces.
        path: The file to write, with the model's card.

    Raises:
        ModelError: If the model cannot be quantised.
    """
    from onnxruntime import quantization

    with tempfile.TemporaryDirectory(dir=path.parent, prefix=f".{path.name}-") as folder:
        plain, quantized = Path(folder) / "plain.onnx", Path(folder) / "quantized.onnx"
        try:
            _write_float32(encoder, plain)
            quantization.quantize_static(
                plain,
                quantized,
                _Reader(encoder.session.get_inputs()[0].name, _inputs(encoder, faces)),
                quant_format=quantization.QuantFormat.QDQ,
                op_types_to_quantize=_KINDS,
                per_channel=True,
                activation_type=quantization.QuantType.QUInt8,
                weight_type=quantization.QuantType.QInt8,
                reduce_range=True,  # weights of 7 bits: sums of 8 saturate on x86 processors without VNNI
            )
            _replace_metadata(quantized, _metadata(encoder))
        except Exception as error:  # of ONNX, of ONNX Runtime, or of protobuf, without a common base
            raise ModelError(f"the model cannot be quantised: {error}") from error
        os.replace(quantized, path)


class _Reader:
    """Hands ONNX Runtime one batch after the other."""

    def __init__(self, name: str, inputs: Iterator[npt.NDArray[np.float32]]) -> None:
        self._name, self._inputs = name, inputs

    def get_next(self) -> dict[str, npt.NDArray[np.float32]] | None:
        part = next(self._inputs, None)
        return None if part is None else {self._name: part}


def _inputs(encoder: OnnxEncoder, faces: npt.NDArray[Any]) -> Iterator[npt.NDArray[np.float32]]:
    for start in range(0, len(faces), _BATCH):
        yield from network_inputs(encoder.session, encoder.description, faces[start : start + _BATCH])


def _write_float32(encoder: OnnxEncoder, path: Path) -> None:
    """Write the network with what is constant computed, so that weights in 8 or 16 bits become float32."""
    options = onnxruntime.SessionOptions()
    options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_ENABLE_BASIC
    options.add_session_config_entry("session.disable_quant_qdq", "1")
    options.optimized_model_filepath = str(path)
    onnxruntime.InferenceSession(encoder.model, options, providers=["CPUExecutionProvider"])
    _replace_metadata(path, _PREPROCESSED)


def _metadata(encoder: OnnxEncoder) -> dict[str, str]:
    metadata = {CARD_KEY: json.dumps(encoder.card.to_json())}
    if encoder.description is not None:
        metadata[DESCRIPTION_KEY] = json.dumps(encoder.description.to_json())
    return metadata


def _replace_metadata(path: Path, metadata: dict[str, str]) -> None:
    import onnx

    proto = onnx.load(path)
    del proto.metadata_props[:]
    onnx.helper.set_model_props(proto, metadata)
    onnx.save(proto, path)
