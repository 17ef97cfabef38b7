"""The quality gate for enrolment: measures and limits, in Python, on the command line and in the service, and what it costs."""

import io
import json
from dataclasses import replace

import numpy as np
import pytest
from commands import call
from PIL import Image
from test_faces import face_at

import visavis
from visavis import errors
from visavis.data.preparation import prepare_photos
from visavis.encoders import PRETRAINED_FILE
from visavis.evaluation.evaluate import evaluate_model
from visavis.evaluation.gate import known_quality
from visavis.faces import FaceQuality, QualityLimits, align_face, quality_limits
from visavis.faces.alignment import align_centre
from visavis.gallery import open_gallery
from visavis.gallery.enrolling import EnrolmentOptions, enrol_photos
from visavis.metrics import score_all_pairs
from visavis.metrics.quality import evaluate_gate

NOISE = np.random.default_rng(0).integers(0, 255, (300, 300, 3), dtype=np.uint8)
GOOD = FaceQuality(sharpness=500.0, eye_distance=100.0, nose_offset=0.05, score=0.999)
needs_encoder = pytest.mark.skipif(not PRETRAINED_FILE.is_file(), reason="this installation comes without an encoder")


def turned(face, by):
    face.landmarks[2, 0] += by * face.eye_distance
    return face


def test_quality_is_measured():
    quality = FaceQuality.of(align_face(NOISE, turned(face_at(40, 40, 200, score=0.97), 0.3), others=2))
    straight = FaceQuality.of(align_face(NOISE, face_at(40, 40, 200)))
    assert quality.eye_distance == pytest.approx(0.315 * 200, abs=0.5)
    assert quality.nose_offset - straight.nose_offset == pytest.approx(0.3, abs=0.02)
    assert (quality.score, quality.others) == (0.97, 2)
    assert quality.sharpness > 1000
    assert FaceQuality.of(align_centre(NOISE)).score == 0


@pytest.mark.parametrize(
    ("change", "error", "message"),
    [
        ({"others": 1}, "SeveralFacesError", "2 faces were found where one is wanted"),
        ({"score": 0.5}, "DoubtfulFaceError", "no clear face: detector score 0.50, at least 0.94 is needed"),
        ({"eye_distance": 11.0}, "SmallFaceError", "small face: 11 pixels between the eyes, at least 16 are needed"),
        (
            {"nose_offset": 0.5},
            "TurnedFaceError",
            "turned face: the nose is 0.50 eye distances off the middle, at most 0.42 are allowed",
        ),
        ({"sharpness": 20.0}, "BlurredFaceError", "blurred face: sharpness 20, at least 70 is needed"),
    ],
)
def test_what_is_wrong_is_named(change, error, message):
    limits = quality_limits("basic")
    limits.check(GOOD)
    with pytest.raises(getattr(errors, error), match=f"^a.jpg: {message}$"):
        limits.check(replace(GOOD, **change), name="a.jpg")
    assert replace(limits, alone=False, score=0, eye_distance=0, nose_offset=9, sharpness=0).defect(replace(GOOD, **change)) is None


def test_levels():
    assert quality_limits("none") is None
    assert quality_limits("basic").defect(replace(GOOD, eye_distance=50.0)) is None
    assert isinstance(quality_limits("portrait").defect(replace(GOOD, eye_distance=50.0)), errors.SmallFaceError)
    unknown = FaceQuality(sharpness=500.0)
    assert quality_limits("portrait").defect(unknown) is None, "of an aligned crop the sharpness alone is known"
    with pytest.raises(ValueError, match="min_quality must be 'none', 'basic' or 'portrait', got 'best'"):
        quality_limits("best")
    for name in ("eye_distance", "sharpness", "nose_offset", "score"):
        with pytest.raises(ValueError, match=f"{name} must be a finite number of at least 0, got nan"):
            QualityLimits(**{name: float("nan")})
    with pytest.raises(ValueError, match=r"score must be in \[0, 1\], got 2"):
        QualityLimits(score=2.0)


def at_angles(*degrees):
    return np.stack([np.cos(np.radians(degrees)), np.sin(np.radians(degrees))], axis=1).astype(np.float32)


def test_the_cost_of_a_gate_by_hand():
    """Anna's third photo is far from her others, and Cleo has one photo only; both are refused."""
    scores = score_all_pairs(at_angles(0, 5, 90, 180, 185, 270), np.array([0, 0, 0, 1, 1, 2]))
    passed = np.array([True, True, False, True, True, False])
    cost = evaluate_gate(scores, passed, threshold=0.9, gate="mine", reasons={"blurred": 2})
    assert (cost.refused.count, cost.refused.trials) == (2, 6)
    assert (cost.lost.count, cost.lost.trials) == (1, 3)
    assert (cost.before.count, cost.before.trials) == (4, 8), "four mated pairs, two of which are rejected, each counted twice"
    assert (cost.after.count, cost.after.trials) == (2, 6), "the third photo is still a probe"
    assert cost.change[0] < (2 / 6) / (4 / 8) < cost.change[1]
    assert cost.finding.startswith("--min-quality mine: photos refused 33.33%") and "2 of 6) (blurred 2)" in cost.finding
    assert cost.to_json()["after"]["count"] == 2
    nothing = evaluate_gate(scores, np.zeros(6, bool), threshold=0.9, gate="all")
    assert nothing.change is None and nothing.finding.endswith("people without a photo left: 3 of 3; no mated pair is left")
    assert json.loads(json.dumps(nothing.to_json(), allow_nan=False))["after"]["value"] is None


@needs_encoder
def test_evaluate_reports_the_cost(photo_files, tmp_path):
    for person, files in enumerate(photo_files):
        (tmp_path / "photos" / f"person-{person}").mkdir(parents=True)
        for number, content in enumerate(files):
            (tmp_path / "photos" / f"person-{person}" / f"{number}.jpg").write_bytes(content)
    prepare_photos(tmp_path / "photos", tmp_path / "faces", workers=1, progress=False)
    faces = visavis.load_dataset(tmp_path / "faces")
    quality = known_quality(str(tmp_path / "faces"), faces)
    limits = quality_limits("portrait")
    refused = sum(limits.defect(one) is not None for one in quality)
    evaluation = evaluate_model("pretrained", str(tmp_path / "faces"), out=tmp_path / "report").evaluation
    basic, portrait = evaluation.gates
    assert (basic.gate, portrait.gate) == ("basic", "portrait")
    assert (portrait.refused.count, portrait.refused.trials) == (refused, len(faces))
    assert sum(portrait.reasons.values()) == refused
    assert basic.finding in str(evaluation) and "--min-quality basic" in (tmp_path / "report" / "report.html").read_text()
    assert json.loads((tmp_path / "report" / "metrics.json").read_text())["gates"][1]["refused"]["count"] == refused
    assert known_quality("olivetti", faces) is None


@needs_encoder
def test_photos_of_low_quality_are_not_enrolled(generated_photo, tmp_path, capsys):
    good, blurred = tmp_path / "good.png", tmp_path / "blurred.png"
    Image.fromarray(generated_photo).save(good)
    Image.fromarray(generated_photo).resize((60, 60)).resize((300, 300)).save(blurred)
    code, out, _ = call(capsys, "gallery", "enrol", tmp_path / "a.gallery", good, blurred, "--subject", "anna")
    assert (code, out.startswith("enrolled 2 references")) == (0, True), "no gate is the default of the command"
    arguments = ("--subject", "anna", "--min-quality", "basic")
    code, out, _ = call(capsys, "gallery", "enrol", tmp_path / "b.gallery", good, blurred, *arguments)
    assert code == 0
    assert out.startswith(f"enrolled 1 reference of 1 person\nnot enrolled: {blurred}: blurred face: sharpness ")
    verifier = visavis.Verifier()
    with open_gallery(tmp_path / "c.gallery", verifier.encoder) as gallery:
        options = EnrolmentOptions(quality=QualityLimits(eye_distance=1000))
        with pytest.raises(visavis.ImageError, match="none of 1 photo can be enrolled; .*small face"):
            enrol_photos(gallery, verifier, "anna", [good], options)
        assert len(gallery) == 0
    aligned = visavis.Verifier(aligned=True).acquire(np.full((112, 112, 3), 90, np.uint8) + np.arange(112, dtype=np.uint8)[:, None])
    assert quality_limits("basic").defect(aligned.quality).args[0].startswith("the photo: blurred face")


@needs_encoder
def test_the_service_refuses_them_by_their_problem(generated_photo, tmp_path):
    pytest.importorskip("fastapi", reason="the service needs the extra serve")
    import requests
    from serving import file, running, service_of
    from test_service import problem

    def png(photo):
        content = io.BytesIO()
        Image.fromarray(photo).save(content, "PNG")
        return file(content.getvalue())

    small = np.asarray(Image.fromarray(generated_photo).resize((60, 60)))
    blurred = np.asarray(Image.fromarray(small).resize((300, 300)))
    two = np.concatenate([generated_photo, generated_photo], axis=1)
    encoder = visavis.load_encoder()
    service = service_of(encoder=encoder, gallery=open_gallery(tmp_path / "test.gallery", encoder))
    service.quality = QualityLimits(score=0.9)
    with running(service) as url:

        def enrol(*photos, **fields):
            return requests.post(f"{url}/v1/subjects/Anna", files=[("photos", png(photo)) for photo in photos], data=fields)

        assert "small face" in problem(enrol(small), 422, "small-face")
        assert problem(enrol(small, blurred), 422, "small-face").split("; ")[1].startswith("photos 2: blurred face")
        assert "2 faces were found" in problem(enrol(two), 422, "several-faces")
        assert "2 faces were found" in problem(enrol(two, face="largest"), 422, "several-faces")
        problem(requests.get(f"{url}/v1/subjects/Anna"), 404, "subject")
        enrolled = enrol(blurred, generated_photo).json()
        assert len(enrolled["enrolled"]) == 1
        assert [(one["photo"], one["reason"][:22]) for one in enrolled["failures"]] == [(0, "photos 1: blurred face")]


def test_a_service_has_the_gate_by_default():
    server = pytest.importorskip("visavis.service.server", reason="the service needs the extra serve")
    assert quality_limits(server.ServiceSettings().min_quality) == QualityLimits()
