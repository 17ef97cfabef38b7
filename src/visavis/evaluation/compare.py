"""Compare two models on the same pairs: paired bootstrap over people, with intervals of the differences."""

import json
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Literal

import numpy as np

from visavis.errors import DataError
from visavis.metrics.bootstrap import paired_limits

__all__ = ["METRICS", "MIN_PEOPLE", "Difference", "ReportComparison", "compare_reports"]

METRICS = "metrics.json"
MIN_PEOPLE = 20
"""The minimum of people, by effective number, from which on one model is called better than another."""
_LOWER_IS_BETTER = {"eer": True, "roc_auc": False, "fmr": True, "fnmr": True, "tar_at_fmr_1e-2": False, "tar_at_fmr_1e-3": False}


@dataclass(frozen=True)
class Difference:
    """A measure of two models on the same people.

    Attributes:
        measure: Its name.
        first: The first model's.
        second: The second model's.
        low: The lower limit of the 95 % interval of second minus first.
        high: The upper limit.
        people: The effective number of people that it is from.
        extrapolated: Whether the people cannot show the false match rate that it is for; then no model is called better.
    """

    measure: str
    first: float
    second: float
    low: float
    high: float
    people: float
    extrapolated: bool = False

    @property
    def better(self) -> Literal["first", "second"] | None:
        """Which model is better; None: these people do not show it."""
        if self.low <= 0 <= self.high or self.people < MIN_PEOPLE or self.extrapolated:
            return None
        return "second" if (self.high < 0) == _LOWER_IS_BETTER[self.measure] else "first"


@dataclass(frozen=True)
class ReportComparison:
    """Two evaluations of the same pairs.

    Attributes:
        first: The file of the first.
        second: The file of the second.
        people: How many people the pairs are of.
        differences: One for each measure.
    """

    first: str
    second: str
    people: int
    differences: tuple[Difference, ...]

    def to_json(self) -> dict[str, Any]:
        """Return it as plain values."""
        rows = {row.measure: {**asdict(row), "better": row.better} for row in self.differences}
        return {"first": self.first, "second": self.second, "people": self.people, "measures": rows}

    def __str__(self) -> str:
        """Show it as a small table, with a conclusion."""
        rows = [f"{'':<16} {'first':>9} {'second':>9}   second - first, 95 % interval"]
        for row in self.differences:
            difference = f"{row.second - row.first:+.4f} ({row.low:+.4f} .. {row.high:+.4f})"
            note = " extrapolated" if row.extrapolated else ""
            rows.append(f"{row.measure:<16} {row.first:>9.4f} {row.second:>9.4f}   {difference}{note}")
        better = self.differences[0].better
        name = {"first": self.first, "second": self.second}.get(better or "")
        if name:
            rows.append(
                f"{name} has the lower equal error rate: the difference is larger than sampling {self.people:,} people explains."
            )
        elif self.differences[0].people < MIN_PEOPLE:
            rows.append(f"{self.people:,} people are too few to compare models: at least {MIN_PEOPLE} are needed.")
        else:
            rows.append(f"These {self.people:,} people do not show which has the lower equal error rate.")
        return "\n".join(rows)


def compare_reports(first: Path | str, second: Path | str) -> ReportComparison:
    """Compare two models by the reports of their evaluations on the same pairs.

    The paired bootstrap over people: the same people were drawn for both, so what makes some people hard for any model cancels. The
    intervals are Student's for the effective number of people.

    Args:
        first: A `metrics.json`, or the folder that it is in.
        second: Another one.

    Raises:
        DataError: If one cannot be read, or if they are of different pairs.
    """
    one, two = (_read(Path(path)) for path in (first, second))
    if one["data_digest"] != two["data_digest"]:
        raise DataError(
            f"{first} and {second} are of different pairs ({one['name']}; {two['name']}). Evaluate both models on the same data, "
            "with --people all if one of them has seen some of it"
        )
    effective = min(float(report["effective_people"]) for report in (one, two))
    differences = [_difference(measure, one, two, effective) for measure in _LOWER_IS_BETTER]
    return ReportComparison(str(first), str(second), one["people"], tuple(differences))


def _difference(measure: str, one: dict[str, Any], two: dict[str, Any], people: float) -> Difference:
    first, second = (np.array(report["resampled"][measure]) for report in (one, two))
    low, high = paired_limits(first, second, people)
    shift = two[measure] - one[measure] - (second[0] - first[0])
    extrapolated = measure in one["extrapolated"] or measure in two["extrapolated"]
    return Difference(measure, one[measure], two[measure], low + shift, high + shift, people, extrapolated)


def _read(path: Path) -> dict[str, Any]:
    file = path / METRICS if path.is_dir() else path
    try:
        values = json.loads(file.read_text(encoding="utf-8"))
        lengths = {len(values["resampled"][measure]) for measure in _LOWER_IS_BETTER}
    except OSError as error:
        raise DataError(f"{file}: {error.strerror}. Write it with: visavis evaluate MODEL DATA") from error
    except (ValueError, KeyError, TypeError, RecursionError) as error:
        raise DataError(f"{file}: not a report of visavis evaluate ({error})") from error
    if len(lengths) != 1 or not values.get("data_digest") or "extrapolated" not in values:
        raise DataError(f"{file}: not a report of visavis evaluate, or one of an older version. Evaluate the model again")
    return dict(values)
