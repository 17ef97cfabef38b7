"""Face detectors: the interface that any detector can implement, and MTCNN behind it."""

from dataclasses import dataclass
from functools import cache
from typing import TYPE_CHECKING, Protocol, runtime_checkable

import numpy as np
import numpy.typing as npt

from visavis.errors import check_numbers
from visavis.faces.face import Face
from visavis.images import resize_image

if TYPE_CHECKING:
    from visavis.faces.mtcnn import Mtcnn

__all__ = ["CropScorer", "FaceDetector", "FaceFinder", "ThoroughDetector", "detector_name"]

Pixels = npt.NDArray[np.uint8]

_SMALLEST_FACE = 12  # input size of the first network
_THOROUGH_SCALE = 0.8  # the levels of this pyramid lie between those of the first search


class FaceDetector(Protocol):
    """A face detector: any object with this method can be passed as `finder`.

    Processes other than the caller's (`workers`, `engine="ray"`) need one that can be pickled; the service calls it from several
    threads at a time.

    Example:
        A detector of a fixed place, for photos of a passport booth::

            class Booth:
                def detect(self, photo):
                    landmarks = np.array([[190, 240], [290, 240], [240, 300], [200, 350], [280, 350.0]])
                    return [Face(box=np.array([140, 160, 200, 260.0]), landmarks=landmarks, score=1.0)]

            visavis.Verifier(acquisition=visavis.AcquisitionSettings(finder=Booth())).verify("anna-1.jpg", "anna-2.jpg")
    """

    def detect(self, photo: Pixels) -> list[Face]:
        """Return the faces of a photo `(h, w, 3)` uint8, RGB, in any order."""
        ...


@runtime_checkable
class CropScorer(Protocol):
    """Optional second method of a `FaceDetector`: check aligned crops, and judge which way up a photo lies."""

    def score_crop(self, crop: Pixels) -> float:
        """Return a score, 0 .. 1, that an upright face fills a crop `(h, w, 3)` uint8, RGB.

        Below 0.8 there is a warning where the crop is declared to be aligned.
        """
        ...


@runtime_checkable
class ThoroughDetector(Protocol):
    """Optional third method of a `FaceDetector`: search again a photo in which it detected no face."""

    def detect_thoroughly(self, photo: Pixels) -> list[Face]:
        """Return the faces of a photo `(h, w, 3)` uint8, RGB, in any order; may take as long as `detect`."""
        ...


@dataclass(frozen=True)
class FaceFinder:
    """Detect faces with MTCNN (Zhang et al., 2016).

    The object holds settings only: it can be pickled, and is shared between threads. The networks are loaded at first use, once for
    each process.

    Attributes:
        min_face: Side of the smallest face that is searched for, in pixels of the searched image; default 20, at least 12. A
            smaller one takes more time.
        detector_size: Longer side, in pixels, to which photos are reduced before they are searched; default 960. Smaller photos are
            searched as they are. Time grows with its square. In a large photo, faces below ``min_face / detector_size`` of its
            longer side may be missed: with the defaults, 83 pixels of 4,000.
        min_score: Minimum detector score of a face, in (0, 1); default 0.8.

    Raises:
        ValueError: If a setting is out of range.

    Example:
        Faces that are small in large photos::

            finder = visavis.FaceFinder(detector_size=1920)
            visavis.Verifier(acquisition=visavis.AcquisitionSettings(finder=finder)).verify("crowd.jpg", "anna.jpg")
    """

    min_face: int = 20
    detector_size: int = 960
    min_score: float = 0.8

    def __post_init__(self) -> None:
        """Check the settings."""
        check_numbers(self)
        if self.min_face < _SMALLEST_FACE:
            raise ValueError(f"min_face must be at least {_SMALLEST_FACE} pixels, got {self.min_face}")
        if self.detector_size < self.min_face:
            raise ValueError(f"detector_size must be at least min_face ({self.min_face} pixels), got {self.detector_size}")
        if not 0 < self.min_score < 1:
            raise ValueError(f"min_score must be in (0, 1), got {self.min_score}")

    def detect(self, photo: Pixels) -> list[Face]:
        """Detect all faces of a photo.

        Args:
            photo: `(h, w, 3)` uint8, RGB.

        Returns:
            The faces, the largest first.

        Raises:
            ModelError: If the networks cannot be loaded.
        """
        return self._detect(photo, min(1.0, self.detector_size / max(photo.shape[:2])))

    def detect_thoroughly(self, photo: Pixels) -> list[Face]:
        """Detect faces that `detect` missed, at other scales and from more proposals; `min_score` holds all the same.

        Args:
            photo: `(h, w, 3)` uint8, RGB.

        Returns:
            The faces, the largest first.

        Raises:
            ModelError: If the networks cannot be loaded.
        """
        scale = _THOROUGH_SCALE * min(1.0, self.detector_size / max(photo.shape[:2]))
        return self._detect(photo, scale, thorough=True)

    def _detect(self, photo: Pixels, scale: float, *, thorough: bool = False) -> list[Face]:
        """Detect faces in a photo that is resized by `scale`."""
        height, width = (max(1, round(side * scale)) for side in photo.shape[:2])
        if min(height, width) < self.min_face:
            return []
        image = photo if scale == 1 else resize_image(photo, (height, width))
        boxes, landmarks, scores = _networks().detect(image, min_face=self.min_face, min_score=self.min_score, thorough=thorough)
        boxes[:, 2:] = (boxes[:, 2:] - boxes[:, :2]) / scale
        boxes[:, :2], landmarks = ((positions + 0.5) / scale - 0.5 for positions in (boxes[:, :2], landmarks))
        faces = [Face(*face) for face in zip(boxes, landmarks, scores.tolist(), strict=True)]
        return sorted(faces, key=lambda face: -face.area)

    def score_crop(self, crop: Pixels) -> float:
        """Return a score, 0 .. 1, that a face fills a crop.

        Args:
            crop: `(h, w, 3)` uint8, RGB.

        Returns:
            Rarely below 0.9 for aligned crops; rarely above 0.7 for other pictures, and for photos in which the face is small.
        """
        return _networks().score_crop(crop)


def detector_name(finder: FaceDetector) -> str:
    """Return what tells a detector from another in a file: its `repr`, or its class where that has none of its own."""
    kind = type(finder)
    return f"{kind.__module__}.{kind.__qualname__}" if kind.__repr__ is object.__repr__ else repr(finder)


@cache
def _networks() -> "Mtcnn":
    from visavis.faces.mtcnn import load_mtcnn  # ONNX Runtime is not needed to configure a finder

    return load_mtcnn()
