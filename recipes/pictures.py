"""Pictures for the student with the teacher's descriptors: aligned faces of LFW, and composites of people who do not exist.

    python recipes/pictures.py --photos LFW.tar --faces runs/lfw-faces --pairs lfw-pairs.txt [--left-out 0,1] [--seed 20]

`--faces` is what `visavis prepare LFW.tar --face centre` wrote. The people of the folds of View 2 that are left out, and a tenth of
all others, who are for validation, give no part of a composite and no picture that is learned from. A canvas is 204 x 204 pixels
at one and a half times the scale of the canonical crop, with 12 canonical pixels more on either side, 8 at the top and 16 at the
bottom; dlib's chip lies in it pixel by pixel. What is kept for the student is half as large. A descriptor is the mean of those of a
picture and of its mirror image. Resumed where it stopped; on 2 cores a thousand pictures take about eight seconds. Writes into
`--out`: `pictures.npy`, `descriptors.npy` and `photos.npz`.
"""

import argparse
import csv
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt
from PIL import Image
from teacher import Teacher
from tqdm import tqdm

from visavis.data import FaceDataset, lfw_folds, load_dataset, open_photos, read_lfw_pairs, split_people
from visavis.faces import CANONICAL_LANDMARKS, Similarity, warp_face
from visavis.images import read_image

Pixels = npt.NDArray[np.uint8]
Floats = npt.NDArray[np.float32]
Indices = npt.NDArray[np.int64]

SCALE, LEFT, TOP, CANVAS = 1.5, 12, 8, 204
CHIP = np.s_[46:196, 28:178]  # the median of where dlib itself cuts LFW's photos
KEPT = CANVAS // 2
_PART = 256
_LANDMARKS = ("left_eye", "right_eye", "nose", "mouth_left", "mouth_right")


@dataclass(frozen=True)
class Sides:
    """Who serves for what: indices of photos of the prepared data set."""

    training: Indices
    validation: Indices
    left_out: Indices


def sides(dataset: FaceDataset, pairs: Path, folds: list[int]) -> Sides:
    """Part the photos by person: those of the folds, a tenth of the others for validation, and the rest."""
    seen = lfw_folds(dataset, read_lfw_pairs(pairs, dataset), folds)[0] if folds else dataset
    split = split_people(seen, fractions=(0.9, 0.1, 0), seed=0)
    people = np.array(dataset.people)[dataset.labels]
    training, validation = np.isin(people, split.train.people), np.isin(people, split.validation.people)
    return Sides(np.flatnonzero(training), np.flatnonzero(validation), np.flatnonzero(~training & ~validation))


def canvases(photos: Path, faces: Path) -> Iterator[Pixels]:
    """Cut each prepared face out of its photo again, with more around it: `(204, 204, 3)`, in the order of the data set."""
    target = (CANONICAL_LANDMARKS + [LEFT, TOP]) * SCALE + (SCALE - 1) / 2
    with open_photos(photos) as files, (faces / "faces.csv").open(newline="", encoding="utf-8") as table:
        for row in csv.DictReader(table):
            landmarks = [[float(row[f"{point}_x"]), float(row[f"{point}_y"])] for point in _LANDMARKS]
            photo = read_image(files.fetch(row["source"]), name=row["source"])
            yield warp_face(photo, Similarity.between(landmarks, target), CANVAS)


def composite(first: Pixels, second: Pixels, rng: np.random.Generator) -> Pixels:
    """Make the face of somebody who does not exist out of two canvases.

    A blend; or the upper part of one over the lower part of the other; or the eyes, nose or mouth of one in the face of the other,
    feathered; or the first alone. The second's colours are often brought to the first's. All of it is stretched a little, and half
    of the time bent as well (the first alone always), which changes who it is.
    """
    one, other = first.astype(np.float32), second.astype(np.float32)
    if rng.random() < 0.6:
        other = _with_colours_of(one, other)
    kind, bent = rng.random(), rng.random() < 0.5
    weight: Floats | float = 0
    if kind < 0.2:
        bent = True
    elif kind < 0.5:
        weight = rng.uniform(0.3, 0.7)
    elif kind < 0.75:
        weight = _seam(rng)
    else:
        weight = _features(rng)
    mixed = np.clip(one + weight * (other - one) + 0.5, 0, 255).astype(np.uint8)
    stretched = _stretched(mixed, rng)
    return _bent(stretched, rng) if bent else stretched


def _with_colours_of(one: Floats, other: Floats) -> Floats:
    inner = np.s_[40:180, 40:164]
    mean, deviation = (getattr(one[inner], name)(axis=(0, 1)) for name in ("mean", "std"))
    return (other - other[inner].mean(axis=(0, 1))) * (deviation / np.maximum(other[inner].std(axis=(0, 1)), 1)) + mean


def _seam(rng: np.random.Generator) -> Floats:
    """A weight that rises from 0 to 1 across a line that is more or less level, between the brows and the mouth."""
    down, across = np.mgrid[:CANVAS, :CANVAS].astype(np.float32)
    height = rng.uniform(80, 135) + rng.uniform(-0.25, 0.25) * (across - CANVAS / 2)
    rising = np.clip((down - height) / rng.uniform(6, 24) + 0.5, 0, 1)
    return (rising if rng.random() < 0.5 else 1 - rising)[:, :, None]


def _features(rng: np.random.Generator) -> Floats:
    """A weight of 1 on one or two of eyes with brows, nose, and mouth with chin; feathered."""
    places = (((84, 101), (24, 52)), ((106, 101), (26, 18)), ((150, 101), (22, 34)))  # centre and half axes, pixels
    weight = np.zeros((CANVAS, CANVAS), dtype=np.float32)
    down, across = np.mgrid[:CANVAS, :CANVAS].astype(np.float32)
    for index in rng.choice(3, rng.integers(1, 3), replace=False):
        (row, column), (high, wide) = places[index]
        distance = np.hypot((down - row) / high, (across - column) / wide)
        weight = np.maximum(weight, np.clip((1.15 - distance) / 0.3, 0, 1))
    return weight[:, :, None]


def _stretched(canvas: Pixels, rng: np.random.Generator) -> Pixels:
    wide, high, shear = *np.exp(rng.uniform(-0.07, 0.07, 2)), rng.uniform(-0.05, 0.05)
    middle = CANVAS / 2
    matrix = (wide, shear, middle * (1 - wide - shear), 0, high, middle * (1 - high))
    image = Image.fromarray(canvas).transform((CANVAS, CANVAS), Image.Transform.AFFINE, matrix, Image.Resampling.BILINEAR)
    return np.asarray(image)


def _bent(canvas: Pixels, rng: np.random.Generator) -> Pixels:
    """Move the corners of a grid of 5 x 5 fields at random, those of the border along it alone, and what lies between with them."""
    lines = np.linspace(0, CANVAS, 6).round().astype(int)
    moved = rng.normal(0, 4, (6, 6, 2))
    moved[[0, -1], :, 0] = moved[:, [0, -1], 1] = 0
    corners = np.stack(np.meshgrid(lines, lines, indexing="ij"), axis=2) + moved
    fields = []
    for row, column in np.ndindex(5, 5):
        box = (lines[column], lines[row], lines[column + 1], lines[row + 1])
        quad = [corners[row + down, column + right, ::-1] for down, right in ((0, 0), (1, 0), (1, 1), (0, 1))]
        fields.append((box, tuple(np.concatenate(quad))))
    image = Image.fromarray(canvas).transform((CANVAS, CANVAS), Image.Transform.MESH, fields, Image.Resampling.BILINEAR)
    return np.asarray(image)


def halved(canvas: Pixels) -> Pixels:
    """What is kept of a canvas."""
    return np.asarray(Image.fromarray(canvas).reduce(2))


def _descriptors(teacher: Teacher, made: Pixels) -> Floats:
    """The mean of the teacher's descriptors of canvases and of their mirror images."""
    return (teacher.descriptors(made[(slice(None), *CHIP)]) + teacher.descriptors(made[:, :, ::-1][(slice(None), *CHIP)])) / 2


def _opened(path: Path, shape: tuple[int, ...], dtype: type) -> np.memmap:
    """A file of that shape, made if it is not there; new floats are NaN."""
    if path.is_file():
        return np.lib.format.open_memmap(path, "r+")
    array = np.lib.format.open_memmap(path, "w+", dtype, shape)
    if dtype is np.float32:
        array[:] = np.nan
    return array


def _whole_canvases(out: Path, photos: Path, faces: Path, count: int) -> np.memmap:
    finished = out / "canvases.npy"
    if not finished.is_file():
        begun = np.lib.format.open_memmap(out / "canvases.part.npy", "w+", np.uint8, (count, CANVAS, CANVAS, 3))
        for index, canvas in enumerate(tqdm(canvases(photos, faces), total=count, desc="canvases")):
            begun[index] = canvas
        begun.flush()
        (out / "canvases.part.npy").rename(finished)
    return np.load(finished, mmap_mode="r")


def make_pictures(out: Path, whole: np.memmap, training: Indices, *, count: int, seed: int) -> None:
    """Make the pictures, first the photos themselves and then composites, each with its descriptor."""
    total = len(whole) + count
    pictures = _opened(out / "pictures.npy", (total, KEPT, KEPT, 3), np.uint8)
    descriptors = _opened(out / "descriptors.npy", (total, 128), np.float32)
    teacher = Teacher(threads=1)

    def make(start: int) -> int:
        rng = np.random.default_rng([start, seed])
        stop = min(start + _PART, total)
        made = np.empty((stop - start, CANVAS, CANVAS, 3), dtype=np.uint8)
        for place, index in enumerate(range(start, stop)):
            if index < len(whole):
                made[place] = whole[index]
            else:
                first, second = rng.choice(training, 2, replace=False)
                made[place] = composite(whole[first], whole[second][:, :: rng.choice((-1, 1))], rng)
        pictures[start:stop] = [halved(canvas) for canvas in made]
        parts = np.array_split(made, 8)
        descriptors[start:stop] = np.concatenate([_descriptors(teacher, part) for part in parts])
        return stop - start

    waiting = [start for start in range(0, total, _PART) if np.isnan(descriptors[start : start + _PART]).any()]
    with ThreadPoolExecutor(2) as pool, tqdm(total=total, desc="pictures") as bar:
        bar.update(total - min(total, _PART * len(waiting)))
        for done in pool.map(make, waiting):
            bar.update(done)
    pictures.flush()
    descriptors.flush()


def main() -> None:
    """Cut, mix, ask the teacher, write."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--photos", type=Path, required=True)
    parser.add_argument("--faces", type=Path, required=True)
    parser.add_argument("--pairs", type=Path, required=True)
    parser.add_argument("--left-out", default="", help="folds of View 2 whose people give no picture, such as 0,1")
    parser.add_argument("--composites", type=int, default=150_000)
    parser.add_argument("--seed", type=int, default=20, help="draws the composites")
    parser.add_argument("--out", type=Path, required=True)
    options = parser.parse_args()
    options.out.mkdir(parents=True, exist_ok=True)
    dataset = load_dataset(options.faces)
    parted = sides(dataset, options.pairs, [int(fold) for fold in options.left_out.split(",") if fold])
    whole = _whole_canvases(options.out, options.photos, options.faces, len(dataset))
    np.savez(options.out / "photos.npz", **vars(parted), labels=dataset.labels, sources=np.array(dataset.sources))
    make_pictures(options.out, whole, parted.training, count=options.composites, seed=options.seed)


if __name__ == "__main__":
    main()
