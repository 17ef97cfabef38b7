"""Export a gallery to a ZIP of JSON, embeddings and photos, and import it."""

import json
import zipfile
from collections.abc import Iterator
from pathlib import Path

import numpy as np

from visavis.errors import DamagedGalleryError, GalleryError, WrongEncoderError
from visavis.gallery.records import Embeddings, Enrolment, Gallery
from visavis.gallery.sqlite import SqliteGallery
from visavis.gallery.subjects import SubjectStore

__all__ = ["export_gallery", "import_gallery"]

FORMAT = 1
_ABOUT, _REFERENCES, _EMBEDDINGS = "gallery.json", "references.jsonl", "embeddings.f32"


def export_gallery(gallery: SqliteGallery, out: Path, *, actor: str = "") -> int:
    """Export all references of a gallery to one unencrypted file.

    Returns:
        The number of references.

    Raises:
        GalleryError: If `out` exists.
    """
    with gallery.file.copying(out, "export", actor) as temporary, zipfile.ZipFile(temporary, "w") as archive:
        return _write(gallery, archive)


def _write(gallery: SqliteGallery, archive: zipfile.ZipFile) -> int:
    file = gallery.file
    owners: list[tuple[int, int]] = []
    with file.reading() as connection:
        names = SubjectStore(connection, file).names({})
        with archive.open(_EMBEDDINGS, "w", force_zip64=True) as embeddings:
            for references, subjects, vectors in file.rows(connection):
                embeddings.write(vectors.tobytes())
                owners += zip(references.tolist(), subjects.tolist(), strict=True)
        photos = {number for (number,) in connection.execute("SELECT reference FROM photos")}
        lines = [
            json.dumps({"subject": names[subject][1], "photo": f"photos/{reference}" if reference in photos else None})
            for reference, subject in owners
        ]
        archive.writestr(_REFERENCES, "".join(f"{line}\n" for line in lines))
        for reference, subject in owners:
            if reference in photos:
                (kept,) = connection.execute("SELECT photo FROM photos WHERE reference = ?", (reference,)).fetchone()
                key = file.keys.keys([subject])[subject]
                archive.writestr(f"photos/{reference}", key.decrypt(kept, "photo", reference))
    about = {"format": FORMAT, "encoder": gallery.digest, "size": gallery.size, "references": len(owners)}
    archive.writestr(_ABOUT, json.dumps(about))
    return len(owners)


def import_gallery(gallery: Gallery, source: Path, *, actor: str = "") -> int:
    """Enrol all subjects of an exported file; none of them may be enrolled yet.

    Args:
        gallery: Any gallery of the same encoder.
        source: A file written by `export_gallery`.
        actor: Who asked for it, for the audit log.

    Returns:
        The number of references enrolled.

    Raises:
        GalleryError: If the file cannot be read, was written by a newer visavis, or has a subject who is already enrolled; as
            `WrongEncoderError` if its embeddings come from another encoder, as `DamagedGalleryError` if it is damaged.
    """
    try:
        with zipfile.ZipFile(source) as archive:
            about = json.loads(archive.read(_ABOUT))
            if about["format"] > FORMAT:
                raise GalleryError(
                    f"{source}: written by a newer visavis (format {about['format']}, supported up to {FORMAT}). Upgrade visavis."
                )
            if about["encoder"] != gallery.digest:
                raise WrongEncoderError(
                    f"{source}: belongs to the encoder {about['encoder'][:16]}, the gallery to {gallery.digest[:16]}"
                )
            return gallery.enrol_all(_enrolments(archive, gallery.size), actor=actor)
    except (zipfile.BadZipFile, KeyError, TypeError, ValueError) as error:
        raise DamagedGalleryError(f"{source}: not an exported gallery, or a damaged one ({error})") from error
    except OSError as error:
        raise GalleryError(f"{source}: {error.strerror or error}") from error


def _enrolments(archive: zipfile.ZipFile, size: int) -> Iterator[Enrolment]:
    """Yield the subjects of a file with all their references."""
    references = [json.loads(line) for line in archive.read(_REFERENCES).splitlines()]
    embeddings: Embeddings = np.frombuffer(archive.read(_EMBEDDINGS), dtype="<f4").reshape(len(references), size)
    rows: dict[str, list[int]] = {}
    for row, reference in enumerate(references):
        rows.setdefault(reference["subject"], []).append(row)
    for subject, own in rows.items():
        photos = [references[row]["photo"] for row in own]
        kept = [None if photo is None else archive.read(photo) for photo in photos]
        yield Enrolment(subject, embeddings[own], kept)
