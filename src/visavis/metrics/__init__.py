"""Error rates of comparison scores, with counts and intervals; NumPy and SciPy only."""

from visavis.metrics.curves import (
    Confusion,
    ErrorCurve,
    Rate,
    best_accuracy_threshold,
    confusion,
    det_curve,
    equal_error_rate,
    error_curve,
    roc_auc,
    roc_curve,
    tar_at_fmr,
    threshold_at_fmr,
)
from visavis.metrics.scores import PairScores, all_pairs_curve, cosine_scores, paired_scores, score_all_pairs, unit_rows

__all__ = [
    "Confusion",
    "ErrorCurve",
    "PairScores",
    "Rate",
    "all_pairs_curve",
    "best_accuracy_threshold",
    "confusion",
    "cosine_scores",
    "det_curve",
    "equal_error_rate",
    "error_curve",
    "paired_scores",
    "roc_auc",
    "roc_curve",
    "score_all_pairs",
    "tar_at_fmr",
    "threshold_at_fmr",
    "unit_rows",
]
