"""Templates of the subjects in memory as float32 blocks, and exact search by one matrix product per block.

The template of a subject is the mean of its references, of unit length. A comparison with it is one comparison, whatever the number
of references, so its false match rate does not grow with them.
"""

import os
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from visavis.gallery.records import Embeddings

__all__ = ["Found", "Matrix"]

BLOCK = 32_768
_FEW = 8
_CORES = os.cpu_count() or 1

Numbers = npt.NDArray[np.int64]


@dataclass(frozen=True, eq=False)
class Found:
    """The best-matching subjects of one probe, best first.

    Attributes:
        scores: Their comparison scores.
        subjects: Their numbers.
    """

    scores: Embeddings
    subjects: Numbers

    @classmethod
    def best(cls, parts: "list[Found]", top: int) -> "Found":
        """Merge several results, of different subjects each."""
        scores, subjects = (np.concatenate([getattr(part, name) for part in parts]) for name in ("scores", "subjects"))
        rows = np.argpartition(-scores, top)[:top] if top < len(scores) else np.arange(len(scores))
        rows = rows[np.lexsort((subjects[rows], -scores[rows]))]
        return cls(scores[rows], subjects[rows])


class _Block:
    """Up to `BLOCK` templates; unused memory is reserved, not touched."""

    def __init__(self, size: int) -> None:
        self.vectors = np.empty((BLOCK, size), dtype=np.float32)
        self.lengths = np.empty(BLOCK, dtype=np.float32)  # of the sums of references
        self.subjects = np.empty(BLOCK, dtype=np.int64)


class Matrix:
    """Templates in memory, in any order: the last one takes the row of a deleted one, so there are no gaps.

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
        self._last = -1
        self._pool = ThreadPoolExecutor(_CORES, thread_name_prefix="search")

    def __len__(self) -> int:
        """Return the number of subjects."""
        return self._count

    def add(self, subjects: Numbers, vectors: Embeddings) -> None:
        """Add references to the templates of their subjects.

        Args:
            subjects: `(n,)`, the numbers of their subjects.
            vectors: `(n, d)`, rows of unit length.
        """
        if not len(subjects):
            return
        order = np.argsort(subjects, kind="stable")
        numbers, starts = np.unique(subjects[order], return_index=True)
        sums = np.add.reduceat(vectors[order], starts, axis=0)
        new = np.ones(len(numbers), dtype=bool)
        for _, block, count in self._filled() if numbers[0] <= self._last else ():
            rows = np.flatnonzero(np.isin(block.subjects[:count], numbers))
            places = np.searchsorted(numbers, block.subjects[rows])
            _put(block, rows, sums[places] + block.vectors[rows] * block.lengths[rows, None])
            new[places] = False
        self._append(numbers[new], sums[new])
        self._last = max(self._last, int(numbers[-1]))

    def _append(self, subjects: Numbers, sums: Embeddings) -> None:
        taken = 0
        while taken < len(subjects):
            number, start = divmod(self._count, BLOCK)
            if number == len(self._blocks):
                self._blocks.append(_Block(self.size))
            block, count = self._blocks[number], min(BLOCK - start, len(subjects) - taken)
            block.subjects[start : start + count] = subjects[taken : taken + count]
            _put(block, np.arange(start, start + count), sums[taken : taken + count])
            taken += count
            self._count += count

    def remove(self, subjects: Numbers) -> None:
        """Remove these subjects and overwrite their memory."""
        gone = [start + np.flatnonzero(np.isin(block.subjects[:count], subjects)) for start, block, count in self._filled()]
        for place in np.concatenate([*gone, np.zeros(0, dtype=np.int64)])[::-1]:
            self._count -= 1
            block, row = self._at(int(place))
            last, end = self._at(self._count)
            block.subjects[row], block.lengths[row], block.vectors[row] = last.subjects[end], last.lengths[end], last.vectors[end]
            last.vectors[end] = 0
        del self._blocks[-(-self._count // BLOCK) :]

    def search(self, probes: Embeddings, *, top: int, threshold: float | None = None) -> list[Found]:
        """Find the best-matching subjects of probes `(m, d)`, at most `top`."""
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
    """Search some blocks; once `top` are found, subjects that score below the last of them are skipped."""
    none = Found(np.zeros(0, dtype=np.float32), np.zeros(0, dtype=np.int64))
    found = [none for _ in probes]
    least = np.full(len(probes), -np.inf if threshold is None else threshold, dtype=np.float32)
    for block, count in blocks:
        for number, row in enumerate(_products(block.vectors[:count], probes)):
            rows = np.flatnonzero(row >= least[number])
            if not len(rows):
                continue
            found[number] = Found.best([found[number], Found(row[rows], block.subjects[rows])], top)
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


def _put(block: _Block, rows: Numbers, sums: Embeddings) -> None:
    """Write sums of references `(k, d)` as templates; references that cancel out have the template 0, which nothing matches."""
    lengths = np.linalg.norm(sums, axis=1)
    block.lengths[rows] = lengths
    block.vectors[rows] = sums / np.maximum(lengths, 1e-12)[:, None]
