"""Detect the faces of photos that lie on their side or upside down, without EXIF to say so.

A detector of upright faces finds something in a turned photo too, often beside the face, but with a lower score than in the upright
one. So where the first score is not high, the turned photo is searched as well, in a small copy, and the best turn wins.
"""

import numpy as np
import numpy.typing as npt

from visavis.faces.face import Face
from visavis.faces.finder import FaceDetector
from visavis.images import resize_image

__all__ = ["detect_any_turn"]

Pixels = npt.NDArray[np.uint8]
Points = npt.NDArray[np.float64]

_SURE = 0.995  # detector score of a face, from which the photo is upright
_LIKELY = 0.99  # and from which only the surroundings of the face are searched
_CROP, _AROUND = 72, 1.8  # pixels of a copy of the face's surroundings, and how many times as large as the face they are
_COPY = 0.5  # scale of a copy of the photo
_TURNS = (1, 3, 2)


def detect_any_turn(photo: Pixels, finder: FaceDetector) -> list[Face]:
    """Detect the faces of a photo, whichever way it lies.

    Args:
        photo: `(h, w, 3)` uint8, RGB.
        finder: The face detector.

    Returns:
        The faces in the pixels of the photo as given, largest first. `Face.turns` says how it had to be turned.
    """
    faces = sorted(finder.detect(photo), key=lambda face: -face.area)
    best = _best_score(faces)
    if best >= _SURE:
        return faces
    view = _small_copy(photo, max(faces, key=lambda face: face.score) if best >= _LIKELY else None)
    scores = {turns: _best_score(finder.detect(_turned(view, turns))) for turns in _TURNS}
    turns = max(scores, key=lambda turns: scores[turns])
    if scores[turns] <= best:
        return faces
    found = finder.detect(_turned(photo, turns))
    if _best_score(found) <= best:
        return faces
    return sorted((_turned_back(face, turns, photo) for face in found), key=lambda face: -face.area)


def _best_score(faces: list[Face]) -> float:
    return max((face.score for face in faces), default=0.0)


def _turned(photo: Pixels, turns: int) -> Pixels:
    return np.ascontiguousarray(np.rot90(photo, turns))


def _small_copy(photo: Pixels, face: Face | None) -> Pixels:
    """A small copy of the surroundings of a face, or of the whole photo."""
    height, width = photo.shape[:2]
    if face is None:
        return resize_image(photo, (max(1, round(_COPY * height)), max(1, round(_COPY * width))))
    side = _AROUND * float(max(face.box[2:]))
    left, top = (max(0, int(value)) for value in face.box[:2] + face.box[2:] / 2 - side / 2)
    part = photo[top : top + max(1, round(side)), left : left + max(1, round(side))]
    scale = min(1.0, _CROP / max(part.shape[:2]))
    return resize_image(part, (max(1, round(scale * part.shape[0])), max(1, round(scale * part.shape[1]))))


def _turned_back(face: Face, turns: int, photo: Pixels) -> Face:
    """A face of the turned photo in the pixels of the photo as given."""
    left, top, width, height = face.box
    corners = _points_back(np.array([[left, top], [left + width, top + height]]), turns, photo)
    low, high = corners.min(axis=0), corners.max(axis=0)
    return Face(np.concatenate([low, high - low]), _points_back(face.landmarks, turns, photo), face.score, turns)


def _points_back(points: Points, turns: int, photo: Pixels) -> Points:
    """Undo `np.rot90(photo, turns)` for points `(n, 2)`, x and y."""
    height, width = photo.shape[:2]
    x, y = points.T
    if turns == 1:
        return np.stack([width - 1 - y, x], axis=1)
    if turns == 2:
        return np.stack([width - 1 - x, height - 1 - y], axis=1)
    return np.stack([y, height - 1 - x], axis=1)
