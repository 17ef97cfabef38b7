"""Detect presentation attacks, such as printed photos and screens, with an ONNX model that a TOML file describes."""

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, Protocol

import numpy as np
import numpy.typing as npt

from visavis.encoders.description import Description, is_finite, read_toml
from visavis.encoders.onnx import check_input, network_outputs, onnx_digest, open_network
from visavis.errors import ModelError, check_option
from visavis.faces import Crop
from visavis.inference import Provider, batch_size

if TYPE_CHECKING:
    import onnxruntime

__all__ = ["Activation", "PadDescription", "PadDetector", "PadModel", "PresentationCheck", "check_presentation", "load_pad"]

Activation = Literal["none", "sigmoid", "softmax"]
Scores = npt.NDArray[np.float64]

_OWN = ("threshold", "output", "activation", "sha256")
_ENCODERS_ONLY = frozenset({"metric", "flip"})


@dataclass(frozen=True)
class PresentationCheck:
    """What a detector of presentation attacks says of the faces of one answer.

    Attributes:
        scores: The score of each face; higher is more likely bona fide, that is, a person in front of the camera.
        threshold: Below this score, a face is classified as an attack.
        detector: Digest of the detector.
    """

    scores: tuple[float, ...]
    threshold: float
    detector: str

    @property
    def vetoed(self) -> bool:
        """Whether at least one face is classified as an attack, so that nothing is accepted."""
        return any(score < self.threshold for score in self.scores)

    def of_faces(self, *faces: int) -> "PresentationCheck":
        """Return the check of some of the faces, by their number from 0."""
        return replace(self, scores=tuple(self.scores[face] for face in faces))

    def __str__(self) -> str:
        """Show scores and threshold."""
        return f"PAD score {', '.join(f'{score:.3f}' for score in self.scores)}, threshold {self.threshold:.3f}"

    def to_json(self) -> dict[str, Any]:
        """Return it as plain values."""
        return {**asdict(self), "scores": list(self.scores), "vetoed": self.vetoed}


class PadDetector(Protocol):
    """A detector of presentation attacks: any object with these can be passed as `pad`.

    Attributes:
        crop: What it takes of a photo.
        threshold: The lowest score of a bona fide presentation.
        digest: What identifies it in an answer.
    """

    @property
    def crop(self) -> Crop:
        """What it takes of a photo."""

    @property
    def threshold(self) -> float:
        """The lowest score of a bona fide presentation."""

    @property
    def digest(self) -> str:
        """What identifies it in an answer."""

    def score(self, faces: npt.NDArray[np.uint8]) -> Scores:
        """Return a score for each face `(n, h, w, c)` of the crop's shape: higher is more likely bona fide."""


def check_presentation(pad: PadDetector, faces: Sequence[npt.NDArray[np.uint8]]) -> PresentationCheck:
    """Check faces.

    Args:
        pad: The detector.
        faces: `(h, w, c)` uint8 each, cut by its crop.

    Raises:
        ModelError: If a score is not finite.
    """
    scores = pad.score(np.stack(faces))
    if not np.isfinite(scores).all():
        raise ModelError(f"the presentation attack detector must return finite scores, got {scores.tolist()}")
    return PresentationCheck(tuple(map(float, scores)), pad.threshold, pad.digest)


@dataclass(frozen=True)
class PadDescription:
    """How a face becomes the input of a detector, and how its output becomes a decision.

    Attributes:
        face: Crop, mean and scale of the input, and the licence; see `Description`.
        threshold: The lowest score of a bona fide presentation, finite.
        output: Which column of the first output is the score of bona fide, from 0; negative: from the end.
        activation: What turns the output into scores: `"none"`, `"sigmoid"` or `"softmax"` over the columns.
        sha256: SHA-256 that the file must have, hexadecimal; empty: any.
    """

    face: Description
    threshold: float
    output: int = -1
    activation: Activation = "none"
    sha256: str = ""

    def __post_init__(self) -> None:
        """Check the values.

        Raises:
            ValueError: If one is out of range.
        """
        check_option("activation", self.activation, Activation)
        if not is_finite(self.threshold):
            raise ValueError(f"threshold must be a finite number, got {self.threshold!r:.80}")
        if type(self.output) is not int:
            raise ValueError(f"output must be a whole number, got {self.output!r}")
        if not isinstance(self.sha256, str) or (self.sha256 and (len(self.sha256) != 64 or not _is_hexadecimal(self.sha256))):
            raise ValueError(f"sha256 must be 64 hexadecimal digits, got {self.sha256!r}")

    @classmethod
    def from_toml(cls, values: Mapping[str, Any]) -> "PadDescription":
        """Return the description that the keys of a TOML file give.

        Args:
            values: `threshold`, any of `output`, `activation` and `sha256`, and the keys of an encoder's input, see `Description`.

        Raises:
            ValueError: If a key is missing, unknown or out of range.
        """
        if "threshold" not in values:
            raise ValueError("threshold is missing; it must be the lowest score of a bona fide presentation")
        if given := sorted(_ENCODERS_ONLY & set(values)):
            raise ValueError(f"unknown key {given[0]!r}; it is one of encoders")
        face = Description.from_toml({name: value for name, value in values.items() if name not in _OWN})
        return cls(face, **{name: values[name] for name in _OWN if name in values})


@dataclass(frozen=True, eq=False)
class PadModel:
    """A detector that ONNX Runtime runs.

    Attributes:
        description: Its input and its decision.
        session: The model: one input of faces, and scores as its first output, `(n,)` or `(n, k)`.
        path: Its file.
    """

    description: PadDescription
    session: "onnxruntime.InferenceSession" = field(repr=False)
    path: Path

    @property
    def crop(self) -> Crop:
        """What it takes of a photo."""
        return self.description.face.crop

    @property
    def threshold(self) -> float:
        """The lowest score of a bona fide presentation."""
        return float(self.description.threshold)

    @cached_property
    def digest(self) -> str:
        """SHA-256 of the weights and of how a face becomes a score, hexadecimal; the threshold does not change it."""
        face = self.description.face
        settings = f"{face.crop.to_json()} {face.mean} {face.scale} {self.description.output} {self.description.activation}"
        return onnx_digest(self.path, settings)

    def score(self, faces: npt.NDArray[np.uint8]) -> Scores:
        """Return a score for each face `(n, h, w, c)` of the crop's shape: higher is more likely bona fide.

        Raises:
            ModelError: If the model fails, or has no such output.
        """
        step = batch_size(self.session)
        return np.concatenate([self._scores(faces[start : start + step]) for start in range(0, len(faces), step)])

    def _scores(self, faces: npt.NDArray[np.uint8]) -> Scores:
        try:
            outputs = network_outputs(self.session, self.description.face, faces).astype(np.float64).reshape(len(faces), -1)
        except Exception as error:  # ONNX Runtime's own errors have no common base
            raise ModelError(f"{self.path}: the presentation attack detector failed ({error})") from error
        if self.description.activation == "softmax":
            outputs = np.exp(outputs - outputs.max(axis=1, keepdims=True))
            outputs /= outputs.sum(axis=1, keepdims=True)
        elif self.description.activation == "sigmoid":
            outputs = np.exp(-np.logaddexp(0, -outputs))
        columns, column = outputs.shape[1], self.description.output
        if not -columns <= column < columns:
            raise ModelError(f"{self.path}: output must be a column of its {columns} outputs, got {column}")
        return np.asarray(outputs[:, column])


def load_pad(path: Path | str, *, threads: int | None = None, provider: Provider | None = None) -> PadModel:
    """Load a detector of presentation attacks.

    Args:
        path: A `.onnx` file with a `.toml` of the same name beside it.
        threads: Threads that share a batch; None: one for each core.
        provider: See `visavis.inference.open_session`.

    Raises:
        ModelError: If one of the files is missing or cannot be used, or if the model has another digest than its description says.
        MissingDependencyError: If the provider is not available.

    Example:
        `liveness.toml` beside `liveness.onnx`, a network of two classes, attack and bona fide::

            input_size = [80, 80]
            margin = 0.6
            colour = "bgr"
            activation = "softmax"
            output = 1
            threshold = 0.8
            sha256 = "4d7a...e1"
    """
    path = Path(path)
    described = path.with_suffix(".toml")
    if not path.is_file():
        raise ModelError(f"{path}: no such model file")
    if not described.is_file():
        raise ModelError(f"{path}: a presentation attack detector must be described in {described}: input_size, threshold, ...")
    try:
        description = PadDescription.from_toml(read_toml(described))
    except ValueError as error:
        raise ModelError(f"{described}: {error}") from error
    found = hashlib.sha256(path.read_bytes()).hexdigest()
    if description.sha256 and found != description.sha256.lower():
        raise ModelError(f"{path}: its SHA-256 must be {description.sha256} as {described} says, got {found}")
    session = open_network(path, threads=threads, provider=provider)
    check_input(path, session, description.face)
    if not description.face.crop.aligned:
        raise ModelError(f"{described}: aligned must be true, since the face is cut out of its photo")
    return PadModel(description, session, path)


def _is_hexadecimal(text: str) -> bool:
    return all(digit in "0123456789abcdefABCDEF" for digit in text)
