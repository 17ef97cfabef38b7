"""Poor faces join groups of good ones: a small or blurred face never founds a group, for such faces are like each other."""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from visavis.albums.probabilities import MergeModel

__all__ = ["Joined", "join_poor_faces"]

Floats = npt.NDArray[np.float32]
Numbers = npt.NDArray[np.int64]

_BLOCK = 1024
_MOST_WRONG = 0.05  # probability that a poor face that joins is of another person
_PERHAPS = 0.1  # probability of belonging to a group from which that group is suggested


class Joined(NamedTuple):
    """What became of poor faces.

    Attributes:
        groups: `(m,)`, the group that each joined; -1: none.
        perhaps: `(m,)`, the group that each may belong to without having joined it; -1: none.
        wrong: The expected number of those that joined the group of another person.
    """

    groups: Numbers
    perhaps: Numbers
    wrong: float


def join_poor_faces(
    poor: Floats, photos: Sequence[str], means: Floats, taken: set[tuple[int, str]], model: MergeModel, *, least: float
) -> Joined:
    """Let poor faces join the groups that they are most like, best first.

    Args:
        poor: `(m, d)`, embeddings of unit length.
        photos: The photo of each.
        means: `(g, d)`, the weighted mean embedding of each group.
        taken: Which groups have a face in which photos: group and photo. Two faces of one photo are two people.
        model: The probability that a face is of another person.
        least: The mean similarity with a group that joining takes, at least.
    """
    groups, perhaps = np.full(len(poor), -1, dtype=np.int64), np.full(len(poor), -1, dtype=np.int64)
    if not len(poor) or not len(means):
        return Joined(groups, perhaps, 0.0)
    best, similarity = _nearest(poor, photos, means, taken)
    lengths = np.linalg.norm(means, axis=1)
    scores = (similarity + similarity / lengths[best]) / 2
    chances = model.wrong(scores)
    occupied, wrong = set(taken), 0.0
    for face in np.argsort(chances, kind="stable"):
        place = int(best[face]), photos[face]
        if similarity[face] >= least and chances[face] <= _MOST_WRONG and place not in occupied:
            groups[face] = best[face]
            occupied.add(place)
            wrong += float(chances[face])
        elif 1 - chances[face] >= _PERHAPS:
            perhaps[face] = best[face]
    return Joined(groups, perhaps, wrong)


def _nearest(poor: Floats, photos: Sequence[str], means: Floats, taken: set[tuple[int, str]]) -> tuple[Numbers, Floats]:
    """Return the nearest group of each face that has no face in its photo, and the mean similarity with it."""
    barred: dict[str, list[int]] = {}
    for group, photo in taken:
        barred.setdefault(photo, []).append(group)
    best, similarity = np.zeros(len(poor), dtype=np.int64), np.zeros(len(poor), dtype=np.float32)
    for start in range(0, len(poor), _BLOCK):
        scores = poor[start : start + _BLOCK] @ means.T
        for row, photo in enumerate(photos[start : start + _BLOCK]):
            scores[row, barred.get(photo, [])] = -1
        best[start : start + _BLOCK] = scores.argmax(axis=1)
        similarity[start : start + _BLOCK] = scores.max(axis=1)
    return best, similarity
