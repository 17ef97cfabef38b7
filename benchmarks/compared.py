"""The bundled encoder, SFace as published and dlib's network: their embeddings of the same faces, which `runs/` keeps.

All get faces that our detector found. The bundled encoder and SFace get the crop of 112 pixels; dlib's network gets 150 pixels
cut from the photo where dlib itself cuts them.
"""

import csv
import hashlib
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
from record import PHOTOS, RUNS

sys.path.append(str(Path(__file__).parents[1] / "recipes"))
from start import session_of, sface_graph, sface_path
from teacher import Teacher, weights_path

from visavis.data import FaceDataset, load_dataset, open_photos
from visavis.data.preparation import prepare_photos
from visavis.encoders import PRETRAINED_FILE, load_encoder
from visavis.faces import CANONICAL_LANDMARKS, Similarity, warp_face
from visavis.images import read_image
from visavis.metrics import unit_rows

__all__ = ["DATA", "ENCODERS", "embeddings", "faces_of", "one_face_steps"]

Floats = npt.NDArray[np.float32]

ENCODERS = ("visavis", "sface", "dlib")
_POINTS = ("left_eye", "right_eye", "nose", "mouth_left", "mouth_right")
_CHIP_POINTS = (CANONICAL_LANDMARKS + [12, 8]) * 1.5 + 0.25 - [28, 46]  # the median of where dlib itself cuts LFW's photos
_BATCH = 8


@dataclass(frozen=True)
class Source:
    """An archive of photos, and how its faces are found."""

    archive: str
    options: dict[str, Any]


DATA = {
    "lfw": Source("lfw-deepfunneled.tar", {"policy": "centre", "fallback": "centre"}),
    "att": Source("att_faces.tar", {}),
    "wild": Source("wild-dev.tar", {}),
}


def faces_of(data: str) -> FaceDataset:
    """Return a data set's faces, found and aligned in `runs/DATA-compared` if they are not there yet."""
    out = RUNS / f"{data}-compared"
    if not (out / "faces.npy").is_file():
        prepare_photos(PHOTOS / DATA[data].archive, out, **DATA[data].options)
    return load_dataset(out)


def embeddings(encoder: str, data: str) -> Floats:
    """Return an encoder's embeddings of a data set, rows of unit length, in the order of `faces_of`."""
    faces = faces_of(data)
    weights = {"visavis": lambda: PRETRAINED_FILE, "sface": sface_path, "dlib": weights_path}[encoder]()
    digest = hashlib.sha256(weights.read_bytes() + faces.digest().encode()).hexdigest()[:16]
    path = RUNS / f"embeddings-{encoder}-{data}-{digest}.npy"
    if not path.is_file():
        embed = _embedder(encoder, threads=0)
        crops = _chips(data) if encoder == "dlib" else iter(faces.faces)
        np.save(path, np.concatenate([embed(np.stack(part)) for part in _batches(crops)]))
    return unit_rows(np.load(path))


def one_face_steps() -> dict[str, Callable[[], Any]]:
    """Embed one face in one thread: by each of them, and by dlib's own code."""
    faces, chip = faces_of("lfw"), next(_chips("lfw"))
    face = np.asarray(faces.faces[:1])
    steps: dict[str, Callable[[], Any]] = {}
    for name in ENCODERS:
        steps[name] = partial(_embedder(name, threads=1), chip[None] if name == "dlib" else face)
    import dlib

    network = dlib.face_recognition_model_v1(str(weights_path()))
    return {**steps, "dlib's own code": lambda: network.compute_face_descriptor(chip)}


def _embedder(encoder: str, *, threads: int) -> Callable[[npt.NDArray[np.uint8]], Floats]:
    """A function from crops `(n, h, w, 3)` to embeddings."""
    if encoder == "visavis":
        return load_encoder(threads=threads or None).embed
    if encoder == "dlib":
        return Teacher(threads=threads).descriptors
    session = session_of(sface_graph(sface_path()), threads=threads)
    return lambda crops: session.run(None, {"data": np.ascontiguousarray(crops.transpose(0, 3, 1, 2), dtype=np.float32)})[0]


def _chips(data: str) -> Iterator[npt.NDArray[np.uint8]]:
    """What dlib's network takes: `(150, 150, 3)` for each face, cut from its photo."""
    folder = RUNS / f"{data}-compared"
    with open_photos(PHOTOS / DATA[data].archive) as files, (folder / "faces.csv").open(newline="", encoding="utf-8") as table:
        for row in csv.DictReader(table):
            photo = read_image(files.fetch(row["source"]), name=row["source"])
            if photo.shape[2] == 1:
                photo = photo.repeat(3, axis=2)
            yield warp_face(photo, Similarity.between(_landmarks(row, photo.shape), _CHIP_POINTS), 150)


def _landmarks(row: dict[str, str], shape: tuple[int, ...]) -> npt.NDArray[np.float64]:
    """The landmarks of a face in its photo; where none was found, those of the square around the centre."""
    if row["left_eye_x"]:
        return np.array([[float(row[f"{point}_x"]), float(row[f"{point}_y"])] for point in _POINTS])
    side = min(shape[:2])
    corner = [(shape[1] - side) // 2, (shape[0] - side) // 2]
    return (CANONICAL_LANDMARKS + 0.5) * side / 112 - 0.5 + corner


def _batches(crops: Iterator[npt.NDArray[np.uint8]]) -> Iterator[list[npt.NDArray[np.uint8]]]:
    part: list[npt.NDArray[np.uint8]] = []
    for crop in crops:
        part.append(crop)
        if len(part) == _BATCH:
            yield part
            part = []
    if part:
        yield part
