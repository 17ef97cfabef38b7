"""Face detection by MTCNN (Zhang et al., 2016): a cascade of three networks, run by ONNX Runtime.

P-Net proposes boxes in an image pyramid, R-Net and O-Net refine them, and O-Net adds five landmarks. The weights are those of the
package `mtcnn`, converted by `recipes/detector.py`. Boxes and landmarks agree with that package to a tenth of a pixel, since
encoders were trained on faces aligned by them.
"""

import hashlib
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt
import onnxruntime

from visavis.errors import ModelError
from visavis.faces.boxes import regress_boxes, square_boxes, suppress_overlaps
from visavis.faces.sampling import area_resize, crop_boxes, integral_image, normalise
from visavis.images import resize_image
from visavis.inference import open_session

__all__ = ["DIGESTS", "MIN_FACE", "WEIGHTS", "Mtcnn", "load_mtcnn"]

Floats = npt.NDArray[np.float32]
Doubles = npt.NDArray[np.float64]

MIN_FACE = 12
"""Input size of P-Net, pixels: no smaller face can be searched for."""
_STRIDE, _PYRAMID_SCALE = 2, 0.709
_P_SIDE, _R_SIDE, _O_SIDE = MIN_FACE, 24, 48
_SCORES, _LOW_SCORES = (0.6, 0.7), (0.5, 0.5)  # minimum scores of P-Net and R-Net
_MAX_PROPOSALS = 4096  # in one level of the pyramid: bounds memory and time in crowds
_MAX_DOUBTFUL = 24  # proposals that a thorough search passes on, the best ones
_BATCH = 128

WEIGHTS = Path(__file__).parent / "weights"
DIGESTS = {
    "pnet": "7160cd5d4749689b50b19b7159c9a2d8c26a4e84b7bc6bcbaaf12111304a38a0",
    "rnet": "a48f61345817b64a279f9e01ff974b5925ae3970ec077ab6127e5d48c1e25154",
    "onet": "2b4d26f35952c0cea9848bf39a3adfd9da3f78254924d76bb8876074d6cfdc3d",
}
"""SHA-256 of the files, as `recipes/detector.py` prints them."""
_REINSTALL = "Try: pip install --force-reinstall visavis"


@dataclass(frozen=True, eq=False)
class Mtcnn:
    """The three networks.

    Attributes:
        p_net: Proposes boxes; takes images of any size.
        r_net: Refines boxes; takes crops of 24 x 24 pixels.
        o_net: Refines boxes and finds landmarks; takes crops of 48 x 48 pixels.
    """

    p_net: onnxruntime.InferenceSession
    r_net: onnxruntime.InferenceSession
    o_net: onnxruntime.InferenceSession

    def detect(
        self, photo: npt.NDArray[np.uint8], *, min_face: int, min_score: float, thorough: bool = False
    ) -> tuple[Doubles, Doubles, Doubles]:
        """Detect faces.

        Args:
            photo: `(h, w, 3)` uint8, RGB.
            min_face: Side of the smallest face searched for, pixels, at least 12.
            min_score: Minimum detector score, 0 .. 1.
            thorough: Whether to search for a face that was missed: P-Net and R-Net pass on boxes of lower scores, but few.

        Returns:
            Boxes `(n, 4)` of left, top, right and bottom; landmarks `(n, 5, 2)`, x and y of the eye on the left of the photo, the
            other eye, the nose and the corners of the mouth; and scores `(n,)`, highest first.
        """
        image, (p_score, r_score) = normalise(photo), _LOW_SCORES if thorough else _SCORES
        boxes = square_boxes(self._propose(image, min_face, p_score)[: _MAX_DOUBTFUL if thorough else None])
        offsets, probabilities = _run(self.r_net, image, boxes, _R_SIDE)
        accepted = probabilities[:, 1] > r_score
        boxes, scores = regress_boxes(boxes, offsets)[accepted], probabilities[accepted, 1]
        boxes = square_boxes(boxes[suppress_overlaps(boxes, scores, 0.7)])

        offsets, positions, probabilities = _run(self.o_net, image, boxes, _O_SIDE)
        sides = boxes[:, 2:] - boxes[:, :2] + 1
        landmarks = boxes[:, None, :2] + sides[:, None] * positions.reshape(-1, 2, 5).swapaxes(1, 2) - 1
        boxes, scores = regress_boxes(boxes, offsets), probabilities[:, 1].astype(np.float64)
        found = np.flatnonzero(scores > min_score)
        found = found[suppress_overlaps(boxes[found], scores[found], 0.7, relative_to="smaller")]
        return boxes[found], landmarks[found], scores[found]

    def score_crop(self, crop: npt.NDArray[np.uint8]) -> float:
        """Return the score of R-Net, 0 .. 1, that a face fills a crop `(h, w, 3)` uint8."""
        image = normalise(resize_image(crop, (_R_SIDE, _R_SIDE)))
        return float(self.r_net.run(None, {"photo": image[None]})[1][0, 1])

    def _propose(self, image: Floats, min_face: int, min_score: float) -> Doubles:
        """The boxes `(n, 4)` that P-Net proposes in all levels of the image pyramid, the best first."""
        height, width = image.shape[1:]
        integral = integral_image(image)
        boxes, scores = [np.zeros((0, 4))], [np.zeros(0, np.float32)]
        scale = _P_SIDE / min_face
        while min(height, width) * scale >= _P_SIDE:
            level = area_resize(integral, int(height * scale), int(width * scale))
            level_boxes, level_scores = self._propose_in_level(level, min_score)
            best = suppress_overlaps(level_boxes, level_scores, 0.5)
            boxes.append(level_boxes[best] / scale)
            scores.append(level_scores[best])
            scale *= _PYRAMID_SCALE
        found, found_scores = np.concatenate(boxes), np.concatenate(scores)
        return found[suppress_overlaps(found, found_scores, 0.7)]

    def _propose_in_level(self, level: Floats, min_score: float) -> tuple[Doubles, Floats]:
        """The boxes and scores that P-Net proposes in one image `(3, h, w)`."""
        offsets, probabilities = self.p_net.run(None, {"photo": level[None]})
        scores = probabilities[0, 1]
        rows, columns = np.nonzero(scores > min_score)
        if len(rows) > _MAX_PROPOSALS:
            best = np.argpartition(-scores[rows, columns], _MAX_PROPOSALS)[:_MAX_PROPOSALS]
            rows, columns = rows[best], columns[best]
        corners = _STRIDE * np.stack([columns, rows], axis=1)
        boxes = np.concatenate([corners + 1.0, corners + float(_P_SIDE)], axis=1)
        boxes += (_P_SIDE - 1) * offsets[0][:, rows, columns].T
        return boxes, scores[rows, columns]


def load_mtcnn(folder: Path = WEIGHTS) -> Mtcnn:
    """Load the three networks, of one thread each.

    Args:
        folder: Where `pnet.onnx`, `rnet.onnx` and `onet.onnx` are; default: those of the package.

    Raises:
        ModelError: If a file is missing, or is not the one that visavis was released with.
    """
    networks = (_read_verified(folder / f"{name}.onnx", digest) for name, digest in DIGESTS.items())
    return Mtcnn(*(open_session(network, threads=1) for network in networks))


def _read_verified(path: Path, digest: str) -> bytes:
    """Read a file whose SHA-256 digest must be this one."""
    try:
        content = path.read_bytes()
    except OSError as error:
        raise ModelError(f"{path}: the face detector cannot be read ({error.strerror}). {_REINSTALL}") from error
    if hashlib.sha256(content).hexdigest() != digest:
        raise ModelError(f"{path}: damaged or replaced, its SHA-256 digest must be {digest}. {_REINSTALL}")
    return content


def _run(network: onnxruntime.InferenceSession, image: Floats, boxes: Doubles, side: int) -> list[Floats]:
    """Run a network on the crops of boxes, in batches."""
    batches = [boxes[start : start + _BATCH] for start in range(0, max(1, len(boxes)), _BATCH)]
    outputs = [network.run(None, {"photo": crop_boxes(image, batch, side)}) for batch in batches]
    return [np.concatenate(output) for output in zip(*outputs, strict=True)]
