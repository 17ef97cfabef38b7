"""Align faces: one canonical crop of 112 x 112 pixels, from which there is a way back to the photo.

The crop is a similarity transform (Umeyama, 1991) that maps the five landmarks of a face closest to where recognition networks
expect them (Deng et al., ArcFace, 2019). `(0, 0)` is the middle of the first pixel.
"""

from dataclasses import dataclass
from functools import cached_property

import numpy as np
import numpy.typing as npt
from PIL import Image

from visavis.faces.face import Face
from visavis.faces.geometry import Similarity
from visavis.images import crop_centre, resize_image, to_gray

__all__ = [
    "BLURRED",
    "CANONICAL_LANDMARKS",
    "CANONICAL_SIDE",
    "SMALL",
    "AlignedFace",
    "align_centre",
    "align_face",
    "sharpness",
    "warp_face",
]

Pixels = npt.NDArray[np.uint8]
Points = npt.NDArray[np.float64]

CANONICAL_SIDE = 112
CANONICAL_LANDMARKS: Points = np.array(
    [[38.2946, 51.6963], [73.5318, 51.5014], [56.0252, 71.7366], [41.5493, 92.3655], [70.7299, 92.2041]]
)
"""The landmarks in the canonical crop: the eye on the left, the other eye, the nose and the two corners of the mouth, pixels."""

SMALL, BLURRED, PROFILE = 24.0, 40.0, 0.35
"""Warn below this eye distance in pixels, below this sharpness, and above this nose offset."""
_HALF = 0.5 + 0.5j


@dataclass(frozen=True, eq=False)
class AlignedFace:
    """The aligned crop of a face.

    Attributes:
        pixels: `(112, 112, 3)` uint8.
        transform: From the photo's pixels to the crop's.
        face: The detected face; None: none was detected, and this is the centre of the photo, as requested.
        others: Number of other faces in the photo.
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
        """Sharpness of the crop; see `sharpness`."""
        return sharpness(self.pixels)

    @property
    def warnings(self) -> tuple[str, ...]:
        """What makes a comparison of this face less reliable."""
        warnings = []
        if self.face is None:
            warnings.append("no face was found: the centre of the photo was taken")
        else:
            if self.face.eye_distance < SMALL:
                warnings.append(f"small face: {self.face.eye_distance:.0f} pixels between the eyes")
            if self.face.nose_offset > PROFILE:
                warnings.append("face in profile")
        if self.sharpness < BLURRED:
            warnings.append("blurred face")
        if self.others:
            warnings.append(f"{self.others} other face{'s' if self.others > 1 else ''} in the photo")
        return tuple(warnings)


def align_face(photo: Pixels, face: Face, *, others: int = 0) -> AlignedFace:
    """Crop a face so that its landmarks lie at `CANONICAL_LANDMARKS`.

    Args:
        photo: `(h, w, 3)` uint8, RGB.
        face: The face.
        others: Number of other faces in the photo, for the warnings.
    """
    transform = Similarity.between(face.landmarks, CANONICAL_LANDMARKS)
    return AlignedFace(warp_face(photo, transform, CANONICAL_SIDE), transform, face, others)


def align_centre(photo: Pixels) -> AlignedFace:
    """Return the square around the centre of a photo `(h, w, 3)` uint8, in place of a face."""
    side = min(photo.shape[:2])
    top, left = (photo.shape[0] - side) // 2, (photo.shape[1] - side) // 2
    scale = CANONICAL_SIDE / side
    pixels = resize_image(crop_centre(photo, 1.0), (CANONICAL_SIDE, CANONICAL_SIDE))
    return AlignedFace(pixels, Similarity(complex(scale), (scale - 1) * _HALF - scale * complex(left, top)), None)


def sharpness(face: Pixels) -> float:
    """Return the variance of the Laplacian of the luma (Pech-Pacheco et al., 2000), in squared grey levels; low for blurred faces.

    Args:
        face: `(h, w, 1)` or `(h, w, 3)` uint8.
    """
    luma = (face if face.shape[2] == 1 else to_gray(face))[:, :, 0].astype(np.float32)
    inner = luma[1:-1, 1:-1]
    return float(np.var(luma[:-2, 1:-1] + luma[2:, 1:-1] + luma[1:-1, :-2] + luma[1:-1, 2:] - 4 * inner))


def warp_face(photo: Pixels, transform: Similarity, side: int) -> Pixels:
    """Resample a square from a photo, black outside of it; large photos are first reduced by averaging.

    Args:
        photo: `(h, w, 3)` uint8, RGB.
        transform: From the photo's pixels to those of the square.
        side: Side of the square, pixels.

    Returns:
        `(side, side, 3)` uint8.
    """
    image = Image.fromarray(photo)
    reduction = max(1, int(1 / transform.scale))
    if reduction > 1:
        image = image.reduce(reduction)
    inverse = transform.inverse()
    factor = inverse.factor / reduction
    shift = (inverse.shift + _HALF - inverse.factor * _HALF) / reduction  # Pillow counts from the corner of the first pixel
    matrix = (factor.real, -factor.imag, shift.real, factor.imag, factor.real, shift.imag)
    return np.asarray(image.transform((side, side), Image.Transform.AFFINE, matrix, Image.Resampling.BICUBIC), dtype=np.uint8)
