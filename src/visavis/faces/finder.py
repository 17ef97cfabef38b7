"""Find faces in photos and align them: boxes, five points, and one canonical crop that can be undone.

A face is cut by the similarity transform (Umeyama, 1991) that brings its eyes, nose and corners of the mouth nearest to where
networks of the field expect them in 112 x 112 pixels (Deng et al., ArcFace, 2019). A place of `(0, 0)` is the middle of the first
pixel.
"""

from dataclasses import dataclass
from functools import cached_property
from typing import Literal, get_args

import numpy as np
import numpy.typing as npt
from PIL import Image

from visavis.errors import FaceError
from visavis.faces.detection import Cascade, load_cascade
from visavis.images import crop_centre, resize_image, to_gray

__all__ = [
    "CANONICAL_POINTS",
    "CANONICAL_SIDE",
    "AlignedFace",
    "Face",
    "FaceFinder",
    "FacePolicy",
    "Similarity",
    "acquire_faces",
    "align_face",
    "cut_face",
    "sharpness",
]

Pixels = npt.NDArray[np.uint8]
Points = npt.NDArray[np.float64]
FacePolicy = Literal["largest", "centre", "all", "error"]

POLICIES = get_args(FacePolicy)
CANONICAL_SIDE = 112
CANONICAL_POINTS: Points = np.array(
    [[38.2946, 51.6963], [73.5318, 51.5014], [56.0252, 71.7366], [41.5493, 92.3655], [70.7299, 92.2041]]
)
"""Where the eye on the left of the photo, the other eye, the nose and the two corners of the mouth come to lie, pixels."""

SMALL, BLURRED, TURNED = 24.0, 40.0, 0.35
_DETECTED_AT = 640
_HALF = 0.5 + 0.5j


@dataclass(frozen=True, eq=False)
class Face:
    """A face that was found in a photo, in the photo's pixels.

    Attributes:
        box: `(4,)` left, top, width and height.
        points: `(5, 2)` x and y of the eye on the left of the photo, the other eye, the nose and the two corners of the mouth.
        score: The detector's, 0 .. 1.
    """

    box: Points
    points: Points
    score: float

    @property
    def eye_distance(self) -> float:
        """Pixels between the eyes."""
        return float(np.linalg.norm(self.points[1] - self.points[0]))

    @property
    def turn(self) -> float:
        """How far the nose stands from the middle between the eyes, along their line, in eye distances: about 0.5 in profile."""
        along = (self.points[1] - self.points[0]) / max(self.eye_distance, 1e-6)
        return float(abs((self.points[2] - self.points[:2].mean(axis=0)) @ along) / max(self.eye_distance, 1e-6))


@dataclass(frozen=True)
class Similarity:
    """Rotation, scale and shift of the plane, `(x, y)` as the complex number ``x + i y`` to ``factor * (x + i y) + shift``.

    Attributes:
        factor: Scale and rotation, not 0.
        shift: What is added.
    """

    factor: complex
    shift: complex

    @classmethod
    def between(cls, source: npt.ArrayLike, target: npt.ArrayLike) -> "Similarity":
        """Return the transform that brings points `(n, 2)` nearest to others, by least squares.

        Raises:
            ValueError: If all points of `source` are one, or all of `target`.
        """
        here, there = (np.asarray(points, dtype=np.float64) @ [1, 1j] for points in (source, target))
        from_centre = here - here.mean()
        factor = complex(np.vdot(from_centre, there - there.mean()) / max(np.vdot(from_centre, from_centre).real, 1e-12))
        if factor == 0:
            raise ValueError("points must differ from each other. Received: points that are all alike")
        return cls(factor, complex(there.mean() - factor * here.mean()))

    def apply(self, points: npt.ArrayLike) -> Points:
        """Move points `(n, 2)`."""
        moved = self.factor * (np.asarray(points, dtype=np.float64) @ [1, 1j]) + self.shift
        return np.stack([moved.real, moved.imag], axis=-1)

    def inverse(self) -> "Similarity":
        """Return the way back."""
        return Similarity(1 / self.factor, -self.shift / self.factor)

    @property
    def scale(self) -> float:
        """How much larger things become."""
        return abs(self.factor)


@dataclass(frozen=True, eq=False)
class AlignedFace:
    """A face in the canonical crop, with the way back to its photo.

    Attributes:
        pixels: `(112, 112, 3)` uint8.
        transform: From the photo's pixels to the crop's.
        face: Where it was found; None: nothing was, and this is the photo's centre, as asked for.
        others: How many other faces were found in the photo.
    """

    pixels: Pixels
    transform: Similarity
    face: Face | None
    others: int = 0

    @property
    def outline(self) -> Points:
        """The corners `(4, 2)` of the crop in the photo's pixels."""
        low, high = -0.5, CANONICAL_SIDE - 0.5
        return self.transform.inverse().apply([[low, low], [high, low], [high, high], [low, high]])

    @cached_property
    def sharpness(self) -> float:
        """Of the crop; see `sharpness`."""
        return sharpness(self.pixels)

    @property
    def warnings(self) -> tuple[str, ...]:
        """What makes a comparison of this face less reliable."""
        found = []
        if self.face is None:
            found.append("no face was found: the centre of the photo was taken")
        else:
            if self.face.eye_distance < SMALL:
                found.append(f"small face: {self.face.eye_distance:.0f} pixels between the eyes")
            if self.face.turn > TURNED:
                found.append("face in profile")
        if self.sharpness < BLURRED:
            found.append("blurred face")
        if self.others:
            found.append(f"{self.others} other face{'s' if self.others > 1 else ''} in the photo")
        return tuple(found)


class FaceFinder:
    """Finds faces by MTCNN (Zhang et al., 2016); its networks are loaded when they are first needed. Threads may share it."""

    def __init__(self, *, smallest: int = 20, least_score: float = 0.8) -> None:
        """Set what counts as a face.

        Args:
            smallest: Side of the smallest face that is looked for, pixels, in the photo brought down to 640 pixels.
            least_score: The detector's score from which on something is a face, 0 .. 1.

        Raises:
            ValueError: If a number is out of range.
        """
        if smallest < 12 or not 0 < least_score < 1:
            raise ValueError(
                f"smallest must be at least 12 and least_score in (0, 1). Received: smallest={smallest}, least_score={least_score}"
            )
        self.smallest, self.least_score = smallest, least_score

    @cached_property
    def _cascade(self) -> Cascade:
        return load_cascade()

    def find(self, photo: Pixels) -> list[Face]:
        """Find all faces in a photo.

        Args:
            photo: `(h, w, 3)` uint8, RGB.

        Returns:
            The faces, the largest first.
        """
        scale = min(1.0, _DETECTED_AT / max(photo.shape[:2]))
        height, width = (max(1, round(side * scale)) for side in photo.shape[:2])
        if min(height, width) < self.smallest:
            return []
        seen = photo if scale == 1 else resize_image(photo, (height, width))
        boxes, points, scores = self._cascade.detect(seen, smallest=self.smallest, least_score=self.least_score)
        boxes[:, 2:] -= boxes[:, :2]
        boxes[:, :2], points = ((places + 0.5) / scale - 0.5 for places in (boxes[:, :2], points))
        boxes[:, 2:] /= scale
        order = np.argsort(-boxes[:, 2] * boxes[:, 3], kind="stable")
        return [Face(boxes[index], points[index], float(scores[index])) for index in order]

    def resemblance(self, crop: Pixels) -> float:
        """Tell how sure the detector is that a photo is cut to a face.

        Args:
            crop: `(h, w, 3)` uint8, RGB.

        Returns:
            0 .. 1: hardly below 0.9 for faces, hardly above 0.7 for what is none, or for photos that are not cut to it.
        """
        return self._cascade.resemblance(crop)


def acquire_faces(
    photo: Pixels,
    finder: FaceFinder,
    *,
    name: str = "the photo",
    policy: FacePolicy = "largest",
    fallback: Literal["centre"] | None = None,
) -> list[AlignedFace]:
    """Find the face or faces of a photo that are wanted, and align them.

    Args:
        photo: `(h, w, 3)` uint8, RGB.
        finder: Finds the faces.
        name: What to call the photo in an error.
        policy: Which, where there are several: the `"largest"`, that nearest to the `"centre"`, `"all"`, or none (`"error"`).
        fallback: `"centre"`: take the square around the centre where there is none; None: that is an error.

    Returns:
        The faces, one but for `"all"`.

    Raises:
        FaceError: If there is no face, or if there are several and the policy is `"error"`.
        ValueError: If `policy` or `fallback` is not one of these.
    """
    if policy not in POLICIES or fallback not in (None, "centre"):
        raise ValueError(
            f"policy must be one of {', '.join(POLICIES)}, and fallback None or 'centre'. "
            f"Received: policy={policy!r}, fallback={fallback!r}"
        )
    faces = finder.find(photo)
    if not faces:
        if fallback is None:
            raise FaceError(f"{name}: no face was found{_hint(photo, finder)}")
        return [_centre_of(photo)]
    if len(faces) > 1 and policy == "error":
        raise FaceError(f"{name}: {len(faces)} faces were found where one is wanted")
    if policy == "centre":
        middle = np.array([photo.shape[1], photo.shape[0]]) / 2
        faces.sort(key=lambda face: float(np.linalg.norm(face.box[:2] + face.box[2:] / 2 - middle)))
    wanted = faces if policy == "all" else faces[:1]
    return [align_face(photo, face, others=len(faces) - len(wanted)) for face in wanted]


def _hint(photo: Pixels, finder: FaceFinder) -> str:
    """What to do about a photo in which no face was found, where it only lies on its side or stands on its head."""
    for turns, way in ((1, "a quarter to the left"), (3, "a quarter to the right"), (2, "upside down")):
        if finder.find(np.ascontiguousarray(np.rot90(photo, turns))):
            return f", but there is one when the photo is turned {way}: turn it and save it"
    return ""


def align_face(photo: Pixels, face: Face, *, others: int = 0) -> AlignedFace:
    """Cut a face out of its photo so that its five points come to lie in the canonical places.

    Args:
        photo: `(h, w, 3)` uint8, RGB.
        face: Where it is.
        others: How many other faces the photo has, to be told with it.
    """
    transform = Similarity.between(face.points, CANONICAL_POINTS)
    return AlignedFace(cut_face(photo, transform, CANONICAL_SIDE), transform, face, others)


def sharpness(face: Pixels) -> float:
    """Variance of the Laplacian of the luma (Pech-Pacheco et al., 2000), levels squared; low where a face is blurred.

    Args:
        face: `(h, w, 1)` or `(h, w, 3)` uint8.
    """
    luma = (face if face.shape[2] == 1 else to_gray(face))[:, :, 0].astype(np.float32)
    inner = luma[1:-1, 1:-1]
    return float(np.var(luma[:-2, 1:-1] + luma[2:, 1:-1] + luma[1:-1, :-2] + luma[1:-1, 2:] - 4 * inner))


def cut_face(photo: Pixels, transform: Similarity, side: int) -> Pixels:
    """Resample a square out of a photo; black where it reaches beyond. Large photos are averaged down first.

    Args:
        photo: `(h, w, 3)` uint8, RGB.
        transform: From the photo's pixels to those of the square.
        side: Of the square, pixels.

    Returns:
        `(side, side, 3)` uint8.
    """
    image = Image.fromarray(photo)
    shrunk = max(1, int(1 / transform.scale))
    if shrunk > 1:
        image = image.reduce(shrunk)
    back = transform.inverse()
    factor = back.factor / shrunk
    shift = (back.shift + _HALF - back.factor * _HALF) / shrunk  # Pillow counts from the corner of the first pixel
    matrix = (factor.real, -factor.imag, shift.real, factor.imag, factor.real, shift.imag)
    return np.asarray(image.transform((side, side), Image.Transform.AFFINE, matrix, Image.Resampling.BICUBIC), dtype=np.uint8)


def _centre_of(photo: Pixels) -> AlignedFace:
    """The square around the centre in the place of a face."""
    side = min(photo.shape[:2])
    top, left = (photo.shape[0] - side) // 2, (photo.shape[1] - side) // 2
    scale = CANONICAL_SIDE / side
    pixels = resize_image(crop_centre(photo, 1.0), (CANONICAL_SIDE, CANONICAL_SIDE))
    return AlignedFace(pixels, Similarity(complex(scale), (scale - 1) * _HALF - scale * complex(left, top)), None)
