"""Layers that hold class centres or a memory: their values, what they learn and remember, and samples of classes."""

import math

import keras
import numpy as np
import pytest
from keras import ops
from test_losses import on_circle, value

from visavis.models import DistanceSigmoid, losses
from visavis.models.loss_layers import ClassCentres, ComputedLoss, CrossBatchMemory


def labelled(*labels):
    return np.array(labels, dtype="int32")


def centres(loss, degrees, **arguments):
    layer = ClassCentres(loss, len(degrees), **arguments)
    layer.build([(None, 2), (None,)])
    layer.centres.assign(2 * on_circle(*degrees))
    return layer


def test_the_loss_is_of_the_cosines_with_the_centres():
    loss = losses.MarginSoftmax(scale=4.0)
    layer = centres(loss, (0, 90, 180))
    faces = on_circle(20, 100)
    expected = loss(labelled(0, 1), faces @ on_circle(0, 90, 180).T)
    assert value(layer([3 * faces, labelled(0, 1)])) == pytest.approx(value(expected), rel=1e-5)


def test_centres_are_learnt():
    layer = centres(losses.MarginSoftmax(scale=4.0), (60, 120))
    faces, labels = keras.Input((2,)), keras.Input((), dtype="int32")
    model = keras.Model([faces, labels], layer([faces, labels]))
    model.compile(keras.optimizers.SGD(1.0), loss=ComputedLoss())
    losses_of_steps = [model.train_on_batch([on_circle(0, 180), labelled(0, 1)], labelled(0, 1)) for _ in range(60)]
    assert losses_of_steps[-1] < losses_of_steps[0] / 2
    angles = np.degrees(np.arctan2(*np.array(layer.centres).T[::-1]))
    assert angles[0] < 30 and angles[1] > 150


def test_centres_start_at_the_mean_of_each_person():
    layer = centres(losses.ProxyAnchor(), (0, 0, 0))
    layer.set_centres(on_circle(10, 30, 90), labelled(0, 0, 2))
    np.testing.assert_allclose(np.array(layer.centres), [*on_circle(20), *on_circle(0) * 2, *on_circle(90)], atol=1e-6)


def test_a_sample_holds_the_classes_of_the_batch():
    layer = ClassCentres(losses.MarginSoftmax(), 50, sampled=6, seed=3)
    layer.build([(None, 8), (None,)])
    drawn = []
    for _ in range(20):
        chosen, positions = layer._sample(labelled(7, 7, 31, 49, 50, 1234, -1))
        chosen, positions = ops.convert_to_numpy(chosen), ops.convert_to_numpy(positions)
        assert chosen.shape == (6, 8)
        for label, position in zip((7, 7, 31, 49), positions, strict=False):
            assert (chosen[position] == np.array(layer.centres)[label]).all()
        assert (positions[4:] == 6).all(), "labels that are no class"
        drawn.append(chosen.tobytes())
    assert len(set(drawn)) == 20, "other classes in each step"


def test_a_sample_of_all_classes_gives_the_whole_loss():
    rng = np.random.default_rng(0)
    faces, labels = rng.normal(size=(6, 8)).astype("float32"), labelled(0, 1, 2, 3, 4, 9)
    whole, part = (ClassCentres(losses.MarginSoftmax(), 9, sampled=sampled, seed=1) for sampled in (None, 5))
    for layer in (whole, part):
        layer.build([(None, 8), (None,)])
    part.centres.assign(whole.centres)
    everything = value(whole([faces, labels]))
    assert value(part([faces, labels])) < everything, "fewer other classes"
    part.sampled = 9
    assert value(part([faces, labels])) == pytest.approx(everything, rel=1e-5)


def test_a_step_with_a_sample_is_reproducible():
    faces, labels = on_circle(10, 20), labelled(0, 1)
    runs = []
    for seed in (5, 5, 6):
        layer = ClassCentres(losses.MarginSoftmax(), 40, sampled=3, seed=seed)
        runs.append([value(layer([faces, labels])) for _ in range(3)])
    assert runs[0] == runs[1] != runs[2]


def test_adaface_standardises_the_lengths_of_embeddings():
    loss = losses.AdaFace(scale=4.0)
    layer = centres(loss, (0, 90))
    lengths = np.array([[4.0], [6.0]], "float32")
    faces = on_circle(20, 100)
    layer([lengths * faces, labelled(0, 1)], training=True)
    kept = 0.1
    assert float(layer.length_mean) == pytest.approx((1 - kept) * 5)
    assert float(layer.length_deviation) == pytest.approx((1 - kept) * 1)
    with_quality = layer([lengths * faces, labelled(0, 1)])  # standardised by its own batch where nothing is trained
    predictions = np.concatenate([faces @ on_circle(0, 90).T, [[-0.333], [0.333]]], axis=1)
    assert value(with_quality) == pytest.approx(value(loss(labelled(0, 1), predictions)), rel=1e-2)


MEMORY_LOSSES = [
    losses.BatchContrastive(margin=0.8),
    losses.BatchTriplet(margin=0.3),
    losses.BatchTriplet(margin=0.3, mining="semi-hard"),
    losses.BatchTriplet(margin=0.3, mining="distance-weighted"),
    losses.SupervisedContrastive(temperature=0.2),
    losses.MultiSimilarity(beta=10.0),
]


@pytest.mark.parametrize("loss", MEMORY_LOSSES, ids=lambda loss: loss.name)
def test_an_empty_memory_changes_nothing(loss):
    faces, labels = on_circle(0, 40, 60, 100), labelled(0, 0, 1, 1)
    assert value(CrossBatchMemory(loss, 5)([faces, labels])) == pytest.approx(value(loss(labels, faces)), rel=1e-5)


@pytest.mark.parametrize("loss", MEMORY_LOSSES, ids=lambda loss: loss.name)
def test_a_remembered_batch_is_compared_with(loss):
    layer = CrossBatchMemory(loss, 5)
    layer([on_circle(0, 60, 42, 100), labelled(0, 0, 1, 1)], training=True)
    faces, labels = on_circle(10, 25, 50), labelled(0, 0, 2)
    remembered = value(layer([faces, labels]))
    assert remembered != pytest.approx(value(loss(labels, faces)), rel=1e-3)
    assert remembered == value(layer([faces, labels])), "only training steps are remembered"


def test_contrastive_loss_with_a_memory_is_the_mean_over_all_pairs_with_a_photo_of_the_batch():
    layer = CrossBatchMemory(losses.BatchContrastive(margin=1.0), 8)
    layer([on_circle(0, 90), labelled(0, 1)], training=True)
    faces, labels = on_circle(30, 60), labelled(0, 2)
    distances = np.linalg.norm(faces[:, None] - np.concatenate([faces, on_circle(0, 90)])[None], axis=2)
    far = np.maximum(1 - distances, 0) ** 2
    terms = [far[0, 1], distances[0, 2] ** 2, far[0, 3], far[1, 0], far[1, 2], far[1, 3]]
    assert value(layer([faces, labels])) == pytest.approx(np.mean(terms), rel=1e-5)


def test_the_oldest_photos_are_forgotten():
    layer = CrossBatchMemory(losses.SupervisedContrastive(), 3)
    for start in range(3):
        layer([on_circle(start, start + 1), labelled(2 * start, 2 * start + 1)], training=True)
    assert ops.convert_to_numpy(layer.labels).tolist() == [4, 5, 2]
    np.testing.assert_allclose(ops.convert_to_numpy(layer.embeddings), on_circle(2, 3, 1), atol=1e-6)


def test_binary_crossentropy_has_a_memory_too():
    head = DistanceSigmoid()
    head.build((None, 1))
    layer = CrossBatchMemory(losses.BatchBinaryCrossentropy(), 4, head=head)
    layer([on_circle(0, 90), labelled(0, 1)], training=True)
    faces = on_circle(30, 60)
    distances = np.linalg.norm(faces[:, None] - np.concatenate([faces, on_circle(0, 90)])[None], axis=2)
    logits = head.logit(ops.convert_to_tensor(distances))
    mated = np.array([[0, 0, 1, 0], [0, 0, 0, 1.0]])
    terms = np.log1p(np.exp(np.where(mated > 0, -1, 1) * ops.convert_to_numpy(logits)))
    others = 1 - mated - np.eye(2, 4)
    expected = (terms[mated > 0].mean() + terms[others > 0].mean()) / 2
    assert value(layer([faces, labelled(0, 1)])) == pytest.approx(expected, rel=1e-5)


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: ClassCentres(losses.ProxyAnchor(), 0), "classes must be at least 1, got 0"),
        (lambda: CrossBatchMemory(losses.MultiSimilarity(), 0), "memory must be at least 1, got 0"),
        (lambda: CrossBatchMemory(losses.ProxyAnchor(), 5), "memory needs a loss over pairs .*, got proxy_anchor_loss"),
    ],
)
def test_layers_refuse_what_they_cannot_use(call, message):
    with pytest.raises(ValueError, match=message):
        call()


def test_an_embedding_of_length_zero_is_finite():
    layer = centres(losses.MarginSoftmax(), (0, 90))
    assert math.isfinite(value(layer([np.zeros((2, 2), "float32"), labelled(0, 1)])))
