"""All faces of an album as columns, and how much each is worth in a comparison."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from itertools import chain
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from visavis.data import Intake
from visavis.wording import counted

__all__ = ["AlbumFaces", "Failure", "describe_failures", "join_faces"]

Floats = npt.NDArray[np.float32]

_GOOD_EYES = 32.0  # pixels between the eyes from which a face has its full weight
_LEAST_WEIGHT = 0.25


class Failure(NamedTuple):
    """A photo without faces, and the reason."""

    photo: str
    reason: str


@dataclass(frozen=True, eq=False, repr=False)
class AlbumFaces:
    """The faces of the photos of an album, in order of the photos and of the faces in each.

    Attributes:
        photos: The photo of each face, its path below the root of the album.
        numbers: `(n,)`, the number of the face in its photo, the largest first.
        boxes: `(n, 4)`, left, top, width and height in pixels of the photo; NaN where the centre of the photo was taken.
        scores: `(n,)`, detector scores, 0 .. 1; NaN likewise.
        eye_distances: `(n,)`, pixels.
        sharpness: `(n,)`, see `faces.sharpness`.
        warnings: What makes the comparison of each less reliable.
        embeddings: `(n, d)`, rows of unit length.
        thumbnails: A small JPEG of each; empty where none was kept.
        failures: Photos without faces, with the reason.
        intake: The photos that were read, and the files that were passed over.
    """

    photos: tuple[str, ...]
    numbers: npt.NDArray[np.int64]
    boxes: Floats
    scores: Floats
    eye_distances: Floats
    sharpness: Floats
    warnings: tuple[tuple[str, ...], ...]
    embeddings: Floats
    thumbnails: tuple[bytes, ...]
    failures: tuple[Failure, ...]
    intake: Intake

    @classmethod
    def of(
        cls,
        rows: Sequence[Sequence[Any]],
        embeddings: Sequence[Floats],
        *,
        thumbnails: Sequence[bytes],
        failures: Sequence[Failure],
        intake: Intake,
    ) -> "AlbumFaces":
        """Make columns of rows: photo, number, box, detector score, distance of the eyes, sharpness, warnings."""
        boxes = [row[2] or [np.nan] * 4 for row in rows]
        return cls(
            photos=tuple(row[0] for row in rows),
            numbers=np.array([row[1] for row in rows], dtype=np.int64),
            boxes=np.array(boxes, dtype=np.float32).reshape(-1, 4),
            scores=np.array([np.nan if row[3] is None else row[3] for row in rows], dtype=np.float32),
            eye_distances=np.array([row[4] for row in rows], dtype=np.float32),
            sharpness=np.array([row[5] for row in rows], dtype=np.float32),
            warnings=tuple(tuple(row[6]) for row in rows),
            embeddings=np.stack(embeddings) if rows else np.zeros((0, 0), dtype=np.float32),
            thumbnails=tuple(thumbnails),
            failures=tuple(failures),
            intake=intake,
        )

    def __len__(self) -> int:
        """Return the number of faces."""
        return len(self.photos)

    def __repr__(self) -> str:
        """Return the counts in short."""
        return f"AlbumFaces(faces={len(self)}, photos={self.intake.photos}, failures={len(self.failures)})"

    @property
    def keys(self) -> tuple[str, ...]:
        """What names each face: its photo, `#` and its number."""
        return tuple(f"{photo}#{number}" for photo, number in zip(self.photos, self.numbers, strict=True))

    @property
    def weights(self) -> Floats:
        """How much each face counts in a group, `(n,)`, 0.25 .. 1: less with fewer than 32 pixels between the eyes."""
        return np.clip(self.eye_distances / _GOOD_EYES, _LEAST_WEIGHT, 1).astype(np.float32)

    def describe_rest(self) -> list[str]:
        """Return which photos had no face or could not be read, and which files are no photos, a line each."""
        return [*describe_failures(self.failures), *self.intake.describe()]


def join_faces(parts: Sequence[AlbumFaces]) -> AlbumFaces:
    """Return the faces of several parts of an album, at least one, as those of the whole."""
    intake = parts[0].intake
    return AlbumFaces(
        photos=tuple(chain.from_iterable(part.photos for part in parts)),
        numbers=np.concatenate([part.numbers for part in parts]),
        boxes=np.concatenate([part.boxes for part in parts]),
        scores=np.concatenate([part.scores for part in parts]),
        eye_distances=np.concatenate([part.eye_distances for part in parts]),
        sharpness=np.concatenate([part.sharpness for part in parts]),
        warnings=tuple(chain.from_iterable(part.warnings for part in parts)),
        embeddings=np.concatenate([part.embeddings for part in parts]),
        thumbnails=tuple(chain.from_iterable(part.thumbnails for part in parts)),
        failures=tuple(chain.from_iterable(part.failures for part in parts)),
        intake=replace(intake, photos=sum(part.intake.photos for part in parts)),
    )


def describe_failures(failures: Sequence[Failure]) -> list[str]:
    """Return a line that counts photos without a face and names the first; nothing without any."""
    if not failures:
        return []
    count = f"{counted(len(failures), 'photo')} without a face"
    return [f"{count}, such as {failures[0].photo}: {failures[0].reason}"]
