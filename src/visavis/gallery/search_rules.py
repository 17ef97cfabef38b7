"""The threshold of a search: a target rate of strangers who find somebody, at a gallery's size."""

import math
from dataclasses import dataclass

from visavis.encoders.card import Card
from visavis.errors import ModelError
from visavis.metrics.operating_points import OperatingPoint

__all__ = ["SearchRule", "foretold_fpir", "rule_for_fpir"]


@dataclass(frozen=True)
class SearchRule:
    """From which score on a search finds somebody.

    Attributes:
        rule: The decision rule for one comparison.
        references: How many references a probe is compared with.
        target_fpir: The false positive identification rate that is to be kept.
    """

    rule: OperatingPoint
    references: int
    target_fpir: float

    @property
    def fpir(self) -> float:
        """The part of strangers who will find somebody, foretold from what the rule did to its people."""
        return foretold_fpir(self.rule.false_matches / self.rule.nonmated, self.references)

    @property
    def fpir_upper(self) -> float | None:
        """The same from the end of the 95 % interval of the rule's false match rate; None: not known."""
        return None if self.rule.fmr_upper is None else foretold_fpir(self.rule.fmr_upper, self.references)

    def __str__(self) -> str:
        """Tell it in words."""
        upper = "" if self.fpir_upper is None else f", at most {self.fpir_upper:.2g}"
        return (
            f"threshold {self.rule.score:.4f}: of strangers {self.fpir:.2g} are expected to find somebody among "
            f"{self.references:,} references{upper}"
        )


def rule_for_fpir(card: Card, target: float, references: int) -> SearchRule:
    """Choose the model's most lenient rule that keeps a false positive identification rate at a gallery's size.

    A stranger is compared with N references, so the rate is `1 - (1 - FMR)^N` where these are independent; several references
    of one subject are not, and then it is less. Nothing is extrapolated: only a rule that was chosen on people for a false match
    rate that is low enough will do.

    Args:
        card: The model's.
        target: The rate to keep, in (0, 1).
        references: How many references there are.

    Raises:
        ModelError: If the model has no such rule; the message says for which false match rate one is needed.
        ValueError: If an argument is out of range.
    """
    if not 0 < target < 1:
        raise ValueError(f"target must be in (0, 1). Received: target={target}")
    if references < 1:
        raise ValueError(f"references must be at least 1. Received: references={references}")
    needed = -math.expm1(math.log1p(-target) / references)
    rules = [rule for rule in card.rules if rule.target_fmr is not None and rule.nonmated]
    able = [rule for rule in rules if rule.target_fmr is not None and rule.target_fmr <= needed]
    if not able:
        least = min((rule.target_fmr for rule in rules if rule.target_fmr is not None), default=None)
        reach = "none" if least is None else f"{least:g} at the least, which will do for {_references(least, target):,} references"
        raise ModelError(
            f"a false positive identification rate of {target:g} among {references:,} references needs a false match rate of "
            f"{needed:.2g}, and the model's rules keep {reach}. Choose one on more people: "
            f"visavis calibrate MODEL DATA --target-fmr {needed:.2g} --out NEW"
        )
    return SearchRule(min(able, key=lambda rule: rule.score), references, target)


def foretold_fpir(fmr: float, references: int) -> float:
    """Return how many of strangers find somebody among references that a false match rate holds for, were these independent."""
    return -math.expm1(references * math.log1p(-fmr)) if fmr < 1 else 1.0


def _references(fmr: float, target: float) -> int:
    return math.floor(math.log1p(-target) / math.log1p(-fmr))
