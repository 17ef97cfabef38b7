"""The `Gallery` protocol and its records, whatever the storage."""

import hashlib
from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass
from types import TracebackType
from typing import Any, Protocol, Self

import numpy as np
import numpy.typing as npt

from visavis.data.names import check_name
from visavis.wording import counted

__all__ = [
    "DIGEST_SIZE",
    "Binding",
    "Embeddings",
    "Enrolment",
    "Gallery",
    "Hit",
    "LogEntry",
    "Subject",
    "checked_embeddings",
    "checked_enrolment",
    "checked_name",
    "photo_digest",
]

Embeddings = npt.NDArray[np.float32]

DIGEST_SIZE = 16
_LONGEST_NAME = 200
_UNIT = 1e-3


@dataclass(frozen=True)
class Hit:
    """A match of a search.

    Attributes:
        subject: The name of the subject.
        reference: The reference of the subject that is most like the probe.
        score: Comparison score with the subject: the cosine with its template, the mean of its references; higher is more alike.
    """

    subject: str
    reference: str
    score: float

    @classmethod
    def of(cls, subject: str, references: Sequence[str], embeddings: Embeddings, probe: Embeddings) -> "Hit":
        """Compare a probe `(d,)` with the references `(k, d)` of a subject."""
        template = embeddings.sum(axis=0)
        score = float(template @ probe / max(1e-12, float(np.linalg.norm(template))))
        return cls(subject, references[int(np.argmax(embeddings @ probe))], min(1.0, max(-1.0, score)))

    def to_json(self) -> dict[str, Any]:
        """Return the record as JSON-serialisable values."""
        return asdict(self)


@dataclass(frozen=True)
class Subject:
    """An enrolled subject.

    Attributes:
        name: The name of the subject.
        references: The identifiers of their references, oldest first.
        created: Time of the first enrolment, ISO 8601, UTC.
    """

    name: str
    references: tuple[str, ...]
    created: str

    def to_json(self) -> dict[str, Any]:
        """Return the record as JSON-serialisable values."""
        return {**asdict(self), "references": list(self.references)}


@dataclass(frozen=True, eq=False)
class Enrolment:
    """A subject to enrol.

    Attributes:
        subject: The name of the subject.
        embeddings: `(k, d)` float32, rows of unit length.
        photos: For each row the image file to store with it; None: none.
        digests: For each row the digest of its photo, see `photo_digest`; None: unknown.
    """

    subject: str
    embeddings: Embeddings
    photos: Sequence[bytes | None] = ()
    digests: Sequence[bytes | None] = ()


@dataclass(frozen=True)
class LogEntry:
    """An entry of the audit log.

    Attributes:
        sequence: Sequence number.
        time: ISO 8601, UTC.
        actor: Who did it.
        action: `enrol`, `delete`, `remove`, `rename`, `merge`, `backup`, `export`, `import`, `rotate`, `reembed` or
            `lockout` (of the actor, a client of the service).
        subject: The number of the subject concerned; None: the entry concerns the gallery.
        name: The name of the subject; None also once the subject is deleted.
        count: Number of references concerned; None: all.
    """

    sequence: int
    time: str
    actor: str
    action: str
    subject: int | None
    name: str | None
    count: int | None

    def __str__(self) -> str:
        """Format the entry as one line."""
        subject = "" if self.subject is None else f" subject {self.subject}" + ("" if self.name is None else f" ({self.name})")
        count = "" if self.count is None else f", {counted(self.count, 'reference')}"
        return f"{self.sequence} {self.time} {self.actor or 'unknown'}: {self.action}{subject}{count}"

    def to_json(self) -> dict[str, Any]:
        """Return the record as JSON-serialisable values."""
        return asdict(self)


@dataclass(frozen=True)
class Binding:
    """The encoder that a gallery belongs to.

    Attributes:
        digest: Digest of the encoder.
        size: Length of its embeddings.
    """

    digest: str
    size: int


class Gallery(Protocol):
    """Enrolled references and the search among them. Threads may share a gallery."""

    @property
    def digest(self) -> str:
        """Digest of the encoder that the gallery belongs to."""

    @property
    def size(self) -> int:
        """Length of an embedding."""

    def __len__(self) -> int:
        """Return the number of references."""

    @property
    def subject_count(self) -> int:
        """Number of subjects; where counting them is not practical, that of references, which is not less."""

    def enrol(
        self,
        subject: str,
        embeddings: Embeddings,
        *,
        photos: Sequence[bytes] | None = None,
        digests: Sequence[bytes | None] | None = None,
        actor: str = "",
    ) -> tuple[str, ...]:
        """Enrol references of a subject, all of them or none. They are durable on disk when the method returns.

        A photo that the subject is enrolled with already, by its digest, is not enrolled again.

        Args:
            subject: The name of the subject; the references are added to those of a subject who is already enrolled.
            embeddings: `(k, d)` float32, rows of unit length, from the gallery's encoder.
            photos: The image files to store with them; None: no photo is stored.
            digests: The digests of the photos, see `photo_digest`; None: unknown.
            actor: Who asked for it, for the audit log.

        Returns:
            The identifiers of the new references.

        Raises:
            ValueError: If the name or the embeddings cannot be used.
        """

    def enrol_all(self, people: Iterable[Enrolment], *, actor: str = "") -> int:
        """Enrol many subjects in one transaction; none of them may be enrolled yet.

        Returns:
            The number of references enrolled.

        Raises:
            SubjectConflictError: If a subject is already enrolled.
            ValueError: If a name or embeddings cannot be used.
        """

    def search(self, probes: Embeddings, *, top: int = 5, threshold: float | None = None) -> list[list[Hit]]:
        """Find the best-matching subjects, each scored by its template, the mean of its references.

        Args:
            probes: `(m, d)` float32, rows of unit length, from the gallery's encoder.
            top: Maximum number of subjects.
            threshold: Minimum score; None: no minimum.

        Returns:
            For each probe its hits, best first.
        """

    def verify(self, subject: str, probe: Embeddings) -> Hit:
        """Compare a probe `(d,)` with the template of a subject.

        Raises:
            UnknownSubjectError: If no subject of this name is enrolled.
        """

    def delete(self, subject: str, *, actor: str = "") -> int:
        """Delete a subject with all references and photos; when it returns, none of their data is left on disk.

        Returns:
            The number of references deleted.

        Raises:
            UnknownSubjectError: If no subject of this name is enrolled.
        """

    def remove(self, subject: str, reference: str, *, actor: str = "") -> None:
        """Delete one reference of a subject, who must have others; none of its data is left on disk.

        Raises:
            SubjectConflictError: If it is the only reference; delete the subject then.
            UnknownSubjectError: If there is no such subject, or if the subject has no such reference.
        """

    def rename(self, subject: str, name: str, *, actor: str = "") -> None:
        """Give a subject another name; nothing of the old one is left on disk.

        Raises:
            SubjectConflictError: If a subject of the new name is enrolled; merge them then.
            UnknownSubjectError: If no subject of the old name is enrolled.
            ValueError: If the new name cannot be used.
        """

    def merge(self, subject: str, into: str, *, actor: str = "") -> int:
        """Move all references of a subject to another one, and delete the first.

        Returns:
            The number of references that the merged subject has.

        Raises:
            UnknownSubjectError: If one of them is not enrolled.
            ValueError: If both are the same.
        """

    def subject(self, name: str) -> Subject:
        """Look up a subject.

        Raises:
            UnknownSubjectError: If no subject of this name is enrolled.
        """

    def subjects(self, *, after: str | None = None, limit: int = 1000) -> list[Subject]:
        """List at most `limit` subjects in the order of their names, those after a name."""

    def refresh(self) -> None:
        """Load what was written since the last call; a search does so by itself. The first call loads everything."""

    def close(self) -> None:
        """Close the gallery."""

    def __enter__(self) -> Self:
        """Return the gallery."""

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        """Close the gallery."""


def checked_embeddings(embeddings: Embeddings, size: int, name: str = "embeddings") -> Embeddings:
    """Validate embeddings and return them as contiguous `(n, d)` float32.

    Raises:
        ValueError: If the shape differs or a row is not of unit length.
    """
    rows = np.ascontiguousarray(embeddings, dtype=np.float32)
    if rows.ndim != 2 or rows.shape[1] != size:
        raise ValueError(f"{name} must have shape (n, {size}), got {np.shape(embeddings)}")
    lengths = np.linalg.norm(rows, axis=1)
    if not np.all(np.abs(lengths - 1) < _UNIT):
        raise ValueError(f"{name} must have rows of unit length, got lengths {lengths.min():.3g} to {lengths.max():.3g}")
    return rows


def checked_enrolment(person: Enrolment, *, size: int) -> Enrolment:
    """Validate an enrolment and return it, its name normalised, with a photo and a digest or None for each row.

    Raises:
        ValueError: If the name or the embeddings cannot be used, or if the number of photos or digests differs.
    """
    rows = checked_embeddings(person.embeddings, size)
    photos, digests = (list(values) or [None] * len(rows) for values in (person.photos, person.digests))
    if not len(rows) or len(photos) != len(rows) or len(digests) != len(rows):
        counts = (
            f"{counted(len(rows), 'embedding')}, {counted(len(person.photos), 'photo')}, {counted(len(person.digests), 'digest')}"
        )
        raise ValueError(f"an enrolment must have at least one embedding and as many photos and digests, if any, got {counts}")
    return Enrolment(checked_name(person.subject), rows, photos, digests)


def checked_name(subject: str) -> str:
    """Validate the name of a subject and return it normalised, see `data.names.normalise_name`.

    Raises:
        ValueError: If it is empty or too long, or has invisible characters.
    """
    name = check_name(subject, "a subject's name")
    if len(name) > _LONGEST_NAME:
        raise ValueError(f"a subject's name must have at most {_LONGEST_NAME} characters, got {len(name):,}")
    return name


def photo_digest(pixels: npt.NDArray[np.uint8]) -> bytes:
    """Return the digest by which a photo `(h, w, c)` uint8 is recognised: of its decoded pixels, not of its file."""
    content = hashlib.sha256(repr(pixels.shape).encode())
    content.update(np.ascontiguousarray(pixels).tobytes())
    return content.digest()[:DIGEST_SIZE]
