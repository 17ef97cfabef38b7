"""Detect faces in photos and align them."""

from visavis.faces.finder import (
    CANONICAL_POINTS,
    CANONICAL_SIDE,
    AlignedFace,
    Face,
    FaceFinder,
    FacePolicy,
    Similarity,
    acquire_faces,
    align_face,
    cut_face,
    sharpness,
)

__all__ = [
    "AlignedFace",
    "CANONICAL_POINTS",
    "CANONICAL_SIDE",
    "Face",
    "FaceFinder",
    "FacePolicy",
    "Similarity",
    "acquire_faces",
    "align_face",
    "cut_face",
    "sharpness",
]
