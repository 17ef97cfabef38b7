"""Operating points of a search: a target false positive identification rate (FPIR) at the size of a gallery."""

import math
from collections.abc import Sequence
from dataclasses import dataclass

from visavis.encoders.card import Card
from visavis.errors import ModelError
from visavis.gallery.records import Hit
from visavis.metrics.operating_points import OperatingPoint
from visavis.metrics.search import rate_of_any
from visavis.wording import counted

__all__ = ["TARGET_FPIR", "SearchRule", "choose_rule", "name_faces", "rule_for_fpir"]

TARGET_FPIR = 0.01
"""The target false positive identification rate (FPIR) of a search, unless another one is given."""


@dataclass(frozen=True)
class SearchRule:
    """The operating point of a search.

    Attributes:
        rule: The operating point of one comparison.
        subjects: Number of subjects that a probe is compared with.
        target_fpir: The target false positive identification rate.
    """

    rule: OperatingPoint
    subjects: int
    target_fpir: float

    @property
    def fpir(self) -> float:
        """Predicted FPIR, from the false match rate measured at the operating point."""
        return rate_of_any(self.rule.false_matches / self.rule.nonmated, self.subjects)

    @property
    def fpir_upper(self) -> float | None:
        """Predicted FPIR at the upper end of the 95 % interval of the false match rate; None: unknown."""
        return None if self.rule.fmr_upper is None else rate_of_any(self.rule.fmr_upper, self.subjects)

    def __str__(self) -> str:
        """Return a one-line summary."""
        upper = "" if self.fpir_upper is None else f", at most {self.fpir_upper:.2g}"
        return f"threshold {self.rule.score:.4f}: expected FPIR with {counted(self.subjects, 'person')}: {self.fpir:.2g}{upper}"


def rule_for_fpir(card: Card, target: float, subjects: int) -> SearchRule:
    """Choose the most lenient operating point of a model that keeps a target FPIR at the size of a gallery.

    A probe of a person who is not enrolled is compared with the templates of N subjects, so the FPIR is `1 - (1 - FMR)^N` for
    independent subjects, whatever the number of their references. Nothing is extrapolated: only operating points that were chosen
    on people for a low enough false match rate qualify.

    Args:
        card: The card of the model.
        target: The target FPIR, in (0, 1).
        subjects: Number of subjects.

    Raises:
        ModelError: If the model has no such operating point; the message names the false match rate that is needed.
        ValueError: If an argument is out of range.
    """
    if not 0 < target < 1:
        raise ValueError(f"target must be in (0, 1), got {target}")
    if subjects < 1:
        raise ValueError(f"subjects must be at least 1, got {subjects}")
    needed = -math.expm1(math.log1p(-target) / subjects)
    rules = [rule for rule in card.rules if rule.target_fmr is not None and rule.nonmated]
    able = [rule for rule in rules if rule.target_fmr is not None and rule.target_fmr <= needed]
    if not able:
        least = min((rule.target_fmr for rule in rules if rule.target_fmr is not None), default=None)
        reach = (
            "no operating point for a target FMR"
            if least is None
            else f"operating points for {least:g} at best, which suffices for {counted(_subjects(least, target), 'person')}"
        )
        raise ModelError(
            f"an FPIR of {target:g} with {counted(subjects, 'person')} enrolled needs an FMR of "
            f"{needed:.2g}, and the model has {reach}. "
            f"Calibrate on more people: visavis calibrate MODEL DATA --target-fmr {needed:.2g} --out NEW"
        )
    return SearchRule(min(able, key=lambda rule: rule.score), subjects, target)


def choose_rule(card: Card, target: float | None, subjects: int) -> tuple[SearchRule | None, str]:
    """Choose the operating point of a search by default: for an FPIR of 0.01, or none where the model cannot show that.

    Args:
        card: The card of the model.
        target: The target FPIR; None: 0.01.
        subjects: Number of subjects; an empty gallery counts as one.

    Returns:
        The operating point, or None; and why there is none.

    Raises:
        ModelError: If a target is given and the model has no operating point for it.
    """
    try:
        return rule_for_fpir(card, TARGET_FPIR if target is None else target, max(1, subjects)), ""
    except ModelError as error:
        if target is not None:
            raise
        return None, str(error)


def name_faces(hits: Sequence[Sequence[Hit]], threshold: float) -> dict[int, Hit]:
    """Name the faces of one photo, best scores first, each person once: two faces of a photo are two people.

    Args:
        hits: The candidates of each face, best first.
        threshold: Minimum score.

    Returns:
        By the number of the face, from 0, the candidate that it is; faces of nobody are missing.
    """
    reaching = [(hit.score, face, hit) for face, found in enumerate(hits) for hit in found if hit.score >= threshold]
    names, taken = dict[int, Hit](), set[str]()
    for _, face, hit in sorted(reaching, key=lambda item: -item[0]):
        if face not in names and hit.subject not in taken:
            names[face] = hit
            taken.add(hit.subject)
    return names


def _subjects(fmr: float, target: float) -> int:
    return math.floor(math.log1p(-target) / math.log1p(-fmr))
