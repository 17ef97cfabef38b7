"""A trained model to one file that runs without Keras: ONNX with the card inside, or LiteRT with the card beside it."""

import json
import warnings
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from visavis.backend import keras
from visavis.encoders.card import Card
from visavis.encoders.keras import KerasEncoder, load_model
from visavis.encoders.mobilenet import mobilenet_graph
from visavis.encoders.onnx import CARD_KEY
from visavis.errors import MissingDependencyError, ModelError
from visavis.files import atomic_write
from visavis.models import embedding_of
from visavis.models.mobilenet import is_mobilenet, mobilenet_weights

if TYPE_CHECKING:
    import onnx

__all__ = ["export_model"]

_SINGLE = 4 * float(np.finfo(np.float32).eps)
_TOLERANCE = 1e-5


def export_model(model: KerasEncoder | Path | str, out: Path | str, *, names: bool = True) -> Path:
    """Write the embedding network of a model with its card.

    Before the file gets its name, its embeddings of random faces are compared with those of Keras.

    Args:
        model: A run folder, a model file, or what `load_model` gave.
        out: The file to write: `.onnx`, the card in its metadata; or `.tflite`, the card beside it in a `.json`.
        names: Whether the card keeps the names of the people of training, validation and test; False: digests in their place.

    Returns:
        `out`.

    Raises:
        ModelError: If the model cannot be read, or if the file would not give the same embeddings.
        MissingDependencyError: If the converter is not installed.
        ValueError: If `out` is called something else.
    """
    encoder = model if isinstance(model, KerasEncoder) else load_model(model)
    card = encoder.card if names else encoder.card.without_names()
    out = Path(out)
    writers = {".onnx": _write_onnx, ".tflite": _write_litert}
    if out.suffix not in writers:
        raise ValueError(f"out must end in {' or '.join(writers)}, got {out}")
    network = embedding_of(encoder.siamese)
    faces = np.random.default_rng(0).integers(0, 256, (3, *network.input_shape[1:])).astype(np.float32)
    expected = np.asarray(network.predict_on_batch(faces))
    with atomic_write(out) as temporary:
        whole = temporary.with_suffix(f".part{out.suffix}")
        try:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")  # the converters try older names, and tell of what is to come
                found = writers[out.suffix](network, card, whole, faces)
            whole.replace(temporary)
        except ImportError as error:
            raise MissingDependencyError(f"writing {out.suffix} files needs: pip install 'visavis[export]' ({error})") from error
        finally:
            whole.unlink(missing_ok=True)
        difference = float(np.abs(found - expected).max())
        if not difference <= _TOLERANCE:
            raise ModelError(f"{out}: its embeddings would differ by {difference:.2g} from those of Keras; it was not written")
    if out.suffix == ".tflite":
        with atomic_write(out.with_suffix(".json")) as temporary:
            temporary.write_text(json.dumps(card.to_json(), indent=1), encoding="utf-8")
    return out


def _write_onnx(network: keras.Model, card: Card, path: Path, faces: npt.NDArray[np.float32]) -> npt.NDArray[np.float32]:
    """Write the file, and return what it makes of some faces."""
    import onnx
    import onnxruntime

    if is_mobilenet(network):
        proto = mobilenet_graph(mobilenet_weights(network), network.input_shape[1:])
    else:
        network.export(path, format="onnx", verbose=False)
        proto = onnx.load(path)
        _halve(proto)
    onnx.helper.set_model_props(proto, {CARD_KEY: json.dumps(card.to_json())})
    onnx.save(proto, path)
    session = onnxruntime.InferenceSession(path, providers=["CPUExecutionProvider"])
    return np.asarray(session.run(None, {session.get_inputs()[0].name: faces})[0])


def _halve(proto: "onnx.ModelProto") -> None:
    """Store weights that 16 bits hold to float32 precision in 16 bits; ONNX Runtime casts them to float32 when it loads them."""
    from onnx import TensorProto, helper, numpy_helper

    casts = []
    for tensor in proto.graph.initializer:
        values = numpy_helper.to_array(tensor)
        if values.dtype != np.float32 or values.ndim < 2:
            continue
        with np.errstate(over="ignore"):
            halves = values.astype(np.float16)
        if np.allclose(halves, values, rtol=_SINGLE, atol=0):  # folding a batch normalisation may round the last bit
            casts.append(helper.make_node("Cast", [f"{tensor.name}_16"], [tensor.name], to=TensorProto.FLOAT))
            tensor.CopyFrom(numpy_helper.from_array(halves, f"{tensor.name}_16"))
    nodes = [*casts, *proto.graph.node]
    del proto.graph.node[:]
    proto.graph.node.extend(nodes)


def _write_litert(network: keras.Model, card: Card, path: Path, faces: npt.NDArray[np.float32]) -> npt.NDArray[np.float32]:
    """Write the file, and return what it makes of some faces, one after the other."""
    import tensorflow as tf

    del card  # the format has no place for it
    network.export(str(path), format="litert", verbose=False)  # a Path fails before Keras 3.15
    interpreter = tf.lite.Interpreter(model_path=str(path))
    run = interpreter.get_signature_runner()
    taken = next(iter(run.get_input_details()))
    return np.concatenate([next(iter(run(**{taken: face[None]}).values())) for face in faces])
