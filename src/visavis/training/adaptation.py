"""A trained embedding network brought to the people and photos at hand, without a step of training.

What photos of one camera have in common tells nobody apart, and how photos of one person differ there is not how they differ
elsewhere. So the embeddings of the training people are centred, and their spread within people is made more alike in all
directions: within-class covariance normalisation (Hatch, Kajarekar and Stolcke, 2006), shrunk towards doing nothing, since
thirty people tell little of 128 directions. All of it is linear, and goes into the network's last layer.
"""

import math
from collections.abc import Callable
from dataclasses import dataclass

import keras
import numpy as np
import numpy.typing as npt
from keras import layers

from visavis.data import FaceDataset, Split
from visavis.metrics import unit_rows
from visavis.metrics.bootstrap import ONE_STANDARD_ERROR, chance_of_fewer_errors
from visavis.models import copy_network, embed

__all__ = ["adapt"]

Floats = npt.NDArray[np.floating]

_SHRINKAGES = (1.0, 0.9, 0.8, 0.7, 0.6, 0.5, 0.3)
_GROUPS = 7
_FEWEST = 2 * _GROUPS  # people: two in each group that is held out
_MOST = 4000  # photos that are looked at


def adapt(
    start: keras.Model, split: Split, *, flip: bool, agreed: Callable[[float], float] = float
) -> tuple[keras.Model, float | None]:
    """Bring a trained embedding network to the training people, where that lowers the errors on others.

    How much is chosen by cross-validation: groups of training people are held out in turn, and the gain in their error rate must
    be larger than its standard error. Then the validation people must not be worse off by a standard error of theirs.

    Args:
        start: The network; it is left as it is.
        split: The training people, and those who check it.
        flip: Whether embeddings are averaged with those of the mirrored photo.
        agreed: Gives what the first of several processes found, for what this one found.

    Returns:
        A new network and the shrinkage, 0 .. 1, where 1 means centred only; or the start and None where nothing is gained, where
        fewer than fourteen people have two photos, or where the network does not end as those of `build_embedding` do.
    """
    if [type(layer) for layer in start.layers[-3:]] != [layers.Dense, layers.BatchNormalization, layers.UnitNormalization]:
        return start, None
    if np.sum(split.train.photos_per_person > 1) < _FEWEST:
        return start, None
    faces = _some(split.train)
    before = keras.Model(start.input, start.layers[-1].input)
    photos = faces.faces
    views = [embed(before, side, unit=False) for side in ((photos, photos[:, :, ::-1]) if flip else (photos,))]
    shrinkage = agreed(_choose(views, faces.labels))
    if not 0 <= shrinkage <= 1:
        return start, None
    network = copy_network(start)
    _put_into(network, *_spread(views, faces.labels).evened(shrinkage))
    validation = split.validation
    old, new = (embed(model, validation.faces, flip=flip) for model in (start, network))
    worse = agreed(chance_of_fewer_errors(old, new, validation.labels)) < 1 - ONE_STANDARD_ERROR
    return (start, None) if worse else (network, shrinkage)


def _some(faces: FaceDataset) -> FaceDataset:
    """Pairs of photos of as many people as can be looked at in a moment; nobody who has only one."""
    rng = np.random.default_rng(0)
    order = rng.permutation(len(faces.people))[faces.labels]
    chosen = rng.permutation(np.flatnonzero(faces.photos_per_person[faces.labels] > 1))
    chosen = chosen[np.argsort(faces.labels[chosen], kind="stable")]
    _, first, counts = np.unique(faces.labels[chosen], return_index=True, return_counts=True)
    pair_number = (np.arange(len(chosen)) - np.repeat(first, counts)) // 2
    return faces.select(np.sort(chosen[np.lexsort((order[chosen], pair_number))[:_MOST]]))


def _choose(views: list[Floats], labels: npt.NDArray[np.int64]) -> float:
    """The shrinkage of the lowest error rate on people held out; NaN where none is surely lower than without."""
    people = np.random.default_rng(0).permutation(np.unique(labels))
    gains = np.empty((_GROUPS, len(_SHRINKAGES)))
    for number, group in enumerate(np.array_split(people, _GROUPS)):
        held_out = np.isin(labels, group)
        rest, strangers = ([view[chosen] for view in views] for chosen in (~held_out, held_out))
        spread = _spread(rest, labels[~held_out])
        as_it_is = _error_rate(strangers, labels[held_out])
        for column, shrinkage in enumerate(_SHRINKAGES):
            mean, matrix = spread.evened(shrinkage)
            gains[number, column] = as_it_is - _error_rate([(view - mean) @ matrix for view in strangers], labels[held_out])
    best = int(gains.mean(axis=0).argmax())
    surely = gains[:, best].mean() > gains[:, best].std(ddof=1) / np.sqrt(_GROUPS)
    return _SHRINKAGES[best] if surely else math.nan


@dataclass(frozen=True)
class _Spread:
    """Where embeddings lie: their mean `(d,)`, and the variances `(d,)` within people along axes, the columns of `(d, d)`."""

    mean: Floats
    variances: Floats
    axes: Floats

    def evened(self, shrinkage: float) -> tuple[Floats, Floats]:
        """The mean to take away, and the map `(d, d)` that makes the spread within people more alike in all directions."""
        shrunk = (1 - shrinkage) * self.variances + shrinkage * self.variances.mean()
        return self.mean, self.axes / np.sqrt(shrunk) @ self.axes.T


def _spread(views: list[Floats], labels: npt.NDArray[np.int64]) -> _Spread:
    rows = np.concatenate(views).astype(np.float64)
    numbers = np.tile(np.unique(labels, return_inverse=True)[1], len(views))
    counts = np.bincount(numbers)
    means = np.zeros((len(counts), rows.shape[1]))
    np.add.at(means, numbers, rows)
    apart = rows - (means / counts[:, None])[numbers]
    return _Spread(rows.mean(axis=0), *np.linalg.eigh(apart.T @ apart / len(apart)))


def _error_rate(views: list[Floats], labels: npt.NDArray[np.int64]) -> float:
    """The equal error rate of all pairs if scores were normal (Poh and Bengio, 2004): of few people a count would not tell."""
    rows = unit_rows(np.sum([unit_rows(view) for view in views], axis=0))
    first, second = np.triu_indices(len(rows), 1)
    scores, mated = (rows @ rows.T)[first, second], labels[first] == labels[second]
    apart = (scores[mated].mean() - scores[~mated].mean()) / (scores[mated].std() + scores[~mated].std())
    return math.erfc(apart / math.sqrt(2)) / 2


def _put_into(network: keras.Model, mean: Floats, matrix: Floats) -> None:
    """Let the last layer, which is a product and a batch normalisation, do the map as well."""
    dense, normalise, _ = network.layers[-3:]
    gamma, beta, centre, variance = normalise.get_weights()
    scale = gamma / np.sqrt(variance + normalise.epsilon)
    dense.set_weights([(dense.get_weights()[0] * scale) @ matrix])
    normalise.set_weights(
        [
            np.full_like(gamma, np.sqrt(1 + normalise.epsilon)),
            (beta - centre * scale - mean) @ matrix,
            np.zeros_like(centre),
            np.ones_like(variance),
        ]
    )
