"""What a gallery is and what it answers, whatever keeps it."""

from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass
from types import TracebackType
from typing import Any, Protocol, Self

import numpy as np
import numpy.typing as npt

__all__ = [
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
]

Embeddings = npt.NDArray[np.float32]

_LONGEST_NAME = 200
_UNIT = 1e-3


@dataclass(frozen=True)
class Hit:
    """Somebody whom a search found.

    Attributes:
        subject: Whom.
        reference: The one of their references that is most alike.
        score: The comparison score with it, the cosine; higher is more alike.
    """

    subject: str
    reference: str
    score: float

    def to_json(self) -> dict[str, Any]:
        """Return it as plain values."""
        return asdict(self)


@dataclass(frozen=True)
class Subject:
    """Somebody who is enrolled.

    Attributes:
        name: What they are called.
        references: Their references, oldest first.
        created: When they were first enrolled, ISO 8601, UTC.
    """

    name: str
    references: tuple[str, ...]
    created: str

    def to_json(self) -> dict[str, Any]:
        """Return it as plain values."""
        return {**asdict(self), "references": list(self.references)}


@dataclass(frozen=True, eq=False)
class Enrolment:
    """Somebody to be enrolled.

    Attributes:
        subject: Who.
        embeddings: `(k, d)` float32, rows of unit length.
        photos: The image file that each was made from, to be kept; None: not kept.
    """

    subject: str
    embeddings: Embeddings
    photos: Sequence[bytes | None]


@dataclass(frozen=True)
class LogEntry:
    """Something that was done to a gallery.

    Attributes:
        sequence: Its number.
        time: When, ISO 8601, UTC.
        actor: Who did it.
        action: What: `enrol`, `delete`, `backup`, `export`, `import`, `rotate` or `reembed`.
        subject: The number of the subject that it was done to; None: it was not about one.
        name: What they are called; None likewise, and once they are deleted.
        count: How many references it was about; None: all.
    """

    sequence: int
    time: str
    actor: str
    action: str
    subject: int | None
    name: str | None
    count: int | None

    def __str__(self) -> str:
        """Tell it in one line."""
        subject = "" if self.subject is None else f" subject {self.subject}" + ("" if self.name is None else f" ({self.name})")
        count = "" if self.count is None else f", {self.count:,} references"
        return f"{self.sequence} {self.time} {self.actor or 'somebody'}: {self.action}{subject}{count}"

    def to_json(self) -> dict[str, Any]:
        """Return it as plain values."""
        return asdict(self)


@dataclass(frozen=True)
class Binding:
    """The encoder that a gallery belongs to.

    Attributes:
        digest: The encoder's.
        size: How long its embeddings are.
    """

    digest: str
    size: int


class Gallery(Protocol):
    """References of people, and who among them is most alike. Threads may share one."""

    @property
    def digest(self) -> str:
        """The digest of the encoder that the gallery belongs to."""

    @property
    def size(self) -> int:
        """How long an embedding is."""

    def __len__(self) -> int:
        """How many references there are."""

    def enrol(
        self, subject: str, embeddings: Embeddings, *, photos: Sequence[bytes] | None = None, actor: str = ""
    ) -> tuple[str, ...]:
        """Put references of a subject into the gallery, all of them or none. When it returns, they are on the disk.

        Args:
            subject: Who it is; somebody who is enrolled already gets more references.
            embeddings: `(k, d)` float32, rows of unit length, from the gallery's encoder.
            photos: The image files that they were made from, to be kept; None: no photo is kept.
            actor: Who asked for it, for the log.

        Returns:
            What the new references are called.

        Raises:
            ValueError: If the name or the embeddings cannot be used.
        """

    def enrol_all(self, people: Iterable[Enrolment], *, actor: str = "") -> int:
        """Enrol many people at once, who must all be new to the gallery.

        Returns:
            How many references they have.

        Raises:
            GalleryError: If somebody is enrolled already.
            ValueError: If a name or embeddings cannot be used.
        """

    def search(self, probes: Embeddings, *, top: int = 5, threshold: float | None = None) -> list[list[Hit]]:
        """Find the subjects who are most alike, by the best of each one's references.

        Args:
            probes: `(m, d)` float32, rows of unit length, from the gallery's encoder.
            top: How many subjects at most.
            threshold: The least score; None: any.

        Returns:
            For each probe the hits, best first.
        """

    def verify(self, subject: str, probe: Embeddings) -> Hit:
        """Compare a probe `(d,)` with all references of a subject, and return the best.

        Raises:
            UnknownSubjectError: If nobody of this name is enrolled.
        """

    def delete(self, subject: str, *, actor: str = "") -> int:
        """Delete a subject with all references and photos; when it returns, nothing of them is left on the disk.

        Returns:
            How many references they had.

        Raises:
            UnknownSubjectError: If nobody of this name is enrolled.
        """

    def subject(self, name: str) -> Subject:
        """Look somebody up.

        Raises:
            UnknownSubjectError: If nobody of this name is enrolled.
        """

    def subjects(self, *, after: str | None = None, limit: int = 1000) -> list[Subject]:
        """List subjects in the order of their names, those after a name, so many at most."""

    def refresh(self) -> None:
        """Take in what was written since; a search does so by itself. The first time, all that there is."""

    def close(self) -> None:
        """Let go of the gallery."""

    def __enter__(self) -> Self:
        """Give the gallery itself."""

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        """Close it."""


def checked_embeddings(embeddings: Embeddings, size: int, name: str = "embeddings") -> Embeddings:
    """Return `(n, d)` float32 in one piece, or say what is wrong with it.

    Raises:
        ValueError: If the shape is another, or if a row is not of unit length.
    """
    rows = np.ascontiguousarray(embeddings, dtype=np.float32)
    if rows.ndim != 2 or rows.shape[1] != size:
        raise ValueError(f"{name} must be (n, {size}). Received: shape {np.shape(embeddings)}")
    lengths = np.linalg.norm(rows, axis=1)
    if not np.all(np.abs(lengths - 1) < _UNIT):
        raise ValueError(f"{name} must have rows of unit length. Received: lengths {lengths.min():.3g} to {lengths.max():.3g}")
    return rows


def checked_enrolment(subject: str, embeddings: Embeddings, photos: Sequence[bytes | None] | None, *, size: int) -> Enrolment:
    """Return what is to be enrolled, or say what is wrong with it.

    Raises:
        ValueError: If the name or the embeddings cannot be used, or if photos are not as many.
    """
    rows = checked_embeddings(embeddings, size)
    if not len(rows) or (photos is not None and len(photos) != len(rows)):
        received = f"{len(rows)} embeddings" + ("" if photos is None else f", {len(photos)} photos")
        raise ValueError(f"embeddings must be at least one, and photos as many. Received: {received}")
    return Enrolment(checked_name(subject), rows, photos or [None] * len(rows))


def checked_name(subject: str) -> str:
    """Return a subject's name, or say why it cannot be one.

    Raises:
        ValueError: If it is empty, too long, or has characters that cannot be seen.
    """
    if not 0 < len(subject) <= _LONGEST_NAME or not subject.isprintable() or subject != subject.strip():
        raise ValueError(
            f"a subject's name must have 1 to {_LONGEST_NAME} printable characters, and no space around them. "
            f"Received: {subject[: _LONGEST_NAME + 1]!r}"
        )
    return subject
