"""Photos in files into a gallery: of one person, or a folder of many."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

from tqdm import tqdm

from visavis.data.folders import open_photos
from visavis.errors import DataError, ImageError
from visavis.gallery.records import Gallery
from visavis.verification import AcquiredPhoto, Verifier

__all__ = ["EnrolledPhotos", "enrol_folder", "enrol_photos"]

Photos = Mapping[str, Callable[[], Path | bytes]]  # by name


@dataclass(frozen=True)
class EnrolledPhotos:
    """What became of photos that were to be enrolled.

    Attributes:
        references: The new references of each subject.
        failures: Photos that gave no face, with the reason.
        warnings: Photos that were enrolled, with what makes them less reliable, such as other faces beside that which was taken.
    """

    references: dict[str, tuple[str, ...]]
    failures: tuple[tuple[str, str], ...]
    warnings: tuple[tuple[str, str], ...]

    def __str__(self) -> str:
        """Say it in words."""
        count = sum(map(len, self.references.values()))
        lines = [f"enrolled {count:,} references of {len(self.references):,} people"]
        return "\n".join([*lines, *(f"not enrolled: {reason}" for _, reason in self.failures)])

    def to_json(self) -> dict[str, Any]:
        """Return it as plain values."""
        return {
            "references": {subject: list(references) for subject, references in self.references.items()},
            "failures": [{"photo": photo, "reason": reason} for photo, reason in self.failures],
            "warnings": [{"photo": photo, "warning": text} for photo, text in self.warnings],
        }


def enrol_photos(
    gallery: Gallery, verifier: Verifier, subject: str, photos: Sequence[Path], *, keep_photos: bool = False, actor: str = ""
) -> EnrolledPhotos:
    """Enrol the photos of one person; those without a face are left out and told.

    Args:
        gallery: Where to.
        verifier: Finds faces and embeds them, by the gallery's encoder.
        subject: Who it is.
        photos: Files.
        keep_photos: Whether the gallery keeps them, so that it can be given to another encoder later.
        actor: Who asked for it, for the log.

    Raises:
        ImageError: If no photo can be enrolled.
    """
    named = {str(photo): partial(Path, photo) for photo in photos}
    result = _enrol(gallery, verifier, subject, named, keep_photos=keep_photos, actor=actor)
    if not result.references:
        raise ImageError(f"none of {len(photos)} photos can be enrolled; {result.failures[0][1] if photos else 'none was given'}")
    return result


def enrol_folder(
    gallery: Gallery, verifier: Verifier, folder: Path, *, keep_photos: bool = False, actor: str = "", progress: bool = False
) -> EnrolledPhotos:
    """Enrol everybody in a folder with one sub-folder per person, or in an archive of one, one person after the other.

    Args:
        gallery: Where to.
        verifier: See `enrol_photos`, and so are the others.
        folder: The folder, or a `.tar` or `.zip` of it.
        keep_photos: See there.
        actor: See there.
        progress: Whether to show a bar on standard error.

    Raises:
        DataError: If there is no such folder, if no photos are in it, or if none can be enrolled.
    """
    people: dict[str, list[str]] = {}
    references: dict[str, tuple[str, ...]] = {}
    failures: list[tuple[str, str]] = []
    warnings: list[tuple[str, str]] = []
    with open_photos(folder) as files:
        for name, person in files.photos:
            people.setdefault(person, []).append(name)
        for person, names in tqdm(people.items(), desc="enrolling", unit="person", disable=not progress, delay=1):
            photos = {f"{folder}/{name}": partial(files.fetch, name) for name in names}
            result = _enrol(gallery, verifier, person, photos, keep_photos=keep_photos, actor=actor)
            references |= result.references
            failures += result.failures
            warnings += result.warnings
    if not references:
        raise DataError(f"{folder}: nobody can be enrolled: {failures[0][1]}")
    return EnrolledPhotos(references, tuple(failures), tuple(warnings))


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
        references[subject] = gallery.enrol(subject, embeddings, photos=kept if keep_photos else None, actor=actor)
    return EnrolledPhotos(references, tuple(failures), tuple(warnings))
