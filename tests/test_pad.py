"""Presentation attack detection: a detector of the user's own, its veto in every answer, and its evaluation."""

import hashlib
import json

import numpy as np
import pytest
from commands import call
from PIL import Image
from presentations import DESCRIPTION, write_detector

import visavis
from visavis.encoders import PRETRAINED_FILE
from visavis.errors import DataError, ModelError
from visavis.gallery import open_gallery
from visavis.pad import Presentation, PresentationCheck, check_presentation, evaluate_pad, load_pad

needs_encoder = pytest.mark.skipif(not PRETRAINED_FILE.is_file(), reason="this installation comes without an encoder")


@pytest.fixture
def detector(tmp_path):
    return write_detector(tmp_path / "pad.onnx")


def grays(*levels):
    return np.stack([np.full((16, 16, 3), level, np.uint8) for level in levels])


def test_a_detector_scores_faces(tmp_path, detector):
    pad = load_pad(detector)
    assert (pad.threshold, pad.crop.size) == (0.4, (16, 16))
    np.testing.assert_allclose(pad.score(grays(0, 102, 255)), [0, 0.4, 1], atol=1e-6)
    check = check_presentation(pad, list(grays(255, 51)))
    assert check.vetoed and check.scores == pytest.approx((1.0, 0.2)) and check.detector == pad.digest
    assert str(check) == "PAD score 1.000, 0.200, threshold 0.400"
    assert not PresentationCheck((0.4, 0.9), 0.4, "").vetoed, "a score at the threshold is bona fide"
    assert check.of_faces(0).vetoed is False and check.of_faces(1).vetoed
    for batch in (1, 4):
        fixed = load_pad(write_detector(tmp_path / f"{batch}.onnx", batch=batch))
        np.testing.assert_allclose(fixed.score(grays(0, 255)), [0, 1], atol=1e-6)


@pytest.mark.parametrize(
    ("lines", "expected"),
    [
        ('activation = "softmax"', [0.5, 1 / (1 + np.exp(-2))]),
        ('activation = "softmax"\noutput = 0', [0.5, 1 / (1 + np.exp(2))]),
        ('activation = "sigmoid"\noutput = 1', [0.5, 1 / (1 + np.exp(-1))]),
        ("output = -2", [0.0, -1.0]),
    ],
)
def test_the_output_is_what_the_description_says(tmp_path, lines, expected):
    pad = load_pad(write_detector(tmp_path / "pad.onnx", f"{DESCRIPTION}{lines}\n", classes=2))
    np.testing.assert_allclose(pad.score(grays(0, 255)), expected, atol=1e-6)


def test_a_digest_covers_weights_and_description(tmp_path, detector):
    digest = load_pad(detector).digest
    assert load_pad(write_detector(tmp_path / "b.onnx", DESCRIPTION.replace("0.4", "0.6"))).digest == digest
    assert load_pad(write_detector(tmp_path / "c.onnx", DESCRIPTION + "margin = 0.5\n")).digest != digest
    assert load_pad(write_detector(tmp_path / "d.onnx", classes=2)).digest != digest
    own = hashlib.sha256(detector.read_bytes()).hexdigest()
    detector.with_suffix(".toml").write_text(f'{DESCRIPTION}sha256 = "{own}"\n')
    assert load_pad(detector).digest == digest
    detector.with_suffix(".toml").write_text(f'{DESCRIPTION}sha256 = "{"0" * 64}"\n')
    with pytest.raises(ModelError, match=f"its SHA-256 must be {'0' * 64} as .*pad.toml says, got {own}"):
        load_pad(detector)


@pytest.mark.parametrize(
    ("description", "message"),
    [
        ("input_size = [16, 16]", "threshold is missing"),
        (DESCRIPTION.replace("0.4", "nan"), "threshold must be a finite number, got nan"),
        (DESCRIPTION.replace("0.4", f"1{'0' * 400}"), "threshold must be a finite number, got 10000"),
        (DESCRIPTION.replace("0.4", "[0.4]"), r"threshold must be a finite number, got \[0.4\]"),
        (DESCRIPTION.replace("0.4", "true"), "threshold must be a finite number, got True"),
        (DESCRIPTION + "flip = true", "unknown key 'flip'"),
        (DESCRIPTION + "metric = 'cosine'", "unknown key 'metric'"),
        (DESCRIPTION + "mean = nan", "mean must be a finite number"),
        (DESCRIPTION + 'activation = "tanh"', "activation must be 'none', 'sigmoid' or 'softmax', got 'tanh'"),
        (DESCRIPTION + "output = 1.5", "output must be a whole number, got 1.5"),
        (DESCRIPTION + 'sha256 = "12"', "sha256 must be 64 hexadecimal digits, got '12'"),
        (DESCRIPTION + "aligned = false", "aligned must be true"),
        (DESCRIPTION.replace("16, 16", "20, 20"), r"its input is .* which is neither"),
        ("threshold = " + "[" * 5000, "nested too deep"),
    ],
)
def test_a_description_that_cannot_be_used_is_named(tmp_path, description, message):
    with pytest.raises(ModelError, match=message):
        load_pad(write_detector(tmp_path / "pad.onnx", description))


def test_a_detector_that_cannot_be_used_is_named(tmp_path, detector):
    with pytest.raises(ModelError, match="no such model file"):
        load_pad(tmp_path / "none.onnx")
    with pytest.raises(ModelError, match="output must be a column of its 1 outputs, got 3"):
        load_pad(write_detector(tmp_path / "a.onnx", DESCRIPTION + "output = 3")).score(grays(1))
    detector.with_suffix(".toml").unlink()
    with pytest.raises(ModelError, match="must be described in .*pad.toml"):
        load_pad(detector)
    broken = write_detector(tmp_path / "broken.onnx")
    broken.write_bytes(b"not a model")
    with pytest.raises(ModelError, match="not an ONNX model"):
        load_pad(broken)


def shots(kind, source, *scores):
    return [Presentation(kind, source, score) for score in scores]


def test_errors_by_hand():
    presentations = [
        *shots("bona-fide", "anna", 0.9, 0.8, None),
        *shots("bona-fide", "ben", 0.9, 0.1),
        *shots("print", "sheet 1", 0.1, 0.2),
        *shots("print", "sheet 2", 0.3, None),
        *shots("screen", "phone", 0.5, 0.1, 0.7, 0.2),
    ]
    result = evaluate_pad(presentations, threshold=0.5)
    printed, screen = result.attacks
    assert (printed.name, printed.instruments, printed.apcer.count, printed.apcer.trials) == ("print", 2, 0, 3)
    assert (screen.apcer.count, screen.apcer.trials) == (2, 4), "a score at the threshold is classified as bona fide"
    assert (printed.no_response.count, printed.no_response.trials) == (1, 4)
    assert (result.bpcer.count, result.bpcer.trials, result.people) == (1, 4, 2)
    assert (result.no_response.count, result.no_response.trials) == (1, 5)
    assert result.acer == pytest.approx((0.25 + 0.5) / 2) and result.worst is screen
    low, high = result.acer_interval
    assert 0 <= low < result.acer < high <= 1
    assert "APCER screen" in str(result) and "with the APCER of screen" in str(result)
    assert json.loads(json.dumps(result.to_json(), allow_nan=False))["attacks"][1]["apcer"]["count"] == 2


def test_intervals_are_over_people_and_instruments():
    """Ten times as many photos of the same instruments do not narrow them; ten times as many instruments do."""

    def high(instruments, photos):
        attacks = [one for number in range(instruments) for one in shots("print", str(number), *[0.0] * photos)]
        people = [one for number in range(50) for one in shots("bona-fide", str(number), 1.0)]
        return evaluate_pad([*attacks, *people], threshold=0.5).attacks[0].apcer.interval[1]

    assert high(5, 10) == pytest.approx(high(5, 1), abs=0.02) and high(5, 1) > 0.4
    assert high(50, 1) < 0.1


@pytest.mark.parametrize(
    ("presentations", "message"),
    [
        (shots("print", "a", 0.1), "bona-fide: at least one photo with a face is needed, got 0 without"),
        (shots("bona-fide", "a", 0.1), "at least one folder of an attack type"),
        (
            shots("bona-fide", "a", 0.9) + shots("print", "b", None),
            "print: at least one photo with a face is needed, got 1 without",
        ),
    ],
)
def test_what_is_missing_is_named(presentations, message):
    with pytest.raises(DataError, match=message):
        evaluate_pad(presentations, threshold=0.5)


def darker(photo):
    """Nearly the same photo for a face detector and an encoder, and an attack for the detector of the mean level."""
    return (photo // 2).astype(np.uint8)


def level_between(photo, pad):
    """A threshold between the scores of a photo and of its darker copy."""
    face = visavis.acquire_faces(photo)[0].cut(pad.crop)
    return float(np.mean([pad.score(face[None])[0], pad.score(darker(face)[None])[0]]))


@pytest.fixture
def presentations(generated_photo, detector, tmp_path):
    """A detector that takes the darker photo for an attack, and a folder of both kinds."""
    threshold = level_between(generated_photo, load_pad(detector))
    detector.with_suffix(".toml").write_text(DESCRIPTION.replace("0.4", f"{threshold:.6f}"))
    folder = tmp_path / "presentations"
    for path, photo in {
        "bona-fide/anna/1.png": generated_photo,
        "bona-fide/anna/2.png": np.ascontiguousarray(generated_photo[:, ::-1]),
        "bona-fide/wall.png": np.full((100, 100, 3), 120, np.uint8),
        "print/sheet/1.png": darker(generated_photo),
        "print/2.png": generated_photo,
    }.items():
        (folder / path).parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(photo).save(folder / path)
    return detector, folder


def test_a_detector_is_evaluated_on_photos(presentations, capsys, tmp_path):
    detector, folder = presentations
    code, out, _ = call(capsys, "evaluate-pad", detector, folder, "--quiet", "--json")
    result = json.loads(out)
    assert code == 0
    (printed,) = result["attacks"]
    assert (printed["apcer"]["count"], printed["apcer"]["trials"], printed["instruments"]) == (1, 2, 2)
    assert (result["bpcer"]["count"], result["bpcer"]["trials"], result["people"]) == (0, 2, 2)
    assert (result["no_response"]["count"], result["no_response"]["trials"]) == (1, 3)
    code, out, _ = call(capsys, "evaluate-pad", detector, folder, "--quiet", "--threshold", 2)
    assert (code, "BPCER" in out) == (0, True) and "100.00%" in out
    Image.fromarray(np.zeros((9, 9, 3), np.uint8)).save(folder / "loose.png")
    code, _, err = call(capsys, "evaluate-pad", detector, folder, "--quiet")
    assert (code, "loose.png: must lie in a folder bona-fide or in one of an attack type" in err) == (2, True)


@needs_encoder
def test_an_attack_is_vetoed_on_the_command_line(presentations, capsys, tmp_path):
    detector, folder = presentations
    person, attack = folder / "bona-fide" / "anna" / "1.png", folder / "print" / "sheet" / "1.png"
    code, out, _ = call(capsys, "verify", person, person, "--pad", detector, "--json")
    answer = json.loads(out)
    assert (code, answer["same"], answer["presentation"]["vetoed"]) == (0, True, False)
    assert len(answer["presentation"]["scores"]) == 2 and answer["presentation"]["detector"] == load_pad(detector).digest
    assert json.loads(call(capsys, "verify", person, attack, "--json")[1])["presentation"] is None
    code, out, _ = call(capsys, "verify", person, attack, "--pad", detector)
    assert (code, out.startswith("presentation attack (score 0.9"), "PAD score" in out) == (1, True, True)
    code, out, _ = call(capsys, "compare", person, person, attack, "--pad", detector)
    assert code == 0 and f"{person}: same person" in out and f"{attack}: presentation attack" in out
    gallery = tmp_path / "door.gallery"
    call(capsys, "gallery", "enrol", gallery, person, "--subject", "anna")
    assert call(capsys, "gallery", "verify", gallery, "anna", attack)[0] == 0
    code, out, _ = call(capsys, "gallery", "verify", gallery, "anna", attack, "--pad", detector)
    assert (code, out.startswith("presentation attack")) == (1, True)
    code, out, _ = call(capsys, "gallery", "search", gallery, attack, "--pad", detector, "--json")
    assert (code, json.loads(out)["decision"], json.loads(out)["hits"]) == (1, "presentation attack", [])
    assert call(capsys, "gallery", "search", gallery, person, "--pad", detector)[0] == 0
    code, _, err = call(capsys, "verify", person, person, "--aligned", "--pad", detector)
    assert (code, "--pad needs whole photos" in err) == (2, True)
    verifier = visavis.Verifier(aligned=True)
    verifier.pad = load_pad(detector)
    with pytest.raises(ValueError, match="whole photos only, got an aligned crop"):
        verifier.verify(person, person)


@needs_encoder
def test_an_attack_is_vetoed_by_the_service(presentations, tmp_path):
    pytest.importorskip("fastapi", reason="the service needs the extra serve")
    import requests
    from serving import file, running, service_of
    from test_service import problem

    from visavis.service.keys import KeyStore

    detector, folder = presentations
    person, attack = ((folder / path).read_bytes() for path in ("bona-fide/anna/1.png", "print/sheet/1.png"))
    encoder, store = visavis.load_encoder(), KeyStore(tmp_path / "keys.db", create=True)
    keys = {"write": store.create("write", "write"), "all": store.create("all", "read", all_scores=True)}
    gallery = open_gallery(tmp_path / "test.gallery", encoder)
    with running(service_of(encoder=encoder, keys=store, gallery=gallery, pad=load_pad(detector))) as url:

        def post(path, key="write", **photos):
            files = [(name, file(photo)) for name, some in photos.items() for photo in (some if isinstance(some, list) else [some])]
            return requests.post(f"{url}{path}", files=files, headers={"Authorization": f"Bearer {keys[key]}"})

        good = post("/v1/verify", first=person, second=person).json()
        assert good["same"] and not good["presentation"]["vetoed"] and good["presentation"]["scores"] is None
        bad = post("/v1/verify", "all", first=person, second=attack).json()
        assert (bad["decision"], bad["same"], bad["presentation"]["vetoed"]) == ("presentation attack", False, True)
        assert bad["presentation"]["scores"][1] < bad["presentation"]["threshold"] < bad["presentation"]["scores"][0]
        compared = post("/v1/compare", anchor=person, photos=[attack, person]).json()["results"]
        assert {one["photo"]: one["decision"] for one in compared} == {0: "presentation attack", 1: "same person"}
        detail = problem(post("/v1/subjects/Anna", photos=[attack]), 422, "presentation-attack")
        assert "presentation attack was detected" in detail
        enrolled = post("/v1/subjects/Anna", photos=[attack, person]).json()
        assert len(enrolled["enrolled"]) == 1 and "attack" in enrolled["failures"][0]["reason"]
        assert [hit["subject"] for hit in post("/v1/search", photo=person).json()["hits"]] == ["Anna"]
        searched = post("/v1/search", photo=attack).json()
        assert searched["hits"] == [] and searched["presentation"]["vetoed"]


def test_scores_must_be_finite():
    class Broken:
        crop, threshold, digest = None, 0.5, "0"

        def score(self, faces):
            return np.array([np.nan])

    with pytest.raises(ModelError, match=r"must return finite scores, got \[nan\]"):
        check_presentation(Broken(), list(grays(1)))
