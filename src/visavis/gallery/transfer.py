"""Export a gallery to a ZIP of JSON, embeddings and photos, and import it."""

import json
import zipfile
import zlib
from collections.abc import Iterator
from pathlib import Path

import numpy as np

from visavis.errors import DamagedGalleryError, GalleryError, WrongEncoderError
from visavis.gallery.records import Embeddings, Enrolment, Gallery
from visavis.gallery.sqlite import SqliteGallery
from visavis.gallery.subjects import SubjectStore
from visavis.images import Limits
from visavis.wording import counted

__all__ = ["export_gallery", "import_gallery"]

FORMAT = 1
_ABOUT, _REFERENCES, _EMBEDDINGS = "gallery.json", "references.jsonl", "embeddings.f32"
_PHOTOS = "photos/"
_MAX_PHOTO = Limits().max_bytes
_MAX_LINE = 4096
_MAX_RATIO, _MAX_TEXT_RATIO = 10, 200  # embeddings and photos hardly shrink; lines that are alike do


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
            json.dumps({"subject": names[subject][1], "photo": f"{_PHOTOS}{reference}" if reference in photos else None})
            for reference, subject in owners
        ]
        archive.writestr(_REFERENCES, "".join(f"{line}\n" for line in lines))
        for reference, subject in owners:
            if reference in photos:
                (kept,) = connection.execute("SELECT photo FROM photos WHERE reference = ?", (reference,)).fetchone()
                key = file.keys.keys([subject])[subject]
                archive.writestr(f"{_PHOTOS}{reference}", key.decrypt(kept, "photo", reference))
    about = {"format": FORMAT, "encoder": gallery.digest, "size": gallery.size, "references": len(owners)}
    archive.writestr(_ABOUT, json.dumps(about))
    return len(owners)


def import_gallery(gallery: Gallery, source: Path, *, actor: str = "") -> int:
    """Enrol all subjects of an exported file; none of them may be enrolled yet.

    Memory is bounded by the size of the file: what expands to many times its size is refused before it is read.

    Args:
        gallery: Any gallery of the same encoder.
        source: A file written by `export_gallery`.
        actor: Who asked for it, for the audit log.

    Returns:
        The number of references enrolled.

    Raises:
        GalleryError: If the file cannot be read, was written by a newer visavis, or has a subject who is already enrolled; as
            `WrongEncoderError` if its embeddings come from another encoder, as `DamagedGalleryError` if it is damaged, or if it
            expands beyond the limits.
    """
    try:
        with zipfile.ZipFile(source) as archive:
            _check_members(archive, source.stat().st_size)
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
    except (zipfile.BadZipFile, zlib.error, EOFError, KeyError, TypeError, ValueError, RuntimeError) as error:
        raise DamagedGalleryError(f"{source}: not an exported gallery, or a damaged one ({error})") from error
    except OSError as error:
        raise GalleryError(f"{source}: {error.strerror or error}") from error


def _check_members(archive: zipfile.ZipFile, size: int) -> None:
    """Refuse members that would expand beyond the limits, or that share their bytes.

    Raises:
        ValueError: If there are any.
    """
    members = archive.infolist()
    if sum(member.compress_size for member in members) > size:
        raise ValueError("its members overlap")
    for member in members:
        name, ratio = member.filename, _MAX_TEXT_RATIO if member.filename == _REFERENCES else _MAX_RATIO
        if member.compress_type not in (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED):
            raise ValueError(f"{name} must be stored or deflated")
        if member.file_size > ratio * member.compress_size + _MAX_LINE:
            raise ValueError(f"{name} expands to more than {ratio} times its size")
        if name.startswith(_PHOTOS) and member.file_size > _MAX_PHOTO:
            raise ValueError(f"{name} has more than the limit of {_MAX_PHOTO:,} bytes")


def _enrolments(archive: zipfile.ZipFile, size: int) -> Iterator[Enrolment]:
    """Yield the subjects of a file with all their references."""
    embeddings: Embeddings = np.frombuffer(archive.read(_EMBEDDINGS), dtype="<f4").reshape(-1, size)
    references = list(_references(archive, len(embeddings)))
    photos = [photo for _, photo in references if photo is not None]
    if len(references) != len(embeddings) or len(set(photos)) != len(photos):
        raise ValueError(
            f"{counted(len(embeddings), 'embedding')}, {counted(len(references), 'reference')}, "
            f"{counted(len(set(photos)), 'photo')}"
        )
    rows: dict[str, list[int]] = {}
    for row, (subject, _) in enumerate(references):
        rows.setdefault(subject, []).append(row)
    for subject, own in rows.items():
        kept = [None if (photo := references[row][1]) is None else archive.read(photo) for row in own]
        yield Enrolment(subject, embeddings[own], kept)


def _references(archive: zipfile.ZipFile, count: int) -> Iterator[tuple[str, str | None]]:
    """Yield the subject and the photo of each reference, and at most one more than `count`."""
    with archive.open(_REFERENCES) as lines:
        for _ in range(count + 1):
            line = lines.readline(_MAX_LINE + 1)
            if not line:
                return
            if len(line) > _MAX_LINE:
                raise ValueError(f"a line of {_REFERENCES} has more than {_MAX_LINE:,} bytes")
            reference = json.loads(line)
            subject, photo = reference["subject"], reference["photo"]
            if not isinstance(subject, str) or not (photo is None or (isinstance(photo, str) and photo.startswith(_PHOTOS))):
                raise ValueError(f"a reference of {subject!r} with the photo {photo!r}")
            yield subject, photo
