"""Aligned faces: from which the crop of any encoder can be cut, and what makes a face hard to compare."""

from dataclasses import dataclass
from functools import cached_property

import numpy as np
import numpy.typing as npt

from visavis.faces.crops import ARCFACE_LANDMARKS, CANONICAL_CROP, Crop
from visavis.faces.face import Face
from visavis.faces.geometry import Similarity
from visavis.images import to_gray
from visavis.wording import counted

__all__ = [
    "BLURRED",
    "CANONICAL_LANDMARKS",
    "CANONICAL_SIDE",
    "SMALL",
    "AlignedFace",
    "align_centre",
    "align_face",
    "sharpness",
]

Pixels = npt.NDArray[np.uint8]
Points = npt.NDArray[np.float64]

CANONICAL_SIDE = CANONICAL_CROP.size[0]
CANONICAL_LANDMARKS: Points = np.array(ARCFACE_LANDMARKS)
"""The landmarks in the canonical crop: the eye on the left, the other eye, the nose and the two corners of the mouth, pixels."""

SMALL, BLURRED, PROFILE = 24.0, 40.0, 0.35
"""Warn below this eye distance in pixels, below this sharpness, and above this nose offset."""
_HALF = 0.5 + 0.5j


@dataclass(frozen=True, eq=False)
class AlignedFace:
    """A face of a photo, from which the crop of any encoder can be cut.

    Attributes:
        photo: The photo, `(h, w, 3)` uint8.
        transform: From the photo's pixels to those of the canonical crop of 112 x 112 pixels.
        face: The detected face; None: none was detected, and this is the centre of the photo, as requested.
        others: Number of other faces in the photo.
        photo_warnings: What is uncertain about the pixels of the photo; see `DecodedImage`.
    """

    photo: Pixels
    transform: Similarity
    face: Face | None
    others: int = 0
    photo_warnings: tuple[str, ...] = ()

    @cached_property
    def pixels(self) -> Pixels:
        """The canonical crop, `(112, 112, 3)` uint8."""
        return self.cut(CANONICAL_CROP)

    @property
    def landmarks(self) -> Points:
        """Landmarks `(5, 2)` in the photo's pixels; without a face, those of one that fills the centre of the photo."""
        return self.transform.inverse().apply(CANONICAL_LANDMARKS) if self.face is None else self.face.landmarks

    def cut(self, crop: Crop) -> Pixels:
        """Cut the face out of its photo as an encoder takes it.

        Args:
            crop: The encoder's; it must have landmarks.

        Returns:
            uint8 of the crop's shape, RGB or gray.
        """
        return crop.cut(self.photo, self.landmarks)

    @property
    def outline(self) -> Points:
        """The corners `(4, 2)` of the canonical crop in the photo's pixels."""
        low, high = -0.5, CANONICAL_SIDE - 0.5
        return self.transform.inverse().apply([[low, low], [high, low], [high, high], [low, high]])

    @cached_property
    def sharpness(self) -> float:
        """Sharpness of the crop; see `sharpness`."""
        return sharpness(self.pixels)

    @property
    def warnings(self) -> tuple[str, ...]:
        """What makes a comparison of this face less reliable."""
        warnings = [*self.photo_warnings]
        if self.face is None:
            warnings.append("no face was found: the centre of the photo was taken")
        else:
            if self.face.turned:
                warnings.append(f"the photo is turned by {self.face.turned} degrees")
            if self.face.eye_distance < SMALL:
                warnings.append(f"small face: {self.face.eye_distance:.0f} pixels between the eyes")
            if self.face.nose_offset > PROFILE:
                warnings.append("face in profile")
        if self.sharpness < BLURRED:
            warnings.append("blurred face")
        if self.others:
            warnings.append(f"{counted(self.others, 'other face')} in the photo")
        return tuple(warnings)


def align_face(photo: Pixels, face: Face, *, others: int = 0) -> AlignedFace:
    """Align a face by its landmarks.

    Args:
        photo: `(h, w, 3)` uint8, RGB.
        face: The face.
        others: Number of other faces in the photo, for the warnings.
    """
    return AlignedFace(photo, CANONICAL_CROP.transform(face.landmarks), face, others)


def align_centre(photo: Pixels) -> AlignedFace:
    """Return the square around the centre of a photo `(h, w, 3)` uint8, in place of a face."""
    side = min(photo.shape[:2])
    top, left = (photo.shape[0] - side) // 2, (photo.shape[1] - side) // 2
    scale = CANONICAL_SIDE / side
    return AlignedFace(photo, Similarity(complex(scale), (scale - 1) * _HALF - scale * complex(left, top)), None)


def sharpness(face: Pixels) -> float:
    """Return the variance of the Laplacian of the luma (Pech-Pacheco et al., 2000), in squared grey levels; low for blurred faces.

    Args:
        face: `(h, w, 1)` or `(h, w, 3)` uint8.
    """
    luma = (face if face.shape[2] == 1 else to_gray(face))[:, :, 0].astype(np.float32)
    inner = luma[1:-1, 1:-1]
    return float(np.var(luma[:-2, 1:-1] + luma[2:, 1:-1] + luma[1:-1, :-2] + luma[1:-1, 2:] - 4 * inner))
