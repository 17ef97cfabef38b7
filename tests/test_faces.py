"""Faces are found, chosen by a policy, and aligned so that the way back is known."""

import pickle

import numpy as np
import pytest
from PIL import Image

from visavis.errors import FaceError
from visavis.faces import CANONICAL_LANDMARKS, Face, FaceFinder, Similarity, acquire_faces, align_face, detector_name, sharpness


class Detects:
    """A detector that returns given faces."""

    def __init__(self, *faces):
        self.faces = list(faces)

    def detect(self, photo):
        return self.faces


def face_at(left, top, side, score=0.99):
    landmarks = CANONICAL_LANDMARKS * side / 112 + [left, top]
    return Face(np.array([left, top, side, side], float), landmarks, score)


def photo_with_marks(face, shape=(300, 400)):
    """A grey photo with a white spot on every point of the face."""
    photo = np.full((*shape, 3), 90, np.uint8)
    for x, y in np.rint(face.landmarks).astype(int):
        photo[y - 2 : y + 3, x - 2 : x + 3] = 255
    return photo


@pytest.mark.parametrize("angle", [0.0, 0.4, -1.2, 3.0])
@pytest.mark.parametrize("scale", [0.3, 1.0, 2.5])
def test_a_similarity_is_found_and_undone(angle, scale):
    truth = Similarity(scale * np.exp(1j * angle), 12 - 7j)
    points = np.random.default_rng(0).uniform(0, 100, (5, 2))
    found = Similarity.between(points, truth.apply(points))
    assert found.factor == pytest.approx(truth.factor)
    assert found.shift == pytest.approx(truth.shift)
    assert found.scale == pytest.approx(scale)
    np.testing.assert_allclose(found.inverse().apply(found.apply(points)), points)


def test_a_quarter_turn_by_hand():
    found = Similarity.between([[0, 0], [1, 0]], [[5, 5], [5, 7]])
    assert found.rotation == pytest.approx(90)
    assert found.factor == pytest.approx(2j)
    np.testing.assert_allclose(found.apply([[0, 1]]), [[3, 5]])


def test_points_that_are_all_alike_have_no_transform():
    with pytest.raises(ValueError, match="must differ"):
        Similarity.between([[1, 1], [1, 1]], [[0, 0], [1, 0]])


@pytest.mark.parametrize("side", [60, 112, 240])
def test_landmarks_are_aligned_with_the_canonical_ones(side):
    face = face_at(40, 30, side)
    aligned = align_face(photo_with_marks(face), face)
    assert aligned.pixels.shape == (112, 112, 3)
    for x, y in np.rint(CANONICAL_LANDMARKS).astype(int):
        assert aligned.pixels[y - 1 : y + 2, x - 1 : x + 2].max() > 200
    assert np.median(aligned.pixels) == 90
    pixel = side / 112
    np.testing.assert_allclose(aligned.outline[0], [40 - pixel / 2, 30 - pixel / 2], atol=1e-6)
    np.testing.assert_allclose(aligned.outline[2], [40 + side - pixel / 2, 30 + side - pixel / 2], atol=1e-6)


def test_a_face_that_lies_on_its_side_is_set_upright():
    upright = face_at(60, 60, 112)
    photo = photo_with_marks(upright, (260, 260))
    turned = Face(upright.box, np.stack([259 - upright.landmarks[:, 1], upright.landmarks[:, 0]], axis=1), 0.9)
    aligned = align_face(np.ascontiguousarray(np.rot90(photo, -1)), turned)
    np.testing.assert_allclose(aligned.pixels.astype(int), align_face(photo, upright).pixels, atol=40)
    assert abs(np.angle(aligned.transform.factor) + np.pi / 2) < 1e-6


def test_what_lies_outside_of_the_photo_is_black():
    aligned = align_face(np.full((80, 80, 3), 200, np.uint8), face_at(-40, -40, 112))
    assert aligned.pixels[:30].max() == 0
    assert aligned.pixels[60:100, 60:100].min() == 200


def test_policies():
    photo = np.zeros((300, 400, 3), np.uint8)
    large, central, small = face_at(0, 0, 150), face_at(170, 120, 60), face_at(340, 240, 40)
    finder = Detects(small, large, central)
    assert acquire_faces(photo, finder)[0].face is large
    assert acquire_faces(photo, finder, policy="centre")[0].face is central
    assert [found.face for found in acquire_faces(photo, finder, policy="all")] == [large, central, small]
    assert acquire_faces(photo, finder)[0].others == 2
    assert acquire_faces(photo, finder, policy="all")[0].others == 0
    with pytest.raises(FaceError, match=r"group\.jpg: 3 faces were found where one is wanted"):
        acquire_faces(photo, finder, policy="error", name="group.jpg")
    with pytest.raises(ValueError, match="policy must be 'largest', 'centre', 'all' or 'error', got 'best'"):
        acquire_faces(photo, finder, policy="best")


def test_no_face_is_an_error_unless_the_centre_is_asked_for():
    photo = np.zeros((100, 200, 3), np.uint8)
    photo[:, 50:150] = 120
    with pytest.raises(FaceError, match=r"wall\.jpg: no face was found"):
        acquire_faces(photo, Detects(), name="wall.jpg")
    (centre,) = acquire_faces(photo, Detects(), fallback="centre")
    assert centre.face is None
    assert (centre.pixels[2:-2, 2:-2] == 120).all() and centre.pixels.min() > 100
    np.testing.assert_allclose(centre.outline[[0, 2]], [[49.5, -0.5], [149.5, 99.5]], atol=1e-9)
    assert centre.warnings[0].startswith("no face was found")


def test_warnings():
    noise = np.random.default_rng(0).integers(0, 255, (300, 400, 3), dtype=np.uint8)
    assert align_face(noise, face_at(50, 50, 150)).warnings == ()
    assert align_face(noise, face_at(50, 50, 60)).warnings[0] == "small face: 19 pixels between the eyes"
    assert align_face(np.zeros_like(noise), face_at(50, 50, 150)).warnings == ("blurred face",)
    assert align_face(noise, face_at(50, 50, 150), others=1).warnings == ("1 other face in the photo",)
    profile = face_at(50, 50, 150)
    profile.landmarks[2, 0] += 30
    assert align_face(noise, profile).warnings == ("face in profile",)


def test_sharpness_by_hand():
    face = np.zeros((5, 5, 1), np.uint8)
    face[2, 2] = 10  # the Laplacian is -40 there, 10 at its four neighbours, 0 at the four corners: mean 0
    assert sharpness(face) == pytest.approx((1600 + 400) / 9)


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"min_face": 4}, "min_face must be at least 12 pixels, got 4"),
        ({"min_face": 40, "detector_size": 30}, r"detector_size must be at least min_face \(40 pixels\), got 30"),
        ({"min_score": 1.0}, r"min_score must be in \(0, 1\), got 1.0"),
    ],
)
def test_a_setting_of_a_finder_that_is_out_of_range_is_named(settings, message):
    with pytest.raises(ValueError, match=message):
        FaceFinder(**settings)


def test_a_finder_is_compared_and_pickled_by_its_settings():
    finder = FaceFinder(detector_size=1280)
    assert pickle.loads(pickle.dumps(finder)) == finder != FaceFinder()
    assert repr(finder) == "FaceFinder(min_face=20, detector_size=1280, min_score=0.8)"
    assert detector_name(finder) == repr(finder)
    assert detector_name(Detects()) == "test_faces.Detects"


def test_small_faces_in_a_large_photo_are_found_at_a_larger_detector_size(portrait):
    large = np.full((1600, 2000, 3), 128, np.uint8)
    middle = len(portrait) // 2
    face = FaceFinder().detect(portrait)[0]
    side = round(len(portrait) * 40 / face.box[2])  # a face of 40 pixels, of 4 at a detector size of 200
    large[700 : 700 + side, 900 : 900 + side] = np.asarray(Image.fromarray(portrait).resize((side, side)))
    assert FaceFinder(detector_size=200).detect(large) == []
    found = FaceFinder(detector_size=1280).detect(large)
    assert len(found) == 1
    np.testing.assert_allclose(found[0].box[:2] + found[0].box[2:] / 2, np.add([900, 700], side * middle / len(portrait)), atol=20)
    assert FaceFinder(detector_size=1280, min_face=100).detect(large) == []


def test_what_is_detected_needs_no_order():
    class Unsorted:
        def detect(self, photo):
            return [face_at(300, 200, 40), face_at(0, 0, 150)]

    assert acquire_faces(np.zeros((300, 400, 3), np.uint8), Unsorted())[0].face.area == 150**2


@pytest.fixture(scope="module")
def finder():
    return FaceFinder()


def test_nothing_is_found_where_nothing_is(finder):
    assert finder.detect(np.full((200, 300, 3), 128, np.uint8)) == []
    assert finder.detect(np.zeros((2000, 30, 3), np.uint8)) == []
    assert finder.detect(np.zeros((10, 10, 3), np.uint8)) == []


@pytest.mark.parametrize("scale", [1, 6])
def test_a_face_is_found_at_any_size(finder, portrait, scale):
    side = portrait.shape[0]
    photo = np.asarray(Image.fromarray(portrait).resize((side * scale,) * 2))
    face = finder.detect(photo)[0]
    assert face.score > 0.9
    left, top, width, height = face.box / scale
    assert left < side / 2 < left + width and top < side / 2 < top + height
    eyes = face.landmarks[:2] / scale
    assert eyes[0, 0] < eyes[1, 0] and np.all(eyes[:, 1] < top + height / 2)
    assert np.all(face.landmarks[3:, 1] > face.landmarks[2, 1])
    np.testing.assert_allclose(face.landmarks / scale, finder.detect(portrait)[0].landmarks, atol=0.03 * width)


def test_a_crop_resembles_a_face_and_what_is_none_does_not(finder, portrait):
    crop = acquire_faces(portrait, finder)[0].pixels
    assert finder.score_crop(crop) > 0.8
    assert finder.score_crop(crop[8:-8, 8:-8]) > 0.8
    assert finder.score_crop(portrait) < 0.8  # the face is there, but does not fill the photo
    assert finder.score_crop(np.random.default_rng(0).integers(0, 256, (112, 112, 3), dtype=np.uint8)) < 0.5
