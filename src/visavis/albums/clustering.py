"""Average-linkage clustering with constraints, in memory that grows with the number of faces and not with its square.

The similarity of two groups is the weighted mean of the cosines between their faces. It is that of the groups' weighted sums of
embeddings, so no matrix of pairs is kept. Mean similarity is *reducible*: a union of two groups is never nearer to a third than the
nearer of the two was. So any two groups that are each other's nearest can be merged at once, and the tree is the same as if the
nearest pair had been merged each time (Bruynooghe, 1978; Murtagh, 1983). A group whose nearest is too far is finished.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

__all__ = ["Merge", "Tree", "build_tree"]

Floats = npt.NDArray[np.float32]
Numbers = npt.NDArray[np.int64]

_BLOCK = 2048
_NONE = -2.0  # below every cosine


class Merge(NamedTuple):
    """Two groups that become one.

    Attributes:
        first: The number of one group: a face below `n`, or `n` plus the number of an earlier merge.
        second: Likewise of the other.
        similarity: Weighted mean cosine between their faces; at most that of earlier merges within both groups.
        cosine: Cosine of their weighted mean embeddings.
        sizes: How many faces they have.
    """

    first: int
    second: int
    similarity: float
    cosine: float
    sizes: tuple[int, int]


@dataclass(frozen=True, repr=False)
class Tree:
    """All merges of faces down to a similarity.

    Attributes:
        faces: Number of faces.
        merges: The merges, each after those within its groups.
    """

    faces: int
    merges: tuple[Merge, ...]

    def __repr__(self) -> str:
        """Return the counts in short."""
        return f"Tree(faces={self.faces}, merges={len(self.merges)})"

    def cut(self, similarity: float) -> Numbers:
        """Return the group of each face, `(n,)`, by the merges of at least a similarity, numbered by first faces."""
        roots = list(range(self.faces + len(self.merges)))
        for number, merge in enumerate(self.merges):
            if merge.similarity >= similarity:
                roots[merge.first] = roots[merge.second] = self.faces + number
        for node in reversed(range(len(roots))):  # parents have higher numbers
            roots[node] = roots[roots[node]]
        _, first, groups = np.unique(roots[: self.faces], return_index=True, return_inverse=True)
        return np.argsort(np.argsort(first))[groups].astype(np.int64)


def build_tree(
    embeddings: Floats,
    *,
    weights: Floats | None = None,
    apart: Iterable[Sequence[int]] = (),
    together: Iterable[Sequence[int]] = (),
    least: float = 0.0,
) -> Tree:
    """Merge the faces that are most similar, again and again, until no two groups are alike enough.

    Args:
        embeddings: `(n, d)`, rows of unit length.
        weights: `(n,)`, positive: how much each face counts in its group; None: all the same.
        apart: Sets of faces no two of which are of one person, such as those of one photo.
        together: Sets of faces of one person each; they are merged first, with similarity 1, also where `apart` says otherwise.
        least: The similarity below which no groups are merged.

    Raises:
        ValueError: If there are not as many weights as faces, or if one is not positive.
    """
    count = len(embeddings)
    worth = np.ones(count, dtype=np.float32) if weights is None else np.asarray(weights, dtype=np.float32)
    if worth.shape != (count,) or (count and worth.min() <= 0):
        raise ValueError(f"weights must be {count} positive numbers, got {worth.shape} from {worth.min(initial=np.inf):g}")
    groups = _Groups(np.asarray(embeddings, dtype=np.float32) * worth[:, None], worth, apart)
    for faces in together:
        node = faces[0] if len(faces) else 0
        for face in faces[1:]:
            node = groups.merge(node, face, 1.0)
    groups.merge_nearest(least)
    return Tree(count, tuple(groups.merges))


@dataclass(eq=False)
class _Groups:
    """The groups at one moment; a group that was merged into another is gone."""

    sums: Floats
    weights: Floats
    apart: Iterable[Sequence[int]]
    merges: list[Merge] = field(default_factory=list)

    def __post_init__(self) -> None:
        """Start with one group for each face."""
        count = len(self.sums)
        room = (max(0, count - 1), self.sums.shape[1] if self.sums.ndim == 2 else 0)
        self.sums = np.concatenate([self.sums.reshape(count, room[1]), np.zeros(room, np.float32)])
        self.weights = np.concatenate([self.weights, np.ones(room[0], np.float32)])
        self.means = self.sums / self.weights[:, None]
        self.places = np.full(len(self.sums), -1, dtype=np.int64)  # among the active groups, while they are compared
        self.sizes = [1] * count
        self.heights = [1.0] * count
        self.active = set(range(count))
        self.forbidden: dict[int, set[int]] = {}
        for faces in self.apart:
            for face in faces:
                self.forbidden.setdefault(face, set()).update(other for other in faces if other != face)

    def merge(self, first: int, second: int, similarity: float) -> int:
        """Merge two groups and return the number of the new one."""
        new = len(self.sizes)
        one, other = self.sums[first], self.sums[second]
        cosine = float(one @ other / max(1e-12, np.linalg.norm(one) * np.linalg.norm(other)))
        height = min(similarity, self.heights[first], self.heights[second])
        self.merges.append(Merge(first, second, height, cosine, (self.sizes[first], self.sizes[second])))
        self.sums[new], self.weights[new] = one + other, self.weights[first] + self.weights[second]
        self.means[new] = self.sums[new] / self.weights[new]
        self.sizes.append(self.sizes[first] + self.sizes[second])
        self.heights.append(height)
        self.active -= {first, second}
        self.active.add(new)
        against = (self.forbidden.pop(first, set()) | self.forbidden.pop(second, set())) - {first, second}
        for group in against:
            self.forbidden[group] = self.forbidden[group] - {first, second} | {new}
        if against:
            self.forbidden[new] = against
        return new

    def merge_nearest(self, least: float) -> None:
        """Merge groups that are each other's nearest until none is near enough."""
        nearest: dict[int, tuple[int, float]] = {}
        stale = set(self.active)
        while stale:
            nearest.update(self._nearest(sorted(stale)))
            finished = {group for group in stale if nearest[group][1] < least}
            self.active -= finished
            pairs = self._mutual(nearest)
            if not pairs:
                break
            merged = {group for pair in pairs for group in pair}
            new = {self.merge(first, second, nearest[first][1]) for first, second in pairs}
            stale = new | {group for group in self.active - new if nearest[group][0] in merged}
            for group in merged | finished:
                nearest.pop(group, None)

    def _mutual(self, nearest: dict[int, tuple[int, float]]) -> list[tuple[int, int]]:
        """Return the pairs of groups that are each other's nearest; the nearest pair of all where rounding hides it."""
        known = {group: nearest[group] for group in self.active}
        pairs = [(group, other) for group, (other, _) in known.items() if group < other and known.get(other, (-1,))[0] == group]
        if not pairs and known:
            group = max(known, key=lambda group: known[group][1])
            pairs = [(group, known[group][0])]
        return sorted(pairs)

    def _nearest(self, groups: list[int]) -> dict[int, tuple[int, float]]:
        """Return the nearest other group of each of some groups, and its similarity."""
        others, found = np.array(sorted(self.active)), dict[int, tuple[int, float]]()
        self.places[:] = -1
        self.places[others] = np.arange(len(others))
        for start in range(0, len(groups), _BLOCK):
            found |= self._nearest_of(groups[start : start + _BLOCK], others)
        return found

    def _nearest_of(self, groups: list[int], others: Numbers) -> dict[int, tuple[int, float]]:
        """Return the same for a block of groups among all active ones."""
        best, scores = np.zeros(len(groups), dtype=np.int64), np.full(len(groups), _NONE, dtype=np.float32)
        rows, (barred_rows, barred_columns) = self.means[groups], self._barred(groups)
        for column in range(0, len(others), _BLOCK):
            block = rows @ self.means[others[column : column + _BLOCK]].T
            inside = (barred_columns >= column) & (barred_columns < column + block.shape[1])
            block[barred_rows[inside], barred_columns[inside] - column] = _NONE
            columns = block.argmax(axis=1)
            values = block[np.arange(len(groups)), columns]
            better = values > scores
            best[better], scores[better] = columns[better] + column, values[better]
        return {group: (int(others[best[row]]), float(scores[row])) for row, group in enumerate(groups)}

    def _barred(self, groups: list[int]) -> tuple[Numbers, Numbers]:
        """Return which rows and columns may not be merged: a group with itself, and with those that are apart from it."""
        sets = [(group, *self.forbidden.get(group, ())) for group in groups]
        rows = np.repeat(np.arange(len(groups)), [len(barred) for barred in sets])
        columns = self.places[[group for barred in sets for group in barred]]
        return rows[columns >= 0], columns[columns >= 0]
