"""Image pyramid and bilinear crops: pixels as the MTCNN networks take them.

Sampling positions are those of the package `mtcnn`, whose landmarks encoders were trained on.
"""

import numpy as np
import numpy.typing as npt

__all__ = ["area_resize", "crop_boxes", "integral_image", "normalise"]

Floats = npt.NDArray[np.float32]
Doubles = npt.NDArray[np.float64]


def normalise(photo: npt.NDArray[np.uint8]) -> Floats:
    """Turn a photo `(h, w, 3)` uint8 into `(3, h, w)` float32, about -1 .. 1."""
    return np.asarray((photo.transpose(2, 0, 1) - 127.5) / 128, dtype=np.float32)


def integral_image(image: Floats) -> Doubles:
    """Return the sums of all pixels above and to the left, `(c, h + 1, w + 1)`."""
    sums = np.zeros((image.shape[0], image.shape[1] + 1, image.shape[2] + 1))
    np.cumsum(image, axis=1, dtype=np.float64, out=sums[:, 1:, 1:])
    np.cumsum(sums, axis=2, out=sums)
    return sums


def area_resize(integral: Doubles, height: int, width: int) -> Floats:
    """Resize the image of an `integral_image`; each pixel is the mean of the area that it covers.

    Returns:
        `(c, height, width)` float32.
    """
    sums = _interpolate_rows(_interpolate_rows(integral, height).swapaxes(1, 2), width)
    area = (integral.shape[1] - 1) * (integral.shape[2] - 1) / (height * width)
    return np.asarray(np.diff(np.diff(sums, axis=1), axis=2).swapaxes(1, 2) / area, dtype=np.float32)


def crop_boxes(image: Floats, boxes: Doubles, side: int) -> Floats:
    """Crop boxes `(n, 4)` from an image `(c, h, w)` by bilinear interpolation; 0, a middle grey, outside of it.

    Returns:
        `(n, c, side, side)` float32.
    """
    steps = np.linspace(0, 1, side)
    columns = _neighbours(boxes[:, [0]] + (boxes[:, [2]] - boxes[:, [0]]) * steps, image.shape[2])
    rows = _neighbours(boxes[:, [1]] + (boxes[:, [3]] - boxes[:, [1]]) * steps, image.shape[1])
    crops = np.zeros((image.shape[0], len(boxes), side, side), np.float32)
    for row, row_weight in rows:
        for column, column_weight in columns:
            weights = row_weight[:, :, None] * column_weight[:, None, :]
            crops += weights * image[:, row[:, :, None], column[:, None, :]]
    return crops.swapaxes(0, 1)


def _interpolate_rows(sums: Doubles, count: int) -> Doubles:
    """Read sums `(c, n + 1, m)` at the `count + 1` edges of `count` rows of equal height."""
    edges = np.linspace(0, sums.shape[1] - 1, count + 1)
    lower = np.minimum(edges.astype(int), sums.shape[1] - 2)
    fraction = (edges - lower)[None, :, None]
    return np.asarray(sums[:, lower] * (1 - fraction) + sums[:, lower + 1] * fraction)


def _neighbours(positions: Doubles, length: int) -> list[tuple[npt.NDArray[np.intp], Floats]]:
    """The two pixels beside each position on an axis of `length` pixels, with their weights, which are 0 outside of the image."""
    positions = positions * (length - 1) / length
    lower = np.clip(np.floor(positions), 0, max(0, length - 2)).astype(np.intp)
    fraction = positions - lower
    inside = (positions >= 0) & (positions <= length - 1)
    return [
        (lower, np.where(inside, 1 - fraction, 0).astype(np.float32)),
        (np.minimum(lower + 1, length - 1), np.where(inside, fraction, 0).astype(np.float32)),
    ]
