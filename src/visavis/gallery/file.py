"""The file of a gallery: its connections, its encoder, and the encryption of its values."""

import sqlite3
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from threading import Lock

import numpy as np
import numpy.typing as npt

from visavis.errors import DamagedGalleryError, GalleryError, GalleryKeyError, WrongEncoderError
from visavis.files import atomic_write
from visavis.gallery.encryption import SubjectKey, fingerprint, parse_key
from visavis.gallery.keyfile import KeyFile, identifier, install, keys_of, replacement_of
from visavis.gallery.records import DIGEST_SIZE, Binding, Embeddings
from visavis.gallery.schema import checkpoint_wal, connect, create_file, prepare, transaction, translate_errors
from visavis.gallery.upgrade import upgrade

__all__ = ["NO_DIGEST", "GalleryFile", "last_number", "now", "write_log"]

_CHUNK = 4096
_LARGEST_WAL = 16_000_000
NO_DIGEST = bytes(DIGEST_SIZE)  # of a reference whose photo is not known

Numbers = npt.NDArray[np.int64]


class GalleryFile:
    """An open gallery file. Threads may share it: one reads at a time, and one writes.

    Attributes:
        path: The path.
        binding: The encoder that it belongs to.
        keys: The data keys of its subjects.
    """

    def __init__(self, path: Path | str, binding: Binding | None, *, key: str | None = None, create: bool = True) -> None:
        """Open the file, see `open_gallery`.

        Args:
            path: The file.
            binding: The encoder that it must belong to; None: any.
            key: The gallery key, which wraps the master key in the key file; None: the key file holds the master key itself.
            create: Whether to create a missing file; needs a binding.
        """
        self.path = Path(path)
        create = create and binding is not None
        if not self.path.is_file():
            if not create:
                raise GalleryError(f"{self.path}: no such gallery")
            create_file(self.path)
        parse_key(key)
        self._fingerprint = fingerprint(key)
        self._reading, self._writing = Lock(), Lock()
        with translate_errors(self.path):
            self._writer = connect(self.path)
            self._reader = connect(self.path)
            try:
                if prepare(self._writer, self.path) == 1:
                    upgrade(self._writer, self.path, key)
                self.binding = self._bind(binding, key, create)
                self._check_binding(self._writer)
                self.keys = self._open_keys(key)
                self._places = self._stat()
                self._purge()
                checkpoint_wal(self._writer)
            except BaseException:
                self._reader.close()
                self._writer.close()
                raise

    def _bind(self, binding: Binding | None, key: str | None, create: bool) -> Binding:
        query = "SELECT encoder, size FROM gallery"
        if self._writer.execute(query).fetchone() is None:
            if binding is None or not create:
                raise DamagedGalleryError(f"{self.path}: the gallery is empty")
            with transaction(self._writer):
                if self._writer.execute(query).fetchone() is None:  # another process may have done it by now
                    keys = KeyFile.create(replacement_of(self.path), key=key)
                    keys.close()
                    values = (binding.digest, binding.size, self._fingerprint, now(), keys.id)
                    self._writer.execute("INSERT INTO gallery VALUES (1, ?, ?, ?, ?, ?)", values)
        return binding or Binding(*self._writer.execute(query).fetchone())

    def _check_binding(self, connection: sqlite3.Connection) -> None:
        """Refuse a gallery that belongs, or meanwhile belongs, to another encoder or key."""
        encoder, key = connection.execute("SELECT encoder, key FROM gallery").fetchone()
        if encoder != self.binding.digest:
            raise WrongEncoderError(
                f"{self.path}: belongs to the encoder {encoder[:16]}, not to {self.binding.digest[:16]}. Use that one, "
                "or recompute the embeddings from stored photos: visavis gallery reembed"
            )
        if key != self._fingerprint:
            if key is None:
                raise GalleryKeyError(
                    f"{self.path}: has no gallery key, but one was given. Set it with: visavis gallery rotate-key"
                )
            reason = "encrypted, and no key was given" if self._fingerprint is None else "encrypted with another key"
            raise GalleryKeyError(f"{self.path}: {reason}. Set VISAVIS_GALLERY_KEY to the right key.")

    def _open_keys(self, key: str | None) -> KeyFile:
        (expected,) = self._writer.execute("SELECT keys FROM gallery").fetchone()
        if identifier(keys_of(self.path)) != expected:
            with transaction(self._writer):
                install(self.path, expected)
        return KeyFile(keys_of(self.path), key=key)

    def _purge(self) -> None:
        """Finish deletions: of subjects whose key is destroyed, and of keys that no subject has."""
        if any(self._leftovers()):
            with transaction(self._writer):
                subjects, keys = self._leftovers()
                for number in subjects:
                    self._writer.execute("DELETE FROM subjects WHERE number = ?", (number,))
                    write_log(self._writer, "", "delete", subject=number)
                for number in keys:
                    self.keys.destroy(number)

    def _leftovers(self) -> tuple[list[int], list[int]]:
        """Return the subjects without a key, and the numbers of keys without a subject."""
        last = last_number(self._writer, "subjects")
        enrolled = np.array([number for (number,) in self._writer.execute("SELECT number FROM subjects")], dtype=np.int64)
        enrolled, live = enrolled[enrolled <= last], self.keys.live()
        live = live[live <= last]
        return np.setdiff1d(enrolled, live).tolist(), np.setdiff1d(live, enrolled).tolist()

    @contextmanager
    def writing(self) -> Iterator[sqlite3.Connection]:
        """Open a write transaction; one at a time among all threads and processes."""
        with self._writing, translate_errors(self.path), transaction(self._writer):
            self._check_binding(self._writer)
            self._check_places()
            yield self._writer

    @contextmanager
    def reading(self) -> Iterator[sqlite3.Connection]:
        """Open a read transaction on one snapshot of the file."""
        with self._reading, translate_errors(self.path), transaction(self._reader, "DEFERRED"):
            self._check_binding(self._reader)
            self._check_places()
            yield self._reader

    @contextmanager
    def rekeying(self, key: str) -> Iterator[tuple[sqlite3.Connection, KeyFile]]:
        """Open a write transaction that replaces the key file by a new one; other threads wait."""
        with self._writing, self._reading, translate_errors(self.path):
            with transaction(self._writer):
                self._check_binding(self._writer)
                new = KeyFile.create(replacement_of(self.path), key=key, slots=last_number(self._writer, "subjects"))
                yield self._writer, new
                self._writer.execute("UPDATE gallery SET key = ?, keys = ?", (fingerprint(key), new.id))
            new.close()
            self.keys.close()
            self._fingerprint = fingerprint(key)
            self.keys = self._open_keys(key)
            self._places = self._stat()

    def _stat(self) -> list[tuple[int, int]]:
        """Identify the gallery and its key file on the disk."""
        return [(stat.st_dev, stat.st_ino) for stat in (path.stat() for path in (self.path, keys_of(self.path)))]

    def _check_places(self) -> None:
        """Refuse to work on files that are not at their paths any more.

        Raises:
            GalleryError: If one of them was moved, deleted or replaced.
        """
        try:
            present = self._stat()
        except OSError:
            present = []
        if present != self._places:
            raise GalleryError(
                f"{self.path}: the gallery or its key file was moved, deleted or replaced while it was open. Open it again"
            )

    @contextmanager
    def copying(self, out: Path, kind: str, actor: str) -> Iterator[Path]:
        """Yield a temporary path with private permissions that atomically becomes `out`; the copy is logged.

        Raises:
            GalleryError: If `out` exists.
        """
        if out.exists():
            raise GalleryError(f"{out}: the file exists. Choose a new name for the {kind}.")
        with self.writing() as connection:
            write_log(connection, actor, kind)
        with atomic_write(out) as temporary:
            create_file(temporary)
            yield temporary

    def checkpoint(self) -> bool:
        """Checkpoint and truncate the write-ahead log (WAL) if no other connection is in the way; return whether it was done."""
        with self._writing, translate_errors(self.path):
            return checkpoint_wal(self._writer)

    def checkpoint_if_large(self) -> None:
        """Checkpoint the write-ahead log once it is large."""
        wal = self.path.with_name(f"{self.path.name}-wal")
        if wal.exists() and wal.stat().st_size > _LARGEST_WAL:
            self.checkpoint()

    def encrypt(self, row: Embeddings, digest: bytes | None, key: SubjectKey, number: int) -> bytes:
        """Encrypt the embedding `(d,)` of a reference together with the digest of its photo."""
        return key.encrypt((digest or NO_DIGEST) + row.astype("<f4").tobytes(), "embedding", number)

    def decrypt(self, stored: bytes, key: SubjectKey, number: int) -> tuple[bytes, bytes]:
        """Decrypt what `encrypt` returned: the digest and the bytes of the embedding.

        Raises:
            DamagedGalleryError: If the embedding has another length than those of the gallery.
        """
        opened = key.decrypt(stored, "embedding", number)
        if len(opened) != len(NO_DIGEST) + 4 * self.binding.size:
            raise DamagedGalleryError(
                f"{self.path}: an embedding differs in size from the {self.binding.size} of the gallery. Restore a backup."
            )
        return opened[: len(NO_DIGEST)], opened[len(NO_DIGEST) :]

    def embeddings(self, rows: Sequence[tuple[int, int, bytes]]) -> tuple[Numbers, Numbers, Embeddings]:
        """Decrypt references `(number, subject, stored)` to numbers, subjects and embeddings `(n, d)`, without deleted ones."""
        keys = self.keys.keys({subject for _, subject, _ in rows})
        readable = [row for row in rows if row[1] in keys]
        values = b"".join(self.decrypt(stored, keys[subject], number)[1] for number, subject, stored in readable)
        numbers, subjects = (np.array([row[column] for row in readable], dtype=np.int64) for column in (0, 1))
        return numbers, subjects, np.frombuffer(values, dtype="<f4").reshape(len(readable), self.binding.size)

    def rows(
        self, connection: sqlite3.Connection, *, after: int = 0, after_subject: int = 0
    ) -> Iterator[tuple[Numbers, Numbers, Embeddings]]:
        """Yield references in chunks: their numbers, the numbers of their subjects, their embeddings.

        Args:
            connection: The transaction.
            after: References with a number up to this one are left out,
            after_subject: unless the number of their subject is past this one.
        """
        query = "SELECT number, subject, embedding FROM enrolled WHERE number > ? OR subject > ? ORDER BY number"
        cursor = connection.execute(query, (after, after_subject))
        while rows := cursor.fetchmany(_CHUNK):
            yield self.embeddings(rows)

    def close(self) -> None:
        """Close the file. The last connection checkpoints the write-ahead log."""
        with self._writing, self._reading:
            self._reader.close()
            self._writer.close()
            self.keys.close()


def last_number(connection: sqlite3.Connection, table: str) -> int:
    """Return the last number that was given in a table; numbers are never reused."""
    row = connection.execute("SELECT seq FROM sqlite_sequence WHERE name = ?", (table,)).fetchone()
    return 0 if row is None else int(row[0])


def write_log(
    connection: sqlite3.Connection, actor: str, action: str, *, subject: int | None = None, count: int | None = None
) -> None:
    """Write an entry of the audit log; a subject appears by number only."""
    values = (now(), actor, action, subject, count)
    connection.execute("INSERT INTO log (time, actor, action, subject, count) VALUES (?, ?, ?, ?, ?)", values)


def now() -> str:
    """Return the current time, ISO 8601, UTC."""
    return datetime.now(UTC).isoformat(timespec="seconds")
