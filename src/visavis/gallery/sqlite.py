"""A gallery in one SQLite file, searched in memory; threads and processes share it."""

import sqlite3
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from threading import Lock
from types import TracebackType
from typing import Self

import numpy as np

from visavis.errors import DamagedGalleryError, GalleryError, GalleryKeyError, UnknownSubjectError, WrongEncoderError
from visavis.gallery.encryption import fingerprint, make_cipher
from visavis.gallery.matrix import Found, Matrix
from visavis.gallery.records import Binding, Embeddings, Hit, Subject, checked_embeddings, checked_name
from visavis.gallery.schema import connect, create_file, migrate, sweep, told, transaction

__all__ = ["SqliteGallery"]

_CHUNK = 16_384
_LARGEST_LOG = 16_000_000


class SqliteGallery:
    """See `Gallery`. The file is the truth; the matrix in memory follows it before each search.

    Example:
        Enrol somebody, and find them again::

            with open_gallery("door.gallery", verifier.encoder) as gallery:
                gallery.enrol("anna", verifier.embed(["anna-1.jpg", "anna-2.jpg"]))
                hits = gallery.search(verifier.embed(["who.jpg"]), threshold=0.5)[0]
    """

    def __init__(self, path: Path | str, binding: Binding | None, *, key: str | None = None, create: bool = True) -> None:
        """Open the file, see `open_gallery`.

        Args:
            path: The file.
            binding: The encoder of embeddings that are enrolled and searched for; None: neither will be done.
            key: What embeddings and photos are encrypted with; None: nothing.
            create: Whether to make the file if there is none; needs a binding.
        """
        self.path = Path(path)
        if not self.path.is_file():
            if not create or binding is None:
                raise GalleryError(f"{self.path}: no such gallery")
            create_file(self.path)
        self._binding, self._fingerprint, self._cipher = binding, fingerprint(key), make_cipher(key)
        self._reading, self._writing = Lock(), Lock()
        self._version, self._enrolled, self._logged = -1, 0, 0
        with told(self.path):
            self._writer = connect(self.path)
            self._reader = connect(self.path)
            try:
                migrate(self._writer, self.path)
                with transaction(self._writer):
                    self._bind(create)
                sweep(self._writer)  # what a process that died has left
            except BaseException:
                self.close()
                raise

    def _bind(self, create: bool) -> None:
        row = self._writer.execute("SELECT encoder, size FROM gallery").fetchone()
        if row is None:
            if self._binding is None or not create:
                raise DamagedGalleryError(f"{self.path}: nothing is in it")
            row = (self._binding.digest, self._binding.size)
            self._writer.execute("INSERT INTO gallery VALUES (1, ?, ?, ?, ?)", (*row, self._fingerprint, _now()))
        self._bound = Binding(*row)
        self._matrix = Matrix(self._bound.size)
        self._check_binding(self._writer)

    def _check_binding(self, connection: sqlite3.Connection) -> None:
        """Refuse to go on where the gallery is not, or no longer, of this encoder and this key."""
        encoder, key = connection.execute("SELECT encoder, key FROM gallery").fetchone()
        if encoder != self._bound.digest or (self._binding is not None and encoder != self._binding.digest):
            own = self._bound if self._binding is None else self._binding
            raise WrongEncoderError(
                f"{self.path}: belongs to the encoder {encoder[:16]}, not to {own.digest[:16]}. Use that one, "
                "or make all embeddings again from kept photos: visavis gallery reembed"
            )
        if key != self._fingerprint:
            if key is None:
                raise GalleryKeyError(
                    f"{self.path}: is not encrypted, but a key was given. Encrypt it with: visavis gallery rotate"
                )
            lacks = "encrypted, and no key was given" if self._fingerprint is None else "encrypted with another key"
            raise GalleryKeyError(f"{self.path}: {lacks}. Put the right one into VISAVIS_GALLERY_KEY.")

    @property
    def digest(self) -> str:
        """The digest of the encoder that the gallery belongs to."""
        return self._bound.digest

    @property
    def size(self) -> int:
        """How long an embedding is."""
        return self._bound.size

    def __len__(self) -> int:
        """How many references there are."""
        with self._read() as connection:
            return int(connection.execute("SELECT count(*) FROM enrolled").fetchone()[0])

    def enrol(
        self, subject: str, embeddings: Embeddings, *, photos: Sequence[bytes] | None = None, actor: str = ""
    ) -> tuple[str, ...]:
        """Put references of a subject into the gallery, see `Gallery`."""
        rows = self._own(embeddings)
        if not len(rows) or (photos is not None and len(photos) != len(rows)):
            raise ValueError(
                f"embeddings must be at least one, and photos as many. Received: {len(rows)} embeddings"
                f"{'' if photos is None else f', {len(photos)} photos'}"
            )
        name = checked_name(subject)
        with self._write() as connection:
            number = self._number_of(connection, name)
            if number is None:
                added = connection.execute("INSERT INTO subjects (name, created) VALUES (?, ?)", (name, _now()))
                number = int(added.lastrowid or 0)
            numbers = [self._insert(connection, number, row) for row in rows]
            if photos is not None:
                kept = [(row, self._cipher.encrypt(photo, _owner(number))) for row, photo in zip(numbers, photos, strict=True)]
                connection.executemany("INSERT INTO photos VALUES (?, ?)", kept)
            _log(connection, actor, "enrol", number, len(numbers))
        self._tidy()
        return tuple(map(str, numbers))

    def _insert(self, connection: sqlite3.Connection, subject: int, row: Embeddings) -> int:
        kept = self._cipher.encrypt(row.astype("<f4").tobytes(), _owner(subject))
        return int(connection.execute("INSERT INTO enrolled (subject, embedding) VALUES (?, ?)", (subject, kept)).lastrowid or 0)

    def search(self, probes: Embeddings, *, top: int = 5, threshold: float | None = None) -> list[list[Hit]]:
        """Find the subjects who are most alike, see `Gallery`; exact, and of one state of the gallery."""
        rows = self._own(probes, "probes")
        if top < 1:
            raise ValueError(f"top must be at least 1. Received: top={top}")
        with self._read() as connection:
            self._follow(connection)
            return [self._hits(connection, found) for found in self._matrix.search(rows, top=top, threshold=threshold)]

    def _hits(self, connection: sqlite3.Connection, found: Found) -> list[Hit]:
        names = [
            connection.execute("SELECT name FROM subjects WHERE number = ?", (int(number),)).fetchone()[0]
            for number in found.subjects
        ]
        return [
            Hit(name, str(reference), float(score))
            for name, reference, score in zip(names, found.references, found.scores, strict=True)
        ]

    def verify(self, subject: str, probe: Embeddings) -> Hit:
        """Compare a probe with all references of a subject, see `Gallery`."""
        row = self._own(np.asarray(probe)[None], "probe")[0]
        with self._read() as connection:
            number = self._known(connection, subject)
            kept = connection.execute("SELECT number, embedding FROM enrolled WHERE subject = ?", (number,)).fetchall()
        scores = self._vectors([(number, blob) for _, blob in kept]) @ row
        best = int(np.argmax(scores))
        return Hit(subject, str(kept[best][0]), float(scores[best]))

    def delete(self, subject: str, *, actor: str = "") -> int:
        """Delete a subject, see `Gallery`.

        Raises:
            GalleryError: If they are deleted, but somebody who reads all the while keeps their pages from being overwritten.
        """
        with self._write() as connection:
            number = self._known(connection, subject)
            (count,) = connection.execute("SELECT count(*) FROM enrolled WHERE subject = ?", (number,)).fetchone()
            connection.execute("DELETE FROM subjects WHERE number = ?", (number,))
            _log(connection, actor, "delete", number, count)
        with self._writing, told(self.path):
            if not sweep(self._writer):
                raise GalleryError(
                    f"{self.path}: {subject} is deleted, but another process kept reading, so traces may be left in "
                    f"{self.path.name}-wal until the gallery is opened again"
                )
        return int(count)

    def subject(self, name: str) -> Subject:
        """Look somebody up, see `Gallery`."""
        with self._read() as connection:
            number = self._known(connection, name)
            (created,) = connection.execute("SELECT created FROM subjects WHERE number = ?", (number,)).fetchone()
            return Subject(name, _references(connection, number), created)

    def subjects(self, *, after: str | None = None, limit: int = 1000) -> list[Subject]:
        """List subjects, see `Gallery`."""
        query = "SELECT number, name, created FROM subjects WHERE name > ? ORDER BY name LIMIT ?"
        with self._read() as connection:
            rows = connection.execute(query, (after or "", limit)).fetchall()
            return [Subject(name, _references(connection, number), created) for number, name, created in rows]

    def refresh(self) -> None:
        """Take in what was written since, see `Gallery`."""
        with self._read() as connection:
            self._follow(connection)

    def check(self) -> None:
        """Look through the whole file: its pages, its keys, and each embedding.

        Raises:
            DamagedGalleryError: If something is wrong with it.
        """
        with self._read() as connection:
            answers = [row[0] for row in connection.execute("PRAGMA integrity_check").fetchall()]
            lost = connection.execute("PRAGMA foreign_key_check").fetchall()
            if answers != ["ok"] or lost:
                raise DamagedGalleryError(
                    f"{self.path}: {'; '.join(answers[:3])}, {len(lost)} rows without owner. Restore a backup."
                )
            try:
                for _, subjects, vectors in self._rows(connection, after=0):
                    checked_embeddings(vectors, self.size, f"references of the subjects {subjects.min()} to {subjects.max()}")
            except (ValueError, GalleryKeyError) as error:
                raise DamagedGalleryError(f"{self.path}: {error}. Restore a backup.") from error

    def close(self) -> None:
        """Let go of the file. The last one to do so empties the log beside it."""
        with self._writing, self._reading:
            self._reader.close()
            self._writer.close()

    def __enter__(self) -> Self:
        """Give the gallery itself."""
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        """Close it."""
        self.close()

    @contextmanager
    def _write(self) -> Iterator[sqlite3.Connection]:
        with self._writing, told(self.path), transaction(self._writer):
            self._check_binding(self._writer)
            yield self._writer

    @contextmanager
    def _read(self) -> Iterator[sqlite3.Connection]:
        with self._reading, told(self.path), transaction(self._reader, "DEFERRED"):
            self._check_binding(self._reader)
            yield self._reader

    def _follow(self, connection: sqlite3.Connection) -> None:
        """Bring the matrix to the state that the transaction sees. What was deleted is known from the log."""
        (version,) = connection.execute("PRAGMA data_version").fetchone()
        if version == self._version:
            return
        gone = connection.execute(
            "SELECT sequence, subject FROM log WHERE sequence > ? AND action = 'delete' ORDER BY sequence", (self._logged,)
        ).fetchall()
        if gone:
            self._matrix.remove(np.array([subject for _, subject in gone], dtype=np.int64))
            self._logged = gone[-1][0]
        for references, subjects, vectors in self._rows(connection, after=self._enrolled):
            self._matrix.append(references, subjects, vectors)
            self._enrolled = int(references[-1])
        self._version = version

    def _rows(self, connection: sqlite3.Connection, *, after: int) -> Iterator[tuple[np.ndarray, np.ndarray, Embeddings]]:
        """References after a number, in chunks: their numbers, those of their subjects, and their embeddings."""
        cursor = connection.execute("SELECT number, subject, embedding FROM enrolled WHERE number > ? ORDER BY number", (after,))
        while rows := cursor.fetchmany(_CHUNK):
            numbers, subjects, kept = zip(*rows, strict=True)
            vectors = self._vectors(list(zip(subjects, kept, strict=True)))
            yield np.array(numbers, dtype=np.int64), np.array(subjects, dtype=np.int64), vectors

    def _vectors(self, kept: list[tuple[int, bytes]]) -> Embeddings:
        opened = b"".join(self._cipher.decrypt(blob, _owner(subject)) for subject, blob in kept)
        if len(opened) != 4 * self.size * len(kept):
            raise DamagedGalleryError(
                f"{self.path}: an embedding has another size than the gallery's {self.size}. Restore a backup."
            )
        return np.frombuffer(opened, dtype="<f4").reshape(len(kept), self.size)

    def _own(self, embeddings: Embeddings, name: str = "embeddings") -> Embeddings:
        """Check embeddings; those of no known encoder are refused."""
        if self._binding is None:
            raise WrongEncoderError(f"{self.path}: opened without an encoder, so it takes no embeddings")
        return checked_embeddings(embeddings, self.size, name)

    def _tidy(self) -> None:
        """Empty the log beside the file once it is large."""
        log = self.path.with_name(f"{self.path.name}-wal")
        with self._writing, told(self.path):
            if log.exists() and log.stat().st_size > _LARGEST_LOG:
                sweep(self._writer)

    @staticmethod
    def _number_of(connection: sqlite3.Connection, name: str) -> int | None:
        row = connection.execute("SELECT number FROM subjects WHERE name = ?", (name,)).fetchone()
        return None if row is None else int(row[0])

    def _known(self, connection: sqlite3.Connection, name: str) -> int:
        number = self._number_of(connection, name)
        if number is None:
            raise UnknownSubjectError(f"{self.path}: nobody is enrolled as {name!r}")
        return number


def _references(connection: sqlite3.Connection, subject: int) -> tuple[str, ...]:
    rows = connection.execute("SELECT number FROM enrolled WHERE subject = ? ORDER BY number", (subject,)).fetchall()
    return tuple(str(number) for (number,) in rows)


def _log(connection: sqlite3.Connection, actor: str, action: str, subject: int | None, count: int | None) -> None:
    values = (_now(), actor, action, subject, count)
    connection.execute("INSERT INTO log (time, actor, action, subject, count) VALUES (?, ?, ?, ?, ?)", values)


def _owner(subject: int) -> bytes:
    return b"visavis subject %d" % subject


def _now() -> str:
    return datetime.now(UTC).isoformat(timespec="seconds")
