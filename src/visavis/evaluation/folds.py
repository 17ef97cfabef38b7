"""Accuracy fold by fold, as in LFW View 2, and what operating points reached on other people."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from visavis.metrics import Confusion, ErrorCurve, Rate, equal_error_rate, roc_auc, tar_at_fmr
from visavis.metrics.operating_points import OperatingPoint
from visavis.wording import counted

__all__ = ["REPORTED_FMR", "FoldedEvaluation", "PointReached", "tar_name"]

REPORTED_FMR = (1e-2, 1e-3)


@dataclass(frozen=True)
class PointReached:
    """What an operating point did to other people than those it was chosen on.

    Attributes:
        point: The operating point, with what it did to the people that it was chosen on.
        fmr: The false match rate that it reached here.
        fnmr: The false non-match rate.
    """

    point: OperatingPoint
    fmr: Rate
    fnmr: Rate

    def to_json(self) -> dict[str, Any]:
        """Return it as plain values."""
        rates = {name: rate.defined for name, rate in (("fmr", self.fmr), ("fnmr", self.fnmr))}
        intervals = {name: list(rate.interval) for name, rate in (("fmr", self.fmr), ("fnmr", self.fnmr))}
        about = {"target_fmr": self.point.target_fmr, "threshold": self.point.score, "chosen_as": self.point.chosen_as}
        return {**about, **rates, "intervals": intervals}

    def __str__(self) -> str:
        """Show the target and what was reached."""
        aim = "" if self.point.target_fmr is None else f"for FMR {self.point.target_fmr:g}, "
        return f"{aim}threshold {self.point.score:.3f}: FMR {self.fmr}, FNMR {self.fnmr}"


@dataclass(frozen=True, eq=False)
class FoldedEvaluation:
    """Accuracy of each fold at the threshold that is best on the other folds, as in LFW View 2.

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

    def __repr__(self) -> str:
        """Show the mean accuracy."""
        return f"FoldedEvaluation({self})"

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
        """Standard error of the mean accuracy: the folds' standard deviation divided by the root of their number."""
        return float(self.accuracies.std(ddof=1) / np.sqrt(len(self.folds)))

    def to_json(self, extrapolated: Sequence[str] = ()) -> dict[str, Any]:
        """Return the numbers under their plain names.

        Args:
            extrapolated: The names of those at a false match rate that the people cannot show.
        """
        tar = {tar_name(fmr): tar_at_fmr(self.curve, fmr) for fmr in REPORTED_FMR}
        return {
            "accuracy": self.accuracy,
            "standard_error": self.standard_error,
            "eer": equal_error_rate(self.curve)[0],
            "roc_auc": roc_auc(self.curve),
            **{name: rate.defined for name, rate in tar.items()},
            "extrapolated": list(extrapolated),
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
        return (
            f"accuracy {self.accuracy:.2%} +- {self.standard_error:.2%} "
            f"({counted(len(self.folds), 'fold')}, {counted(pairs, 'pair')})"
        )


def tar_name(fmr: float) -> str:
    """Return what the true accept rate at this false match rate is called, such as `tar_at_fmr_1e-3`."""
    return f"tar_at_fmr_{fmr:.0e}".replace("e-0", "e-")
