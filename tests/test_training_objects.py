"""Losses, networks, starts and optimizers are passed as Keras objects; the card records their class and config."""

import json

import keras
import numpy as np
import pytest
from keras import layers, ops

from visavis.data import generate_faces, split_people
from visavis.encoders.keras import load_model, save_model
from visavis.models import as_embedding, build_embedding, build_siamese, copy_network, embed, embedding_of
from visavis.models.losses import contrastive_loss, pairwise_distances
from visavis.training.batches import BatchShape
from visavis.training.cards import make_card
from visavis.training.configuration import Optimization, TrainingConfig, build_loss
from visavis.training.optimizers import build_optimizer
from visavis.training.trainer import train

LITTLE = {"network": "classic", "embedding_size": 16, "batch": BatchShape(6, 3), "steps": 4, "validate_every": 2}


@pytest.fixture(scope="module")
def split():
    return split_people(generate_faces(24, 6, size=32, gray=True, seed=11), fractions=(0.7, 0.3, 0))


class MyLoss(keras.losses.Loss):
    def __init__(self, margin=1.6):
        super().__init__(name="mine")
        self.margin = margin

    def call(self, y_true, y_pred):
        same = ops.equal(y_true[:, None], y_true[None, :])
        return contrastive_loss(ops.cast(same, "float32"), pairwise_distances(y_pred), margin=self.margin)

    def get_config(self):
        return {"margin": self.margin}


def spread(labels, embeddings):
    """A loss that is a function."""
    assert len(labels.shape) == 1
    return ops.mean(ops.matmul(embeddings, ops.transpose(embeddings)))


def functional():
    photos = keras.Input((32, 32, 1))
    x = layers.BatchNormalization()(layers.Conv2D(4, 3, strides=4)(layers.Rescaling(1 / 255)(photos)))
    return keras.Model(photos, layers.Dense(8)(layers.Flatten()(x)), name="mine")


def sequential():
    return keras.Sequential([layers.Rescaling(1 / 255), layers.Conv2D(4, 3, strides=4), layers.Flatten(), layers.Dense(8)])


def recorded(run, split, name):
    return json.loads(json.dumps(make_card(run, split, data="these").to_json()))["training"][name]


def test_a_loss_object_is_trained_with_and_recorded(split):
    run = train(split, loss=MyLoss(margin=1.2), **LITTLE)
    assert recorded(run, split, "loss") == {"class": f"{__name__}.MyLoss", "config": {"margin": 1.2}}
    assert make_card(run, split, data="these").summary["loss"] == f"{__name__}.MyLoss"


def test_a_loss_function_is_trained_with_and_recorded(split):
    run = train(split, loss=spread, **LITTLE)
    assert run.history[-1]["loss"] < 1
    assert recorded(run, split, "loss") == {"class": f"{__name__}.spread"}


@pytest.mark.parametrize(
    ("loss", "name"),
    [
        (keras.losses.MeanSquaredError(), "mean_squared_error"),  # of two arrays of one shape
        (lambda embeddings: ops.mean(embeddings), "loss"),
    ],
)
def test_a_loss_that_takes_no_labels_and_embeddings_is_refused(split, loss, name):
    with pytest.raises(ValueError, match=rf"loss must take labels \(b,\) and embeddings \(b, 16\), got {name}, which fails: "):
        train(split, loss=loss, **LITTLE)


def test_a_lambda_is_a_loss():
    loss = build_loss(TrainingConfig(loss=lambda labels, embeddings: ops.mean(embeddings)))
    assert float(loss(np.zeros(2), np.ones((2, 3), "float32"))) == 1


@pytest.mark.parametrize("start", ["runs/mine", 3, LITTLE])
def test_a_start_is_a_keras_model(split, start):
    with pytest.raises(ValueError, match=f"the network must be a Keras model, got {type(start).__name__}"):
        train(split, start=start, **LITTLE)


@pytest.mark.parametrize("network", [functional(), sequential()], ids=["functional", "sequential"])
def test_a_network_object_is_trained_and_left_unchanged(split, network, tmp_path):
    network(np.zeros((1, 32, 32, 1), "float32"))
    before = [np.array(value) for value in network.get_weights()]
    run = train(split, **{**LITTLE, "network": network})
    assert all((a == b).all() for a, b in zip(network.get_weights(), before, strict=True))
    assert run.embeddings.shape == (len(split.validation), 8)
    np.testing.assert_allclose(np.linalg.norm(run.embeddings, axis=1), 1, atol=1e-5)
    described = recorded(run, split, "network")
    assert described["parameters"] == network.count_params()
    save_model(tmp_path, run.siamese, make_card(run, split, data="these"))
    faces = split.validation.faces
    np.testing.assert_allclose(load_model(tmp_path).embed(faces), embed(embedding_of(run.siamese), faces, flip=True), atol=1e-5)


@pytest.mark.parametrize("siamese", [False, True])
def test_a_start_is_any_embedding_network_or_a_siamese_model(split, siamese):
    start = build_siamese(as_embedding(functional(), (32, 32, 1))) if siamese else functional()
    before = [np.array(value) for value in start.get_weights()]
    settings = {"embedding_size": 8, "learning_rate": 1e-12, "head_warmup_steps": 1, "whitening": False}
    run = train(split, start=start, **{**LITTLE, **settings})
    assert run.best_step == 0
    assert all((a == b).all() for a, b in zip(start.get_weights(), before, strict=True))
    expected = embed(as_embedding(start, (32, 32, 1)), split.validation.faces, flip=True)
    np.testing.assert_allclose(run.embeddings, expected, atol=1e-6)


def test_a_network_of_other_photos_or_outputs_is_refused(split):
    with pytest.raises(ValueError, match=r"the network must take photos of \(32, 32, 1\), got one of \(64, 64, 3\)"):
        train(split, start=build_embedding("classic"), **LITTLE)
    photos = keras.Input((32, 32, 1))
    maps = keras.Model(photos, layers.Conv2D(4, 3)(photos))
    with pytest.raises(ValueError, match=r"must return one embedding \(n, d\) for each photo, got shape \(None, 30, 30, 4\)"):
        train(split, start=maps, **LITTLE)


def test_a_copy_of_a_network_has_its_own_weights():
    network = as_embedding(functional(), (32, 32, 1))
    copy = copy_network(network)
    copy.set_weights([value + 1 for value in copy.get_weights()])
    assert all((a != b).any() for a, b in zip(network.get_weights(), copy.get_weights(), strict=True))


def test_an_optimizer_object_is_copied_used_and_recorded(split):
    optimizer = keras.optimizers.SGD(0.01, momentum=0.9)
    run = train(split, optimizer=optimizer, **LITTLE)
    assert [row["learning_rate"] for row in run.history] == pytest.approx([0.01, 0.01])
    assert not optimizer.built
    described = recorded(run, split, "optimizer")
    assert described["class"].endswith(".SGD") and described["config"]["momentum"] == pytest.approx(0.9)


def test_the_learning_rate_multiplier_applies_to_rates_and_schedules(split):
    schedule = keras.optimizers.schedules.ExponentialDecay(1.0, 10, 0.5)
    for rate, step, expected in ((0.5, 0, 0.05), (schedule, 10, 0.05)):
        optimizer = keras.optimizers.Adam(rate)
        settings = Optimization(optimizer=optimizer)
        copy = build_optimizer(settings, steps=10, multiplier=0.1)
        copy.iterations.assign(step)
        assert float(ops.convert_to_numpy(copy.learning_rate)) == pytest.approx(expected)


def test_results_have_a_short_repr(split):
    run = train(split, **LITTLE)
    assert repr(run).startswith("TrainingRun(steps=4, best_step=4, validation_eer=")
    assert len(repr(run)) < 100
