"""MTCNN detects what the package `mtcnn` detects, from verified weights, in bounded memory."""

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
from visavis.faces import mtcnn
from visavis.faces.mtcnn import WEIGHTS, load_mtcnn


@pytest.fixture(scope="module")
def detector():
    return load_mtcnn()


def detect(detector, photo, min_face=20):
    return detector.detect(np.ascontiguousarray(photo), min_face=min_face, min_score=0.8)


@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")  # lz4 flushes a closed file on Python 3.13
def test_the_package_finds_the_same_faces(detector, portrait):
    package = pytest.importorskip("mtcnn").MTCNN()
    height, width = portrait.shape[:2]
    tall = np.asarray(Image.fromarray(portrait).resize((int(1.6 * width), int(2.45 * height))))
    for photo in (portrait, tall, portrait[30:, 20:], np.ascontiguousarray(portrait[:, ::-1])):
        boxes, landmarks, scores = detect(detector, photo)
        rows = package.detect_faces(np.ascontiguousarray(photo), fit_to_image=False, output_type="numpy", box_format="xyxy")
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
    import detector as recipe

    for name, pools in recipe.POOLS.items():
        shipped = onnx.load(WEIGHTS / f"{name}.onnx")
        onnx.checker.check_model(shipped)
        assert recipe.build_network(recipe.read_weights(name), pools) == shipped, name


def test_the_recipe_refuses_other_weights(monkeypatch, tmp_path):
    pytest.importorskip("mtcnn")
    monkeypatch.syspath_prepend(str(Path(__file__).parents[1] / "recipes"))
    import detector as recipe

    planted = tmp_path / "mtcnn" / "assets" / "weights" / "pnet.lz4"
    planted.parent.mkdir(parents=True)
    joblib.dump(Planted(tmp_path / "executed"), planted)
    monkeypatch.setattr(recipe, "distribution", lambda name: PathDistribution(tmp_path / "mtcnn.dist-info"))
    with pytest.raises(ValueError, match="not the weights of mtcnn 1.0.0"):
        recipe.read_weights("pnet")
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
    shutil.copytree(WEIGHTS, tmp_path, dirs_exist_ok=True)
    load_mtcnn(tmp_path)
    content = bytearray((tmp_path / f"{name}.onnx").read_bytes())
    content[len(content) // 2] ^= 1
    (tmp_path / f"{name}.onnx").write_bytes(content)
    with pytest.raises(ModelError, match=rf"{name}\.onnx: damaged or replaced, its SHA-256 digest must be [0-9a-f]{{64}}"):
        load_mtcnn(tmp_path)


def test_missing_weights_are_named(tmp_path):
    with pytest.raises(
        ModelError, match=r"pnet\.onnx: the face detector cannot be read \(No such file.*pip install --force-reinstall visavis"
    ):
        load_mtcnn(tmp_path)


def test_the_detector_is_loaded_without_joblib_mtcnn_and_onnx():
    load = "from visavis.faces.mtcnn import load_mtcnn; load_mtcnn()"
    code = f"{load}; import sys; print(*{{'joblib', 'mtcnn', 'onnx'}} & {{*sys.modules}})"
    loaded = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout.split()
    assert loaded == []


def test_landmarks_of_a_mirrored_photo_are_mirrored(detector, portrait):
    _, landmarks, _ = detect(detector, portrait)
    boxes, mirrored, _ = detect(detector, portrait[:, ::-1])
    back = mirrored[0, [1, 0, 2, 4, 3]] * [-1, 1] + [portrait.shape[1] - 1, 0]
    width = boxes[0, 2] - boxes[0, 0]
    np.testing.assert_allclose(landmarks[0], back, atol=0.06 * width)
    np.testing.assert_allclose(landmarks[0].mean(axis=0), back.mean(axis=0), atol=0.02 * width)


def test_faces_below_min_face_are_not_searched(detector, portrait):
    side = np.ptp(detect(detector, portrait)[0][0, ::2])
    assert len(detect(detector, portrait, min_face=int(side * 0.6))[0]) >= 1
    assert len(detect(detector, portrait, min_face=int(side * 2.8))[0]) == 0


def test_crowds_are_detected_in_bounded_memory(detector, portrait):
    left, top, right, bottom = detect(detector, portrait)[0][0]
    middle, half = np.array([left + right, top + bottom]) / 2, 0.6 * max(right - left, bottom - top)
    face = Image.fromarray(portrait).crop((*(middle - half).astype(int), *(middle + half).astype(int)))
    crowd = np.tile(np.asarray(face.resize((32, 32))), (20, 20, 1))
    tracemalloc.start()
    try:
        boxes, _, _ = detect(detector, crowd)
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert len(boxes) >= 200
    assert peak < 200e6


def test_only_the_best_proposals_of_a_pyramid_level_are_refined(detector, portrait, monkeypatch):
    monkeypatch.setattr(mtcnn, "_MAX_PROPOSALS", 3)
    boxes, _, scores = detect(detector, portrait)
    assert len(boxes) >= 1 and scores[0] > 0.9
