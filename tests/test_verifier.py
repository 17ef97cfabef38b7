"""A verifier: what it takes, what a verdict says, and which files it refuses."""

import io
import json
import os
import shutil
import subprocess
import sys
import zipfile
from dataclasses import replace

import keras
import numpy as np
import pytest
from PIL import Image

import visavis
import visavis.data
from visavis.encoders import OnnxEncoder
from visavis.encoders.card import Card
from visavis.encoders.export import export_model
from visavis.encoders.keras import KerasEncoder
from visavis.errors import ImageError, ModelError
from visavis.faces import CANONICAL_LANDMARKS, Face
from visavis.metrics.calibration import Calibration, distance_of
from visavis.metrics.operating_points import OperatingPoint
from visavis.verification import FoundFace


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
    assert again.verify(photo, photo).score == pytest.approx(verifier.verify(photo, photo).score, abs=1e-5)  # not one runtime


def test_verdicts_are_consistent(run, folder):
    verifier = visavis.Verifier(run)
    photos = sorted(folder.rglob("*.png"))[:8]
    for verdict in verifier.compare(photos[0], photos):
        assert verdict.same == (verdict.score >= verdict.threshold)
        assert verdict.distance == pytest.approx(distance_of(verdict.score))
        assert verdict.probability > 0.5 or not verdict.same  # the threshold is for a false match rate, which is stricter
    itself = verifier.verify(photos[0], photos[0])
    assert itself.same
    assert 1 - 1e-4 < itself.score <= 1
    assert verifier.decide(1.0000002).score == 1 and verifier.decide(-1.0000002).distance == 2


def test_a_probability_stands_beside_its_prior_and_doubt_is_said(run):
    calibration = Calibration(20.0, 20.0)
    card = replace(visavis.Verifier(run).card, calibration=calibration, threshold=OperatingPoint(0.8, "a test"))
    encoder = replace(visavis.load_encoder(run), card=card)
    score = next(score for score in np.linspace(0, 0.79, 80) if calibration.probability(score) > 0.5)
    doubtful = visavis.Verifier(encoder).decide(float(score))
    assert doubtful.uncertain and not doubtful.same
    assert doubtful.describe().startswith("uncertain: by the threshold different people (score 0.")
    assert f"probability {doubtful.probability:.3f} at a prior of 0.5" in doubtful.figures
    rare = visavis.Verifier(encoder, prior=1e-6).decide(float(score))
    assert not rare.uncertain and "at a prior of 1e-06" in rare.describe()
    assert rare.to_json()["prior"] == 1e-6
    without = visavis.Verifier(replace(encoder, card=replace(card, calibration=None))).decide(0.9)
    assert not without.uncertain and "prior" not in without.describe()


def test_arguments_of_a_verifier_are_checked(run):
    with pytest.raises(ValueError, match=r"prior must be in \(0, 1\), got 1"):
        visavis.Verifier(run, prior=1)
    with pytest.raises(TypeError, match="a photo must be a path, bytes, a Pillow image or an array, got int"):
        visavis.Verifier(run).verify(1, 2)
    assert len(repr(visavis.Verifier(run))) < 200


@pytest.mark.parametrize(
    ("shape", "hint"),
    [
        ((32, 32, 3), "one face is face"),
        ((2, 32, 32, 4), "leave out the alpha channel"),
        ((2, 40, 40, 3), r"faces must be \(n, 32, 32, 3\), got \(2, 40, 40, 3\)"),
        ((2, 32, 32, 2), "faces must be"),
    ],
)
def test_faces_of_another_shape_are_refused_before_the_model_runs(run, shape, hint):
    with pytest.raises(ValueError, match=hint):
        visavis.load_encoder(run).embed(np.zeros(shape, np.uint8))


def test_gray_faces_are_taken_by_a_colour_model_and_nan_is_not(run):
    encoder = visavis.load_encoder(run)
    gray = np.random.default_rng(0).integers(0, 256, (2, 32, 32, 1), dtype=np.uint8)
    expected = encoder.embed(gray.repeat(3, axis=3))
    np.testing.assert_array_equal(encoder.embed(gray), expected)
    np.testing.assert_array_equal(encoder.embed(gray[..., 0]), expected)
    for wrong in (np.full((1, 32, 32, 3), np.nan), np.full((1, 32, 32, 3), "a"), np.full((1, 32, 32, 3), None)):
        with pytest.raises(ValueError, match="faces must be finite numbers"):
            encoder.embed(wrong)


def test_a_run_folders_onnx_file_is_run_unless_it_is_older(run, tmp_path):
    shutil.copytree(run, tmp_path / "run")
    export_model(tmp_path / "run", tmp_path / "run" / "model.onnx")
    assert isinstance(visavis.load_encoder(tmp_path / "run"), OnnxEncoder)
    os.utime(tmp_path / "run" / "model.onnx", ns=(0, 0))
    assert isinstance(visavis.load_encoder(tmp_path / "run"), KerasEncoder)
    (tmp_path / "run" / "model.keras").unlink()
    assert isinstance(visavis.load_encoder(tmp_path / "run"), OnnxEncoder)


def test_a_run_that_is_not_there_is_missed_before_keras_is_loaded(tmp_path):
    script = f"""
import sys
import visavis
try:
    visavis.Verifier({str(tmp_path / "nowhere")!r})
except visavis.ModelError as error:
    print(error, "keras" in sys.modules)
"""
    printed = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True).stdout
    assert "nowhere: no such model. Train one with: visavis train" in printed and printed.endswith("False\n")


def test_two_photos_are_verified_without_the_libraries_that_are_slow_to_import():
    script = (
        "import sys, visavis\n"
        "visavis.Verifier().verify(*2 * [visavis.generate_faces(people=2, photos=2, size=112).faces[0]])\n"
        "print({name.partition('.')[0] for name in sys.modules} & {'keras', 'matplotlib', 'onnx', 'pandas', 'scipy', 'sklearn'})"
    )
    printed = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True).stdout
    assert printed == "set()\n"


def test_photos_of_any_kind(run, folder):
    verifier = visavis.Verifier(run)
    path = folder / "person-00" / "0.png"
    pixels = np.asarray(Image.open(path))
    content, picture = path.read_bytes(), Image.open(path)
    kinds = [path, str(path), content, bytearray(content), memoryview(content), pixels, pixels / 255, picture]
    embeddings = verifier.embed(kinds)
    np.testing.assert_allclose(embeddings, embeddings[:1].repeat(len(kinds), axis=0), atol=1e-3)
    assert verifier.verify(picture, memoryview(content)).score == pytest.approx(1)
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


def test_a_detector_of_ones_own_is_asked(aligned_run, whole_photos):
    class Upper:
        """A detector without `score_crop`, of the upper half of a photo."""

        def detect(self, photo):
            side = photo.shape[0] / 2
            return [Face(np.array([10.0, 0, side, side]), CANONICAL_LANDMARKS * side / 112, 0.5)]

    first, second, wall = whole_photos
    verdict = visavis.Verifier(aligned_run, acquisition=visavis.AcquisitionSettings(finder=Upper())).verify(first, wall)
    assert [(face.box, face.score) for face in verdict.faces] == [((10.0, 0.0, 100.0, 100.0), 0.5)] * 2
    assert (
        visavis.Verifier(aligned_run, acquisition=visavis.AcquisitionSettings(finder=Upper()), aligned=True)
        .acquire(first)
        .crop_score
        is None
    )
    assert visavis.Verifier(aligned_run, aligned=True).acquire(first).crop_score is not None


def test_limits_reach_the_decoder(aligned_run, whole_photos):
    first, second, _ = whole_photos
    verifier = visavis.Verifier(aligned_run, acquisition=visavis.AcquisitionSettings(limits=visavis.Limits(max_pixels=50_000)))
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
    assert verdict.warnings == ("second photo: no face fills the photo: is it an aligned crop?",)
    assert verdict.faces[0].score > 0.8 and verdict.faces[0].box is None
    assert visavis.Verifier(run).acquire(portrait).found == FoundFace()


def test_an_unreadable_photo_is_named(run, tmp_path):
    bad = tmp_path / "bad.jpg"
    bad.write_bytes(b"junk")
    with pytest.raises(ImageError, match="bad.jpg"):
        visavis.Verifier(run).verify(bad, bad)


def test_a_decision_says_where_the_rate_of_its_threshold_was_measured(run):
    point = OperatingPoint(0.8, "door", 1, 1000, 2, 50, 40, target_fmr=0.01, fmr_upper=0.009, chosen_as="guaranteed")
    encoder = replace(visavis.load_encoder(run), card=replace(visavis.Verifier(run).card, threshold=point))
    assert visavis.Verifier(encoder).decide(0.9).to_json()["measured_on"] == "FMR at most 0.01 on door"
    unknown = replace(encoder, card=replace(encoder.card, threshold=OperatingPoint(0.8, "a file")))
    assert visavis.Verifier(unknown).decide(0.9).measured_on == ""


class FindsSeveral:
    """Finds faces side by side, each as wide as a photo is high, where it is not flat; the second is the largest."""

    def detect(self, photo):
        height, width = photo.shape[:2]
        found, count = [], max(1, round(width / height))
        for place, share in list(enumerate((0.8, 1.0, 0.9)))[:count]:
            left, right = place * width // count, (place + 1) * width // count
            if photo[:, left:right].std(axis=(0, 1)).max() < 1:
                continue
            side = min(right - left, height) * share
            middle = np.array([(left + right) / 2, height / 2])
            box = np.array([*(middle - side / 2), side, side])
            found.append(Face(box, (CANONICAL_LANDMARKS - 56) * side / 112 + middle, 0.97))
        return sorted(found, key=lambda face: -face.area)


@pytest.fixture
def everybody(aligned_run):
    """A verifier that compares all faces."""
    acquisition = visavis.AcquisitionSettings(policy="all", finder=FindsSeveral())
    return visavis.Verifier(aligned_run, acquisition=acquisition)


@pytest.fixture
def row(folder):
    """Photos of three faces in a row, by the numbers of the people."""

    def row(*people, number=0):
        faces = [Image.open(folder / f"person-{person:02d}" / f"{number}.png").resize((120, 120)) for person in people]
        photo = Image.new("RGB", (360, 120))
        for place, face in enumerate(faces):
            photo.paste(face, (120 * place, 0))
        return np.asarray(photo)

    return row


def test_with_all_faces_the_best_pair_decides_and_is_named(everybody, row):
    group, other = row(0, 1, 2), row(3, 4, 1)
    verdict = everybody.verify(group, other)
    first, second = everybody.acquire_each(group), everybody.acquire_each(other)
    scores = everybody.embed(first) @ everybody.embed(second).T
    assert scores.shape == (3, 3) and verdict.comparisons == 9
    assert verdict.score == pytest.approx(scores.max(), abs=1e-6)
    one, another = verdict.faces
    assert scores[one.number - 1, another.number - 1] == scores.max()
    assert one.faces == another.faces == 3 and one.box == first[one.number - 1].found.box
    assert verdict.which_faces == f"face {one.number} of the first photo, face {another.number} of the second photo"
    assert f"{verdict.answer}{': ' if verdict.same else '; most similar: '}{verdict.which_faces} (score" in verdict.describe()
    assert json.loads(json.dumps(verdict.to_json()))["faces"][0]["number"] == one.number
    alone = row(1)
    assert [one.comparisons for one in everybody.compare(alone, [group, alone])] == [3, 1]
    same = everybody.compare(alone, [group, alone])[1]
    assert same.same and same.which_faces == "" and same.describe().startswith("same person (score")


def test_more_comparisons_match_more_often_and_the_rate_says_so(everybody):
    point = OperatingPoint(0.8, "door", 10, 1000, 2, 50, 40, target_fmr=0.02, fmr_upper=0.02, chosen_as="guaranteed")
    calibration = Calibration(20.0, 20.0)
    encoder = replace(everybody.encoder, card=replace(everybody.card, threshold=point, calibration=calibration))
    verifier = visavis.Verifier(encoder)
    one, many = verifier.decide(0.9), verifier.decide([0.9, 0.1, -0.2, 0.3])
    assert (one.comparisons, one.false_match_rate, one.false_match_rate_upper) == (1, pytest.approx(0.01), pytest.approx(0.02))
    assert many.false_match_rate == pytest.approx(1 - 0.99**4) and many.false_match_rate_upper == pytest.approx(1 - 0.98**4)
    assert one.measured == one.measured_on
    assert many.measured.endswith("; false match rate of 4 comparisons: 0.039, at most 0.078")
    ratios = np.exp(calibration.log_likelihood_ratio([0.9, 0.1, -0.2, 0.3]))
    assert many.log_likelihood_ratio == pytest.approx(np.log(ratios.mean()))
    assert many.probability == pytest.approx(ratios.mean() / (1 + ratios.mean()))
    unknown = visavis.Verifier(replace(encoder, card=replace(encoder.card, threshold=OperatingPoint(0.8, "a file"))))
    assert unknown.decide([0.9, 0.1]).false_match_rate is None


def test_one_face_is_not_acquired_where_all_are_asked_for(everybody, row):
    with pytest.raises(ValueError, match="to acquire one face of a photo, got 'all'"):
        everybody.acquire(row(0, 1))
    with pytest.raises(ValueError, match="match needs at least one face of each photo, got 0 and 1"):
        everybody.match([], everybody.acquire_each(row(0)))


@pytest.mark.real_faces
def test_a_person_beside_a_larger_face_is_found_among_all_faces(lfw_archive):
    with visavis.data.open_photos(lfw_archive) as files:
        photos = {name: files.fetch(name) for name, person in files.photos if person in ("Serena_Williams", "George_W_Bush")}
    hers = [photo for name, photo in photos.items() if "Serena" in name]
    his = next(photo for name, photo in photos.items() if "Bush" in name)
    both = Image.new("RGB", (900, 500), "grey")
    both.paste(Image.open(io.BytesIO(his)).resize((450, 450)), (0, 20))
    both.paste(Image.open(io.BytesIO(hers[0])).resize((250, 250)), (560, 120))
    assert not visavis.Verifier().verify(hers[9], both).same
    verdict = visavis.Verifier(acquisition=visavis.AcquisitionSettings(policy="all")).verify(hers[9], both)
    assert verdict.same and verdict.comparisons == 2
    assert verdict.describe().startswith("same person: face 2 of the second photo (score")
