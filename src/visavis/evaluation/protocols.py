"""Evaluate embeddings on all pairs of photos, on a list of pairs, or fold by fold."""

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt

from visavis.data import PairProtocol
from visavis.errors import DataError
from visavis.evaluation.folds import FoldedEvaluation
from visavis.evaluation.results import Evaluation
from visavis.metrics import best_accuracy_threshold, confusion, equal_error_rate, error_curve, paired_scores, threshold_at_fmr
from visavis.metrics.bootstrap import PeopleCurves, curve_points
from visavis.metrics.calibration import Calibration
from visavis.metrics.error_table import TABLE_FMR
from visavis.metrics.operating_points import OperatingPoint
from visavis.metrics.reliability import NIST_COSTS, Costs, measure_reliability, summarise_costs
from visavis.metrics.scores import PairScores, cosine_scores, score_all_pairs, score_pairs

__all__ = ["Claims", "evaluate_all_pairs", "evaluate_folds", "evaluate_protocol", "evaluate_scores", "extreme_pairs", "pair_scores"]

_EXTREME_PHOTOS = 2000


@dataclass(frozen=True)
class Claims:
    """What a model's card claims, which an evaluation compares with what it finds.

    Attributes:
        threshold: The score at which to decide; None: that of the equal error rate of the pairs themselves, and the result says so.
        threshold_from: Where the threshold comes from.
        operating_points: Operating points to measure as well.
        calibration: What gives the probabilities that are compared with the truth; None: there are none.
        prior: The share of mated pairs that these probabilities assume.
        costs: What errors cost, for detection costs.
    """

    threshold: float | None = None
    threshold_from: str = "validation people"
    operating_points: Sequence[OperatingPoint] = ()
    calibration: Calibration | None = None
    prior: float = 0.5
    costs: tuple[Costs, ...] = NIST_COSTS

    @property
    def thresholds(self) -> list[float]:
        """All thresholds that are known before any pair is scored."""
        own = [] if self.threshold is None else [self.threshold]
        return [*own, *(point.score for point in self.operating_points)]


def pair_scores(embeddings: npt.NDArray[np.float32], pairs: npt.NDArray[np.int64]) -> npt.NDArray[np.float32]:
    """Return the cosines of pairs `(m, 2)` of rows of unit length, `(m,)`."""
    return paired_scores(embeddings[pairs[:, 0]], embeddings[pairs[:, 1]])


def extreme_pairs(
    embeddings: npt.NDArray[np.float32], labels: npt.NDArray[np.int64], *, count: int = 6, seed: int = 0
) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.float32], list[str]]:
    """Find the mated and non-mated pairs of the highest and of the lowest scores.

    Args:
        embeddings: `(n, d)`, rows of unit length.
        labels: `(n,)`, equal for photos of one person.
        count: How many of each kind at most.
        seed: Draws 2,000 photos where there are more.

    Returns:
        Pairs `(m, 2)`, their scores `(m,)`, and a title for each. No photo comes twice in a kind.
    """
    chosen = np.arange(len(labels))
    if len(chosen) > _EXTREME_PHOTOS:
        chosen = np.sort(np.random.default_rng(seed).choice(len(labels), _EXTREME_PHOTOS, replace=False))
    first, second = np.triu_indices(len(chosen), 1)
    scores = cosine_scores(embeddings[chosen], embeddings[chosen])[first, second]
    pairs = chosen[np.stack([first, second], axis=1)]
    mated = labels[pairs[:, 0]] == labels[pairs[:, 1]]
    picked: list[int] = []
    titles: list[str] = []
    for same, sign, title in (
        (True, -1, "same person, highest"),
        (True, 1, "same person, lowest"),
        (False, 1, "different, lowest"),
        (False, -1, "different, highest"),
    ):
        kind = np.flatnonzero(mated == same)
        own = _without_repetition(pairs, kind[np.argsort(sign * scores[kind], kind="stable")], count)
        picked += own
        titles += [title] * len(own)
    return pairs[picked], scores[picked], titles


def _without_repetition(pairs: npt.NDArray[np.int64], order: npt.NDArray[np.int64], count: int) -> list[int]:
    """Take pairs in this order, passing over photos that were taken already."""
    taken: set[int] = set()
    picked: list[int] = []
    for index in order[: 50 * count].tolist():
        photos = set(pairs[index].tolist())
        if not photos & taken:
            taken |= photos
            picked.append(index)
        if len(picked) == count:
            break
    return picked


def evaluate_all_pairs(
    embeddings: npt.NDArray[np.float32], labels: npt.NDArray[np.int64], claims: Claims | None = None, *, name: str = "all pairs"
) -> Evaluation:
    """Score every pair of photos, and measure error rates with intervals.

    Args:
        embeddings: `(n, d)`, rows of unit length.
        labels: `(n,)`, equal for photos of one person.
        claims: Threshold, operating points and calibration of the model; None: none of them.
        name: What to call the pairs.

    Raises:
        DataError: If there are no mated or no non-mated pairs.
    """
    claims = claims or Claims()
    return evaluate_scores(score_all_pairs(embeddings, labels, thresholds=claims.thresholds), claims, name=name)


def evaluate_protocol(
    embeddings: npt.NDArray[np.float32], labels: npt.NDArray[np.int64], pairs: PairProtocol, claims: Claims | None = None
) -> Evaluation:
    """Score the pairs of a protocol, and measure error rates with intervals.

    Args:
        embeddings: `(n, d)` of all photos of the data set, rows of unit length.
        labels: `(n,)`, the people of the photos.
        pairs: The pairs.
        claims: As in `evaluate_all_pairs`.

    Raises:
        DataError: As there.
    """
    scores = score_pairs(embeddings, labels, pairs.pairs)
    result = evaluate_scores(scores, claims or Claims(), name=pairs.name, photos=len(np.unique(pairs.pairs)))
    if pairs.folds is None or len(np.unique(pairs.folds)) < 2:
        return result
    return replace(result, folded=evaluate_folds(pair_scores(embeddings, pairs.pairs), pairs.labels, pairs.folds))


def evaluate_scores(scores: PairScores, claims: Claims, *, name: str, photos: int | None = None) -> Evaluation:
    """Measure error rates of pairs with scores.

    Args:
        scores: The pairs.
        claims: As in `evaluate_all_pairs`.
        name: What to call the pairs.
        photos: How many photos they are of; None: all whose people are known.

    Raises:
        DataError: If there are no mated or no non-mated pairs.
    """
    curve = scores.curve_at(*(limit for limit in claims.thresholds if limit >= scores.floor))
    _, at_equal_errors = equal_error_rate(curve)
    threshold = at_equal_errors if claims.threshold is None else claims.threshold
    table = [limit for limit in (threshold_at_fmr(curve, fmr) for fmr in TABLE_FMR) if np.isfinite(limit)]
    curves = PeopleCurves.of(scores, curve_points(curve, [threshold, at_equal_errors, *claims.thresholds, *table]))
    return Evaluation(
        name=name,
        people=scores.compared,
        photos=len(scores.people) if photos is None else photos,
        threshold=threshold,
        threshold_from="these very pairs, at equal error rates" if claims.threshold is None else claims.threshold_from,
        curve=curve,
        curves=curves,
        operating_points=tuple(claims.operating_points),
        effective_people=scores.effective_people,
        reliability=None if claims.calibration is None else measure_reliability(curve, claims.calibration, prior=claims.prior),
        costs=None if claims.calibration is None else summarise_costs(curve, claims.calibration, curves.thresholds, claims.costs),
    )


def evaluate_folds(scores: npt.ArrayLike, labels: npt.ArrayLike, folds: npt.ArrayLike) -> FoldedEvaluation:
    """Decide each fold at the threshold of best accuracy on all others.

    Args:
        scores: `(m,)`; each fold's may come from a network of its own.
        labels: `(m,)`, 1 for mated and 0 for non-mated pairs.
        folds: `(m,)`, the fold of each pair.

    Raises:
        DataError: If there are fewer than two folds.
    """
    scores, labels, folds = np.asarray(scores), np.asarray(labels), np.asarray(folds)
    numbers = np.unique(folds)
    if len(numbers) < 2:
        raise DataError(f"a threshold from the other folds needs at least two folds, got {len(numbers)}")
    decisions, thresholds = [], []
    for fold in numbers:
        tested = folds == fold
        threshold = best_accuracy_threshold(scores[~tested], labels[~tested])
        decisions.append(confusion(labels[tested], scores[tested] >= threshold))
        thresholds.append(threshold)
    return FoldedEvaluation(
        folds=tuple(int(fold) for fold in numbers),
        decisions=tuple(decisions),
        thresholds=tuple(thresholds),
        curve=error_curve(scores, labels),
    )
