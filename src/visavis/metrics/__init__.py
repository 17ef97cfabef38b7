"""Error rates of comparison scores, with counts and intervals; NumPy and SciPy only."""

from visavis.metrics.curves import (
    Confusion,
    ErrorCurve,
    Rate,
    all_pairs_curve,
    best_accuracy_threshold,
    confusion,
    det_curve,
    equal_error_rate,
    error_curve,
    roc_auc,
    roc_curve,
    tar_at_fmr,
    threshold_at_fmr,
    unit_rows,
)

__all__ = [
    "Confusion",
    "ErrorCurve",
    "Rate",
    "all_pairs_curve",
    "best_accuracy_threshold",
    "confusion",
    "det_curve",
    "equal_error_rate",
    "error_curve",
    "roc_auc",
    "roc_curve",
    "tar_at_fmr",
    "threshold_at_fmr",
    "unit_rows",
]
