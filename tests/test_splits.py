"""Nobody on two sides."""

import numpy as np
import pytest

from visavis.data import (
    check_leaks,
    kfold_people,
    lfw_folds,
    read_arrays,
    read_lfw,
    read_lfw_pairs,
    read_pairs,
    read_pairs_csv,
    split_people,
    split_photos,
)
from visavis.errors import DataError, LeakError


def people_with_photos(people=20, photos=3, seed=0):
    images = np.random.default_rng(seed).integers(0, 256, (people * photos, 4, 4), dtype=np.uint8)
    names = [f"person-{number}" for number in range(people)]
    return read_arrays(images, np.repeat(np.arange(people), photos), people=names, name=f"images-{seed}")


def test_people_are_on_one_side_and_all_are_somewhere():
    faces = people_with_photos()
    split = split_people(faces, seed=3)
    sides = [set(side.people) for side in (split.train, split.validation, split.test)]
    assert [len(side) for side in sides] == [14, 3, 3]
    assert set.union(*sides) == set(faces.people)
    assert sum(len(side) for side in (split.train, split.validation, split.test)) == len(faces)
    assert split.by == "person"
    check_leaks(train=split.train, validation=split.validation, test=split.test)


def test_the_seed_draws_the_split():
    faces = people_with_photos()
    first, again, other = (split_people(faces, seed=seed).test.people for seed in (1, 1, 2))
    assert first == again != other


def test_a_split_without_test_people():
    split = split_people(people_with_photos(), fractions=(0.8, 0.2, 0))
    assert split.test is None
    assert len(split.validation.people) == 4


def test_folds_test_everybody_once():
    faces = people_with_photos(18)
    tested = []
    for training, test in kfold_people(faces, 8):
        check_leaks(training=training, test=test)
        assert len(training) + len(test) == len(faces)
        tested += test.people
    assert sorted(tested) == sorted(faces.people)


def test_a_split_by_photo_says_so_and_leaks_people():
    split = split_photos(people_with_photos())
    assert split.by == "photo"
    check_leaks(people=False, train=split.train, validation=split.validation, test=split.test)
    with pytest.raises(LeakError, match="person person-"):
        check_leaks(train=split.train, validation=split.validation, test=split.test)


def test_one_person_on_two_sides_is_named():
    faces = people_with_photos()
    with pytest.raises(LeakError, match="person person-4 is in both train and test"):
        check_leaks(train=faces.select_people(["person-3", "person-4"]), test=faces.select_people(["person-4"]))


def test_one_file_on_two_sides_is_named():
    faces = people_with_photos()
    renamed = read_arrays(faces.faces, faces.labels, people=[f"other-{n}" for n in range(20)], name="images-0")
    with pytest.raises(LeakError, match=r"photo images-0\[0\] is in both a and b. Different photos\?"):
        check_leaks(a=faces, b=renamed)


def test_a_byte_identical_photo_on_two_sides_is_named():
    faces, others = people_with_photos(), people_with_photos(seed=1)
    pixels = others.faces.copy()
    pixels[7] = faces.faces[30]
    copied = read_arrays(pixels, others.labels, people=[f"other-{n}" for n in range(20)], name="others")
    with pytest.raises(LeakError, match=r"photo others\[7\] in b is byte for byte photo images-0\[30\] in a"):
        check_leaks(a=faces, b=copied)


@pytest.mark.parametrize("fractions", [(0.7, 0.2, 0.2), (1.0, 0.0, 0.0), (1.2, -0.1, -0.1)])
def test_fractions_must_add_up(fractions):
    with pytest.raises(ValueError, match="add up to 1"):
        split_people(people_with_photos(), fractions=fractions)


@pytest.mark.parametrize(("people", "sizes"), [(8, [4, 2, 2]), (10, [6, 2, 2]), (12, [8, 2, 2]), (20, [14, 3, 3])])
def test_few_people_are_split_with_at_least_two_on_each_side(people, sizes):
    split = split_people(people_with_photos(people))
    assert [len(side.people) for side in (split.train, split.validation, split.test)] == sizes


def test_too_few_people():
    with pytest.raises(
        DataError, match=r"5 people are too few: validation must have at least 2, got 1\. At least 8 people are needed"
    ):
        split_people(people_with_photos(5))
    with pytest.raises(DataError, match="8 folds need at least 16 people, got 10"):
        list(kfold_people(people_with_photos(10), 8))
    with pytest.raises(ValueError, match="folds must be at least 2"):
        list(kfold_people(people_with_photos(), 1))


@pytest.fixture
def small_lfw():
    images = np.random.default_rng(0).integers(0, 256, (8, 4, 4), dtype=np.uint8)
    faces = read_arrays(images, list("aabbccdd"))
    sources = [f"{person}/{person}_{number:04d}.jpg" for person in ("Ann_A", "Bob_B", "Cy_C", "Di_D") for number in (1, 2)]
    return type(faces)(faces.pixels, faces.labels, ("Ann_A", "Bob_B", "Cy_C", "Di_D"), sources)


def test_lfw_pairs_by_hand(tmp_path, small_lfw):
    path = tmp_path / "pairs.txt"
    path.write_text("2\t1\nAnn_A\t1\t2\nAnn_A\t2\tBob_B\t1\nCy_C\t2\t1\nDi_D\t1\tCy_C\t2\n")
    protocol = read_lfw_pairs(path, small_lfw)
    assert protocol.pairs.tolist() == [[0, 1], [1, 2], [5, 4], [6, 5]]
    assert protocol.labels.tolist() == [1, 0, 1, 0]
    assert protocol.folds.tolist() == [0, 0, 1, 1]
    training, test = lfw_folds(small_lfw, protocol, 1)
    assert (training.people, test.people) == (("Ann_A", "Bob_B"), ("Cy_C", "Di_D"))
    with pytest.raises(ValueError, match="folds must be among the protocol's folds, got 2"):
        lfw_folds(small_lfw, protocol, 2)


def test_pairs_of_xqlfw_have_the_form_of_lfw(tmp_path, small_lfw):
    path = tmp_path / "xqlfw_pairs.txt"
    path.write_text("2\t1\nAnn_A\t1\t2\nAnn_A\t2\tBob_B\t1\nCy_C\t2\t1\nDi_D\t1\tCy_C\t2\n")
    protocol = read_lfw_pairs(path, small_lfw)
    assert (protocol.name, len(protocol)) == ("XQLFW", 4)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "line 1: must give .* got an empty file"),
        ("2\t1\nAnn_A\t1\t2\n", "must have 4 pairs by its first line .* got 1"),
        ("1\t1\nAnn_A\t1\t2\nAnn_A\tone\tBob_B\t1\n", "line 3: must be NAME i j or NAME i NAME2 j: .*one"),
        ("1\t1\nAnn_A\t1\t9\nAnn_A\t1\tBob_B\t1\n", "line 2: no photo 'Ann_A_0009'"),
    ],
)
def test_lfw_pairs_that_cannot_be_read_name_the_line(tmp_path, small_lfw, text, message):
    path = tmp_path / "pairs.txt"
    path.write_text(text)
    with pytest.raises(DataError, match=message):
        read_lfw_pairs(path, small_lfw)


def test_pairs_of_ones_own(tmp_path, small_lfw):
    path = tmp_path / "pairs.csv"
    path.write_text("first,second\nAnn_A/Ann_A_0001.jpg,Ann_A_0002.jpg\nAnn_A_0001.jpg,Bob_B_0001.jpg\n")
    protocol = read_pairs(path, small_lfw)
    assert (protocol.pairs.tolist(), protocol.labels.tolist(), protocol.folds) == ([[0, 1], [0, 2]], [1, 0], None)
    path.write_text("first,second,same,fold\nAnn_A_0001.jpg,Ann_A_0002.jpg,0,0\nAnn_A_0001.jpg,Bob_B_0001.jpg,1,1\n")
    protocol = read_pairs_csv(path, small_lfw)
    assert (protocol.labels.tolist(), protocol.folds.tolist()) == ([0, 1], [0, 1])


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("a,b\n1,2\n", "line 1: must have the columns first and second, got a, b"),
        ("first,second\n", "at least one pair"),
        ("first,second\nAnn_A_0001.jpg,nobody.jpg\n", "line 2: no photo 'nobody.jpg'"),
        ("first,second,same\nAnn_A_0001.jpg,Ann_A_0002.jpg,2\n", "same must be 0 or 1"),
        (
            "first,second,same\nAnn_A_0001.jpg,Ann_A_0002.jpg,yes\n",
            "line 2: same must be 0 or 1, got 'yes': .*Ann_A_0001.jpg,Ann_A_0002.jpg,yes",
        ),
    ],
)
def test_pairs_of_ones_own_that_cannot_be_read_name_the_line(tmp_path, small_lfw, text, message):
    path = tmp_path / "pairs.csv"
    path.write_text(text)
    with pytest.raises(DataError, match=message):
        read_pairs(path, small_lfw)


@pytest.mark.real_faces
def test_lfw_view_2(lfw_archive, lfw_pairs):
    faces = read_lfw(lfw_archive, size=(32, 32))
    assert (len(faces), len(faces.people)) == (13233, 5749)
    assert faces.summary().single_photo_people == 4069
    protocol = read_lfw_pairs(lfw_pairs, faces)
    assert np.bincount(protocol.folds).tolist() == [600] * 10
    same = faces.labels[protocol.pairs[:, 0]] == faces.labels[protocol.pairs[:, 1]]
    assert (same == protocol.labels).all()
    training, test = lfw_folds(faces, protocol, 0)
    check_leaks(people=True, training=training.select(np.arange(500)), test=test.select(np.arange(200)))
    assert not set(training.people) & set(test.people)
