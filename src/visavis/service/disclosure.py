"""What a response says of a comparison score: scores below the thresholds let a client improve a picture until it is accepted."""

from dataclasses import dataclass
from math import floor
from typing import Literal

from visavis.encoders.card import Card
from visavis.service.access import Caller
from visavis.verification import Verdict, Verifier

__all__ = ["Disclosure"]

_STEP = 0.05


@dataclass(frozen=True)
class Disclosure:
    """What a caller may see of a score (template inversion by hill climbing: Galbally et al., 2010).

    Attributes:
        scores: `"none"`: decisions only; `"accepted"`: scores that reach the strictest threshold of the model, rounded down to a
            multiple of 0.05; `"all"`.
        strictest: The highest threshold of the model.
    """

    scores: Literal["none", "accepted", "all"]
    strictest: float

    @classmethod
    def of(cls, caller: Caller, card: Card) -> "Disclosure":
        """Return what a caller may see: it depends on the scope of its key, and on whether the key is for all scores."""
        scores: Literal["none", "accepted", "all"] = (
            "all" if caller.all_scores else "none" if caller.scope == "decide" else "accepted"
        )
        return cls(scores, max(rule.score for rule in card.rules))

    def apply(self, verdict: Verdict, verifier: Verifier) -> Verdict | None:
        """Return the verdict whose figures may be disclosed; None: none may.

        Args:
            verdict: A decision.
            verifier: What made it.
        """
        if self.scores == "all":
            return verdict
        if self.scores == "none" or not verdict.same or verdict.score < self.strictest:
            return None
        return verifier.decide(max(self.strictest, floor(verdict.score / _STEP) * _STEP), faces=verdict.faces)

    def rank(self, verdict: Verdict) -> float:
        """Return by what verdicts are sorted, lowest first; an order by score would disclose what the scores do not."""
        return -verdict.score if self.scores == "all" else -float(verdict.same)

    def shows(self, verdict: Verdict) -> bool:
        """Return whether a candidate of a search may be listed: without all scores, those that reach the threshold."""
        return self.scores == "all" or verdict.same
