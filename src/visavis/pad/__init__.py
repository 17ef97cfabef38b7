"""Presentation attack detection (ISO/IEC 30107) by a model of your own: the interface, and its evaluation."""

from visavis.pad.detector import PadDetector, PadModel, PresentationCheck, check_presentation, load_pad
from visavis.pad.evaluation import BONA_FIDE, AttackType, PadEvaluation, Presentation, evaluate_pad
from visavis.pad.photos import evaluate_pad_photos

__all__ = [
    "BONA_FIDE",
    "AttackType",
    "PadDetector",
    "PadEvaluation",
    "PadModel",
    "Presentation",
    "PresentationCheck",
    "check_presentation",
    "evaluate_pad",
    "evaluate_pad_photos",
    "load_pad",
]
