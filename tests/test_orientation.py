"""Photos that lie on their side or upside down."""

import numpy as np
import pytest

from visavis.data import generate_faces
from visavis.faces import Face, FaceFinder, acquire_faces
from visavis.faces.orientation import detect_any_turn
from visavis.images import resize_image


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
    """Detects a face in the upright photo and one in every turned photo, with scores given for each and for their crops."""

    def __init__(self, scores, crop_scores):
        self.scores, self.crop_scores, self.searched = scores, crop_scores, 0

    def detect(self, photo):
        self.searched += 1
        score = self.scores[is_upright(photo)]
        points = np.array([[30, 40], [60, 40], [45, 60], [35, 75], [55, 75]], dtype=float) * photo.shape[0] / 100
        return [Face(np.array([0.0, 0, 100, 100]) * photo.shape[0] / 100, points, score)] if score else []

    def score_crop(self, crop):
        return self.crop_scores[is_upright(crop)]


def is_upright(photo):
    return int(photo[1, 1, 0] > 128)


def bright_corner():
    photo = np.zeros((100, 100, 3), np.uint8)
    photo[:20, :20] = 255
    return photo


@pytest.mark.parametrize(
    ("scores", "crop_scores", "turns", "searched"),
    [
        ((0.9, 0.999), (0.3, 0.9999), 0, 1),  # clearly upright: not searched again
        ((0.999, 0.999), (0.9998, 0.9999), 0, 5),  # in doubt, as it lies
        ((0.9999, 0.9), (0.99999, 0.95), 1, 5),  # much clearer in a turned photo
        ((0.9, 0.0), (0.9, 0.0), 1, 5),
        ((0.0, 0.0), (0.0, 0.0), None, 4),
    ],
)
def test_turned_copies_are_searched_where_the_photo_is_not_clearly_upright(scores, crop_scores, turns, searched):
    finder = Counting(scores, crop_scores)
    faces = detect_any_turn(bright_corner(), finder)
    assert finder.searched == searched
    assert [face.turns for face in faces] == ([] if turns is None else [turns])


def test_a_face_that_lies_on_its_side_does_not_make_another_turn_upright():
    class Sideways(Counting):
        def detect(self, photo):
            faces = super().detect(photo)
            if is_upright(photo):
                return faces
            return [Face(face.box, face.landmarks[:, ::-1], face.score) for face in faces]

    assert detect_any_turn(bright_corner(), Sideways((0.9999, 0.9), (0.99999, 0.95)))[0].turns == 0


def test_without_the_score_of_a_crop_a_photo_is_taken_as_it_lies():
    class Plain:
        def detect(self, photo):
            return [Face(np.array([0.0, 0, 100, 100]), np.zeros((5, 2)), 0.9)]

    (face,) = detect_any_turn(bright_corner(), Plain())
    assert face.turns == 0


class Thorough:
    """Detects a face only where it searches thoroughly."""

    def __init__(self, faces):
        self.faces, self.searched = faces, []

    def detect(self, photo):
        self.searched.append("fast")
        return self.faces["fast"]

    def detect_thoroughly(self, photo):
        self.searched.append("thorough")
        return self.faces["thorough"]


def test_a_photo_without_a_detected_face_is_searched_again():
    face = Face(np.array([0.0, 0, 100, 100]), np.array([[30, 40], [60, 40], [45, 60], [35, 75], [55, 75.0]]), 0.9)
    finder = Thorough({"fast": [], "thorough": [face]})
    assert detect_any_turn(bright_corner(), finder)[0].score == 0.9
    assert finder.searched == ["fast", "thorough"]
    finder = Thorough({"fast": [face], "thorough": [face, face]})
    assert len(detect_any_turn(bright_corner(), finder)) == 1
    assert finder.searched == ["fast"]


@pytest.mark.parametrize(("number", "side", "light"), [(0, 100, 0.3), (54, 100, 0.15), (57, 80, 0.3)])
def test_the_thorough_search_finds_dim_faces_that_the_first_one_misses(number, side, light):
    face = generate_faces(30, 3, size=200, seed=3).faces[number]
    photo = resize_image((face * light).astype(np.uint8), (side, side))
    finder = FaceFinder()
    assert finder.detect(photo) == []
    (found,) = acquire_faces(photo, finder)
    assert found.face.score >= finder.min_score and found.face.turns == 0
