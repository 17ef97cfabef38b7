"""Acquire the faces of one photo; runs in the processes of `WorkerPool`, so it imports no web framework."""

from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from visavis.encoders.card import Card
from visavis.errors import FaceError
from visavis.faces import AcquisitionSettings, Crop, FaceDetector, FacePolicy, FaceQuality
from visavis.gallery.records import photo_digest
from visavis.images import Limits
from visavis.verification import AcquiredPhoto, FoundFace, Verifier
from visavis.verification.verifier import CropEncoder
from visavis.wording import counted

__all__ = ["Acquirer", "Acquisition", "PhotoTask", "PreparedFace"]


@dataclass(frozen=True)
class Acquisition:
    """How the face of a photo is acquired.

    Attributes:
        aligned: Whether the photos are aligned crops, in which no face is detected.
        policy: Which face to use of several; `"all"`: all of them.
        digest: Whether to compute the digest of the photo.
    """

    aligned: bool = False
    policy: FacePolicy = "largest"
    digest: bool = False


@dataclass(frozen=True)
class PhotoTask:
    """A photo to acquire the face of.

    Attributes:
        photo: An image file.
        name: What to call it in an error.
        options: How its face is acquired.
    """

    photo: bytes
    name: str
    options: Acquisition


@dataclass(frozen=True, eq=False)
class PreparedFace:
    """The face of a photo, ready to be embedded.

    Attributes:
        pixels: Input of the model, `(h, w, c)` uint8.
        size: Width and height of the photo, pixels.
        found: The detected face.
        outline: Corners of the crop in pixels of the photo, clockwise from the upper left; None: the whole photo.
        digest: Digest of the photo, by which it is recognised; None: unknown.
        landmarks: Eyes, nose and corners of the mouth, x and y in pixels of the photo; None: none were detected.
        quality: Quality measures; None: unknown, or the model is not one of faces.
        pad_pixels: Input of a detector of presentation attacks, `(h, w, c)` uint8; None: there is none.
    """

    pixels: npt.NDArray[np.uint8]
    size: tuple[int, int]
    found: FoundFace
    outline: tuple[tuple[float, float], ...] | None
    digest: bytes | None = None
    landmarks: tuple[tuple[float, float], ...] | None = None
    quality: FaceQuality | None = None
    pad_pixels: npt.NDArray[np.uint8] | None = None


@dataclass(frozen=True)
class Acquirer:
    """Acquires faces; can be pickled.

    Attributes:
        crop: What the encoder takes of a photo.
        finder: The face detector.
        limits: Limits of a photo.
        max_faces: Maximum number of faces in a photo.
        pad_crop: What a detector of presentation attacks takes of it; None: there is none.
    """

    crop: Crop
    finder: FaceDetector
    limits: Limits
    max_faces: int
    pad_crop: Crop | None = None

    def warm_up(self) -> None:
        """Load the networks of the detector."""
        if self.crop.aligned:
            self.finder.detect(np.zeros((64, 64, 3), dtype=np.uint8))

    def __call__(self, task: PhotoTask) -> list[PreparedFace]:
        """Acquire the face of a photo, or all of them, largest first.

        Raises:
            ImageError: If the photo cannot be read; as `FaceError` if it has no face, or too many.
        """
        settings = AcquisitionSettings(task.options.policy, finder=self.finder, limits=self.limits)
        encoder: Any = CropEncoder(Card(self.crop))
        verifier = Verifier(encoder, aligned=task.options.aligned, acquisition=settings)
        acquired = verifier.acquire_each(task.photo, name=task.name)
        aligned = acquired[0].aligned
        count = len(acquired) + (0 if aligned is None else aligned.others)
        if count > self.max_faces:
            raise FaceError(f"{task.name}: {counted(count, 'face')} exceed the limit of {self.max_faces}")
        digest = photo_digest(acquired[0].photo) if task.options.digest else None
        return [_prepared(face, digest, self.pad_crop) for face in acquired]


def _prepared(acquired: AcquiredPhoto, digest: bytes | None, pad_crop: Crop | None) -> PreparedFace:
    (height, width), aligned = acquired.photo.shape[:2], acquired.aligned
    return PreparedFace(
        acquired.pixels,
        (width, height),
        acquired.found,
        outline=None if aligned is None else _rounded(aligned.outline),
        digest=digest,
        landmarks=None if aligned is None or aligned.face is None else _rounded(aligned.face.landmarks),
        quality=acquired.quality,
        pad_pixels=None if aligned is None or pad_crop is None else aligned.cut(pad_crop),
    )


def _rounded(points: npt.NDArray[np.float64]) -> tuple[tuple[float, float], ...]:
    return tuple((round(float(x), 1), round(float(y), 1)) for x, y in points)
