"""Where faces are in a photo, by the cascade of three networks called MTCNN (Zhang et al., 2016), run by ONNX Runtime.

The weights are those of the package `mtcnn`, converted to ONNX by `recipes/detector.py`. The first network looks at every place
of the photo at many sizes, each of the other two looks closer at what the one before it took for a face, and the last one finds
five points as well. Boxes, windows and points are counted as that package does, to the pixel: encoders learned from faces that were
cut by its points. A place of `(0, 0)` is the middle of the first pixel.
"""

import hashlib
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt
import onnxruntime

from visavis.errors import ModelError
from visavis.images import resize_image

__all__ = ["WEIGHTS", "Cascade", "load_cascade"]

Floats = npt.NDArray[np.float32]
Doubles = npt.NDArray[np.float64]

_WINDOW, _STRIDE, _SHRINKING = 12, 2, 0.709
_MOST_AT_ONE_SIZE = 4096
_BATCH = 128

WEIGHTS = Path(__file__).parent / "weights"
_DIGESTS = {
    "pnet": "7160cd5d4749689b50b19b7159c9a2d8c26a4e84b7bc6bcbaaf12111304a38a0",
    "rnet": "a48f61345817b64a279f9e01ff974b5925ae3970ec077ab6127e5d48c1e25154",
    "onet": "2b4d26f35952c0cea9848bf39a3adfd9da3f78254924d76bb8876074d6cfdc3d",
}
"""SHA-256 of the files, as `recipes/detector.py` prints them."""
_REINSTALL = "Try: pip install --force-reinstall visavis"


@dataclass(frozen=True, eq=False)
class Cascade:
    """The three networks: faces proposed, refined, and told with their points.

    Attributes:
        proposing: Takes photos of any size.
        refining: Takes windows of 24 x 24 pixels.
        telling: Takes windows of 48 x 48 pixels.
    """

    proposing: onnxruntime.InferenceSession
    refining: onnxruntime.InferenceSession
    telling: onnxruntime.InferenceSession

    def detect(self, photo: npt.NDArray[np.uint8], *, smallest: int, least_score: float) -> tuple[Doubles, Doubles, Doubles]:
        """Find the faces of a photo.

        Args:
            photo: `(h, w, 3)` uint8, RGB.
            smallest: Side of the smallest face that is looked for, pixels, at least 12.
            least_score: From which score on something is a face, 0 .. 1.

        Returns:
            Boxes `(n, 4)` of left, top, right and bottom; points `(n, 5, 2)` of the eye on the left of the photo, the other eye,
            the nose and the corners of the mouth; and scores `(n,)`, the highest first.
        """
        levels = _levels(photo)
        boxes = _squares(self._proposed(levels, smallest))
        offsets, faces = self._looked_at(self.refining, levels, boxes, 24)
        kept = faces[:, 1] > 0.7
        boxes, _ = _best(_moved(boxes, offsets)[kept], faces[kept, 1], 0.7)

        boxes = _squares(boxes)
        offsets, places, faces = self._looked_at(self.telling, levels, boxes, 48)
        sides = boxes[:, 2:] - boxes[:, :2] + 1
        points = boxes[:, None, :2] + sides[:, None] * places.reshape(-1, 2, 5).swapaxes(1, 2) - 1
        boxes, scores = _moved(boxes, offsets), faces[:, 1].astype(np.float64)
        order = np.argsort(-scores, kind="stable")
        order = order[scores[order] > least_score]
        order = order[_uncovered(boxes[order], 0.7, of_the_smaller=True)]
        return boxes[order], points[order], scores[order]

    def resemblance(self, crop: npt.NDArray[np.uint8]) -> float:
        """Tell how sure the second network is that a face fills a crop `(h, w, 3)` uint8, 0 .. 1."""
        window = _levels(resize_image(crop, (24, 24)))
        return float(self.refining.run(None, {"photo": window[None]})[1][0, 1])

    def _proposed(self, levels: Floats, smallest: int) -> Doubles:
        """Where the first network sees faces, at any size."""
        height, width = levels.shape[1:]
        integral = _integral(levels)
        boxes, scores = [np.zeros((0, 4))], [np.zeros(0, np.float32)]
        scale = _WINDOW / smallest
        while min(height, width) * scale >= _WINDOW:
            offsets, faces = self.proposing.run(None, {"photo": _shrunk(integral, int(height * scale), int(width * scale))[None]})
            seen = faces[0, 1]
            rows, columns = np.nonzero(seen > 0.6)
            if len(rows) > _MOST_AT_ONE_SIZE:
                best = np.argpartition(-seen[rows, columns], _MOST_AT_ONE_SIZE)[:_MOST_AT_ONE_SIZE]
                rows, columns = rows[best], columns[best]
            corners = _STRIDE * np.stack([columns, rows], axis=1)
            windows = np.concatenate([corners + 1.0, corners + float(_WINDOW)], axis=1)
            windows += (_WINDOW - 1) * offsets[0][:, rows, columns].T
            kept = _best(windows / scale, seen[rows, columns], 0.5)
            boxes.append(kept[0])
            scores.append(kept[1])
            scale *= _SHRINKING
        return _best(np.concatenate(boxes), np.concatenate(scores), 0.7)[0]

    @staticmethod
    def _looked_at(network: onnxruntime.InferenceSession, levels: Floats, boxes: Doubles, side: int) -> list[Floats]:
        """What a network says of windows of a photo."""
        parts = [boxes[start : start + _BATCH] for start in range(0, max(1, len(boxes)), _BATCH)]
        outputs = [network.run(None, {"photo": _windows(levels, part, side)}) for part in parts]
        return [np.concatenate(output) for output in zip(*outputs, strict=True)]


def load_cascade(folder: Path = WEIGHTS) -> Cascade:
    """Load the three networks, of one thread each.

    Args:
        folder: Where `pnet.onnx`, `rnet.onnx` and `onet.onnx` are; default: those of the package.

    Raises:
        ModelError: If a file is missing, or is not the one that visavis was released with.
    """
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = 1
    sessions = [
        onnxruntime.InferenceSession(_verified(folder / f"{name}.onnx", digest), options, providers=["CPUExecutionProvider"])
        for name, digest in _DIGESTS.items()
    ]
    return Cascade(*sessions)


def _verified(path: Path, digest: str) -> bytes:
    """Read a file whose SHA-256 digest must be this one."""
    try:
        content = path.read_bytes()
    except OSError as error:
        raise ModelError(f"{path}: the face detector cannot be read ({error.strerror}). {_REINSTALL}") from error
    if hashlib.sha256(content).hexdigest() != digest:
        raise ModelError(f"{path}: damaged or replaced, its SHA-256 digest must be {digest}. {_REINSTALL}")
    return content


def _levels(photo: npt.NDArray[np.uint8]) -> Floats:
    """A photo as the networks take it, `(3, h, w)` about 0."""
    return np.asarray((photo.transpose(2, 0, 1) - 127.5) / 128, dtype=np.float32)


def _integral(levels: Floats) -> Doubles:
    """Sums of all levels above and to the left, `(c, h + 1, w + 1)`."""
    sums = np.zeros((levels.shape[0], levels.shape[1] + 1, levels.shape[2] + 1))
    np.cumsum(levels, axis=1, dtype=np.float64, out=sums[:, 1:, 1:])
    np.cumsum(sums, axis=2, out=sums)
    return sums


def _shrunk(integral: Doubles, height: int, width: int) -> Floats:
    """The photo of an integral at another size, each pixel the mean of the area that it covers."""
    sums = _between(_between(integral, height).swapaxes(1, 2), width)
    area = (integral.shape[1] - 1) * (integral.shape[2] - 1) / (height * width)
    return np.asarray(np.diff(np.diff(sums, axis=1), axis=2).swapaxes(1, 2) / area, dtype=np.float32)


def _between(sums: Doubles, parts: int) -> Doubles:
    """Read sums `(c, n + 1, m)` at the edges of parts of equal length."""
    edges = np.linspace(0, sums.shape[1] - 1, parts + 1)
    low = np.minimum(edges.astype(int), sums.shape[1] - 2)
    rest = (edges - low)[None, :, None]
    return np.asarray(sums[:, low] * (1 - rest) + sums[:, low + 1] * rest)


def _windows(levels: Floats, boxes: Doubles, side: int) -> Floats:
    """Squares `(n, c, side, side)` cut out of a photo between its pixels; 0, a middle grey, where they reach beyond."""
    steps = np.linspace(0, 1, side)
    columns = _places(boxes[:, [0]] + (boxes[:, [2]] - boxes[:, [0]]) * steps, levels.shape[2])
    rows = _places(boxes[:, [1]] + (boxes[:, [3]] - boxes[:, [1]]) * steps, levels.shape[1])
    found = np.zeros((levels.shape[0], len(boxes), side, side), np.float32)
    for row, row_weight in rows:
        for column, column_weight in columns:
            weights = row_weight[:, :, None] * column_weight[:, None, :]
            found += weights * levels[:, row[:, :, None], column[:, None, :]]
    return found.swapaxes(0, 1)


def _places(places: Doubles, length: int) -> list[tuple[npt.NDArray[np.intp], Floats]]:
    """The two pixels beside each place with their weights, which are 0 beyond the photo."""
    places = places * (length - 1) / length
    low = np.clip(np.floor(places), 0, max(0, length - 2)).astype(np.intp)
    rest = places - low
    inside = (places >= 0) & (places <= length - 1)
    return [
        (low, np.where(inside, 1 - rest, 0).astype(np.float32)),
        (np.minimum(low + 1, length - 1), np.where(inside, rest, 0).astype(np.float32)),
    ]


def _moved(boxes: Doubles, offsets: Floats) -> Doubles:
    """Boxes with their edges moved by shares of their sides."""
    return np.asarray(boxes + offsets * np.tile(boxes[:, 2:] - boxes[:, :2] + 1, 2))


def _squares(boxes: Doubles) -> Doubles:
    """The squares around the middles of boxes, as wide as their longer sides."""
    halves = (boxes[:, 2:] - boxes[:, :2]).max(axis=1, keepdims=True) / 2
    middles = (boxes[:, :2] + boxes[:, 2:]) / 2
    return np.concatenate([middles - halves, middles + halves], axis=1)


def _best(boxes: Doubles, scores: Floats, most: float) -> tuple[Doubles, Floats]:
    """The boxes, the highest score first, without those of which a better one covers more than a share."""
    order = np.argsort(-scores, kind="stable")
    order = order[_uncovered(boxes[order], most)]
    return boxes[order], scores[order]


def _uncovered(boxes: Doubles, most: float, *, of_the_smaller: bool = False) -> npt.NDArray[np.intp]:
    """Which boxes have no more in common with any box before them than a share of both together, or of the smaller one."""
    left, top, right, bottom = boxes.T
    areas = (right - left) * (bottom - top)
    uncovered = np.ones(len(boxes), dtype=bool)
    for start in range(0, len(boxes), _BATCH):
        some = slice(start, start + _BATCH)
        wide = np.minimum(right[some, None], right) - np.maximum(left[some, None], left)
        high = np.minimum(bottom[some, None], bottom) - np.maximum(top[some, None], top)
        common = np.maximum(wide, 0) * np.maximum(high, 0)
        whole = np.minimum(areas[some, None], areas) if of_the_smaller else areas[some, None] + areas - common
        uncovered[some] = ~np.any(np.tril(common > most * whole, start - 1), axis=1)
    return np.flatnonzero(uncovered)
