"""Generated faces: the same seed, the same people."""

import numpy as np
import pytest

from visavis.data import RenderOptions, generate_faces
from visavis.metrics import all_pairs_curve, equal_error_rate


def test_the_seed_decides():
    first, again, other = (generate_faces(3, 2, size=32, seed=seed) for seed in (1, 1, 2))
    assert (first.faces == again.faces).all()
    assert (first.faces != other.faces).mean() > 0.9
    assert not set(first.people) & set(other.people)


def test_a_photo_does_not_depend_on_how_many_there_are():
    few, many = generate_faces(21, 3, size=48), generate_faces(22, 8, size=48)
    assert (many.faces.reshape(22, 8, 48, 48, 3)[:21, :3] == few.faces.reshape(21, 3, 48, 48, 3)).all()
    assert many.sources[8:11] == few.sources[3:6]


@pytest.mark.parametrize(
    ("size", "gray", "shape"), [(32, False, (32, 32, 3)), (64, True, (64, 64, 1)), (112, False, (112, 112, 3))]
)
def test_sizes_and_colours(size, gray, shape):
    faces = generate_faces(2, 2, size=size, gray=gray)
    assert faces.shape == shape
    assert faces.faces.std() > 20


def test_sources_name_seed_person_and_photo():
    faces = generate_faces(3, 4, size=32, seed=5)
    assert faces.sources[6] == "synthetic:seed=5/person=1/photo=2"
    assert faces.sources[-1] == "synthetic:seed=5/person=2/photo=3"
    assert faces.labels.tolist() == [0] * 4 + [1] * 4 + [2] * 4


def test_more_than_memory_go_to_the_disk(tmp_path):
    faces = generate_faces(4, 5, size=32, options=RenderOptions(tmp_path / "faces.npy"))
    assert isinstance(faces.pixels, np.memmap)
    assert (faces.faces == generate_faces(4, 5, size=32).faces).all()


def test_several_processes_make_the_same_faces():
    alone = generate_faces(70, 8, size=32)
    assert (generate_faces(70, 8, size=32, options=RenderOptions(workers=2)).faces == alone.faces).all()


def test_pixels_alone_do_not_tell_people_apart():
    faces = generate_faces(40, 6)
    pixels = faces.faces.reshape(len(faces), -1).astype(np.float32)
    pixels -= pixels.mean(axis=1, keepdims=True)
    pixels /= np.linalg.norm(pixels, axis=1, keepdims=True)
    eer, _ = equal_error_rate(all_pairs_curve(pixels, faces.labels))
    assert 0.15 < eer < 0.45


def test_photos_of_one_person_differ_and_are_lit_and_framed_alike_enough():
    faces = generate_faces(6, 6).faces
    assert len({face.tobytes() for face in faces}) == len(faces)
    assert (faces.mean(axis=(1, 2, 3)) > 15).all()


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"people": 1}, "people must be at least 2"),
        ({"photos": 0}, "photos at least 1"),
        ({"size": 31}, "size must be in 32 .. 512"),
    ],
)
def test_numbers_out_of_range_are_named(arguments, message):
    with pytest.raises(ValueError, match=message):
        generate_faces(**arguments)


def test_a_number_of_processes_is_positive():
    with pytest.raises(ValueError, match="workers must be at least 1, got 0"):
        RenderOptions(workers=0)
