"""Split people into training, validation and test, and check that no person is in two of them."""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from visavis.data.dataset import FaceDataset
from visavis.data.names import normalise_name, normalise_path
from visavis.errors import DataError, LeakError
from visavis.wording import counted

__all__ = ["Split", "check_leaks", "kfold_people", "split_people", "split_photos"]


@dataclass(frozen=True, repr=False)
class Split:
    """A data set in three parts.

    Attributes:
        train: To learn from.
        validation: To choose checkpoints and thresholds on.
        test: To measure on, once; None where no people were held out for it.
        by: `"person"`, or `"photo"` where the same people may be in all parts.
    """

    train: FaceDataset
    validation: FaceDataset
    test: FaceDataset | None
    by: str = "person"

    def __repr__(self) -> str:
        """Return the numbers of photos and people of each part."""
        parts = {"train": self.train, "validation": self.validation, "test": self.test}
        sizes = [
            f"{name}={counted(len(part), 'photo')} of {counted(len(part.people), 'person')}"
            for name, part in parts.items()
            if part is not None
        ]
        return f"Split(by={self.by!r}, {', '.join(sizes)})"


def split_people(dataset: FaceDataset, *, fractions: tuple[float, float, float] = (0.7, 0.15, 0.15), seed: int = 0) -> Split:
    """Split by person: all photos of a person are in one part.

    Args:
        dataset: What to split.
        fractions: Of the people, for training, validation and test; they add up to 1, and the last may be 0.
        seed: Draws the people of each part.

    Raises:
        ValueError: If the fractions are negative or do not add up to 1.
        DataError: If a part would have fewer than two people.
    """
    order = np.random.default_rng(seed).permutation(len(dataset.people))
    parts = _cut(order, fractions, minimum=2, what="people")
    return _split(dataset, dataset.labels, parts, by="person")


def split_photos(dataset: FaceDataset, *, fractions: tuple[float, float, float] = (0.7, 0.15, 0.15), seed: int = 0) -> Split:
    """Split by photo: the same people are in training and test, so error rates are far too low for unseen people.

    For closed groups only. The split has `by="photo"`, and every report of a model trained on it says so.
    """
    order = np.random.default_rng(seed).permutation(len(dataset))
    parts = _cut(order, fractions, minimum=2, what="photos")
    return _split(dataset, np.arange(len(dataset)), parts, by="photo")


def kfold_people(dataset: FaceDataset, folds: int = 8, *, seed: int = 0) -> Iterator[tuple[FaceDataset, FaceDataset]]:
    """Yield training and test people, `folds` times; each person is in exactly one test.

    Raises:
        ValueError: If `folds` is less than 2.
        DataError: If there are fewer than two people for each fold.
    """
    if folds < 2:
        raise ValueError(f"folds must be at least 2, got {folds}")
    people = len(dataset.people)
    if people < 2 * folds:
        raise DataError(f"{folds} folds need at least {2 * folds} people, got {people}")
    order = np.random.default_rng(seed).permutation(people)
    for tested in np.array_split(order, folds):
        held_out = np.isin(dataset.labels, tested)
        yield dataset.select(np.flatnonzero(~held_out)), dataset.select(np.flatnonzero(held_out))


def check_leaks(*, people: bool = True, **parts: FaceDataset | None) -> None:
    """Check that no person, no file and no photo, to the byte, is in two parts; names are normalised first.

    Args:
        people: Whether one person in two parts is a leak; one photo always is.
        **parts: Data sets by name, such as `train=..., test=...`; None is ignored.

    Raises:
        LeakError: If there is a leak; the message names it and both parts.
    """
    present = {name: part for name, part in parts.items() if part is not None}
    if people:
        _check("person", {name: list(map(normalise_name, part.people)) for name, part in present.items()})
    _check("photo", {name: list(map(normalise_path, part.sources)) for name, part in present.items()})
    seen: dict[bytes, tuple[str, str]] = {}
    for name, part in present.items():
        digests = part.photo_digests
        for digest, source in zip(digests, part.sources, strict=True):
            other, twin = seen.get(digest, (name, source))
            if other != name:
                raise LeakError(f"photo {source} in {name} is byte for byte photo {twin} in {other}")
        seen.update(zip(digests, ((name, source) for source in part.sources), strict=True))


def _check(what: str, names: dict[str, list[str]]) -> None:
    seen: dict[str, str] = {}
    for part, own in names.items():
        for name in own:
            if seen.get(name, part) != part:
                numbered = what == "photo" and name.endswith("]")
                hint = ". Different photos? Name each array: read_arrays(..., name=...)" if numbered else ""
                raise LeakError(f"{what} {name} is in both {seen[name]} and {part}{hint}")
        seen.update(dict.fromkeys(own, part))


def _cut(
    order: npt.NDArray[np.int64], fractions: tuple[float, float, float], *, minimum: int, what: str
) -> list[npt.NDArray[np.int64]]:
    if min(fractions) < 0 or abs(sum(fractions) - 1) > 1e-6 or min(fractions[:2]) == 0:
        raise ValueError(f"fractions must be positive and add up to 1, and only the last may be 0, got {fractions}")
    first = round(len(order) * fractions[0])
    second = first + round(len(order) * fractions[1]) if fractions[2] else len(order)
    if fractions[2] and len(order) >= 4 * minimum:  # validation and test get their minimum before training gets more
        second = min(second, len(order) - minimum)
        first = min(first, second - minimum)
    parts = np.split(order, [first, second])
    for name, part, fraction in zip(("training", "validation", "test"), parts, fractions, strict=True):
        if fraction and len(part) < minimum:
            enough = f". At least {4 * minimum} {what} are needed" if fractions[2] and len(order) < 4 * minimum else ""
            raise DataError(f"{len(order)} {what} are too few: {name} must have at least {minimum}, got {len(part)}{enough}")
    return parts


def _split(dataset: FaceDataset, keys: npt.NDArray[np.int64], parts: list[npt.NDArray[np.int64]], *, by: str) -> Split:
    """Assign each photo to the part that its key is in."""
    train, validation, test = (np.flatnonzero(np.isin(keys, part)) for part in parts)
    return Split(dataset.select(train), dataset.select(validation), dataset.select(test) if len(test) else None, by)
