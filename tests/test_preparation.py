"""Folders of whole photos become data sets, and every failure to acquire has a reason."""

import csv
import json
import shutil

import numpy as np
import pytest
from PIL import Image
from test_datasets import damaged_zip
from trained import stand_in

from visavis import cli
from visavis.data import IntakeRules, load_dataset, preparation
from visavis.data.preparation import prepare_photos
from visavis.errors import DataError
from visavis.faces import CANONICAL_CROP, CANONICAL_LANDMARKS, PREPARED_CROP, AcquisitionSettings, Face, FaceFinder
from visavis.images import Limits


class FindsRed:
    """Finds a face wherever the photo's top left pixel is red, two of them where the next one is red as well."""

    def __init__(self, log):
        self.log = log

    @property
    def seen(self):
        """How many photos were searched in the processes that read them."""
        return self.log.stat().st_size

    def detect(self, photo):
        with self.log.open("a") as file:
            file.write("x")
        count = int(photo[0, 0, 0] > 200) + int(photo[0, 1, 0] > 200)
        return [Face(np.array([4, 4, 100 - i, 100 - i], float), CANONICAL_LANDMARKS + 4 + i, 0.98) for i in range(count)]

    def score_crop(self, crop):
        return 0.9


@pytest.fixture
def finder(monkeypatch, tmp_path):
    finder = FindsRed(tmp_path / "searched")
    stand_in(monkeypatch, finder)
    monkeypatch.setattr(preparation, "_PART", 2)
    return finder


@pytest.fixture
def photos(tmp_path):
    """Five photos of three people: one without a face, one with two, one that is damaged; the third person has no face."""
    root = tmp_path / "photos"
    for name, reds in {"anna/1.png": 1, "anna/2.png": 2, "ben/1.png": 1, "ben/2.png": 0, "cleo/1.png": 0}.items():
        pixels = np.random.default_rng(len(name)).integers(0, 180, (130, 140, 3), dtype=np.uint8)
        pixels[0, :reds] = (255, 0, 0)
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(pixels).save(root / name)
    (root / "ben" / "3.jpg").write_bytes(b"\xff\xd8\xff damaged")
    (root / "ben" / "notes.jpg").write_bytes(b"not an image")
    return root


def rows_of(path):
    with path.open(newline="", encoding="utf-8") as file:
        return list(csv.DictReader(file))


def test_a_folder_becomes_a_data_set(finder, photos, tmp_path):
    out = tmp_path / "faces"
    result = prepare_photos(photos, out, workers=1, progress=False)
    assert (result.photos, result.faces, result.people, result.failures, result.lost_people) == (6, 3, 2, 3, ("cleo",))
    assert str(result.intake) == "6 photos of 3 people; 1 file passed over (1 not an image)"
    faces = load_dataset(out)
    assert faces.aligned
    assert faces.crop == PREPARED_CROP and faces.shape == PREPARED_CROP.shape
    assert faces.people == ("anna", "ben")
    assert list(faces.sources) == ["anna/1.png", "anna/2.png", "ben/1.png"]
    whole = np.asarray(Image.open(photos / "anna" / "1.png"))
    canonical = faces.cut(CANONICAL_CROP)
    np.testing.assert_array_equal(canonical.faces[0], whole[4:116, 4:116])
    np.testing.assert_allclose(canonical.landmarks[0], CANONICAL_LANDMARKS, atol=1e-3)
    table = rows_of(out / "faces.csv")
    assert [row["warnings"] for row in table] == ["", "1 other face in the photo", ""]
    assert (table[0]["left"], table[0]["width"], table[0]["score"]) == ("4.0", "100.0", "0.98")
    assert [row["turned"] for row in table] == ["0", "0", "0"]
    assert float(table[0]["nose_x"]) == pytest.approx(60.03, abs=0.01)
    reasons = {row["source"]: row["reason"] for row in rows_of(out / "failures.csv")}
    assert reasons["ben/2.png"] == reasons["cleo/1.png"] == "no face was found"
    assert reasons["ben/3.jpg"].startswith("damaged or truncated")
    assert rows_of(out / "passed_over.csv") == [
        {"name": "ben/notes.jpg", "kind": "not an image", "reason": "not an image by its content"}
    ]
    written = ["faces.csv", "faces.npy", "failures.csv", "labels.npy", "landmarks.npy", "names.json", "passed_over.csv"]
    assert sorted(path.name for path in out.iterdir()) == written
    assert all(path.stat().st_mode & 0o077 == 0 for path in (out, *out.iterdir())), "faces and names are private"
    small = load_dataset(out, size=(64, 64))
    assert small.aligned and small.shape == (64, 64, 3)
    assert small.select([0, 2]).aligned


def test_a_photo_damaged_in_an_archive_costs_no_others(finder, photos, tmp_path):
    files = {path.relative_to(photos).as_posix(): path.read_bytes() for path in photos.rglob("*.*")}
    files["anna/2.png"] = files.pop("anna/2.png")  # the last one is damaged
    result = prepare_photos(damaged_zip(tmp_path / "photos.zip", files, "damaged"), tmp_path / "faces", workers=1, progress=False)
    assert (result.photos, result.faces, result.failures) == (6, 2, 4)
    reasons = {row["source"]: row["reason"] for row in rows_of(tmp_path / "faces" / "failures.csv")}
    assert reasons["anna/2.png"].startswith("cannot be read from the archive")


def test_the_turn_of_a_photo_is_recorded(portrait, tmp_path):
    people = tmp_path / "people"
    people.mkdir()
    for turns, person in enumerate(("upright", "left", "down", "right")):
        (people / person).mkdir()
        Image.fromarray(np.rot90(portrait, turns)).save(people / person / "1.png")
    prepare_photos(people, tmp_path / "faces", workers=1, progress=False)
    turned = {row["person"]: row["turned"] for row in rows_of(tmp_path / "faces" / "faces.csv")}
    assert turned == {"upright": "0", "left": "270", "down": "180", "right": "90"}


def test_all_faces_of_a_photo(finder, photos, tmp_path):
    prepare_photos(photos, tmp_path / "faces", acquisition=AcquisitionSettings(policy="all"), workers=1, progress=False)
    assert list(load_dataset(tmp_path / "faces").sources) == ["anna/1.png", "anna/2.png", "anna/2.png#2", "ben/1.png"]


def test_the_centre_is_taken_when_asked_for(finder, photos, tmp_path):
    result = prepare_photos(
        photos, tmp_path / "faces", acquisition=AcquisitionSettings(fallback="centre"), workers=1, progress=False
    )
    assert (result.faces, result.people, result.failures) == (5, 3, 1)
    assert "the centre of the photo was taken" in rows_of(tmp_path / "faces" / "faces.csv")[-1]["warnings"]


def test_what_was_interrupted_goes_on(finder, photos, tmp_path, monkeypatch):
    out = tmp_path / "faces"
    do, done = preparation._do, []

    def interrupted(task):
        if len(done) == 2:
            raise KeyboardInterrupt
        done.append(task)
        do(task)

    monkeypatch.setattr(preparation, "_do", interrupted)
    with pytest.raises(KeyboardInterrupt):
        prepare_photos(photos, out, workers=1, progress=False)
    with pytest.raises(DataError, match="begun with other photos or other settings"):
        prepare_photos(photos, out, acquisition=AcquisitionSettings(policy="centre"), workers=1, progress=False)
    monkeypatch.setattr(preparation, "_do", do)
    finder.log.write_text("")
    assert prepare_photos(photos, out, workers=1, progress=False).faces == 3
    assert finder.seen == 4  # the part that was missing has one readable photo, without a face from any side
    prepare_photos(photos, tmp_path / "other", workers=1, progress=False)
    np.testing.assert_array_equal(load_dataset(out).faces, load_dataset(tmp_path / "other").faces)
    with pytest.raises(DataError, match="already holds a data set"):
        prepare_photos(photos, out, workers=1, progress=False)


class Everywhere:
    """A detector that takes the upper left corner of every photo for a face."""

    def detect(self, photo):
        return [Face(np.array([4, 4, 100, 100], float), CANONICAL_LANDMARKS + 4, 0.98)]


@pytest.mark.parametrize("workers", [1, 2])
def test_a_detector_of_ones_own_is_asked(photos, tmp_path, workers):
    many = tmp_path / "many"
    for number in range(20):  # two parts, so that two processes have work
        shutil.copytree(photos / "ben", many / f"ben-{number}")
    result = prepare_photos(
        many, tmp_path / "faces", acquisition=AcquisitionSettings(finder=Everywhere()), workers=workers, progress=False
    )
    assert (result.faces, result.failures) == (40, 20)


def test_settings_of_the_detector_belong_to_what_was_begun(finder, photos, tmp_path, monkeypatch):
    monkeypatch.setattr(preparation, "_do", lambda task: 1 / 0)
    with pytest.raises(ZeroDivisionError):
        prepare_photos(photos, tmp_path / "faces", workers=1, progress=False)
    with pytest.raises(DataError, match="begun with other photos or other settings"):
        prepare_photos(
            photos, tmp_path / "faces", acquisition=AcquisitionSettings(finder=FaceFinder(min_face=40)), workers=1, progress=False
        )


def test_a_detector_that_cannot_be_sent_to_other_processes_is_named(photos, tmp_path, monkeypatch):
    class Local(Everywhere):
        pass

    monkeypatch.setattr(preparation, "_PART", 2)
    with pytest.raises(ValueError, match="finder must be picklable to be used by several processes, got Local"):
        prepare_photos(photos, tmp_path / "faces", acquisition=AcquisitionSettings(finder=Local()), workers=2, progress=False)


def test_limits_are_those_of_each_photo(finder, photos, tmp_path):
    Image.new("RGB", (200, 200), "red").save(photos / "anna" / "large.png")
    result = prepare_photos(
        photos, tmp_path / "faces", rules=IntakeRules(limits=Limits(max_pixels=20_000)), workers=1, progress=False
    )
    assert result.faces == 3
    reasons = {row["source"]: row["reason"] for row in rows_of(tmp_path / "faces" / "failures.csv")}
    assert reasons["anna/large.png"] == "200 x 200 pixels are more than the limit of 20,000"


def test_limits_of_acquisition_and_rules_are_the_same(finder, photos, tmp_path):
    small, large = (Limits(max_pixels=pixels) for pixels in (20_000, 100_000_000))
    acquisition, rules = AcquisitionSettings(limits=small), IntakeRules(people="optional", limits=large)
    with pytest.raises(ValueError, match="limits of acquisition and rules must be the same"):
        prepare_photos(photos, tmp_path / "faces", acquisition=acquisition, rules=rules, workers=1, progress=False)
    Image.new("RGB", (200, 200), "red").save(photos / "anna" / "large.png")
    result = prepare_photos(photos, tmp_path / "faces", acquisition=acquisition, workers=1, progress=False)
    assert (result.faces, result.failures) == (3, 4)


def test_an_archive_is_read_in_place(finder, photos, tmp_path):
    archive = shutil.make_archive(str(tmp_path / "photos"), "zip", photos)
    assert prepare_photos(archive, tmp_path / "faces", workers=1, progress=False).faces == 3


def test_nothing_to_do(finder, tmp_path):
    (tmp_path / "empty").mkdir()
    with pytest.raises(DataError, match="no photos in it"):
        prepare_photos(tmp_path / "empty", tmp_path / "faces", workers=1)
    (tmp_path / "one" / "a").mkdir(parents=True)
    Image.new("RGB", (120, 120)).save(tmp_path / "one" / "a" / "dark.png")
    with pytest.raises(DataError, match=r"none of 1 photo has a usable face; reasons in .*failures\.csv"):
        prepare_photos(tmp_path / "one", tmp_path / "faces", workers=1, progress=False)


def test_command_with_several_processes(portrait, tmp_path, capsys):
    for person, shift in (("anna", 0), ("ben", 5)):
        (tmp_path / "photos" / person).mkdir(parents=True)
        Image.fromarray(np.roll(portrait, shift, axis=1)).save(tmp_path / "photos" / person / "1.png")
    arguments = ["prepare", tmp_path / "photos", "--out", tmp_path / "faces", "--workers", 2, "--json", "--quiet"]
    with pytest.raises(SystemExit) as stop:
        cli.main([str(argument) for argument in arguments])
    answer = json.loads(capsys.readouterr().out)
    assert stop.value.code == 0
    assert (answer["faces"], answer["failures"], answer["failure_to_acquire_rate"]) == (2, 0, 0)
    assert load_dataset(tmp_path / "faces").people == ("anna", "ben")
