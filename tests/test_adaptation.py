"""A trained network is adapted in closed form where that helps unseen people, and returned unchanged where it does not."""

import keras
import numpy as np
import pytest
from keras import layers

from visavis import FaceDataset, Split, embed
from visavis.metrics import all_pairs_curve, equal_error_rate
from visavis.models import StandardizePhotos
from visavis.training.adaptation import _sample, adapt


def people(count, *, photos=5, seed=0, light=3.0):
    """People by a pattern of their own each, photographed under a pattern of light that has nothing to do with them."""
    rng = np.random.default_rng(seed)
    own = rng.normal(size=(count, 1, 8, 8, 1))
    shared = np.random.default_rng(99).normal(size=(3, 8, 8, 1))
    amounts = rng.normal(0, light, (count, photos, 3))
    patterns = own + np.einsum("npk,khwc->nphwc", amounts, shared) + rng.normal(0, 0.5, (count, photos, 8, 8, 1))
    faces = np.clip(128 + 12 * patterns, 0, 255).astype(np.uint8).reshape(-1, 8, 8, 1).repeat(4, axis=1).repeat(4, axis=2)
    names = tuple(f"{seed}-{number}" for number in range(count))
    return FaceDataset(faces, np.repeat(np.arange(count), photos), names, [f"{seed}/{row}" for row in range(len(faces))])


@pytest.fixture(scope="module")
def network():
    """A linear network of random weights, which ends as all do, and whose batch normalisation has seen some photos."""
    photos = keras.Input((32, 32, 1))
    product = layers.Dense(32, use_bias=False, kernel_initializer=keras.initializers.HeNormal(seed=1))
    rows = product(layers.Flatten()(StandardizePhotos()(photos)))
    network = keras.Model(photos, layers.UnitNormalization()(layers.BatchNormalization()(rows)))
    rng = np.random.default_rng(0)
    *_, normalise, _ = network.layers
    normalise.set_weights([rng.uniform(lowest, 1.5, 32) for lowest in (0.5, -0.5, -0.5, 0.5)])
    return network


def error_rate(model, faces, *, flip=False):
    return equal_error_rate(all_pairs_curve(embed(model, faces.faces, flip=flip), faces.labels))[0]


@pytest.mark.parametrize("flip", [False, True])
def test_errors_of_unseen_people_fall(network, flip):
    before = [np.array(weights) for weights in network.get_weights()]
    split = Split(people(40), people(12, seed=1), None)
    adapted, shrinkage = adapt(network, split, flip=flip)
    assert 0 < shrinkage <= 1
    unseen = people(30, seed=2)
    assert error_rate(adapted, unseen, flip=flip) < 0.85 * error_rate(network, unseen, flip=flip)
    assert all((now == then).all() for now, then in zip(network.get_weights(), before, strict=True))


def test_the_last_layer_contains_the_map(network):
    split = Split(people(40), people(12, seed=1), None)
    adapted, shrinkage = adapt(network, split, flip=False)
    raw = keras.Model(network.input, network.layers[-1].input)
    rows = embed(raw, split.train.faces, unit=False).astype(np.float64)
    means = np.array([rows[split.train.labels == person].mean(axis=0) for person in range(40)])
    within = np.cov((rows - means[split.train.labels]).T, bias=True)
    values, axes = np.linalg.eigh((1 - shrinkage) * within + shrinkage * np.trace(within) / 32 * np.eye(32))
    unseen = people(5, seed=2).faces
    mapped = (embed(raw, unseen, unit=False) - rows.mean(axis=0)) @ (axes / np.sqrt(values) @ axes.T)
    np.testing.assert_allclose(embed(adapted, unseen), mapped / np.linalg.norm(mapped, axis=1, keepdims=True), atol=1e-4)


@pytest.mark.parametrize(("count", "photos", "maximum", "expected"), [(20, 30, 100, 20), (200, 3, 100, 50), (20, 3, 100, 20)])
def test_the_sample_has_as_many_people_as_possible(network, monkeypatch, count, photos, maximum, expected):
    monkeypatch.setattr("visavis.training.adaptation._MAXIMUM_PHOTOS", maximum)
    sampled = _sample(people(count, photos=photos))
    assert len(sampled) == min(maximum, count * photos)
    assert len(sampled.people) == expected
    assert sampled.photos_per_person.min() >= 2
    assert adapt(network, Split(people(count, photos=photos), people(12, seed=1), None), flip=False)[1] is not None


def test_the_start_is_returned_where_there_is_too_little_data(network):
    assert adapt(network, Split(people(13), people(4, seed=1), None), flip=False) == (network, None)
    few_have_most = people(40, photos=12)
    kept = np.isin(few_have_most.labels, range(3)) | (np.arange(len(few_have_most)) % 12 < 2)
    assert adapt(network, Split(few_have_most.select(np.flatnonzero(kept)), people(4, seed=1), None), flip=False) == (network, None)
    single = people(40, photos=1)
    assert adapt(network, Split(single, people(4, seed=1), None), flip=False) == (network, None)
    other_end = keras.Model(network.input, network.layers[-2].output)
    assert adapt(other_end, Split(people(40), people(4, seed=1), None), flip=False) == (other_end, None)


def test_the_start_is_returned_where_validation_people_are_worse_off(network, monkeypatch):
    monkeypatch.setattr("visavis.training.adaptation.probability_of_fewer_errors", lambda *_: 0.1)
    assert adapt(network, Split(people(40), people(12, seed=1), None), flip=False) == (network, None)


def test_all_processes_use_the_first_ones_values(network):
    split = Split(people(40), people(12, seed=1), None)
    values = []
    adapt(network, split, flip=False, broadcast=lambda value: values.append(value) or value)
    assert len(values) == 2
    assert adapt(network, split, flip=False, broadcast=lambda _: float("nan")) == (network, None)
    assert adapt(network, split, flip=False, broadcast=lambda value: 0.5 if value <= 1 else value)[1] == 0.5
