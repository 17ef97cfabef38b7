"""A trained network is brought to people in closed form where that helps others, and left alone where it does not."""

import keras
import numpy as np
import pytest
from keras import layers

from visavis import FaceDataset, Split, embed
from visavis.metrics import all_pairs_curve, equal_error_rate
from visavis.models import StandardizePhotos
from visavis.training.adaptation import _some, adapt


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
def test_strangers_are_told_apart_better(network, flip):
    before = [np.array(weights) for weights in network.get_weights()]
    split = Split(people(40), people(12, seed=1), None)
    adapted, shrinkage = adapt(network, split, flip=flip)
    assert 0 < shrinkage <= 1
    strangers = people(30, seed=2)
    assert error_rate(adapted, strangers, flip=flip) < 0.85 * error_rate(network, strangers, flip=flip)
    assert all((now == then).all() for now, then in zip(network.get_weights(), before, strict=True))


def test_what_the_last_layer_does_is_the_map_that_was_chosen(network):
    split = Split(people(40), people(12, seed=1), None)
    adapted, shrinkage = adapt(network, split, flip=False)
    raw = keras.Model(network.input, network.layers[-1].input)
    rows = embed(raw, split.train.faces, unit=False).astype(np.float64)
    means = np.array([rows[split.train.labels == person].mean(axis=0) for person in range(40)])
    within = np.cov((rows - means[split.train.labels]).T, bias=True)
    values, axes = np.linalg.eigh((1 - shrinkage) * within + shrinkage * np.trace(within) / 32 * np.eye(32))
    strangers = people(5, seed=2).faces
    mapped = (embed(raw, strangers, unit=False) - rows.mean(axis=0)) @ (axes / np.sqrt(values) @ axes.T)
    np.testing.assert_allclose(embed(adapted, strangers), mapped / np.linalg.norm(mapped, axis=1, keepdims=True), atol=1e-4)


@pytest.mark.parametrize(("count", "photos", "most", "seen"), [(20, 30, 100, 20), (200, 3, 100, 50), (20, 3, 100, 20)])
def test_people_with_many_photos_leave_room_for_others(network, monkeypatch, count, photos, most, seen):
    monkeypatch.setattr("visavis.training.adaptation._MOST", most)
    looked_at = _some(people(count, photos=photos))
    assert len(looked_at) == min(most, count * photos)
    assert len(looked_at.people) == seen
    assert looked_at.photos_per_person.min() >= 2
    assert adapt(network, Split(people(count, photos=photos), people(12, seed=1), None), flip=False)[1] is not None


def test_it_is_left_as_it_is_where_nothing_can_be_told(network):
    assert adapt(network, Split(people(13), people(4, seed=1), None), flip=False) == (network, None)
    single = people(40, photos=1)
    assert adapt(network, Split(single, people(4, seed=1), None), flip=False) == (network, None)
    other_end = keras.Model(network.input, network.layers[-2].output)
    assert adapt(other_end, Split(people(40), people(4, seed=1), None), flip=False) == (other_end, None)


def test_it_is_left_as_it_is_where_validation_people_are_worse_off(network, monkeypatch):
    monkeypatch.setattr("visavis.training.adaptation.chance_of_fewer_errors", lambda *_: 0.1)
    assert adapt(network, Split(people(40), people(12, seed=1), None), flip=False) == (network, None)


def test_processes_agree_on_what_the_first_one_found(network):
    split = Split(people(40), people(12, seed=1), None)
    heard = []
    adapt(network, split, flip=False, agreed=lambda value: heard.append(value) or value)
    assert len(heard) == 2
    assert adapt(network, split, flip=False, agreed=lambda _: float("nan")) == (network, None)
    assert adapt(network, split, flip=False, agreed=lambda value: 0.5 if value <= 1 else value)[1] == 0.5
