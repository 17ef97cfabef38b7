"""The cascade finds what the package finds whose weights it takes, and in bounded memory."""

import shutil
import subprocess
import sys
import tracemalloc
from importlib.metadata import PathDistribution
from pathlib import Path

import joblib
import numpy as np
import pytest
from PIL import Image

from visavis.errors import ModelError
from visavis.faces import detection
from visavis.faces.detection import load_cascade


@pytest.fixture(scope="module")
def cascade():
    return load_cascade()


def found(cascade, photo, smallest=20):
    return cascade.detect(np.ascontiguousarray(photo), smallest=smallest, least_score=0.8)


@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")  # lz4 flushes a closed file on Python 3.13
def test_the_package_finds_the_same_faces(cascade, portrait):
    mtcnn = pytest.importorskip("mtcnn").MTCNN()
    height, width = portrait.shape[:2]
    tall = np.asarray(Image.fromarray(portrait).resize((int(1.6 * width), int(2.45 * height))))
    for photo in (portrait, tall, portrait[30:, 20:], np.ascontiguousarray(portrait[:, ::-1])):
        boxes, landmarks, scores = found(cascade, photo)
        rows = mtcnn.detect_faces(np.ascontiguousarray(photo), fit_to_image=False, output_type="numpy", box_format="xyxy")
        rows = rows[rows[:, 5] > 0.8]
        assert len(boxes) == len(rows) >= 1
        for box, points, score in zip(boxes, landmarks, scores, strict=True):
            row = rows[np.argmin(np.abs(rows[:, 1:5] - box).sum(axis=1))]
            np.testing.assert_allclose(box, row[1:5], atol=0.1)
            np.testing.assert_allclose(points, row[6:].reshape(2, 5).T, atol=0.1)
            assert score == pytest.approx(row[5], abs=0.001)


def test_the_shipped_networks_are_those_of_the_package(monkeypatch):
    onnx = pytest.importorskip("onnx")
    pytest.importorskip("mtcnn")
    monkeypatch.syspath_prepend(str(Path(__file__).parents[1] / "recipes"))
    import detector

    for name, pools in detector.POOLS.items():
        shipped = onnx.load(detection.WEIGHTS / f"{name}.onnx")
        onnx.checker.check_model(shipped)
        assert detector.build_network(detector.read_weights(name), pools) == shipped, name


def test_the_recipe_refuses_other_weights(monkeypatch, tmp_path):
    pytest.importorskip("mtcnn")
    monkeypatch.syspath_prepend(str(Path(__file__).parents[1] / "recipes"))
    import detector

    planted = tmp_path / "mtcnn" / "assets" / "weights" / "pnet.lz4"
    planted.parent.mkdir(parents=True)
    joblib.dump(Planted(tmp_path / "executed"), planted)
    monkeypatch.setattr(detector, "distribution", lambda name: PathDistribution(tmp_path / "mtcnn.dist-info"))
    with pytest.raises(ValueError, match="not the weights of mtcnn 1.0.0"):
        detector.read_weights("pnet")
    assert not (tmp_path / "executed").exists()
    joblib.load(planted)
    assert (tmp_path / "executed").exists()  # the pickle is one that runs code


class Planted:
    """A pickle that creates a file when it is loaded."""

    def __init__(self, path):
        self.path = path

    def __reduce__(self):
        return Path.touch, (self.path,)


@pytest.mark.parametrize("name", ["pnet", "rnet", "onet"])
def test_weights_that_were_changed_are_refused(tmp_path, name):
    shutil.copytree(detection.WEIGHTS, tmp_path, dirs_exist_ok=True)
    load_cascade(tmp_path)
    content = bytearray((tmp_path / f"{name}.onnx").read_bytes())
    content[len(content) // 2] ^= 1
    (tmp_path / f"{name}.onnx").write_bytes(content)
    with pytest.raises(ModelError, match=rf"{name}\.onnx: damaged or replaced, its SHA-256 digest must be [0-9a-f]{{64}}"):
        load_cascade(tmp_path)


def test_missing_weights_are_named(tmp_path):
    with pytest.raises(
        ModelError, match=r"pnet\.onnx: the face detector cannot be read \(No such file.*pip install --force-reinstall visavis"
    ):
        load_cascade(tmp_path)


def test_the_detector_is_loaded_without_joblib_mtcnn_and_onnx():
    load = "from visavis.faces.detection import load_cascade; load_cascade()"
    code = f"{load}; import sys; print(*{{'joblib', 'mtcnn', 'onnx'}} & {{*sys.modules}})"
    loaded = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout.split()
    assert loaded == []


def test_a_mirrored_photo_has_its_points_in_mirrored_places(cascade, portrait):
    _, points, _ = found(cascade, portrait)
    boxes, mirrored, _ = found(cascade, portrait[:, ::-1])
    back = mirrored[0, [1, 0, 2, 4, 3]] * [-1, 1] + [portrait.shape[1] - 1, 0]
    width = boxes[0, 2] - boxes[0, 0]
    np.testing.assert_allclose(points[0], back, atol=0.06 * width)
    np.testing.assert_allclose(points[0].mean(axis=0), back.mean(axis=0), atol=0.02 * width)


def test_the_smallest_face_bounds_what_is_found(cascade, portrait):
    side = np.ptp(found(cascade, portrait)[0][0, ::2])
    assert len(found(cascade, portrait, smallest=int(side * 0.6))[0]) >= 1
    assert len(found(cascade, portrait, smallest=int(side * 2.8))[0]) == 0


def test_a_crowd_is_found_in_bounded_memory(cascade, portrait):
    left, top, right, bottom = found(cascade, portrait)[0][0]
    middle, half = np.array([left + right, top + bottom]) / 2, 0.6 * max(right - left, bottom - top)
    face = Image.fromarray(portrait).crop((*(middle - half).astype(int), *(middle + half).astype(int)))
    crowd = np.tile(np.asarray(face.resize((32, 32))), (20, 20, 1))
    tracemalloc.start()
    try:
        boxes, _, _ = found(cascade, crowd)
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert len(boxes) >= 200
    assert peak < 200e6


def test_only_the_best_places_of_one_size_are_looked_at_again(cascade, portrait, monkeypatch):
    monkeypatch.setattr(detection, "_MOST_AT_ONE_SIZE", 3)
    boxes, _, scores = found(cascade, portrait)
    assert len(boxes) >= 1 and scores[0] > 0.9


def test_photos_are_shrunk_by_the_mean_of_what_a_pixel_covers():
    levels = np.arange(12, dtype=np.float32).reshape(1, 2, 6)
    integral = detection._integral(levels)
    np.testing.assert_allclose(detection._shrunk(integral, 1, 3), [[[3.5, 5.5, 7.5]]])
    # Four pixels of 1.5: (0 + 1 / 2) / 1.5, (1 / 2 + 2) / 1.5, ...
    np.testing.assert_allclose(detection._shrunk(integral, 2, 4)[0, 0], [1 / 3, 5 / 3, 10 / 3, 14 / 3], rtol=1e-6)
    np.testing.assert_allclose(detection._shrunk(integral, 2, 6), levels)


def test_windows_are_read_between_pixels_and_grey_beyond_the_photo():
    levels = np.arange(9, dtype=np.float32).reshape(1, 3, 3)
    boxes = np.array([[0.0, 0, 2, 2], [0.5, 0.5, 1.5, 1.5], [-1, 0, 1, 2]])
    whole, inner, beyond = detection._windows(levels, 1.5 * boxes, 3)[:, 0]  # places are counted in 2 / 3 of a pixel
    np.testing.assert_allclose(whole, levels[0])
    np.testing.assert_allclose(inner, [[2, 2.5, 3], [3.5, 4, 4.5], [5, 5.5, 6]])
    np.testing.assert_allclose(beyond, [[0, 0, 1], [0, 3, 4], [0, 6, 7]])


def test_boxes_under_better_ones_are_left_out():
    boxes = np.array([[0.0, 0, 10, 10], [1, 0, 11, 10], [20, 0, 30, 10], [0, 0, 4, 4]])  # 90 / 110, nothing, 16 / 100 in common
    assert detection._uncovered(boxes, 0.7).tolist() == [0, 2, 3]
    assert detection._uncovered(boxes, 0.85).tolist() == [0, 1, 2, 3]
    assert detection._uncovered(boxes, 0.7, of_the_smaller=True).tolist() == [0, 2]
    many = np.tile([[0.0, 0, 1, 1]], (400, 1)) + np.arange(400)[:, None] * [[2, 0, 2, 0]]
    assert len(detection._uncovered(many, 0.5)) == 400
    assert detection._uncovered(np.concatenate([many, many]), 0.5).tolist() == list(range(400))
