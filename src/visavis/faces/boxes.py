"""Bounding boxes: box regression, square boxes, non-maximum suppression (NMS).

A box is left, top, right and bottom in pixels; `(0, 0)` is the middle of the first pixel. The arithmetic is that of the package
`mtcnn`, to the pixel, because encoders were trained on faces aligned by its landmarks.
"""

from typing import Literal

import numpy as np
import numpy.typing as npt

__all__ = ["regress_boxes", "square_boxes", "suppress_overlaps"]

Floats = npt.NDArray[np.float32]
Doubles = npt.NDArray[np.float64]

_BLOCK = 128


def regress_boxes(boxes: Doubles, offsets: Floats) -> Doubles:
    """Move the edges of boxes `(n, 4)` by `offsets` `(n, 4)`, given as fractions of their sides."""
    return np.asarray(boxes + offsets * np.tile(boxes[:, 2:] - boxes[:, :2] + 1, 2))


def square_boxes(boxes: Doubles) -> Doubles:
    """Return the squares with the centres of boxes `(n, 4)` and the length of their longer sides."""
    halves = (boxes[:, 2:] - boxes[:, :2]).max(axis=1, keepdims=True) / 2
    centres = (boxes[:, :2] + boxes[:, 2:]) / 2
    return np.concatenate([centres - halves, centres + halves], axis=1)


def suppress_overlaps(
    boxes: Doubles, scores: npt.NDArray[np.floating], max_overlap: float, *, relative_to: Literal["union", "smaller"] = "union"
) -> npt.NDArray[np.intp]:
    """Non-maximum suppression: drop every box that overlaps a better one.

    Unlike greedy suppression, a box that was itself suppressed suppresses others as well.

    Args:
        boxes: `(n, 4)`.
        scores: `(n,)`.
        max_overlap: Largest intersection that is kept, as a fraction.
        relative_to: What it is a fraction of: `"union"` of both boxes, or the area of the `"smaller"` one.

    Returns:
        Indices of the remaining boxes, highest score first.
    """
    order = np.argsort(-scores, kind="stable")
    left, top, right, bottom = boxes[order].T
    areas = (right - left) * (bottom - top)
    remains = np.ones(len(order), dtype=bool)
    for start in range(0, len(order), _BLOCK):
        block = slice(start, start + _BLOCK)
        widths = np.minimum(right[block, None], right) - np.maximum(left[block, None], left)
        heights = np.minimum(bottom[block, None], bottom) - np.maximum(top[block, None], top)
        common = np.maximum(widths, 0) * np.maximum(heights, 0)
        whole = areas[block, None] + areas - common if relative_to == "union" else np.minimum(areas[block, None], areas)
        remains[block] = ~np.any(np.tril(common > max_overlap * whole, start - 1), axis=1)
    return order[remains]
