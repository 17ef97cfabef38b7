"""A protocol scored: numbers only, each with its counts."""

from visavis.evaluation.compare import METRICS, Difference, ReportComparison, compare_reports
from visavis.evaluation.protocols import evaluate_all_pairs, evaluate_folds, evaluate_protocol, pair_scores, telling_pairs
from visavis.evaluation.results import Evaluation, FoldedEvaluation, RuleReached
from visavis.evaluation.sampling import SampledPairs, sample_pairs

__all__ = [
    "METRICS",
    "Difference",
    "Evaluation",
    "FoldedEvaluation",
    "ReportComparison",
    "RuleReached",
    "compare_reports",
    "SampledPairs",
    "sample_pairs",
    "evaluate_all_pairs",
    "evaluate_folds",
    "evaluate_protocol",
    "pair_scores",
    "telling_pairs",
]
