"""Embedding models in ONNX: those that visavis exported, and others that a TOML file describes."""

import hashlib
import json
from collections.abc import Iterator
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from visavis.encoders.card import Card
from visavis.encoders.description import Description, read_description
from visavis.encoders.photos import as_faces
from visavis.errors import ModelError, VisavisError
from visavis.files import atomic_write
from visavis.inference import Provider, batch_size, open_session, provider_of
from visavis.metrics import unit_rows

if TYPE_CHECKING:
    import onnx
    import onnxruntime

__all__ = [
    "CARD_KEY",
    "DESCRIPTION_KEY",
    "QUANTIZED_KEY",
    "OnnxEncoder",
    "check_input",
    "copy_with_card",
    "load_onnx",
    "network_inputs",
    "network_outputs",
    "onnx_digest",
    "open_network",
]

CARD_KEY = "visavis.card"
QUANTIZED_KEY = "visavis.quantized"  # of a file whose weights, and no activations, are in 8 bits
DESCRIPTION_KEY = "visavis.description"


@dataclass(frozen=True, eq=False)
class OnnxEncoder:
    """A model that ONNX Runtime runs.

    Attributes:
        card: What it takes and how it decides.
        session: The model: one input of faces, and embeddings as its first output.
        model: Its file or its content.
        description: How a face becomes its input; None: it takes RGB or gray levels of 0 .. 255 as they are.
    """

    card: Card
    session: "onnxruntime.InferenceSession" = field(repr=False)
    model: Path | bytes = field(repr=False)
    description: Description | None = field(default=None, repr=False)

    @cached_property
    def digest(self) -> str:
        """SHA-256 of the weights, the crop and how a face becomes the input, hexadecimal."""
        levels = None if self.description is None else (self.description.mean, self.description.scale)
        return onnx_digest(self.model, f"{self.card.input_digest} {levels}")

    @property
    def provider(self) -> str:
        """What runs it, such as `"cpu"`; see `visavis.inference.open_session`."""
        return provider_of(self.session)

    def embed(self, faces: npt.ArrayLike) -> npt.NDArray[np.float32]:
        """Embed faces.

        Args:
            faces: `(n, h, w, c)` or gray `(n, h, w)`, of the card's size, RGB or gray levels of 0 .. 255.

        Returns:
            `(n, d)` float32, rows of unit length.

        Raises:
            ValueError: If `faces` have another shape or type.
        """
        return unit_rows(self.raw(faces))

    def raw(self, faces: npt.ArrayLike) -> npt.NDArray[np.float32]:
        """Embed faces as `embed` does, without scaling rows to unit length; see `Encoder.raw`."""
        checked = as_faces(faces, self.card.crop)
        if not len(checked):
            size = self.session.get_outputs()[0].shape[-1]
            return np.zeros((0, size if isinstance(size, int) else 0), dtype=np.float32)
        step = batch_size(self.session)
        return np.concatenate([self._run(checked[start : start + step]) for start in range(0, len(checked), step)])

    def _run(self, faces: npt.NDArray[Any]) -> npt.NDArray[np.float32]:
        """Embed one batch, mirrored as well if the card says so."""
        outputs = network_outputs(self.session, self.description, faces)
        if not self.card.flip:
            return np.asarray(outputs, dtype=np.float32)
        mirrored = network_outputs(self.session, self.description, faces[:, :, ::-1])
        return np.asarray((unit_rows(outputs) + unit_rows(mirrored)) / 2, dtype=np.float32)


def network_inputs(
    session: "onnxruntime.InferenceSession", description: Description | None, faces: npt.NDArray[Any]
) -> Iterator[npt.NDArray[np.float32]]:
    """Yield what a network takes for some faces, in as many parts as its batch size needs, the last one padded with zeros.

    Args:
        session: The network, with one input.
        description: How a face becomes its input; None: RGB or gray levels of 0 .. 255 as they are.
        faces: `(n, h, w, c)`, of the size that the network takes.
    """
    inputs, shape = np.asarray(faces, dtype=np.float32), session.get_inputs()[0].shape
    if description is not None:
        inputs = description.prepare(inputs)
        if shape[1] == inputs.shape[3]:
            inputs = np.ascontiguousarray(inputs.transpose(0, 3, 1, 2))
    return _parts(inputs, shape[0])


def network_outputs(
    session: "onnxruntime.InferenceSession", description: Description | None, faces: npt.NDArray[Any]
) -> npt.NDArray[np.float32]:
    """Return the first output of a network for some faces, one row for each; see `network_inputs`."""
    name = session.get_inputs()[0].name
    parts = [session.run(None, {name: part})[0] for part in network_inputs(session, description, faces)]
    return np.concatenate(parts)[: len(faces)]


def load_onnx(path: Path, *, threads: int | None = None, provider: Provider | None = None) -> OnnxEncoder:
    """Load a model file.

    Args:
        path: A `.onnx` file with a card inside, or one of other software with a `.toml` of the same name beside it.
        threads: Threads that share a batch; None: one for each core.
        provider: See `visavis.inference.open_session`.

    Raises:
        ModelError: If there is none, or if it is damaged, made by a newer visavis, or neither has a card nor is described.
        MissingDependencyError: If the provider is not available.
    """
    if not path.is_file():
        raise ModelError(f"{path}: no such model file")
    session = open_network(path, threads=threads, provider=provider)
    metadata = session.get_modelmeta().custom_metadata_map
    if CARD_KEY not in metadata:
        description = read_description(path)
        check_input(path, session, description)
        return OnnxEncoder(description.card(str(path.with_suffix(".toml"))), session, path, description)
    try:
        card, values = (json.loads(metadata.get(key, "null")) for key in (CARD_KEY, DESCRIPTION_KEY))
        description_inside = None if values is None else Description.from_json(values)
    except (KeyError, TypeError, ValueError, RecursionError) as error:
        raise ModelError(f"{path}: its card is damaged ({error}).") from error
    return OnnxEncoder(Card.from_json(card, source=str(path)), session, path, description_inside)


def load_described(
    path: Path, description: Description | None, card: Card, *, threads: int | None = None, provider: Provider | None = None
) -> OnnxEncoder:
    """Load a model file whose description and card are known.

    Raises:
        ModelError: If it is damaged, or does not take what the description says.
        MissingDependencyError: If the provider is not available.
    """
    session = open_network(path, threads=threads, provider=provider)
    if description is not None:
        check_input(path, session, description)
    return OnnxEncoder(card, session, path, description)


def open_network(path: Path, *, threads: int | None = None, provider: Provider | None = None) -> "onnxruntime.InferenceSession":
    """Open an ONNX file; see `visavis.inference.open_session`.

    Raises:
        ModelError: If it is not an ONNX model that can be run.
        MissingDependencyError: If the provider is not available.
    """
    try:
        quantized = QUANTIZED_KEY.encode() in path.read_bytes()
        return open_session(path, threads=threads, provider=provider, dequantize=quantized)
    except (VisavisError, ValueError):
        raise
    except Exception as error:  # ONNX Runtime's own errors have no common base
        raise ModelError(f"{path}: not an ONNX model, a damaged one, or one that needs a newer ONNX Runtime ({error}).") from error


def check_input(path: Path, session: "onnxruntime.InferenceSession", description: Description) -> None:
    """Check that a model takes what its description says.

    Raises:
        ModelError: If it does not.
    """
    shape = session.get_inputs()[0].shape
    height, width, channels = description.crop.shape
    layouts = ((channels, height, width), (height, width, channels))
    if len(shape) != 4 or not any(_fits(shape[1:], layout) for layout in layouts):
        raise ModelError(
            f"{path}: its input is {shape}, which is neither (n, {channels}, {height}, {width}) "
            f"nor (n, {height}, {width}, {channels}) as its description says"
        )


def copy_with_card(encoder: OnnxEncoder, card: Card, out: Path) -> None:
    """Write a model to a file with another card, and with its description if it has one, both in the file's metadata.

    Raises:
        ModelError: If the model cannot be read again.
        ValueError: If `out` does not end in `.onnx`.
    """
    if out.suffix != ".onnx":
        raise ValueError(f"out must end in .onnx, as the model is in ONNX, got {out}")
    import onnx

    proto = _read(encoder.model)
    properties = {prop.key: prop.value for prop in proto.metadata_props}
    properties[CARD_KEY] = json.dumps(card.to_json())
    if encoder.description is not None:
        properties[DESCRIPTION_KEY] = json.dumps(encoder.description.to_json())
    onnx.helper.set_model_props(proto, properties)
    with atomic_write(out) as temporary:
        temporary.write_bytes(proto.SerializeToString())


def onnx_digest(model: Path | bytes, settings: str) -> str:
    """Digest all that the embeddings of a model depend on.

    Metadata are left out, so that a card with other thresholds gives the same digest. Weights in files beside the model are part of
    it.

    Args:
        model: An ONNX file or its content.
        settings: What else the embeddings depend on.

    Returns:
        SHA-256, hexadecimal.

    Raises:
        ModelError: If the file cannot be read.
    """
    proto = _read(model)
    del proto.metadata_props[:]
    return hashlib.sha256(settings.encode() + proto.SerializeToString(deterministic=True)).hexdigest()


def _read(model: Path | bytes) -> "onnx.ModelProto":
    """Read a model with its weights, those in files beside it too."""
    import onnx  # takes a third of a second, which the comparison of two photos does not need

    try:
        return onnx.load_model_from_string(model) if isinstance(model, bytes) else onnx.load(model)
    except Exception as error:  # of protobuf, of onnx, or of the operating system
        name = "the model" if isinstance(model, bytes) else model
        raise ModelError(f"{name}: cannot be read ({error})") from error


def _fits(shape: list[Any], layout: tuple[int, ...]) -> bool:
    return all(not isinstance(side, int) or side == wanted for side, wanted in zip(shape, layout, strict=True))


def _parts(faces: npt.NDArray[np.float32], size: Any) -> Iterator[npt.NDArray[np.float32]]:
    """Yield all faces at once, or as many as a model of a fixed batch size takes, the last ones padded with zeros."""
    if not isinstance(size, int):
        yield faces
        return
    for start in range(0, len(faces), size):
        part = faces[start : start + size]
        yield np.pad(part, ((0, size - len(part)), *[(0, 0)] * 3))
