"""The table of NIST's face recognition tests: the false non-match rate at falling false match rates, as far as people show them."""

from dataclasses import dataclass
from typing import Any

from visavis.metrics.bootstrap import ResampledCurves
from visavis.metrics.curves import ErrorCurve, Rate, threshold_at_fmr
from visavis.metrics.intervals import limits_of

__all__ = ["TABLE_FMR", "TableRow", "error_table"]

TABLE_FMR = (1e-1, 1e-2, 1e-3, 1e-4, 1e-5, 1e-6)


@dataclass(frozen=True)
class TableRow:
    """One line of the table.

    Attributes:
        fmr: The false match rate that it is for.
        threshold: The lowest threshold at which these pairs have at most this rate.
        reached: The rate that they have there; its interval is that of this threshold.
        fnmr: The false non-match rate there; its interval allows for the threshold, which depends on the same people.
    """

    fmr: float
    threshold: float
    reached: Rate
    fnmr: Rate

    def to_json(self) -> dict[str, Any]:
        """Return it as plain values."""
        return {"fmr": self.fmr, "threshold": self.threshold, "reached": self.reached.to_json(), "fnmr": self.fnmr.to_json()}


def error_table(curve: ErrorCurve, resampled: ResampledCurves) -> tuple[TableRow, ...]:
    """Return the lines for the false match rates that the people show.

    Args:
        curve: Of all pairs.
        resampled: The curves of resampled people, with the thresholds of the table among theirs. Lines for rates that they cannot
            show are left out.
    """
    rows = []
    for fmr in TABLE_FMR:
        threshold = threshold_at_fmr(curve, fmr)
        if fmr < resampled.smallest_fmr or threshold == float("inf"):
            continue
        counts = curve.at(threshold)
        reached = limits_of(resampled.best.at(threshold)[0], resampled.worst.at(threshold)[0])
        limits = resampled.fnmr_limits(fmr)
        rows.append(
            TableRow(
                fmr,
                threshold,
                Rate(counts.fmr.count, counts.fmr.trials, reached),
                Rate(counts.fnmr.count, counts.fnmr.trials, limits),
            )
        )
    return tuple(rows)
