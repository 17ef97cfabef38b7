"""What an evaluation found: numbers only, each with its counts and its interval."""

from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from visavis.evaluation.folds import REPORTED_FMR, FoldedEvaluation, PointReached, tar_name
from visavis.evaluation.sampling import SampledPairs
from visavis.metrics import Confusion, ErrorCurve, Rate, equal_error_rate, roc_auc, tar_at_fmr
from visavis.metrics.bootstrap import CurveRows, PeopleCurves, ResampledCurves
from visavis.metrics.error_table import TableRow, error_table
from visavis.metrics.intervals import limits_of, people_interval
from visavis.metrics.operating_points import OperatingPoint
from visavis.metrics.photos import AcquisitionFailures
from visavis.metrics.quality import DiscardCurve, GateCost
from visavis.metrics.reliability import CostSummary, Reliability
from visavis.metrics.search import SearchEvaluation
from visavis.metrics.subgroups import Subgroups
from visavis.wording import counted

__all__ = ["BalancedRate", "Evaluation"]

_RATES = ("accuracy", "precision", "recall", "fmr", "fnmr")
_CONCENTRATED = 0.5  # the share of people, by effective number, below which a report warns


class BalancedRate(NamedTuple):
    """A rate with every person weighing the same.

    Attributes:
        value: The mean of the people's own rates.
        interval: Its 95 % interval.
    """

    value: float
    interval: tuple[float, float]

    def __str__(self) -> str:
        """Show rate and interval."""
        return f"{self.value:.2%} ({self.interval[0]:.2%} .. {self.interval[1]:.2%})"


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
        curves: The same by people, at some hundred thresholds.
        effective_people: How many people with equally many mated pairs would weigh as these do.
        operating_points: Other operating points of the model, which were measured as well.
        reliability: The model's probabilities compared with the truth; None: it gives none.
        costs: Cllr and detection costs of its log-likelihood ratios; None likewise.
        groups: The errors of subgroups, one for each attribute.
        quality: Error versus discard, one for each quality measure.
        gates: The cost of each quality level for enrolment; empty: `prepare` did not measure the photos.
        search: Searches in a gallery of some of the people; None: not measured.
        folded: Accuracy with each fold's threshold from the other folds; None: the pairs have no folds.
        sampled: What the pairs were drawn from; None: they are all that there are.
        acquisition: Photos from which no face was acquired; None: not known.
        acquired: Where their mated pairs are counted: the evaluation without them, of which `reliability` and `costs` are.
        trained_people: Whether people that the model was trained on may be among them.
        data_digest: SHA-256 of people, photos and pairs, hexadecimal; the same for any model that is measured on them.
        provider: What ran the model, such as `"cpu"`, see `visavis.inference.open_session`; empty if it is not known.
    """

    name: str
    people: int
    photos: int
    threshold: float
    threshold_from: str
    curve: ErrorCurve
    curves: PeopleCurves
    effective_people: float
    operating_points: tuple[OperatingPoint, ...] = ()
    reliability: Reliability | None = None
    costs: CostSummary | None = None
    groups: tuple[Subgroups, ...] = ()
    quality: tuple[DiscardCurve, ...] = ()
    gates: tuple[GateCost, ...] = ()
    search: SearchEvaluation | None = None
    folded: FoldedEvaluation | None = None
    sampled: SampledPairs | None = None
    acquisition: AcquisitionFailures | None = None
    acquired: "Evaluation | None" = None
    trained_people: bool = False
    data_digest: str = ""
    provider: str = ""

    def __repr__(self) -> str:
        """Show what was evaluated and the EER."""
        return f"Evaluation({self.name!r}, {counted(self.people, 'person')}, {counted(self.photos, 'photo')}, EER {self.eer:.2%})"

    @property
    def decisions(self) -> Confusion:
        """The decisions at the threshold."""
        return self.curve.at(self.threshold)

    @property
    def eer(self) -> float:
        """Equal error rate. Its threshold comes from these very pairs, so it is not what a threshold reaches in use."""
        return equal_error_rate(self.curve)[0]

    @property
    def roc_auc(self) -> float:
        """Area under the ROC curve."""
        return roc_auc(self.curve)

    def tar_at_fmr(self, fmr: float) -> Rate:
        """True accept rate at the threshold where these very pairs have this false match rate."""
        return tar_at_fmr(self.curve, fmr)

    @cached_property
    def resampled_curves(self) -> ResampledCurves:
        """The curves of resampled people."""
        return self.curves.resampled()

    @property
    def smallest_fmr(self) -> float:
        """The smallest false match rate that these people can show; true accept rates at smaller ones are extrapolated."""
        return self.resampled_curves.smallest_fmr

    @property
    def extrapolated(self) -> tuple[str, ...]:
        """The names of true accept rates at a false match rate that these people cannot show."""
        return tuple(tar_name(fmr) for fmr in REPORTED_FMR if fmr < self.smallest_fmr)

    @property
    def concentrated(self) -> bool:
        """Whether few people hold most of the mated pairs, so that person-balanced rates may differ."""
        return bool(self.effective_people < _CONCENTRATED * np.count_nonzero(self.curves.mated[:, -1]))

    @cached_property
    def balanced(self) -> dict[str, BalancedRate]:
        """False match and false non-match rate at the threshold with every person weighing the same."""
        rates = {}
        for name, (events, trials) in self._errors_of_people.items():
            shares, every = events[trials > 0] / trials[trials > 0], np.ones(np.count_nonzero(trials))
            limits = people_interval(shares, every, pairs=name == "fmr")
            rates[name] = BalancedRate(float(np.mean(shares)) if len(shares) else float("nan"), limits)
        return rates

    @cached_property
    def predictions(self) -> dict[str, tuple[float, float]]:
        """95 % prediction intervals of the false match and non-match rates that another sample of as many people will show."""
        effective = self.curves.effective_pairs
        return {
            name: people_interval(*counts, pairs=name == "fmr", effective=effective, predict=True)
            for name, counts in self._errors_of_people.items()
        }

    @property
    def _errors_of_people(self) -> dict[str, tuple[npt.NDArray[np.float64], npt.NDArray[np.float64]]]:
        """Each person's errors at the threshold, and pairs: `(p,)` each, by rate."""
        mated, nonmated = self.curves.mated, self.curves.nonmated
        accepting = np.flatnonzero(self.curves.thresholds >= self.threshold)
        matched, accepted = (counts[:, accepting[-1]] if len(accepting) else np.zeros(len(counts)) for counts in (nonmated, mated))
        return {"fmr": (matched, nonmated[:, -1]), "fnmr": (mated[:, -1] - accepted, mated[:, -1])}

    def rates(self) -> dict[str, Rate]:
        """Every rate that has counts, by name."""
        rates = {name: getattr(self.decisions, name) for name in _RATES}
        rates |= {tar_name(fmr): self.tar_at_fmr(fmr) for fmr in REPORTED_FMR}
        return {name: Rate(rate.count, rate.trials, self.intervals[name]) for name, rate in rates.items()}

    @cached_property
    def resampled(self) -> dict[str, npt.NDArray[np.float64]]:
        """The measures that models are compared by, of resampled people: `(r,)` each, the first not resampled."""
        measures = self.measures
        names = ("eer", "roc_auc", "fmr", "fnmr", *(tar_name(fmr) for fmr in REPORTED_FMR))
        return {name: measures[name](self.resampled_curves) for name in names}

    @cached_property
    def intervals(self) -> dict[str, tuple[float, float]]:
        """The 95 % interval of each measure, by name; for true accept rates their threshold is resampled with them."""
        resampled = self.resampled_curves
        reported = {tar_name(fmr): fmr for fmr in REPORTED_FMR}
        limits = {}
        for name, measure in self.measures.items():
            if name in reported:
                low, high = resampled.fnmr_limits(reported[name])
                limits[name] = (1 - high, 1 - low)
            else:
                limits[name] = limits_of(measure(resampled.best), measure(resampled.worst))
        return limits if self.acquired is None else self.acquired.intervals | limits

    @property
    def measures(self) -> dict[str, Callable[[CurveRows], npt.NDArray[np.float64]]]:
        """Each measure by name, as a function of error curves: a value for each row."""
        threshold, mated, nonmated = self.threshold, self.curve.mated, self.curve.nonmated

        def accuracy(rows: CurveRows) -> npt.NDArray[np.float64]:
            fmr, fnmr = rows.at(threshold)
            return 1 - (fmr * nonmated + fnmr * mated) / (mated + nonmated)

        def precision(rows: CurveRows) -> npt.NDArray[np.float64]:
            fmr, fnmr = rows.at(threshold)
            accepted = (1 - fnmr) * mated
            return np.asarray(accepted / np.maximum(accepted + fmr * nonmated, 1e-300))

        measures: dict[str, Callable[[CurveRows], npt.NDArray[np.float64]]] = {
            "eer": lambda rows: rows.eer(),
            "roc_auc": lambda rows: rows.roc_auc(),
            "accuracy": accuracy,
            "precision": precision,
            "recall": lambda rows: 1 - rows.at(threshold)[1],
            "fmr": lambda rows: rows.at(threshold)[0],
            "fnmr": lambda rows: rows.at(threshold)[1],
        }
        for fmr in REPORTED_FMR:
            measures[tar_name(fmr)] = lambda rows, fmr=fmr: 1 - rows.fnmr_at(fmr)  # type: ignore[misc]
        if self.costs is not None and self.acquired is None:
            by_threshold = self.costs.by_threshold
            measures["cllr"] = lambda rows: rows.mean_cost(*(cost[-len(rows.thresholds) :] for cost in by_threshold))
        return measures

    @cached_property
    def error_table(self) -> tuple[TableRow, ...]:
        """False non-match rates at falling false match rates, as far as these people show them."""
        return error_table(self.curve, self.resampled_curves)

    @cached_property
    def points_reached(self) -> tuple[PointReached, ...]:
        """The model's other operating points, and what they did."""
        reached = []
        for point in self.operating_points:
            sides = zip(self.resampled_curves.best.at(point.score), self.resampled_curves.worst.at(point.score), strict=True)
            fmr, fnmr = (limits_of(*side) for side in sides)
            decisions = self.curve.at(point.score)
            rates = (Rate(rate.count, rate.trials, limits) for rate, limits in ((decisions.fmr, fmr), (decisions.fnmr, fnmr)))
            reached.append(PointReached(point, *rates))
        return tuple(reached)

    def to_json(self) -> dict[str, Any]:
        """Return every number under its plain name, with the counts and intervals beside."""
        rates = self.rates()
        decisions = self.decisions
        pairs = {"mated": self.curve.mated, "nonmated": self.curve.nonmated}
        return {
            "name": self.name,
            "people": self.people,
            "effective_people": self.effective_people,
            "photos": self.photos,
            "mated_pairs": self.curve.mated,
            "nonmated_pairs": self.curve.nonmated,
            "effective_nonmated_pairs": self.curves.effective_pairs,
            "smallest_fmr": self.smallest_fmr,
            "extrapolated": list(self.extrapolated),
            "trained_people": self.trained_people,
            "data_digest": self.data_digest,
            "provider": self.provider,
            "eer": self.eer,
            "roc_auc": self.roc_auc,
            **{name: rate.defined for name, rate in rates.items()},
            "f1": decisions.f1,
            "balanced": {
                name: {"value": None if np.isnan(rate.value) else rate.value, "interval": list(rate.interval)}
                for name, rate in self.balanced.items()
            },
            "threshold": self.threshold,
            "threshold_from": self.threshold_from,
            "operating_points": [point.to_json() for point in self.points_reached],
            "reliability": self.reliability and self.reliability.to_json(),
            "costs": self.costs and self.costs.to_json(),
            "groups": [group.to_json() for group in self.groups],
            "search": self.search and self.search.to_json(),
            "folded": self.folded and self.folded.to_json(self.extrapolated),
            "failure_to_acquire": self.acquisition and self.acquisition.to_json(),
            "error_table": [row.to_json() for row in self.error_table],
            "sampled": self.sampled and self.sampled.to_json({name: rates[name] for name in ("fmr", "recall")}),
            "quality": [curve.to_json() for curve in self.quality],
            "gates": [gate.to_json() for gate in self.gates],
            "counts": {
                "eer": pairs,
                "roc_auc": pairs,
                "f1": {"tp": decisions.tp, "fp": decisions.fp, "tn": decisions.tn, "fn": decisions.fn},
                **{name: {"count": rate.count, "trials": rate.trials} for name, rate in rates.items()},
            },
            "intervals": {name: list(limits) for name, limits in self.intervals.items()},
            "predictions": {name: list(limits) for name, limits in self.predictions.items()},
        }

    def __str__(self) -> str:
        """Show the numbers as a small table."""
        return "\n".join([*self._header(), *self._rate_rows(), *self._further_rows()])

    def _header(self) -> list[str]:
        low, high = self.intervals["eer"]
        return [
            f"{self.name}: {counted(self.photos, 'photo')} of {counted(self.people, 'person')}, "
            f"{self.curve.mated:,} mated and {counted(self.curve.nonmated, 'non-mated pair')}",
            f"  {'equal error rate':<22} {self.eer:.2%} ({low:.2%} .. {high:.2%})",
            f"  {'ROC AUC':<22} {self.roc_auc:.4f}",
            f"  at threshold {self.threshold:.3f} (from {self.threshold_from}):",
        ]

    def _rate_rows(self) -> list[str]:
        rows = []
        for name, rate in self.rates().items():
            low, high = rate.interval
            note = f"; extrapolated: these people show FMR {self.smallest_fmr:.2g} at best" if name in self.extrapolated else ""
            counts = f"{rate.count:,} of {rate.trials:,}{note}"
            figures = f"{rate.value:.2%} ({low:.2%} .. {high:.2%}; {counts})" if rate.trials else f"undefined ({counts})"
            rows.append(f"  {name.replace('_', ' '):<22} {figures}")
        rows.append(f"  {'F1':<22} {self.decisions.f1:.4f}")
        fmr, fnmr = ("{:.2%} .. {:.2%}".format(*self.predictions[name]) for name in ("fmr", "fnmr"))
        rows.append(
            f"  expect of {counted(self.people, 'other person')} like these: FMR {fmr}, FNMR {fnmr} (95 % prediction intervals)"
        )
        if self.concentrated:
            rows.append(
                f"  few people hold most of the mated pairs: they weigh as {counted(self.effective_people, 'person')} would; "
                f"with every person weighing the same, FMR {self.balanced['fmr']}, FNMR {self.balanced['fnmr']}"
            )
        return rows

    def _further_rows(self) -> list[str]:
        rows = [f"  {point}" for point in self.points_reached]
        if self.reliability is not None:
            prior = f"at prior {self.reliability.prior:g}"
            rows.append(
                f"  probabilities {prior}: Brier score {self.reliability.brier:.4f}, calibration error {self.reliability.ece:.4f}"
            )
        if self.costs is not None:
            low, high = self.intervals["cllr"]
            rows.append(f"  Cllr {self.costs.cllr:.4f} ({low:.4f} .. {high:.4f}), minimum {self.costs.min_cllr:.4f}")
        if self.acquisition is not None:
            rows.append(f"  {self.acquisition}")
        if self.folded is not None:
            rows.append(f"  each fold at the best threshold of the others: {self.folded}")
        if self.search is not None:
            rows.append(f"  {self.search}")
        if self.sampled is not None:
            fmr, fnmr = (self.sampled.standard_error(rate) for rate in (self.decisions.fmr, self.decisions.fnmr))
            rows.append(f"  sampling pairs instead of taking all adds a standard error of {fmr:.2g} to FMR and {fnmr:.2g} to FNMR")
        rows += [f"  {finding}" for group in self.groups for finding in group.findings]
        rows += [f"  {curve.finding}" for curve in self.quality]
        return rows + [f"  {gate.finding}" for gate in self.gates]
