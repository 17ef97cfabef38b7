"""Quality of a face for enrolment: measures, limits and the errors that name what is wrong."""

from dataclasses import asdict, dataclass
from typing import Literal

from visavis.errors import (
    BlurredFaceError,
    DoubtfulFaceError,
    QualityError,
    SeveralFacesError,
    SmallFaceError,
    TurnedFaceError,
    check_option,
)
from visavis.faces.alignment import AlignedFace
from visavis.wording import counted

__all__ = ["FaceQuality", "MinQuality", "QualityLimits", "quality_limits"]

MinQuality = Literal["none", "basic", "portrait"]


@dataclass(frozen=True)
class FaceQuality:
    """Quality measures of a face.

    Attributes:
        sharpness: Variance of the Laplacian of the crop of 112 x 112 pixels; see `faces.sharpness`.
        eye_distance: Distance between the eyes, pixels of the photo; None: not known, as of an aligned crop.
        nose_offset: Distance of the nose from the midpoint of the eyes, along their line, in eye distances; None likewise.
        score: The detector score, 0 .. 1; None: not known.
        others: Number of other faces in the photo.
    """

    sharpness: float
    eye_distance: float | None = None
    nose_offset: float | None = None
    score: float | None = None
    others: int = 0

    @classmethod
    def of(cls, aligned: AlignedFace) -> "FaceQuality":
        """Measure a face; where none was detected, its detector score is 0."""
        face = aligned.face
        if face is None:
            return cls(aligned.sharpness, score=0.0)
        return cls(aligned.sharpness, face.eye_distance, face.nose_offset, face.score, aligned.others)


@dataclass(frozen=True)
class QualityLimits:
    """What a photo must have to be enrolled; measures that are not known are not checked.

    The defaults are those of the level `basic`: `benchmarks/quality_gate.py` shows what each of them refuses and saves.

    Attributes:
        eye_distance: Minimum distance between the eyes, pixels; at least 0.
        sharpness: Minimum sharpness, squared gray levels; at least 0.
        nose_offset: Maximum nose offset, eye distances; at least 0. 0 is frontal, about 0.5 profile.
        score: Minimum detector score, 0 .. 1.
        alone: Whether the face must be the only one of its photo.

    Raises:
        ValueError: If a limit is out of range.
    """

    eye_distance: float = 16.0
    sharpness: float = 70.0
    nose_offset: float = 0.42
    score: float = 0.94
    alone: bool = True

    def __post_init__(self) -> None:
        """Check the limits."""
        for name, value in asdict(self).items():
            if name != "alone" and not 0 <= value < float("inf"):
                raise ValueError(f"{name} must be a finite number of at least 0, got {value}")
        if self.score > 1:
            raise ValueError(f"score must be in [0, 1], got {self.score}")

    def defect(self, quality: FaceQuality, *, name: str = "the photo") -> QualityError | None:
        """Return the first limit that a face exceeds as an error that names the photo; None: none.

        Args:
            quality: The face.
            name: What to call the photo.
        """
        if self.alone and quality.others:
            return SeveralFacesError(f"{name}: {counted(quality.others + 1, 'face')} were found where one is wanted")
        if quality.score is not None and quality.score < self.score:
            return DoubtfulFaceError(
                f"{name}: no clear face: detector score {quality.score:.2f}, at least {self.score:g} is needed"
            )
        if quality.eye_distance is not None and quality.eye_distance < self.eye_distance:
            return SmallFaceError(
                f"{name}: small face: {quality.eye_distance:.0f} pixels between the eyes, at least {self.eye_distance:g} are needed"
            )
        if quality.nose_offset is not None and quality.nose_offset > self.nose_offset:
            return TurnedFaceError(
                f"{name}: turned face: the nose is {quality.nose_offset:.2f} eye distances off the middle, "
                f"at most {self.nose_offset:g} are allowed"
            )
        if quality.sharpness < self.sharpness:
            return BlurredFaceError(
                f"{name}: blurred face: sharpness {quality.sharpness:.0f}, at least {self.sharpness:g} is needed"
            )
        return None

    def check(self, quality: FaceQuality, *, name: str = "the photo") -> None:
        """Check a face; see `defect`.

        Raises:
            QualityError: If it exceeds a limit.
        """
        if (error := self.defect(quality, name=name)) is not None:
            raise error


_LEVELS: dict[MinQuality, QualityLimits | None] = {
    "none": None,
    "basic": QualityLimits(),
    "portrait": QualityLimits(eye_distance=90.0, nose_offset=0.2),
}


def quality_limits(level: MinQuality) -> QualityLimits | None:
    """Return the limits of a level; None: no limits.

    Args:
        level: `"none"`; `"basic"`, the defaults of `QualityLimits`; `"portrait"`, with 90 pixels between the eyes, as ISO/IEC
            39794-5 requires of passport photos, and the face towards the camera.

    Raises:
        ValueError: If it is none of these.
    """
    check_option("min_quality", level, MinQuality)
    return _LEVELS[level]
