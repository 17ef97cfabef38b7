"""The encoder that comes with visavis: it is there, small, quick to start, the same in Keras, and a start for training."""

import json
import subprocess
import sys

import numpy as np
import pytest
from PIL import Image

import visavis
from visavis import cli
from visavis.data import FaceDataset
from visavis.encoders import PRETRAINED_FILE
from visavis.encoders.keras import load_pretrained
from visavis.faces import Crop
from visavis.training.experiments import DataSource, default_init, train_model

pytestmark = pytest.mark.skipif(not PRETRAINED_FILE.is_file(), reason="the encoder is not made yet: see recipes/")


@pytest.fixture(scope="module")
def prepared(tmp_path_factory):
    """Generated people as `visavis prepare` would leave them."""
    faces = visavis.generate_faces(12, 4, size=112, seed=8)
    out = tmp_path_factory.mktemp("data") / "faces"
    FaceDataset(faces.faces, faces.labels, faces.people, list(faces.sources), crop=Crop.arcface(faces.shape[0])).save(out)
    return out


def test_the_file_is_small_and_its_terms_lie_beside_it():
    assert PRETRAINED_FILE.stat().st_size <= 11_000_000
    assert "Apache License" in PRETRAINED_FILE.with_name("LICENSE-Apache-2.0.txt").read_text()
    assert "SFace" in PRETRAINED_FILE.with_name("NOTICE.txt").read_text()


def test_it_is_the_same_in_keras(prepared):
    encoder = visavis.load_encoder("pretrained")
    faces = visavis.load_dataset(prepared, size=encoder.card.input_shape[:2]).faces[:8]
    np.testing.assert_allclose(encoder.embed(faces), load_pretrained().embed(faces), atol=1e-5)


def test_its_card_says_where_it_is_from(capsys):
    with pytest.raises(SystemExit) as stop:
        cli.main(["card", "pretrained"])
    assert stop.value.code == 0
    output = capsys.readouterr().out
    for part in ("aligned", "SFace", "Apache-2.0", "validation people of LFW", "people in the wild"):
        assert part in output


@pytest.mark.parametrize("size", [80, 112])
def test_it_is_evaluated_on_arrays_without_a_folder(prepared, size):
    faces = visavis.load_dataset(prepared, size=size)
    for model in ("pretrained", visavis.load_encoder("pretrained")):
        result = visavis.evaluate_model(model, faces)
        assert result.report is None and result.evaluation.photos == 48


def test_two_faces_are_compared_without_keras(tmp_path, prepared):
    faces = visavis.load_dataset(prepared).faces
    photos = [tmp_path / f"{number}.png" for number in (0, 1)]
    for number, photo in enumerate(photos):
        Image.fromarray(faces[number]).save(photo)
    program = (
        "import sys; from visavis import cli\n"
        "try: cli.main()\n"
        "finally: assert not {'keras', 'tensorflow', 'matplotlib', 'sklearn'} & set(sys.modules), sorted(sys.modules)"
    )
    command = [sys.executable, "-c", program, "verify", *map(str, photos), "--aligned", "--json"]
    result = subprocess.run(command, capture_output=True, text=True)
    assert result.returncode in (0, 1), result.stderr
    assert -1 <= json.loads(result.stdout)["score"] <= 1


def test_training_starts_from_it_where_faces_are_aligned(prepared, tmp_path):
    assert default_init(str(prepared)) == "pretrained"
    assert default_init("synthetic") == "scratch"
    config = {"steps": 4, "head_warmup_steps": 2, "validate_every": 2}
    encoder = train_model(DataSource(str(prepared)), tmp_path, init="pretrained", config=config)
    assert encoder.card.training["init"] == "pretrained"
    assert encoder.card.input_shape == visavis.load_encoder("pretrained").card.input_shape
    assert encoder.card.aligned
    steps = [line.split(",")[0] for line in (tmp_path / "history.csv").read_text().splitlines()]
    assert steps == ["step", "0", "2", "4"]


def test_a_network_cannot_be_chosen_for_a_trained_one(prepared, tmp_path):
    with pytest.raises(ValueError, match="network must not be given where init is a trained network, got 'classic'"):
        train_model(DataSource(str(prepared)), tmp_path, init="pretrained", config={"network": "classic"})
