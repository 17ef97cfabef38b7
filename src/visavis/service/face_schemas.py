"""Response bodies that describe faces, and what all response bodies have in common."""

from typing import Annotated, Any, Self

from pydantic import BaseModel, ConfigDict, Field

from visavis.service.acquiring import PreparedFace

__all__ = [
    "FACE",
    "ORIGIN",
    "DetectedFace",
    "Detection",
    "EmbeddedFace",
    "EmbeddedPhoto",
    "Embeddings",
    "Face",
    "RefusedPhoto",
    "Response",
    "Schema",
    "example",
]

_DIGEST = "5d1c0f5be1c9a3a6d4c4bf3f6a1f3c2e6f7f6fb0f4d0d3d4a2b1c0e9f8a7b6c5"
FACE = {"size": [250, 250], "box": [84.1, 68.0, 82.3, 107.9], "outline": None, "score": 0.999, "number": 1, "warnings": []}
_DETECTED = {
    **FACE,
    "landmarks": [[105.5, 113.8], [144.9, 112.4], [125.9, 136.4], [109.7, 157.8], [142.2, 156.6]],
    "eye_distance": 39.4,
    "nose_offset": 0.03,
    "sharpness": 210.5,
}
ORIGIN = {"request_id": "6f0c3c2d8e5b4d1f9a7e2b1c0d9e8f70", "model": _DIGEST}


class Schema(BaseModel):
    """Part of a response body."""

    model_config = ConfigDict(frozen=True)


def example(**values: Any) -> ConfigDict:
    """Return the configuration of a response body with an example."""
    return ConfigDict(frozen=True, json_schema_extra={"examples": [values]})


class Response(Schema):
    """A response body."""

    request_id: Annotated[str, Field(description="Id of the request in the log.")]
    model: Annotated[str, Field(description="Digest of the model.")]


class Face(Schema):
    """The face that was used of a photo."""

    model_config = example(**FACE)

    size: Annotated[tuple[int, int], Field(description="Width and height of the photo, pixels.")]
    box: Annotated[
        tuple[float, float, float, float] | None,
        Field(description="Bounding box: left, top, width and height, pixels; null: no face was detected in an aligned crop."),
    ]
    outline: Annotated[
        tuple[tuple[float, float], ...] | None,
        Field(description="Corners of the crop that was compared, x and y, clockwise from the upper left; null: the whole photo."),
    ]
    score: Annotated[float | None, Field(description="Detector score, 0 to 1.")]
    number: Annotated[int, Field(description="Number of the face among those of the photo that were used, the largest first.")]
    warnings: Annotated[tuple[str, ...], Field(description="What makes the comparison less reliable.")]

    @classmethod
    def of(cls, face: PreparedFace) -> Self:
        """Convert a prepared face."""
        return cls(**cls._values(face))

    @classmethod
    def _values(cls, face: PreparedFace) -> dict[str, Any]:
        found = face.found
        return {
            "size": face.size,
            "box": found.box,
            "outline": face.outline,
            "score": found.score,
            "number": found.number,
            "warnings": found.warnings,
        }


class DetectedFace(Face):
    """A face of a photo, with its landmarks and quality measures."""

    model_config = example(**_DETECTED)

    landmarks: Annotated[
        tuple[tuple[float, float], ...] | None,
        Field(description="The eye on the left of the photo, the other eye, the nose, the corners of the mouth: x and y, pixels."),
    ]
    eye_distance: Annotated[float | None, Field(description="Distance of the eyes, pixels; below 24 a face is small.")]
    nose_offset: Annotated[
        float | None,
        Field(description="Distance of the nose from the midpoint of the eyes, in eye distances; above 0.35: profile."),
    ]
    sharpness: Annotated[float | None, Field(description="Variance of the Laplacian of the crop; below 40 a face is blurred.")]

    @classmethod
    def _values(cls, face: PreparedFace) -> dict[str, Any]:
        return {
            **super()._values(face),
            "landmarks": face.landmarks,
            **{name: _rounded(getattr(face.quality, name, None)) for name in ("eye_distance", "nose_offset", "sharpness")},
        }


def _rounded(measure: float | None) -> float | None:
    return None if measure is None else round(measure, 2)


class RefusedPhoto(Schema):
    """One of many photos, which could not be used."""

    photo: Annotated[int, Field(description="Index of the photo, from 0.")]
    reason: Annotated[str, Field(description="Why it could not be used.")]


class Detection(Response):
    """The faces of a photo."""

    model_config = example(**ORIGIN, faces=[_DETECTED])

    faces: Annotated[tuple[DetectedFace, ...], Field(description="All faces, the largest first.")]


class EmbeddedFace(Schema):
    """A face and its embedding."""

    face: Face
    embedding: Annotated[list[float], Field(description="The embedding, of unit length; the score of two is their scalar product.")]


class EmbeddedPhoto(Schema):
    """One of the photos, with the embeddings of its faces."""

    photo: Annotated[int, Field(description="Index of the photo, from 0, in the order in which they were sent.")]
    faces: tuple[EmbeddedFace, ...]


class Embeddings(Response):
    """The embeddings of the faces of photos."""

    model_config = example(
        **ORIGIN,
        photos=[{"photo": 0, "faces": [{"face": FACE, "embedding": [0.6, 0.8]}]}],
        failures=[{"photo": 1, "reason": "photos 2: no face was found"}],
    )

    photos: tuple[EmbeddedPhoto, ...]
    failures: tuple[RefusedPhoto, ...]
