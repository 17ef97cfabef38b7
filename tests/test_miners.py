"""Which triplets the miners select, on embeddings at known angles of a circle."""

import math

import numpy as np
import pytest
from keras import ops
from test_losses import chord, on_circle, value

from visavis.models import losses
from visavis.models.losses.miners import build_miner
from visavis.models.losses.pairs import _pairs

LABELS, FACES = [0, 0, 1, 1], on_circle(0, 40, 60, 100)


def mined(miner, labels=LABELS, faces=FACES, memory=None):
    return [ops.convert_to_numpy(array) for array in build_miner(miner)(_pairs(np.asarray(labels), faces, memory))]


def test_hard_is_one_triplet_for_each_anchor():
    mated, nonmated, weights = mined("hard")
    np.testing.assert_allclose(mated.ravel(), [chord(40)] * 4, atol=1e-5)
    np.testing.assert_allclose(nonmated.ravel(), [chord(60), chord(20), chord(20), chord(60)], atol=1e-5)
    assert weights.ravel().tolist() == [1] * 4


def test_an_anchor_without_a_positive_has_no_triplet():
    for miner in losses.MINERS:
        weights = mined(miner, [0, 0, 1, 2])[2]
        assert (weights[:2].reshape(2, -1).sum(axis=1) > 0).all()
        assert (weights[2:] == 0).all()


def test_distance_weights_even_out_the_density_of_distances():
    """In three dimensions distances on a sphere have a density that is proportional to themselves."""
    rng = np.random.default_rng(0)
    faces = rng.normal(size=(8, 3))
    faces = (faces / np.linalg.norm(faces, axis=1, keepdims=True)).astype("float32")
    labels = np.array([0, 0, 1, 1, 2, 2, 3, 3])
    pairs = _pairs(labels, faces, None)
    found = ops.convert_to_numpy(losses.DistanceWeighted(cutoff=0.1, maximum=1.2).probabilities(pairs))
    distances = np.linalg.norm(faces[:, None] - faces[None], axis=2)
    weights = np.where((labels[:, None] != labels) & (distances < 1.2), 1 / np.maximum(distances, 0.1), 0)
    np.testing.assert_allclose(found, weights / weights.sum(axis=1, keepdims=True), rtol=1e-3, atol=1e-6)


def test_the_distance_weighted_loss_is_the_expected_value_of_drawing_negatives():
    # In two dimensions the weight is sqrt(1 - d**2 / 4), the cosine of half the angle.
    loss = losses.triplet_loss([0, 0, 1, 2], on_circle(0, 10, 40, 60), margin=0.5, mining="distance-weighted")

    def expected(positive, *negatives):
        weights = [math.cos(math.radians(max(angle, math.degrees(2 * math.asin(0.25)))) / 2) for angle in negatives]
        terms = [max(0.0, chord(positive) - chord(angle) + 0.5) for angle in negatives]
        return np.dot(weights, terms) / sum(weights)

    assert value(loss) == pytest.approx((expected(10, 40, 60) + expected(10, 30, 50)) / 2, rel=1e-4)


def test_the_contrastive_loss_takes_the_pairs_of_mined_triplets():
    loss = losses.batch_contrastive_loss(LABELS, FACES, margin=0.6, mining="hard")
    inner, outer = max(0, 0.6 - chord(20)) ** 2, max(0, 0.6 - chord(60)) ** 2
    assert value(loss) == pytest.approx((chord(40) ** 2 + (inner + outer) / 2) / 2, rel=1e-5)


def test_a_miner_of_your_own_is_a_function():
    def easiest(pairs):
        nearest = ops.min(pairs.distances + 1e9 * (1 - pairs.mated), axis=1)
        farthest = ops.max(pairs.distances * pairs.nonmated, axis=1)
        return losses.Triplets(nearest, farthest, ops.max(pairs.mated, axis=1))

    loss = losses.triplet_loss(LABELS, FACES, margin=1.0, mining=easiest)
    assert value(loss) == pytest.approx(chord(40) + 1 - (chord(100) + chord(60)) / 2, rel=1e-5)


@pytest.mark.parametrize(
    ("arguments", "message"), [({"cutoff": 0}, "cutoff must be in"), ({"maximum": 0.2}, "maximum must be above cutoff")]
)
def test_distances_out_of_range_are_refused(arguments, message):
    with pytest.raises(ValueError, match=message):
        losses.DistanceWeighted(**arguments)
