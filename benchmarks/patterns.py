"""What was done before networks learned from millions: local binary patterns of a face, compared by joint Bayes.

The histograms are those of Ahonen, Hadid and Pietikäinen (2006), at several sizes as in Chen et al. (2013, "Blessing of
dimensionality"); the comparison is Chen et al. (2012, "Bayesian face revisited"). `lfw.py` puts it beside the network.
"""

from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from PIL import Image
from sklearn.decomposition import PCA

__all__ = ["JointBayes", "patterns"]

Floats = npt.NDArray[np.floating]

BLOCK = 7  # pixels; a cell is two by two blocks, and cells overlap by half
LOOKS = {"Y": ((112, 1), (112, 2), (84, 2), (56, 1), (56, 2)), "Cb": ((56, 1), (56, 2)), "Cr": ((56, 1), (56, 2))}  # side, radius
DIMENSIONS, ROUNDS = 300, 20  # chosen on validation people
AT_ONCE = 200


def _uniform() -> npt.NDArray[np.int64]:
    """The number, 0 .. 58, of each of the 256 patterns: 58 with at most two changes around the circle have their own."""
    bits = (np.arange(256)[:, None] >> np.arange(8)) & 1
    uniform = np.sum(bits != np.roll(bits, 1, axis=1), axis=1) <= 2
    return np.where(uniform, np.cumsum(uniform) - 1, np.sum(uniform))


UNIFORM = _uniform()
KINDS = int(UNIFORM.max()) + 1


def _patterns_of(level: npt.NDArray[np.uint8], radius: int) -> npt.NDArray[np.int64]:
    """The pattern of each pixel: which of eight neighbours on a circle are as light as it is."""
    height, width = level.shape
    padded = np.pad(level, radius, mode="edge")
    codes = np.zeros((height, width), dtype=np.uint8)
    for bit, angle in enumerate(np.arange(8) * np.pi / 4):
        top, left = radius + round(radius * np.sin(angle)), radius + round(radius * np.cos(angle))
        codes |= (padded[top : top + height, left : left + width] >= level).astype(np.uint8) << bit
    return UNIFORM[codes]


def _histograms(level: npt.NDArray[np.uint8], radius: int) -> Floats:
    """Square roots of the parts that the patterns have in each cell."""
    blocks = np.arange(len(level)) // BLOCK
    count = int(blocks[-1]) + 1
    places = (blocks[:, None] * count + blocks) * KINDS + _patterns_of(level, radius)
    told = np.bincount(places.ravel(), minlength=count * count * KINDS).reshape(count, count, KINDS)
    cells = told[1:, 1:] + told[:-1, 1:] + told[1:, :-1] + told[:-1, :-1]
    return np.sqrt(cells / cells.sum(axis=2, keepdims=True)).ravel()


def _look_at(face: npt.NDArray[np.uint8]) -> Floats:
    parts = []
    for name, channel in zip(("Y", "Cb", "Cr"), Image.fromarray(face).convert("YCbCr").split(), strict=True):
        for side, radius in LOOKS[name]:
            parts.append(_histograms(np.asarray(channel.resize((side, side), Image.Resampling.LANCZOS)), radius))
    return np.concatenate(parts)


def _look_at_some(faces: npt.NDArray[np.uint8]) -> Floats:
    """The mean of each face and its mirror image."""
    return np.array([(_look_at(face) + _look_at(np.fliplr(face))) / 2 for face in faces], dtype=np.float16)


def patterns(faces: npt.NDArray[np.uint8]) -> Floats:
    """Describe aligned faces.

    Args:
        faces: `(n, h, w, 3)` uint8.

    Returns:
        `(n, 51035)` float16.
    """
    with ProcessPoolExecutor() as pool:
        return np.concatenate(
            list(pool.map(_look_at_some, (faces[start : start + AT_ONCE] for start in range(0, len(faces), AT_ONCE))))
        )


@dataclass(frozen=True)
class JointBayes:
    """Two Gaussians, of who somebody is and of how a photo was taken, after PCA: a pair's score is its log likelihood ratio.

    Attributes:
        axes: From descriptors to fewer numbers.
        own: `(d, d)`, what each row of a pair adds: half of `x^T own x`.
        shared: `(d, d)`, what both add together: `x^T shared y`.
    """

    axes: PCA
    own: Floats
    shared: Floats

    @classmethod
    def fit(
        cls, rows: Floats, labels: npt.NDArray[np.integer], *, dimensions: int = DIMENSIONS, rounds: int = ROUNDS
    ) -> "JointBayes":
        """Learn from descriptors `(n, k)` and who they are, `(n,)`, by expectation maximisation."""
        axes = PCA(dimensions, svd_solver="randomized", iterated_power=2, random_state=0).fit(rows)
        between, within = fit_covariances(axes.transform(rows), labels, rounds=rounds)
        size, whole = len(between), between + within
        both = np.linalg.inv(np.block([[whole, between], [between, whole]]))
        return cls(axes, np.linalg.inv(whole) - both[:size, :size], -both[:size, size:])

    def reduced(self, rows: Floats) -> Floats:
        """Bring descriptors `(n, k)` to the `(n, d)` that are compared."""
        return self.axes.transform(rows)

    def scores(self, first: Floats, second: Floats) -> Floats:
        """Return the scores `(m,)` of pairs of what `reduced` gave, `(m, d)` each, but for a constant."""
        alone = sum(np.sum(rows @ self.own * rows, axis=1) for rows in (first, second))
        return alone / 2 + np.sum(first @ self.shared * second, axis=1)


def fit_covariances(rows: Floats, labels: npt.NDArray[np.integer], *, rounds: int) -> tuple[Floats, Floats]:
    """Return the covariances `(d, d)` of people and of photos of one person, for rows of mean 0."""
    counts = np.unique(labels, return_counts=True)[1]
    rows = rows[np.argsort(labels, kind="stable")].astype(np.float64)
    starts = np.cumsum(counts) - counts
    means = np.add.reduceat(rows, starts) / counts[:, None]
    apart = rows - np.repeat(means, counts, axis=0)
    between, within = means.T @ means / len(means), apart.T @ apart / (len(rows) - len(means))
    for _ in range(rounds):
        people, photos = np.zeros_like(between), np.zeros_like(within)
        for count in np.unique(counts):
            alike = counts == count
            gain = np.linalg.solve(between + within / count, between).T  # of a mean of so many photos
            expected, left = means[alike] @ gain.T, between - gain @ between
            people += expected.T @ expected + alike.sum() * left
            apart = rows[np.repeat(alike, counts)] - np.repeat(expected, count, axis=0)
            photos += apart.T @ apart + alike.sum() * count * left
        between, within = people / len(means), photos / len(rows)
    return between, within
