"""Photos that lie on their side or upside down."""

import numpy as np
import pytest

from visavis.faces import Face, FaceFinder, acquire_faces
from visavis.faces.orientation import detect_any_turn


@pytest.mark.parametrize("turns", [0, 1, 2, 3])
def test_a_face_is_found_whichever_way_its_photo_lies(portrait, turns):
    photo = np.concatenate([portrait, np.zeros_like(portrait[:, :40])], axis=1)
    (upright,) = acquire_faces(photo, FaceFinder())
    (turned,) = acquire_faces(np.ascontiguousarray(np.rot90(photo, -turns)), FaceFinder())
    assert turned.face.turns == turns
    assert np.abs(turned.pixels.astype(float) - upright.pixels).mean() < 4
    left, top, width, height = turned.face.box
    assert np.all((turned.landmarks >= [left, top]) & (turned.landmarks <= [left + width, top + height]))
    assert any("turned" in text for text in turned.warnings) == (turns != 0)


class Counting:
    """Detects a face with a given score in the photo as it is, and another one in a turned photo."""

    def __init__(self, score, turned_score):
        self.scores, self.searched = (score, turned_score), 0

    def detect(self, photo):
        upright = photo[0, 0, 0] > 128
        self.searched += 1
        score = self.scores[0 if upright else 1]
        points = np.array([[30, 40], [60, 40], [45, 60], [35, 75], [55, 75]], dtype=float)
        return [Face(np.array([20.0, 20, 50, 70]), points, score)] if score else []


def bright_corner():
    photo = np.zeros((100, 120, 3), np.uint8)
    photo[:20, :20] = 255
    return photo


@pytest.mark.parametrize(
    ("score", "turned_score", "turned", "searched"),
    [
        (0.999, 0.9999, False, 1),  # sure: not searched again
        (0.9, 0.95, True, 5),
        (0.9, 0.85, False, 4),
        (0.0, 0.9, True, 5),
        (0.0, 0.0, None, 4),
    ],
)
def test_turned_copies_are_searched_where_the_score_is_not_high(score, turned_score, turned, searched):
    finder = Counting(score, turned_score)
    faces = detect_any_turn(bright_corner(), finder)
    assert finder.searched == searched
    assert [face.turns != 0 for face in faces] == ([] if turned is None else [turned])
