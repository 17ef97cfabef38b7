"""The estimator: scikit-learn's own checks; pairs, photos and rows; pipelines and hyperparameter search."""

import numpy as np
import pytest
from sklearn.model_selection import GridSearchCV, GroupKFold
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import FunctionTransformer
from sklearn.utils.estimator_checks import check_estimator

import visavis
from visavis import SiameseVerifier
from visavis.models.losses import BatchTriplet


@pytest.fixture(scope="module")
def people():
    """Photos of some generated people as rows of floats, as `fetch_olivetti_faces` gives them, and whose they are."""
    faces = visavis.generate_faces(18, 6, size=32, gray=True, seed=2)
    return faces.faces.reshape(len(faces), -1) / 255, np.array([f"person {label}" for label in faces.labels])


@pytest.fixture(scope="module")
def fitted(people):
    rows, names = people
    return SiameseVerifier(steps=80, embedding_size=32, random_state=0).fit(rows[:84], names[:84])


def test_its_error_rate_on_unseen_people_is_lower_than_that_of_pixels(fitted, people):
    rows, names = people[0][84:], people[1][84:]
    pixels = (rows - rows.mean(axis=1, keepdims=True)).astype(np.float32)
    pixels /= np.linalg.norm(pixels, axis=1, keepdims=True)
    by_pixels = visavis.evaluate_all_pairs(pixels, np.unique(names, return_inverse=True)[1]).eer
    assert fitted.score(rows, names) > 1 - by_pixels
    embeddings = fitted.transform(rows)
    assert embeddings.shape == (len(rows), 32)
    assert list(fitted.get_feature_names_out()[:2]) == ["siameseverifier0", "siameseverifier1"]


def test_pairs_are_decided_by_the_threshold(fitted, people):
    rows = people[0]
    pairs = np.stack([rows[84:100], rows[84:100][::-1]], axis=1)
    first, second = fitted.transform(pairs[:, 0]), fitted.transform(pairs[:, 1])
    expected = np.sum(first * second, axis=1) >= fitted.threshold_
    np.testing.assert_array_equal(fitted.predict(pairs), expected)
    assert fitted.score(pairs, expected) == 1
    same = np.stack([rows[84:88], rows[84:88]], axis=1)
    assert fitted.predict(same).tolist() == [1] * 4
    with pytest.raises(ValueError, match=r"pairs must be \(n, 2"):
        fitted.predict(np.stack([rows[:4]] * 3, axis=1))


def test_scores_of_people_of_fit_are_higher_than_those_of_unseen_people(fitted, people):
    known, unseen = fitted.decision_function(people[0][:84]), fitted.decision_function(people[0][84:])
    assert np.median(known) > np.median(unseen)
    assert fitted.predict(people[0][:1]).tolist() == [1]


def test_photos_and_rows_are_the_same(fitted, people):
    rows, names = people
    photos = np.rint(rows[:84].reshape(-1, 32, 32) * 255).astype(np.uint8)
    by_photos = SiameseVerifier(steps=4, embedding_size=8, random_state=0).fit(photos, names[:84])
    by_rows = SiameseVerifier(steps=4, embedding_size=8, random_state=0, photo_shape=(32, 32)).fit(rows[:84], names[:84])
    np.testing.assert_allclose(by_photos.transform(photos[:5]), by_rows.transform(rows[:5]), atol=1e-5)
    with pytest.raises(ValueError, match=r"photo_shape must have as many elements as a row, 1024, got \(31, 32\)"):
        SiameseVerifier(photo_shape=(31, 32)).fit(rows, names)


def test_it_is_searched_over_with_whole_people_to_a_fold(people):
    rows, names = people
    pipeline = make_pipeline(FunctionTransformer(np.asarray), SiameseVerifier(steps=20, embedding_size=8, random_state=0))
    search = GridSearchCV(pipeline, {"siameseverifier__loss": ["contrastive", "triplet"]}, cv=GroupKFold(2))
    search.fit(rows, names, groups=names)
    assert 0 <= search.best_score_ <= 1
    assert len(search.cv_results_["params"]) == 2


def test_numpy_integers_and_floats_are_searched_over(people):
    rows, names = people
    grid = {"embedding_size": np.array([8, 12]), "steps": np.arange(3, 4), "validation": np.array([0.2], dtype=np.float32)}
    search = GridSearchCV(SiameseVerifier(random_state=np.int64(0)), grid, cv=GroupKFold(2), error_score="raise")
    search.fit(rows, names, groups=names)
    assert search.best_estimator_.transform(rows[:2]).shape[1] == search.best_params_["embedding_size"]


@pytest.fixture(scope="module")
def coloured():
    """An estimator fitted on colour photos, and those photos."""
    faces = visavis.generate_faces(8, 4, size=32, seed=2)
    names = np.array([f"person {label}" for label in faces.labels], dtype=object)  # as pandas has strings
    return SiameseVerifier(steps=20, embedding_size=8, random_state=0).fit(faces.faces, names), faces.faces


def test_gray_photos_are_accepted_by_a_model_of_colour_photos(coloured):
    verifier, photos = coloured
    gray = photos[..., 0]
    expected = verifier.transform(np.repeat(gray[..., None], 3, axis=3))
    for given in (gray, gray[..., None]):
        np.testing.assert_allclose(verifier.transform(given), expected, atol=1e-5)


@pytest.mark.parametrize(
    ("shape", "message"),
    [
        ((32, 32, 4), r"X must be photos \(n, h, w, 3\) as in fit, got shape \(32, 32, 32, 4\)"),
        ((40, 40, 3), "X has 40 features, but SiameseVerifier is expecting 32"),
    ],
)
def test_photos_of_another_shape_are_refused(coloured, shape, message):
    with pytest.raises(ValueError, match=message):
        coloured[0].predict(np.zeros((32, *shape), np.uint8))


def test_one_photo_is_refused_with_the_way_to_pass_it(coloured, fitted, people):
    with pytest.raises(ValueError, match=r"got shape \(32, 32\); one photo is photo\[None\]"):
        coloured[0].predict(coloured[1][0, :, :, 0])
    with pytest.raises(ValueError, match="Reshape your data"):
        fitted.predict(people[0][0])


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"steps": "40"}, "steps must be a whole number, got '40'"),
        ({"steps": 0}, "steps must be positive, got 0"),
        ({"steps": 2.5}, "steps must be a whole number, got 2.5"),
        ({"loss": "nope"}, "loss must be "),
    ],
)
def test_wrong_options_are_refused(people, options, message):
    with pytest.raises(ValueError, match=message):
        SiameseVerifier(**options).fit(*people)


def test_missing_labels_are_refused(people):
    rows, names = people
    missing = names.astype(object)
    missing[3] = np.nan
    with pytest.raises(ValueError, match="NaN"):
        SiameseVerifier(steps=2).fit(rows, missing)
    with pytest.raises(ValueError, match="NaN"):
        SiameseVerifier(steps=2).fit(rows, np.where(names == names[3], np.nan, 1.0))


def test_a_keras_network_and_loss_are_parameters(people):
    network = visavis.build_embedding("classic", (32, 32, 1), embedding_size=6)
    verifier = SiameseVerifier(network=network, loss=BatchTriplet(margin=0.3), steps=2, random_state=0).fit(*people)
    assert verifier.transform(people[0][:3]).shape == (3, 6)
    assert len(verifier.get_feature_names_out()) == 6


def test_too_few_people_give_a_warning(people):
    rows, names = people
    with pytest.warns(UserWarning, match="3 people are too few to hold out any"):
        SiameseVerifier(steps=2, embedding_size=8, random_state=0).fit(rows[:18], names[:18])
    with pytest.raises(ValueError, match="validation must be in"):
        SiameseVerifier(validation=1).fit(rows, names)


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore")
def test_checks_of_scikit_learn_pass():
    float32 = "float32 sums differ in the seventh digit with a photo's place in its batch"
    check_estimator(
        SiameseVerifier(loss="triplet", steps=20, embedding_size=16, mirror=False, random_state=0),  # rows that are no pictures
        expected_failed_checks={"check_methods_sample_order_invariance": float32, "check_methods_subset_invariance": float32},
        on_skip=None,
    )
