"""Embedding models in ONNX: those that visavis exported, and any other one that a small TOML file describes."""

import json
import tomllib
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import onnxruntime

from visavis.encoders.card import Card
from visavis.encoders.digests import onnx_digest
from visavis.errors import ModelError
from visavis.files import atomic_write
from visavis.metrics import unit_rows
from visavis.metrics.calibration import score_of
from visavis.metrics.operating_points import OperatingPoint

__all__ = ["CARD_KEY", "Description", "OnnxEncoder", "copy_with_card", "load_onnx", "read_description"]

CARD_KEY = "visavis.card"
_DESCRIPTION_KEY = "visavis.description"
_BATCH = 64
_COLOURS = {"rgb": 3, "bgr": 3, "gray": 1}
_METRICS = ("cosine", "euclidean")


@dataclass(frozen=True)
class Description:
    """What the TOML file beside a model says: how a face becomes its input, and how it decides.

    Attributes:
        input_size: Height and width of a face.
        colour: `"rgb"`, `"bgr"` or `"gray"`, the order of the input's channels.
        mean: What is taken from the levels 0 .. 255: a number, or one for each channel.
        scale: What the difference is multiplied by, likewise.
        metric: What `threshold` is: a least `"cosine"` or a largest `"euclidean"` distance of embeddings of unit length.
        threshold: From where on two photos show one person; None: not known.
        aligned: Whether it takes faces that were found and cut by their five points; False: the photo as it is.
        flip: Whether embeddings are averaged with those of the mirrored photo.
        licence: The terms of the weights.
    """

    input_size: tuple[int, int]
    colour: str = "rgb"
    mean: float | tuple[float, ...] = 0.0
    scale: float | tuple[float, ...] = 1.0
    metric: str = "cosine"
    threshold: float | None = None
    aligned: bool = True
    flip: bool = False
    licence: str = ""

    def __post_init__(self) -> None:
        """Check the values.

        Raises:
            ValueError: If one is out of range.
        """
        if len(self.input_size) != 2 or min(self.input_size) < 1:
            raise ValueError(f"input_size must be [height, width]. Received: input_size={list(self.input_size)}")
        if self.colour not in _COLOURS:
            raise ValueError(f"colour must be one of {', '.join(_COLOURS)}. Received: colour={self.colour!r}")
        if self.metric not in _METRICS:
            raise ValueError(f"metric must be one of {', '.join(_METRICS)}. Received: metric={self.metric!r}")
        for name in ("mean", "scale"):
            if np.size(getattr(self, name)) not in (1, _COLOURS[self.colour]):
                raise ValueError(f"{name} must be a number, or one for each channel. Received: {name}={getattr(self, name)}")

    def card(self, source: str) -> Card:
        """Return what is known of the model as a card; `source` is the file that the threshold is from."""
        rule = None
        if self.threshold is not None:
            score = self.threshold if self.metric == "cosine" else score_of(self.threshold)
            rule = OperatingPoint(score=score, chosen_on=source)
        height, width = self.input_size
        shape = (height, width, _COLOURS[self.colour])
        return Card(shape, aligned=self.aligned, flip=self.flip, threshold=rule, licence=self.licence)


@dataclass(frozen=True, eq=False)
class OnnxEncoder:
    """A model that ONNX Runtime runs.

    Attributes:
        card: What it takes and how it decides.
        session: The model: one input of faces, and embeddings as its first output.
        digest: SHA-256 of the weights and of how a face becomes the input, hexadecimal.
        description: How a face becomes its input; None: it takes levels of 0 .. 255 as they are.
    """

    card: Card
    session: onnxruntime.InferenceSession
    digest: str
    description: Description | None = None

    def embed(self, faces: npt.NDArray[Any]) -> npt.NDArray[np.float32]:
        """Turn faces `(n, h, w, c)`, 0 .. 255, into `(n, d)` float32, rows of unit length."""
        return unit_rows(self.raw(faces))

    def raw(self, faces: npt.NDArray[Any]) -> npt.NDArray[np.float32]:
        """Turn them into rows as long as the model makes them; see `Encoder.raw`."""
        rows = [self._run(faces[start : start + _BATCH]) for start in range(0, len(faces), _BATCH)]
        if not rows:
            size = self.session.get_outputs()[0].shape[-1]
            return np.zeros((0, size if isinstance(size, int) else 0), dtype=np.float32)
        return np.concatenate(rows)

    def _run(self, faces: npt.NDArray[Any]) -> npt.NDArray[np.float32]:
        """Embed one batch, mirrored as well if the card says so."""
        outputs = self._outputs(np.asarray(faces, dtype=np.float32))
        if not self.card.flip:
            return np.asarray(outputs, dtype=np.float32)
        mirrored = self._outputs(np.asarray(faces[:, :, ::-1], dtype=np.float32))
        return np.asarray((unit_rows(outputs) + unit_rows(mirrored)) / 2, dtype=np.float32)

    def _outputs(self, faces: npt.NDArray[np.float32]) -> npt.NDArray[np.float32]:
        """Run the network itself, in as many passes as its batch size asks for."""
        taken = self.session.get_inputs()[0]
        if self.description is not None:
            faces = _prepared(faces, self.description)
            if taken.shape[1] == faces.shape[3]:
                faces = np.ascontiguousarray(faces.transpose(0, 3, 1, 2))
        outputs = [self.session.run(None, {taken.name: part})[0] for part in _parts(faces, taken.shape[0])]
        return np.concatenate(outputs)[: len(faces)]


def load_onnx(path: Path, *, threads: int | None = None) -> OnnxEncoder:
    """Load a model file.

    Args:
        path: A `.onnx` file with a card inside, or one of another origin with a `.toml` of the same name beside it.
        threads: How many threads a batch is shared by; None: one for each core.

    Raises:
        ModelError: If there is none, if it is damaged, of a newer visavis, or of another origin and not described.
    """
    if not path.is_file():
        raise ModelError(f"{path}: no such model file")
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = threads or 0
    options.log_severity_level = 4
    try:
        session = onnxruntime.InferenceSession(path, options, providers=["CPUExecutionProvider"])
        metadata = session.get_modelmeta().custom_metadata_map
    except Exception as error:  # ONNX Runtime's own errors have no common base
        raise ModelError(f"{path}: not an ONNX model, a damaged one, or one that needs a newer ONNX Runtime ({error}).") from error
    if CARD_KEY in metadata:
        try:
            card, description = (json.loads(metadata.get(key, "null")) for key in (CARD_KEY, _DESCRIPTION_KEY))
            described = None if description is None else _description(description)
        except (TypeError, ValueError) as error:
            raise ModelError(f"{path}: its card is damaged ({error}).") from error
        return _encoder(path, Card.from_json(card, source=str(path)), session, described)
    description = read_description(path)
    _check_input(path, session, description)
    return _encoder(path, description.card(str(path.with_suffix(".toml"))), session, description)


def _encoder(path: Path, card: Card, session: onnxruntime.InferenceSession, description: Description | None) -> OnnxEncoder:
    way = None if description is None else (description.colour, description.mean, description.scale)
    return OnnxEncoder(card, session, onnx_digest(path, f"{way} {card.flip}"), description)


def read_description(path: Path) -> Description:
    """Read the TOML file beside a model.

    Raises:
        ModelError: If there is none, or if it is not as it should be.
    """
    beside = path.with_suffix(".toml")
    if not beside.is_file():
        raise ModelError(
            f"{path}: it has no card, so visavis did not make it. Describe it in {beside}, for example: "
            'input_size = [112, 112], colour = "rgb", mean = 127.5, scale = 0.0078125, metric = "cosine", one to a line'
        )
    try:
        return _description(tomllib.loads(beside.read_text(encoding="utf-8")))
    except (TypeError, ValueError, OSError) as error:
        raise ModelError(f"{beside}: {str(error).removeprefix('Description.__init__() ')}") from error


def _description(values: dict[str, Any]) -> Description:
    lists = {name: tuple(value) for name, value in values.items() if isinstance(value, list)}
    return Description(**{**values, **lists})


def copy_with_card(path: Path, card: Card, out: Path, *, description: Description | None = None) -> None:
    """Write a model file again with another card, and with the description of a model of other origin, all in its metadata.

    Raises:
        ValueError: If `out` does not end in `.onnx`.
    """
    if out.suffix != ".onnx":
        raise ValueError(f"out must end in .onnx, as the model is in ONNX. Received: out={out}")
    import onnx

    proto = onnx.load(path)
    kept = {prop.key: prop.value for prop in proto.metadata_props}
    kept[CARD_KEY] = json.dumps(card.to_json())
    if description is not None:
        kept[_DESCRIPTION_KEY] = json.dumps(asdict(description))
    onnx.helper.set_model_props(proto, kept)
    with atomic_write(out) as temporary:
        temporary.write_bytes(proto.SerializeToString())


def _check_input(path: Path, session: onnxruntime.InferenceSession, description: Description) -> None:
    shape = session.get_inputs()[0].shape
    height, width = description.input_size
    channels = _COLOURS[description.colour]
    layouts = ((channels, height, width), (height, width, channels))
    if len(shape) != 4 or not any(_fits(shape[1:], layout) for layout in layouts):
        raise ModelError(
            f"{path}: its input is {shape}, which is neither (n, {channels}, {height}, {width}) "
            f"nor (n, {height}, {width}, {channels}) as {path.with_suffix('.toml')} says"
        )


def _fits(shape: list[Any], layout: tuple[int, ...]) -> bool:
    return all(not isinstance(side, int) or side == wanted for side, wanted in zip(shape, layout, strict=True))


def _prepared(faces: npt.NDArray[np.float32], description: Description) -> npt.NDArray[np.float32]:
    if description.colour == "bgr":
        faces = faces[..., ::-1]
    mean, scale = (np.asarray(value, dtype=np.float32) for value in (description.mean, description.scale))
    return (faces - mean) * scale


def _parts(faces: npt.NDArray[np.float32], size: Any) -> Iterator[npt.NDArray[np.float32]]:
    """All faces at once, or as many at a time as a model of a fixed batch size takes, the last ones made up with zeros."""
    if not isinstance(size, int):
        yield faces
        return
    for start in range(0, len(faces), size):
        part = faces[start : start + size]
        yield np.pad(part, ((0, size - len(part)), *[(0, 0)] * 3))
