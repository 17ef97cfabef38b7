"""dlib's face network as an encoder, for comparison: needs the extra `dlib`."""

import hashlib
import importlib.util
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
from PIL import Image

from visavis.encoders.card import Card
from visavis.errors import MissingDependencyError
from visavis.faces import CANONICAL_SIDE
from visavis.metrics import unit_rows
from visavis.metrics.operating_points import OperatingPoint

__all__ = ["DlibEncoder", "load_dlib"]

_CHIP = 150
_SCALE, _LEFT, _TOP = 1.503, 6.7, 22.4  # where dlib itself cuts a face, in the canonical crop: medians over photos of LFW


@dataclass(frozen=True, eq=False)
class DlibEncoder:
    """dlib's network, run by dlib.

    dlib cuts a face a little lower than the canonical crop reaches; the last rows of the crop are repeated there.

    Attributes:
        card: What it takes and how it decides.
        network: dlib's `face_recognition_model_v1`.
        digest: SHA-256 of its file, hexadecimal.
    """

    card: Card
    network: Any
    digest: str

    def embed(self, faces: npt.NDArray[Any]) -> npt.NDArray[np.float32]:
        """Turn faces `(n, 112, 112, 3)`, 0 .. 255, into `(n, 128)` float32, rows of unit length."""
        return unit_rows(self.raw(faces))

    def raw(self, faces: npt.NDArray[Any]) -> npt.NDArray[np.float32]:
        """Turn them into dlib's own descriptors."""
        rows = [self.network.compute_face_descriptor(_chip(np.asarray(face, dtype=np.uint8))) for face in faces]
        return np.array(rows, dtype=np.float32).reshape(-1, 128)


def _chip(face: npt.NDArray[np.uint8]) -> npt.NDArray[np.uint8]:
    padded = Image.fromarray(np.pad(face, ((0, 16), (0, 0), (0, 0)), mode="edge"))
    matrix = (1 / _SCALE, 0, _LEFT, 0, 1 / _SCALE, _TOP)
    return np.array(padded.transform((_CHIP, _CHIP), Image.Transform.AFFINE, matrix, Image.Resampling.BICUBIC))


def load_dlib() -> DlibEncoder:
    """Load dlib's network from the package `face_recognition_models`.

    Its card has face_recognition's tolerance of 0.6 as the threshold, brought to unit length: descriptors are about 1.4 long.

    Raises:
        MissingDependencyError: If the extra is not installed.
    """
    found = importlib.util.find_spec("face_recognition_models")
    try:
        import dlib
    except ImportError:
        found = None
    if found is None or not found.submodule_search_locations:
        raise MissingDependencyError("dlib's encoder needs: pip install 'visavis[dlib]'")
    weights = Path(found.submodule_search_locations[0]) / "models" / "dlib_face_recognition_resnet_model_v1.dat"
    rule = OperatingPoint(score=1 - 0.6**2 / (2 * 1.4**2), chosen_on="face_recognition's tolerance of 0.6")
    card = Card((CANONICAL_SIDE, CANONICAL_SIDE, 3), aligned=True, threshold=rule, licence="public domain")
    return DlibEncoder(card, dlib.face_recognition_model_v1(str(weights)), hashlib.sha256(weights.read_bytes()).hexdigest())
