"""Search and verify photo files against a gallery; re-embed a gallery."""

from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from visavis.gallery.maintenance import Reembedding, reembed
from visavis.gallery.opening import binding_of, open_file, open_gallery
from visavis.gallery.records import Embeddings, Hit
from visavis.gallery.search_rules import SearchRule, choose_rule
from visavis.verification import FoundFace, Verdict, Verifier

if TYPE_CHECKING:
    from visavis.pad import PresentationCheck

__all__ = ["FoundSubjects", "reembed_photos", "search_photo", "verify_photo"]


@dataclass(frozen=True)
class FoundSubjects:
    """The result of a search.

    Attributes:
        hits: Subjects that reach the threshold, best first; without a threshold, the most similar ones.
        threshold: Minimum score; None: there is none, and the hits are a ranked list without a decision.
        face: The face of the probe.
        rule: The operating point chosen for this gallery; None: none was chosen.
        undecided: Why there is no decision; empty: there is one.
        presentation: What a detector of presentation attacks says of the probe; None: there is none.
    """

    hits: tuple[Hit, ...]
    threshold: float | None
    face: FoundFace
    rule: SearchRule | None = None
    undecided: str = ""
    presentation: "PresentationCheck | None" = None

    @property
    def matched(self) -> bool:
        """Whether the decision is that the person is enrolled; False also where there is no decision."""
        return bool(self.hits) and not self.undecided and not self._vetoed

    def __str__(self) -> str:
        """Return a summary."""
        lines = [f"{hit.subject}: score {hit.score:.3f}, most like reference {hit.reference}" for hit in self.hits]
        if self._vetoed:
            lines = [f"no match: presentation attack ({self.presentation})"]
        elif self.undecided:
            lines.append(f"a ranked list without a decision: {self.undecided}")
        elif not lines:
            lines.append("no match")
        return "\n".join([*lines, *([] if self.rule is None else [str(self.rule)])])

    def to_json(self) -> dict[str, Any]:
        """Return the result as JSON-serialisable values."""
        hits = [hit.to_json() for hit in self.hits]
        plain: dict[str, Any] = {"hits": hits, "threshold": self.threshold, "face": asdict(self.face)}
        plain["presentation"] = self.presentation and self.presentation.to_json()
        plain["decision"] = (
            "presentation attack" if self._vetoed else "none" if self.undecided else "match" if self.hits else "no match"
        )
        if self.undecided:
            plain["undecided"] = self.undecided
        if self.rule is not None:
            plain |= {"subjects": self.rule.subjects, "fpir": self.rule.fpir, "fpir_upper": self.rule.fpir_upper}
        return plain

    @property
    def _vetoed(self) -> bool:
        return self.presentation is not None and self.presentation.vetoed


def search_photo(
    location: Path | str,
    verifier: Verifier,
    photo: Path,
    *,
    top: int = 5,
    threshold: float | None = None,
    target_fpir: float | None = None,
) -> FoundSubjects:
    """Search a gallery for the face in a photo, and decide whether the person is enrolled.

    Args:
        location: The location of the gallery, see `open_gallery`.
        verifier: Detects and embeds the face.
        photo: The photo file.
        top: Maximum number of subjects.
        threshold: Minimum score; None: chosen for `target_fpir`.
        target_fpir: Choose the threshold for this false positive identification rate, see `rule_for_fpir`. None: for 0.01; if the
            model has no operating point for that, the result is a ranked list without a decision.

    Raises:
        GalleryError: If the gallery cannot be opened.
        ImageError: If the photo cannot be read; as `FaceError` if it has no face, or too many.
        ModelError: If the model has no operating point for the rate that is given.
        ValueError: If both a threshold and a rate are given.
    """
    if threshold is not None and target_fpir is not None:
        raise ValueError("threshold and target_fpir are mutually exclusive, got both")
    with open_gallery(location, verifier.encoder, create=False) as gallery:
        rule, undecided = None, ""
        if threshold is None:
            rule, undecided = choose_rule(verifier.card, target_fpir, gallery.subject_count)
            threshold = None if rule is None else rule.rule.score
        acquired = verifier.acquire(photo)
        check = verifier.check_presentation([acquired])
        vetoed = check is not None and check.vetoed
        hits = [] if vetoed else gallery.search(verifier.embed([acquired]), top=top, threshold=threshold)[0]
        return FoundSubjects(tuple(hits), threshold, acquired.found, rule, undecided, check)


def verify_photo(location: Path | str, verifier: Verifier, subject: str, photo: Path) -> tuple[Hit, Verdict]:
    """Compare the face in a photo with a subject, and decide.

    Raises:
        GalleryError: If the gallery cannot be opened; as `UnknownSubjectError` if no subject of this name is enrolled.
        ImageError: If the photo cannot be read; as `FaceError` if it has no face, or too many.
    """
    with open_gallery(location, verifier.encoder, create=False) as gallery:
        acquired = verifier.acquire(photo)
        hit = gallery.verify(subject, verifier.embed([acquired])[0])
        verdict = verifier.decide(hit.score, faces=(acquired.found,))
        return hit, verifier.vetted(verdict, verifier.check_presentation([acquired]))


def reembed_photos(location: Path | str, verifier: Verifier, *, drop: bool = False, actor: str = "") -> Reembedding:
    """Recompute all embeddings of a gallery with another encoder, see `maintenance.reembed`."""

    def embed(photo: bytes) -> Embeddings:
        return verifier.embed([photo])[0]

    with open_file(location) as gallery:
        return reembed(gallery, binding_of(verifier.encoder), embed, drop=drop, actor=actor)
