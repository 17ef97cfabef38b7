"""The losses, worked out by hand on embeddings at known angles of a circle."""

import json
import math

import keras
import numpy as np
import pytest
from keras import ops

from visavis.models import losses

BATCH_LOSSES = [
    losses.BatchContrastive(margin=0.8),
    losses.BatchTriplet(margin=0.3, mining="hard"),
    losses.BatchTriplet(margin=0.3, mining="semi-hard"),
    losses.BatchTriplet(margin=0.3, mining=losses.DistanceWeighted(cutoff=0.4)),
    losses.BatchContrastive(margin=0.8, mining=losses.Hard()),
    losses.SupervisedContrastive(temperature=0.2),
    losses.MultiSimilarity(alpha=1.0, beta=10.0, base=0.4),
]
NAMES = [f"{loss.name}-{index}" for index, loss in enumerate(BATCH_LOSSES)]


def on_circle(*degrees):
    radians = np.deg2rad(degrees)
    return np.stack([np.cos(radians), np.sin(radians)], axis=1).astype(np.float32)


def chord(degrees):
    return 2 * math.sin(math.radians(degrees) / 2)


def value(tensor):
    return ops.convert_to_numpy(tensor).item()


def test_contrastive_loss_is_the_formula_of_the_brief():
    y, distances = np.array([1, 1, 0, 0]), np.array([0.2, 0.6, 0.7, 1.5])
    assert value(losses.contrastive_loss(y, distances)) == pytest.approx((0.04 + 0.36 + 0.09 + 0.0) / 4)
    assert value(losses.contrastive_loss(y, distances, margin=2)) == pytest.approx((0.04 + 0.36 + 1.69 + 0.25) / 4)


def test_contrastive_loss_takes_a_column_of_distances():
    column = np.array([[0.2], [0.6], [0.7], [1.5]], dtype=np.float32)
    assert value(losses.contrastive_loss(np.array([1, 1, 0, 0]), column)) == pytest.approx(0.1225)


def test_contrastive_class_equals_the_function():
    y, distances = np.array([[1.0], [0.0]]), np.array([[0.3], [0.4]])
    assert value(losses.ContrastiveLoss(margin=0.9)(y, distances)) == pytest.approx((0.09 + 0.25) / 2)


@pytest.mark.parametrize("margin", [0, -1, math.nan])
def test_margin_must_be_positive(margin):
    with pytest.raises(ValueError, match="margin must be positive, got "):
        losses.contrastive_loss([1.0], [0.5], margin=margin)


def test_contrastive_loss_names_shapes_that_do_not_fit():
    with pytest.raises(ValueError, match="y and preds must have the same size, got shapes"):
        losses.contrastive_loss(np.ones(3), np.ones(2))


def test_pairwise_distances_are_chords():
    distances = ops.convert_to_numpy(losses.pairwise_distances(on_circle(0, 60, 180)))
    expected = [[0, chord(60), 2], [chord(60), 0, chord(120)], [2, chord(120), 0]]
    np.testing.assert_allclose(distances, expected, atol=1e-3)


def test_batch_contrastive_is_the_mean_over_all_pairs():
    loss = losses.batch_contrastive_loss([0, 0, 1], on_circle(0, 30, 50), margin=1)
    mated = chord(30) ** 2
    nonmated = (1 - chord(50)) ** 2 + (1 - chord(20)) ** 2
    assert value(loss) == pytest.approx((mated + nonmated) / 3, rel=1e-5)


def test_batch_binary_crossentropy():
    logits = np.array([[9, 2, -1], [2, 9, 0], [-1, 0, 9]], dtype=np.float32)
    mated = math.log1p(math.exp(-2))
    nonmated = (math.log1p(math.exp(-1)) + math.log(2)) / 2
    assert value(losses.batch_binary_crossentropy([0, 0, 1], logits)) == pytest.approx((mated + nonmated) / 2, rel=1e-5)


def test_hard_triplets_take_the_farthest_positive_and_the_nearest_negative():
    loss = losses.triplet_loss([0, 0, 1, 1], on_circle(0, 40, 60, 100), margin=0.2)
    inner = max(0.0, chord(40) - chord(20) + 0.2)  # the photos at 40 and 60 degrees
    outer = max(0.0, chord(40) - chord(60) + 0.2)  # those at 0 and 100
    assert value(loss) == pytest.approx((inner + outer) / 2, rel=1e-5)


def test_semi_hard_triplets_take_the_nearest_negative_past_the_positive():
    # Anchor 0: positive at 40, negatives at 60 and 100. Anchor 40: positive at 0 (40 away), negatives 20 and 60 away.
    loss = losses.triplet_loss([0, 0, 1, 2], on_circle(0, 40, 60, 100), margin=0.5, mining="semi-hard")
    expected = max(0.0, chord(40) - chord(60) + 0.5)  # for either anchor the negative is 60 degrees away
    assert value(loss) == pytest.approx(expected, rel=1e-5)


def test_semi_hard_falls_back_on_the_farthest_negative():
    loss = losses.triplet_loss([0, 0, 1, 2], on_circle(0, 90, 30, 50), margin=0.2, mining="semi-hard")
    from_first = chord(90) - chord(50) + 0.2
    from_second = chord(90) - chord(60) + 0.2
    assert value(loss) == pytest.approx((from_first + from_second) / 2, rel=1e-5)


def test_mining_must_be_known():
    with pytest.raises(ValueError, match="mining must be 'distance-weighted', 'hard' or 'semi-hard', got 'easy'"):
        losses.triplet_loss([0, 0, 1], on_circle(0, 1, 2), mining="easy")


def test_supervised_contrastive():
    loss = losses.supervised_contrastive_loss([0, 0, 1], on_circle(0, 60, 90), temperature=0.5)
    near, far, middle = math.cos(math.pi / 3) / 0.5, 0.0, math.cos(math.pi / 6) / 0.5
    first = -near + math.log(math.exp(near) + math.exp(far))
    second = -near + math.log(math.exp(near) + math.exp(middle))
    assert value(loss) == pytest.approx((first + second) / 2, rel=1e-5)


def test_multi_similarity():
    loss = losses.multi_similarity_loss([0, 0, 1], on_circle(0, 60, 90), alpha=2, beta=10, base=0.5)
    cosine = {30: math.cos(math.pi / 6), 60: 0.5, 90: 0.0}

    def positives(*degrees):
        return math.log1p(sum(math.exp(-2 * (cosine[d] - 0.5)) for d in degrees)) / 2

    def negatives(*degrees):
        return math.log1p(sum(math.exp(10 * (cosine[d] - 0.5)) for d in degrees)) / 10

    expected = positives(60) + negatives(90) + positives(60) + negatives(30) + negatives(90, 30)
    assert value(loss) == pytest.approx(expected / 3, rel=1e-5)


@pytest.mark.parametrize("loss", BATCH_LOSSES, ids=NAMES)
def test_gradients_are_finite_where_photos_are_equal(loss):
    layer = keras.layers.Dense(2, use_bias=False, kernel_initializer="identity")
    model = keras.Sequential([keras.Input((2,)), layer])
    model.compile(keras.optimizers.SGD(0.1), loss=loss)
    result = float(model.train_on_batch(on_circle(10, 10, 10, 10), np.array([0, 0, 1, 1])))
    assert math.isfinite(result)
    assert np.isfinite(model.get_weights()[0]).all()


@pytest.mark.parametrize("loss", BATCH_LOSSES, ids=NAMES)
def test_classes_survive_saving(loss):
    config = json.loads(json.dumps(keras.saving.serialize_keras_object(loss)))
    again = keras.saving.deserialize_keras_object(config)
    labels, embeddings = np.array([0, 0, 1, 1]), on_circle(0, 40, 60, 100)
    assert value(again(labels, embeddings)) == value(loss(labels, embeddings))
    assert type(again) is type(loss)


@pytest.mark.parametrize("loss", BATCH_LOSSES, ids=NAMES)
def test_half_precision_embeddings_lose_little(loss):
    labels, embeddings = np.array([0, 0, 1, 1]), on_circle(0, 40, 60, 100)
    half = ops.cast(embeddings, "bfloat16")
    assert value(loss(labels, half)) == pytest.approx(value(loss(labels, embeddings)), abs=0.05)


@pytest.mark.parametrize("loss", BATCH_LOSSES, ids=NAMES)
def test_a_batch_without_mated_pairs_is_finite(loss):
    assert math.isfinite(value(loss(np.arange(4), on_circle(0, 40, 60, 100))))


def test_distances_of_near_rows_are_accurate():
    rows = np.zeros((4, 128), "float32")
    rows[:, 0] = 1
    rows[1, 1], rows[2, 1], rows[3, 2] = 1e-4, 1e-3, 0.1
    exact = np.linalg.norm(rows.astype(np.float64)[:, None] - rows.astype(np.float64)[None], axis=2)
    np.testing.assert_allclose(ops.convert_to_numpy(losses.pairwise_distances(rows)), exact, rtol=1e-5, atol=2e-6)
