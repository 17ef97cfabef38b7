"""A gallery in one SQLite file, searched in memory; shared by threads and processes."""

import sqlite3
from collections.abc import Iterable, Sequence
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import numpy as np

from visavis.data.names import normalise_name
from visavis.errors import DamagedGalleryError, GalleryError, GalleryKeyError, UnknownSubjectError, WrongEncoderError
from visavis.gallery.file import GalleryFile, now, write_log
from visavis.gallery.matrix import Found, Matrix
from visavis.gallery.records import Binding, Embeddings, Enrolment, Hit, LogEntry, Subject, checked_embeddings, checked_enrolment

__all__ = ["SqliteGallery"]


class SqliteGallery:
    """A gallery in a SQLite file, see `Gallery`. The matrix in memory is brought up to date before each search.

    Attributes:
        file: The file.

    Example:
        Enrol a subject and search for her::

            with open_gallery("door.gallery", verifier.encoder) as gallery:
                gallery.enrol("anna", verifier.embed(["anna-1.jpg", "anna-2.jpg"]))
                hits = gallery.search(verifier.embed(["who.jpg"]), threshold=0.5)[0]
    """

    def __init__(self, path: Path | str, binding: Binding | None, *, key: str | None = None, create: bool = True) -> None:
        """Open the file, see `open_gallery`.

        Args:
            path: The file.
            binding: The encoder of the embeddings and probes; None: for maintenance only.
            key: Encryption key of embeddings and photos; None: no encryption.
            create: Whether to create a missing file; needs a binding.
        """
        self.file = GalleryFile(path, binding, key=key, create=create)
        self._takes_embeddings = binding is not None
        self._matrix = Matrix(self.size)
        self._version, self._enrolled, self._logged = -1, 0, 0

    @property
    def digest(self) -> str:
        """Digest of the encoder that the gallery belongs to."""
        return self.file.binding.digest

    @property
    def size(self) -> int:
        """Length of an embedding."""
        return self.file.binding.size

    def __len__(self) -> int:
        """Return the number of references."""
        with self.file.reading() as connection:
            return int(connection.execute("SELECT count(*) FROM enrolled").fetchone()[0])

    def enrol(
        self, subject: str, embeddings: Embeddings, *, photos: Sequence[bytes] | None = None, actor: str = ""
    ) -> tuple[str, ...]:
        """Enrol references of a subject, see `Gallery`."""
        self._require_encoder()
        person = checked_enrolment(subject, embeddings, photos, size=self.size)
        with self.file.writing() as connection:
            number = _number_of(connection, person.subject) or _add_subject(connection, person.subject)
            references = self._add_references(connection, number, person)
            write_log(connection, actor, "enrol", subject=number, count=len(references))
        self.file.checkpoint_if_large()
        return tuple(map(str, references))

    def enrol_all(self, people: Iterable[Enrolment], *, actor: str = "") -> int:
        """Enrol many subjects in one transaction, see `Gallery`."""
        self._require_encoder()
        count = 0
        with self.file.writing() as connection:
            for person in people:
                checked = checked_enrolment(person.subject, person.embeddings, person.photos, size=self.size)
                if _number_of(connection, checked.subject) is not None:
                    raise GalleryError(f"{self.file.path}: {checked.subject!r} is already enrolled")
                count += len(self._add_references(connection, _add_subject(connection, checked.subject), checked))
            write_log(connection, actor, "import", count=count)
        self.file.checkpoint_if_large()
        return count

    def _add_references(self, connection: sqlite3.Connection, number: int, person: Enrolment) -> list[int]:
        added = []
        for row, photo in zip(person.embeddings, person.photos, strict=True):
            values = (number, self.file.encrypt(row, number))
            added.append(_insert(connection, "INSERT INTO enrolled (subject, embedding) VALUES (?, ?)", values))
            if photo is not None:
                kept = self.file.cipher.encrypt(photo, number)
                connection.execute("INSERT INTO photos VALUES (?, ?)", (added[-1], kept))
        return added

    def search(self, probes: Embeddings, *, top: int = 5, threshold: float | None = None) -> list[list[Hit]]:
        """Find the best-matching subjects, see `Gallery`; exact, on one snapshot of the gallery."""
        self._require_encoder()
        rows = checked_embeddings(probes, self.size, "probes")
        if top < 1:
            raise ValueError(f"top must be at least 1, got {top}")
        with self.file.reading() as connection:
            self._update_matrix(connection)
            return [_hits(connection, found) for found in self._matrix.search(rows, top=top, threshold=threshold)]

    def verify(self, subject: str, probe: Embeddings) -> Hit:
        """Compare a probe with all references of a subject, see `Gallery`."""
        self._require_encoder()
        row = checked_embeddings(np.asarray(probe)[None], self.size, "probe")[0]
        with self.file.reading() as connection:
            number = self._known(connection, subject)
            kept = connection.execute("SELECT number, embedding FROM enrolled WHERE subject = ?", (number,)).fetchall()
            scores = self.file.decrypt([value for _, value in kept], [number] * len(kept)) @ row
        best = int(np.argmax(scores))
        return Hit(normalise_name(subject), str(kept[best][0]), float(scores[best]))

    def delete(self, subject: str, *, actor: str = "") -> int:
        """Delete a subject, see `Gallery`.

        Raises:
            GalleryError: If the subject is deleted, but a long-running reader prevents the pages from being overwritten.
        """
        with self.file.writing() as connection:
            number = self._known(connection, subject)
            (count,) = connection.execute("SELECT count(*) FROM enrolled WHERE subject = ?", (number,)).fetchone()
            connection.execute("DELETE FROM subjects WHERE number = ?", (number,))
            write_log(connection, actor, "delete", subject=number, count=count)
        self.file.checkpoint(f"{subject} is deleted")
        return int(count)

    def subject(self, name: str) -> Subject:
        """Look up a subject, see `Gallery`."""
        with self.file.reading() as connection:
            number = self._known(connection, name)
            (created,) = connection.execute("SELECT created FROM subjects WHERE number = ?", (number,)).fetchone()
            return Subject(normalise_name(name), _references(connection, number), created)

    def subjects(self, *, after: str | None = None, limit: int = 1000) -> list[Subject]:
        """List subjects, see `Gallery`."""
        query = "SELECT number, name, created FROM subjects WHERE name > ? ORDER BY name LIMIT ?"
        with self.file.reading() as connection:
            rows = connection.execute(query, (normalise_name(after or ""), limit)).fetchall()
            return [Subject(name, _references(connection, number), created) for number, name, created in rows]

    def log(self, *, after: int = 0, limit: int = 1000) -> list[LogEntry]:
        """List at most `limit` entries of the audit log after a sequence number.

        The log holds the numbers of subjects. Their names are looked up and are gone once a subject is deleted.
        """
        query = (
            "SELECT sequence, time, actor, action, log.subject, name, count FROM log "
            "LEFT JOIN subjects ON subjects.number = log.subject WHERE sequence > ? ORDER BY sequence LIMIT ?"
        )
        with self.file.reading() as connection:
            return [LogEntry(*row) for row in connection.execute(query, (after, limit))]

    def refresh(self) -> None:
        """Load what was written since the last call, see `Gallery`."""
        with self.file.reading() as connection:
            self._update_matrix(connection)

    def check(self) -> None:
        """Check the whole file: pages, foreign keys and every embedding.

        Raises:
            DamagedGalleryError: If the file is damaged.
        """
        path = self.file.path
        with self.file.reading() as connection:
            answers = [row[0] for row in connection.execute("PRAGMA integrity_check").fetchall()]
            lost = connection.execute("PRAGMA foreign_key_check").fetchall()
            if answers != ["ok"] or lost:
                raise DamagedGalleryError(f"{path}: {'; '.join(answers[:3])}, {len(lost)} orphaned rows. Restore a backup.")
            try:
                for _, subjects, vectors in self.file.rows(connection):
                    checked_embeddings(vectors, self.size, f"references of the subjects {subjects.min()} to {subjects.max()}")
            except (ValueError, GalleryKeyError) as error:
                raise DamagedGalleryError(f"{path}: {error}. Restore a backup.") from error

    def close(self) -> None:
        """Close the file."""
        self.file.close()

    def __enter__(self) -> Self:
        """Return the gallery."""
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        """Close the gallery."""
        self.close()

    def _update_matrix(self, connection: sqlite3.Connection) -> None:
        """Bring the matrix up to date with the snapshot of the transaction; deletions are read from the log."""
        (version,) = connection.execute("PRAGMA data_version").fetchone()
        if version == self._version:
            return
        query = "SELECT sequence, subject FROM log WHERE sequence > ? AND action = 'delete' ORDER BY sequence"
        gone = connection.execute(query, (self._logged,)).fetchall()
        if gone:
            self._matrix.remove(np.array([subject for _, subject in gone], dtype=np.int64))
            self._logged = gone[-1][0]
        for references, subjects, vectors in self.file.rows(connection, after=self._enrolled):
            self._matrix.append(references, subjects, vectors)
            self._enrolled = int(references[-1])
        self._version = version

    def _require_encoder(self) -> None:
        """Refuse embeddings in a gallery that was opened without an encoder."""
        if not self._takes_embeddings:
            raise WrongEncoderError(f"{self.file.path}: opened without an encoder; it accepts no embeddings")

    def _known(self, connection: sqlite3.Connection, name: str) -> int:
        number = _number_of(connection, name)
        if number is None:
            raise UnknownSubjectError(f"{self.file.path}: no subject named {name!r} is enrolled")
        return number


def _number_of(connection: sqlite3.Connection, name: str) -> int | None:
    row = connection.execute("SELECT number FROM subjects WHERE name = ?", (normalise_name(name),)).fetchone()
    return None if row is None else int(row[0])


def _add_subject(connection: sqlite3.Connection, name: str) -> int:
    return _insert(connection, "INSERT INTO subjects (name, created) VALUES (?, ?)", (name, now()))


def _insert(connection: sqlite3.Connection, query: str, values: tuple[Any, ...]) -> int:
    return int(connection.execute(query, values).lastrowid or 0)


def _references(connection: sqlite3.Connection, subject: int) -> tuple[str, ...]:
    rows = connection.execute("SELECT number FROM enrolled WHERE subject = ? ORDER BY number", (subject,)).fetchall()
    return tuple(str(number) for (number,) in rows)


def _hits(connection: sqlite3.Connection, found: Found) -> list[Hit]:
    query = "SELECT name FROM subjects WHERE number = ?"
    names = [connection.execute(query, (int(number),)).fetchone()[0] for number in found.subjects]
    return [
        Hit(name, str(reference), float(score))
        for name, reference, score in zip(names, found.references, found.scores, strict=True)
    ]
