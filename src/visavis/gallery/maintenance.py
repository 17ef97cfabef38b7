"""Looking after a gallery's file: a backup while it is in use, another key, another encoder."""

import sqlite3
from collections.abc import Callable, Iterator
from contextlib import closing
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from visavis.errors import GalleryError, ImageError
from visavis.gallery.file import GalleryFile, write_log
from visavis.gallery.records import Binding, Embeddings
from visavis.gallery.schema import told
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
    """What became of a gallery that got another encoder.

    Attributes:
        references: References whose embedding was made again.
        dropped: References that were deleted, since there was no photo of them, or none in which a face was found.
        subjects: Subjects who were deleted, since no reference of theirs was left.
    """

    references: int
    dropped: int
    subjects: int

    def __str__(self) -> str:
        """Say it in words."""
        lost = f"; deleted {self.dropped:,} references and {self.subjects:,} subjects with none left" if self.dropped else ""
        return f"embedded {self.references:,} references again{lost}"

    def to_json(self) -> dict[str, Any]:
        """Return it as plain values."""
        return asdict(self)


def back_up(gallery: SqliteGallery, out: Path, *, actor: str = "") -> Path:
    """Write one state of a gallery into another file, whole or not at all, while others read and write. Encrypted stays encrypted.

    Raises:
        GalleryError: If there is such a file already.
    """
    file = gallery.file
    with (
        file.copying(out, "backup", actor) as temporary,
        file.reading() as connection,
        told(temporary),
        closing(sqlite3.connect(temporary)) as copy,
    ):
        connection.backup(copy)
        copy.execute("PRAGMA journal_mode = DELETE")  # one file and nothing beside it
    return out


def rotate(gallery: SqliteGallery, key: str, *, actor: str = "") -> None:
    """Encrypt all embeddings and photos with another key, or for the first time; nothing of the old ones is left on the disk.

    Others who have the gallery open are refused from then on, until they open it with the new key.
    """
    file = gallery.file
    with file.rekeying(key) as (connection, cipher):
        for query, change in _CHANGES.items():
            for rows in _chunks(connection, query):
                values = ((cipher.encrypt(file.cipher.decrypt(kept, subject), subject), number) for number, subject, kept in rows)
                connection.executemany(change, values)
        write_log(connection, actor, "rotate")
    file.sweep("everything is encrypted with the new key")


def reembed(
    gallery: SqliteGallery, binding: Binding, embed: Callable[[bytes], Embeddings], *, drop: bool = False, actor: str = ""
) -> Reembedding:
    """Give a gallery to another encoder: all embeddings are made again from the photos that were kept.

    The gallery is in use until the end, when all embeddings change at once; whoever has it open is refused from then on.

    Args:
        gallery: Opened without an encoder; close it afterwards.
        binding: The new encoder.
        embed: The new encoder's embedding `(d,)` of a photo; an `ImageError` where there is none.
        drop: Whether to delete references of which no photo was kept, or none that can be embedded.
        actor: Who asked for it, for the log.

    Raises:
        GalleryError: If there are such references, and they are not to be deleted. Nothing is changed then.
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
    file.sweep("all embeddings are made again")
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
            f"{file.path}: of {len(lost):,} of {len(enrolled):,} references no photo was kept, or no face is found in it, so they "
            "cannot be embedded again. Enrol these people anew, or let these references be deleted: --drop"
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
