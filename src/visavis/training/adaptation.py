"""Closed-form adaptation: whitening of a trained network's embeddings for other people and photos, without a training step.

What all photos of one camera have in common separates no two people, and how photos of one person differ there is not how they
differ elsewhere. So the embeddings of the training people are centred, and their within-class covariance is normalised (WCCN;
Hatch, Kajarekar and Stolcke, 2006), shrunk towards the identity, since thirty people estimate 128 directions poorly. The map is
linear, and becomes part of the network's last layer.
"""

import math
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from visavis.backend import keras
from visavis.data import FaceDataset, Split
from visavis.metrics import unit_rows
from visavis.metrics.bootstrap import ONE_STANDARD_ERROR, probability_of_fewer_errors
from visavis.models import copy_network
from visavis.training.frozen import FrozenTrunk, can_be_cut, head_of_trunk

__all__ = ["adapt"]

Floats = npt.NDArray[np.floating]

_SHRINKAGES = (1.0, 0.9, 0.8, 0.7, 0.6, 0.5, 0.3)
_GROUPS = 7  # of the cross-validation
_MINIMUM_PEOPLE = 2 * _GROUPS  # two in each held-out group
_MAXIMUM_PHOTOS = 4000


def adapt(
    start: keras.Model, split: Split, *, flip: bool, broadcast: Callable[[float], float] = float
) -> tuple[keras.Model, float | None]:
    """Adapt a trained embedding network to the training people, if that lowers the errors of held-out people.

    The shrinkage is chosen by cross-validation: groups of training people are held out in turn, and the gain in their error rate
    must be larger than its standard error. Then the validation people must not be worse off by a standard error.

    Cross-validation is only as reliable as the number of people behind the mated pairs. If a few people have most of the photos,
    as in LFW, it finds gains that other people do not have; so the effective number of people must be at least fourteen.

    Args:
        start: The network; it is not changed.
        split: The training people, and the validation people.
        flip: Whether embeddings are averaged with those of the mirrored photo.
        broadcast: Returns the first process's value of a number that every process has computed.

    Returns:
        A new network and the shrinkage, 0 .. 1, where 1 means centred only; or the start and None if nothing is gained, if there
        are too few people, or if the network does not end in a dense layer, a batch normalisation and a `UnitNormalization`.
    """
    if not can_be_cut(start):
        return start, None
    if _effective_people(split.train) < _MINIMUM_PEOPLE:
        return start, None
    faces = _sample(split.train)
    trunk, before = FrozenTrunk(start), head_of_trunk(start, unit=False)
    views = [before.predict_on_batch(features) for features in trunk.views(faces.faces, flip=flip)]
    shrinkage = broadcast(_choose(views, faces.labels))
    if not 0 <= shrinkage <= 1:
        return start, None
    network = copy_network(start)
    _append_map(network, *_covariance(views, faces.labels).whitening(shrinkage))
    validation = split.validation
    features = trunk.views(validation.faces, flip=flip)
    old, new = (trunk.embed(features, head) for head in (trunk.head, head_of_trunk(network)))
    worse = broadcast(probability_of_fewer_errors(old, new, validation.labels)) < 1 - ONE_STANDARD_ERROR
    return (start, None) if worse else (network, shrinkage)


def _effective_people(faces: FaceDataset) -> float:
    """The effective number of people behind the mated pairs (Kish): all with equally many photos count as their number."""
    pairs = faces.photos_per_person * (faces.photos_per_person - 1) / 2
    return float(pairs.sum() ** 2 / max(1.0, np.square(pairs).sum()))


def _sample(faces: FaceDataset) -> FaceDataset:
    """Return at most 4,000 photos, in pairs of one person, of as many people as possible; people with one photo are left out."""
    rng = np.random.default_rng(0)
    order = rng.permutation(len(faces.people))[faces.labels]
    chosen = rng.permutation(np.flatnonzero(faces.photos_per_person[faces.labels] > 1))
    chosen = chosen[np.argsort(faces.labels[chosen], kind="stable")]
    _, first, counts = np.unique(faces.labels[chosen], return_index=True, return_counts=True)
    pair_number = (np.arange(len(chosen)) - np.repeat(first, counts)) // 2
    return faces.select(np.sort(chosen[np.lexsort((order[chosen], pair_number))[:_MAXIMUM_PHOTOS]]))


def _choose(views: list[Floats], labels: npt.NDArray[np.int64]) -> float:
    """Return the shrinkage with the lowest error rate on held-out people; NaN if the gain is within its standard error."""
    people = np.random.default_rng(0).permutation(np.unique(labels))
    gains = np.empty((_GROUPS, len(_SHRINKAGES)))
    for number, group in enumerate(np.array_split(people, _GROUPS)):
        held_out = np.isin(labels, group)
        rest, tested = ([view[chosen] for view in views] for chosen in (~held_out, held_out))
        covariance = _covariance(rest, labels[~held_out])
        without = _error_rate(tested, labels[held_out])
        for column, shrinkage in enumerate(_SHRINKAGES):
            mean, matrix = covariance.whitening(shrinkage)
            gains[number, column] = without - _error_rate([(view - mean) @ matrix for view in tested], labels[held_out])
    best = int(gains.mean(axis=0).argmax())
    significant = gains[:, best].mean() > gains[:, best].std(ddof=1) / np.sqrt(_GROUPS)
    return _SHRINKAGES[best] if significant else math.nan


@dataclass(frozen=True)
class _Covariance:
    """Mean `(d,)` of embeddings, and eigenvalues `(d,)` and eigenvectors (columns of `(d, d)`) of their within-class covariance."""

    mean: Floats
    variances: Floats
    axes: Floats

    def whitening(self, shrinkage: float) -> tuple[Floats, Floats]:
        """Return the mean to subtract, and the map `(d, d)` that normalises the shrunk within-class covariance."""
        shrunk = (1 - shrinkage) * self.variances + shrinkage * self.variances.mean()
        return self.mean, self.axes / np.sqrt(shrunk) @ self.axes.T


def _covariance(views: list[Floats], labels: npt.NDArray[np.int64]) -> _Covariance:
    rows = np.concatenate(views).astype(np.float64)
    numbers = np.tile(np.unique(labels, return_inverse=True)[1], len(views))
    counts = np.bincount(numbers)
    means = np.zeros((len(counts), rows.shape[1]))
    np.add.at(means, numbers, rows)
    residuals = rows - (means / counts[:, None])[numbers]
    return _Covariance(rows.mean(axis=0), *np.linalg.eigh(residuals.T @ residuals / len(residuals)))


def _error_rate(views: list[Floats], labels: npt.NDArray[np.int64]) -> float:
    """Return the equal error rate of all pairs under normal scores (Poh and Bengio, 2004); counts of few people are too coarse."""
    rows = unit_rows(np.sum([unit_rows(view) for view in views], axis=0))
    first, second = np.triu_indices(len(rows), 1)
    scores, mated = (rows @ rows.T)[first, second], labels[first] == labels[second]
    f_ratio = (scores[mated].mean() - scores[~mated].mean()) / (scores[mated].std() + scores[~mated].std())
    return math.erfc(f_ratio / math.sqrt(2)) / 2


def _append_map(network: keras.Model, mean: Floats, matrix: Floats) -> None:
    """Multiply the map into the last layer, which is a dense layer and a batch normalisation."""
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
