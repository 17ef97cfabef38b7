"""The file of a gallery: one reader and one writer of it, whose encoder it is, how its values are encrypted."""

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
from visavis.gallery.encryption import Cipher, fingerprint, make_cipher
from visavis.gallery.records import Binding, Embeddings
from visavis.gallery.schema import connect, create_file, is_written, migrate, sweep, told, transaction

__all__ = ["GalleryFile", "now", "write_log"]

_CHUNK = 4096
_LARGEST_WAL = 16_000_000

Numbers = npt.NDArray[np.int64]


class GalleryFile:
    """An open file. Threads may share it: one of them reads at a time, and one writes.

    Attributes:
        path: Where it is.
        binding: The encoder that it belongs to.
        cipher: How embeddings and photos are kept.
    """

    def __init__(self, path: Path | str, binding: Binding | None, *, key: str | None = None, create: bool = True) -> None:
        """Open the file, see `open_gallery`.

        Args:
            path: The file.
            binding: The encoder that it must belong to; None: any.
            key: What embeddings and photos are encrypted with; None: nothing.
            create: Whether to make the file if there is none; needs a binding.
        """
        self.path = Path(path)
        create = create and binding is not None
        if not self.path.is_file():
            if not create:
                raise GalleryError(f"{self.path}: no such gallery")
            create_file(self.path)
        self.cipher, self._fingerprint = make_cipher(key), fingerprint(key)
        self._reading, self._writing = Lock(), Lock()
        with told(self.path):
            self._writer = connect(self.path)
            self._reader = connect(self.path)
            try:
                migrate(self._writer, self.path)
                self.binding = self._bind(binding, create)
                self._check_binding(self._writer)
                if not is_written(self._writer):
                    sweep(self._writer)  # what a process that died has left
            except BaseException:
                self.close()
                raise

    def _bind(self, binding: Binding | None, create: bool) -> Binding:
        query = "SELECT encoder, size FROM gallery"
        if self._writer.execute(query).fetchone() is None:
            if binding is None or not create:
                raise DamagedGalleryError(f"{self.path}: nothing is in it")
            values = (binding.digest, binding.size, self._fingerprint, now())
            with transaction(self._writer):  # another process may have done it by now
                self._writer.execute("INSERT OR IGNORE INTO gallery VALUES (1, ?, ?, ?, ?)", values)
        return binding or Binding(*self._writer.execute(query).fetchone())

    def _check_binding(self, connection: sqlite3.Connection) -> None:
        """Refuse to go on where the gallery is not, or no longer, of this encoder and this key."""
        encoder, key = connection.execute("SELECT encoder, key FROM gallery").fetchone()
        if encoder != self.binding.digest:
            raise WrongEncoderError(
                f"{self.path}: belongs to the encoder {encoder[:16]}, not to {self.binding.digest[:16]}. Use that one, "
                "or make all embeddings again from kept photos: visavis gallery reembed"
            )
        if key != self._fingerprint:
            if key is None:
                raise GalleryKeyError(
                    f"{self.path}: is not encrypted, but a key was given. Encrypt it with: visavis gallery rotate-key"
                )
            lacks = "encrypted, and no key was given" if self._fingerprint is None else "encrypted with another key"
            raise GalleryKeyError(f"{self.path}: {lacks}. Put the right one into VISAVIS_GALLERY_KEY.")

    @contextmanager
    def writing(self) -> Iterator[sqlite3.Connection]:
        """Change the file, all of it or nothing; one at a time among all threads and processes."""
        with self._writing, told(self.path), transaction(self._writer):
            self._check_binding(self._writer)
            yield self._writer

    @contextmanager
    def reading(self) -> Iterator[sqlite3.Connection]:
        """Read one state of the file, whatever others write meanwhile."""
        with self._reading, told(self.path), transaction(self._reader, "DEFERRED"):
            self._check_binding(self._reader)
            yield self._reader

    @contextmanager
    def rekeying(self, key: str) -> Iterator[tuple[sqlite3.Connection, Cipher]]:
        """Change the file and its key; nobody else reads or writes in this process meanwhile."""
        cipher = make_cipher(key)
        with self._writing, self._reading, told(self.path):
            with transaction(self._writer):
                self._check_binding(self._writer)
                yield self._writer, cipher
                self._writer.execute("UPDATE gallery SET key = ?", (fingerprint(key),))
            self.cipher, self._fingerprint = cipher, fingerprint(key)

    @contextmanager
    def copying(self, out: Path, kind: str, actor: str) -> Iterator[Path]:
        """Give the place of a new file that only this account can read; it becomes `out`, whole or not at all. It is logged.

        Raises:
            GalleryError: If there is such a file already.
        """
        if out.exists():
            raise GalleryError(f"{out}: is there already. Give the {kind} a new name.")
        with self.writing() as connection:
            write_log(connection, actor, kind)
        with atomic_write(out) as temporary:
            create_file(temporary)
            yield temporary

    def sweep(self, done: str) -> None:
        """Overwrite in the file what was deleted or changed, and empty the log beside it, see `schema.sweep`.

        Raises:
            GalleryError: If somebody who reads all the while keeps it from being done; says what was `done` all the same.
        """
        with self._writing, told(self.path):
            if not sweep(self._writer):
                raise GalleryError(
                    f"{self.path}: {done}, but another process kept reading, so traces of what was before may be left in "
                    f"{self.path.name}-wal until the gallery is opened again"
                )

    def tidy(self) -> None:
        """Empty the log beside the file once it is large."""
        wal = self.path.with_name(f"{self.path.name}-wal")
        if wal.exists() and wal.stat().st_size > _LARGEST_WAL:
            with self._writing, told(self.path):
                sweep(self._writer)

    def encrypt(self, row: Embeddings, subject: int) -> bytes:
        """Return what is kept of an embedding `(d,)` of the subject of this number."""
        return self.cipher.encrypt(row.astype("<f4").tobytes(), subject)

    def decrypt(self, kept: Sequence[bytes], subjects: Sequence[int]) -> Embeddings:
        """Return embeddings `(n, d)` from what is kept of them and the numbers of their subjects."""
        opened = self.cipher.decrypt_all(kept, subjects)
        size = self.binding.size
        if len(opened) != 4 * size * len(kept):
            raise DamagedGalleryError(f"{self.path}: an embedding has another size than the gallery's {size}. Restore a backup.")
        return np.frombuffer(opened, dtype="<f4").reshape(len(kept), size)

    def rows(self, connection: sqlite3.Connection, *, after: int = 0) -> Iterator[tuple[Numbers, Numbers, Embeddings]]:
        """References after a number, in chunks: their numbers, those of their subjects, and their embeddings."""
        cursor = connection.execute("SELECT number, subject, embedding FROM enrolled WHERE number > ? ORDER BY number", (after,))
        while rows := cursor.fetchmany(_CHUNK):
            numbers, subjects, kept = zip(*rows, strict=True)
            yield np.array(numbers, dtype=np.int64), np.array(subjects, dtype=np.int64), self.decrypt(kept, subjects)

    def close(self) -> None:
        """Let go of the file. The last one to do so empties the log beside it."""
        with self._writing, self._reading:
            self._reader.close()
            self._writer.close()


def write_log(
    connection: sqlite3.Connection, actor: str, action: str, *, subject: int | None = None, count: int | None = None
) -> None:
    """Put into the log who did what: a subject by number alone."""
    values = (now(), actor, action, subject, count)
    connection.execute("INSERT INTO log (time, actor, action, subject, count) VALUES (?, ?, ?, ?, ?)", values)


def now() -> str:
    """Return the time, ISO 8601, UTC."""
    return datetime.now(UTC).isoformat(timespec="seconds")
