"""Subjects in a transaction on a gallery file: found by name, decrypted, added, moved under new data keys."""

import sqlite3
from collections.abc import Sequence

from visavis.data.names import normalise_name
from visavis.errors import DamagedGalleryError, UnknownSubjectError
from visavis.gallery.encryption import SubjectKey
from visavis.gallery.file import NO_DIGEST, GalleryFile, last_number, now
from visavis.gallery.records import Enrolment, Subject

__all__ = ["SubjectStore"]

Names = dict[int, tuple[bytes, str]]


class SubjectStore:
    """The subjects of a gallery, by number, in one transaction.

    Attributes:
        moved: Subjects whose references were moved to a new number; their keys are to be destroyed once that is committed.
    """

    def __init__(self, connection: sqlite3.Connection, file: GalleryFile) -> None:
        """Work in a transaction on a file."""
        self._connection, self._file = connection, file
        self._last: dict[str, int] = {}  # the last number given in each table; a write transaction is alone
        self._used: tuple[int, SubjectKey] | None = None  # the key that was used last, and whose it is
        self.moved: list[int] = []

    def find(self, name: str) -> int | None:
        """Return the number of the subject of this name; None: none is enrolled, or its key is destroyed.

        Raises:
            DamagedGalleryError: If the subject found by the index has another name, so that the file was modified.
        """
        name = normalise_name(name)
        query = "SELECT number FROM subjects WHERE name_index = ?"
        row = self._connection.execute(query, (self._file.keys.master.index(name),)).fetchone()
        if row is None:
            return None
        found = self.name(row[0])
        if found not in (None, name):
            raise DamagedGalleryError(f"{self._file.path}: the index of names was modified. Restore a backup.")
        return None if found is None else int(row[0])

    def known(self, name: str) -> int:
        """Return the number of the subject of this name.

        Raises:
            UnknownSubjectError: If no subject of this name is enrolled.
        """
        number = self.find(name)
        if number is None:
            raise UnknownSubjectError(f"{self._file.path}: no subject named {name!r} is enrolled")
        return number

    def name(self, number: int) -> str | None:
        """Return the name of a subject; None: there is no such subject, or its key is destroyed."""
        row = self._connection.execute("SELECT name FROM subjects WHERE number = ?", (number,)).fetchone()
        key = None if row is None else self._file.keys.key(number)
        return None if key is None else key.decrypt(row[0], "name").decode()

    def known_name(self, number: int) -> str:
        """Return the name of a subject that `known` returned."""
        name = self.name(number)
        if name is None:
            raise UnknownSubjectError(f"{self._file.path}: no subject with the number {number} is enrolled")
        return name

    def names(self, known: Names) -> Names:
        """Decrypt the names of all subjects, but those that are known from an earlier call and unchanged."""
        stored = dict(self._connection.execute("SELECT number, name FROM subjects"))
        names = {number: known[number] for number, name in stored.items() if number in known and known[number][0] == name}
        keys = self._file.keys.keys(stored.keys() - names.keys())
        return names | {number: (stored[number], key.decrypt(stored[number], "name").decode()) for number, key in keys.items()}

    def references(self, number: int) -> list[int]:
        """Return the numbers of a subject's references, oldest first."""
        query = "SELECT number FROM enrolled WHERE subject = ? ORDER BY number"
        return [reference for (reference,) in self._connection.execute(query, (number,))]

    def subject(self, number: int) -> Subject:
        """Return a subject."""
        (created,) = self._connection.execute("SELECT created FROM subjects WHERE number = ?", (number,)).fetchone()
        return Subject(self.known_name(number), tuple(map(str, self.references(number))), created)

    def add(self, name: str, *, created: str = "") -> int:
        """Add a subject with its own data key and return its number."""
        number = self._next("subjects")
        self._file.keys.reserve(number)
        values = (number, self._file.keys.master.index(name), self._key(number).encrypt(name.encode(), "name"), created or now())
        # a subject whose key is destroyed, but whose rows are left, must not keep the name
        self._connection.execute("DELETE FROM subjects WHERE name_index = ?", (values[1],))
        self._connection.execute("INSERT INTO subjects VALUES (?, ?, ?, ?)", values)
        return number

    def add_references(self, number: int, person: Enrolment) -> list[int]:
        """Add references to a subject, but photos that it is enrolled with already; return their numbers."""
        key, present = self._key(number), self._digests(number) if any(person.digests) else set()
        added, photos = list[tuple[int, int, bytes]](), list[tuple[int, bytes]]()
        for row, photo, digest in zip(person.embeddings, person.photos, person.digests, strict=True):
            if digest in present:
                continue
            if digest is not None:
                present.add(digest)
            reference = self._next("enrolled")
            added.append((reference, number, self._file.encrypt(row, digest, key, reference)))
            if photo is not None:
                photos.append((reference, key.encrypt(photo, "photo", reference)))
        self._connection.executemany("INSERT INTO enrolled VALUES (?, ?, ?)", added)
        self._connection.executemany("INSERT INTO photos VALUES (?, ?)", photos)
        return [reference for reference, _, _ in added]

    def move(self, numbers: Sequence[int], name: str, *, without: int | None = None) -> int:
        """Move all references of subjects to a new subject, encrypted under a new key, and delete the old ones.

        Args:
            numbers: The subjects; the new one is as old as the first.
            name: The name of the new subject.
            without: The number of a reference that is deleted rather than moved.

        Returns:
            The number of references of the new subject.
        """
        (created,) = self._connection.execute("SELECT created FROM subjects WHERE number = ?", (numbers[0],)).fetchone()
        rows = [(number, *row) for number in numbers for row in self._rows(number) if row[0] != without]
        for number in numbers:
            self._connection.execute("UPDATE subjects SET name_index = ? WHERE number = ?", (b"moved %d" % number, number))
        new = self.add(name, created=created)
        key, present, count = self._key(new), set[bytes](), 0
        for number, reference, stored, photo in rows:
            old = self._key(number)
            digest, value = self._file.decrypt(stored, old, reference)
            if digest != NO_DIGEST and digest in present:
                continue
            present.add(digest)
            values = (new, key.encrypt(digest + value, "embedding", reference), reference)
            self._connection.execute("UPDATE enrolled SET subject = ?, embedding = ? WHERE number = ?", values)
            if photo is not None:
                kept = key.encrypt(old.decrypt(photo, "photo", reference), "photo", reference)
                self._connection.execute("UPDATE photos SET photo = ? WHERE reference = ?", (kept, reference))
            count += 1
        for number in numbers:
            self._connection.execute("DELETE FROM subjects WHERE number = ?", (number,))
        self.moved += numbers
        return count

    def check(self) -> None:
        """Decrypt all names and compare them with the index.

        Raises:
            DamagedGalleryError: If a name is found under another one.
            GalleryKeyError: If a name was modified or moved.
        """
        for number, (_, name) in self.names({}).items():
            if self.find(name) != number:
                raise DamagedGalleryError(f"{self._file.path}: the index of names was modified. Restore a backup.")

    def _next(self, table: str) -> int:
        """Return a new number in a table."""
        self._last[table] = (self._last.get(table) or last_number(self._connection, table)) + 1
        return self._last[table]

    def _key(self, number: int) -> SubjectKey:
        if self._used is None or self._used[0] != number:
            key = self._file.keys.key(number)
            if key is None:
                raise UnknownSubjectError(f"{self._file.path}: the key of subject {number} is destroyed")
            self._used = number, key
        return self._used[1]

    def _digests(self, number: int) -> set[bytes | None]:
        """The digests of a subject's photos, as far as they are known."""
        key = self._key(number)
        found = {self._file.decrypt(stored, key, reference)[0] for reference, stored, _ in self._rows(number)}
        return {*(found - {NO_DIGEST})}

    def _rows(self, number: int) -> list[tuple[int, bytes, bytes | None]]:
        """The references of a subject: number, embedding and photo as they are stored."""
        query = (
            "SELECT number, embedding, photo FROM enrolled LEFT JOIN photos ON reference = number WHERE subject = ? ORDER BY number"
        )
        return self._connection.execute(query, (number,)).fetchall()
