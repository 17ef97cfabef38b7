"""Show embeddings: a map of the faces in the plane, and the nearest neighbours of some."""

from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
import numpy.typing as npt
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.offsetbox import AnnotationBbox, OffsetImage

from visavis.errors import check_option
from visavis.evaluation.plots import MATED, NONMATED, plot_montage
from visavis.metrics.scores import cosine_scores

__all__ = ["Neighbours", "map_embeddings", "nearest_neighbours", "plot_map", "plot_neighbours", "sample_for_map"]

Floats = npt.NDArray[np.floating[Any]]
Method = Literal["pca", "tsne"]

_PERPLEXITY = 30
_THUMBNAIL, _WIDTH = 28, 9.0  # pixels, inches
_BLOCK = 512


@dataclass(frozen=True, eq=False)
class Neighbours:
    """The photos that a model finds most like some others.

    Attributes:
        probes: `(p,)` int64, which photos.
        neighbours: `(p, k)` int64, the photos most like each, the most similar first.
        scores: `(p, k)` float32, their comparison scores.
        mated: `(p, k)` bool, whether they show the same person.
    """

    probes: npt.NDArray[np.int64]
    neighbours: npt.NDArray[np.int64]
    scores: npt.NDArray[np.float32]
    mated: npt.NDArray[np.bool_]


def map_embeddings(embeddings: Floats, *, method: Method = "tsne", seed: int = 0) -> npt.NDArray[np.float64]:
    """Place embeddings in the plane so that similar ones lie close to each other.

    Args:
        embeddings: `(n, d)`, rows of unit length; at least 2.
        method: `"pca"`: the two directions of greatest variance. `"tsne"`: t-SNE (van der Maaten and Hinton 2008), which shows
            groups better; distances between groups mean nothing. It takes seconds for a thousand photos.
        seed: Seed of t-SNE.

    Returns:
        `(n, 2)`.

    Raises:
        ValueError: If there are fewer than two embeddings, or if there is no such method.
    """
    check_option("method", method, Method)
    if len(embeddings) < 2:
        raise ValueError(f"embeddings must be at least 2, got {len(embeddings)}")
    from sklearn.decomposition import PCA
    from sklearn.manifold import TSNE

    rows = np.asarray(embeddings, dtype=np.float64)
    components = min(2, *rows.shape)
    if not np.ptp(rows, axis=0).any():
        return np.zeros((len(rows), 2))
    if method == "pca" or len(rows) < 4:
        points = PCA(components, random_state=seed).fit_transform(rows)
        return np.pad(points, ((0, 0), (0, 2 - components)))
    perplexity = min(_PERPLEXITY, (len(rows) - 1) / 3)
    init = "pca" if components == 2 else "random"
    return TSNE(2, perplexity=perplexity, init=init, random_state=seed).fit_transform(rows)


def sample_for_map(labels: npt.NDArray[np.int64], *, count: int = 300, seed: int = 0) -> npt.NDArray[np.int64]:
    """Return photos for a map, whole people as far as they fit, of people drawn at random.

    Args:
        labels: `(n,)`, equal for photos of one person.
        count: Number of photos at most.
        seed: Seed of the draw.

    Returns:
        `(k,)` int64, in increasing order.
    """
    rank = np.random.default_rng(seed).permutation(int(labels.max()) + 1)[labels]
    return np.sort(np.argsort(rank, kind="stable")[:count]).astype(np.int64)


def nearest_neighbours(
    embeddings: npt.NDArray[np.float32], labels: npt.NDArray[np.int64], *, probes: int = 8, count: int = 5, seed: int = 0
) -> Neighbours:
    """Find the photos most like some others, first of those whose most similar photo shows someone else.

    Args:
        embeddings: `(n, d)`, rows of unit length; at least 2.
        labels: `(n,)`, equal for photos of one person.
        probes: Number of photos to find neighbours of. People with a single photo are passed over where there are others.
        count: Number of neighbours of each.
        seed: Seed of the order among equals.

    Raises:
        ValueError: If there are fewer than two embeddings, or a number is not positive.
    """
    if len(embeddings) < 2 or probes < 1 or count < 1:
        raise ValueError(f"there must be 2 embeddings, 1 probe and 1 neighbour, got {len(embeddings)}, {probes} and {count}")
    count = min(count, len(embeddings) - 1)
    nearest, score = (np.empty((len(embeddings), count), dtype=kind) for kind in (np.int64, np.float32))
    for start in range(0, len(embeddings), _BLOCK):
        block = np.array(cosine_scores(embeddings[start : start + _BLOCK], embeddings))
        block[np.arange(len(block)), start + np.arange(len(block))] = -np.inf
        top = np.argpartition(-block, count - 1, axis=1)[:, :count]
        top = np.take_along_axis(top, np.argsort(-np.take_along_axis(block, top, axis=1), axis=1, kind="stable"), axis=1)
        nearest[start : start + len(block)] = top
        score[start : start + len(block)] = np.take_along_axis(block, top, axis=1)
    mated = labels[nearest] == labels[:, None]
    single = np.bincount(labels)[labels] < 2
    order = np.random.default_rng(seed).permutation(len(labels))
    order = order[np.lexsort((-score[order, 0], mated[order, 0], single[order]))][:probes]
    return Neighbours(order, nearest[order], score[order], mated[order])


def plot_map(points: Floats, faces: npt.NDArray[np.uint8], labels: npt.NDArray[np.int64], ax: Axes | None = None) -> Axes:
    """Draw faces at their places on a map; the frames of one person's photos have one colour.

    Args:
        points: `(n, 2)`, what `map_embeddings` returned.
        faces: `(n, h, w, c)` uint8.
        labels: `(n,)`, equal for photos of one person; ten colours are repeated.
        ax: The axes; None: new ones.
    """
    axes = ax if ax is not None else Figure(figsize=(_WIDTH, _WIDTH), layout="constrained").subplots()
    axes.scatter(points[:, 0], points[:, 1], s=0)
    for point, face, label in zip(points, faces, labels, strict=True):
        picture = face if face.shape[-1] == 3 else face.repeat(3, axis=-1)
        thumbnail = OffsetImage(picture, zoom=_THUMBNAIL / max(picture.shape[:2]))
        frame = {"edgecolor": f"C{label % 10}", "linewidth": 1.5}
        axes.add_artist(AnnotationBbox(thumbnail, tuple(point), pad=0.05, bboxprops=frame))
    axes.margins(0.06)
    axes.set_xticks([])
    axes.set_yticks([])
    return axes


def plot_neighbours(found: Neighbours, faces: npt.NDArray[np.uint8]) -> Figure:
    """Show each probe and its neighbours in a row, with scores; the frame's colour says whether they show the same person.

    Args:
        found: What `nearest_neighbours` returned.
        faces: `(n, h, w, c)` uint8, all photos.
    """
    rows, titles, colours = [], [], []
    for probe, neighbours, scores, mated in zip(found.probes, found.neighbours, found.scores, found.mated, strict=True):
        rows += [faces[probe], *faces[neighbours]]
        titles += ["probe", *(f"{'same' if same else 'other'}: {score:.2f}" for score, same in zip(scores, mated, strict=True))]
        colours += [None, *(MATED if same else NONMATED for same in mated)]
    figure = plot_montage(rows, titles, found.neighbours.shape[1] + 1)
    for axes, colour in zip(figure.axes, colours, strict=False):
        if colour is not None:
            axes.title.set_color(colour)
    return figure
