"""A protocol scored: numbers only, each with its counts."""

from visavis.evaluation.comparing import METRICS, Difference, ReportComparison, compare_reports
from visavis.evaluation.groups import MOST_GROUPS, GroupErrors, Subgroups, evaluate_groups
from visavis.evaluation.normalisation import normalised_scores
from visavis.evaluation.quality import RejectCurve, evaluate_quality
from visavis.evaluation.results import Evaluation, FoldedEvaluation, RuleReached
from visavis.evaluation.sampling import SampledPairs, sample_pairs
from visavis.evaluation.scoring import evaluate_all_pairs, evaluate_folds, evaluate_protocol, pair_scores, telling_pairs
from visavis.evaluation.search import TEMPLATES, SearchEvaluation, evaluate_search, template_scores

__all__ = [
    "METRICS",
    "MOST_GROUPS",
    "Difference",
    "Evaluation",
    "FoldedEvaluation",
    "GroupErrors",
    "RejectCurve",
    "Subgroups",
    "evaluate_groups",
    "evaluate_quality",
    "ReportComparison",
    "RuleReached",
    "compare_reports",
    "TEMPLATES",
    "SampledPairs",
    "SearchEvaluation",
    "sample_pairs",
    "evaluate_search",
    "template_scores",
    "evaluate_all_pairs",
    "evaluate_folds",
    "evaluate_protocol",
    "normalised_scores",
    "pair_scores",
    "telling_pairs",
]
