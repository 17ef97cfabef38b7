"""The bundled encoder, SFace as published and dlib's network: their embeddings of the same faces, which `runs/` keeps.

All get faces that our detector found, each in its own crop.
"""

import hashlib
import sys
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
from record import PHOTOS, RUNS

sys.path.append(str(Path(__file__).parents[1] / "recipes"))
from start import session_of, sface_graph, sface_path

from visavis.data import FaceDataset, load_dataset
from visavis.data.preparation import prepare_photos
from visavis.encoders import PRETRAINED_FILE, load_encoder
from visavis.encoders.dlib import DLIB_CROP, dlib_weights
from visavis.faces import CANONICAL_CROP, AcquisitionSettings, Crop
from visavis.metrics import unit_rows

__all__ = ["ENCODERS", "embeddings", "faces_of", "one_face_steps"]

Floats = npt.NDArray[np.float32]

ENCODERS = ("visavis", "sface", "dlib")
_ARCHIVES = {"lfw": "lfw-deepfunneled.tar", "att": "att_faces.tar", "wild": "wild-dev.tar"}
_ACQUISITION = {"lfw": AcquisitionSettings(policy="centre", fallback="centre")}
_BATCH = 8


def faces_of(data: str) -> FaceDataset:
    """Return a data set's faces, detected and kept in `runs/DATA-faces` if they are not there yet."""
    out = RUNS / f"{data}-faces"
    if not (out / "faces.npy").is_file():
        prepare_photos(PHOTOS / _ARCHIVES[data], out, acquisition=_ACQUISITION.get(data))
    return load_dataset(out)


def embeddings(encoder: str, data: str) -> Floats:
    """Return an encoder's embeddings of a data set, rows of unit length, in the order of `faces_of`."""
    faces = faces_of(data)
    weights = {"visavis": lambda: PRETRAINED_FILE, "sface": sface_path, "dlib": dlib_weights}[encoder]()
    digest = hashlib.sha256(weights.read_bytes() + faces.digest().encode()).hexdigest()[:16]
    path = RUNS / f"embeddings-{encoder}-{data}-{digest}.npy"
    if not path.is_file():
        embed, crop = _embedder(encoder, threads=None)
        parts = (range(start, min(start + _BATCH, len(faces))) for start in range(0, len(faces), _BATCH))
        np.save(path, np.concatenate([embed(_cut(faces, part, crop)) for part in parts]))
    return unit_rows(np.load(path))


def one_face_steps() -> dict[str, Callable[[], Any]]:
    """Return functions that embed one face in one thread: by each of them, and by dlib's own code."""
    import dlib

    faces = faces_of("lfw")
    steps: dict[str, Callable[[], Any]] = {}
    for name in ENCODERS:
        embed, crop = _embedder(name, threads=1)
        steps[name] = partial(embed, _cut(faces, range(1), crop))
    network, chip = dlib.face_recognition_model_v1(str(dlib_weights())), faces.cut_face(0, DLIB_CROP)
    return {**steps, "dlib's own code": lambda: network.compute_face_descriptor(chip)}


def _embedder(encoder: str, *, threads: int | None) -> tuple[Callable[[npt.NDArray[np.uint8]], Floats], Crop]:
    """Return a function from crops `(n, h, w, 3)` to embeddings, and the crop."""
    if encoder == "sface":
        session = session_of(sface_graph(sface_path()), threads=threads or 0)
        return lambda crops: session.run(None, {"data": np.float32(crops.transpose(0, 3, 1, 2))})[0], CANONICAL_CROP
    found = load_encoder("pretrained" if encoder == "visavis" else encoder, threads=threads)
    return found.embed, found.card.crop


def _cut(faces: FaceDataset, indices: range, crop: Crop) -> npt.NDArray[np.uint8]:
    return np.stack([faces.cut_face(index, crop) for index in indices])
