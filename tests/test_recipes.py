"""The recipe of the encoder: composites, the student's pictures, and a teacher that is dlib's own network."""

import sys
from pathlib import Path

import numpy as np
import pytest

RECIPES = Path(__file__).parents[1] / "recipes"


@pytest.fixture
def recipes(monkeypatch):
    monkeypatch.syspath_prepend(str(RECIPES))
    yield
    for name in ("teacher", "pictures", "distil"):
        sys.modules.pop(name, None)


def canvas(level):
    return np.full((204, 204, 3), level, dtype=np.uint8)


def test_composites_mix_two_faces(recipes):
    from pictures import composite

    rng = np.random.default_rng(0)
    inner = np.s_[70:150, 70:130]
    means = [composite(canvas(40), canvas(200), rng)[inner].mean() for _ in range(40)]
    assert min(means) >= 39
    assert max(means) <= 201
    assert np.std(means) > 10


def test_the_students_picture_is_the_canonical_crop(recipes):
    """A picture that brightens from left to right and from top to bottom is cut where the canonical crop is."""
    from distil import CHANGES, Lessons
    from pictures import halved

    ramp = np.linspace(0, 255, 204)
    right, down = np.tile(ramp, (204, 1)), np.tile(ramp[:, None], (1, 204))
    picture = halved(np.stack([right, down, np.zeros_like(right)], axis=2).astype(np.uint8))
    lessons = Lessons(picture[None], np.ones((1, 2)), np.array([0]), first_composite=0, side=64, batch=8, changes=CHANGES["strong"])
    top, left, height, width = lessons.frame
    cut = lessons.pictures[0, top : top + height, left : left + width].astype(float)
    for axis, channel, start in ((1, 0, 12), (0, 1, 8)):
        levels = cut[:, :, channel].mean(axis=1 - axis)
        expected = ((np.arange(64) + 0.5) * 112 / 64 + start) * 1.5 * 255 / 204
        np.testing.assert_allclose(levels, expected, atol=2)


def test_a_bent_face_keeps_its_frame(recipes):
    from pictures import _bent

    picture = np.zeros((204, 204, 3), dtype=np.uint8)
    picture[[0, -1]] = picture[:, [0, -1]] = 200
    picture[60:140, 60:140] = np.random.default_rng(1).integers(0, 256, (80, 80, 3))
    bent = _bent(picture, np.random.default_rng(0))
    assert bent[[0, -1]].min() > 90
    assert bent[:, [0, -1]].min() > 90
    assert np.abs(bent[60:140, 60:140].astype(int) - picture[60:140, 60:140]).mean() > 20


def test_the_teacher_is_the_same_for_a_face_and_its_mirror_image(recipes):
    from pictures import _descriptors

    class Brightness:
        """The level of a chip's left column is its descriptor."""

        def descriptors(self, chips):
            return chips[:, :, 0].mean(axis=(1, 2)).reshape(-1, 1)

    made = np.random.default_rng(0).integers(0, 256, (3, 204, 204, 3), dtype=np.uint8)
    np.testing.assert_allclose(_descriptors(Brightness(), made), _descriptors(Brightness(), made[:, :, ::-1]), rtol=1e-6)


def test_a_larger_network_begins_as_the_smaller_one(recipes):
    from distil import take_weights

    from visavis.models import build_embedding

    earlier = build_embedding("deep", (32, 32, 3), seed=1)
    larger = build_embedding("deeper", (32, 32, 3), seed=2)
    take_weights(larger, earlier)
    faces = np.random.default_rng(0).integers(0, 256, (2, 32, 32, 3)).astype(np.float32)
    np.testing.assert_allclose(larger.predict_on_batch(faces), earlier.predict_on_batch(faces), atol=1e-6)
    with pytest.raises(ValueError, match="no place for its product_"):
        take_weights(build_embedding("deep", (32, 32, 3)), larger)


def test_the_teacher_gives_the_descriptors_of_dlib(recipes):
    pytest.importorskip("dlib")
    from teacher import Teacher, dlib_descriptors, weights_path

    try:
        weights_path()
    except ImportError:
        pytest.skip("needs the extra visavis[recipe]")
    chips = np.random.default_rng(0).integers(0, 256, (2, 150, 150, 3), dtype=np.uint8)
    np.testing.assert_allclose(Teacher(threads=1).descriptors(chips), dlib_descriptors(chips), atol=1e-5)
