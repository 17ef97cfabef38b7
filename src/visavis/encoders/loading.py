"""The `Encoder` protocol, and encoders loaded by path or name."""

from dataclasses import replace
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

import numpy as np
import numpy.typing as npt

from visavis.encoders.card import Card
from visavis.errors import ModelError
from visavis.files import check_path
from visavis.inference import Provider
from visavis.metrics import unit_rows

if TYPE_CHECKING:  # two photos are verified without data sets, and sooner
    from visavis.data import FaceDataset

__all__ = ["PRETRAINED_FILE", "Encoder", "embed_faces", "load_encoder", "load_expected", "raw_embeddings"]

PRETRAINED = "pretrained"
CHECKPOINT, MODEL, EXPORTED = "checkpoint.npz", "model.keras", "model.onnx"  # in a run folder
_CHUNK = 512
PRETRAINED_FILE = Path(__file__).parent / "weights" / "encoder.onnx"


class Encoder(Protocol):
    """An embedding model with its card; every object that has these four can be passed in."""

    @property
    def card(self) -> Card:
        """Input crop, operating points and origin of the model."""

    @property
    def digest(self) -> str:
        """SHA-256 of weights and crop, hexadecimal: embeddings of equal digests can be compared. Thresholds do not change it."""

    def embed(self, faces: npt.NDArray[Any]) -> npt.NDArray[np.float32]:
        """Embed faces `(n, h, w, c)` of the card's input shape, levels of 0 .. 255, as `(n, d)` float32, rows of unit length."""

    def raw(self, faces: npt.NDArray[Any]) -> npt.NDArray[np.float32]:
        """Embed faces without scaling rows to unit length; the length of a row may indicate the quality of the photo.

        For a model that averages with the mirrored face, it is how well the two agree, at most 1.
        """


def load_encoder(model: Path | str = PRETRAINED, *, threads: int | None = None, provider: Provider | None = None) -> Encoder:
    """Load a model by its path, or one that has a name.

    Args:
        model: A run folder, whose `model.onnx` is taken if it has one; a `.keras` or `.onnx` file; or the name of a known encoder:
            `"pretrained"`, the bundled one, `"dlib"`, which an extra brings, or one that `visavis encoders list` shows.
        threads: Threads of ONNX Runtime that share a batch; None: one for each core.
        provider: What ONNX Runtime runs on; see `visavis.inference.open_session`.

    Raises:
        ModelError: If there is none, or if it is damaged or foreign.
        MissingDependencyError: If what runs it is not installed.
    """
    if model == "dlib":
        from visavis.encoders.dlib import load_dlib
        from visavis.encoders.registry import shipped_encoder

        encoder = load_dlib(threads=threads, provider=provider)
        return replace(encoder, card=shipped_encoder("dlib").with_measured(encoder.card))
    if isinstance(model, str) and model != PRETRAINED and _is_name(model):
        return _load_known(model, threads=threads, provider=provider)
    if model == PRETRAINED and not PRETRAINED_FILE.is_file():
        raise ModelError(
            "this installation of visavis comes without an encoder. "
            "Name a model of your own (--model RUN); train one with: visavis train DATA --out RUN"
        )
    path = PRETRAINED_FILE if model == PRETRAINED else model_file(Path(model))
    if path.suffix == ".onnx":
        from visavis.encoders.onnx import load_onnx

        return load_onnx(path, threads=threads, provider=provider)
    from visavis.encoders.keras import load_model

    return load_model(path)


@lru_cache(maxsize=1)
def load_expected(model: str, digest: str, *, otherwise: str) -> Encoder:
    """Load a model of one thread, once per process, and check that it is the expected one.

    Args:
        model: What `load_encoder` takes.
        digest: The digest that it must have.
        otherwise: What to say, after the model's name, if it has another one.

    Raises:
        ModelError: If it has another digest, or cannot be loaded.
    """
    encoder = load_encoder(model, threads=1)
    if encoder.digest != digest:
        raise ModelError(f"{model}: {otherwise}")
    return encoder


def _is_name(model: str) -> bool:
    """Return whether a model is given by the name of a known encoder, and not by a path."""
    if Path(model).exists() or Path(model).suffix in (".onnx", ".keras") or Path(model).name != model:
        return False
    from visavis.encoders.registry import known_encoders

    return model in known_encoders()


def _load_known(name: str, *, threads: int | None, provider: Provider | None) -> Encoder:
    from visavis.encoders.onnx import load_described
    from visavis.encoders.registry import find_encoder

    known = find_encoder(name)
    if not known.path.is_file():
        raise ModelError(f"{name} is not on this machine. Download it with: visavis encoders get {name}")
    return load_described(known.path, known.description, known.card, threads=threads, provider=provider)


def model_file(path: Path, *, exported: bool = True) -> Path:
    """Return the file that holds a model: that of a run folder, or `path` itself.

    Args:
        path: A run folder or a file.
        exported: Whether the run folder's `model.onnx` is preferred, unless it is older than its `model.keras`.

    Raises:
        ModelError: If there is none.
    """
    check_path(path)
    if not path.is_dir():
        if path.suffix in (".onnx", ".keras") and not path.is_file():
            raise ModelError(f"{path}: no such model file")
        if not path.is_file():
            if str(path) in (PRETRAINED, "dlib") or _is_name(str(path)):
                raise ModelError(f"{path}: a known encoder, not a model of visavis train; load_encoder reads it")
            raise ModelError(f"{path}: no such model. Train one with: visavis train DATA --out RUN")
        return path
    trained, onnx = path / MODEL, path / EXPORTED
    if exported and onnx.is_file() and not (trained.is_file() and trained.stat().st_mtime_ns > onnx.stat().st_mtime_ns):
        return onnx
    if trained.is_file():
        return trained
    if (path / CHECKPOINT).is_file():
        raise ModelError(f"{trained}: no such model. Its training was not finished: continue it with --resume")
    raise ModelError(f"{trained}: no such model. Train one with: visavis train DATA --out {path}")


def embed_faces(encoder: Encoder, faces: "FaceDataset", *, progress: bool = False) -> npt.NDArray[np.float32]:
    """Embed all faces of a data set as `raw_embeddings` does, rows of unit length."""
    return unit_rows(raw_embeddings(encoder, faces, progress=progress))


def raw_embeddings(encoder: Encoder, faces: "FaceDataset", *, progress: bool = False) -> npt.NDArray[np.float32]:
    """Embed all faces of a data set, with at most a few hundred of them in memory.

    Args:
        encoder: The model.
        faces: Faces of its input shape, or aligned faces from which its crop can be cut.
        progress: Whether to show a bar on standard error once it has taken a second.

    Returns:
        `(n, d)` float32, rows as `Encoder.raw` gives them.
    """
    from tqdm import tqdm

    rows = []
    with tqdm(total=len(faces), desc="embedding", unit="face", disable=not progress, delay=1) as bar:
        for start in range(0, len(faces), _CHUNK):
            chosen = np.arange(start, min(start + _CHUNK, len(faces)))
            rows.append(encoder.raw(faces.select(chosen).cut(encoder.card.crop).faces))
            bar.update(len(chosen))
    return np.concatenate(rows)
