"""`train_model` and `visavis train`: options, initial weights, thresholds, and the comparison with the start."""

import json
from dataclasses import replace

import numpy as np
import pytest
from PIL import Image

import visavis
from visavis import RunOptions, cli, load_encoder, load_model
from visavis.errors import DataError, TrainingError
from visavis.faces import Crop
from visavis.training.batches import BatchShape
from visavis.training.experiments import DataSource, _written, default_init, train_model
from visavis.training.start_comparison import StartComparison, compare_with_start

SMALL = {"batch": BatchShape(people=4, photos=2), "embedding_size": 16}


@pytest.fixture(scope="module")
def aligned(tmp_path_factory):
    """Generated people as `visavis prepare` would write them."""
    faces = replace(visavis.generate_faces(30, 4, size=112, seed=8), crop=Crop.arcface())
    return str(faces.save(tmp_path_factory.mktemp("data") / "faces"))


@pytest.fixture(scope="module")
def start(aligned, tmp_path_factory):
    """A run folder of a small network, trained a little, to start from."""
    out = tmp_path_factory.mktemp("runs") / "start"
    train_model(DataSource(aligned, size=32), out, init="scratch", config={**SMALL, "steps": 30, "flip": False})
    return out


@pytest.fixture(scope="module")
def photos(tmp_path_factory):
    """A folder of photos that were not prepared."""
    root = tmp_path_factory.mktemp("photos")
    faces = visavis.generate_faces(8, 2, size=40, seed=3)
    for number, (face, label) in enumerate(zip(faces.faces, faces.labels, strict=True)):
        path = root / f"person-{label}" / f"{number}.png"
        path.parent.mkdir(exist_ok=True)
        Image.fromarray(face).save(path)
    return root


def call(capsys, *arguments):
    with pytest.raises(SystemExit) as stop:
        cli.main([str(argument) for argument in arguments])
    captured = capsys.readouterr()
    return stop.value.code, captured.out, captured.err


def test_a_split_that_does_not_exist_is_refused_before_anything_is_read(capsys, tmp_path):
    with pytest.raises(ValueError, match="by must be 'person' or 'photo', got 'people'"):
        train_model(DataSource("nowhere"), tmp_path, by="people")
    code, _, err = call(capsys, "train", "nowhere", "--out", tmp_path, "--split", "people")
    assert (code, "'people' is not one of 'person', 'photo'" in err) == (2, True)


def test_photos_that_are_not_aligned_are_refused_with_the_command_to_prepare_them(capsys, photos, tmp_path):
    with pytest.raises(DataError, match=f"{photos}: these photos are not aligned faces.* visavis prepare {photos} --out FACES"):
        train_model(DataSource(str(photos)), tmp_path)
    code, _, err = call(capsys, "train", photos, "--out", tmp_path)
    assert (code, f"visavis prepare {photos} --out FACES" in err, "--init scratch" in err) == (2, True, True)
    assert not list(tmp_path.iterdir())


def test_a_data_set_or_its_path_is_trained_on(tmp_path):
    faces = visavis.generate_faces(12, 4, size=32, seed=3)
    faces.save(tmp_path / "faces")
    config = {"steps": 2, "embedding_size": 8, "batch": visavis.BatchShape(4, 2)}
    cards = [
        train_model(source, tmp_path / "run", config=config, options=RunOptions(overwrite=True)).card
        for source in (faces, tmp_path / "faces")
    ]
    assert [card.data for card in cards] == ["FaceDataset(48 photos of 12 people, 32 x 32 x 3)", str(tmp_path / "faces")]
    assert [card.input_shape for card in cards] == [(32, 32, 3), (64, 64, 3)]
    assert len(config) == 3, "the caller's hyperparameters do not change"
    with pytest.raises(ValueError, match="size is that of the data set, got 80"):
        DataSource(faces, size=80)


def test_initial_weights_suit_the_data(aligned, tmp_path):
    assert default_init(aligned) == default_init(visavis.load_dataset(aligned)) == "pretrained"
    assert default_init(visavis.generate_faces(2, 2, size=32)) == "scratch"
    assert default_init("synthetic") == default_init("lfw.tar") == default_init("faces.npz") == "scratch"
    with pytest.raises(DataError, match="not aligned"):
        default_init("faces.zip")


def test_the_config_that_is_passed_in_does_not_change(aligned, start, tmp_path):
    config = {**SMALL, "steps": 1}
    before = dict(config)
    for _ in range(2):
        train_model(DataSource(aligned), tmp_path, init=str(start), config=config, options=RunOptions(overwrite=True))
    assert config == before


@pytest.mark.parametrize("steps", [1, 2, 40])
def test_any_number_of_steps_trains_from_the_command_line(capsys, monkeypatch, aligned, start, tmp_path, steps):
    monkeypatch.setattr("visavis.training.configuration.BatchShape", lambda **_: SMALL["batch"])
    code, out, err = call(capsys, "train", aligned, "--init", start, "--out", tmp_path, "--steps", steps, "--quiet", "--json")
    assert (code, err) == (0, "")
    result = json.loads(out)
    assert (result["steps"], result["head_warmup_steps"]) == (steps, steps // 3)
    assert result["start"]["people"] == 4
    assert load_encoder(tmp_path).card.training["start"]["summary"] == result["start"]["summary"]


def test_a_start_that_is_kept_decides_as_before(capsys, aligned, start, tmp_path):
    config = {**SMALL, "steps": 2, "learning_rate": 1e-12, "whitening": False}
    encoder = train_model(DataSource(aligned, seed=1), tmp_path, init=str(start), config=config)
    before = load_model(start)
    assert encoder.digest == before.digest
    assert encoder.card.threshold == replace(before.card.threshold, refused_on="validation people")
    assert encoder.card.calibration == before.card.calibration
    comparison = encoder.card.training["start"]
    assert comparison["kept"]
    assert (comparison["eer"], comparison["difference"]) == (comparison["start_eer"], [0, 0])
    assert comparison["summary"].startswith(f"kept the start: no better than {start} on your 4 validation people (EER ")
    faces = visavis.load_dataset(aligned, size=(32, 32)).faces
    np.testing.assert_allclose(load_model(tmp_path).embed(faces), before.embed(faces), atol=1e-6)


def test_the_onnx_file_beside_the_model_is_the_same_model(aligned, start, tmp_path):
    pytest.importorskip("tf2onnx")
    faces = visavis.load_dataset(aligned, size=(32, 32)).faces
    np.testing.assert_allclose(load_encoder(start / "model.onnx").embed(faces), load_model(start).embed(faces), atol=1e-4)


def test_without_the_converter_no_stale_onnx_file_is_left(aligned, monkeypatch, tmp_path):
    monkeypatch.setattr("visavis.training.experiments.find_spec", lambda _: None)
    (tmp_path / "model.onnx").write_bytes(b"of an earlier run")
    train_model(DataSource(aligned, size=32), tmp_path, init="scratch", config={**SMALL, "steps": 20})
    assert {path.name for path in tmp_path.iterdir()} == {"model.keras", "checkpoint.npz", "history.csv"}


def test_a_network_that_cannot_be_converted_is_kept_with_a_warning(start, monkeypatch, tmp_path):
    def fails(*_):
        raise NotImplementedError("no such operation in ONNX")

    monkeypatch.setattr("visavis.encoders.export.export_model", fails)
    with pytest.warns(UserWarning, match="model.onnx was not written: no such operation in ONNX"):
        _written(load_model(start), tmp_path, RunOptions())
    assert {path.name for path in tmp_path.iterdir()} == {"model.keras"}


def test_a_run_folder_is_not_overwritten_by_default(start, tmp_path):
    with pytest.raises(TrainingError, match="already holds a run"):
        train_model(DataSource("nowhere"), start)


def test_a_gain_is_stated_with_its_interval_and_rates():
    gain = StartComparison("the bundled encoder", False, 15, 0.04, 0.02, (-0.03, -0.005), 0.01, 0.2, 0.009, 0.1)
    assert str(gain).splitlines() == [
        "on your 15 validation people, who also selected the weights:",
        "EER 4.00% of the bundled encoder -> 2.00%, difference -3.00 to -0.50 percentage points (95 % interval, paired)",
        "at the threshold: FMR 0.90%, FNMR 10.00% (start: FMR 1.00%, FNMR 20.00%)",
    ]


def test_a_start_that_cannot_be_improved_says_so():
    kept = StartComparison("the bundled encoder", True, 15, 0.0, 0.0, (0.0, 0.0), 0.002, 0.0, 0.002, 0.0)
    assert str(kept) == (
        "kept the start: the bundled encoder ranks all pairs of your 15 validation people correctly, which cannot be improved "
        "(EER 0.00%, FMR 0.20%, FNMR 0.00%)"
    )


class Fixed:
    """An encoder whose embeddings are the first two pixels, as a point on the circle; noise makes it worse."""

    def __init__(self, card, noise):
        self.card, self.noise = card, noise

    def embed(self, faces):
        angles = faces[:, 0, 0, 0] / 40 + self.noise * faces[:, 0, 1, 0] / 40
        return np.stack([np.cos(angles), np.sin(angles)], axis=1).astype(np.float32)


def test_two_encoders_are_compared_on_the_same_people(start):
    rng = np.random.default_rng(0)
    levels = np.stack([np.repeat(rng.integers(0, 240, 60), 4) + rng.integers(0, 9, 240), rng.integers(0, 200, 240)], axis=1)
    pixels = np.zeros((240, 32, 32, 3), np.uint8)
    pixels[:, 0, :2, 0] = levels
    people = visavis.read_arrays(pixels, np.repeat(np.arange(60), 4))
    card = load_model(start).card
    comparison = compare_with_start(Fixed(card, 1), Fixed(card, 0), people, name="noise", kept=False)
    assert comparison.eer < comparison.start_eer
    assert comparison.difference[0] < comparison.eer - comparison.start_eer < comparison.difference[1] < 0
    assert compare_with_start(Fixed(card, 0), Fixed(card, 0), people, name="", kept=True).difference == (0, 0)
