"""Detect the faces of photos, also of those that lie on their side or upside down without EXIF to say so.

A photo in which nothing is found is searched once more, more thoroughly (`ThoroughDetector`).

A detector of upright faces finds something in a turned photo too, often beside the face, and with a score that may be high. The
score of a crop (`CropScorer`) tells much better which way up a face is: that of the face as it is found is compared with those of
its crop turned by 90, 180 and 270 degrees. Where it is not clearly the highest, the turned photo is searched as well, in a small
copy, and another turn wins if its evidence is clearly higher and its landmarks are upright.
"""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from visavis.faces.crops import ARCFACE_LANDMARKS
from visavis.faces.face import Face
from visavis.faces.finder import CropScorer, FaceDetector, ThoroughDetector
from visavis.faces.geometry import Similarity
from visavis.images import resize_image

__all__ = ["detect_any_turn"]

Pixels = npt.NDArray[np.uint8]
Points = npt.NDArray[np.float64]

# Chosen on LFW without folds 1 and 2 and on people in the wild below 5000. Log-odds.
_SURE = 7.0  # evidence from which a face is upright, if none of the turned crops comes near
_MARGIN = 1.0  # by which the turned crops must be below, and by which another turn must be above
_DETECTOR_WEIGHT = 0.5  # of the detector score beside the score of the crop
_UPRIGHT = 45.0  # degrees by which an upright face may be rotated
_CROP = 24  # pixels
_COPY, _COPY_SIDE = 0.5, 480  # scale of a copy of the photo, and its longer side in pixels at most
_EMPTY_COPY, _EMPTY_SIDE = 0.4, 320  # where nothing was found in the photo
_COPY_FACE = 40  # pixels; a copy is larger where the face would have fewer
_TURNS = (1, 3, 2)


@dataclass(frozen=True)
class _View:
    """What is found in a photo that is turned by so many quarter turns.

    Attributes:
        faces: The faces, in any order.
        evidence: How clearly the best one is upright, log-odds; minus infinity without faces.
        margin: By how much the score of its crop is above those of the turned crops.
        angle: By how much it is rotated, degrees.
    """

    turns: int
    faces: list[Face]
    evidence: float = -np.inf
    margin: float = -np.inf
    angle: float = 0.0


def detect_any_turn(photo: Pixels, finder: FaceDetector) -> list[Face]:
    """Detect the faces of a photo, whichever way it lies; without `CropScorer.score_crop`, as it lies.

    Args:
        photo: `(h, w, 3)` uint8, RGB.
        finder: The face detector.

    Returns:
        The faces in the pixels of the photo as given, largest first. `Face.turns` says how it had to be turned.
    """
    given = _view(photo, 0, finder, thorough=True)
    if isinstance(finder, CropScorer) and not (given.evidence >= _SURE and given.margin >= _MARGIN):
        copy = _small_copy(photo, given.faces)
        candidates = [view for view in (_view(copy, turns, finder) for turns in _TURNS) if abs(view.angle) <= _UPRIGHT]
        best = max(candidates, key=lambda view: view.evidence, default=given)
        turned = _view(photo, best.turns, finder) if best.faces else given
        if turned.evidence > given.evidence + _MARGIN and abs(turned.angle) <= _UPRIGHT:
            given = turned
    faces = given.faces if given.turns == 0 else [_turned_back(face, given.turns, photo) for face in given.faces]
    return sorted(faces, key=lambda face: -face.area)


def _view(photo: Pixels, turns: int, finder: FaceDetector, *, thorough: bool = False) -> _View:
    """Detect the faces of a turned photo, and judge whether the one with the highest detector score is upright."""
    turned = np.ascontiguousarray(np.rot90(photo, turns))
    faces = finder.detect(turned)
    if not faces and thorough and isinstance(finder, ThoroughDetector):
        faces = finder.detect_thoroughly(turned)
    if not faces or not isinstance(finder, CropScorer):
        return _View(turns, faces)
    face = max(faces, key=lambda face: face.score)
    crop = _square_crop(turned, face)
    upright, *others = (_log_odds(finder.score_crop(np.ascontiguousarray(np.rot90(crop, quarter)))) for quarter in range(4))
    evidence = upright + _DETECTOR_WEIGHT * _log_odds(face.score)
    return _View(turns, faces, evidence, upright - max(others), Similarity.between(ARCFACE_LANDMARKS, face.landmarks).rotation)


def _log_odds(score: float) -> float:
    return float(np.log((score + 1e-7) / (1 - score + 1e-7)))


def _square_crop(photo: Pixels, face: Face) -> Pixels:
    """A small square crop of a face's box; gray where that lies outside the photo."""
    side = max(1, round(float(max(face.box[2:]))))
    left, top = np.round(face.box[:2] + face.box[2:] / 2 - side / 2).astype(int)
    height, width = photo.shape[:2]
    crop = np.full((side, side, 3), 127, np.uint8)
    inside = photo[max(0, top) : max(0, min(height, top + side)), max(0, left) : max(0, min(width, left + side))]
    crop[max(0, -top) :, max(0, -left) :][: inside.shape[0], : inside.shape[1]] = inside
    return resize_image(crop, (_CROP, _CROP))


def _small_copy(photo: Pixels, faces: list[Face]) -> Pixels:
    height, width = photo.shape[:2]
    most, side = (_COPY, _COPY_SIDE) if faces else (_EMPTY_COPY, _EMPTY_SIDE)
    scale = min(most, side / max(height, width))
    if faces:
        largest = max(float(max(face.box[2:])) for face in faces)
        scale = min(1.0, max(scale, _COPY_FACE / max(1.0, largest)))
    return resize_image(photo, (max(1, round(scale * height)), max(1, round(scale * width))))


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
