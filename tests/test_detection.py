"""The cascade finds what the package finds whose weights it takes, and in bounded memory."""

import tracemalloc
from importlib.metadata import PackageNotFoundError

import numpy as np
import pytest
from PIL import Image

from visavis import detection
from visavis.detection import load_cascade
from visavis.errors import ModelError


@pytest.fixture(scope="module")
def cascade():
    return load_cascade()


def found(cascade, photo, smallest=20):
    return cascade.detect(np.ascontiguousarray(photo), smallest=smallest, least_score=0.8)


def test_the_package_finds_the_same_faces(cascade, lfw_photo):
    from mtcnn import MTCNN

    tall = np.asarray(Image.fromarray(lfw_photo).resize((400, 613)))
    photos = [lfw_photo, tall, lfw_photo[30:, 20:], np.ascontiguousarray(lfw_photo[:, ::-1])]
    with detection._closed_twice_in_silence():  # the package reads its weights as we do
        theirs = MTCNN()
    for photo in photos:
        boxes, points, scores = found(cascade, photo)
        rows = theirs.detect_faces(np.ascontiguousarray(photo), fit_to_image=False, output_type="numpy", box_format="xyxy")
        assert len(boxes) == len(rows) >= 1
        for box, places, score in zip(boxes, points, scores, strict=True):
            row = rows[np.argmin(np.abs(rows[:, 1:5] - box).sum(axis=1))]
            np.testing.assert_allclose(box, row[1:5], atol=0.1)
            np.testing.assert_allclose(places, row[6:].reshape(2, 5).T, atol=0.1)
            assert score == pytest.approx(row[5], abs=0.001)


def test_a_mirrored_photo_has_its_points_in_mirrored_places(cascade, lfw_photo):
    _, points, _ = found(cascade, lfw_photo)
    boxes, mirrored, _ = found(cascade, lfw_photo[:, ::-1])
    back = mirrored[0, [1, 0, 2, 4, 3]] * [-1, 1] + [lfw_photo.shape[1] - 1, 0]
    width = boxes[0, 2] - boxes[0, 0]
    np.testing.assert_allclose(points[0], back, atol=0.04 * width)
    np.testing.assert_allclose(points[0].mean(axis=0), back.mean(axis=0), atol=0.02 * width)


def test_the_smallest_face_bounds_what_is_found(cascade, lfw_photo):
    side = np.ptp(found(cascade, lfw_photo)[0][0, ::2])
    assert len(found(cascade, lfw_photo, smallest=int(side * 0.6))[0]) >= 1
    assert len(found(cascade, lfw_photo, smallest=int(side * 2.8))[0]) == 0


def test_a_crowd_is_found_in_bounded_memory(cascade, lfw_photo):
    face = np.asarray(Image.fromarray(lfw_photo[60:190, 60:190]).resize((32, 32)))
    crowd = np.tile(face, (20, 20, 1))
    tracemalloc.start()
    try:
        boxes, _, _ = found(cascade, crowd)
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert len(boxes) >= 200
    assert peak < 200e6


def test_only_the_best_places_of_one_size_are_looked_at_again(cascade, lfw_photo, monkeypatch):
    monkeypatch.setattr(detection, "_MOST_AT_ONE_SIZE", 3)
    boxes, _, scores = found(cascade, lfw_photo)
    assert len(boxes) >= 1 and scores[0] > 0.9


def test_photos_are_shrunk_by_the_mean_of_what_a_pixel_covers():
    levels = np.arange(12, dtype=np.float32).reshape(1, 2, 6)
    integral = detection._integral(levels)
    np.testing.assert_allclose(detection._shrunk(integral, 1, 3), [[[3.5, 5.5, 7.5]]])
    # Four pixels of 1.5: (0 + 1 / 2) / 1.5, (1 / 2 + 2) / 1.5, ...
    np.testing.assert_allclose(detection._shrunk(integral, 2, 4)[0, 0], [1 / 3, 5 / 3, 10 / 3, 14 / 3], rtol=1e-6)
    np.testing.assert_allclose(detection._shrunk(integral, 2, 6), levels)


def test_windows_are_read_between_pixels_and_grey_beyond_the_photo():
    levels = np.arange(9, dtype=np.float32).reshape(1, 3, 3)
    boxes = np.array([[0.0, 0, 2, 2], [0.5, 0.5, 1.5, 1.5], [-1, 0, 1, 2]])
    whole, inner, beyond = detection._windows(levels, 1.5 * boxes, 3)[:, 0]  # places are counted in 2 / 3 of a pixel
    np.testing.assert_allclose(whole, levels[0])
    np.testing.assert_allclose(inner, [[2, 2.5, 3], [3.5, 4, 4.5], [5, 5.5, 6]])
    np.testing.assert_allclose(beyond, [[0, 0, 1], [0, 3, 4], [0, 6, 7]])


def test_boxes_under_better_ones_are_left_out():
    boxes = np.array([[0.0, 0, 10, 10], [1, 0, 11, 10], [20, 0, 30, 10], [0, 0, 4, 4]])  # 90 / 110, nothing, 16 / 100 in common
    assert detection._uncovered(boxes, 0.7).tolist() == [0, 2, 3]
    assert detection._uncovered(boxes, 0.85).tolist() == [0, 1, 2, 3]
    assert detection._uncovered(boxes, 0.7, of_the_smaller=True).tolist() == [0, 2]
    many = np.tile([[0.0, 0, 1, 1]], (400, 1)) + np.arange(400)[:, None] * [[2, 0, 2, 0]]
    assert len(detection._uncovered(many, 0.5)) == 400
    assert detection._uncovered(np.concatenate([many, many]), 0.5).tolist() == list(range(400))


def test_it_is_told_how_to_get_the_weights(monkeypatch):
    def missing(name):
        raise PackageNotFoundError(name)

    monkeypatch.setattr(detection, "distribution", missing)
    with pytest.raises(ModelError, match="pip install --force-reinstall mtcnn"):
        load_cascade()
