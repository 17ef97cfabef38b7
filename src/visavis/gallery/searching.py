"""Search and verify photo files against a gallery; re-embed a gallery."""

from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from visavis.gallery.maintenance import Reembedding, reembed
from visavis.gallery.opening import binding_of, open_file, open_gallery
from visavis.gallery.records import Embeddings, Hit
from visavis.gallery.search_rules import SearchRule, choose_rule, name_faces
from visavis.verification import FoundFace, Verdict, Verifier

if TYPE_CHECKING:
    from visavis.pad import PresentationCheck

__all__ = ["FoundSubjects", "SearchedFace", "reembed_photos", "search_photo", "verify_photo"]


@dataclass(frozen=True)
class SearchedFace:
    """A face of a photo, and who it may be.

    Attributes:
        face: The face.
        hits: Subjects that reach the threshold, best first; without a threshold, the most similar ones.
        subject: Who it is: the best of them, but each subject once in a photo; None: nobody, or there is no decision.
    """

    face: FoundFace
    hits: tuple[Hit, ...]
    subject: str | None


@dataclass(frozen=True)
class FoundSubjects:
    """The result of a search.

    Attributes:
        faces: The faces of the probe that were searched for: one, or all with the policy `"all"`, the largest first.
        threshold: Minimum score; None: there is none, and the hits are a ranked list without a decision.
        rule: The operating point chosen for this gallery; None: none was chosen.
        undecided: Why there is no decision; empty: there is one.
        presentation: What a detector of presentation attacks says of the probe; None: there is none.
    """

    faces: tuple[SearchedFace, ...]
    threshold: float | None
    rule: SearchRule | None = None
    undecided: str = ""
    presentation: "PresentationCheck | None" = None

    @property
    def hits(self) -> tuple[Hit, ...]:
        """The hits of the first face."""
        return self.faces[0].hits

    @property
    def face(self) -> FoundFace:
        """The first face."""
        return self.faces[0].face

    @property
    def matched(self) -> bool:
        """Whether the decision is that a person is enrolled; False also where there is no decision."""
        return any(face.subject is not None for face in self.faces)

    @property
    def warnings(self) -> tuple[str, ...]:
        """The warnings of all faces."""
        several = len(self.faces) > 1
        return tuple(f"face {face.face.number}: {text}" if several else text for face in self.faces for text in face.face.warnings)

    def __str__(self) -> str:
        """Return a summary."""
        lines = [line for face in self.faces for line in self._describe(face)]
        if self._vetoed:
            lines = [f"no match: presentation attack ({self.presentation})"]
        elif self.undecided:
            lines.append(f"a ranked list without a decision: {self.undecided}")
        return "\n".join([*lines, *([] if self.rule is None else [str(self.rule)])])

    def to_json(self) -> dict[str, Any]:
        """Return the result as JSON-serialisable values; `hits` and `face` are those of the first face."""
        faces = [
            {"face": asdict(face.face), "subject": face.subject, "hits": [hit.to_json() for hit in face.hits]}
            for face in self.faces
        ]
        plain: dict[str, Any] = {"hits": faces[0]["hits"], "threshold": self.threshold, "face": faces[0]["face"], "faces": faces}
        plain["presentation"] = self.presentation and self.presentation.to_json()
        plain["decision"] = (
            "presentation attack" if self._vetoed else "none" if self.undecided else "match" if self.matched else "no match"
        )
        if self.undecided:
            plain["undecided"] = self.undecided
        if self.rule is not None:
            plain |= {"subjects": self.rule.subjects, "fpir": self.rule.fpir, "fpir_upper": self.rule.fpir_upper}
        return plain

    @property
    def _vetoed(self) -> bool:
        return self.presentation is not None and self.presentation.vetoed

    def _describe(self, face: SearchedFace) -> list[str]:
        lines = [f"{hit.subject}: score {hit.score:.3f}, most like reference {hit.reference}" for hit in face.hits]
        if not lines and not self.undecided:
            lines = ["no match"]
        return lines if len(self.faces) == 1 else [f"face {face.face.number}: {line}" for line in lines]


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

    With the verifier's policy `"all"`, each face is searched for, and decided on by itself: the rates are those of one face.

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
        acquired = verifier.acquire_each(photo)
        check = verifier.check_presentation(acquired)
        vetoed = check is not None and check.vetoed
        hits = [[] for _ in acquired] if vetoed else gallery.search(verifier.embed(acquired), top=top, threshold=threshold)
        names = {} if threshold is None else name_faces(hits, threshold)
        faces = [
            SearchedFace(photo.found, tuple(found), names[place].subject if place in names else None)
            for place, (photo, found) in enumerate(zip(acquired, hits, strict=True))
        ]
        return FoundSubjects(tuple(faces), threshold, rule, undecided, check)


def verify_photo(location: Path | str, verifier: Verifier, subject: str, photo: Path) -> tuple[Hit, Verdict]:
    """Compare the face in a photo with a subject, and decide; with the policy `"all"`, each face, of which the best one counts.

    Raises:
        GalleryError: If the gallery cannot be opened; as `UnknownSubjectError` if no subject of this name is enrolled.
        ImageError: If the photo cannot be read; as `FaceError` if it has no face, or too many.
    """
    with open_gallery(location, verifier.encoder, create=False) as gallery:
        acquired = verifier.acquire_each(photo)
        hits = [gallery.verify(subject, embedding) for embedding in verifier.embed(acquired)]
        best = max(range(len(hits)), key=lambda face: hits[face].score)
        verdict = verifier.decide([hit.score for hit in hits], faces=(acquired[best].found,))
        return hits[best], verifier.vetted(verdict, verifier.check_presentation([acquired[best]]))


def reembed_photos(location: Path | str, verifier: Verifier, *, drop: bool = False, actor: str = "") -> Reembedding:
    """Recompute all embeddings of a gallery with another encoder, see `maintenance.reembed`."""

    def embed(photo: bytes) -> Embeddings:
        return verifier.embed([photo])[0]

    with open_file(location) as gallery:
        return reembed(gallery, binding_of(verifier.encoder), embed, drop=drop, actor=actor)
