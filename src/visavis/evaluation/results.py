"""What an evaluation found: numbers only, each with its counts."""

from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any

import numpy as np
import numpy.typing as npt

from visavis.evaluation.sampling import SampledPairs
from visavis.metrics import Confusion, ErrorCurve, Rate, equal_error_rate, roc_auc, tar_at_fmr
from visavis.metrics.bootstrap import Replicates, interval
from visavis.metrics.calibration import Reliability
from visavis.metrics.intervals import FEW, RATES
from visavis.metrics.operating_points import OperatingPoint
from visavis.metrics.quality import RejectCurve
from visavis.metrics.search import SearchEvaluation
from visavis.metrics.subgroups import Subgroups

__all__ = ["Evaluation", "FoldedEvaluation", "RuleReached", "tar_name"]

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
        effective: For each rate at the threshold, how many independent trials would tell as much as these pairs do.
        replicates: The curve of resampled people.
        rules: The model's other decision rules, and what they did.
        reliability: How far the model's probabilities can be believed; None: it gives none.
        groups: The errors of subgroups, one for each attribute that tells them apart.
        quality: What refusing poor photos would bring, one for each measure of their quality.
        search: Searches of a gallery of some of the people; None: not tried.
        folded: Accuracy with each fold's threshold from the other folds; None: the pairs have no folds.
        sampled: What the pairs were drawn from; None: they are all that there are.
        trained_people: Whether people that the model learned from may be among them.
        data_digest: SHA-256 of people, photos and pairs, hexadecimal; the same for any model that is measured on them.
    """

    name: str
    people: int
    photos: int
    threshold: float
    threshold_from: str
    curve: ErrorCurve
    effective: dict[str, float]
    replicates: Replicates
    rules: tuple["RuleReached", ...] = ()
    reliability: Reliability | None = None
    groups: tuple[Subgroups, ...] = ()
    quality: tuple[RejectCurve, ...] = ()
    search: SearchEvaluation | None = None
    folded: "FoldedEvaluation | None" = None
    sampled: SampledPairs | None = None
    trained_people: bool = False
    data_digest: str = ""

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
        """Every rate that has counts, by name."""
        found = {name: replace(getattr(self.decisions, name), effective=self.effective[name]) for name in RATES}
        return found | {tar_name(fmr): self.tar_at_fmr(fmr) for fmr in REPORTED_FMR}

    @cached_property
    def resampled(self) -> dict[str, npt.NDArray[np.float64]]:
        """What resampled people gave, by name, `(r,)` each; the first is that of the people as they are."""
        replicates = self.replicates
        fmr, fnmr = replicates.at(self.threshold)
        found = {"eer": replicates.eer(), "roc_auc": replicates.roc_auc(), "fmr": fmr, "fnmr": fnmr}
        return found | {tar_name(fmr): 1 - replicates.fnmr_at(fmr) for fmr in REPORTED_FMR}

    @cached_property
    def intervals(self) -> dict[str, tuple[float, float]]:
        """Where each rate lies with 95 % confidence, by name.

        At the threshold, from the effective number of trials; where the threshold itself depends on the people, by resampling them.
        """
        found = {"eer": self._eer_interval(), "roc_auc": interval(self.resampled["roc_auc"], self.roc_auc, self.people)}
        for name, rate in self.rates().items():
            found[name] = rate.interval if name in RATES else interval(self.resampled[name], rate.value, self.people)
        return found

    def _eer_interval(self) -> tuple[float, float]:
        """Where hardly a mated pair is refused, resampling them cannot tell how many might have been."""
        low, high = interval(self.resampled["eer"], self.eer, self.people)
        refused = self.curve.at(equal_error_rate(self.curve)[1]).fnmr
        if refused.count < FEW:
            people = max(1.0, min(refused.trials, self.effective["recall"]))
            high = max(high, replace(refused, effective=people).interval[1])
        return low, high

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
            "data_digest": self.data_digest,
            "eer": self.eer,
            "roc_auc": self.roc_auc,
            **{name: rate.value for name, rate in rates.items()},
            "f1": decisions.f1,
            "threshold": self.threshold,
            "threshold_from": self.threshold_from,
            "operating_points": [rule.to_json() for rule in self.rules],
            "reliability": self.reliability and self.reliability.to_json(),
            "groups": [group.to_json() for group in self.groups],
            "search": self.search and self.search.to_json(),
            "folded": self.folded and self.folded.to_json(),
            "sampled": self.sampled and self.sampled.to_json({name: rates[name] for name in ("fmr", "recall")}),
            "quality": [curve.to_json() for curve in self.quality],
            "counts": {
                "eer": {"mated": self.curve.mated, "nonmated": self.curve.nonmated},
                "roc_auc": {"mated": self.curve.mated, "nonmated": self.curve.nonmated},
                "f1": {"tp": decisions.tp, "fp": decisions.fp, "tn": decisions.tn, "fn": decisions.fn},
                **{name: {"count": rate.count, "trials": rate.trials, "effective": rate.effective} for name, rate in rates.items()},
            },
            "intervals": {name: list(limits) for name, limits in self.intervals.items()},
        }

    def __str__(self) -> str:
        """Show the numbers as a small table."""
        low, high = self.intervals["eer"]
        rows = [
            f"{self.name}: {self.photos:,} photos of {self.people:,} people, "
            f"{self.curve.mated:,} mated and {self.curve.nonmated:,} non-mated pairs",
            f"  {'equal error rate':<22} {self.eer:.2%} ({low:.2%} .. {high:.2%})",
            f"  {'ROC AUC':<22} {self.roc_auc:.4f}",
            f"  at threshold {self.threshold:.3f} (from {self.threshold_from}):",
        ]
        for name, rate in self.rates().items():
            low, high = self.intervals[name]
            counts = f"{rate.count:,} of {rate.trials:,}"
            rows.append(f"  {name.replace('_', ' '):<22} {rate.value:.2%} ({low:.2%} .. {high:.2%}; {counts})")
        rows.append(f"  {'F1':<22} {self.decisions.f1:.4f}")
        rows += [f"  {rule}" for rule in self.rules]
        if self.reliability is not None:
            rows.append(f"  probabilities: Brier score {self.reliability.brier:.4f}, calibration error {self.reliability.ece:.4f}")
        if self.folded is not None:
            rows.append(f"  each fold at the best threshold of the others: {self.folded}")
        if self.search is not None:
            rows.append(f"  {self.search}")
        if self.sampled is not None:
            fmr, fnmr = (self.sampled.standard_error(rate) for rate in (self.decisions.fmr, self.decisions.fnmr))
            rows.append(f"  drawing pairs in the place of all adds a standard error of {fmr:.2g} to FMR and {fnmr:.2g} to FNMR")
        rows += [f"  {finding}" for group in self.groups for finding in group.findings]
        return "\n".join([*rows, *(f"  {curve.finding}" for curve in self.quality)])


@dataclass(frozen=True)
class RuleReached:
    """What a decision rule did.

    Attributes:
        rule: The rule, and what it did to the people that it was chosen on.
        fmr: The false match rate that it reached here.
        fnmr: The false non-match rate.
    """

    rule: OperatingPoint
    fmr: Rate
    fnmr: Rate

    def to_json(self) -> dict[str, Any]:
        """Return it as plain values."""
        found = {name: rate.value for name, rate in (("fmr", self.fmr), ("fnmr", self.fnmr))}
        intervals = {name: list(rate.interval) for name, rate in (("fmr", self.fmr), ("fnmr", self.fnmr))}
        return {"target_fmr": self.rule.target_fmr, "threshold": self.rule.score, **found, "intervals": intervals}

    def __str__(self) -> str:
        """Tell the aim and what came of it."""
        aim = "" if self.rule.target_fmr is None else f"for FMR {self.rule.target_fmr:g}, "
        return f"{aim}threshold {self.rule.score:.3f}: FMR {self.fmr}, FNMR {self.fnmr}"


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


def tar_name(fmr: float) -> str:
    """Return what the true accept rate at this false match rate is called, such as `tar_at_fmr_1e-3`."""
    return f"tar_at_fmr_{fmr:.0e}".replace("e-0", "e-")
