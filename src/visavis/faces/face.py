"""A detected face: bounding box, landmarks and detector score."""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

__all__ = ["Face"]

Points = npt.NDArray[np.float64]


@dataclass(frozen=True, eq=False)
class Face:
    """A face that was detected in a photo, in the photo's pixels; `(0, 0)` is the middle of the first pixel.

    Attributes:
        box: `(4,)` left, top, width and height.
        landmarks: `(5, 2)` x and y of the eye on the left of the photo, the other eye, the nose and the two corners of the mouth.
        score: The detector score, 0 .. 1.
        turns: How many quarter turns to the left make the photo upright, 0 to 3; left and right are those of the upright photo.
    """

    box: Points
    landmarks: Points
    score: float
    turns: int = 0

    @property
    def turned(self) -> int:
        """By how many degrees to the right the photo is turned: 0, 90, 180 or 270."""
        return 90 * self.turns % 360

    @property
    def area(self) -> float:
        """Area of the bounding box, square pixels."""
        return float(self.box[2] * self.box[3])

    @property
    def eye_distance(self) -> float:
        """Distance between the eyes, pixels."""
        return float(np.linalg.norm(self.landmarks[1] - self.landmarks[0]))

    @property
    def nose_offset(self) -> float:
        """Distance of the nose from the midpoint of the eyes, along their line, in eye distances: about 0.5 in profile."""
        direction = (self.landmarks[1] - self.landmarks[0]) / max(self.eye_distance, 1e-6)
        return float(abs((self.landmarks[2] - self.landmarks[:2].mean(axis=0)) @ direction) / max(self.eye_distance, 1e-6))
