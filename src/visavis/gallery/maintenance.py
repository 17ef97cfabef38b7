"""Maintenance of gallery files: online backup, key rotation, re-embedding."""

import sqlite3
from collections.abc import Callable
from contextlib import closing
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from visavis.errors import GalleryError, ImageError
from visavis.gallery.encryption import SubjectKey
from visavis.gallery.file import NO_DIGEST, GalleryFile, write_log
from visavis.gallery.keyfile import KeyFile
from visavis.gallery.records import Binding, Embeddings
from visavis.gallery.schema import translate_errors
from visavis.gallery.sqlite import SqliteGallery
from visavis.wording import counted

__all__ = ["Reembedding", "back_up", "reembed", "rotate"]


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
        lost = (
            f"; deleted {counted(self.dropped, 'reference')} and {counted(self.subjects, 'subject')} without references"
            if self.dropped
            else ""
        )
        return f"re-embedded {counted(self.references, 'reference')}{lost}"

    def to_json(self) -> dict[str, Any]:
        """Return the result as JSON-serialisable values."""
        return asdict(self)


def back_up(gallery: SqliteGallery, out: Path, *, actor: str = "") -> Path:
    """Copy one snapshot of a gallery into a new file while others read and write.

    The copy holds ciphertext only and needs the key file of the gallery, which is not copied.

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
    """Encrypt everything under new data keys and a new gallery key; the old key file is overwritten.

    Other processes that have the gallery open must reopen it with the new key. Backups from before are unreadable from then on.

    Raises:
        GalleryKeyError: If the key is malformed.
    """
    file = gallery.file
    with file.rekeying(key) as (connection, new):
        for (number,) in connection.execute("SELECT number FROM subjects").fetchall():
            _reencrypt(connection, number, file.keys.key(number), new)
        write_log(connection, actor, "rotate")
    file.checkpoint()


def _reencrypt(connection: sqlite3.Connection, number: int, old: SubjectKey | None, keys: KeyFile) -> None:
    """Encrypt the values of a subject under its data key in another key file."""
    key = keys.key(number)
    if old is None or key is None:
        return
    (name,) = connection.execute("SELECT name FROM subjects WHERE number = ?", (number,)).fetchone()
    plain = old.decrypt(name, "name")
    values = (keys.master.index(plain.decode()), key.encrypt(plain, "name"), number)
    connection.execute("UPDATE subjects SET name_index = ?, name = ? WHERE number = ?", values)
    references = [row[0] for row in connection.execute("SELECT number FROM enrolled WHERE subject = ?", (number,))]
    for table, column, kind in (("enrolled", "number", "embedding"), ("photos", "reference", "photo")):
        for reference in references:
            row = connection.execute(f"SELECT {kind} FROM {table} WHERE {column} = ?", (reference,)).fetchone()
            if row is not None:
                new = key.encrypt(old.decrypt(row[0], kind, reference), kind, reference)
                connection.execute(f"UPDATE {table} SET {kind} = ? WHERE {column} = ?", (new, reference))


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
    file.binding = binding
    file.checkpoint()
    return result


def _embed_photo(
    connection: sqlite3.Connection,
    file: GalleryFile,
    number: int,
    embed: Callable[[bytes], Embeddings],
    made: dict[int, Embeddings],
) -> None:
    query = "SELECT subject, photo, embedding FROM photos JOIN enrolled ON number = reference WHERE reference = ?"
    row = connection.execute(query, (number,)).fetchone()
    key = None if row is None else file.keys.key(row[0])
    if row is not None and key is not None:  # not deleted meanwhile
        try:
            made[number] = embed(key.decrypt(row[1], "photo", number))
        except ImageError:
            return


def _replace_embeddings(
    connection: sqlite3.Connection, file: GalleryFile, made: dict[int, Embeddings], *, drop: bool
) -> Reembedding:
    enrolled = connection.execute("SELECT number, subject, embedding FROM enrolled").fetchall()
    lost = [number for number, _, _ in enrolled if number not in made]
    if lost and not drop:
        raise GalleryError(
            f"{file.path}: {len(lost):,} of {counted(len(enrolled), 'reference')} have no stored photo, or no face in it, so they "
            "cannot be re-embedded. Enrol these people again, or delete the references with --drop"
        )
    for number, subject, stored in enrolled:
        key = file.keys.key(subject)
        if number in made and key is not None:
            digest = key.decrypt(stored, "embedding", number)[: len(NO_DIGEST)]
            values = (file.encrypt(made[number], digest, key, number), number)
            connection.execute("UPDATE enrolled SET embedding = ? WHERE number = ?", values)
    connection.executemany("DELETE FROM enrolled WHERE number = ?", [(number,) for number in lost])
    query = "SELECT number FROM subjects WHERE number NOT IN (SELECT subject FROM enrolled)"
    emptied = [number for (number,) in connection.execute(query)]
    for number in emptied:
        file.keys.destroy(number)
        connection.execute("DELETE FROM subjects WHERE number = ?", (number,))
    return Reembedding(len(enrolled) - len(lost), len(lost), len(emptied))
