"""The model bill of materials."""

import hashlib
import json
from pathlib import Path

import pytest

import visavis
from visavis.cli import main
from visavis.encoders.materials import bill_of_materials
from visavis.encoders.registry import find_encoder
from visavis.faces import mtcnn


def test_it_names_digests_and_licences_of_encoder_and_detector():
    encoder, detector = bill_of_materials()
    assert encoder.digests == {"digest": visavis.load_encoder().digest}
    assert encoder.licences == find_encoder("pretrained").licences and all(vars(encoder.licences).values())
    weights = Path(mtcnn.__file__).parent / "weights"
    assert detector.digests == {path.name: hashlib.sha256(path.read_bytes()).hexdigest() for path in weights.glob("*.onnx")}
    assert all(vars(detector.licences).values()) and "non-commercial" in detector.licences.data


def test_a_model_without_detection_needs_no_detector_and_unknown_terms_are_said(tmp_path, monkeypatch):
    class Plain:
        digest = "ab" * 32
        card = type("PlainCard", (), {"aligned": False, "licence": "MIT"})()

    monkeypatch.setattr("visavis.encoders.materials.load_encoder", lambda model: Plain())
    (only,) = bill_of_materials("runs/mine")
    assert only.licences.weights == "MIT" and "licence (data)       not known" in str(only)


@pytest.mark.parametrize("options", [(), ("--json",)])
def test_the_command_prints_it(capsys, options):
    with pytest.raises(SystemExit) as stop:
        main(["card", "pretrained", "--licences", *options])
    printed = capsys.readouterr().out
    assert stop.value.code == 0 and "Apache-2.0 (SFace, OpenCV Zoo)" in printed
    if options:
        assert [one["kind"] for one in json.loads(printed)["materials"]] == ["encoder", "detector"]
