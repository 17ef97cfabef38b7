"""Networks, layers and the Siamese model of two inputs."""

import keras
import numpy as np
import pytest
from keras import ops

from visavis.models import (
    NETWORKS,
    DirectAveragePooling2D,
    DirectConv2D,
    DirectMaxPooling2D,
    DistanceSigmoid,
    EuclideanDistance,
    FusedBatchNormalization,
    PairLogits,
    StandardizePhotos,
    build_embedding,
    build_siamese,
    embed,
    embedding_of,
    head_of,
)


def photos(count=6, shape=(32, 32, 1), seed=0):
    return np.random.default_rng(seed).integers(0, 256, (count, *shape), dtype=np.uint8)


@pytest.mark.parametrize("network", NETWORKS)
@pytest.mark.parametrize("shape", [(32, 32, 1), (33, 47, 3)])
def test_embeddings_have_unit_length(network, shape):
    model = build_embedding(network, shape, embedding_size=24)
    embeddings = embed(model, photos(shape=shape))
    assert embeddings.shape == (6, 24)
    assert embeddings.dtype == np.float32
    np.testing.assert_allclose(np.linalg.norm(embeddings, axis=1), 1, atol=1e-5)


def test_compact_has_the_size_it_is_named_for():
    assert 1_500_000 < build_embedding("compact", (64, 64, 3)).count_params() < 3_500_000


def test_the_seed_draws_the_weights():
    first, again, other = (build_embedding("classic", (32, 32, 1), seed=seed).get_weights()[0] for seed in (3, 3, 4))
    assert (first == again).all()
    assert (first != other).any()


def test_levels_of_255_and_of_1_are_the_same_photo():
    model = build_embedding("classic", (32, 32, 3))
    faces = photos(shape=(32, 32, 3))
    np.testing.assert_allclose(embed(model, faces), embed(model, faces / 255), atol=1e-4)


def test_standardised_photos_have_mean_0_and_deviation_1_and_a_flat_one_is_0():
    faces = photos(3).astype(np.float32)
    faces[0] = 77
    result = ops.convert_to_numpy(StandardizePhotos()(faces))
    np.testing.assert_allclose(result.mean(axis=(1, 2, 3)), 0, atol=1e-4)
    np.testing.assert_allclose(result.std(axis=(1, 2, 3)), [0, 1, 1], atol=1e-4)


@pytest.mark.parametrize(("dtype", "atol"), [("float32", 1e-4), ("mixed_bfloat16", 0.05)])
@pytest.mark.parametrize("training", [True, False])
@pytest.mark.parametrize("relu", [True, False])
def test_fused_batch_normalisation_is_that_of_keras(dtype, atol, training, relu):
    results = []
    arguments = {"momentum": 0.6, "beta_initializer": keras.initializers.Constant(0.5), "dtype": dtype}
    for layer in (keras.layers.BatchNormalization(**arguments), FusedBatchNormalization(relu=relu, **arguments)):
        inputs = keras.Input((3, 5, 4))
        features = layer(inputs)
        if relu and not isinstance(layer, FusedBatchNormalization):
            features = keras.layers.ReLU(dtype=dtype)(features)
        model = keras.Model(inputs, keras.layers.Activation("tanh", dtype="float32")(features))
        layer.gamma.assign([0.5, 1, 2, -1])
        levels = np.random.default_rng(0).normal(3, 2, (2, 3, 5, 4)).astype(np.float32)
        targets = np.random.default_rng(1).normal(0, 1, levels.shape).astype(np.float32)
        model.compile(keras.optimizers.SGD(1.0), "mse")
        if training:
            model.train_on_batch(levels, targets)
        results.append([ops.convert_to_numpy(variable) for variable in layer.variables] + [model.predict_on_batch(levels)])
        assert type(layer).from_config(layer.get_config()).get_config() == layer.get_config()
        if training:
            assert (results[-1][0] != [0.5, 1, 2, -1]).all()
    for one, other in zip(*results, strict=True):
        np.testing.assert_allclose(one, other, atol=atol)


@pytest.mark.parametrize("sides", [(8, 8), (9, 7), (5, 12)])
@pytest.mark.parametrize("padding", ["same", "valid"])
@pytest.mark.parametrize(
    ("kind", "direct", "arguments"),
    [
        (keras.layers.Conv2D, DirectConv2D, {"filters": 6, "kernel_size": 3}),
        (keras.layers.Conv2D, DirectConv2D, {"filters": 6, "kernel_size": (3, 2), "strides": 2, "activation": "relu"}),
        (keras.layers.Conv2D, DirectConv2D, {"filters": 6, "kernel_size": 4, "strides": (1, 3), "groups": 2}),
        (keras.layers.Conv2D, DirectConv2D, {"filters": 6, "kernel_size": 1, "use_bias": False}),
        (keras.layers.Conv2D, DirectConv2D, {"filters": 6, "kernel_size": 2, "dilation_rate": 2}),
        (keras.layers.MaxPooling2D, DirectMaxPooling2D, {"pool_size": 2}),
        (keras.layers.MaxPooling2D, DirectMaxPooling2D, {"pool_size": 3, "strides": 1}),
        (keras.layers.AveragePooling2D, DirectAveragePooling2D, {"pool_size": 2}),
        (keras.layers.AveragePooling2D, DirectAveragePooling2D, {"pool_size": (2, 3), "strides": (1, 2)}),
    ],
)
def test_direct_layers_are_those_of_keras(kind, direct, arguments, padding, sides):
    results = []
    for layer in (kind(padding=padding, **arguments), direct(padding=padding, **arguments)):
        inputs = keras.Input((*sides, 4))
        model = keras.Model(inputs, layer(inputs))
        rng = np.random.default_rng(0)
        model.set_weights([rng.normal(0, 1, weights.shape).astype(np.float32) for weights in model.get_weights()])
        levels = rng.normal(0, 1, (2, *sides, 4)).astype(np.float32)
        assert model.output_shape[1:] == model.predict_on_batch(levels).shape[1:]
        results.append([model.predict_on_batch(levels)])
        if model.weights:
            model.compile(keras.optimizers.SGD(0.1), "mse")
            model.train_on_batch(levels, np.zeros_like(results[-1][0]))
            results[-1] += model.get_weights()
    for one, other in zip(*results, strict=True):
        np.testing.assert_allclose(one, other, atol=1e-4)


def test_embed_in_batches_of_any_size():
    model = build_embedding("classic", (32, 32, 1))
    faces = photos(7)
    np.testing.assert_allclose(embed(model, faces, batch_size=3), embed(model, faces), atol=1e-5)
    assert embed(model, faces[:0]).shape == (0, 128)


def test_flipped_embeddings_do_not_tell_left_from_right():
    model = build_embedding("classic", (32, 32, 1))
    faces = photos(4)
    mirrored = np.ascontiguousarray(faces[:, :, ::-1])
    np.testing.assert_allclose(embed(model, faces, flip=True), embed(model, mirrored, flip=True), atol=1e-5)


def test_distance_layer():
    first, second = np.array([[1.0, 0], [1, 0]], "float32"), np.array([[0.0, 1], [1, 0]], "float32")
    distance = ops.convert_to_numpy(EuclideanDistance()([first, second]))
    np.testing.assert_allclose(distance, [[2**0.5], [0]], atol=1e-5)


def test_head_is_a_falling_sigmoid():
    head = DistanceSigmoid()
    head(np.zeros((1, 1), "float32"))
    head.calibrate(3.0, 4.0)
    assert head.calibration() == pytest.approx((3.0, 4.0), rel=1e-5)
    probabilities = ops.convert_to_numpy(head(np.array([[0.0], [0.75], [2.0]], "float32"))).ravel()
    np.testing.assert_allclose(probabilities, [1 / (1 + np.exp(-3)), 0.5, 1 / (1 + np.exp(5))], rtol=1e-4)
    with pytest.raises(ValueError, match="slope must be positive, got -1"):
        head.calibrate(0.0, -1)


@pytest.mark.parametrize("slope", [1e-3, 1.0, 40.0])
def test_head_keeps_slopes_of_any_size(slope):
    head = DistanceSigmoid()
    head(np.zeros((1, 1), "float32"))
    head.calibrate(0.0, slope)
    assert head.calibration()[1] == pytest.approx(slope, rel=1e-3)


def test_siamese_is_symmetric_and_shares_its_weights():
    siamese = build_siamese(build_embedding("classic", (32, 32, 1)))
    first, second = photos(5), photos(5, seed=1)
    there, back = siamese.predict([first, second], verbose=0), siamese.predict([second, first], verbose=0)
    assert there.shape == (5, 1)
    np.testing.assert_allclose(there, back, atol=1e-6)
    assert siamese.count_params() == embedding_of(siamese).count_params() + 2


def test_siamese_learns_by_plain_keras():
    rng = np.random.default_rng(0)
    people = rng.integers(0, 256, (2, 32, 32, 1))
    who = rng.integers(0, 2, (64, 2))
    pairs = np.clip(people[who] + rng.normal(0, 20, (64, 2, 32, 32, 1)), 0, 255).astype(np.uint8)
    same = (who[:, 0] == who[:, 1]).astype(int)
    siamese = build_siamese(build_embedding("classic", (32, 32, 1)))
    siamese.compile(keras.optimizers.Adam(3e-3), "binary_crossentropy", metrics=["accuracy"])
    history = siamese.fit([pairs[:, 0], pairs[:, 1]], same, epochs=12, batch_size=32, verbose=0)
    assert history.history["accuracy"][-1] > 0.95


def test_siamese_survives_saving(tmp_path):
    siamese = build_siamese(build_embedding("compact", (32, 32, 3)))
    head_of(siamese).calibrate(2.0, 3.0)
    siamese.save(tmp_path / "model.keras")
    again = keras.saving.load_model(tmp_path / "model.keras")
    inputs = [photos(3, (32, 32, 3)), photos(3, (32, 32, 3), seed=1)]
    np.testing.assert_allclose(again.predict(inputs, verbose=0), siamese.predict(inputs, verbose=0), atol=1e-6)
    assert head_of(again).calibration() == pytest.approx((2.0, 3.0), rel=1e-5)


def test_pair_logits_are_the_heads():
    head = DistanceSigmoid()
    head(np.zeros((1, 1), "float32"))
    head.calibrate(3.0, 2.0)
    logits = ops.convert_to_numpy(PairLogits(head)(np.array([[1.0, 0], [0, 1]], "float32")))
    assert logits[0, 1] == pytest.approx(3 - 2 * 2**0.5, rel=1e-4)


def test_mixed_precision_keeps_embeddings_in_single():
    model = build_embedding("classic", (32, 32, 1), dtype="mixed_bfloat16")
    embeddings = embed(model, photos())
    assert embeddings.dtype == np.float32
    np.testing.assert_allclose(np.linalg.norm(embeddings, axis=1), 1, atol=1e-5)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"network": "huge"}, "network must be 'classic', 'compact', 'deep' or 'deeper', got 'huge'"),
        ({"input_shape": (31, 64, 3)}, "sides of at least 32"),
        ({"input_shape": (64, 64, 2)}, "1 or 3 channels"),
        ({"embedding_size": 1}, "embedding_size must be at least 2"),
    ],
)
def test_arguments_out_of_range_are_named(arguments, message):
    with pytest.raises(ValueError, match=message):
        build_embedding(**arguments)


def test_gray_photos_are_embedded_by_a_network_of_colour_photos():
    model = build_embedding("classic", (32, 40, 3))
    gray = photos(3, (32, 40))
    expected = embed(model, np.repeat(gray[..., None], 3, axis=3))
    for given in (gray, gray[..., None]):
        np.testing.assert_array_equal(embed(model, given), expected)


@pytest.mark.parametrize(
    ("shape", "hint"),
    [
        ((32, 40, 3), "; one photo is photo\\[None\\]"),
        ((32, 40), "; one photo is photo\\[None\\]"),
        ((2, 32, 40, 4), ""),
        ((2, 40, 32, 3), ""),
    ],
)
def test_photos_of_another_shape_are_refused(shape, hint):
    model = build_embedding("classic", (32, 40, 3))
    given = str(shape).replace("(", r"\(").replace(")", r"\)")
    with pytest.raises(ValueError, match=rf"photos must be \(n, 32, 40, 3\), got shape {given}{hint}$"):
        embed(model, np.zeros(shape, np.uint8))


@pytest.mark.parametrize("shape", [(32, 32, 1), (32, 32, 4), (40, 40, 3)])
def test_the_siamese_model_refuses_photos_of_another_shape(shape):
    siamese = build_siamese(build_embedding("classic", (32, 32, 3)))
    with pytest.raises(ValueError, match="photos must be|[Ii]nput"):
        siamese.predict([np.zeros((2, *shape), np.uint8)] * 2, verbose=0)
