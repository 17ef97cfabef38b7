"""Operating points of a search: a target false positive identification rate (FPIR) at the size of a gallery."""

import math
from dataclasses import dataclass

from visavis.encoders.card import Card
from visavis.errors import ModelError
from visavis.metrics.operating_points import OperatingPoint
from visavis.metrics.search import rate_of_any

__all__ = ["SearchRule", "rule_for_fpir"]


@dataclass(frozen=True)
class SearchRule:
    """The operating point of a search.

    Attributes:
        rule: The operating point of one comparison.
        references: Number of references that a probe is compared with.
        target_fpir: The target false positive identification rate.
    """

    rule: OperatingPoint
    references: int
    target_fpir: float

    @property
    def fpir(self) -> float:
        """Predicted FPIR, from the false match rate measured at the operating point."""
        return rate_of_any(self.rule.false_matches / self.rule.nonmated, self.references)

    @property
    def fpir_upper(self) -> float | None:
        """Predicted FPIR at the upper end of the 95 % interval of the false match rate; None: unknown."""
        return None if self.rule.fmr_upper is None else rate_of_any(self.rule.fmr_upper, self.references)

    def __str__(self) -> str:
        """Return a one-line summary."""
        upper = "" if self.fpir_upper is None else f", at most {self.fpir_upper:.2g}"
        return f"threshold {self.rule.score:.4f}: expected FPIR with {self.references:,} references: {self.fpir:.2g}{upper}"


def rule_for_fpir(card: Card, target: float, references: int) -> SearchRule:
    """Choose the most lenient operating point of a model that keeps a target FPIR at the size of a gallery.

    A probe of a person who is not enrolled is compared with N references, so the FPIR is `1 - (1 - FMR)^N` for independent
    references, and lower where a subject has several. Nothing is extrapolated: only operating points that were chosen on people
    for a low enough false match rate qualify.

    Args:
        card: The card of the model.
        target: The target FPIR, in (0, 1).
        references: Number of references.

    Raises:
        ModelError: If the model has no such operating point; the message names the false match rate that is needed.
        ValueError: If an argument is out of range.
    """
    if not 0 < target < 1:
        raise ValueError(f"target must be in (0, 1), got {target}")
    if references < 1:
        raise ValueError(f"references must be at least 1, got {references}")
    needed = -math.expm1(math.log1p(-target) / references)
    rules = [rule for rule in card.rules if rule.target_fmr is not None and rule.nonmated]
    able = [rule for rule in rules if rule.target_fmr is not None and rule.target_fmr <= needed]
    if not able:
        least = min((rule.target_fmr for rule in rules if rule.target_fmr is not None), default=None)
        reach = (
            "no operating point for a target FMR"
            if least is None
            else f"operating points for {least:g} at best, which suffices for {_references(least, target):,} references"
        )
        raise ModelError(
            f"an FPIR of {target:g} with {references:,} references needs an FMR of {needed:.2g}, and the model has {reach}. "
            f"Calibrate on more people: visavis calibrate MODEL DATA --target-fmr {needed:.2g} --out NEW"
        )
    return SearchRule(min(able, key=lambda rule: rule.score), references, target)


def _references(fmr: float, target: float) -> int:
    return math.floor(math.log1p(-target) / math.log1p(-fmr))
