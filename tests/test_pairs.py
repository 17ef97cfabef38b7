"""Pairs of labelled photos."""

import numpy as np
import pytest
from hypothesis import given, strategies as st

from visavis import DataError, generate_image_pairs, index_pairs


def marked_photos(count, channels=None):
    """Photos whose every pixel is their own number."""
    shape = (count, 4, 4) if channels is None else (count, 4, 4, channels)
    return np.broadcast_to(np.arange(count).reshape(-1, *[1] * (len(shape) - 1)), shape).astype(np.uint8)


@pytest.mark.parametrize("channels", [None, 1, 3])
def test_every_photo_has_one_positive_and_one_negative(channels):
    labels = np.repeat([5, 6, 7], 4)
    photos = marked_photos(12, channels)
    pairs, same = generate_image_pairs(photos, labels)
    assert pairs.shape == (24, 2, *photos.shape[1:])
    assert pairs.dtype == photos.dtype
    first, second = (pairs[:, side].reshape(24, -1)[:, 0].astype(int) for side in (0, 1))
    assert (first != second).all()
    assert ((labels[first] == labels[second]) == same).all()
    for kind in (0, 1):
        assert sorted(first[same == kind]) == list(range(12))


def test_a_single_photo_is_kept_as_a_negative():
    pairs, same = index_pairs(["ann", "ann", "bob"])
    assert same.sum() == 2
    assert 2 in pairs[same == 0][:, 0]


def test_the_seed_decides():
    labels = np.repeat(np.arange(20), 3)
    first, again, other = (index_pairs(labels, seed=seed)[0] for seed in (1, 1, 2))
    assert (first == again).all()
    assert (first != other).any()


def test_partners_are_drawn_evenly():
    labels = [0] * 4 + [1] * 2
    counts = np.zeros((6, 6))
    for seed in range(600):
        pairs, _ = index_pairs(labels, seed=seed)
        np.add.at(counts, (pairs[:, 0], pairs[:, 1]), 1)
    assert (np.diag(counts) == 0).all()
    expected = np.array([[200] * 4 + [300] * 2] * 4 + [[150] * 4 + [600] * 2] * 2) * (1 - np.eye(6))
    assert np.abs(counts - expected).max() < 75


@given(st.lists(st.integers(0, 5), min_size=3, max_size=40).filter(lambda x: 1 < len(set(x)) < len(x)))
def test_labels_of_any_order(labels):
    pairs, same = index_pairs(labels)
    labels = np.array(labels)
    assert ((labels[pairs[:, 0]] == labels[pairs[:, 1]]) == same).all()
    assert (pairs[:, 0] != pairs[:, 1]).all()
    assert (same == 0).sum() == len(labels)


@pytest.mark.parametrize(
    ("photos", "labels", "message"),
    [
        (marked_photos(3), [1, 1], "3 images and 2 labels"),
        (marked_photos(2), [1, 1], "photos of at least two people, got 1"),
        (marked_photos(3), [1, 2, 3], "a person with two photos"),
        (marked_photos(2), [[1, 2]], r"labels must be \(n,\)"),
        (np.zeros((4, 16)), [1, 1, 2, 2], "images must be"),
    ],
)
def test_what_cannot_be_paired_is_named(photos, labels, message):
    with pytest.raises(DataError, match=message):
        generate_image_pairs(photos, labels)
