"""Enrol photo files: of one person, or a folder of many people."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any

from tqdm import tqdm

from visavis.data.folders import expand_folders, open_photos
from visavis.data.intake import Intake, IntakeRules, PassedOver
from visavis.data.names import normalise_name, shown_name
from visavis.errors import DataError, ImageError
from visavis.gallery.records import Gallery
from visavis.verification import AcquiredPhoto, Verifier

__all__ = ["EnrolledPhotos", "enrol_folder", "enrol_photos"]

Photos = Mapping[str, Callable[[], Path | bytes]]  # by name


@dataclass(frozen=True)
class EnrolledPhotos:
    """The result of enrolling photos.

    Attributes:
        references: The new references of each subject.
        failures: Photos that were not enrolled, with the reason.
        warnings: Enrolled photos with a warning, such as other faces in the photo.
        passed_over: Files in folders and archives that are no photos of a person, with the reason.
    """

    references: dict[str, tuple[str, ...]]
    failures: tuple[tuple[str, str], ...]
    warnings: tuple[tuple[str, str], ...]
    passed_over: tuple[PassedOver, ...] = ()

    @property
    def intake(self) -> Intake:
        """The photos that were tried, and the files that were passed over."""
        photos = sum(map(len, self.references.values())) + len(self.failures)
        return Intake("", photos, len(self.references), self.passed_over)

    def __str__(self) -> str:
        """Return a summary."""
        count = sum(map(len, self.references.values()))
        lines = [f"enrolled {count:,} references of {len(self.references):,} people"]
        lines += [f"not enrolled: {reason}" for _, reason in self.failures]
        return "\n".join([*lines, *self.intake.describe()])

    def to_json(self) -> dict[str, Any]:
        """Return the result as JSON-serialisable values."""
        return {
            "references": {subject: list(references) for subject, references in self.references.items()},
            "failures": [{"photo": photo, "reason": reason} for photo, reason in self.failures],
            "warnings": [{"photo": photo, "warning": text} for photo, text in self.warnings],
            "passed_over": [file._asdict() for file in self.passed_over],
        }


def enrol_photos(
    gallery: Gallery, verifier: Verifier, subject: str, photos: Sequence[Path], *, keep_photos: bool = False, actor: str = ""
) -> EnrolledPhotos:
    """Enrol the photos of one person; photos without a face are skipped and listed.

    Args:
        gallery: The gallery.
        verifier: Detects and embeds faces with the gallery's encoder.
        subject: The name of the person.
        photos: Photo files, and folders of them.
        keep_photos: Whether the gallery stores the photos, so that it can be re-embedded with another encoder.
        actor: Who asked for it, for the audit log.

    Raises:
        ImageError: If no photo can be enrolled.
    """
    files, passed_over = expand_folders(photos)
    named = {shown_name(str(photo)): partial(Path, photo) for photo in files}
    result = _enrol(gallery, verifier, subject, named, keep_photos=keep_photos, actor=actor)
    if not result.references:
        raise ImageError(f"none of {len(files)} photos can be enrolled; {result.failures[0][1] if files else 'none was given'}")
    return replace(result, passed_over=passed_over)


def enrol_folder(
    gallery: Gallery,
    verifier: Verifier,
    folder: Path,
    *,
    people_depth: int | None = None,
    keep_photos: bool = False,
    actor: str = "",
    progress: bool = False,
) -> EnrolledPhotos:
    """Enrol all people of a folder with one sub-folder per person, or of an archive of one.

    Args:
        gallery: The gallery.
        verifier: See `enrol_photos`.
        folder: The folder, or a `.tar` or `.zip` of it.
        people_depth: Which folders are the people; see `IntakeRules`.
        keep_photos: See `enrol_photos`.
        actor: See `enrol_photos`.
        progress: Whether to show a bar on standard error.

    Raises:
        DataError: If there is no such folder, if no photos are in it, or if none can be enrolled.
    """
    people: dict[str, list[str]] = {}
    references: dict[str, tuple[str, ...]] = {}
    failures: list[tuple[str, str]] = []
    warnings: list[tuple[str, str]] = []
    rules = IntakeRules(people_depth=people_depth, limits=verifier.limits)
    with open_photos(folder, rules) as files:
        for name, person in files.photos:
            people.setdefault(person, []).append(name)
        for person, names in tqdm(people.items(), desc="enrolling", unit="person", disable=not progress, delay=1):
            photos = {f"{folder}/{name}": partial(files.fetch, name) for name in names}
            result = _enrol(gallery, verifier, person, photos, keep_photos=keep_photos, actor=actor)
            references |= result.references
            failures += result.failures
            warnings += result.warnings
    if not references:
        raise DataError(f"{folder}: no photo can be enrolled: {failures[0][1]}")
    return EnrolledPhotos(references, tuple(failures), tuple(warnings), files.found.passed_over)


def _enrol(gallery: Gallery, verifier: Verifier, subject: str, photos: Photos, *, keep_photos: bool, actor: str) -> EnrolledPhotos:
    acquired: list[AcquiredPhoto] = []
    kept: list[bytes] = []
    failures: list[tuple[str, str]] = []
    warnings: list[tuple[str, str]] = []
    for name, fetch in photos.items():
        try:
            photo = fetch()
            acquired.append(verifier.acquire(photo, name=name))
            warnings += [(name, text) for text in acquired[-1].found.warnings]
            kept.append(photo if isinstance(photo, bytes) else photo.read_bytes())
        except ImageError as error:
            failures.append((name, str(error)))
    references = {}
    if acquired:
        embeddings = verifier.embed(acquired)
        references[normalise_name(subject)] = gallery.enrol(subject, embeddings, photos=kept if keep_photos else None, actor=actor)
    return EnrolledPhotos(references, tuple(failures), tuple(warnings))
