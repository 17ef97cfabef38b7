"""Mated and non-mated pairs of labelled photos, as pixels or as indices."""

from typing import Any

import numpy as np
import numpy.typing as npt

from visavis.data.labels import number_labels
from visavis.errors import DataError
from visavis.wording import counted

__all__ = ["generate_image_pairs", "index_pairs"]


def generate_image_pairs(
    images: npt.ArrayLike, labels: npt.ArrayLike, *, seed: int = 0
) -> tuple[npt.NDArray[Any], npt.NDArray[np.int64]]:
    """Pair every photo with another photo of the same person and with a photo of another person.

    Args:
        images: `(n, h, w)` or `(n, h, w, c)`, of any type.
        labels: `(n,)`, equal for photos of one person; integers or strings.
        seed: Chooses the partners and the order.

    Returns:
        The pairs `(m, 2, h, w)` or `(m, 2, h, w, c)` in the type of `images`, and their labels `(m,)`: 1 for the same person and
        0 for two people. Every photo has one negative; it has one positive unless it is its person's only photo, so that m is at
        most 2n. A photo is never paired with itself.

    Raises:
        DataError: If the two differ in length, if there are fewer than two people, or if no person has two photos.

    Example:
        >>> images = np.arange(4).reshape(4, 1, 1).repeat(8, axis=1).repeat(8, axis=2)
        >>> pairs, same = generate_image_pairs(images, ["ann", "ann", "bob", "bob"])
        >>> pairs.shape, same.sum()
        ((8, 2, 8, 8), np.int64(4))
    """
    images = np.asarray(images)
    if images.ndim not in (3, 4):
        raise DataError(f"images must be (n, h, w) or (n, h, w, c), got shape {images.shape}")
    if len(images) != np.size(labels):
        raise DataError(
            f"images and labels must have the same length, got {counted(len(images), 'image')} and "
            f"{counted(np.size(labels), 'label')}"
        )
    pairs, same = index_pairs(labels, seed=seed)
    return images[pairs], same


def index_pairs(labels: npt.ArrayLike, *, seed: int = 0) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.int64]]:
    """Pair photos as `generate_image_pairs` does, as indices.

    Partners are drawn uniformly: a positive from the person's other photos, a negative from all photos of all other people.

    Args:
        labels: `(n,)`, equal for photos of one person; integers or strings.
        seed: Chooses the partners and the order.

    Returns:
        Pairs `(m, 2)` of indices into `labels`, and their labels `(m,)`: 1 for the same person and 0 for two people.

    Raises:
        DataError: If `labels` is not one-dimensional, if there are fewer than two people, or if no person has two photos.

    Example:
        >>> pairs, same = index_pairs([7, 7, 8])
        >>> pairs.shape, same.tolist().count(1)
        ((5, 2), 2)
    """
    people = _person_of_each(labels)
    rng = np.random.default_rng(seed)
    photos = len(people)
    order = np.argsort(people, kind="stable")
    counts = np.bincount(people)
    count = counts[people[order]]
    start = (np.cumsum(counts) - counts)[people[order]]
    place = np.arange(photos)

    paired = np.flatnonzero(count > 1)
    shift = 1 + rng.integers(0, count[paired] - 1)
    positives = start[paired] + (place[paired] - start[paired] + shift) % count[paired]
    negatives = rng.integers(0, photos - count)
    negatives += np.where(negatives >= start, count, 0)

    pairs = np.concatenate([np.stack([paired, positives], axis=1), np.stack([place, negatives], axis=1)])
    same = np.repeat(np.array([1, 0], dtype=np.int64), [len(paired), photos])
    shuffled = rng.permutation(len(pairs))
    return order[pairs[shuffled]], same[shuffled]


def _person_of_each(labels: npt.ArrayLike) -> npt.NDArray[np.int64]:
    """Numbers 0 .. people-1 for any labels, checked."""
    present, people = number_labels(labels)
    if len(present) < 2:
        raise DataError(f"non-mated pairs need photos of at least two people, got {len(present)}")
    if len(present) == len(people):
        raise DataError(f"mated pairs need a person with two photos, got {counted(len(present), 'person')} with one photo each")
    return people
