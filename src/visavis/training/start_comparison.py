"""What training gained over the network that it started from, on the validation people."""

from dataclasses import asdict, dataclass
from typing import Any

from visavis.data import FaceDataset
from visavis.encoders import Encoder
from visavis.metrics import score_all_pairs
from visavis.metrics.bootstrap import paired_equal_error_rates
from visavis.metrics.operating_points import OperatingPoint

__all__ = ["StartComparison", "compare_with_start"]


@dataclass(frozen=True)
class StartComparison:
    """Errors before and after training, on the same people: the validation people, who also selected the weights.

    Attributes:
        start: The network that training started from.
        kept: Whether the start is the result, unchanged, because no validation step was better by a standard error.
        people: Number of people.
        start_eer: Equal error rate of the start, all pairs.
        eer: Equal error rate after training.
        difference: 95 % interval of `eer - start_eer`, from a paired bootstrap over people.
        start_fmr: False match rate of the start at its own threshold; None: it has none.
        start_fnmr: Likewise the false non-match rate.
        fmr: False match rate after training, at the new threshold.
        fnmr: Likewise the false non-match rate.
    """

    start: str
    kept: bool
    people: int
    start_eer: float
    eer: float
    difference: tuple[float, float]
    start_fmr: float | None
    start_fnmr: float | None
    fmr: float
    fnmr: float

    def to_json(self) -> dict[str, Any]:
        """Return the numbers as plain values."""
        return {**asdict(self), "difference": list(self.difference)}

    def __str__(self) -> str:
        """Return a summary of two or three lines."""
        if self.kept:
            why = f"no better than {self.start} on your {self.people} validation people"
            if self.start_eer == 0:
                why = f"{self.start} ranks all pairs of your {self.people} validation people correctly, which cannot be improved"
            return f"kept the start: {why} (EER {self.start_eer:.2%}, FMR {self.fmr:.2%}, FNMR {self.fnmr:.2%})"
        low, high = (100 * value for value in self.difference)
        before = "" if self.start_fmr is None else f" (start: FMR {self.start_fmr:.2%}, FNMR {self.start_fnmr:.2%})"
        return (
            f"on your {self.people} validation people, who also selected the weights:\n"
            f"EER {self.start_eer:.2%} of {self.start} -> {self.eer:.2%}, "
            f"difference {low:+.2f} to {high:+.2f} percentage points (95 % interval, paired)\n"
            f"at the threshold: FMR {self.fmr:.2%}, FNMR {self.fnmr:.2%}{before}"
        )


def compare_with_start(start: Encoder, trained: Encoder, people: FaceDataset, *, name: str, kept: bool) -> StartComparison:
    """Measure two encoders on the same people, each at its own threshold.

    Args:
        start: The encoder that training started from.
        trained: The result of training, which has a threshold.
        people: The people, faces of both encoders' input shape.
        name: What to call the start.
        kept: Whether the result is the start, unchanged.
    """
    scores = [score_all_pairs(encoder.embed(people.faces), people.labels) for encoder in (start, trained)]
    start_eer, eer, difference = paired_equal_error_rates(*scores)
    before, after = (
        None if encoder.card.threshold is None else _rates(encoder.card.threshold.score, each.curve, len(people.people))
        for encoder, each in zip((start, trained), scores, strict=True)
    )
    start_fmr, start_fnmr = before or (None, None)
    fmr, fnmr = after or (float("nan"), float("nan"))
    return StartComparison(name, kept, len(people.people), start_eer, eer, difference, start_fmr, start_fnmr, fmr, fnmr)


def _rates(score: float, curve: Any, people: int) -> tuple[float, float]:
    point = OperatingPoint.tried(score, curve, chosen_on="validation people", people=people)
    return point.false_matches / max(1, point.nonmated), point.false_nonmatches / max(1, point.mated)
