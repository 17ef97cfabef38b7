"""Generated faces: people who do not exist, for demonstrations and tests."""

import multiprocessing
from collections.abc import Callable, Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from functools import lru_cache, partial
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from visavis.data._face_parameters import CONDITION_NUMBERS, IDENTITY_NUMBERS, draw_conditions, draw_identities
from visavis.data._face_rendering import render
from visavis.data.dataset import FaceDataset, map_new
from visavis.errors import check_numbers
from visavis.images import to_gray

__all__ = ["RenderOptions", "generate_faces"]

_CHUNK = 16  # faces rendered at once: what the processor's cache holds
_BLOCK = 512  # faces that one process renders at a time
_NOISE = 1 << 20
_SIDES = (32, 512)


class _Sources(Sequence[str]):
    """Names such as `synthetic:seed=0/person=12/photo=3`, made on request."""

    def __init__(self, seed: int, people: int, photos: int) -> None:
        self._seed, self._people, self._photos = seed, people, photos

    def __len__(self) -> int:
        return self._people * self._photos

    def __getitem__(self, index: Any) -> Any:
        if isinstance(index, slice):
            return [self[place] for place in range(*index.indices(len(self)))]
        if not -len(self) <= index < len(self):
            raise IndexError(index)
        person, photo = divmod(index % len(self), self._photos)
        return f"synthetic:seed={self._seed}/person={person}/photo={photo}"


@dataclass(frozen=True)
class RenderOptions:
    """How generated faces are rendered; the photos are the same.

    Attributes:
        out: A new `.npy` file to render into, for more faces than fit into memory; the data set then maps it. None: memory.
        workers: Number of processes, at least 1; more than one is faster from some thousand photos on, and needs a script whose
            work is guarded by ``if __name__ == "__main__"``.
    """

    out: Path | str | None = None
    workers: int = 1

    def __post_init__(self) -> None:
        """Check the number of processes.

        Raises:
            ValueError: If it is not positive.
        """
        check_numbers(self)
        if self.workers < 1:
            raise ValueError(f"workers must be at least 1, got {self.workers}")


def generate_faces(
    people: int = 120,
    photos: int = 8,
    *,
    size: int = 64,
    gray: bool = False,
    seed: int = 0,
    options: RenderOptions | None = None,
) -> FaceDataset:
    """Render photos of people who do not exist.

    A person's appearance (shape of the head, proportions, skin, hair, brows, eyes, nose, mouth, beard ...) is drawn once for each
    person; the conditions of a photo (pose, light, expression, blur, noise, occlusion, background) once for each photo. A photo
    depends only on the seed, the person's number and its own number.

    Args:
        people: How many people, at least 2.
        photos: How many photos of each.
        size: Side of a photo, 32 .. 512 pixels.
        gray: Whether to convert to grey.
        seed: Draws people and photos; people of different seeds are different people.
        options: Processes, and a file for more faces than fit into memory.

    Raises:
        ValueError: If a number is out of range.
        OSError: If there is not enough space for the file.

    Example:
        >>> generate_faces(3, 2, size=32).summary().photos
        6
    """
    if people < 2 or photos < 1:
        raise ValueError(f"people must be at least 2 and photos at least 1, got people={people} and photos={photos}")
    if not _SIDES[0] <= size <= _SIDES[1]:
        raise ValueError(f"size must be in {_SIDES[0]} .. {_SIDES[1]}, got {size}")
    shape = (people * photos, size, size, 1 if gray else 3)
    render_block = partial(_render_block, photos=photos, size=size, gray=gray, seed=seed)
    return FaceDataset(
        pixels=_render_all(shape, render_block, options or RenderOptions()),
        labels=np.repeat(np.arange(people), photos),
        people=tuple(f"synthetic-{seed}-{person:06d}" for person in range(people)),
        sources=_Sources(seed, people, photos),
    )


def _render_all(
    shape: tuple[int, ...], render_block: Callable[[range], npt.NDArray[np.uint8]], options: RenderOptions
) -> npt.NDArray[np.uint8]:
    """Render blocks of faces into an array of this shape, or into a file that is then mapped."""
    pixels: npt.NDArray[np.uint8]
    pixels = np.empty(shape, np.uint8) if options.out is None else map_new(options.out, shape)
    blocks = [range(start, min(start + _BLOCK, len(pixels))) for start in range(0, len(pixels), _BLOCK)]
    if options.workers == 1:
        for block in blocks:
            pixels[block.start : block.stop] = render_block(block)
    else:
        with ProcessPoolExecutor(options.workers, mp_context=multiprocessing.get_context("spawn")) as pool:
            for block, faces in zip(blocks, pool.map(render_block, blocks), strict=True):
                pixels[block.start : block.stop] = faces
    if options.out is not None:
        del pixels
        pixels = np.load(options.out, mmap_mode="r")
    return pixels


@lru_cache(maxsize=1)
def _noise_bank(seed: int, size: int) -> npt.NDArray[np.float32]:
    """The noise that photos of this seed take theirs from."""
    return np.random.default_rng(seed).standard_normal(_NOISE + size * size, dtype=np.float32)


def _render_block(block: range, *, photos: int, size: int, gray: bool, seed: int) -> npt.NDArray[np.uint8]:
    """Render the faces of these numbers, `photos` to a person."""
    parts = []
    for start in range(block.start, block.stop, _CHUNK):
        person, photo = np.divmod(np.arange(start, min(start + _CHUNK, block.stop)), photos)
        faces = _render_photos(person, photo, size=size, seed=seed)
        parts.append(to_gray(faces) if gray else faces)
    return np.concatenate(parts)


def _render_photos(person: npt.NDArray[np.int64], photo: npt.NDArray[np.int64], *, size: int, seed: int) -> npt.NDArray[np.uint8]:
    """Render some photos, each from its person's and its own stream of random numbers."""
    numbers = {one: np.random.default_rng([seed, one]).random(IDENTITY_NUMBERS) for one in set(person.tolist())}
    identities = np.stack([numbers[one] for one in person.tolist()])
    conditions = np.stack(
        [
            np.random.default_rng([seed, one, which]).random(CONDITION_NUMBERS + 1)
            for one, which in zip(person.tolist(), photo.tolist(), strict=True)
        ]
    )
    offsets = (conditions[:, -1] * _NOISE).astype(int)
    bank = _noise_bank(seed, size)
    noise = np.stack([bank[offset : offset + size * size].reshape(size, size) for offset in offsets])
    return render(draw_identities(identities), draw_conditions(conditions), size, noise)
