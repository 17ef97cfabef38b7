"""Galleries on the command line, with the bundled encoder and generated faces; thresholds of searches."""

import json
import shutil
from dataclasses import replace

import numpy as np
import pytest
from commands import call
from PIL import Image
from test_gallery import KEY

import visavis
from visavis.encoders import PRETRAINED_FILE
from visavis.encoders.card import Card
from visavis.encoders.onnx import copy_with_card
from visavis.errors import ModelError
from visavis.faces import ARCFACE_LANDMARKS, CANONICAL_CROP, Crop, Face
from visavis.gallery import Hit, open_gallery
from visavis.gallery.enrolling import enrol_folder, enrol_photos
from visavis.gallery.search_rules import choose_rule, rule_for_fpir
from visavis.gallery.searching import FoundSubjects, SearchedFace
from visavis.metrics.operating_points import OperatingPoint
from visavis.verification import FoundFace

pytestmark = pytest.mark.skipif(not PRETRAINED_FILE.is_file(), reason="this installation comes without an encoder")


@pytest.fixture(autouse=True)
def no_key(monkeypatch):
    for name in ("VISAVIS_GALLERY_KEY", "VISAVIS_GALLERY_NEW_KEY", "VISAVIS_MODEL"):
        monkeypatch.delenv(name, raising=False)


@pytest.fixture(scope="module")
def people(tmp_path_factory):
    """Four people with three photos each, in a folder of each, one of which is damaged, and a file that is no photo."""
    root = tmp_path_factory.mktemp("people")
    faces = visavis.generate_faces(4, 3, size=112, seed=11)
    for face, label, number in zip(faces.faces, faces.labels, np.arange(12) % 3, strict=True):
        path = root / f"person-{label}" / f"{number}.png"
        path.parent.mkdir(exist_ok=True)
        Image.fromarray(face).save(path)
    (root / "person-3" / "2.png").write_bytes((root / "person-3" / "2.png").read_bytes()[:200])
    (root / "person-3" / "notes.png").write_bytes(b"not a photo")
    return root


@pytest.fixture
def door(people, tmp_path, capsys):
    """A gallery of them."""
    code, out, _ = call(capsys, "gallery", "enrol", tmp_path / "door.gallery", people, "--aligned", "--quiet", "--keep-photos")
    assert code == 0
    assert out.startswith("enrolled 11 references of 4 people\n")
    return tmp_path / "door.gallery"


def answer(capsys, *arguments, code=0):
    """The JSON that a gallery command prints."""
    stopped, out, err = call(capsys, "gallery", *arguments, "--json")
    assert stopped == code, err
    return json.loads(out)


def test_a_photo_is_found_in_a_gallery(door, people, capsys):
    photo = people / "person-1" / "0.png"
    found = answer(capsys, "search", door, photo, "--aligned", "--top", 2)
    assert [hit["subject"] for hit in found["hits"]][:1] == ["person-1"]
    assert 0.8 < found["hits"][0]["score"] < 1  # with the mean of several photos, of which it is one
    code, out, _ = call(capsys, "gallery", "search", door, photo, "--aligned")
    rule = rule_for_fpir(visavis.load_encoder().card, 0.01, 4)
    assert (code, out.splitlines()[-1]) == (0, str(rule))
    assert out.startswith(f"person-1: score {found['hits'][0]['score']:.3f}, most like reference ")
    assert answer(capsys, "search", door, photo, "--aligned", "--threshold", 1.5, code=1)["hits"] == []
    code, out, _ = call(capsys, "gallery", "search", door, photo, "--aligned", "--threshold", 1.5)
    assert (code, out) == (1, "no match\n")


def test_what_makes_a_face_less_reliable_is_a_warning(portrait, tmp_path, capsys):
    two = np.concatenate([portrait, np.asarray(Image.fromarray(portrait).resize((180, portrait.shape[0])))], axis=1)
    folder, photo = tmp_path / "people" / "anna", tmp_path / "two.png"
    folder.mkdir(parents=True)
    for path in (folder / "two.png", photo):
        Image.fromarray(two).save(path)
    Image.fromarray(portrait).save(folder / "one.png")
    beside = "1 other face in the photo"
    enrolled = answer(capsys, "enrol", tmp_path / "door.gallery", folder.parent, "--quiet")
    assert enrolled["warnings"] == [{"photo": f"{folder.parent}/anna/two.png", "warning": beside}]
    code, _, err = call(capsys, "gallery", "enrol", tmp_path / "other.gallery", photo, "--subject", "anna")
    assert (code, "2 faces, none of which agrees with another photo of anna" in err) == (2, True)
    code, _, err = call(capsys, "gallery", "enrol", tmp_path / "other.gallery", photo, "--subject", "anna", "--face", "centre")
    assert (code, err) == (0, f"warning: {photo}: {beside}\n")
    code, _, err = call(capsys, "gallery", "search", tmp_path / "door.gallery", photo)
    assert (code, err) == (0, f"warning: {photo}: {beside}\n")
    assert answer(capsys, "search", tmp_path / "door.gallery", photo)["face"]["warnings"] == [beside]
    code, _, err = call(capsys, "gallery", "verify", tmp_path / "door.gallery", "anna", photo)
    assert (code, err) == (0, f"warning: the photo: {beside}\n")
    code, _, err = call(capsys, "compare", folder / "one.png", photo)
    assert (code, err) == (0, f"warning: {photo}: {beside}\n")
    code, _, err = call(capsys, "explain", photo, folder / "one.png", "--out", tmp_path / "why.png")
    assert (code, err) == (0, f"warning: first photo: {beside}\n")


def test_a_search_takes_its_threshold_from_the_size_of_the_gallery(door, people, capsys):
    photo = people / "person-1" / "0.png"
    found = answer(capsys, "search", door, photo, "--aligned", "--target-fpir", 0.05)
    assert found["threshold"] == visavis.load_encoder().card.rule(0.01).score
    assert (found["subjects"], found["fpir"] <= 0.05) == (4, True)
    code, _, err = call(capsys, "gallery", "search", door, photo, "--aligned", "--target-fpir", 1e-5)
    assert (code, "needs an FMR of 2.5e-06" in err) == (2, True)
    code, _, err = call(capsys, "gallery", "search", door, photo, "--target-fpir", 0.1, "--threshold", 0.5)
    assert (code, "mutually exclusive" in err) == (2, True)


def test_a_subject_is_verified(door, people, capsys):
    photo = people / "person-2" / "1.png"
    verdict = answer(capsys, "verify", door, "person-2", photo, "--aligned")
    assert verdict["same"] and 0.8 < verdict["score"] < 1
    code, _, err = call(capsys, "gallery", "verify", door, "person-9", photo, "--aligned")
    assert (code, "no subject named 'person-9' is enrolled" in err) == (2, True)
    pixels = np.zeros((112, 112, 3), dtype=np.uint8)
    other = door.with_name("other.png")
    Image.fromarray(pixels).save(other)
    code, _, err = call(capsys, "gallery", "verify", door, "person-0", other, "--aligned")
    assert (code, "nothing can be seen on it" in err) == (2, True)
    pixels[:8, :8] = 255
    Image.fromarray(pixels).save(other)
    assert call(capsys, "gallery", "verify", door, "person-0", other, "--aligned", "--target-fmr", 0.001)[0] == 1


def test_photos_of_one_person_are_enrolled(door, people, capsys):
    photos = [people / "person-0" / f"{number}.png" for number in range(2)]
    enrolled = answer(capsys, "enrol", door, *photos, "--subject", "zoe", "--aligned")
    assert len(enrolled["references"]["zoe"]) == 2
    assert call(capsys, "gallery", "enrol", door, *photos, "--aligned")[0] == 2
    for wrong, message in (
        (people / "person-3" / "2.png", "none of 1 photo can be enrolled"),
        (people / "nobody.png", "No such file"),
    ):
        code, _, err = call(capsys, "gallery", "enrol", door, wrong, "--subject", "zoe", "--aligned")
        assert (code, message in err) == (2, True)
    code, _, err = call(capsys, "gallery", "enrol", door, door.parent / "nowhere", "--aligned")
    assert code == 2


def test_a_photo_without_a_name_is_not_taken_for_a_folder(people, tmp_path, capsys):
    code, _, err = call(capsys, "gallery", "enrol", tmp_path / "a.gallery", people / "person-0" / "0.png", "--aligned")
    assert (code, "--subject NAME" in err) == (2, True)
    assert not (tmp_path / "a.gallery").exists()


def test_people_in_an_archive_are_enrolled(door, people, tmp_path, capsys):
    shutil.make_archive(str(tmp_path / "people"), "zip", people)
    enrolled = answer(capsys, "enrol", tmp_path / "zip.gallery", tmp_path / "people.zip", "--aligned", "--keep-photos")
    assert [len(references) for references in enrolled["references"].values()] == [3, 3, 3, 2]
    assert [failure["photo"] for failure in enrolled["failures"]] == [f"{tmp_path / 'people.zip'}/person-3/2.png"]
    found = answer(capsys, "search", tmp_path / "zip.gallery", people / "person-1" / "0.png", "--aligned")
    assert found["hits"][0]["subject"] == "person-1"


def test_people_are_listed_and_deleted(door, capsys):
    listed = answer(capsys, "list", door)
    assert (listed["references"], [subject["name"] for subject in listed["subjects"]]) == (11, [f"person-{n}" for n in range(4)])
    assert answer(capsys, "delete", door, "person-1", "person-2", "--actor", "officer") == {
        "deleted": {"person-1": 3, "person-2": 3}
    }
    assert call(capsys, "gallery", "list", door, "--after", "person-0", "--limit", 1)[1].startswith(
        "person-3: 2 references, enrolled "
    )
    code, _, err = call(capsys, "gallery", "delete", door, "person-1")
    assert (code, "no subject named" in err) == (2, True)
    log = answer(capsys, "log", door)["log"]
    assert [(entry["actor"], entry["action"], entry["name"]) for entry in log[-2:]] == [("officer", "delete", None)] * 2
    assert "officer: delete subject 2, 3 references" in call(capsys, "gallery", "log", door)[1]


def test_a_gallery_is_looked_after(door, people, capsys, monkeypatch):
    pytest.importorskip("onnx")
    assert call(capsys, "gallery", "check", door)[1] == "intact: 11 references\n"
    code, _, err = call(capsys, "gallery", "rotate-key", door)
    assert (code, "VISAVIS_GALLERY_NEW_KEY" in err) == (2, True)
    monkeypatch.setenv("VISAVIS_GALLERY_NEW_KEY", KEY)
    assert answer(capsys, "rotate-key", door) == {"references": 11}
    code, _, err = call(capsys, "gallery", "check", door)
    assert (code, "encrypted, and no key was given" in err) == (2, True)
    monkeypatch.setenv("VISAVIS_GALLERY_KEY", KEY)
    assert answer(capsys, "backup", door, door.with_name("copy.gallery"))["backup"].endswith("copy.gallery")
    code, _, err = call(capsys, "gallery", "check", door.with_name("copy.gallery"))
    assert (code, "copy.gallery.keys: the key file is missing" in err) == (2, True)
    shutil.copy(f"{door}.keys", f"{door.with_name('copy.gallery')}.keys")
    assert answer(capsys, "check", door.with_name("copy.gallery")) == {"references": 11, "intact": True}
    assert answer(capsys, "export", door, door.with_name("door.zip"))["references"] == 11
    assert answer(capsys, "import", door.with_name("new.gallery"), door.with_name("door.zip")) == {"references": 11}
    other = door.with_name("other.onnx")
    encoder = visavis.load_encoder()
    copy_with_card(encoder, replace(encoder.card, flip=not encoder.card.flip), other)
    assert answer(capsys, "reembed", door, "--model", other, "--aligned", "--quiet")["references"] == 11
    photo = people / "person-1" / "0.png"
    assert call(capsys, "gallery", "search", door, photo, "--aligned")[0] == 2
    assert answer(capsys, "search", door, photo, "--aligned", "--model", other)["hits"][0]["subject"] == "person-1"


def card(*targets):
    rules = tuple(OperatingPoint(1 - target, "people", 1, 1000, 0, 10, 50, target, 2 * target) for target in targets)
    return Card(Crop((8, 8)), threshold=rules[0], operating_points=rules[1:])


def test_the_rule_of_a_search_is_the_most_lenient_one_that_will_do():
    rules = card(0.1, 0.01, 0.001)
    assert rule_for_fpir(rules, 0.1, 1).rule.target_fmr == 0.1
    assert rule_for_fpir(rules, 0.1, 10).rule.target_fmr == 0.01
    chosen = rule_for_fpir(rules, 0.1, 100)
    assert chosen.rule.target_fmr == 0.001
    assert chosen.fpir == pytest.approx(1 - 0.999**100)
    assert chosen.fpir_upper == pytest.approx(1 - 0.998**100)
    assert "expected FPIR with 100 people: 0.095, at most 0.18" in str(chosen)


def test_nothing_is_extrapolated():
    with pytest.raises(ModelError, match=r"operating points for 0.001 at best, which suffices for 105 people"):
        rule_for_fpir(card(0.1, 0.001), 0.1, 106)
    assert rule_for_fpir(card(0.1, 0.001), 0.1, 105).subjects == 105
    with pytest.raises(ModelError, match="the model has no operating point for a target FMR"):
        rule_for_fpir(Card(Crop((8, 8)), threshold=OperatingPoint(0.5, "somewhere")), 0.1, 5)
    for target, subjects in ((0, 5), (1, 5), (0.1, 0)):
        with pytest.raises(ValueError, match="must be"):
            rule_for_fpir(card(0.1), target, subjects)


def test_a_search_without_a_rate_that_the_model_can_show_decides_nothing():
    able = card(0.01, 0.001)
    assert choose_rule(able, None, 10) == (rule_for_fpir(able, 0.01, 10), "")
    assert choose_rule(able, None, 0) == (rule_for_fpir(able, 0.01, 1), "")
    rule, undecided = choose_rule(able, None, 11)
    assert rule is None and "an FPIR of 0.01 with 11 people enrolled needs an FMR of 0.00091" in undecided
    with pytest.raises(ModelError, match="with 11 people enrolled"):
        choose_rule(able, 0.01, 11)
    hit = Hit("anna", "1", 0.9)
    ranked = FoundSubjects((SearchedFace(FoundFace(), (hit,), None),), None, None, undecided)
    assert not ranked.matched and ranked.to_json()["decision"] == "none"
    assert str(ranked).splitlines()[1].startswith("a ranked list without a decision: an FPIR of 0.01 with 11 people")
    match, nobody = SearchedFace(FoundFace(), (hit,), "anna"), SearchedFace(FoundFace(), (), None)
    assert FoundSubjects((match,), 0.5, rule_for_fpir(able, 0.01, 10)).to_json()["decision"] == "match"
    assert FoundSubjects((nobody,), 0.5).to_json()["decision"] == "no match"


def test_a_rerun_of_an_enrolment_changes_nothing(door, people, capsys):
    again = answer(capsys, "enrol", door, people, "--aligned", "--keep-photos")
    assert (again["present"], [len(new) for new in again["references"].values()]) == (11, [0, 0, 0, 0])
    assert answer(capsys, "check", door) == {"references": 11, "intact": True}


def test_people_are_renamed_merged_and_lose_a_reference(door, capsys):
    listed = call(capsys, "gallery", "list", door, "--references")[1]
    assert listed.startswith("person-0: 3 references (1, 2, 3), enrolled 20")
    assert answer(capsys, "remove", door, "person-0", "--reference", 2) == {"removed": "2"}
    assert answer(capsys, "rename", door, "person-0", "anna") == {"renamed": "person-0", "name": "anna"}
    assert answer(capsys, "merge", door, "person-1", "--into", "anna") == {"merged": "person-1", "into": "anna", "references": 5}
    subjects = {one["name"]: one["references"] for one in answer(capsys, "list", door)["subjects"]}
    assert subjects == {"anna": ["1", "3", "4", "5", "6"], "person-2": ["7", "8", "9"], "person-3": ["10", "11"]}
    code, _, err = call(capsys, "gallery", "merge", door, "anna", "--into", "anna")
    assert (code, "must differ" in err) == (2, True)


class TwoFaces:
    """Detects a left and a right half, the right one larger."""

    def detect(self, photo):
        half = photo.shape[1] // 2
        points = np.array(ARCFACE_LANDMARKS) / 112
        left, right = (Face(np.array([x, 0, w, w]), points * w + [x, 0], 1.0) for x, w in ((0, half - 8), (half, half)))
        return [right, left] if photo.shape[1] > photo.shape[0] else [Face(np.array([0, 0, half, half]), points * 2 * half, 1.0)]


class ColourEncoder:
    """Embeds a face by its mean colour."""

    digest = "c" * 64
    card = Card(CANONICAL_CROP, threshold=OperatingPoint(0.9, "test"))

    def raw(self, faces):
        return faces.mean(axis=(1, 2)).astype(np.float32)

    def embed(self, faces):
        rows = self.raw(faces) - 100
        return rows / np.linalg.norm(rows, axis=1, keepdims=True)


def test_of_two_faces_the_one_that_agrees_with_the_other_photos_is_enrolled(tmp_path):
    anna, berta, other = (np.full((112, 112, 3), colour, np.uint8) for colour in ([250, 90, 90], [90, 250, 90], [90, 90, 250]))
    for name, pixels in {
        "anna/1.png": anna,
        "anna/both.png": np.concatenate([anna, berta], axis=1),
        "berta/1.png": berta,
        "berta/both.png": np.concatenate([anna, other], axis=1),
        "clara/both.png": np.concatenate([anna, other], axis=1),
    }.items():
        path = tmp_path / "people" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(pixels).save(path)
    verifier = visavis.Verifier(ColourEncoder(), acquisition=visavis.AcquisitionSettings(finder=TwoFaces()))
    with open_gallery(tmp_path / "two.gallery", verifier.encoder) as gallery:
        result = enrol_folder(gallery, verifier, tmp_path / "people")
        assert {name: len(new) for name, new in result.references.items()} == {"anna": 2, "berta": 1}
        reasons = [reason.partition(": ")[2] for _, reason in result.failures]
        expected = "2 faces, none of which agrees with another photo of {}; crop it or choose with --face"
        assert reasons == [expected.format(name) for name in ("berta", "clara")]
        assert ("1 other face in the photo" in [text for _, text in result.warnings]) is True
        later = tmp_path / "berta-and-anna.png"
        Image.fromarray(np.concatenate([berta, anna], axis=1)).save(later)
        assert enrol_photos(gallery, verifier, "berta", [later]).references == {"berta": ("4",)}
        assert gallery.verify("berta", verifier.embed([berta])[0]).score == pytest.approx(1)
