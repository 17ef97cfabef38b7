"""Find photos under a wrong name, and two names of one person, by the embeddings of a model."""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from visavis.wording import counted

__all__ = ["MARGIN", "AlikePeople", "DoubtfulLabels", "find_alike_people", "find_doubtful_labels"]

Embeddings = npt.NDArray[np.float32]
Indices = npt.NDArray[np.int64]

MARGIN = 0.05
_CHUNK = 2048


@dataclass(frozen=True, eq=False, repr=False)
class DoubtfulLabels:
    """Photos that are more like another person than like the other photos under their own name.

    Attributes:
        photos: `(k,)` int64, their indices.
        own_scores: `(k,)` float32, the score with the mean of the other photos under the same name.
        people: `(k,)` int64, the label that fits best.
        scores: `(k,)` float32, the score with the mean of that person's photos.
    """

    photos: Indices
    own_scores: npt.NDArray[np.float32]
    people: Indices
    scores: npt.NDArray[np.float32]

    def __len__(self) -> int:
        """Return the number of photos."""
        return len(self.photos)

    def __repr__(self) -> str:
        """Return the number of photos."""
        return f"DoubtfulLabels({counted(len(self), 'photo')})"


@dataclass(frozen=True, eq=False, repr=False)
class AlikePeople:
    """Pairs of people whose mean faces are as alike as photos of one person.

    Attributes:
        pairs: `(k, 2)` int64, their labels.
        scores: `(k,)` float32, the scores of their means.
    """

    pairs: Indices
    scores: npt.NDArray[np.float32]


def find_doubtful_labels(embeddings: Embeddings, labels: Indices, *, margin: float = MARGIN) -> DoubtfulLabels:
    """Find photos that are nearer to another person's mean than to that of the other photos under their own name.

    Args:
        embeddings: `(n, d)` float32, rows of unit length.
        labels: `(n,)` int64, people numbered from 0. A person's only photo has nothing to be compared with.
        margin: By how much another person's score must be higher, a difference of cosines.

    Returns:
        The photos, in order.
    """
    sums = _sums(embeddings, labels)
    means = _unit(sums)
    own = scores_with_own(embeddings, labels, sums)
    several = np.flatnonzero(np.bincount(labels)[labels] > 1)
    found: list[tuple[Indices, Indices, npt.NDArray[np.float32]]] = []
    for start in range(0, len(several), _CHUNK):
        photos = several[start : start + _CHUNK]
        scores = embeddings[photos] @ means.T
        scores[np.arange(len(photos)), labels[photos]] = -np.inf
        nearest = np.argmax(scores, axis=1)
        highest = scores[np.arange(len(photos)), nearest]
        chosen = highest > own[photos] + margin
        found.append((photos[chosen], nearest[chosen].astype(np.int64), highest[chosen]))
    photos, people, highest = (
        (np.concatenate(column) for column in zip(*found, strict=True))
        if found
        else (np.zeros(0, np.int64), np.zeros(0, np.int64), np.zeros(0, np.float32))
    )
    return DoubtfulLabels(photos, own[photos], people, highest)


def find_alike_people(embeddings: Embeddings, labels: Indices, *, threshold: float) -> AlikePeople:
    """Find pairs of people whose means are as alike as a typical photo is to the others of its person.

    Args:
        embeddings: `(n, d)` float32, rows of unit length.
        labels: `(n,)` int64, people numbered from 0.
        threshold: The minimum score.
    """
    sums = _sums(embeddings, labels)
    several = np.bincount(labels)[labels] > 1
    typical = float(np.median(scores_with_own(embeddings, labels, sums)[several])) if several.any() else 1.0
    means, limit = _unit(sums), max(typical, threshold)
    found = list(_pairs_above(means, limit))
    pairs = np.concatenate([pairs for pairs, _ in found])
    return AlikePeople(pairs, np.concatenate([scores for _, scores in found]))


def scores_with_own(embeddings: Embeddings, labels: Indices, sums: Embeddings) -> npt.NDArray[np.float32]:
    """Return the score of each photo with the mean of its person's other photos, `(n,)`; 0 for a person's only photo."""
    scores = np.empty(len(embeddings), dtype=np.float32)
    for start in range(0, len(embeddings), _CHUNK):
        chunk = slice(start, start + _CHUNK)
        others = _unit(sums[labels[chunk]] - embeddings[chunk])
        scores[chunk] = np.sum(embeddings[chunk] * others, axis=1)
    return scores


def _pairs_above(means: Embeddings, limit: float) -> Iterator[tuple[Indices, npt.NDArray[np.float32]]]:
    for start in range(0, len(means), _CHUNK):
        scores = means[start : start + _CHUNK] @ means.T
        rows, columns = np.nonzero(scores >= limit)
        upper = rows + start < columns
        yield np.stack([rows + start, columns], axis=1)[upper].astype(np.int64), scores[rows, columns][upper]


def _sums(embeddings: Embeddings, labels: Indices) -> Embeddings:
    """Add up each person's embeddings, `(people, d)`."""
    sums = np.zeros((int(labels.max()) + 1, embeddings.shape[1]), dtype=np.float32)
    np.add.at(sums, labels, embeddings)
    return sums


def _unit(rows: Embeddings) -> Embeddings:
    """Scale rows to unit length; rows of rounding errors alone become 0."""
    lengths = np.linalg.norm(rows, axis=1, keepdims=True)
    return np.where(lengths > 1e-6, rows / np.maximum(lengths, 1e-6), 0).astype(np.float32)
