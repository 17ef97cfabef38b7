"""Average-linkage clustering with constraints: equal to scikit-learn's, whatever the order of merges."""

import numpy as np
import pytest
from sklearn.cluster import AgglomerativeClustering

from visavis.albums import clustering
from visavis.albums.clustering import build_tree


def points(*degrees):
    """Points on a circle, whose cosines are worked out by hand."""
    radians = np.radians(degrees)
    return np.stack([np.cos(radians), np.sin(radians)], axis=1).astype(np.float32)


def crowd(count, seed=0):
    """Faces of random people, five each on average."""
    rng = np.random.default_rng(seed)
    people = rng.normal(size=(max(1, count // 5), 16))
    faces = people[rng.integers(0, len(people), count)] + 0.8 * rng.normal(size=(count, 16))
    return (faces / np.linalg.norm(faces, axis=1, keepdims=True)).astype(np.float32)


def test_three_faces_by_hand():
    tree = build_tree(points(0, 10, 40))
    first, second = tree.merges
    assert (first.first, first.second, first.similarity) == (0, 1, pytest.approx(np.cos(np.radians(10))))
    assert (second.first, second.second, second.sizes) == (2, 3, (1, 2))
    assert second.similarity == pytest.approx(np.cos(np.radians([40, 30])).mean())
    assert second.cosine == pytest.approx(np.cos(np.radians(35)))
    assert tree.cut(0.9).tolist() == [0, 0, 1]
    assert tree.cut(0.5).tolist() == [0, 0, 0]
    assert tree.cut(0.999).tolist() == [0, 1, 2]


@pytest.mark.parametrize("block", [7, 2048])
@pytest.mark.parametrize("count", [2, 50, 300])
def test_the_tree_is_that_of_scikit_learn(count, block, monkeypatch):
    monkeypatch.setattr(clustering, "_BLOCK", block)
    faces = crowd(count)
    apart = np.random.default_rng(1).permutation(count)[: count // 4 * 2].reshape(-1, 2)
    distances = np.maximum(0, 1 - faces @ faces.T)
    for first, second in apart:
        distances[first, second] = distances[second, first] = 1e9
    tree = build_tree(faces, apart=apart.tolist(), least=0.0)
    for similarity in (0.1, 0.3, 0.5):
        mine = tree.cut(similarity)
        theirs = AgglomerativeClustering(
            None, metric="precomputed", linkage="average", distance_threshold=1 - similarity
        ).fit_predict(distances)
        np.testing.assert_array_equal(mine[:, None] == mine, theirs[:, None] == theirs)


def test_faces_of_one_photo_are_never_one_person():
    faces = points(0, 1, 2, 90)
    assert build_tree(faces, apart=[[0, 1]]).cut(0.9).tolist() in ([0, 1, 1, 2], [0, 1, 0, 2])
    assert len(set(build_tree(faces, apart=[[0, 1, 2]]).cut(0.9))) == 4
    groups = build_tree(crowd(200), apart=[range(0, 50)], least=-1).cut(-1)
    assert len(set(groups[:50].tolist())) == 50


def test_named_faces_stay_together_whatever_they_look_like():
    tree = build_tree(points(0, 90, 5, 95), together=[[0, 1]])
    groups = tree.cut(1.0)
    assert groups[0] == groups[1] and len(set(groups.tolist())) == 3
    assert tree.merges[0].similarity == 1
    both = build_tree(points(0, 90), together=[[0, 1]], apart=[[0, 1]])
    assert both.cut(1.0).tolist() == [0, 0]


def test_a_poor_face_counts_less_in_its_group():
    faces = points(0, 60, 30)
    equal, weighted = (build_tree(faces, together=[[0, 1]], weights=weights) for weights in (None, np.array([1, 0.25, 1])))
    assert equal.merges[1].similarity == pytest.approx(np.cos(np.radians(30)))
    assert weighted.merges[1].cosine == pytest.approx(
        np.cos(np.radians(30 - np.degrees(np.arctan2(0.25 * np.sin(np.pi / 3), 1.125))))
    )
    with pytest.raises(ValueError, match="weights must be 3 positive numbers"):
        build_tree(faces, weights=np.array([1, 0, 1]))


def test_no_face_and_one_face_are_albums_too():
    assert build_tree(np.zeros((0, 0), np.float32)).cut(0.5).tolist() == []
    assert build_tree(points(0)).cut(0.5).tolist() == [0]
