"""Batches, augmentation and composites."""

import numpy as np
import pytest

from visavis.data import read_arrays
from visavis.errors import DataError
from visavis.training.augmentation import Augmentation, augment, composite
from visavis.training.batches import Batches, BatchShape

STILL = Augmentation(
    rotation=0, scale=0, shift=0, flip=0, contrast=0, gamma=1, side_light=0, colour=0, grayscale=0, cutout=0, noise=0, blur=0
)


def numbered(counts, side=32):
    """Photos whose level is their person's number times ten plus their own number."""
    people = np.repeat(np.arange(len(counts)), counts)
    own = np.concatenate([np.arange(count) for count in counts])
    levels = (10 * people + own).astype(np.uint8)
    return read_arrays(np.broadcast_to(levels[:, None, None], (len(levels), side, side)).copy(), people)


def test_people_times_photos():
    batches = Batches(numbered([4] * 6), BatchShape(people=3, photos=4), STILL)
    photos, labels = batches[0]
    assert photos.shape == (12, 32, 32, 1)
    assert (photos[:, 0, 0, 0] // 10 == labels).all(), "a label is the person's index"
    people, counts = np.unique(labels, return_counts=True)
    assert counts.tolist() == [4] * 3
    for label in people:
        assert len(set(photos[labels == label, 0, 0, 0].tolist())) == 4


def test_single_photos_come_by_two_augmentations():
    faces = numbered([2, 2, 2, 1, 1])
    photos, labels = Batches(faces, BatchShape(people=2, photos=2, single_people=9), Augmentation())[0]
    assert np.bincount(labels, minlength=5)[3:].tolist() == [2, 2]
    assert sorted(np.bincount(labels)[:3].tolist()) == [0, 2, 2]
    assert (photos[-2] != photos[-1]).any()


def test_a_person_with_fewer_photos_is_shown_again():
    photos, _ = Batches(numbered([2, 2]), BatchShape(people=2, photos=4), STILL)[0]
    assert sorted(photos[:, 0, 0, 0].tolist()) == [0, 0, 1, 1, 10, 10, 11, 11]


def test_a_batch_depends_on_seed_and_step_alone():
    faces = numbered([4] * 6)
    shape = BatchShape(people=3, photos=2, composites=2)
    one, two, other = (Batches(faces, shape, Augmentation(), seed=seed) for seed in (1, 1, 2))
    for step in (5, 0, 5):
        assert (one[step][0] == two[step][0]).all()
    assert (one[5][0] != one[6][0]).any()
    assert (one[5][0] != other[5][0]).any()
    assert one.size == len(one[0][0]) == 10


def test_composites_are_people_of_their_own():
    photos, labels = Batches(numbered([4] * 6), BatchShape(people=2, photos=3, composites=2), STILL)[0]
    assert labels[6:].tolist() == [6] * 3 + [7] * 3
    made = photos[labels >= 6, :, 0, 0] // 10
    assert (made[:, 0] != made[:, -1]).all()


def test_composites_of_two_steps_are_different_people():
    batches = Batches(numbered([4] * 6), BatchShape(people=2, photos=3, composites=2), STILL)
    assert batches[5][1][6:].tolist() == [6 + 10] * 3 + [7 + 10] * 3


def test_a_composite_keeps_the_seam_in_all_photos():
    first, second = np.zeros((3, 40, 40, 3), np.uint8), np.full((3, 40, 40, 3), 200, np.uint8)
    mixed = composite(first, second, np.random.default_rng(0))
    assert (mixed == mixed[:1]).all()
    assert set(mixed[:, [0, -1]].ravel().tolist()) == {0, 200}
    assert 0.3 < (mixed > 100).mean() < 0.7


def test_two_people_with_two_photos_are_needed():
    with pytest.raises(DataError, match="at least two people with at least two photos each, got 1"):
        Batches(numbered([2, 1, 1]), BatchShape(), STILL)


@pytest.mark.parametrize("arguments", [{"people": 1}, {"photos": 1}, {"single_people": -1}, {"composites": -1}])
def test_shapes_out_of_range_are_named(arguments):
    with pytest.raises(ValueError, match=f"{next(iter(arguments))} must be at least .*, got {next(iter(arguments.values()))}"):
        BatchShape(**arguments)


@pytest.mark.parametrize("channels", [1, 3])
def test_nothing_changes_where_nothing_may(channels):
    photos = np.random.default_rng(0).integers(0, 256, (5, 32, 40, channels), dtype=np.uint8)
    np.testing.assert_allclose(augment(photos, np.random.default_rng(1), STILL), photos, atol=1)


@pytest.mark.parametrize("channels", [1, 3])
def test_every_photo_changes_in_its_own_way(channels):
    photos = np.repeat(np.random.default_rng(0).integers(0, 256, (1, 32, 32, channels), dtype=np.uint8), 6, axis=0)
    changed = augment(photos, np.random.default_rng(1), Augmentation())
    assert changed.shape == photos.shape
    assert changed.dtype == np.uint8
    assert len({photo.tobytes() for photo in [*changed, photos[0]]}) == 7


def test_mirroring():
    photos = np.random.default_rng(0).integers(0, 256, (2, 32, 32, 3), dtype=np.uint8)
    always = Augmentation(**{**vars(STILL), "flip": 1.0})
    np.testing.assert_allclose(augment(photos, np.random.default_rng(1), always), photos[:, :, ::-1], atol=1)
