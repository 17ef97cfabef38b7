"""What an encoder is, and how to get one by path or by name."""

from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

import numpy as np
import numpy.typing as npt

from visavis.encoders.card import Card
from visavis.errors import ModelError
from visavis.metrics import unit_rows

if TYPE_CHECKING:  # two photos are verified without data sets, and sooner
    from visavis.data import FaceDataset

__all__ = ["PRETRAINED_FILE", "Encoder", "embed_faces", "load_encoder", "raw_embeddings"]

PRETRAINED = "pretrained"
CHECKPOINT, MODEL = "checkpoint.npz", "model.keras"  # in a run folder
_CHUNK = 512
PRETRAINED_FILE = Path(__file__).parent / "weights" / "encoder.onnx"


class Encoder(Protocol):
    """An embedding model with its card."""

    @property
    def card(self) -> Card:
        """What the model takes and how it decides."""

    @property
    def digest(self) -> str:
        """SHA-256 of the weights, hexadecimal: where it is the same, embeddings can be compared. Thresholds do not change it."""

    def embed(self, faces: npt.NDArray[Any]) -> npt.NDArray[np.float32]:
        """Turn faces `(n, h, w, c)`, of the card's input shape, into `(n, d)` float32, rows of unit length."""

    def raw(self, faces: npt.NDArray[Any]) -> npt.NDArray[np.float32]:
        """Do the same but for the unit length: how long a row is may tell how good the photo is.

        Of a model that averages with the mirrored face it is how well the two agree, at most 1.
        """


def load_encoder(model: Path | str = PRETRAINED, *, threads: int | None = None) -> Encoder:
    """Load a model by its path, or one that has a name.

    Args:
        model: A run folder; the `model.keras` in it; a `.onnx` file, see `load_onnx`; `"pretrained"`, the encoder that comes with
            visavis; or `"dlib"`, dlib's, which an extra brings.
        threads: How many threads ONNX Runtime shares a batch among; None: one for each core.

    Raises:
        ModelError: If there is none, or if it is damaged or foreign.
        MissingDependencyError: If what runs it is not installed.
    """
    if model == "dlib":
        from visavis.encoders.dlib import load_dlib

        return load_dlib()
    if model == PRETRAINED and not PRETRAINED_FILE.is_file():
        raise ModelError(
            "this installation of visavis comes without an encoder. "
            "Name a model of your own (--model RUN); train one with: visavis train DATA --out RUN"
        )
    path = PRETRAINED_FILE if model == PRETRAINED else Path(model)
    if path.suffix == ".onnx":
        from visavis.encoders.onnx import load_onnx

        return load_onnx(path, threads=threads)
    from visavis.encoders.keras import load_model

    return load_model(path)


def embed_faces(encoder: Encoder, faces: "FaceDataset", *, progress: bool = False) -> npt.NDArray[np.float32]:
    """Embed all faces of a data set; as `raw_embeddings` does, and brought to unit length."""
    return unit_rows(raw_embeddings(encoder, faces, progress=progress))


def raw_embeddings(encoder: Encoder, faces: "FaceDataset", *, progress: bool = False) -> npt.NDArray[np.float32]:
    """Embed all faces of a data set, never more than a few hundred of them in memory.

    Args:
        encoder: What embeds them.
        faces: Faces of its input shape.
        progress: Whether to show a bar on standard error once it has taken a second.

    Returns:
        `(n, d)` float32, rows as `Encoder.raw` gives them.
    """
    from tqdm import tqdm

    rows = []
    with tqdm(total=len(faces), desc="embedding", unit="face", disable=not progress, delay=1) as bar:
        for start in range(0, len(faces), _CHUNK):
            chosen = np.arange(start, min(start + _CHUNK, len(faces)))
            rows.append(encoder.raw(faces.gather(chosen)))
            bar.update(len(chosen))
    return np.concatenate(rows)
