"""Maintenance of gallery files: online backup, key rotation, re-embedding."""

import sqlite3
from collections.abc import Callable, Iterator
from contextlib import closing
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from visavis.errors import GalleryError, ImageError
from visavis.gallery.file import GalleryFile, write_log
from visavis.gallery.records import Binding, Embeddings
from visavis.gallery.schema import translate_errors
from visavis.gallery.sqlite import SqliteGallery

__all__ = ["Reembedding", "back_up", "reembed", "rotate"]

_CHUNK = 64  # photos may be large
_EMBEDDINGS = "SELECT number, subject, embedding FROM enrolled WHERE number > ? ORDER BY number LIMIT ?"
_PHOTOS = (
    "SELECT reference, subject, photo FROM photos JOIN enrolled ON number = reference "
    "WHERE reference > ? ORDER BY reference LIMIT ?"
)
_CHANGES = {
    _EMBEDDINGS: "UPDATE enrolled SET embedding = ? WHERE number = ?",
    _PHOTOS: "UPDATE photos SET photo = ? WHERE reference = ?",
}


@dataclass(frozen=True)
class Reembedding:
    """The result of re-embedding a gallery.

    Attributes:
        references: Number of references that were re-embedded.
        dropped: Number of references that were deleted, without a stored photo or without a face in it.
        subjects: Number of subjects that were deleted because no reference was left.
    """

    references: int
    dropped: int
    subjects: int

    def __str__(self) -> str:
        """Return a summary."""
        lost = f"; deleted {self.dropped:,} references and {self.subjects:,} subjects without references" if self.dropped else ""
        return f"re-embedded {self.references:,} references{lost}"

    def to_json(self) -> dict[str, Any]:
        """Return the result as JSON-serialisable values."""
        return asdict(self)


def back_up(gallery: SqliteGallery, out: Path, *, actor: str = "") -> Path:
    """Copy one snapshot of a gallery into a new file while others read and write. Encrypted values stay encrypted.

    Raises:
        GalleryError: If `out` exists.
    """
    file = gallery.file
    with (
        file.copying(out, "backup", actor) as temporary,
        file.reading() as connection,
        translate_errors(temporary),
        closing(sqlite3.connect(temporary)) as copy,
    ):
        connection.backup(copy)
        copy.execute("PRAGMA journal_mode = DELETE")  # a single file without a write-ahead log
    return out


def rotate(gallery: SqliteGallery, key: str, *, actor: str = "") -> None:
    """Encrypt all embeddings and photos with a new key, or for the first time; the old values are overwritten.

    Other processes that have the gallery open must reopen it with the new key.
    """
    file = gallery.file
    with file.rekeying(key) as (connection, cipher):
        for query, change in _CHANGES.items():
            for rows in _chunks(connection, query):
                values = ((cipher.encrypt(file.cipher.decrypt(kept, subject), subject), number) for number, subject, kept in rows)
                connection.executemany(change, values)
        write_log(connection, actor, "rotate")
    file.checkpoint("everything is encrypted with the new key")


def reembed(
    gallery: SqliteGallery, binding: Binding, embed: Callable[[bytes], Embeddings], *, drop: bool = False, actor: str = ""
) -> Reembedding:
    """Recompute all embeddings from the stored photos with another encoder.

    The gallery stays in use until all embeddings change in one transaction; other processes must reopen it then.

    Args:
        gallery: Opened without an encoder; close it afterwards.
        binding: The new encoder.
        embed: Returns the embedding `(d,)` of a photo by the new encoder, or raises `ImageError`.
        drop: Whether to delete references without a stored photo or without a face in it.
        actor: Who asked for it, for the audit log.

    Raises:
        GalleryError: If there are such references and `drop` is false; the gallery is left unchanged.
    """
    file = gallery.file
    made: dict[int, Embeddings] = {}
    with file.reading() as connection:
        numbers = [number for (number,) in connection.execute("SELECT reference FROM photos ORDER BY reference")]
    for number in numbers:
        with file.reading() as connection:
            _embed_photo(connection, file, number, embed, made)
    with file.writing() as connection:
        for (number,) in connection.execute(
            "SELECT reference FROM photos WHERE reference > ?", (max(numbers, default=0),)
        ).fetchall():
            _embed_photo(connection, file, number, embed, made)  # enrolled since
        result = _replace_embeddings(connection, file, made, drop=drop)
        connection.execute("UPDATE gallery SET encoder = ?, size = ?", (binding.digest, binding.size))
        write_log(connection, actor, "reembed", count=result.references)
    file.checkpoint("the gallery is re-embedded")
    return result


def _embed_photo(
    connection: sqlite3.Connection,
    file: GalleryFile,
    number: int,
    embed: Callable[[bytes], Embeddings],
    made: dict[int, Embeddings],
) -> None:
    query = "SELECT subject, photo FROM photos JOIN enrolled ON number = reference WHERE reference = ?"
    row = connection.execute(query, (number,)).fetchone()
    if row is not None:  # deleted meanwhile
        subject, kept = row
        try:
            made[number] = embed(file.cipher.decrypt(kept, subject))
        except ImageError:
            return


def _replace_embeddings(
    connection: sqlite3.Connection, file: GalleryFile, made: dict[int, Embeddings], *, drop: bool
) -> Reembedding:
    enrolled = connection.execute("SELECT number, subject FROM enrolled").fetchall()
    lost = [number for number, _ in enrolled if number not in made]
    if lost and not drop:
        raise GalleryError(
            f"{file.path}: {len(lost):,} of {len(enrolled):,} references have no stored photo, or no face in it, so they "
            "cannot be re-embedded. Enrol these people again, or delete the references with --drop"
        )
    new = [(file.encrypt(made[number], subject), number) for number, subject in enrolled if number in made]
    connection.executemany("UPDATE enrolled SET embedding = ? WHERE number = ?", new)
    connection.executemany("DELETE FROM enrolled WHERE number = ?", [(number,) for number in lost])
    subjects = connection.execute("DELETE FROM subjects WHERE number NOT IN (SELECT subject FROM enrolled)").rowcount
    return Reembedding(len(new), len(lost), subjects)


def _chunks(connection: sqlite3.Connection, query: str) -> Iterator[list[tuple[int, int, bytes]]]:
    last = 0
    while rows := connection.execute(query, (last, _CHUNK)).fetchall():
        yield rows
        last = rows[-1][0]
