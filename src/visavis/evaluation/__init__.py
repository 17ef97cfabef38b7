"""Evaluate embeddings: error rates of pairs with counts and intervals, comparisons of models, sampled pairs."""

from visavis.evaluation.compare import METRICS, Difference, ReportComparison, compare_reports
from visavis.evaluation.folds import FoldedEvaluation, PointReached
from visavis.evaluation.protocols import (
    Claims,
    evaluate_all_pairs,
    evaluate_folds,
    evaluate_protocol,
    extreme_pairs,
    pair_scores,
)
from visavis.evaluation.results import Evaluation
from visavis.evaluation.sampling import SampledPairs, sample_pairs

__all__ = [
    "METRICS",
    "Claims",
    "Difference",
    "Evaluation",
    "FoldedEvaluation",
    "PointReached",
    "ReportComparison",
    "SampledPairs",
    "compare_reports",
    "evaluate_all_pairs",
    "evaluate_folds",
    "evaluate_protocol",
    "extreme_pairs",
    "pair_scores",
    "sample_pairs",
]
