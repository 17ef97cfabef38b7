"""Search and verify photo files against a gallery; re-embed a gallery."""

from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from visavis.gallery.maintenance import Reembedding, reembed
from visavis.gallery.opening import binding_of, open_file, open_gallery
from visavis.gallery.records import Embeddings, Hit
from visavis.gallery.search_rules import SearchRule, rule_for_fpir
from visavis.verification import FoundFace, Verdict, Verifier

__all__ = ["FoundSubjects", "reembed_photos", "search_photo", "verify_photo"]


@dataclass(frozen=True)
class FoundSubjects:
    """The result of a search.

    Attributes:
        hits: Matching subjects, best first.
        threshold: Minimum score; None: no minimum.
        face: The face of the probe.
        rule: The operating point chosen for this gallery; None: none was chosen.
    """

    hits: tuple[Hit, ...]
    threshold: float | None
    face: FoundFace
    rule: SearchRule | None = None

    def __str__(self) -> str:
        """Return a summary."""
        lines = [f"{hit.subject}: score {hit.score:.3f}, reference {hit.reference}" for hit in self.hits]
        if self.threshold is None:
            lines.append("no threshold was given: a ranked list without a decision")
        elif not lines:
            lines.append("no match")
        return "\n".join([*lines, *([] if self.rule is None else [str(self.rule)])])

    def to_json(self) -> dict[str, Any]:
        """Return the result as JSON-serialisable values."""
        hits = [hit.to_json() for hit in self.hits]
        plain: dict[str, Any] = {"hits": hits, "threshold": self.threshold, "face": asdict(self.face)}
        if self.rule is not None:
            plain |= {"references": self.rule.references, "fpir": self.rule.fpir, "fpir_upper": self.rule.fpir_upper}
        return plain


def search_photo(
    location: Path | str,
    verifier: Verifier,
    photo: Path,
    *,
    top: int = 5,
    threshold: float | None = None,
    target_fpir: float | None = None,
) -> FoundSubjects:
    """Search a gallery for the face in a photo.

    Args:
        location: The location of the gallery, see `open_gallery`.
        verifier: Detects and embeds the face.
        photo: The photo file.
        top: Maximum number of subjects.
        threshold: Minimum score; None: no minimum.
        target_fpir: Choose the threshold for this false positive identification rate, see `rule_for_fpir`.

    Raises:
        GalleryError: If the gallery cannot be opened.
        ImageError: If the photo cannot be read; as `FaceError` if it has no face, or too many.
        ModelError: If the model has no operating point for the rate.
        ValueError: If both a threshold and a rate are given.
    """
    if threshold is not None and target_fpir is not None:
        raise ValueError("threshold and target_fpir are mutually exclusive, got both")
    with open_gallery(location, verifier.encoder, create=False) as gallery:
        rule = None
        if target_fpir is not None:
            rule = rule_for_fpir(verifier.card, target_fpir, max(1, len(gallery)))
            threshold = rule.rule.score
        acquired = verifier.acquire(photo)
        hits = gallery.search(verifier.embed([acquired]), top=top, threshold=threshold)[0]
        return FoundSubjects(tuple(hits), threshold, acquired.found, rule)


def verify_photo(location: Path | str, verifier: Verifier, subject: str, photo: Path) -> tuple[Hit, Verdict]:
    """Compare the face in a photo with all references of a subject, and decide by the best score.

    Raises:
        GalleryError: If the gallery cannot be opened; as `UnknownSubjectError` if no subject of this name is enrolled.
        ImageError: If the photo cannot be read; as `FaceError` if it has no face, or too many.
    """
    with open_gallery(location, verifier.encoder, create=False) as gallery:
        acquired = verifier.acquire(photo)
        hit = gallery.verify(subject, verifier.embed([acquired])[0])
        return hit, verifier.decide(hit.score, faces=(acquired.found,))


def reembed_photos(location: Path | str, verifier: Verifier, *, drop: bool = False, actor: str = "") -> Reembedding:
    """Recompute all embeddings of a gallery with another encoder, see `maintenance.reembed`."""

    def embed(photo: bytes) -> Embeddings:
        return verifier.embed([photo])[0]

    with open_file(location) as gallery:
        return reembed(gallery, binding_of(verifier.encoder), embed, drop=drop, actor=actor)
