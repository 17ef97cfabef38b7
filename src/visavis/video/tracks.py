"""Tracks: the faces of one person in successive frames, of which the best are kept as embeddings."""

from dataclasses import dataclass, field
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from visavis.faces import AlignedFace
from visavis.faces.alignment import BLURRED, PROFILE, SMALL

__all__ = ["Shot", "Sighting", "Track", "face_quality"]

Floats = npt.NDArray[np.float32]
Box = npt.NDArray[np.float64]

_GOOD_EYES, _GOOD_SHARPNESS = 32.0, 200.0  # from which more does not help
_STEADY = 0.5  # weight of the last movement in the velocity


@dataclass(frozen=True, eq=False)
class Sighting:
    """A face in one frame.

    Attributes:
        time: Seconds since the first frame.
        box: `(4,)` left, top, width and height, pixels of the frame.
        score: Detector score, 0 .. 1.
        eye_distance: Pixels.
        sharpness: See `faces.sharpness`.
        quality: 0 .. 1, see `face_quality`.
        usable: Whether the face is neither small nor blurred nor in profile.
        warnings: What makes its comparison less reliable.
    """

    time: float
    box: Box
    score: float
    eye_distance: float
    sharpness: float
    quality: float
    usable: bool
    warnings: tuple[str, ...] = ()

    @classmethod
    def of(cls, aligned: AlignedFace, time: float) -> "Sighting":
        """Measure a detected face.

        Raises:
            ValueError: If none was detected.
        """
        face = aligned.face
        if face is None:
            raise ValueError("a sighting needs a detected face, got the centre of a photo")
        usable = face.eye_distance >= SMALL and aligned.sharpness >= BLURRED and face.nose_offset <= PROFILE
        return cls(
            time=time,
            box=np.asarray(face.box, dtype=np.float64),
            score=float(face.score),
            eye_distance=face.eye_distance,
            sharpness=aligned.sharpness,
            quality=face_quality(face.eye_distance, aligned.sharpness, face.nose_offset, float(face.score)),
            usable=bool(usable),
            warnings=aligned.warnings,
        )


def face_quality(eye_distance: float, sharpness: float, nose_offset: float, score: float) -> float:
    """Return how much a frame is worth in a comparison, 0 .. 1: the product of size, sharpness, pose and detector score.

    Args:
        eye_distance: Pixels; full from 32.
        sharpness: Squared grey levels, see `faces.sharpness`; full from 200.
        nose_offset: Eye distances; 0 is frontal.
        score: Detector score, 0 .. 1.
    """
    size, detail = min(1.0, eye_distance / _GOOD_EYES), min(1.0, sharpness / _GOOD_SHARPNESS)
    return size * detail * max(0.0, 1.0 - nose_offset) * score


class Shot(NamedTuple):
    """A sighting that was embedded: `embedding` is `(d,)`, of unit length; `picture` a JPEG, empty where none was asked for."""

    sighting: Sighting
    embedding: Floats
    picture: bytes = b""


@dataclass(eq=False)
class Track:
    """The face of one person in successive frames; memory does not grow with their number.

    Attributes:
        number: From 1, in the order in which tracks were seen in a second frame; 0: seen in one only.
        start: Time of the first sighting, seconds.
        last: The last sighting.
        frames: In how many sampled frames the face was seen.
        usable: In how many of them it was neither small nor blurred nor in profile.
        shots: The best of them, best first.
    """

    start: float
    last: Sighting
    number: int = 0
    frames: int = 0
    usable: int = 0
    shots: list[Shot] = field(default_factory=list)
    _velocity: Box = field(default_factory=lambda: np.zeros(4))

    @property
    def end(self) -> float:
        """Time of the last sighting, seconds."""
        return self.last.time

    @property
    def best(self) -> Sighting:
        """The sighting of highest quality."""
        return self.shots[0].sighting

    @property
    def fused(self) -> list[Shot]:
        """The shots that count: the usable ones, or all where none is."""
        return [shot for shot in self.shots if shot.sighting.usable] or self.shots

    @property
    def template(self) -> Floats:
        """The mean embedding of the fused shots, weighted by quality, `(d,)` of unit length."""
        mean = self._mean
        return (mean / max(1e-6, float(np.linalg.norm(mean)))).astype(np.float32)

    @property
    def effective_frames(self) -> float:
        """How many independent frames the fused shots are worth, from 1 to their number.

        The scores of two frames with people who are not shown are correlated by the cosine r of their embeddings. So n frames are
        worth ``n / (1 + (n - 1) r)`` (the design effect; Kish, 1965), which is ``1 / |mean|^2`` of their embeddings. The score of
        the template is the mean score times the root of that: its spread over people who are not shown is that of a single
        comparison, whose thresholds hold for it.
        """
        return 1.0 / max(1e-6, float(np.sum(self._mean**2)))

    @property
    def _mean(self) -> Floats:
        shots = self.fused
        weights = np.array([max(1e-3, shot.sighting.quality) for shot in shots], dtype=np.float32)
        mean: Any = np.average(np.stack([shot.embedding for shot in shots]), axis=0, weights=weights)
        return mean.astype(np.float32)

    def expected(self, time: float, *, horizon: float = 0.5) -> Box:
        """Return the box where the face is expected, moving on for at most `horizon` seconds."""
        box = self.last.box + self._velocity * min(horizon, time - self.last.time)
        return np.concatenate([box[:2], np.maximum(1.0, box[2:])])

    def see(self, sighting: Sighting) -> None:
        """Add a sighting."""
        passed = sighting.time - self.last.time
        if self.frames and passed > 0:
            moved = (sighting.box - self.last.box) / passed
            self._velocity = moved if self.frames == 1 else _STEADY * moved + (1 - _STEADY) * self._velocity
        self.last, self.frames, self.usable = sighting, self.frames + 1, self.usable + sighting.usable

    def would_keep(self, sighting: Sighting, most: int) -> bool:
        """Return whether a sighting would be among the best `most`."""
        return len(self.shots) < most or _rank(sighting) > _rank(self.shots[-1].sighting)

    def keep(self, shot: Shot, most: int) -> None:
        """Add an embedded sighting, and keep the best `most`."""
        self.shots = sorted([*self.shots, shot], key=lambda one: _rank(one.sighting), reverse=True)[:most]


def _rank(sighting: Sighting) -> tuple[bool, float]:
    return sighting.usable, sighting.quality
