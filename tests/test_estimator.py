"""The estimator: scikit-learn's own checks, its meaning for pairs, photos and rows, and its place in a search."""

import numpy as np
import pytest
from sklearn.model_selection import GridSearchCV, GroupKFold
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import FunctionTransformer
from sklearn.utils.estimator_checks import check_estimator

import visavis
from visavis import SiameseVerifier


@pytest.fixture(scope="module")
def people():
    """Photos of some generated people as rows of floats, as `fetch_olivetti_faces` gives them, and whose they are."""
    faces = visavis.generate_faces(18, 6, size=32, gray=True, seed=2)
    return faces.faces.reshape(len(faces), -1) / 255, np.array([f"person {label}" for label in faces.labels])


@pytest.fixture(scope="module")
def fitted(people):
    rows, names = people
    return SiameseVerifier(steps=80, embedding_size=32, random_state=0).fit(rows[:84], names[:84])


def test_it_tells_strangers_apart_better_than_their_pixels(fitted, people):
    rows, names = people[0][84:], people[1][84:]
    pixels = (rows - rows.mean(axis=1, keepdims=True)).astype(np.float32)
    pixels /= np.linalg.norm(pixels, axis=1, keepdims=True)
    by_pixels = visavis.evaluate_all_pairs(pixels, np.unique(names, return_inverse=True)[1]).eer
    assert fitted.score(rows, names) > 1 - by_pixels
    embeddings = fitted.transform(rows)
    assert embeddings.shape == (len(rows), 32)
    assert list(fitted.get_feature_names_out()[:2]) == ["siameseverifier0", "siameseverifier1"]


def test_pairs_are_judged_by_the_threshold(fitted, people):
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


def test_somebody_known_is_told_from_a_stranger(fitted, people):
    known, strangers = fitted.decision_function(people[0][:84]), fitted.decision_function(people[0][84:])
    assert np.median(known) > np.median(strangers)
    assert fitted.predict(people[0][:1]).tolist() == [1]


def test_photos_and_rows_are_the_same(fitted, people):
    rows, names = people
    photos = np.rint(rows[:84].reshape(-1, 32, 32) * 255).astype(np.uint8)
    by_photos = SiameseVerifier(steps=4, embedding_size=8, random_state=0).fit(photos, names[:84])
    by_rows = SiameseVerifier(steps=4, embedding_size=8, random_state=0, photo_shape=(32, 32)).fit(rows[:84], names[:84])
    np.testing.assert_allclose(by_photos.transform(photos[:5]), by_rows.transform(rows[:5]), atol=1e-5)
    with pytest.raises(ValueError, match=r"photo_shape must have as many numbers as a row, 1024. Received: \(31, 32\)"):
        SiameseVerifier(photo_shape=(31, 32)).fit(rows, names)


def test_it_is_searched_over_with_whole_people_to_a_fold(people):
    rows, names = people
    pipeline = make_pipeline(FunctionTransformer(np.asarray), SiameseVerifier(steps=20, embedding_size=8, random_state=0))
    search = GridSearchCV(pipeline, {"siameseverifier__loss": ["contrastive", "triplet"]}, cv=GroupKFold(2))
    search.fit(rows, names, groups=names)
    assert 0 <= search.best_score_ <= 1
    assert len(search.cv_results_["params"]) == 2


def test_too_few_people_are_told(people):
    rows, names = people
    with pytest.warns(UserWarning, match="3 people are too few to spare any"):
        SiameseVerifier(steps=2, embedding_size=8, random_state=0).fit(rows[:18], names[:18])
    with pytest.raises(ValueError, match="validation must be in"):
        SiameseVerifier(validation=1).fit(rows, names)


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore")
def test_scikit_learn_has_nothing_to_object():
    float32 = "float32 sums differ in the seventh digit with a photo's place in its batch"
    check_estimator(
        SiameseVerifier(loss="triplet", steps=20, embedding_size=16, mirror=False, random_state=0),  # no pictures
        expected_failed_checks={"check_methods_sample_order_invariance": float32, "check_methods_subset_invariance": float32},
        on_skip=None,
    )
