"""The time to embed a face: ours against dlib's network and those of facenet and MobileFaceNet, and against a matrix product.

    pip install 'visavis[bench]' && python benchmarks/encoding.py [--rounds 15]

Ours is the bundled encoder. facenet's and MobileFaceNet's networks are built with random weights (`peers.py`) for faces of our
input size, and run by ONNX Runtime. dlib's network is run by ONNX Runtime and by dlib, there always on one thread. Batches of 1
and 64 faces, on one thread and on all, alternate with a float32 matrix product of 1024 x 1024. The fraction of that product's
speed is computed from the operations of a network's convolutions and matrix products, without those on padding. Writes
`results/encoding.json`. About 3 minutes on 2 cores.
"""

import argparse
import os
import tempfile
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

import dlib
import keras
import numpy as np
import onnx
import onnxruntime
from measure import in_turns, matrix_product_peak, ratio, spread
from onnx import numpy_helper
from peers import facenet_style, mobilefacenet_style
from record import write_result
from threadpoolctl import threadpool_limits

from visavis.encoders import PRETRAINED_FILE, load_encoder
from visavis.encoders.dlib import DLIB_CROP, dlib_weights

CORES = os.cpu_count() or 1


def operations(path: Path) -> float:
    """Count the floating-point operations of a network for one face, two per multiplication and addition."""
    model = onnx.load_from_string(_folded(path))
    model.graph.input[0].type.tensor_type.shape.dim[0].dim_value = 1
    model = onnx.shape_inference.infer_shapes(model, data_prop=True)
    weights = {tensor.name: numpy_helper.to_array(tensor) for tensor in model.graph.initializer}
    shapes = {
        value.name: [dim.dim_value for dim in value.type.tensor_type.shape.dim]
        for value in (*model.graph.value_info, *model.graph.input, *model.graph.output)
    }
    total = 0.0
    for node in model.graph.node:
        weight = next((weights[name] for name in node.input if name in weights and weights[name].ndim > 1), None)
        if node.op_type in ("MatMul", "Gemm") and weight is not None:
            total += weight.size
        elif node.op_type == "Conv" and weight is not None:
            settings = {attribute.name: onnx.helper.get_attribute_value(attribute) for attribute in node.attribute}
            total += weight.shape[0] * weight.shape[1] * _places(weight, settings, shapes[node.input[0]][2:])
    return 2 * total


def _folded(path: Path) -> bytes:
    """Return a model in which all that is derived from weights alone is computed."""
    options = onnxruntime.SessionOptions()
    options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_ENABLE_BASIC
    options.add_session_config_entry("session.disable_quant_qdq", "1")
    with tempfile.TemporaryDirectory() as folder:
        options.optimized_model_filepath = f"{folder}/folded.onnx"
        onnxruntime.InferenceSession(path, options, providers=["CPUExecutionProvider"])
        return Path(options.optimized_model_filepath).read_bytes()


def _places(weight: np.ndarray, settings: dict[str, Any], sides: list[int]) -> int:
    """Count the pairs of kernel and image positions that a convolution multiplies, without padding."""
    count = 1
    pads = settings.get("pads", [0] * 4)
    for axis, side in enumerate(sides):
        kernel, stride, before, after = weight.shape[2 + axis], settings.get("strides", [1, 1])[axis], pads[axis], pads[axis + 2]
        starts = np.arange(0, side + before + after - kernel + 1, stride) - before
        places = starts[:, None] + np.arange(kernel)
        count *= int(np.sum((places >= 0) & (places < side)))
    return count


def sessions(paths: dict[str, Path], threads: int) -> dict[str, onnxruntime.InferenceSession]:
    """Load the networks with this number of threads."""
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads, options.log_severity_level = threads, 3
    return {name: onnxruntime.InferenceSession(path, options, providers=["CPUExecutionProvider"]) for name, path in paths.items()}


def measured(paths: dict[str, Path], *, batch: int, threads: int, rounds: int) -> dict[str, Any]:
    """Measure milliseconds per face, and the fraction of the matrix product's speed, for every network."""
    faces = np.random.default_rng(0).integers(0, 256, (batch, *load_encoder().card.input_shape)).astype(np.float32)
    chips = np.random.default_rng(0).integers(0, 256, (batch, *DLIB_CROP.shape), dtype=np.uint8)
    network, (product, product_operations) = dlib.face_recognition_model_v1(str(dlib_weights())), matrix_product_peak()
    steps: dict[str, Callable[[], Any]] = {"matrix product": product}
    for name, session in sessions(paths, threads).items():
        taken = session.get_inputs()[0].name
        steps[name] = lambda session=session, taken=taken: session.run(None, {taken: faces})
    steps["visavis"] = partial(load_encoder(threads=threads).embed, faces)
    steps["dlib, ONNX Runtime"] = partial(load_encoder("dlib", threads=threads).embed, chips)
    if threads == 1:
        steps["dlib"] = lambda: [network.compute_face_descriptor(chip) for chip in chips]
    with threadpool_limits(threads):
        times = in_turns(steps, rounds=rounds)
    limit = [product_operations / seconds for seconds in times.pop("matrix product")]
    result: dict[str, Any] = {
        "batch": batch,
        "threads": threads,
        "matrix_product_gflops": spread(np.array(limit) / 1e9),
        "networks": {},
    }
    for name, seconds in times.items():
        row: dict[str, Any] = {"milliseconds_a_face": spread(1000 * np.array(seconds) / batch)}
        row["times_ours"] = ratio(seconds, times["visavis"])
        if name in paths:
            speeds = [batch * operations(paths[name]) * passes(name) / each for each in seconds]
            row["part_of_matrix_product"] = ratio(speeds, limit)
        result["networks"][name] = row
    return result


def passes(name: str) -> int:
    """Return how many times a face passes through the network: ours may also use its mirror image."""
    return 2 if name == "visavis" and load_encoder().card.flip else 1


def main() -> None:
    """Build the networks and measure all."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rounds", type=int, default=15)
    options = parser.parse_args()
    shape = load_encoder().card.input_shape
    with tempfile.TemporaryDirectory() as folder:
        paths = {"visavis": PRETRAINED_FILE}
        for name, build in (("facenet-style", facenet_style), ("MobileFaceNet-style", mobilefacenet_style)):
            keras.utils.set_random_seed(0)
            paths[name] = Path(folder) / f"{name}.onnx"
            network = build(shape)
            network.predict_on_batch(np.zeros((1, *shape), np.float32))  # Keras exports what was called once
            network.export(paths[name], format="onnx", verbose=False)
        megaflops = {name: operations(path) * passes(name) / 1e6 for name, path in paths.items()}
        figures: dict[str, Any] = {"megaflops_a_face": megaflops, "runs": []}
        for threads in dict.fromkeys((1, CORES)):
            for batch in (1, 64):
                figures["runs"].append(measured(paths, batch=batch, threads=threads, rounds=options.rounds))
                print(figures["runs"][-1], flush=True)
    write_result("encoding", figures)


if __name__ == "__main__":
    main()
