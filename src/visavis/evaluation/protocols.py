"""Score the pairs of a protocol."""

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt

from visavis.data import PairProtocol
from visavis.errors import DataError
from visavis.evaluation.results import Evaluation, FoldedEvaluation, RuleReached
from visavis.metrics import ErrorCurve, all_pairs_curve, best_accuracy_threshold, confusion, equal_error_rate, error_curve
from visavis.metrics.bootstrap import PeopleCurves, all_pairs_by_people, pairs_by_people, telling_thresholds
from visavis.metrics.calibration import Calibration, Reliability, measure_reliability
from visavis.metrics.intervals import RATES, PeopleErrors, all_pairs_errors, effective_trials, pair_errors
from visavis.metrics.operating_points import OperatingPoint

__all__ = ["evaluate_all_pairs", "evaluate_folds", "evaluate_protocol", "pair_scores", "telling_pairs"]


def pair_scores(embeddings: npt.NDArray[np.float32], pairs: npt.NDArray[np.int64]) -> npt.NDArray[np.float32]:
    """Score pairs `(m, 2)` of rows of unit length by their cosine, `(m,)`."""
    scores: npt.NDArray[np.float32] = np.einsum("md,md->m", embeddings[pairs[:, 0]], embeddings[pairs[:, 1]])
    return scores


def telling_pairs(
    embeddings: npt.NDArray[np.float32], labels: npt.NDArray[np.int64], *, count: int = 6, seed: int = 0
) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.float32], list[str]]:
    """Find the pairs that were judged best and worst.

    Args:
        embeddings: `(n, d)`, rows of unit length.
        labels: `(n,)`, equal for photos of one person.
        count: How many of each kind at most.
        seed: Draws 2,000 photos where there are more.

    Returns:
        Pairs `(m, 2)`, their scores `(m,)`, and what each is: the mated pairs of the highest and of the lowest scores, the
        non-mated pairs of the lowest and of the highest. No photo comes twice in a kind.
    """
    chosen = np.arange(len(labels))
    if len(chosen) > 2000:
        chosen = np.sort(np.random.default_rng(seed).choice(len(labels), 2000, replace=False))
    pairs = chosen[np.stack(np.triu_indices(len(chosen), 1), axis=1)]
    scores, mated = pair_scores(embeddings, pairs), labels[pairs[:, 0]] == labels[pairs[:, 1]]
    found: list[int] = []
    titles: list[str] = []
    for same, sign, title in (
        (True, -1, "same, best"),
        (True, 1, "same, worst"),
        (False, 1, "two, best"),
        (False, -1, "two, worst"),
    ):
        kind = np.flatnonzero(mated == same)
        own = _without_repetition(pairs, kind[np.argsort(sign * scores[kind], kind="stable")], count)
        found += own
        titles += [title] * len(own)
    return pairs[found], scores[found], titles


def _without_repetition(pairs: npt.NDArray[np.int64], order: npt.NDArray[np.int64], count: int) -> list[int]:
    """Take pairs in this order, passing over photos that were taken already."""
    taken: set[int] = set()
    found: list[int] = []
    for index in order[: 50 * count].tolist():
        photos = set(pairs[index].tolist())
        if not photos & taken:
            taken |= photos
            found.append(index)
        if len(found) == count:
            break
    return found


def evaluate_all_pairs(
    embeddings: npt.NDArray[np.float32],
    labels: npt.NDArray[np.int64],
    *,
    threshold: float | None = None,
    threshold_from: str = "validation people",
    name: str = "all pairs",
    rules: Sequence[OperatingPoint] = (),
    calibration: Calibration | None = None,
    prior: float = 0.5,
) -> Evaluation:
    """Score every pair of photos.

    Args:
        embeddings: `(n, d)`, rows of unit length.
        labels: `(n,)`, equal for photos of one person.
        threshold: The score at which to decide; None: that of the equal error rate of these pairs, and the result says so.
        threshold_from: Where the threshold comes from.
        name: What to call the pairs.
        rules: Decision rules of the model to try as well.
        calibration: What gives the probabilities that are compared with the truth; None: there are none.
        prior: The part of mated pairs among all that they suppose.

    Raises:
        DataError: If there are no mated or no non-mated pairs.
    """
    protocol = _Protocol(all_pairs_curve(embeddings, labels), threshold, threshold_from, tuple(rules), calibration, prior)
    errors = all_pairs_errors(embeddings, labels, protocol.thresholds)
    curves = all_pairs_by_people(embeddings, labels, telling_thresholds(protocol.curve, protocol.thresholds))
    return protocol.evaluation(errors, curves, name=name, people=len(np.unique(labels)), photos=len(labels))


def evaluate_protocol(
    embeddings: npt.NDArray[np.float32],
    labels: npt.NDArray[np.int64],
    pairs: PairProtocol,
    *,
    threshold: float | None = None,
    threshold_from: str = "validation people",
    rules: Sequence[OperatingPoint] = (),
    calibration: Calibration | None = None,
    prior: float = 0.5,
) -> Evaluation:
    """Score the pairs of a protocol.

    Args:
        embeddings: `(n, d)` of all photos of the data set, rows of unit length.
        labels: `(n,)`, the people of the photos.
        pairs: The pairs.
        threshold: As in `evaluate_all_pairs`, and so all that follows.
        threshold_from: See there.
        rules: See there.
        calibration: See there.
        prior: See there.
    """
    scores, people = pair_scores(embeddings, pairs.pairs), labels[pairs.pairs]
    protocol = _Protocol(error_curve(scores, pairs.labels), threshold, threshold_from, tuple(rules), calibration, prior)
    errors = [pair_errors(scores, people, limit) for limit in protocol.thresholds]
    curves = pairs_by_people(scores, people, telling_thresholds(protocol.curve, protocol.thresholds))
    used = np.unique(pairs.pairs)
    found = protocol.evaluation(errors, curves, name=pairs.name, people=len(np.unique(labels[used])), photos=len(used))
    if pairs.folds is None or len(np.unique(pairs.folds)) < 2:
        return found
    return replace(found, folded=evaluate_folds(scores, pairs.labels, pairs.folds))


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
        raise DataError(f"a threshold from the other folds needs two folds or more. Received: {len(numbers)}")
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


@dataclass(frozen=True, eq=False)
class _Protocol:
    """Pairs with their scores, and what is to be found out about them."""

    curve: ErrorCurve
    threshold: float | None
    threshold_from: str
    rules: tuple[OperatingPoint, ...]
    calibration: Calibration | None
    prior: float

    @property
    def thresholds(self) -> list[float]:
        """That of equal errors, that of the decisions, and those of the rules."""
        _, at_equal_errors = equal_error_rate(self.curve)
        return [
            at_equal_errors,
            at_equal_errors if self.threshold is None else self.threshold,
            *(rule.score for rule in self.rules),
        ]

    def evaluation(self, errors: list[PeopleErrors], curves: PeopleCurves, *, name: str, people: int, photos: int) -> Evaluation:
        """Put it together; `errors` are those at `thresholds`."""
        lax, at, *at_rules = errors
        _, threshold, *_ = self.thresholds
        return Evaluation(
            name=name,
            people=people,
            photos=photos,
            threshold=threshold,
            threshold_from="these very pairs, at equal error rates" if self.threshold is None else self.threshold_from,
            curve=self.curve,
            effective={rate: effective_trials(rate, at, lax) for rate in RATES},
            replicates=curves.resampled(),
            rules=tuple(self._reached(rule, found, lax) for rule, found in zip(self.rules, at_rules, strict=True)),
            reliability=self._reliability(),
        )

    def _reliability(self) -> Reliability | None:
        return None if self.calibration is None else measure_reliability(self.curve, self.calibration, prior=self.prior)

    def _reached(self, rule: OperatingPoint, errors: PeopleErrors, lax: PeopleErrors) -> RuleReached:
        decisions = self.curve.at(rule.score)
        fmr, fnmr = (replace(getattr(decisions, rate), effective=effective_trials(rate, errors, lax)) for rate in ("fmr", "fnmr"))
        return RuleReached(rule, fmr, fnmr)
