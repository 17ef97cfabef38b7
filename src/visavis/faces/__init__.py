"""Detect faces in photos and align them."""

from visavis.faces.acquisition import AcquisitionSettings, FaceFallback, FacePolicy, acquire_faces
from visavis.faces.alignment import CANONICAL_LANDMARKS, CANONICAL_SIDE, AlignedFace, align_face, sharpness
from visavis.faces.crops import ARCFACE_LANDMARKS, CANONICAL_CROP, PREPARED_CROP, Colour, Crop, warp_face
from visavis.faces.face import Face
from visavis.faces.finder import CropScorer, FaceDetector, FaceFinder, ThoroughDetector, detector_name
from visavis.faces.geometry import Similarity
from visavis.faces.quality import FaceQuality, MinQuality, QualityLimits, quality_limits

__all__ = [
    "ARCFACE_LANDMARKS",
    "CANONICAL_CROP",
    "Colour",
    "Crop",
    "PREPARED_CROP",
    "CANONICAL_LANDMARKS",
    "CANONICAL_SIDE",
    "AcquisitionSettings",
    "AlignedFace",
    "CropScorer",
    "Face",
    "FaceDetector",
    "FaceFallback",
    "FaceFinder",
    "FacePolicy",
    "FaceQuality",
    "MinQuality",
    "QualityLimits",
    "ThoroughDetector",
    "Similarity",
    "acquire_faces",
    "align_face",
    "detector_name",
    "quality_limits",
    "sharpness",
    "warp_face",
]
