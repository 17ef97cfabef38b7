"""Training batches: P people x K photos, people with a single photo, and composites."""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from visavis.data import FaceDataset
from visavis.errors import DataError, check_numbers
from visavis.training.augmentation import Augmentation, augment, composite

__all__ = ["BatchShape", "Batches"]


@dataclass(frozen=True)
class BatchShape:
    """Who is in a batch: P people x K photos, and synthetic people.

    Attributes:
        people: Number of people with at least two photos, drawn without replacement; at least 2.
        photos: Number of photos of each, at least 2; photos of people who have fewer are repeated, augmented differently.
        single_people: Number of people with one photo, each as two augmentations of it; fewer where the data has fewer.
        composites: Number of synthetic people composed of two others, with `photos` photos each.
    """

    people: int = 16
    photos: int = 4
    single_people: int = 0
    composites: int = 0

    def __post_init__(self) -> None:
        """Check the numbers.

        Raises:
            ValueError: If one is out of range.
        """
        check_numbers(self)
        for name, minimum in {"people": 2, "photos": 2, "single_people": 0, "composites": 0}.items():
            if getattr(self, name) < minimum:
                raise ValueError(f"{name} must be at least {minimum}, got {getattr(self, name)}")


class Batches:
    """The batches of a training run; `batches[step]` is a function of the seed and the step."""

    def __init__(self, dataset: FaceDataset, shape: BatchShape, augmentation: Augmentation, *, seed: int = 0) -> None:
        """Index the photos of each person.

        Args:
            dataset: The training people.
            shape: Who is in a batch; fewer people where the data set has fewer.
            augmentation: How each photo is changed.
            seed: Seed of all random draws.

        Raises:
            DataError: If fewer than two people have two photos.
        """
        counts = dataset.photos_per_person
        self._photos_of = np.split(np.argsort(dataset.labels, kind="stable"), np.cumsum(counts)[:-1])
        self._several = np.flatnonzero(counts > 1)
        self._single = np.flatnonzero(counts == 1)
        if len(self._several) < 2:
            raise DataError(f"training needs at least two people with at least two photos each, got {len(self._several)}")
        self._dataset, self._shape, self._augmentation, self._seed = dataset, shape, augmentation, seed

    @property
    def size(self) -> int:
        """Number of photos in a batch."""
        shape = self._shape
        groups = min(shape.people, len(self._several)) + shape.composites
        return groups * shape.photos + 2 * min(shape.single_people, len(self._single))

    def __getitem__(self, step: int) -> tuple[npt.NDArray[np.uint8], npt.NDArray[np.int32]]:
        """Return the photos `(b, h, w, c)` uint8 of one step, and labels `(b,)` that are equal for one person.

        A label is the person's index among the training people. Composites have larger labels, which no other step has.
        """
        rng = np.random.default_rng([self._seed, step])
        shape = self._shape
        several = rng.choice(self._several, min(shape.people, len(self._several)), replace=False)
        single = rng.choice(self._single, min(shape.single_people, len(self._single)), replace=False)
        groups = [self._draw(person, shape.photos, rng) for person in several]
        groups += [self._draw(person, 2, rng) for person in single]
        parts = [self._dataset.gather(np.concatenate(groups))]
        sizes = [len(group) for group in groups]
        for _ in range(shape.composites):
            parts.append(self._composite(rng))
            sizes.append(shape.photos)
        photos = augment(np.concatenate(parts), rng, self._augmentation)
        composites = len(self._photos_of) + step * shape.composites + np.arange(shape.composites)
        return photos, np.repeat(np.concatenate([several, single, composites]).astype(np.int32), sizes)

    def _draw(self, person: int, photos: int, rng: np.random.Generator) -> npt.NDArray[np.int64]:
        """Draw this many photos of a person, none twice before all were drawn once."""
        own = rng.permutation(self._photos_of[person])
        return np.resize(own, photos)

    def _composite(self, rng: np.random.Generator) -> npt.NDArray[np.uint8]:
        pair = rng.choice(len(self._photos_of), 2, replace=False)
        first, second = (self._dataset.gather(self._draw(person, self._shape.photos, rng)) for person in pair)
        return composite(first, second, rng)
