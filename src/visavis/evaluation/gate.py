"""The cost of the quality levels for enrolment, on photos that `visavis prepare` measured."""

from collections import Counter
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import numpy.typing as npt

from visavis.data import FaceDataset, as_numbers, read_attributes
from visavis.data.preparation import LANDMARKS, TABLE
from visavis.errors import (
    BlurredFaceError,
    DoubtfulFaceError,
    QualityError,
    SeveralFacesError,
    SmallFaceError,
    TurnedFaceError,
)
from visavis.faces import Face, FaceQuality, MinQuality, quality_limits
from visavis.metrics import PairScores
from visavis.metrics.quality import GateCost, evaluate_gate

__all__ = ["evaluate_gates", "known_quality"]

_LEVELS: tuple[MinQuality, ...] = ("basic", "portrait")


def known_quality(data: str | FaceDataset, faces: FaceDataset) -> list[FaceQuality] | None:
    """Read the quality measures of faces that `visavis prepare` wrote; None: it did not.

    Args:
        data: The folder.
        faces: The faces, in any order.
    """
    table = Path(data) / TABLE if isinstance(data, str) else None
    if table is None or not table.is_file():
        return None
    columns = {name: as_numbers(values) for name, values in read_attributes(table, faces).items() if name != "warnings"}
    points = [columns.get(f"{landmark}_{axis}") for landmark in LANDMARKS for axis in "xy"]
    score, sharpness = columns.get("score"), columns.get("sharpness")
    if score is None or sharpness is None or any(column is None for column in points):
        return None
    landmarks = np.stack([column for column in points if column is not None], axis=1).reshape(-1, len(LANDMARKS), 2)
    others = columns.get("others")  # earlier versions did not count them
    counted = np.zeros(len(faces)) if others is None else np.nan_to_num(others)
    return [_quality(*measured) for measured in zip(landmarks, score, sharpness, counted, strict=True)]


def evaluate_gates(scores: PairScores, quality: Sequence[FaceQuality], threshold: float) -> tuple[GateCost, ...]:
    """Return the cost of each level.

    Args:
        scores: All pairs of photos.
        quality: The measures of each photo.
        threshold: The score from which on a pair is accepted.
    """
    costs = []
    for level in _LEVELS:
        limits = quality_limits(level)
        assert limits is not None
        defects = [limits.defect(measured) for measured in quality]
        passed = np.array([defect is None for defect in defects], dtype=bool)
        reasons = Counter(map(_reason, filter(None, defects)))
        costs.append(evaluate_gate(scores, passed, threshold=threshold, gate=level, reasons=dict(reasons.most_common())))
    return tuple(costs)


_REASONS: dict[type[QualityError], str] = {
    SeveralFacesError: "several faces",
    DoubtfulFaceError: "no clear face",
    SmallFaceError: "small",
    TurnedFaceError: "turned",
    BlurredFaceError: "blurred",
}


def _reason(defect: QualityError) -> str:
    return _REASONS[type(defect)]


def _quality(landmarks: npt.NDArray[np.float64], score: float, sharpness: float, others: float) -> FaceQuality:
    """Return the measures of one line of the table; NaN where no face was detected."""
    if np.isnan(score):
        return FaceQuality(sharpness, score=0.0)
    face = Face(np.zeros(4), landmarks, score)
    return FaceQuality(sharpness, face.eye_distance, face.nose_offset, score, int(others))
