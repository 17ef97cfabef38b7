"""Enrol photo files, of one person or a folder of many: everything is checked first, then written."""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt
from tqdm import tqdm

from visavis.data.folders import expand_folders, open_photos
from visavis.data.intake import Intake, IntakeRules, PassedOver
from visavis.data.names import check_name, shown_name
from visavis.errors import DataError, ImageError, UnknownSubjectError, check_numbers
from visavis.faces import QualityLimits
from visavis.gallery.records import Embeddings, Gallery, photo_digest
from visavis.verification import Verifier
from visavis.wording import counted
from visavis.workers.isolated import isolated

__all__ = ["EnrolledPhotos", "EnrolmentOptions", "agreeing_faces", "enrol_folder", "enrol_photos"]


@dataclass(frozen=True)
class EnrolmentOptions:
    """How photos are enrolled.

    Attributes:
        keep_photos: Whether the gallery stores the photos, so that it can be re-embedded with another encoder.
        actor: Who asked for it, for the audit log.
        people_depth: Which folders are the people; see `IntakeRules`.
        progress: Whether to show a bar on standard error.
        quality: What a photo must have to be enrolled; None: any photo with a face is.
    """

    keep_photos: bool = False
    actor: str = ""
    people_depth: int | None = None
    progress: bool = False
    quality: QualityLimits | None = None

    def __post_init__(self) -> None:
        """Check the types.

        Raises:
            ValueError: If a value is of another type.
        """
        check_numbers(self)


@dataclass(frozen=True)
class EnrolledPhotos:
    """The result of enrolling photos.

    Attributes:
        references: The new references of each subject.
        failures: Photos that were not enrolled, with the reason.
        warnings: Enrolled photos with a warning, such as other faces in the photo.
        present: Number of photos that were enrolled before.
        passed_over: Files in folders and archives that are no photos of a person, with the reason.
    """

    references: dict[str, tuple[str, ...]]
    failures: tuple[tuple[str, str], ...]
    warnings: tuple[tuple[str, str], ...]
    present: int = 0
    passed_over: tuple[PassedOver, ...] = ()

    @property
    def intake(self) -> Intake:
        """The photos that were tried, and the files that were passed over."""
        photos = sum(map(len, self.references.values())) + self.present + len(self.failures)
        return Intake("", photos, len(self.references), self.passed_over)

    def __str__(self) -> str:
        """Return a summary."""
        new = {subject: references for subject, references in self.references.items() if references}
        lines = [f"enrolled {counted(sum(map(len, new.values())), 'reference')} of {counted(len(new), 'person')}"]
        if self.present:
            lines[0] += f"; already enrolled: {counted(self.present, 'photo')}"
        lines += [f"not enrolled: {reason}" for _, reason in self.failures]
        return "\n".join([*lines, *self.intake.describe()])

    def to_json(self) -> dict[str, Any]:
        """Return the result as JSON-serialisable values."""
        return {
            "references": {subject: list(references) for subject, references in self.references.items()},
            "present": self.present,
            "failures": [{"photo": photo, "reason": reason} for photo, reason in self.failures],
            "warnings": [{"photo": photo, "warning": text} for photo, text in self.warnings],
            "passed_over": [file._asdict() for file in self.passed_over],
        }


class _Source(NamedTuple):
    """A photo to enrol: its name, the person and what reads it."""

    name: str
    person: str
    fetch: Callable[[], Path | bytes]


class _ReadPhoto(NamedTuple):
    """What was read of a photo: the crops `(k, h, w, c)` of its faces, warnings and defect of each, and its digest."""

    crops: npt.NDArray[np.uint8]
    warnings: tuple[tuple[str, ...], ...]
    defects: tuple[str | None, ...]
    digest: bytes


@dataclass(frozen=True, eq=False)
class _Candidate:
    """A readable photo, and the embeddings `(k, d)` of its faces."""

    source: _Source
    faces: Embeddings
    read: _ReadPhoto


def enrol_photos(
    gallery: Gallery, verifier: Verifier, subject: str, photos: Sequence[Path], options: EnrolmentOptions | None = None
) -> EnrolledPhotos:
    """Enrol the photos of one person; photos that cannot be enrolled are listed.

    A photo that is enrolled already is not enrolled again. In a photo of several people, the face that agrees with the other photos
    of the person is enrolled; if none does, the photo is refused.

    Args:
        gallery: The gallery.
        verifier: Detects and embeds faces with the gallery's encoder.
        subject: The name of the person.
        photos: Photo files, and folders of them.
        options: How they are enrolled; None: `EnrolmentOptions()`.

    Raises:
        ImageError: If no photo can be enrolled.
        ValueError: If the name cannot be used.
    """
    name = check_name(subject, "the name of a subject")
    files, passed_over = expand_folders(photos)
    sources = [_Source(shown_name(str(photo)), name, partial(Path, photo)) for photo in files]
    result = _enrol(gallery, verifier, sources, options or EnrolmentOptions())
    if not result.references:
        raise ImageError(
            f"none of {counted(len(files), 'photo')} can be enrolled; {result.failures[0][1] if files else 'none was given'}"
        )
    return replace(result, passed_over=passed_over)


def enrol_folder(
    gallery: Gallery, verifier: Verifier, folder: Path | str, options: EnrolmentOptions | None = None
) -> EnrolledPhotos:
    """Enrol all people of a folder with one sub-folder per person, or of an archive of one; see `enrol_photos`.

    All names and photos are checked before the first one is written. Each person is enrolled as a whole.

    Args:
        gallery: The gallery.
        verifier: See `enrol_photos`.
        folder: The folder, or a `.tar` or `.zip` of it, or its URI.
        options: See `enrol_photos`.

    Raises:
        DataError: If there is no such folder, if no photos are in it, or if none can be enrolled.
    """
    options = options or EnrolmentOptions()
    with open_photos(folder, IntakeRules(people_depth=options.people_depth, limits=verifier.limits)) as files:
        sources = [_Source(f"{folder}/{name}", person, partial(files.fetch, name)) for name, person in files.photos]
        bar = tqdm(sources, desc="enrolling", unit="photo", disable=not options.progress, delay=1)
        result = _enrol(gallery, verifier, bar, options)
    if not result.references:
        raise DataError(f"{folder}: no photo can be enrolled: {result.failures[0][1]}")
    return replace(result, passed_over=files.found.passed_over)


def _enrol(gallery: Gallery, verifier: Verifier, sources: Iterable[_Source], options: EnrolmentOptions) -> EnrolledPhotos:
    """Check all photos, then enrol one person after the other."""
    failed, people = list[tuple[str, str]](), dict[str, list[_Candidate]]()
    acquisition = verifier.acquisition
    read = isolated(partial(_read, verifier.without_encoder(), options.quality), acquisition.budget, acquisition.warm_up)
    for source in sources:
        try:
            found = read(source.fetch(), source.name)
            people.setdefault(source.person, []).append(_Candidate(source, verifier.embed_crops(found.crops), found))
        except ImageError as error:
            failed.append((source.name, str(error)))
    chosen = {
        person: _good(_choose(gallery, verifier, person, candidates, failed), failed) for person, candidates in people.items()
    }
    references: dict[str, tuple[str, ...]] = {}
    warnings: list[tuple[str, str]] = []
    count = 0
    for person, faces in chosen.items():
        if faces:
            references[person] = gallery.enrol(
                person,
                np.stack([candidate.faces[face] for candidate, face in faces]),
                photos=[_content(candidate.source) for candidate, _ in faces] if options.keep_photos else None,
                digests=[candidate.read.digest for candidate, _ in faces],
                actor=options.actor,
            )
            warnings += [(candidate.source.name, text) for candidate, face in faces for text in candidate.read.warnings[face]]
            count += len(faces)
    present = count - sum(map(len, references.values()))
    return EnrolledPhotos(references, tuple(failed), tuple(warnings), present)


def _read(verifier: Verifier, limits: QualityLimits | None, content: Path | bytes, name: str) -> _ReadPhoto:
    """Detect the faces of a photo and measure their quality."""
    acquired = verifier.acquire_all(content, name=name)
    defects = [limits.defect(face.quality, name=name) if limits and face.quality else None for face in acquired]
    return _ReadPhoto(
        np.stack([face.pixels for face in acquired]),
        tuple(face.found.warnings for face in acquired),
        tuple(None if defect is None else str(defect) for defect in defects),
        photo_digest(acquired[0].photo),
    )


def _good(chosen: list[tuple[_Candidate, int]], failures: list[tuple[str, str]]) -> list[tuple[_Candidate, int]]:
    """Return the faces that are good enough; the photos of the others are added to the failures."""
    good = []
    for candidate, face in chosen:
        defect = candidate.read.defects[face]
        if defect is None:
            good.append((candidate, face))
        else:
            failures.append((candidate.source.name, defect))
    return good


def _choose(
    gallery: Gallery, verifier: Verifier, person: str, candidates: list[_Candidate], failures: list[tuple[str, str]]
) -> list[tuple[_Candidate, int]]:
    """Return the face of each photo that is enrolled; photos of several people without one are added to the failures."""
    chosen = []
    agreeing = agreeing_faces(gallery, verifier, person, [candidate.faces for candidate in candidates])
    for candidate, face in zip(candidates, agreeing, strict=True):
        if face is None:
            name = candidate.source.name
            faces = counted(len(candidate.faces), "face")
            reason = f"{faces}, none of which agrees with another photo of {person}; crop it or choose with --face"
            failures.append((name, f"{name}: {reason}"))
        else:
            chosen.append((candidate, face))
    return chosen


def agreeing_faces(gallery: Gallery, verifier: Verifier, person: str, photos: Sequence[Embeddings]) -> list[int | None]:
    """Choose the face of each photo that is the person's: of several, the one that agrees best with the person's other photos.

    Args:
        gallery: Where the person may be enrolled.
        verifier: Decides whether a face agrees.
        person: The name of the person.
        photos: The embeddings of the faces of each photo, `(k, d)` of unit length.

    Returns:
        The number of the face of each photo, from 0; None: it has several, none of which agrees.
    """
    alone = [faces for faces in photos if len(faces) == 1]
    known = np.concatenate(alone) if alone else None
    return [0 if len(faces) == 1 else _agreeing(gallery, verifier, person, faces, known) for faces in photos]


def _agreeing(gallery: Gallery, verifier: Verifier, person: str, faces: Embeddings, known: Embeddings | None) -> int | None:
    """Return the face that agrees best with the other photos in hand and in the gallery; None: none is the same person."""
    scores = np.full(len(faces), -1.0) if known is None else (faces @ known.T).max(axis=1).astype(np.float64)
    try:
        enrolled = [gallery.verify(person, face).score for face in faces]
        scores = np.maximum(scores, enrolled)
    except UnknownSubjectError:
        pass
    best = int(np.argmax(scores))
    return best if verifier.decide(float(scores[best])).same else None


def _content(source: _Source) -> bytes:
    photo = source.fetch()
    return photo if isinstance(photo, bytes) else photo.read_bytes()
