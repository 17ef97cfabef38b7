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
from visavis.gallery.encryption import Cipher, fingerprint, make_cipher
from visavis.gallery.records import Binding, Embeddings
from visavis.gallery.schema import checkpoint_wal, connect, create_file, is_written, migrate, transaction, translate_errors

__all__ = ["GalleryFile", "now", "write_log"]

_CHUNK = 4096
_LARGEST_WAL = 16_000_000

Numbers = npt.NDArray[np.int64]


class GalleryFile:
    """An open gallery file. Threads may share it: one reads at a time, and one writes.

    Attributes:
        path: The path.
        binding: The encoder that it belongs to.
        cipher: The encryption of embeddings and photos.
    """

    def __init__(self, path: Path | str, binding: Binding | None, *, key: str | None = None, create: bool = True) -> None:
        """Open the file, see `open_gallery`.

        Args:
            path: The file.
            binding: The encoder that it must belong to; None: any.
            key: Encryption key of embeddings and photos; None: no encryption.
            create: Whether to create a missing file; needs a binding.
        """
        self.path = Path(path)
        create = create and binding is not None
        if not self.path.is_file():
            if not create:
                raise GalleryError(f"{self.path}: no such gallery")
            create_file(self.path)
        self.cipher, self._fingerprint = make_cipher(key), fingerprint(key)
        self._reading, self._writing = Lock(), Lock()
        with translate_errors(self.path):
            self._writer = connect(self.path)
            self._reader = connect(self.path)
            try:
                migrate(self._writer, self.path)
                self.binding = self._bind(binding, create)
                self._check_binding(self._writer)
                if not is_written(self._writer):
                    checkpoint_wal(self._writer)  # left over by a process that died
            except BaseException:
                self.close()
                raise

    def _bind(self, binding: Binding | None, create: bool) -> Binding:
        query = "SELECT encoder, size FROM gallery"
        if self._writer.execute(query).fetchone() is None:
            if binding is None or not create:
                raise DamagedGalleryError(f"{self.path}: the gallery is empty")
            values = (binding.digest, binding.size, self._fingerprint, now())
            with transaction(self._writer):  # another process may have done it by now
                self._writer.execute("INSERT OR IGNORE INTO gallery VALUES (1, ?, ?, ?, ?)", values)
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
                    f"{self.path}: is not encrypted, but a key was given. Encrypt it with: visavis gallery rotate-key"
                )
            reason = "encrypted, and no key was given" if self._fingerprint is None else "encrypted with another key"
            raise GalleryKeyError(f"{self.path}: {reason}. Set VISAVIS_GALLERY_KEY to the right key.")

    @contextmanager
    def writing(self) -> Iterator[sqlite3.Connection]:
        """Open a write transaction; one at a time among all threads and processes."""
        with self._writing, translate_errors(self.path), transaction(self._writer):
            self._check_binding(self._writer)
            yield self._writer

    @contextmanager
    def reading(self) -> Iterator[sqlite3.Connection]:
        """Open a read transaction on one snapshot of the file."""
        with self._reading, translate_errors(self.path), transaction(self._reader, "DEFERRED"):
            self._check_binding(self._reader)
            yield self._reader

    @contextmanager
    def rekeying(self, key: str) -> Iterator[tuple[sqlite3.Connection, Cipher]]:
        """Open a write transaction that changes the key; other threads wait."""
        cipher = make_cipher(key)
        with self._writing, self._reading, translate_errors(self.path):
            with transaction(self._writer):
                self._check_binding(self._writer)
                yield self._writer, cipher
                self._writer.execute("UPDATE gallery SET key = ?", (fingerprint(key),))
            self.cipher, self._fingerprint = cipher, fingerprint(key)

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

    def checkpoint(self, done: str) -> None:
        """Checkpoint and truncate the write-ahead log (WAL), so that deleted content is overwritten.

        Args:
            done: What has been done, for the error.

        Raises:
            GalleryError: If a long-running reader prevents it.
        """
        with self._writing, translate_errors(self.path):
            if not checkpoint_wal(self._writer):
                raise GalleryError(
                    f"{self.path}: {done}, but another process kept reading; old content may remain in "
                    f"{self.path.name}-wal until the gallery is opened again"
                )

    def checkpoint_if_large(self) -> None:
        """Checkpoint the write-ahead log once it is large."""
        wal = self.path.with_name(f"{self.path.name}-wal")
        if wal.exists() and wal.stat().st_size > _LARGEST_WAL:
            with self._writing, translate_errors(self.path):
                checkpoint_wal(self._writer)

    def encrypt(self, row: Embeddings, subject: int) -> bytes:
        """Encrypt an embedding `(d,)` of the subject with this number."""
        return self.cipher.encrypt(row.astype("<f4").tobytes(), subject)

    def decrypt(self, kept: Sequence[bytes], subjects: Sequence[int]) -> Embeddings:
        """Decrypt embeddings; returns `(n, d)` float32.

        Args:
            kept: The stored values.
            subjects: The numbers of their subjects.
        """
        opened = self.cipher.decrypt_all(kept, subjects)
        size = self.binding.size
        if len(opened) != 4 * size * len(kept):
            raise DamagedGalleryError(
                f"{self.path}: an embedding differs in size from the {size} of the gallery. Restore a backup."
            )
        return np.frombuffer(opened, dtype="<f4").reshape(len(kept), size)

    def rows(self, connection: sqlite3.Connection, *, after: int = 0) -> Iterator[tuple[Numbers, Numbers, Embeddings]]:
        """Yield the references after a number in chunks: their numbers, the numbers of their subjects, their embeddings."""
        cursor = connection.execute("SELECT number, subject, embedding FROM enrolled WHERE number > ? ORDER BY number", (after,))
        while rows := cursor.fetchmany(_CHUNK):
            numbers, subjects, kept = zip(*rows, strict=True)
            yield np.array(numbers, dtype=np.int64), np.array(subjects, dtype=np.int64), self.decrypt(kept, subjects)

    def close(self) -> None:
        """Close the file. The last connection checkpoints the write-ahead log."""
        with self._writing, self._reading:
            self._reader.close()
            self._writer.close()


def write_log(
    connection: sqlite3.Connection, actor: str, action: str, *, subject: int | None = None, count: int | None = None
) -> None:
    """Write an entry of the audit log; a subject appears by number only."""
    values = (now(), actor, action, subject, count)
    connection.execute("INSERT INTO log (time, actor, action, subject, count) VALUES (?, ?, ?, ?, ?)", values)


def now() -> str:
    """Return the current time, ISO 8601, UTC."""
    return datetime.now(UTC).isoformat(timespec="seconds")
