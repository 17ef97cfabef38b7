"""Box regression, square boxes and non-maximum suppression, by hand."""

import numpy as np

from visavis.faces.boxes import regress_boxes, square_boxes, suppress_overlaps


def test_offsets_are_fractions_of_the_sides():
    boxes = np.array([[0.0, 0, 9, 19]])  # 10 x 20 pixels
    offsets = np.array([[0.1, -0.1, 0.2, 0]], np.float32)
    np.testing.assert_allclose(regress_boxes(boxes, offsets), [[1, -2, 11, 19]], rtol=1e-6)


def test_square_boxes_keep_the_centre_and_the_longer_side():
    np.testing.assert_allclose(square_boxes(np.array([[0.0, 0, 10, 20], [5, 5, 9, 7]])), [[-5, 0, 15, 20], [5, 4, 9, 8]])


def test_boxes_that_overlap_better_ones_are_suppressed():
    boxes = np.array([[0.0, 0, 10, 10], [1, 0, 11, 10], [20, 0, 30, 10], [0, 0, 4, 4]])  # 90 / 110, nothing, 16 / 100 in common
    scores = np.array([0.9, 0.8, 0.7, 0.6])
    assert suppress_overlaps(boxes, scores, 0.7).tolist() == [0, 2, 3]
    assert suppress_overlaps(boxes, scores, 0.85).tolist() == [0, 1, 2, 3]
    assert suppress_overlaps(boxes, scores, 0.7, relative_to="smaller").tolist() == [0, 2]
    assert suppress_overlaps(boxes, scores[::-1], 0.7).tolist() == [3, 2, 1]
    many = np.tile([[0.0, 0, 1, 1]], (400, 1)) + np.arange(400)[:, None] * [[2, 0, 2, 0]]
    falling = np.linspace(1, 0, 800)
    assert len(suppress_overlaps(many, falling[:400], 0.5)) == 400
    assert suppress_overlaps(np.concatenate([many, many]), falling, 0.5).tolist() == list(range(400))


def test_a_suppressed_box_suppresses_others():
    boxes = np.array(
        [[0.0, 0, 10, 10], [3, 0, 13, 10], [6, 0, 16, 10]]
    )  # each covers 7 / 13 of the next, the first 4 / 16 of the last
    assert suppress_overlaps(boxes, np.array([0.9, 0.8, 0.7]), 0.5).tolist() == [0]
