"""Siamese models in Keras: a `.keras` file with the card inside."""

import hashlib
import json
import zipfile
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from visavis.backend import keras
from visavis.encoders import PRETRAINED_FILE, load_encoder
from visavis.encoders.card import Card
from visavis.encoders.loading import MODEL, model_file
from visavis.encoders.mobilenet import read_weights
from visavis.encoders.photos import as_faces
from visavis.errors import ModelError
from visavis.files import atomic_write
from visavis.metrics import unit_rows
from visavis.models import DistanceSigmoid, build_siamese, embed, embedding_of
from visavis.models.mobilenet import build_mobilenet

__all__ = ["KerasEncoder", "load_model", "load_pretrained", "save_model"]

_CARD_MEMBER = "visavis.json"


@dataclass(frozen=True)
class KerasEncoder:
    """A trained Siamese model with its card.

    Attributes:
        card: What it takes and how it decides.
        siamese: The model of two inputs, which contains the embedding network.
    """

    card: Card
    siamese: keras.Model

    @cached_property
    def digest(self) -> str:
        """SHA-256 of the embedding network's weights and of the crop, hexadecimal."""
        digest = hashlib.sha256(self.card.input_digest.encode())
        for weights in embedding_of(self.siamese).get_weights():
            digest.update(np.ascontiguousarray(weights).tobytes())
        return digest.hexdigest()

    def embed(self, faces: npt.NDArray[Any]) -> npt.NDArray[np.float32]:
        """Embed faces `(n, h, w, c)` of the card's input shape, as `(n, d)` float32, rows of unit length.

        Raises:
            ValueError: If `faces` have another shape or type.
        """
        return unit_rows(self.raw(faces))

    def raw(self, faces: npt.NDArray[Any]) -> npt.NDArray[np.float32]:
        """Embed faces without scaling rows to unit length; see `Encoder.raw`."""
        return embed(embedding_of(self.siamese), as_faces(faces, self.card.crop), flip=self.card.flip, unit=False)


def save_model(path: Path | str, siamese: keras.Model, card: Card) -> Path:
    """Write the Siamese model with its card into one file, atomically.

    Args:
        path: A run folder, where the file becomes `model.keras`, or a file name that ends in `.keras`.
        siamese: The model.
        card: Its card.

    Returns:
        The path of the file.
    """
    path = Path(path)
    path = path if path.suffix == ".keras" else path / MODEL
    with atomic_write(path) as temporary:
        siamese.save(temporary)
        with zipfile.ZipFile(temporary, "a") as archive:
            archive.writestr(_CARD_MEMBER, json.dumps(card.to_json(), indent=1))
    return path


def load_model(path: Path | str) -> KerasEncoder:
    """Read what `save_model` wrote.

    Args:
        path: A run folder or a `.keras` file.

    Raises:
        ModelError: If there is none, if it is damaged, or if something else made it.
    """
    file = model_file(Path(path), exported=False)
    try:
        with zipfile.ZipFile(file) as archive:
            values = json.loads(archive.read(_CARD_MEMBER))
    except KeyError as error:
        raise ModelError(f"{file}: a Keras model without a card, not made by visavis.") from error
    except (zipfile.BadZipFile, OSError, ValueError, RecursionError) as error:
        raise ModelError(f"{file}: not a model file, or a damaged one ({error}).") from error
    card = Card.from_json(values, source=str(file))
    try:
        return KerasEncoder(card, keras.saving.load_model(file, compile=False))
    except Exception as error:  # Keras raises whatever its parts raise
        raise ModelError(f"{file}: Keras cannot read it ({error}).") from error


def load_pretrained() -> KerasEncoder:
    """Build the bundled encoder in Keras from the weights in its ONNX file, to fine-tune it.

    Raises:
        ModelError: If this installation has none.
    """
    import onnx

    card = load_encoder("pretrained").card
    network = build_mobilenet(read_weights(onnx.load(PRETRAINED_FILE)), card.input_shape)
    return KerasEncoder(card, _siamese(network, card))


def _siamese(network: keras.Model, card: Card) -> keras.Model:
    head = DistanceSigmoid(dtype="float32", name="head")
    siamese = build_siamese(network, head)
    if card.calibration is not None:
        head.calibrate(card.calibration.offset, card.calibration.slope)
    return siamese
