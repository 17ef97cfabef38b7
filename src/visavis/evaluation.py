"""A protocol scored: numbers only, each with its counts."""

from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import numpy.typing as npt

from visavis.datasets import PairProtocol
from visavis.errors import DataError
from visavis.intervals import RATES, PeopleErrors, all_pairs_errors, effective_trials, pair_errors
from visavis.metrics import (
    Confusion,
    ErrorCurve,
    Rate,
    all_pairs_curve,
    best_accuracy_threshold,
    confusion,
    equal_error_rate,
    error_curve,
    roc_auc,
    tar_at_fmr,
    threshold_at_fmr,
)

__all__ = [
    "Evaluation",
    "FoldedEvaluation",
    "evaluate_all_pairs",
    "evaluate_folds",
    "evaluate_protocol",
    "pair_scores",
    "telling_pairs",
]

REPORTED_FMR = (1e-2, 1e-3)


@dataclass(frozen=True)
class Evaluation:
    """Error rates of a set of pairs.

    Attributes:
        name: Which pairs.
        people: How many people they are of.
        photos: How many photos.
        threshold: The score at which the decisions were made.
        threshold_from: Where that comes from.
        curve: Accepted pairs at every threshold.
        effective: For each rate of `rates`, how many independent trials would tell as much as these pairs, which share people.
        trained_people: Whether people that the model learned from may be among them.
    """

    name: str
    people: int
    photos: int
    threshold: float
    threshold_from: str
    curve: ErrorCurve
    effective: dict[str, float]
    trained_people: bool = False

    @property
    def decisions(self) -> Confusion:
        """The decisions at the threshold."""
        return self.curve.at(self.threshold)

    @property
    def eer(self) -> float:
        """Equal error rate; it knows the truth and so is not what a threshold reaches in use."""
        return equal_error_rate(self.curve)[0]

    @property
    def roc_auc(self) -> float:
        """Area under the ROC curve."""
        return roc_auc(self.curve)

    def tar_at_fmr(self, fmr: float) -> Rate:
        """True accept rate at the threshold where these very pairs have this false match rate."""
        return tar_at_fmr(self.curve, fmr)

    def rates(self) -> dict[str, Rate]:
        """Every rate that has counts, by name, with an interval that knows of the people that pairs share."""
        found = {name: getattr(self.decisions, name) for name in RATES}
        found |= {tar_name(fmr): self.tar_at_fmr(fmr) for fmr in REPORTED_FMR}
        return {name: replace(rate, effective=self.effective[name]) for name, rate in found.items()}

    def to_json(self) -> dict[str, Any]:
        """Return every number under its plain name, with the counts and intervals beside."""
        rates = self.rates()
        decisions = self.decisions
        return {
            "name": self.name,
            "people": self.people,
            "photos": self.photos,
            "mated_pairs": self.curve.mated,
            "nonmated_pairs": self.curve.nonmated,
            "trained_people": self.trained_people,
            "eer": self.eer,
            "roc_auc": self.roc_auc,
            **{name: rate.value for name, rate in rates.items()},
            "f1": decisions.f1,
            "threshold": self.threshold,
            "threshold_from": self.threshold_from,
            "counts": {
                "eer": {"mated": self.curve.mated, "nonmated": self.curve.nonmated},
                "roc_auc": {"mated": self.curve.mated, "nonmated": self.curve.nonmated},
                "f1": {"tp": decisions.tp, "fp": decisions.fp, "tn": decisions.tn, "fn": decisions.fn},
                **{name: {"count": rate.count, "trials": rate.trials, "effective": rate.effective} for name, rate in rates.items()},
            },
            "intervals": {name: list(rate.interval) for name, rate in rates.items()},
        }

    def __str__(self) -> str:
        """Show the numbers as a small table."""
        rows = [
            f"{self.name}: {self.photos:,} photos of {self.people:,} people, "
            f"{self.curve.mated:,} mated and {self.curve.nonmated:,} non-mated pairs",
            f"  {'equal error rate':<22} {self.eer:.2%}",
            f"  {'ROC AUC':<22} {self.roc_auc:.4f}",
            f"  at threshold {self.threshold:.3f} (from {self.threshold_from}):",
        ]
        rows += [f"  {name.replace('_', ' '):<22} {rate}" for name, rate in self.rates().items()]
        return "\n".join([*rows, f"  {'F1':<22} {self.decisions.f1:.4f}"])


@dataclass(frozen=True, eq=False)
class FoldedEvaluation:
    """LFW View 2: each fold's accuracy at the threshold that is best on the other folds.

    Attributes:
        folds: The folds' numbers.
        decisions: For each fold.
        thresholds: For each fold.
        curve: Of all pairs together.
    """

    folds: tuple[int, ...]
    decisions: tuple[Confusion, ...]
    thresholds: tuple[float, ...]
    curve: ErrorCurve

    @property
    def accuracies(self) -> npt.NDArray[np.float64]:
        """Accuracy of each fold."""
        return np.array([decision.accuracy.value for decision in self.decisions])

    @property
    def accuracy(self) -> float:
        """Mean accuracy of the folds."""
        return float(self.accuracies.mean())

    @property
    def standard_error(self) -> float:
        """Of the mean accuracy: the folds' standard deviation divided by the root of their number."""
        return float(self.accuracies.std(ddof=1) / np.sqrt(len(self.folds)))

    def to_json(self) -> dict[str, Any]:
        """Return the numbers under their plain names."""
        tar = {tar_name(fmr): tar_at_fmr(self.curve, fmr) for fmr in REPORTED_FMR}
        return {
            "accuracy": self.accuracy,
            "standard_error": self.standard_error,
            "eer": equal_error_rate(self.curve)[0],
            "roc_auc": roc_auc(self.curve),
            **{name: rate.value for name, rate in tar.items()},
            "counts": {
                "accuracy": {
                    "count": sum(decision.accuracy.count for decision in self.decisions),
                    "trials": sum(decision.accuracy.trials for decision in self.decisions),
                },
                **{name: {"count": rate.count, "trials": rate.trials} for name, rate in tar.items()},
            },
            "folds": [
                {"fold": fold, "accuracy": decision.accuracy.value, "threshold": threshold, **vars(decision)}
                for fold, decision, threshold in zip(self.folds, self.decisions, self.thresholds, strict=True)
            ],
        }

    def __str__(self) -> str:
        """Show mean and standard error."""
        pairs = self.curve.mated + self.curve.nonmated
        return f"accuracy {self.accuracy:.2%} +- {self.standard_error:.2%} ({len(self.folds)} folds, {pairs:,} pairs)"


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
) -> Evaluation:
    """Score every pair of photos.

    Args:
        embeddings: `(n, d)`, rows of unit length.
        labels: `(n,)`, equal for photos of one person.
        threshold: The score at which to decide; None: that of the equal error rate of these pairs, and the result says so.
        threshold_from: Where the threshold comes from.
        name: What to call the pairs.

    Raises:
        DataError: If there are no mated or no non-mated pairs.
    """
    rule = _Rule.of(all_pairs_curve(embeddings, labels), threshold, threshold_from)
    errors = all_pairs_errors(embeddings, labels, rule.thresholds)
    return rule.evaluation(errors, name=name, people=len(np.unique(labels)), photos=len(labels))


def evaluate_protocol(
    embeddings: npt.NDArray[np.float32],
    labels: npt.NDArray[np.int64],
    protocol: PairProtocol,
    *,
    threshold: float | None = None,
    threshold_from: str = "validation people",
) -> Evaluation:
    """Score the pairs of a protocol.

    Args:
        embeddings: `(n, d)` of all photos of the data set, rows of unit length.
        labels: `(n,)`, the people of the photos.
        protocol: The pairs.
        threshold: As in `evaluate_all_pairs`.
        threshold_from: See there.
    """
    scores = pair_scores(embeddings, protocol.pairs)
    rule = _Rule.of(error_curve(scores, protocol.labels), threshold, threshold_from)
    errors = [pair_errors(scores, labels[protocol.pairs], limit) for limit in rule.thresholds]
    used = np.unique(protocol.pairs)
    return rule.evaluation(errors, name=protocol.name, people=len(np.unique(labels[used])), photos=len(used))


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


def tar_name(fmr: float) -> str:
    """Return what the true accept rate at this false match rate is called, such as `tar_at_fmr_1e-3`."""
    return f"tar_at_fmr_{fmr:.0e}".replace("e-0", "e-")


@dataclass(frozen=True, eq=False)
class _Rule:
    """The threshold of an evaluation, and the others at which its errors are looked at."""

    curve: ErrorCurve
    threshold: float
    threshold_from: str
    at_equal_errors: float

    @classmethod
    def of(cls, curve: ErrorCurve, threshold: float | None, threshold_from: str) -> "_Rule":
        _, at_equal_errors = equal_error_rate(curve)
        if threshold is None:
            return cls(curve, at_equal_errors, "these very pairs, at equal error rates", at_equal_errors)
        return cls(curve, threshold, threshold_from, at_equal_errors)

    @property
    def thresholds(self) -> list[float]:
        """That of the decisions, that of equal errors, and those of the false match rates that are reported."""
        return [self.threshold, self.at_equal_errors, *(threshold_at_fmr(self.curve, fmr) for fmr in REPORTED_FMR)]

    def evaluation(self, errors: list[PeopleErrors], *, name: str, people: int, photos: int) -> Evaluation:
        """Put it together; `errors` are those at `thresholds`."""
        at, lax, *at_fmr = errors
        effective = {rate: effective_trials(rate, at, lax) for rate in RATES}
        for fmr, found in zip(REPORTED_FMR, at_fmr, strict=True):
            effective[tar_name(fmr)] = effective_trials("recall", found, lax)
        return Evaluation(name, people, photos, self.threshold, self.threshold_from, self.curve, effective)
