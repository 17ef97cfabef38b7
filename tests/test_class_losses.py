"""The losses over classes, worked out by hand with photos and centres at known angles of a circle."""

import json
import math

import keras
import numpy as np
import pytest
from keras import ops
from test_losses import on_circle, value

from visavis.models import losses

CENTRES = on_circle(0, 90, 180)
CLASS_LOSSES = [losses.MarginSoftmax(), losses.MarginSoftmax((1.0, 0.0, 0.35), scale=8.0), losses.AdaFace(), losses.ProxyAnchor()]


def cosines(*degrees):
    return on_circle(*degrees) @ CENTRES.T


def cosine(degrees):
    return math.cos(math.radians(degrees))


def cross_entropy(own, *others):
    return math.log(math.exp(own) + sum(map(math.exp, others))) - own


@pytest.mark.parametrize(
    ("margins", "own"),
    [
        ((1.0, 0.0, 0.0), cosine(30)),
        ((1.0, 0.5, 0.0), math.cos(math.pi / 6 + 0.5)),
        ((1.0, 0.0, 0.35), cosine(30) - 0.35),
        ((2.0, 0.0, 0.0), cosine(60)),
        ((1.5, 0.2, 0.1), math.cos(math.pi / 4 + 0.2) - 0.1),
    ],
    ids=["plain", "arcface", "cosface", "sphereface", "combined"],
)
def test_margins_change_the_cosine_with_the_own_class(margins, own):
    loss = losses.margin_softmax_loss([0], cosines(30), margins=margins, scale=4.0)
    assert value(loss) == pytest.approx(cross_entropy(4 * own, 4 * cosine(60), 4 * cosine(150)), rel=1e-4)


def test_the_margin_loss_falls_all_the_way_as_a_photo_nears_its_centre():
    angles = np.arange(180, -1, -1)
    for margins in ((1.0, 0.5, 0.0), (3.0, 0.3, 0.0)):
        found = [
            value(losses.margin_softmax_loss([0], np.array([[cosine(a), 0.0]], "float32"), margins=margins, scale=4.0))
            for a in angles
        ]
        assert (np.diff(found) < 1e-6).all()


def test_adaface_gives_poor_photos_no_angular_push():
    def loss(quality):
        return value(losses.adaface_loss([0], np.append(cosines(30)[0], quality)[None], margin=0.4, scale=4.0))

    others = (4 * cosine(60), 4 * cosine(150))
    assert loss(0.0) == pytest.approx(cross_entropy(4 * (cosine(30) - 0.4), *others), rel=1e-4)
    assert loss(-1.0) == pytest.approx(cross_entropy(4 * math.cos(math.pi / 6 + 0.4), *others), rel=1e-4)
    assert loss(1.0) == pytest.approx(cross_entropy(4 * (math.cos(math.pi / 6 - 0.4) - 0.8), *others), rel=1e-4)


def test_proxy_anchor():
    loss = losses.proxy_anchor_loss([0, 0, 1], cosines(10, 20, 60), margin=0.1, scale=3.0)

    def soft_sum(sign, *degrees):
        return math.log1p(sum(math.exp(sign * 3 * (cosine(d) - sign * -0.1)) for d in degrees))

    pull = (soft_sum(-1, 10, 20) + soft_sum(-1, 30)) / 2
    push = (soft_sum(1, 60) + soft_sum(1, 80, 70) + soft_sum(1, 170, 160, 120)) / 3
    assert value(loss) == pytest.approx(pull + push, rel=1e-5)


@pytest.mark.parametrize("loss", CLASS_LOSSES, ids=lambda loss: loss.name)
def test_labels_that_are_no_class_are_ignored(loss):
    width = 3 + loss.needs_quality
    predictions = np.zeros((4, width), "float32")
    predictions[:, :3] = cosines(10, 100, 40, 70)
    whole = value(loss(np.array([0, 1]), predictions[:2]))
    assert value(loss(np.array([0, 1, 3, -1]), predictions)) == pytest.approx(whole, rel=1e-6)
    nobody = value(loss(np.array([3, 3, 9, -1]), predictions))
    assert nobody == pytest.approx(0, abs=1e-6)


@pytest.mark.parametrize("loss", CLASS_LOSSES, ids=lambda loss: loss.name)
def test_gradients_are_finite_at_and_opposite_to_a_centre(loss):
    model = keras.Sequential([keras.Input((3,)), keras.layers.Dense(3, use_bias=False, kernel_initializer="identity")])
    model.compile(keras.optimizers.SGD(0.1), loss=loss)
    predictions = np.array([[1, 0, -1], [1, 0, -1]] if not loss.needs_quality else [[1, -1, 1], [1, -1, -1]], "float32")
    assert math.isfinite(float(model.train_on_batch(predictions, np.array([0, 1 if loss.needs_quality else 2]))))
    assert np.isfinite(model.get_weights()[0]).all()


@pytest.mark.parametrize("loss", CLASS_LOSSES, ids=lambda loss: loss.name)
def test_classes_survive_saving(loss):
    again = keras.saving.deserialize_keras_object(json.loads(json.dumps(keras.saving.serialize_keras_object(loss))))
    predictions = np.zeros((2, 4), "float32")
    predictions[:, :3] = cosines(10, 70)
    assert value(again(np.array([0, 1]), predictions)) == value(loss(np.array([0, 1]), predictions))
    assert type(again) is type(loss)


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (
            lambda: losses.MarginSoftmax(margins=(0.5, 0, 0)),
            r"margins must be at least 1, in \[0, pi\) and at least 0, got \(0.5, 0, 0\)",
        ),
        (lambda: losses.MarginSoftmax(margins=(1, 0)), r"margins must be three numbers, got \(1, 0\)"),
        (lambda: losses.margin_softmax_loss([0], cosines(1), scale=0), "scale must be positive, got 0"),
        (lambda: losses.proxy_anchor_loss([0], cosines(1), margin=-1), "margins must be at least 1"),
    ],
)
def test_arguments_out_of_range_are_refused(call, message):
    with pytest.raises(ValueError, match=message):
        call()


def test_half_precision_loses_little():
    whole = value(losses.MarginSoftmax(scale=8.0)(np.array([0, 1]), cosines(20, 60)))
    half = losses.MarginSoftmax(scale=8.0)(np.array([0, 1]), ops.cast(cosines(20, 60), "bfloat16"))
    assert value(half) == pytest.approx(whole, rel=0.05)
