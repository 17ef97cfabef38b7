"""References in memory as float32 blocks, and exact search by one matrix product per block."""

import os
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from visavis.gallery.records import Embeddings

__all__ = ["Found", "Matrix"]

BLOCK = 32_768
_OVERSAMPLING = 4
_FEW = 8
_CORES = os.cpu_count() or 1

Numbers = npt.NDArray[np.int64]


@dataclass(frozen=True, eq=False)
class Found:
    """The best-matching references of one probe, at most one per subject, best first.

    Attributes:
        scores: Their comparison scores.
        references: Their numbers.
        subjects: The numbers of their subjects.
    """

    scores: Embeddings
    references: Numbers
    subjects: Numbers

    @classmethod
    def best(cls, parts: "list[Found]", top: int) -> "Found":
        """Merge several results."""
        scores, references, subjects = (
            np.concatenate([getattr(part, name) for part in parts]) for name in ("scores", "references", "subjects")
        )
        rows = _best_rows(scores, subjects, top)
        return cls(scores[rows], references[rows], subjects[rows])


class _Block:
    """Up to `BLOCK` references; unused memory is reserved, not touched."""

    def __init__(self, size: int) -> None:
        self.vectors = np.empty((BLOCK, size), dtype=np.float32)
        self.references = np.empty(BLOCK, dtype=np.int64)
        self.subjects = np.empty(BLOCK, dtype=np.int64)


class Matrix:
    """References in memory, in any order: the last one takes the row of a deleted one, so there are no gaps.

    Attributes:
        size: Length of an embedding.
    """

    def __init__(self, size: int) -> None:
        """Create an empty matrix.

        Args:
            size: Length of an embedding.
        """
        self.size = size
        self._blocks: list[_Block] = []
        self._count = 0
        self._pool = ThreadPoolExecutor(_CORES, thread_name_prefix="search")

    def __len__(self) -> int:
        """Return the number of references."""
        return self._count

    def append(self, references: Numbers, subjects: Numbers, vectors: Embeddings) -> None:
        """Append references.

        Args:
            references: `(n,)`, their numbers.
            subjects: `(n,)`, the numbers of their subjects.
            vectors: `(n, d)`, rows of unit length.
        """
        taken = 0
        while taken < len(references):
            number, start = divmod(self._count, BLOCK)
            if number == len(self._blocks):
                self._blocks.append(_Block(self.size))
            block, count = self._blocks[number], min(BLOCK - start, len(references) - taken)
            places, rows = slice(start, start + count), slice(taken, taken + count)
            block.references[places], block.subjects[places] = references[rows], subjects[rows]
            block.vectors[places] = vectors[rows]
            taken += count
            self._count += count

    def remove(self, subjects: Numbers) -> None:
        """Remove all references of these subjects and overwrite their memory."""
        gone = [start + np.flatnonzero(np.isin(block.subjects[:count], subjects)) for start, block, count in self._filled()]
        for place in np.concatenate([*gone, np.zeros(0, dtype=np.int64)])[::-1]:
            self._count -= 1
            block, row = self._at(int(place))
            last, end = self._at(self._count)
            block.references[row], block.subjects[row] = last.references[end], last.subjects[end]
            block.vectors[row] = last.vectors[end]
            last.vectors[end] = 0
        del self._blocks[-(-self._count // BLOCK) :]

    def search(self, probes: Embeddings, *, top: int, threshold: float | None = None) -> list[Found]:
        """Find the best-matching references of probes `(m, d)`: the best one of each subject, at most `top`."""
        blocks = [(block, count) for _, block, count in self._filled()]
        threads = min(_CORES, len(blocks))
        if threads < 2:
            return _search_blocks(blocks, probes, top, threshold)
        tasks = [self._pool.submit(_search_blocks, blocks[first::threads], probes, top, threshold) for first in range(threads)]
        parts = [task.result() for task in tasks]
        return [Found.best(list(found), top) for found in zip(*parts, strict=True)]

    def _filled(self) -> Iterator[tuple[int, _Block, int]]:
        for number, block in enumerate(self._blocks):
            start = number * BLOCK
            yield start, block, min(BLOCK, self._count - start)

    def _at(self, place: int) -> tuple[_Block, int]:
        number, row = divmod(place, BLOCK)
        return self._blocks[number], row


def _search_blocks(blocks: list[tuple[_Block, int]], probes: Embeddings, top: int, threshold: float | None) -> list[Found]:
    """Search some blocks; once `top` subjects are found, references that score below the last of them are skipped."""
    none = Found(np.zeros(0, dtype=np.float32), np.zeros(0, dtype=np.int64), np.zeros(0, dtype=np.int64))
    found = [none for _ in probes]
    least = np.full(len(probes), -np.inf if threshold is None else threshold, dtype=np.float32)
    for block, count in blocks:
        for number, row in enumerate(_products(block.vectors[:count], probes)):
            rows = np.flatnonzero(row >= least[number])
            if not len(rows):
                continue
            found[number] = Found.best([found[number], Found(row[rows], block.references[rows], block.subjects[rows])], top)
            if len(found[number].scores) == top:
                least[number] = found[number].scores[-1]
    return found


def _products(vectors: Embeddings, probes: Embeddings) -> Embeddings:
    """Return the scores `(m, n)` of probes `(m, d)` with vectors `(n, d)`.

    A few probes are compared one by one: a matrix product copies its operands, and BLAS would start its own threads in each of
    ours.
    """
    if len(probes) < _FEW:
        return np.stack([np.einsum("nd,d->n", vectors, probe) for probe in probes]) if len(probes) else probes[:, :0]
    return probes @ vectors.T


def _best_rows(scores: Embeddings, subjects: Numbers, top: int) -> Numbers:
    """Return the rows of the best score of each subject, best first, at most `top`."""
    take = _OVERSAMPLING * top
    while True:
        rows = np.argpartition(-scores, take)[:take] if take < len(scores) else np.arange(len(scores))
        rows = rows[np.argsort(-scores[rows], kind="stable")]
        _, first = np.unique(subjects[rows], return_index=True)
        if len(first) >= top or take >= len(scores):
            return rows[np.sort(first)[:top]]
        take *= _OVERSAMPLING
