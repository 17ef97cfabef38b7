"""A gallery in one SQLite file, searched in memory; shared by threads and processes."""

import sqlite3
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from functools import lru_cache, partial
from pathlib import Path
from types import TracebackType
from typing import Self

import numpy as np

from visavis.data.names import normalise_name
from visavis.errors import (
    DamagedGalleryError,
    GalleryError,
    GalleryKeyError,
    SubjectConflictError,
    UnknownSubjectError,
    WrongEncoderError,
)
from visavis.gallery.file import GalleryFile, last_number, write_log
from visavis.gallery.matrix import Found, Matrix
from visavis.gallery.records import (
    Binding,
    Embeddings,
    Enrolment,
    Hit,
    LogEntry,
    Subject,
    checked_embeddings,
    checked_enrolment,
    checked_name,
)
from visavis.gallery.subjects import SubjectStore

__all__ = ["SqliteGallery"]

_GONE = ("delete", "remove", "rename", "merge")  # actions after which a subject of this number is no more


References = tuple[str, list[str], Embeddings]
"""The name of a subject, and the numbers and embeddings of its references."""

_SUBJECTS = 1024  # whose references are kept during one search


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
        self._version, self._enrolled, self._known_subjects, self._logged = -1, 0, 0, 0
        self._names: dict[int, tuple[bytes, str]] = {}

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

    @property
    def subject_count(self) -> int:
        """Number of subjects."""
        with self.file.reading() as connection:
            return int(connection.execute("SELECT count(*) FROM subjects").fetchone()[0])

    def enrol(
        self,
        subject: str,
        embeddings: Embeddings,
        *,
        photos: Sequence[bytes] | None = None,
        digests: Sequence[bytes | None] | None = None,
        actor: str = "",
    ) -> tuple[str, ...]:
        """Enrol references of a subject, see `Gallery`."""
        self._require_encoder()
        person = checked_enrolment(Enrolment(subject, embeddings, photos or (), digests or ()), size=self.size)
        with self.file.writing() as connection:
            store = SubjectStore(connection, self.file)
            number = store.find(person.subject) or store.add(person.subject)
            references = store.add_references(number, person)
            if references:
                write_log(connection, actor, "enrol", subject=number, count=len(references))
        self.file.checkpoint_if_large()
        return tuple(map(str, references))

    def enrol_all(self, people: Iterable[Enrolment], *, actor: str = "") -> int:
        """Enrol many subjects in one transaction, see `Gallery`."""
        self._require_encoder()
        count = 0
        with self.file.writing() as connection:
            store = SubjectStore(connection, self.file)
            for person in people:
                checked = checked_enrolment(person, size=self.size)
                if store.find(checked.subject) is not None:
                    raise SubjectConflictError(f"{self.file.path}: {checked.subject!r} is already enrolled")
                count += len(store.add_references(store.add(checked.subject), checked))
            write_log(connection, actor, "import", count=count)
        self.file.checkpoint_if_large()
        return count

    def search(self, probes: Embeddings, *, top: int = 5, threshold: float | None = None) -> list[list[Hit]]:
        """Find the best-matching subjects, see `Gallery`; exact, on one snapshot of the gallery."""
        self._require_encoder()
        rows = checked_embeddings(probes, self.size, "probes")
        if top < 1:
            raise ValueError(f"top must be at least 1, got {top}")
        with self.file.reading() as connection:
            self._update_matrix(connection)
            store = SubjectStore(connection, self.file)
            found = self._matrix.search(rows, top=top, threshold=threshold)
            read = lru_cache(_SUBJECTS)(partial(self._references, connection, store))  # many probes find the same subjects
            return [_hits(read, row, subjects) for row, subjects in zip(rows, found, strict=True)]

    def verify(self, subject: str, probe: Embeddings) -> Hit:
        """Compare a probe with a subject, see `Gallery`."""
        self._require_encoder()
        row = checked_embeddings(np.asarray(probe)[None], self.size, "probe")[0]
        with self.file.reading() as connection:
            store = SubjectStore(connection, self.file)
            references = self._references(connection, store, store.known(subject))
        if references is None:
            raise UnknownSubjectError(f"{self.file.path}: no subject named {subject!r} is enrolled")
        return Hit.of(*references, row)

    def delete(self, subject: str, *, actor: str = "") -> int:
        """Delete a subject, see `Gallery`.

        The data key of the subject is destroyed first: from then on every copy of the data is unreadable. If the rows cannot be
        deleted after that, as on a full disk, the next one who opens the gallery deletes them.
        """
        count = None
        try:
            with self.file.writing() as connection:
                number = SubjectStore(connection, self.file).known(subject)
                (references,) = connection.execute("SELECT count(*) FROM enrolled WHERE subject = ?", (number,)).fetchone()
                self.file.keys.destroy(number)
                count = int(references)
                connection.execute("DELETE FROM subjects WHERE number = ?", (number,))
                write_log(connection, actor, "delete", subject=number, count=count)
            self.file.checkpoint()
        except GalleryError:
            if count is None:
                raise
        return count

    def remove(self, subject: str, reference: str, *, actor: str = "") -> None:
        """Delete one reference of a subject, see `Gallery`."""
        with self._moving(actor, "remove") as store:
            number = store.known(subject)
            references = store.references(number)
            if reference not in map(str, references):
                raise UnknownSubjectError(f"{self.file.path}: {subject!r} has no reference {reference!r}")
            if len(references) == 1:
                raise SubjectConflictError(
                    f"{self.file.path}: {reference} is the only reference of {subject!r}. Delete the subject instead"
                )
            store.move([number], store.known_name(number), without=int(reference))

    def rename(self, subject: str, name: str, *, actor: str = "") -> None:
        """Give a subject another name, see `Gallery`."""
        new = checked_name(name)
        with self._moving(actor, "rename") as store:
            number, taken = store.known(subject), store.find(new)
            if taken == number:
                return
            if taken is not None:
                raise SubjectConflictError(f"{self.file.path}: {new!r} is already enrolled. Merge the two subjects instead")
            store.move([number], new)

    def merge(self, subject: str, into: str, *, actor: str = "") -> int:
        """Move all references of a subject to another one, see `Gallery`."""
        with self._moving(actor, "merge") as store:
            number, other = store.known(subject), store.known(into)
            if number == other:
                raise ValueError(f"subject and into must differ, got {subject!r} twice")
            return store.move([other, number], store.known_name(other))

    @contextmanager
    def _moving(self, actor: str, action: str) -> Iterator[SubjectStore]:
        """Open a write transaction in which subjects get new numbers and keys; the old keys are destroyed after it."""
        with self.file.writing() as connection:
            store = SubjectStore(connection, self.file)
            yield store
            for number in store.moved:
                write_log(connection, actor, action, subject=number)
        for number in store.moved:
            self.file.keys.destroy(number)
        self.file.checkpoint()

    def subject(self, name: str) -> Subject:
        """Look up a subject, see `Gallery`."""
        with self.file.reading() as connection:
            store = SubjectStore(connection, self.file)
            return store.subject(store.known(name))

    def subjects(self, *, after: str | None = None, limit: int = 1000) -> list[Subject]:
        """List subjects, see `Gallery`. Names are encrypted, so all of them are decrypted; those of the last call are kept."""
        with self.file.reading() as connection:
            store = SubjectStore(connection, self.file)
            self._names = store.names(self._names)
            start = normalise_name(after or "")
            later = sorted((name, number) for number, (_, name) in self._names.items() if name > start)
            return [store.subject(number) for _, number in later[:limit]]

    def note(self, action: str, subject: str, *, actor: str) -> None:
        """Write an entry of the audit log that changes nothing in the gallery.

        Raises:
            UnknownSubjectError: If the subject is not enrolled.
        """
        with self.file.writing() as connection:
            write_log(connection, actor, action, subject=SubjectStore(connection, self.file).known(subject))

    def log(self, *, after: int = 0, limit: int = 1000) -> list[LogEntry]:
        """List at most `limit` entries of the audit log after a sequence number.

        The log holds the numbers of subjects. Their names are looked up and are gone once a subject is deleted.
        """
        query = "SELECT sequence, time, actor, action, subject, count FROM log WHERE sequence > ? ORDER BY sequence LIMIT ?"
        with self.file.reading() as connection:
            store = SubjectStore(connection, self.file)
            return [
                LogEntry(sequence, time, actor, action, subject, None if subject is None else store.name(subject), count)
                for sequence, time, actor, action, subject, count in connection.execute(query, (after, limit)).fetchall()
            ]

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
                    if len(subjects):
                        checked_embeddings(vectors, self.size, f"references of the subjects {subjects.min()} to {subjects.max()}")
                SubjectStore(connection, self.file).check()
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
        query = "SELECT action, subject FROM log WHERE sequence > ?"
        entries = connection.execute(query, (self._logged,)).fetchall()
        if self._matrix.size != self.size or any(action == "reembed" for action, _ in entries):
            self._matrix, self._enrolled, self._known_subjects = Matrix(self.size), 0, 0
        gone = [subject for action, subject in entries if action in _GONE]
        if gone and len(self._matrix):
            self._matrix.remove(np.array(gone, dtype=np.int64))
        self._logged = last_number(connection, "log")
        last = last_number(connection, "subjects")
        for _, subjects, vectors in self.file.rows(connection, after=self._enrolled, after_subject=self._known_subjects):
            self._matrix.add(subjects, vectors)
        self._enrolled, self._known_subjects = last_number(connection, "enrolled"), last
        self._version = version

    def _references(self, connection: sqlite3.Connection, store: SubjectStore, number: int) -> References | None:
        """Read the references of a subject; None: its key is destroyed, or it has none."""
        stored = connection.execute("SELECT number, subject, embedding FROM enrolled WHERE subject = ?", (number,)).fetchall()
        references, _, embeddings = self.file.embeddings(stored)
        name = store.name(number)
        return None if name is None or not len(references) else (name, list(map(str, references)), embeddings)

    def _require_encoder(self) -> None:
        """Refuse embeddings in a gallery that was opened without an encoder."""
        if not self._takes_embeddings:
            raise WrongEncoderError(f"{self.file.path}: opened without an encoder; it accepts no embeddings")


def _hits(read: Callable[[int], References | None], probe: Embeddings, found: Found) -> list[Hit]:
    """Compare a probe `(d,)` with the subjects that were found; those whose key is destroyed by now are left out."""
    subjects = map(read, found.subjects.tolist())
    return [Hit.of(*references, probe) for references in subjects if references is not None]
