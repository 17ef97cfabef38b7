"""Pairs of fewer photos, and of photos from which no face was acquired."""

from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import numpy.typing as npt

from visavis.metrics.curves import Rate
from visavis.metrics.intervals import people_interval
from visavis.metrics.scores import PairScores, ScoreList

__all__ = ["AcquisitionFailures", "at_most_photos", "with_failures"]

Indices = npt.NDArray[np.int64]

_NO_FACE = -1.0  # the lowest score, which no threshold of interest accepts


@dataclass(frozen=True)
class AcquisitionFailures:
    """Photos from which no face was acquired.

    Attributes:
        rate: The failure to acquire rate (FTA): these among all photos, its interval over people.
        counted: Whether their mated pairs count as false non-matches.
    """

    rate: Rate
    counted: bool

    @classmethod
    def of(cls, acquired: Indices, failed: Indices, *, counted: bool) -> "AcquisitionFailures":
        """Count them.

        Args:
            acquired: `(n,)`, the person of each photo from which a face was acquired, as a number from 0.
            failed: `(f,)`, the person of each other photo, likewise.
            counted: See there.
        """
        people = int(max(acquired.max(initial=-1), failed.max(initial=-1))) + 1
        failures = np.bincount(failed, minlength=people)
        photos = failures + np.bincount(acquired, minlength=people)
        return cls(Rate(len(failed), len(failed) + len(acquired), people_interval(failures, photos)), counted)

    def to_json(self) -> dict[str, Any]:
        """Return it as plain values."""
        return {**self.rate.to_json(), "counted_into_fnmr": self.counted}

    def __str__(self) -> str:
        """Show the rate, and whether it is counted into the FNMR."""
        return f"failure to acquire {self.rate}, {'' if self.counted else 'not '}counted into the FNMR"


def at_most_photos(scores: PairScores, photos: int, *, seed: int = 0) -> PairScores:
    """Return the pairs of at most so many photos of each person.

    Args:
        scores: All pairs of photos.
        photos: How many.
        seed: Draws them.
    """
    order = np.random.default_rng(seed).permutation(len(scores.people))
    order = order[np.argsort(scores.people[order], kind="stable")]
    ordered = scores.people[order]
    kept = np.zeros(len(order), dtype=bool)
    kept[order[np.arange(len(order)) - np.searchsorted(ordered, ordered) < photos]] = True
    return scores if kept.all() else scores.between(kept, kept)


def with_failures(scores: PairScores, failed: Indices) -> PairScores:
    """Add photos from which no face was acquired: their mated pairs get the lowest score, so that they are never accepted.

    Non-mated pairs stay as they are: what cannot be compared is no false match, and counting it would only dilute the rate.

    Args:
        scores: All pairs of the photos from which a face was acquired.
        failed: `(f,)`, the person of each other photo, as in `scores.people`; further numbers are people who have no other photos.
    """
    people = np.concatenate([scores.people, failed]).astype(np.int64)
    order = np.argsort(people, kind="stable")
    starts = np.searchsorted(people[order], np.arange(people.max() + 2))
    first, second = [], []
    for photo in range(len(scores.people), len(people)):
        own = order[starts[people[photo]] : starts[people[photo] + 1]]
        own = own[own < photo]
        first.append(own)
        second.append(np.full(len(own), photo))
    one, other = (np.concatenate([side.astype(np.int32) for side in sides]) for sides in (first, second))
    mated = ScoreList(
        np.concatenate([scores.mated.first, one]),
        np.concatenate([scores.mated.second, other]),
        np.concatenate([scores.mated.scores, np.full(len(one), _NO_FACE, dtype=np.float32)]),
    )
    nonmated_of = np.zeros(int(people.max()) + 1, dtype=np.int64)
    nonmated_of[: len(scores.nonmated_of)] = scores.nonmated_of
    return replace(scores, people=people, mated=mated, nonmated_of=nonmated_of)
