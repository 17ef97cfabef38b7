"""Random changes to training photos: geometry, light, occlusion, and composites of two people."""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from PIL import Image

from visavis.errors import check_numbers

__all__ = ["Augmentation", "augment", "composite"]

Photos = npt.NDArray[np.uint8]
Floats = npt.NDArray[np.float32]


@dataclass(frozen=True)
class Augmentation:
    """How much each training photo may be changed at random.

    Attributes:
        rotation: Largest rotation, degrees.
        scale: Largest relative change of size, 0.15 for 1/1.15 .. 1.15; each axis varies by a third of it in addition.
        shift: Largest translation, as a fraction of the side.
        flip: Probability of mirroring.
        contrast: Largest relative change of contrast and of brightness.
        gamma: Largest exponent; the smallest is its inverse.
        side_light: Largest relative difference of brightness that a gradient across the face adds.
        colour: Largest relative change of one colour channel.
        grayscale: Probability that the photo is converted to gray.
        cutout: Probability that a rectangle is filled with one level (random erasing).
        cutout_side: Largest side of that rectangle, as a fraction of the photo's.
        noise: Largest standard deviation of the noise in brightness, in levels of 0 .. 255.
        blur: Probability that the photo is downscaled and enlarged again.
    """

    rotation: float = 10.0
    scale: float = 0.12
    shift: float = 0.06
    flip: float = 0.5
    contrast: float = 0.3
    gamma: float = 1.4
    side_light: float = 0.5
    colour: float = 0.1
    grayscale: float = 0.1
    cutout: float = 0.5
    cutout_side: float = 0.45
    noise: float = 6.0
    blur: float = 0.15

    def __post_init__(self) -> None:
        """Check the ranges.

        Raises:
            ValueError: If a value is not a number, is negative, or is a probability above 1.
        """
        check_numbers(self)
        for name, value in vars(self).items():
            if value < 0:
                raise ValueError(f"{name} must be at least 0, got {value}")
        for name in ("flip", "grayscale", "cutout", "cutout_side", "blur"):
            if getattr(self, name) > 1:
                raise ValueError(f"{name} must be in [0, 1], got {getattr(self, name)}")


def augment(
    photos: Photos, rng: np.random.Generator, settings: Augmentation, *, frame: tuple[int, int, int, int] | None = None
) -> Photos:
    """Change each photo at random.

    Args:
        photos: `(n, h, w, c)` uint8.
        rng: Generator of the changes.
        settings: How much may change.
        frame: Top, left, height and width of the part that is returned; rotation and translation bring in what lies around it.
            None: the whole photo.

    Returns:
        `(n, h, w, c)` uint8 of the size of the frame, new memory.
    """
    warped = _warp(photos, rng, settings, frame or (0, 0, *photos.shape[1:3]))
    lit = _relight(warped, rng, settings)
    _cut_out(lit, rng, settings)
    if settings.noise:
        level = rng.uniform(0, settings.noise, (len(photos), 1, 1, 1)).astype(np.float32)
        lit += level * rng.standard_normal((*lit.shape[:3], 1), dtype=np.float32)
    return np.clip(lit, 0, 255, out=lit).astype(np.uint8)


def composite(first: Photos, second: Photos, rng: np.random.Generator) -> Photos:
    """Compose photos of a synthetic person: the upper face of one person on the lower face of another.

    The seam is the same in all photos, so that they show the same synthetic person. After Hu et al. (2017), who swap parts of
    aligned faces.

    Args:
        first: `(k, h, w, c)` uint8, photos of one person, faces aligned.
        second: `(k, h, w, c)` uint8, photos of another.
        rng: Generator of the seam.

    Returns:
        `(k, h, w, c)` uint8.
    """
    height = first.shape[1]
    seam, feather = rng.uniform(0.42, 0.66), rng.uniform(0.03, 0.10)
    rows = (np.arange(height, dtype=np.float32) + 0.5) / height
    lower = np.clip((rows - seam) / feather + 0.5, 0, 1)[None, :, None, None]
    if rng.random() < 0.5:
        lower = 1 - lower
    return (first + lower * (second.astype(np.float32) - first) + 0.5).astype(np.uint8)


def _warp(photos: Photos, rng: np.random.Generator, settings: Augmentation, frame: tuple[int, int, int, int]) -> Photos:
    """Rotate, scale, translate and mirror around the centre in one resampling; the edge is repeated outside of the photo."""
    count, channels = len(photos), photos.shape[3]
    top, left, height, width = frame
    border = max(height, width) // 5
    padded = np.pad(photos, ((0, 0), (border, border), (border, border), (0, 0)), mode="edge")
    matrices = _inverse_transforms(count, (height, width), rng, settings) + [0, 0, left + border, 0, 0, top + border]
    coarseness = np.where(rng.random(count) < settings.blur, rng.uniform(0.4, 0.8, count), 1.0)
    warped = np.empty((count, height, width, channels), dtype=np.uint8)
    for index in range(count):
        image = Image.fromarray(padded[index, :, :, 0] if channels == 1 else padded[index])
        image = image.transform((width, height), Image.Transform.AFFINE, matrices[index].tolist(), Image.Resampling.BILINEAR)
        if coarseness[index] < 1:
            coarse = (max(8, round(width * coarseness[index])), max(8, round(height * coarseness[index])))
            image = image.resize(coarse, Image.Resampling.BOX).resize((width, height), Image.Resampling.BILINEAR)
        warped[index] = np.asarray(image).reshape(height, width, channels)
    return warped


def _inverse_transforms(
    count: int, sides: tuple[int, int], rng: np.random.Generator, settings: Augmentation
) -> npt.NDArray[np.float64]:
    """Affine transforms `(n, 6)` from positions in the result to positions in the source, in pixels."""

    def spread(limit: float) -> npt.NDArray[np.float64]:
        return rng.uniform(-limit, limit, count)

    height, width = sides
    angle = np.deg2rad(spread(settings.rotation))
    size = np.log1p(settings.scale)
    zoom = np.exp(spread(size))
    across, down = zoom * np.exp(spread(size / 3)), zoom * np.exp(spread(size / 3))
    across = np.where(rng.random(count) < settings.flip, -across, across)
    a, b = across * np.cos(angle), across * np.sin(angle)
    d, e = -down * np.sin(angle), down * np.cos(angle)
    c = width / 2 * (1 - a) - b * height / 2 + spread(settings.shift) * width
    f = height / 2 * (1 - e) - d * width / 2 + spread(settings.shift) * height
    return np.stack([a, b, c, d, e, f], axis=1)


def _relight(photos: Photos, rng: np.random.Generator, settings: Augmentation) -> Floats:
    """Change gamma, contrast, brightness, colour and side light of each photo independently."""
    count, height, width, channels = photos.shape

    def spread(limit: float, *shape: int) -> Floats:
        return rng.uniform(-limit, limit, shape).astype(np.float32)

    if channels == 3:
        gray = rng.random(count) < settings.grayscale
        photos[gray] = photos[gray].mean(axis=3, keepdims=True).astype(np.uint8)
    exponents = np.exp(spread(np.log(settings.gamma), count, 1, 1))
    levels = np.linspace(0, 1, 256, dtype=np.float32) ** exponents
    mean = (photos.mean(axis=(1, 2, 3), dtype=np.float32) / 255)[:, None, None] ** exponents
    levels = (levels - mean) * (1 + spread(settings.contrast, count, 1, 1)) + mean
    levels = 255 * levels * (1 + spread(settings.contrast, count, 1, 1) + spread(settings.colour, count, channels, 1))
    places = photos + (256 * np.arange(count * channels).reshape(count, 1, 1, channels))
    down = np.linspace(-1, 1, height, dtype=np.float32)[:, None, None] * spread(settings.side_light, count, 1, 1, 1)
    across = np.linspace(-1, 1, width, dtype=np.float32)[None, :, None] * spread(settings.side_light, count, 1, 1, 1)
    lit: Floats = np.take(levels, places)
    lit *= 1 + across + down / 2
    return lit


def _cut_out(photos: Floats, rng: np.random.Generator, settings: Augmentation) -> None:
    """Fill one rectangle of some photos with one level, in place."""
    count, height, width, _ = photos.shape
    for index in np.flatnonzero(rng.random(count) < settings.cutout):
        high = max(1, round(height * rng.uniform(0.1, settings.cutout_side)))
        wide = max(1, round(width * rng.uniform(0.1, settings.cutout_side)))
        top, left = rng.integers(0, height - high + 1), rng.integers(0, width - wide + 1)
        photos[index, top : top + high, left : left + wide] = rng.uniform(0, 255)
