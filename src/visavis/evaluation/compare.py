"""Is one model really better than another on the same pairs?"""

import json
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np

from visavis.errors import DataError

__all__ = ["METRICS", "Difference", "ReportComparison", "compare_reports"]

METRICS = "metrics.json"
_LESS_IS_BETTER = {"eer": True, "roc_auc": False, "fmr": True, "fnmr": True, "tar_at_fmr_1e-2": False, "tar_at_fmr_1e-3": False}


@dataclass(frozen=True)
class Difference:
    """A measure of two models on the same people.

    Attributes:
        measure: Its name.
        first: The first model's.
        second: The second model's.
        low: Where the 95 % interval of second less first begins.
        high: Where it ends.
    """

    measure: str
    first: float
    second: float
    low: float
    high: float

    @property
    def better(self) -> str | None:
        """Which model is better, `"first"` or `"second"`; None: these people cannot tell."""
        if self.low <= 0 <= self.high:
            return None
        return "second" if (self.high < 0) == _LESS_IS_BETTER[self.measure] else "first"


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
        """Show it as a small table, and what follows from it."""
        rows = [f"{'':<16} {'first':>9} {'second':>9}   second less first, 95 % interval"]
        for row in self.differences:
            told = f"{row.second - row.first:+.4f} ({row.low:+.4f} .. {row.high:+.4f})"
            rows.append(f"{row.measure:<16} {row.first:>9.4f} {row.second:>9.4f}   {told}")
        better = self.differences[0].better
        name = {"first": self.first, "second": self.second}.get(better or "")
        if name:
            rows.append(f"{name} has the lower equal error rate, beyond what the choice of these {self.people:,} people explains.")
        else:
            rows.append(f"Which has the lower equal error rate cannot be told by these {self.people:,} people.")
        return "\n".join(rows)


def compare_reports(first: Path | str, second: Path | str) -> ReportComparison:
    """Compare two models by what their evaluations of the same pairs wrote: the paired bootstrap over people.

    The same people were drawn for both, so what makes some people hard for any model falls out of the difference.

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
    differences = []
    for measure in _LESS_IS_BETTER:
        change = two[measure] - one[measure]
        replicates = np.array(two["resampled"][measure]) - np.array(one["resampled"][measure])
        low, high = np.percentile(replicates[1:], [2.5, 97.5]) + change - replicates[0]
        differences.append(Difference(measure, one[measure], two[measure], float(low), float(high)))
    return ReportComparison(str(first), str(second), one["people"], tuple(differences))


def _read(path: Path) -> dict[str, Any]:
    file = path / METRICS if path.is_dir() else path
    try:
        values = json.loads(file.read_text(encoding="utf-8"))
        lengths = {len(values["resampled"][measure]) for measure in _LESS_IS_BETTER}
    except OSError as error:
        raise DataError(f"{file}: {error.strerror}. Write it with: visavis evaluate MODEL DATA") from error
    except (ValueError, KeyError, TypeError) as error:
        raise DataError(f"{file}: not what visavis evaluate writes ({error})") from error
    if len(lengths) != 1 or not values.get("data_digest"):
        raise DataError(f"{file}: not what visavis evaluate writes, or an older one. Evaluate the model again")
    return dict(values)
