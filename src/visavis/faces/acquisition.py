"""From a photo to the aligned crops of the wanted faces."""

import json
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Literal

import numpy as np
import numpy.typing as npt

from visavis.errors import FaceError, SeveralFacesError, check_option
from visavis.faces.alignment import AlignedFace, align_centre, align_face
from visavis.faces.face import Face
from visavis.faces.finder import FaceDetector, FaceFinder, detector_name
from visavis.faces.orientation import detect_any_turn
from visavis.images import Limits, decode_image
from visavis.workers.budget import Budget

__all__ = ["AcquisitionSettings", "FaceFallback", "FacePolicy", "acquire_faces"]

Pixels = npt.NDArray[np.uint8]
FacePolicy = Literal["largest", "centre", "all", "error"]
FaceFallback = Literal["centre"]


_SECONDS, _OTHER_SECONDS = 60.0, 600.0  # of CPU time for a photo; other detectors may use many cores
_USUAL_SEARCHED = 960**2  # pixels
_MEMORY, _BYTES_PER_PIXEL, _BYTES_PER_SEARCHED = 400_000_000, 24, 400


def acquire_faces(
    photo: Pixels,
    finder: FaceDetector | None = None,
    *,
    name: str = "the photo",
    policy: FacePolicy = "largest",
    fallback: FaceFallback | None = None,
) -> list[AlignedFace]:
    """Detect the faces of a photo and align the wanted ones, whichever way the photo lies.

    Args:
        photo: `(h, w, 3)` uint8, RGB.
        finder: The face detector; None: `FaceFinder()`.
        name: What to call the photo in an error.
        policy: Which face of several: the `"largest"`, the one nearest to the `"centre"`, `"all"`, or none (`"error"`).
        fallback: `"centre"`: use the square around the centre if no face is detected; None: raise an error.

    Returns:
        One face; with `"all"` one or more, the largest first.

    Raises:
        FaceError: If no face is detected, or several and the policy is `"error"`.
        ValueError: If `policy` or `fallback` is not one of these.
    """
    check_option("policy", policy, FacePolicy)
    if fallback is not None:
        check_option("fallback", fallback, FaceFallback)
    finder = FaceFinder() if finder is None else finder
    faces = detect_any_turn(photo, finder)
    if not faces:
        if fallback is None:
            raise FaceError(f"{name}: no face was found")
        return [align_centre(photo)]
    if len(faces) > 1 and policy == "error":
        raise SeveralFacesError(f"{name}: {len(faces)} faces were found where one is wanted")
    if policy == "centre":
        faces.sort(key=lambda face: _distance_from_centre(face, photo))
    wanted = faces if policy == "all" else faces[:1]
    return [align_face(photo, face, others=len(faces) - len(wanted)) for face in wanted]


def _distance_from_centre(face: Face, photo: Pixels) -> float:
    centre = np.array([photo.shape[1], photo.shape[0]]) / 2
    return float(np.linalg.norm(face.box[:2] + face.box[2:] / 2 - centre))


@dataclass(frozen=True)
class AcquisitionSettings:
    """How photos become faces, for work that is passed to other processes.

    Attributes:
        policy: Which face of several; see `acquire_faces`.
        fallback: What to use if no face is detected; see there.
        finder: The face detector.
        limits: Largest file and picture that are decoded.
    """

    policy: FacePolicy = "largest"
    fallback: FaceFallback | None = None
    finder: FaceDetector = FaceFinder()
    limits: Limits = Limits()

    def __post_init__(self) -> None:
        """Check the options.

        Raises:
            ValueError: If `policy` or `fallback` is not one of those.
        """
        check_option("policy", self.policy, FacePolicy)
        if self.fallback is not None:
            check_option("fallback", self.fallback, FaceFallback)

    @property
    def key(self) -> str:
        """What tells these settings from others in a file; limits change which photos are read, not how."""
        return json.dumps([self.policy, self.fallback, detector_name(self.finder)])

    @property
    def budget(self) -> Budget:
        """What a photo may use in a process of its own; without a limit on memory where the detector is not `FaceFinder`."""
        if not isinstance(self.finder, FaceFinder):
            return Budget(_OTHER_SECONDS, None)
        searched = self.finder.detector_size**2
        seconds = _SECONDS * max(1.0, searched / _USUAL_SEARCHED)
        return Budget(seconds, _MEMORY + _BYTES_PER_PIXEL * self.limits.max_pixels + _BYTES_PER_SEARCHED * searched)

    def warm_up(self) -> None:
        """Load the networks of `FaceFinder`."""
        if isinstance(self.finder, FaceFinder):
            self.finder.detect(np.zeros((64, 64, 3), dtype=np.uint8))

    def acquire(self, source: Path | bytes, *, name: str) -> list[AlignedFace]:
        """Decode a photo, detect its faces and align the wanted ones.

        Raises:
            ImageError: If it cannot be read; as `FaceError` if it has no face, or several and the policy is `"error"`.
        """
        photo = decode_image(source, name=name, limits=self.limits)
        faces = acquire_faces(photo.pixels, self.finder, name=name, policy=self.policy, fallback=self.fallback)
        return [replace(face, photo_warnings=photo.warnings) for face in faces]
