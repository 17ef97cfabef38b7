"""Embeddings on a map, and nearest neighbours, on a few at known places."""

import io

import numpy as np
import pytest
from matplotlib.offsetbox import AnnotationBbox

from visavis.evaluation.embedding_map import map_embeddings, nearest_neighbours, plot_map, plot_neighbours, sample_for_map


def groups(sizes, dimensions=16, seed=0):
    """Embeddings of people around centres of their own, and labels."""
    rng = np.random.default_rng(seed)
    labels = np.repeat(np.arange(len(sizes)), sizes)
    rows = rng.normal(size=(len(sizes), dimensions))[labels] + 0.05 * rng.normal(size=(len(labels), dimensions))
    return (rows / np.linalg.norm(rows, axis=1, keepdims=True)).astype(np.float32), labels


def on_circle(*degrees):
    radians = np.deg2rad(degrees)
    return np.stack([np.cos(radians), np.sin(radians)], axis=1).astype(np.float32)


@pytest.mark.parametrize("method", ["pca", "tsne"])
def test_photos_of_a_person_lie_close_to_each_other(method):
    embeddings, labels = groups([6] * 4)
    points = map_embeddings(embeddings, method=method)
    assert points.shape == (24, 2)
    distances = np.linalg.norm(points[:, None] - points[None], axis=2)
    same = labels[:, None] == labels[None]
    assert distances[same].mean() < distances[~same].mean() / 3
    np.testing.assert_array_equal(points, map_embeddings(embeddings, method=method))


def test_pca_is_the_projection_with_the_greatest_variance():
    rows = np.zeros((4, 5))
    rows[:2, 3], rows[2:, 1] = (2, -2), (1, -1)
    np.testing.assert_allclose(np.abs(map_embeddings(rows, method="pca")), [[2, 0], [2, 0], [0, 1], [0, 1]], atol=1e-9)


@pytest.mark.parametrize("count", [2, 3, 4, 5])
def test_a_few_photos_have_a_map_too(count):
    assert np.isfinite(map_embeddings(groups([1] * count)[0])).all()
    assert np.isfinite(map_embeddings(np.ones((count, 3)) / 3**0.5)).all(), "equal embeddings"


def test_arguments_of_a_map_are_checked():
    with pytest.raises(ValueError, match="method must be 'pca' or 'tsne', got 'umap'"):
        map_embeddings(groups([4])[0], method="umap")
    with pytest.raises(ValueError, match="embeddings must be at least 2, got 1"):
        map_embeddings(groups([1])[0])


def test_a_sample_for_a_map_has_whole_people():
    labels = np.repeat(np.arange(10), 5)
    chosen = sample_for_map(labels, count=17)
    assert len(chosen) == 17 and (np.diff(chosen) > 0).all()
    assert sorted(np.unique(labels[chosen], return_counts=True)[1].tolist()) == [2, 5, 5, 5]
    assert sample_for_map(labels, count=99).tolist() == list(range(50))


def test_neighbours_are_the_most_similar_photos_errors_first():
    embeddings, labels = on_circle(0, 10, 15, 90, 95), np.array([0, 0, 1, 1, 1])
    found = nearest_neighbours(embeddings, labels, probes=5, count=2)
    assert found.probes[:2].tolist() == [2, 1], "nearest to someone else, the most similar first"
    assert found.neighbours[:2].tolist() == [[1, 0], [2, 0]]
    assert found.mated[:2].tolist() == [[False, False], [False, True]]
    np.testing.assert_allclose(found.scores[0], np.cos(np.deg2rad([5, 15])), atol=1e-6)
    assert sorted(found.probes.tolist()) == [0, 1, 2, 3, 4]
    assert all(probe not in row for probe, row in zip(found.probes, found.neighbours, strict=True))


def test_people_with_one_photo_are_no_probes_where_there_are_others():
    embeddings, labels = on_circle(0, 1, 90, 95), np.array([0, 1, 2, 2])
    assert sorted(nearest_neighbours(embeddings, labels, probes=2).probes.tolist()) == [2, 3]


def test_many_photos_are_searched_in_blocks():
    embeddings, labels = groups([2] * 400)
    found = nearest_neighbours(embeddings, labels, probes=800, count=3)
    scores = embeddings @ embeddings.T
    np.fill_diagonal(scores, -np.inf)
    np.testing.assert_array_equal(found.neighbours[:, 0], scores[found.probes].argmax(axis=1))


def test_numbers_of_neighbours_are_checked():
    with pytest.raises(ValueError, match="there must be 2 embeddings, 1 probe and 1 neighbour, got 2, 0 and 5"):
        nearest_neighbours(on_circle(0, 1), np.array([0, 0]), probes=0)


@pytest.mark.parametrize("channels", [1, 3])
def test_faces_are_drawn_at_their_places(channels):
    faces = np.random.default_rng(0).integers(0, 255, (5, 16, 12, channels), dtype=np.uint8)
    points = np.array([[0.0, 0], [1, 0], [0, 1], [5, 5], [5, 6]])
    axes = plot_map(points, faces, np.array([0, 0, 0, 1, 1]))
    boxes = [artist for artist in axes.artists if isinstance(artist, AnnotationBbox)]
    assert [box.xy for box in boxes] == [tuple(point) for point in points]
    assert len({box.patch.get_edgecolor() for box in boxes}) == 2
    axes.get_figure().savefig(io.BytesIO(), format="png")


def test_neighbours_are_drawn_with_scores_and_truth():
    faces = np.zeros((5, 16, 16, 3), np.uint8)
    found = nearest_neighbours(on_circle(0, 10, 15, 90, 95), np.array([0, 0, 1, 1, 1]), probes=1, count=2)
    titles = [axes.get_title() for axes in plot_neighbours(found, faces).axes]
    assert titles == ["probe", "other: 1.00", "other: 0.97"]
