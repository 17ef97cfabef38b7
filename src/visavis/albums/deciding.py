"""One open-set decision for each track of a video."""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

from visavis.encoders.card import Card
from visavis.errors import ModelError
from visavis.gallery import Gallery, Hit
from visavis.gallery.search_rules import SearchRule, choose_rule
from visavis.video import Track

__all__ = ["TrackDecider", "TrackDecision"]

_CANDIDATES = 3


@dataclass(frozen=True)
class TrackDecision:
    """Who a track shows.

    Attributes:
        subject: The enrolled person; None: a person who is not enrolled, or there is no decision.
        score: Comparison score of the track's template with that person, or else with the most similar one; None: no subject
            is enrolled.
        candidates: The most similar subjects, best first.
        threshold: Minimum score; None: there is none.
        fpir: The expected false positive identification rate of a track; None: it is not known, or there is no decision.
        fpir_upper: Its upper bound, likewise.
        frames: How many frames the template was fused from.
        effective_frames: How many independent ones they are worth; see `Track`.
        best_time: Time of the best of them, seconds.
        warnings: What makes even the best one less reliable.
    """

    subject: str | None
    score: float | None
    candidates: tuple[Hit, ...]
    threshold: float | None
    fpir: float | None
    fpir_upper: float | None
    frames: int
    effective_frames: float
    best_time: float
    warnings: tuple[str, ...] = ()

    @property
    def decided(self) -> bool:
        """Whether there is a threshold; without one, the candidates are a ranked list."""
        return self.threshold is not None

    def to_json(self) -> dict[str, Any]:
        """Return it as plain values."""
        return {
            **vars(self),
            "candidates": [{"subject": hit.subject, "score": round(hit.score, 4)} for hit in self.candidates],
            "score": None if self.score is None else round(self.score, 4),
            "effective_frames": round(self.effective_frames, 2),
            "best_time": round(self.best_time, 3),
            "warnings": list(self.warnings),
        }


class TrackDecider:
    """Decides about tracks by the rule of a search: by subject, at the FPIR of the gallery as it is then.

    Attributes:
        undecided: Why there is no decision; empty: there is one.
    """

    def __init__(self, gallery: Gallery, card: Card, *, threshold: float | None = None, target_fpir: float | None = None) -> None:
        """Choose the operating point.

        Args:
            gallery: The enrolled subjects.
            card: The card of the encoder.
            threshold: Minimum score; None: chosen for `target_fpir`.
            target_fpir: As in `choose_rule`.

        Raises:
            ModelError: If the model has no operating point for a rate that is given.
        """
        self._gallery, self._card, self._threshold, self._target = gallery, card, threshold, target_fpir
        self.undecided, self._subjects = "", gallery.subject_count
        self._rule = self._choose()

    @property
    def rule(self) -> SearchRule | None:
        """The operating point; None: a threshold was given, or there is none."""
        return self._rule

    @property
    def subjects(self) -> int:
        """How many subjects a track is compared with."""
        return self._subjects

    @property
    def threshold(self) -> float | None:
        """Minimum score; None: there is none."""
        if self._threshold is not None:
            return self._threshold
        return None if self._rule is None else self._rule.rule.score

    def decide(self, track: Track, held: Iterable[tuple[str, float]] = ()) -> TrackDecision:
        """Search for the template of a track, and decide.

        Args:
            track: The track.
            held: Names and scores of the tracks in the same frame: a person is not named twice in it, unless the score is higher.
        """
        hits = self._gallery.search(track.template[None], top=_CANDIDATES)[0]
        self._follow()
        threshold, rule = self.threshold, self._rule
        barred = dict(held)
        able = [hit for hit in hits if threshold is not None and hit.score >= threshold]
        named = next((hit for hit in able if hit.score > barred.get(hit.subject, -2.0)), None)
        shown = named or (hits[0] if hits else None)
        return TrackDecision(
            subject=None if named is None else named.subject,
            score=None if shown is None else shown.score,
            candidates=tuple(hits),
            threshold=threshold,
            fpir=None if rule is None else rule.fpir,
            fpir_upper=None if rule is None else rule.fpir_upper,
            frames=len(track.fused),
            effective_frames=track.effective_frames,
            best_time=track.best.time,
            warnings=track.best.warnings,
        )

    def _follow(self) -> None:
        """Choose again where the number of subjects has changed."""
        count = self._gallery.subject_count
        if count != self._subjects:
            self._subjects = count
            try:
                self._rule = self._choose()
            except ModelError as error:
                self._rule, self.undecided = None, str(error)

    def _choose(self) -> SearchRule | None:
        if self._threshold is not None:
            return None
        rule, self.undecided = choose_rule(self._card, self._target, self._subjects)
        return rule
