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


def test_the_teacher_gives_the_descriptors_of_dlib(recipes):
    pytest.importorskip("dlib")
    from teacher import Teacher, dlib_descriptors, weights_path

    try:
        weights_path()
    except ImportError:
        pytest.skip("needs the extra visavis[recipe]")
    chips = np.random.default_rng(0).integers(0, 256, (2, 150, 150, 3), dtype=np.uint8)
    np.testing.assert_allclose(Teacher(threads=1).descriptors(chips), dlib_descriptors(chips), atol=1e-5)
