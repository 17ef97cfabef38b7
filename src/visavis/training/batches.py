"""Training batches: P people x K photos, people of a single photo, and composites, each a function of the seed and the step."""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from visavis.data import FaceDataset
from visavis.errors import DataError
from visavis.training.augmentation import Augmentation, augment, composite

__all__ = ["BatchShape", "Batches"]


@dataclass(frozen=True)
class BatchShape:
    """Who is in a batch.

    Attributes:
        people: People of two photos or more, drawn without repetition.
        photos: Photos of each; somebody who has fewer is shown again, changed by augmentation.
        single_people: People of one photo, each by two augmentations of it; left out where the data has none.
        composites: People put together from two others, `photos` photos of each.
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
        if self.people < 2 or self.photos < 2:
            raise ValueError(
                f"a batch needs two people and two photos of each, or more. Received: people={self.people}, photos={self.photos}"
            )
        if self.single_people < 0 or self.composites < 0:
            raise ValueError(
                "single_people and composites must be 0 or more. "
                f"Received: single_people={self.single_people}, composites={self.composites}"
            )


class Batches:
    """The batches of a training run: `batches[step]` is the same whenever and wherever it is asked for."""

    def __init__(self, dataset: FaceDataset, shape: BatchShape, augmentation: Augmentation, *, seed: int = 0) -> None:
        """Index the photos of each person.

        Args:
            dataset: The training people.
            shape: Who is in a batch; fewer people where the data set has fewer.
            augmentation: How each photo is changed.
            seed: Draws everything.

        Raises:
            DataError: If fewer than two people have two photos.
        """
        counts = dataset.photos_per_person
        self._photos_of = np.split(np.argsort(dataset.labels, kind="stable"), np.cumsum(counts)[:-1])
        self._several = np.flatnonzero(counts > 1)
        self._single = np.flatnonzero(counts == 1)
        if len(self._several) < 2:
            raise DataError(f"training needs two people with two photos or more. Received: {len(self._several)}")
        self._dataset, self._shape, self._augmentation, self._seed = dataset, shape, augmentation, seed

    @property
    def size(self) -> int:
        """How many photos a batch has."""
        shape = self._shape
        groups = min(shape.people, len(self._several)) + shape.composites
        return groups * shape.photos + 2 * min(shape.single_people, len(self._single))

    def __getitem__(self, step: int) -> tuple[npt.NDArray[np.uint8], npt.NDArray[np.int32]]:
        """Return the photos `(b, h, w, c)` uint8 of one step, and labels `(b,)` that are equal for one person."""
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
        return photos, np.repeat(np.arange(len(sizes), dtype=np.int32), sizes)

    def _draw(self, person: int, photos: int, rng: np.random.Generator) -> npt.NDArray[np.int64]:
        """Choose this many photos of a person, none twice before all were taken once."""
        own = rng.permutation(self._photos_of[person])
        return np.resize(own, photos)

    def _composite(self, rng: np.random.Generator) -> npt.NDArray[np.uint8]:
        pair = rng.choice(len(self._photos_of), 2, replace=False)
        first, second = (self._dataset.gather(self._draw(person, self._shape.photos, rng)) for person in pair)
        return composite(first, second, rng)
