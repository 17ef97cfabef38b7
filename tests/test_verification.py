"""Run folders, verdicts, end-to-end jobs and the command line."""

import csv
import json
import subprocess
import sys
import zipfile
from dataclasses import replace

import keras
import numpy as np
import pytest
from PIL import Image

import visavis
from visavis import cli
from visavis.encoders.card import Card
from visavis.errors import DataError, FaceError, ImageError, ModelError
from visavis.evaluation.evaluate import evaluate_model
from visavis.faces import CANONICAL_LANDMARKS, Crop, Face, FaceFinder
from visavis.metrics import error_curve
from visavis.metrics.calibration import distance_of, fit_sigmoid, score_of
from visavis.training.experiments import DataSource, train_model
from visavis.training.run_options import RunOptions
from visavis.verification import FoundFace


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """Photos of sixteen generated people, as a user has them."""
    root = tmp_path_factory.mktemp("photos")
    faces = visavis.generate_faces(16, 4, size=40, seed=3)
    for face, label, number in zip(faces.faces, faces.labels, np.arange(len(faces)) % 4, strict=True):
        path = root / f"person-{label:02d}" / f"{number}.png"
        path.parent.mkdir(exist_ok=True)
        Image.fromarray(face).save(path)
    return root


@pytest.fixture(scope="module")
def run(folder, tmp_path_factory):
    """A run folder of a model that was trained a little on them."""
    out = tmp_path_factory.mktemp("runs") / "small"
    source = DataSource(str(folder), size=32)
    options = RunOptions(progress=False, command="visavis train")
    train_model(source, out, init="scratch", config={"steps": 20, "validate_every": 10}, options=options)
    return out


def call(capsys, *arguments):
    """Run a command in this process: exit code, standard output, standard error."""
    with pytest.raises(SystemExit) as stop:
        cli.main([str(argument) for argument in arguments])
    captured = capsys.readouterr()
    return stop.value.code, captured.out, captured.err


def width_of(path):
    with Image.open(path) as image:
        return image.width


def test_a_model_file_carries_its_card(run, folder):
    verifier = visavis.Verifier(run)
    card = verifier.card
    assert card.input_shape == (32, 32, 3)
    assert card.split == "person"
    assert {name: len(side.people) for name, side in card.sides.items()} == {"train": 11, "validation": 2, "test": 3}
    assert card.threshold.mated == 2 * 6
    assert card.threshold.nonmated == 16
    assert card.threshold.chosen_on == "validation people"
    assert Card.from_json(json.loads(json.dumps(card.to_json())), source="here") == card
    again = visavis.Verifier(run / "model.keras")
    photo = folder / "person-00" / "0.png"
    assert again.verify(photo, photo) == verifier.verify(photo, photo)


def test_verdicts_are_consistent(run, folder):
    verifier = visavis.Verifier(run)
    photos = sorted(folder.rglob("*.png"))[:8]
    for verdict in verifier.compare(photos[0], photos):
        assert verdict.same == (verdict.score >= verdict.threshold)
        assert verdict.distance == pytest.approx(distance_of(verdict.score))
        assert verdict.probability > 0.5 or not verdict.same  # the threshold is for a false match rate, which is stricter
    itself = verifier.verify(photos[0], photos[0])
    assert itself.same
    assert itself.score == pytest.approx(1, abs=1e-4)


def test_photos_of_any_kind(run, folder):
    verifier = visavis.Verifier(run)
    path = folder / "person-00" / "0.png"
    pixels = np.asarray(Image.open(path))
    kinds = [path, str(path), path.read_bytes(), pixels, pixels / 255]
    embeddings = verifier.embed(kinds)
    np.testing.assert_allclose(embeddings, embeddings[:1].repeat(5, axis=0), atol=1e-3)
    assert verifier.embed([pixels[:, :, 0]]).shape == embeddings[:1].shape
    with pytest.raises(ValueError, match="a photo must be uint8, or float"):
        verifier.embed([pixels.astype(int)])
    with pytest.raises(ValueError, match="at least one photo"):
        verifier.compare(path, [])


def test_the_siamese_model_inside_runs_the_briefs_snippet(run, folder):
    from sklearn.metrics import accuracy_score, f1_score, recall_score

    siamese_model = visavis.load_model(run).siamese
    faces = visavis.load_dataset(folder, size=(32, 32))
    images_dataset, labels_dataset = visavis.generate_image_pairs(faces.faces, faces.labels)
    pred_scores = siamese_model.predict([images_dataset[:, 0, :], images_dataset[:, 1, :]])
    predicted_labels = (pred_scores > 0.5).astype(int).flatten()
    for metric in (accuracy_score, recall_score, f1_score):
        assert 0 <= metric(labels_dataset, predicted_labels) <= 1


def test_evaluation_leaves_out_whom_the_model_saw(run, folder, tmp_path):
    result = evaluate_model(run, str(folder), out=tmp_path)
    assert (result.evaluation.people, result.left_out) == (3, 13)
    everybody = evaluate_model(run, str(folder), out=tmp_path, people="all")
    assert (everybody.evaluation.people, everybody.left_out) == (16, 0)
    assert everybody.evaluation.trained_people
    assert "the model was trained on may be among these" in (tmp_path / "report.html").read_text()
    seen = visavis.load_dataset(folder, size=(32, 32)).select_people(visavis.Verifier(run).card.sides["train"].people)
    with pytest.raises(DataError, match="0 of 11 people in the data are unseen"):
        evaluate_model(visavis.load_model(run), seen, out=tmp_path)


def test_a_report_holds_all_it_needs(run, folder, tmp_path):
    result = evaluate_model(run, str(folder), out=tmp_path)
    page = result.report.read_text()
    assert page.count("data:image/png;base64,") == 6
    assert "://" not in page
    assert f"{result.evaluation.eer:.2%}" in page
    metrics = json.loads((tmp_path / "metrics.json").read_text())
    assert metrics["eer"] == result.evaluation.eer
    for name in ("accuracy", "precision", "recall", "fmr", "fnmr", "tar_at_fmr_1e-2", "tar_at_fmr_1e-3"):
        assert metrics[name] == metrics["counts"][name]["count"] / metrics["counts"][name]["trials"]
        low, high = metrics["intervals"][name]
        assert low <= metrics[name] <= high
    for picture in (tmp_path / "pictures").iterdir():
        assert width_of(picture) > 300


def test_a_protocol_of_ones_own(run, folder, tmp_path):
    people = visavis.Verifier(run).card.sides["test"].people
    path = tmp_path / "pairs.csv"
    with path.open("w", newline="") as file:
        writer = csv.writer(file)
        writer.writerows([["first", "second"], *([f"{people[0]}/0.png", f"{who}/1.png"] for who in people)])
    evaluation = evaluate_model(run, str(folder), pairs=path, out=tmp_path).evaluation
    assert (evaluation.curve.mated, evaluation.curve.nonmated) == (1, 2)
    assert evaluation.intervals["eer"][1] > 0.5
    assert evaluation.folded is None


def test_pairs_of_people_whom_the_model_has_seen_are_left_out(run, folder, tmp_path):
    sides = visavis.Verifier(run).card.sides
    one, two, three = sides["test"].people
    path = tmp_path / "pairs.csv"
    rows = [(f"{one}/0.png", f"{one}/1.png", 0), (f"{one}/0.png", f"{two}/1.png", 0), (f"{three}/0.png", f"{three}/1.png", 1)]
    rows += [(f"{two}/0.png", f"{three}/0.png", 1), (f"{sides['train'].people[0]}/0.png", f"{one}/0.png", 1)]
    path.write_text("\n".join(["first,second,fold", *(",".join(map(str, row)) for row in rows)]))
    result = evaluate_model(run, str(folder), pairs=path, out=tmp_path)
    assert result.evaluation.name == "pairs, 4 of 5 pairs"
    assert [fold.accuracy.trials for fold in result.evaluation.folded.decisions] == [2, 2]
    assert "each of 2 folds at the best threshold of the others" in result.report.read_text()
    path.write_text(f"first,second\n{sides['train'].people[0]}/0.png,{one}/0.png\n")
    with pytest.raises(DataError, match="none of its 1 pairs has both photos among those to be scored"):
        evaluate_model(run, str(folder), pairs=path, out=tmp_path)


def test_models_that_cannot_be_used_are_named(run, tmp_path):
    with pytest.raises(ModelError, match="nowhere.keras: no such model file"):
        visavis.Verifier(tmp_path / "nowhere.keras")
    (tmp_path / "checkpoint.npz").write_bytes(b"")
    with pytest.raises(ModelError, match="continue it with --resume"):
        visavis.Verifier(tmp_path)
    junk = tmp_path / "junk.keras"
    junk.write_bytes(b"junk")
    with pytest.raises(ModelError, match="junk.keras: not a model file, or a damaged one"):
        visavis.Verifier(junk)
    plain = tmp_path / "plain.keras"
    keras.Sequential([keras.Input((2,)), keras.layers.Dense(1)]).save(plain)
    with pytest.raises(ModelError, match="without a card"):
        visavis.Verifier(plain)
    newer = tmp_path / "newer.keras"
    model = visavis.load_model(run)
    visavis.save_model(newer, model.siamese, replace(model.card, format=99))
    with pytest.raises(ModelError, match="made by a newer visavis"):
        visavis.Verifier(newer)
    with zipfile.ZipFile(plain, "a") as archive:
        archive.writestr("visavis.json", "{}")
    with pytest.raises(ModelError, match="its card is incomplete or damaged"):
        visavis.Verifier(plain)


def test_verify_exits_by_its_answer(capsys, run, folder):
    same = folder / "person-00" / "0.png"
    code, out, _ = call(capsys, "verify", same, same, "--model", run)
    assert (code, out.split(" (")[0]) == (0, "same person")
    verifier = visavis.Verifier(run)
    photos = sorted(folder.rglob("*.png"))
    other = min(photos, key=lambda photo: verifier.verify(same, photo).score)
    code, out, _ = call(capsys, "verify", same, other, "--model", run, "--json")
    verdict = json.loads(out)
    assert code == 1
    assert verdict["same"] is False
    assert verdict["score"] < verdict["threshold"]
    code, out, err = call(capsys, "verify", same, folder / "nobody.png", "--model", run)
    assert (code, out) == (2, "")
    assert "nobody.png: No such file" in err
    assert call(capsys, "verify", same)[0] == 2
    assert call(capsys, "verify", same, same, "--model", folder)[0] == 2


class FindsOne:
    """Finds one face in the middle of a photo, unless the photo is flat."""

    def detect(self, photo):
        if photo.std(axis=(0, 1)).max() < 1:
            return []
        middle = np.array([photo.shape[1] / 2, photo.shape[0] / 2])
        side = min(photo.shape[:2]) * 0.6
        landmarks = (CANONICAL_LANDMARKS - 56) * side / 112 + middle
        return [Face(np.array([*(middle - side / 2), side, side]), landmarks, 0.97)]

    def score_crop(self, crop):
        return 0.9 if self.detect(crop) else 0.0


@pytest.fixture(scope="module")
def aligned_run(folder, tmp_path_factory):
    """A run folder of a model for aligned faces."""
    root = tmp_path_factory.mktemp("aligned")
    faces = replace(visavis.load_dataset(folder, size=(112, 112)), crop=Crop.arcface())
    faces.save(root / "faces")
    train_model(DataSource(str(root / "faces"), size=32), root / "run", init="scratch", config={"steps": 6})
    return root / "run"


@pytest.fixture
def whole_photos(monkeypatch, folder, tmp_path):
    """Two photos with a face in the middle, and one of a wall."""
    monkeypatch.setattr(FaceFinder, "detect", FindsOne().detect)
    monkeypatch.setattr(FaceFinder, "score_crop", FindsOne().score_crop)
    for index, name in enumerate(("a.jpg", "b.jpg")):
        face = Image.open(folder / f"person-0{index}" / "0.png").resize((120, 120))
        photo = Image.new("RGB", (300, 200), (90, 120, 150))
        photo.paste(face, (90, 40))
        photo.save(tmp_path / name)
    Image.new("RGB", (300, 200), (90, 120, 150)).save(tmp_path / "wall.png")
    return [tmp_path / name for name in ("a.jpg", "b.jpg", "wall.png")]


def test_faces_are_found_in_whole_photos(capsys, aligned_run, whole_photos, tmp_path):
    first, second, wall = whole_photos
    verifier = visavis.Verifier(aligned_run)
    assert verifier.card.aligned
    acquired = verifier.acquire(first)
    assert acquired.aligned.pixels.shape == (112, 112, 3)
    face = Image.open(first).crop((90, 40, 210, 160)).resize((32, 32), Image.Resampling.BICUBIC)
    assert np.abs(acquired.pixels.astype(int) - np.asarray(face)).mean() < 6
    drawn = tmp_path / "why.png"
    code, out, _ = call(capsys, "verify", first, second, "--model", aligned_run, "--json", "--draw", drawn)
    told = json.loads(out)
    assert code in (0, 1)
    assert told["faces"][0]["box"] == [90.0, 40.0, 120.0, 120.0]
    assert told["faces"][0]["score"] == 0.97
    assert width_of(drawn) > 500
    code, _, err = call(capsys, "verify", first, wall, "--model", aligned_run)
    assert code == 2
    assert f"{wall}: no face was found" in err
    code, _, err = call(capsys, "verify", first, wall, "--model", aligned_run, "--fallback", "centre")
    assert code in (0, 1)
    assert "warning: second photo: no face was found: the centre of the photo was taken" in err
    aligned = visavis.Verifier(aligned_run, aligned=True)
    assert aligned.verify(first, second).faces[0].box is None
    with pytest.raises(FaceError, match="wall.png: nothing can be seen on it, all of it is of one colour"):
        aligned.verify(first, wall)


def test_a_detector_of_ones_own_is_asked(aligned_run, whole_photos):
    class Upper:
        """A detector without `score_crop`, of the upper half of a photo."""

        def detect(self, photo):
            side = photo.shape[0] / 2
            return [Face(np.array([10.0, 0, side, side]), CANONICAL_LANDMARKS * side / 112, 0.5)]

    first, second, wall = whole_photos
    verdict = visavis.Verifier(aligned_run, finder=Upper()).verify(first, wall)
    assert [(face.box, face.score) for face in verdict.faces] == [((10.0, 0.0, 100.0, 100.0), 0.5)] * 2
    assert visavis.Verifier(aligned_run, finder=Upper(), aligned=True).acquire(first).crop_score is None
    assert visavis.Verifier(aligned_run, aligned=True).acquire(first).crop_score is not None


def test_limits_reach_the_decoder(aligned_run, whole_photos):
    first, second, _ = whole_photos
    verifier = visavis.Verifier(aligned_run, limits=visavis.Limits(max_pixels=50_000))
    with pytest.raises(ImageError, match=r"a\.jpg: 300 x 200 pixels are more than the limit of 50,000"):
        verifier.verify(first, second)


def test_a_photo_much_smaller_than_the_model_takes_is_warned_of(run, folder, tmp_path):
    first, second = sorted(folder.rglob("*.png"))[:2]
    tiny = tmp_path / "tiny.png"
    Image.open(second).resize((12, 15)).save(tiny)
    verifier = visavis.Verifier(run)
    assert verifier.verify(first, second).warnings == ()
    assert verifier.verify(first, tiny).warnings == ("second photo: small photo: 12 x 15 pixels",)


def test_an_aligned_photo_that_no_face_fills_is_warned_of(portrait, run):
    verifier = visavis.Verifier(aligned=True)
    crop = visavis.acquire_faces(portrait, visavis.FaceFinder())[0].pixels
    verdict = verifier.verify(crop, portrait)
    assert verdict.warnings == ("second photo: no face fills the photo: is it cut to the face?",)
    assert verdict.faces[0].score > 0.8 and verdict.faces[0].box is None
    assert visavis.Verifier(run).acquire(portrait).found == FoundFace()


def test_photos_without_a_face_are_told_and_the_others_compared(capsys, aligned_run, whole_photos):
    first, second, wall = whole_photos
    code, out, _ = call(capsys, "compare", first, second, wall, "--model", aligned_run, "--json")
    told = json.loads(out)
    assert code == 0
    assert [result["photo"] for result in told["results"]] == [str(second)]
    assert told["failures"] == [{"photo": str(wall), "reason": f"{wall}: no face was found"}]
    code, _, err = call(capsys, "compare", first, wall, "--model", aligned_run)
    assert code == 2
    assert "none of 1 photos can be compared" in err


def test_a_model_of_aligned_faces_is_not_measured_on_others(aligned_run, folder, tmp_path):
    with pytest.raises(DataError, match="visavis prepare"):
        evaluate_model(aligned_run, str(folder), out=tmp_path)


def test_compare_ranks_and_draws(capsys, run, folder, tmp_path):
    photos = sorted(folder.rglob("*.png"))[:5]
    picture = tmp_path / "compared.png"
    code, out, err = call(capsys, "compare", photos[2], *photos, "--model", run, "--out", picture, "--json")
    results = json.loads(out)["results"]
    assert code == 0
    assert results[0]["photo"] == str(photos[2])
    assert [row["score"] for row in results] == sorted((row["score"] for row in results), reverse=True)
    assert width_of(picture) > 300
    assert str(picture) in err


def test_train_and_evaluate_from_the_command_line(capsys, folder, tmp_path):
    out = tmp_path / "run"
    arguments = ["train", folder, "--out", out, "--init", "scratch", "--size", "32", "--steps", "4", "--loss", "contrastive"]
    code, text, err = call(capsys, *arguments, "--gray", "--tensorboard", "--json")
    assert code == 0, err
    assert json.loads(text)["loss"] == "contrastive"
    assert any((out / "tensorboard").iterdir())
    code, text, _ = call(capsys, "evaluate", out, folder, "--json", "--quiet")
    assert code == 0
    assert {"eer", "accuracy", "recall", "f1", "counts"} <= set(json.loads(text))
    assert call(capsys, "evaluate", out, folder, "--quiet")[1].startswith("all pairs of 3 unseen people")
    code, _, err = call(capsys, *arguments[:-2], "--resume", "--quiet")
    assert (code, "other settings" in err) == (2, True)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["train", "nowhere", "--out", "x"], "nowhere: no such file or folder"),
        (["train", "synthetic", "--out", "x", "--loss", "hinge"], "loss must be 'binary-crossentropy'"),
        (["train", "synthetic", "--out", "x", "--size", "8"], "size must be in 32"),
        (["evaluate", "nowhere", "synthetic"], "no such model"),
        (["verify", "a", "b", "--model", "nowhere"], "no such model"),
    ],
)
def test_mistakes_end_in_a_message_and_2(capsys, monkeypatch, tmp_path, arguments, message):
    monkeypatch.chdir(tmp_path)
    code, out, err = call(capsys, *arguments)
    assert (code, out) == (2, "")
    assert message in err
    assert "Traceback" not in err


@pytest.mark.parametrize("command", [[], ["train"], ["evaluate"], ["verify"], ["compare"], ["prepare"], ["demo"]])
def test_every_command_explains_itself(capsys, command):
    code, out, _ = call(capsys, *command, "--help")
    assert code == 0
    assert "visavis " in out
    assert ("Example: visavis" in out) == bool(command)


def test_the_demo_leaves_all_it_promises(capsys, tmp_path):
    code, out, _ = call(capsys, "demo", "--out", tmp_path, "--steps", "4", "--quiet")
    assert code == 0
    assert "visavis train olivetti" in out
    names = {"model.keras", "metrics.json", "history.csv", "report.html", "pictures/comparison.png", "photos/anchor.png"}
    assert names <= {path.relative_to(tmp_path).as_posix() for path in tmp_path.rglob("*")}


@pytest.mark.parametrize("command", [("train", "synthetic"), ("demo",)])
def test_a_folder_with_a_run_is_refused_before_anything_is_done(capsys, run, command):
    before = (run / "model.keras").read_bytes()
    code, out, err = call(capsys, *command, "--out", run)
    assert (code, out) == (2, "")
    assert "already holds a run (model.keras)" in err
    assert "--overwrite" in err
    assert (run / "model.keras").read_bytes() == before


def test_data_that_is_not_there_is_missed_before_keras_is_loaded(tmp_path):
    command = f"from visavis.cli import main; main(['train', {str(tmp_path / 'nowhere')!r}, '--out', {str(tmp_path)!r}])"
    check = "import sys, atexit; atexit.register(lambda: print('keras' in sys.modules))"
    result = subprocess.run([sys.executable, "-c", f"{check}\n{command}"], capture_output=True, text=True)
    assert (result.returncode, result.stdout.strip()) == (2, "False")
    assert "nowhere: no such file or folder" in result.stderr


@pytest.mark.parametrize("code", ["import visavis", "from visavis.cli import main; main(['--help'])"])
def test_nothing_heavy_is_loaded_before_it_is_needed(code):
    heavy = ["keras", "tensorflow", "jax", "matplotlib"]
    check = f"import sys, atexit; atexit.register(lambda: print([name for name in {heavy} if name in sys.modules]))"
    result = subprocess.run([sys.executable, "-c", f"{check}\n{code}"], capture_output=True, text=True, check=True)
    assert result.stdout.strip().endswith("[]")


def test_a_sigmoid_is_found_again():
    rng = np.random.default_rng(0)
    distances = rng.uniform(0, 2, 40_000)
    mated = rng.random(40_000) < 1 / (1 + np.exp(-(4.0 - 4.0 * distances)))
    offset, slope = fit_sigmoid(error_curve(1 - distances**2 / 2, mated))
    assert (offset, slope) == (pytest.approx(4, abs=0.2), pytest.approx(4, abs=0.2))


def test_perfectly_parted_scores_keep_the_slope_finite():
    offset, slope = fit_sigmoid(error_curve([0.9, 0.8, 0.1, 0.0], [1, 1, 0, 0]))
    assert 0 < slope < 100
    assert 0.1 < score_of(offset / slope) < 0.8
    with pytest.raises(DataError, match="tell nobody apart"):
        fit_sigmoid(error_curve([0.9, 0.8, 0.1, 0.0], [0, 0, 1, 1]))
    with pytest.raises(DataError, match="2 mated and 0 non-mated"):
        fit_sigmoid(error_curve([0.9, 0.8], [1, 1]))


def test_an_unreadable_photo_is_named(run, tmp_path):
    bad = tmp_path / "bad.jpg"
    bad.write_bytes(b"junk")
    with pytest.raises(ImageError, match="bad.jpg"):
        visavis.Verifier(run).verify(bad, bad)


def test_a_backend_that_is_not_installed_is_named(capsys, monkeypatch, tmp_path):
    def missing(*_):
        raise ModuleNotFoundError("No module named 'tensorflow'", name="tensorflow")

    monkeypatch.setattr("visavis.training.devices.use_devices", missing)
    code, _, err = call(capsys, "train", "synthetic", "--out", tmp_path)
    assert (code, "pip install 'visavis[tensorflow]' (tensorflow is missing)" in err) == (2, True)


def test_a_backend_that_is_not_installed_is_named_in_python():
    script = """
import os
os.environ["KERAS_BACKEND"] = "torch"
import sys
sys.modules["torch"] = None
import visavis
try:
    visavis.train
except visavis.MissingDependencyError as error:
    print(error)
"""
    printed = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True).stdout
    assert printed == "this needs a backend of Keras: pip install 'visavis[tensorflow]' (torch is missing)\n"
