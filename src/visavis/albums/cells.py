"""Cells of embeddings: of very many groups, each is compared with those in the cells around it only.

An inverted file (Jégou et al., 2011): the cells are those of faces at random, whose number grows with that of the faces, and the
neighbours of a cell are the cells with the most similar centres. So the comparisons of one group do not grow with the album.
"""

from collections.abc import Iterator, Sequence

import numpy as np
import numpy.typing as npt

__all__ = ["Cells"]

Floats = npt.NDArray[np.float32]
Numbers = npt.NDArray[np.int64]

_FACES = 500  # in a cell, on average
_NEIGHBOURS = 32  # cells around one, itself included
_BLOCK = 1024


class Cells:
    """Cells around some of the faces.

    Attributes:
        homes: `(2n,)`, the cell of each group, faces first.
    """

    def __init__(self, embeddings: Floats, *, seed: int = 0) -> None:
        """Divide faces among cells.

        Args:
            embeddings: `(n, d)`, rows of unit length.
            seed: Draws the faces around which the cells are.
        """
        count = len(embeddings)
        chosen = np.random.default_rng(seed).choice(count, -(-count // _FACES), replace=False)
        self._centres = embeddings[np.sort(chosen)]
        self.homes = np.zeros(2 * count, dtype=np.int64)
        for start in range(0, count, _BLOCK):
            self.homes[start : start + _BLOCK][: count - start] = (embeddings[start : start + _BLOCK] @ self._centres.T).argmax(axis=1)
        self._neighbours = self._symmetric(min(_NEIGHBOURS, len(self._centres)))

    def _symmetric(self, count: int) -> list[Numbers]:
        """Return the neighbours of each cell; a cell is a neighbour of its neighbours."""
        near: list[set[int]] = [set() for _ in self._centres]
        for start in range(0, len(self._centres), _BLOCK):
            scores = self._centres[start : start + _BLOCK] @ self._centres.T
            best = np.argpartition(-scores, count - 1, axis=1)[:, :count]
            for cell, others in enumerate(best.tolist(), start):
                near[cell].update(others)
                for other in others:
                    near[other].add(cell)
        return [np.array(sorted(cells), dtype=np.int64) for cells in near]

    def move(self, new: int, parts: Sequence[int], total: Floats) -> None:
        """Find the cell of a group that was merged from others, among the cells around theirs.

        Args:
            new: The number of the group.
            parts: Those of the groups that it was merged from.
            total: `(d,)`, the sum of its embeddings.
        """
        cells = np.concatenate([self._neighbours[self.homes[part]] for part in parts])
        self.homes[new] = cells[(self._centres[cells] @ total).argmax()]

    def around(self, groups: Sequence[int], others: Numbers) -> Iterator[tuple[list[int], Numbers]]:
        """Yield groups of one cell, and which of some others are in the cells around it, for each cell.

        Args:
            groups: The groups.
            others: The groups that they may be compared with, in rising order.
        """
        homes = self.homes[others]
        order = np.argsort(homes, kind="stable")
        ends = np.searchsorted(homes[order], np.arange(len(self._centres) + 1))
        members: dict[int, list[int]] = {}
        for group in groups:
            members.setdefault(int(self.homes[group]), []).append(group)
        for cell, inside in members.items():
            places = np.concatenate([order[ends[near] : ends[near + 1]] for near in self._neighbours[cell]])
            yield inside, others[np.sort(places)]
