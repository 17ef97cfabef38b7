"""dlib's network in ONNX Runtime: the same descriptors as dlib's own code, and what is said where its weights are missing."""

import importlib.util

import numpy as np
import pytest

import visavis
from visavis.encoders import dlib as module
from visavis.errors import MissingDependencyError, ModelError
from visavis.faces import CANONICAL_CROP, PREPARED_CROP

has_weights = importlib.util.find_spec("face_recognition_models") is not None
needs_weights = pytest.mark.skipif(not has_weights, reason="needs face_recognition_models, of the extra dlib")


def some_faces(count=3):
    return np.random.default_rng(3).integers(0, 256, (count, 150, 150, 3), dtype=np.uint8)


@needs_weights
def test_descriptors_are_those_of_dlib():
    dlib = pytest.importorskip("dlib", reason="needs dlib-bin, of the extra recipe")
    network = dlib.face_recognition_model_v1(str(module.dlib_weights()))
    faces = some_faces()
    expected = np.array([network.compute_face_descriptor(face) for face in faces], dtype=np.float32)
    encoder = visavis.load_encoder("dlib", threads=1)
    np.testing.assert_allclose(encoder.raw(faces), expected, atol=2e-6)
    np.testing.assert_allclose(np.linalg.norm(encoder.embed(faces), axis=1), 1, atol=1e-6)


@needs_weights
def test_its_card_says_what_it_takes_and_the_model_can_be_calibrated(tmp_path):
    encoder = visavis.load_encoder("dlib")
    assert encoder.card.input_shape == (150, 150, 3)
    assert [rule.target_fmr for rule in encoder.card.rules] == [1e-2, 1e-3, 1e-4, 1e-5]
    assert encoder.card.threshold.chosen_on == "people in the wild (CelebA)"
    alone = module.load_dlib().card.threshold
    assert (alone.score, alone.chosen_on) == (pytest.approx(1 - (0.6 / 1.4) ** 2 / 2), "face_recognition's tolerance of 0.6")
    assert len(encoder.digest) == 64
    module_copy = tmp_path / "dlib.onnx"
    visavis.encoders.onnx.copy_with_card(encoder, encoder.card, module_copy)
    copied = visavis.load_encoder(module_copy)
    assert (copied.card, copied.digest) == (encoder.card, encoder.digest)
    np.testing.assert_array_equal(copied.raw(some_faces(1)), encoder.raw(some_faces(1)))


def test_its_crop_lies_in_what_prepare_keeps_and_not_in_the_canonical_crop():
    assert PREPARED_CROP.covers(module.DLIB_CROP)
    assert PREPARED_CROP.covers(CANONICAL_CROP)
    assert not CANONICAL_CROP.covers(module.DLIB_CROP)


def test_the_extra_is_named_where_the_weights_are_missing(monkeypatch):
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
    with pytest.raises(MissingDependencyError, match=r"pip install 'visavis\[dlib\]'"):
        visavis.load_encoder("dlib")


@pytest.mark.parametrize("content", [b"", b"\x01\x02" * 5000])
def test_other_weights_are_refused(tmp_path, content):
    (tmp_path / "other.dat").write_bytes(content)
    with pytest.raises(ModelError, match=r"other.dat: no tensor of 4736 x 1 numbers, so not dlib's face network"):
        module.dlib_model(tmp_path / "other.dat")
    with pytest.raises(ModelError, match=r"none.dat: No such file"):
        module.dlib_model(tmp_path / "none.dat")
