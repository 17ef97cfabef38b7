"""Split people, never photos, into training, validation and test; and the check that nobody is on two sides."""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from visavis.data.dataset import FaceDataset
from visavis.errors import DataError, LeakError

__all__ = ["Split", "check_leaks", "kfold_people", "split_people", "split_photos"]


@dataclass(frozen=True)
class Split:
    """A data set in three parts.

    Attributes:
        train: To learn from.
        validation: To choose weights and thresholds on.
        test: To look at once; None where nobody was kept for it.
        by: `"person"`, or `"photo"` where the same people may be in all parts.
    """

    train: FaceDataset
    validation: FaceDataset
    test: FaceDataset | None
    by: str = "person"


def split_people(dataset: FaceDataset, *, fractions: tuple[float, float, float] = (0.7, 0.15, 0.15), seed: int = 0) -> Split:
    """Split by person: everybody's photos are all on one side.

    Args:
        dataset: What to split.
        fractions: Of the people, for training, validation and test; they add up to 1, and the last may be 0.
        seed: Draws who goes where.

    Raises:
        ValueError: If the fractions are not of that kind.
        DataError: If a side would have fewer than two people.
    """
    order = np.random.default_rng(seed).permutation(len(dataset.people))
    sides = _cut(order, fractions, least=2, what="people")
    return _split(dataset, dataset.labels, sides, by="person")


def split_photos(dataset: FaceDataset, *, fractions: tuple[float, float, float] = (0.7, 0.15, 0.15), seed: int = 0) -> Split:
    """Split by photo: the same people are in training and test, and error rates come out far too low for anybody else.

    For closed groups only. The split says `by="photo"`, and so does every report of a model trained on it.
    """
    order = np.random.default_rng(seed).permutation(len(dataset))
    sides = _cut(order, fractions, least=2, what="photos")
    return _split(dataset, np.arange(len(dataset)), sides, by="photo")


def kfold_people(dataset: FaceDataset, folds: int = 8, *, seed: int = 0) -> Iterator[tuple[FaceDataset, FaceDataset]]:
    """Yield training and test people, `folds` times; everybody is in exactly one test.

    Raises:
        ValueError: If `folds` is less than 2.
        DataError: If there are fewer than two people for each fold.
    """
    if folds < 2:
        raise ValueError(f"folds must be at least 2. Received: folds={folds}")
    people = len(dataset.people)
    if people < 2 * folds:
        raise DataError(f"{folds} folds need {2 * folds} people or more. Received: {people}")
    order = np.random.default_rng(seed).permutation(people)
    for tested in np.array_split(order, folds):
        held_out = np.isin(dataset.labels, tested)
        yield dataset.select(np.flatnonzero(~held_out)), dataset.select(np.flatnonzero(held_out))


def check_leaks(*, people: bool = True, **sides: FaceDataset | None) -> None:
    """Make sure that no person, no file and no photo, to the byte, is on two sides.

    Args:
        people: Whether one person on two sides is a leak; one photo always is.
        **sides: Data sets by name, such as `train=..., test=...`; None is passed over.

    Raises:
        LeakError: If one is; the message names it and both sides.
    """
    present = {name: side for name, side in sides.items() if side is not None}
    if people:
        _check("person", {name: list(side.people) for name, side in present.items()})
    _check("photo", {name: list(side.sources) for name, side in present.items()})
    seen: dict[bytes, tuple[str, str]] = {}
    for name, side in present.items():
        digests = side.photo_digests
        for digest, source in zip(digests, side.sources, strict=True):
            other, twin = seen.get(digest, (name, source))
            if other != name:
                raise LeakError(f"photo {source} in {name} is byte for byte photo {twin} in {other}")
        seen.update(zip(digests, ((name, source) for source in side.sources), strict=True))


def _check(what: str, names: dict[str, list[str]]) -> None:
    seen: dict[str, str] = {}
    for side, own in names.items():
        for name in own:
            if seen.get(name, side) != side:
                numbered = what == "photo" and name.endswith("]")
                hint = ". Other photos than these? Name each array: read_arrays(..., name=...)" if numbered else ""
                raise LeakError(f"{what} {name} is in both {seen[name]} and {side}{hint}")
        seen.update(dict.fromkeys(own, side))


def _cut(
    order: npt.NDArray[np.int64], fractions: tuple[float, float, float], *, least: int, what: str
) -> list[npt.NDArray[np.int64]]:
    if min(fractions) < 0 or abs(sum(fractions) - 1) > 1e-6 or min(fractions[:2]) == 0:
        raise ValueError(
            f"fractions must be positive and add up to 1, of which only the last may be 0. Received: fractions={fractions}"
        )
    first = round(len(order) * fractions[0])
    second = first + round(len(order) * fractions[1]) if fractions[2] else len(order)
    sides = np.split(order, [first, second])
    for name, side, fraction in zip(("training", "validation", "test"), sides, fractions, strict=True):
        if fraction and len(side) < least:
            raise DataError(f"{len(order)} {what} are too few: {name} would have {len(side)}, and needs {least} or more")
    return sides


def _split(dataset: FaceDataset, keys: npt.NDArray[np.int64], sides: list[npt.NDArray[np.int64]], *, by: str) -> Split:
    """Put each photo on the side that its key is on."""
    train, validation, test = (np.flatnonzero(np.isin(keys, side)) for side in sides)
    return Split(dataset.select(train), dataset.select(validation), dataset.select(test) if len(test) else None, by)
