"""Albums: every face is read once, known people are found, unknown ones sorted, and names come back as a folder of people."""

import csv
import json
import shutil
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import pytest
from commands import call
from test_gallery import SIZE, FakeEncoder
from test_verifier import FindsSeveral
from trained import stand_in

import visavis
from visavis.albums.faces import AlbumFaces, Failure
from visavis.albums.finding import decide_faces, find_people
from visavis.albums.joining import join_poor_faces
from visavis.albums.known import open_known
from visavis.albums.naming import Names, read_names
from visavis.albums.pictures import annotate
from visavis.albums.probabilities import MergeModel
from visavis.albums.reading import ReadingSettings, read_faces
from visavis.albums.sorting import group_faces, sort_photos
from visavis.data import Intake
from visavis.encoders import PRETRAINED_FILE
from visavis.encoders.card import Card
from visavis.errors import DataError, ModelError
from visavis.faces import AcquisitionSettings, Crop
from visavis.metrics.histograms import ScoreHistogram

pretrained = pytest.mark.skipif(not PRETRAINED_FILE.is_file(), reason="this installation comes without an encoder")


class FindsUpright(FindsSeveral):
    """Finds them, and takes every crop for one of an upright face."""

    def score_crop(self, crop):
        return 0.9


@dataclass(frozen=True)
class Recorded(FindsSeveral):
    """Finds them, and writes the shape of each photo into a file, whichever process it runs in."""

    log: Path

    def detect(self, photo):
        with self.log.open("a") as file:
            print(photo.shape, file=file)
        return super().detect(photo)


@pytest.fixture
def settings(aligned_run):
    return ReadingSettings(str(aligned_run), AcquisitionSettings(finder=FindsSeveral()), workers=1, thumbnails=True)


@pytest.fixture
def encoder(aligned_run):
    return visavis.load_encoder(aligned_run)


def test_every_face_of_every_photo_is_read_and_nothing_is_lost(party, settings, encoder, tmp_path):
    faces = read_faces(party, tmp_path / "work", settings, encoder=encoder)
    assert faces.keys == ("a.png#1", "a.png#2", "b.png#1", "b.png#2", "b.png#3", "late/c.png#1", "late/c.png#2")
    assert faces.failures == (Failure("wall.png", "no face was found"),)
    assert (faces.intake.photos, faces.intake.counts) == (4, {"not an image": 1})
    np.testing.assert_allclose(np.linalg.norm(faces.embeddings, axis=1), 1, atol=1e-5)
    alone = visavis.Verifier(encoder, acquisition=settings.acquisition).acquire_each(party / "b.png")
    np.testing.assert_allclose(faces.embeddings[2:5], encoder.embed(np.stack([face.pixels for face in alone])), atol=1e-5)
    assert all(picture.startswith(b"\xff\xd8") for picture in faces.thumbnails)
    single = read_faces(party / "b.png", tmp_path / "single", settings, encoder=encoder)
    assert single.keys == ("b.png#1", "b.png#2", "b.png#3") and single.intake.photos == 1
    np.testing.assert_allclose(single.embeddings, faces.embeddings[2:5], atol=1e-6)
    shutil.make_archive(str(tmp_path / "party"), "zip", party)
    zipped = read_faces(tmp_path / "party.zip", tmp_path / "other", settings, encoder=encoder)
    assert zipped.keys == faces.keys
    np.testing.assert_array_equal(zipped.embeddings, faces.embeddings)


def test_only_new_photos_are_read_again(party, settings, encoder, tmp_path):
    work, log = tmp_path / "work", tmp_path / "log"
    settings = replace(settings, acquisition=AcquisitionSettings(finder=Recorded(log)))
    first = read_faces(party, work, settings, encoder=encoder)
    log.write_text("")
    again = read_faces(party, work, settings, encoder=encoder)
    assert (again.keys, log.read_text()) == (first.keys, "")
    shutil.copy(party / "a.png", party / "d.png")
    (party / "b.png").unlink()
    changed = read_faces(party, work, settings, encoder=encoder)
    assert changed.keys == ("a.png#1", "a.png#2", "d.png#1", "d.png#2", "late/c.png#1", "late/c.png#2")
    read = log.read_text().splitlines()
    assert set(read) == {"(120, 360, 3)"} and len(read) <= 4  # the turns of one photo
    with pytest.raises(DataError, match="was begun with another encoder or other settings"):
        read_faces(party, work, replace(settings, thumbnails=False), encoder=encoder)
    with pytest.raises(DataError, match="out must lie outside of the folder of photos"):
        read_faces(party, party / "work", settings, encoder=encoder)
    with pytest.raises(ModelError, match="needs? a model of aligned faces|need a model of aligned faces"):
        read_faces(party, work, settings, encoder=FakeEncoder())


def angle(degrees):
    row = np.zeros(SIZE, dtype=np.float32)
    row[:2] = np.cos(np.radians(degrees)), np.sin(np.radians(degrees))
    return row


def columns(rows, embeddings, **changes):
    """Faces of these photos, `(photo, number)` each, of good quality."""
    made = [[photo, number, [10, 20, 30, 40], 0.9, 40.0, 300.0, []] for photo, number in rows]
    faces = AlbumFaces.of(made, list(embeddings), thumbnails=[b""] * len(made), failures=[], intake=Intake("", len(made), 0))
    return replace(faces, **changes)


def test_each_face_is_decided_and_nobody_is_in_a_photo_twice(tmp_path):
    with visavis.open_gallery(tmp_path / "door.gallery", FakeEncoder()) as gallery:
        gallery.enrol("anna", angle(0)[None])
        gallery.enrol("berta", angle(30)[None])
        faces = columns([("p", 1), ("p", 2), ("p", 3), ("q", 1)], [angle(5), angle(10), angle(80), angle(28)])
        found = decide_faces(faces, gallery, 0.9)
        assert [face.subject for face in found] == ["anna", "berta", None, "berta"]
        assert found[1].most_like == "anna" and found[1].score == pytest.approx(np.cos(np.radians(20)))
        assert found[2].most_like == "berta" and found[2].score == pytest.approx(np.cos(np.radians(50)))
        assert [face.subject for face in decide_faces(faces, gallery, 0.97)] == ["anna", None, None, "berta"]
        assert not any(face.subject for face in decide_faces(faces, gallery, None))
    with visavis.open_gallery(tmp_path / "empty.gallery", FakeEncoder()) as nobody:
        assert decide_faces(faces, nobody, 0.5)[0].score is None


def test_known_people_come_from_a_folder_a_photo_or_a_gallery(folder, encoder, tmp_path):
    verifier = visavis.Verifier(encoder, acquisition=AcquisitionSettings(finder=FindsSeveral()))
    with open_known(folder, verifier) as (gallery, enrolled):
        assert gallery.subject_count == 16 and len(enrolled.references) == 16
        where = gallery.file.path
    assert not where.exists()
    with open_known(folder / "person-00" / "0.png", verifier) as (gallery, _):
        assert [one.name for one in gallery.subjects()] == ["0"]
    with visavis.open_gallery(tmp_path / "door.gallery", encoder) as gallery:
        gallery.enrol("anna", np.eye(1, gallery.size, dtype=np.float32))
    with open_known(tmp_path / "door.gallery", verifier) as (gallery, enrolled):
        assert gallery.subject_count == 1 and enrolled is None
    with pytest.raises(DataError, match="nowhere: no such gallery, folder or photo"), open_known(tmp_path / "nowhere", verifier):
        pass


def test_people_are_found_from_the_command_line(party, folder, aligned_run, tmp_path, capsys, monkeypatch):
    stand_in(monkeypatch, FindsUpright())
    options = ("--model", aligned_run, "--workers", 1, "--quiet", "--threshold", 0.5)
    table, out = tmp_path / "faces.csv", tmp_path / "found"
    code, text, _ = call(capsys, "find", folder, party, "--json", "--csv", table, "--out", out, "--annotate", *options)
    found = json.loads(text)
    assert code == 0 and len(found["faces"]) == 7 and found["subjects"] == 16
    for photo in ("a.png", "b.png", "late/c.png"):
        names = [face["subject"] for face in found["faces"] if face["photo"] == photo and face["subject"]]
        assert len(names) == len(set(names))
    rows = list(csv.DictReader(table.read_text().splitlines()))
    assert [row["subject"] or None for row in rows] == [face["subject"] for face in found["faces"]]
    page = (out / "index.html").read_text()
    named = {face["photo"] for face in found["faces"] if face["subject"]}
    assert all(f"<h2>{photo}</h2>" in page for photo in named) and len(list((out / "annotated").iterdir())) == len(named)
    code, _, err = call(capsys, "find", folder, party, *options[:-1], 1.01)
    assert code == 1 and "of unknown people" in _ + err
    assert call(capsys, "find", folder, party, "--annotate", *options)[0] == 2
    code, _, err = call(capsys, "find", folder, party, "--target-fpir", 0.01, *options)
    assert code == 2 and "mutually exclusive" in err


def test_without_a_rate_that_the_model_can_show_nobody_is_named(party, folder, settings):
    found = find_people(folder, party, settings=settings)
    assert found.named == () and found.known.threshold is None and found.expected_wrong is None
    assert any(line.startswith("no decision: an FPIR of 0.01 with 16 people enrolled needs") for line in found.describe())
    assert found.faces[0].most_like is not None and found.to_json()["undecided"]


def test_names_are_drawn_on_copies():
    photo = np.full((100, 160, 3), 200, np.uint8)
    drawn = np.asarray(annotate(photo, [((10, 10, 40, 40), "Anna"), ((90, 10, 40, 40), "")]))
    assert (photo == 200).all() and drawn.shape == photo.shape
    assert tuple(drawn[30, 10]) == (0, 114, 178) and tuple(drawn[30, 90]) == (138, 141, 147)
    assert (drawn[52:70, 10:60] != 200).any() and (drawn[52:70, 90:140] == 200).all()


def crowd(people, photos, seed=0, noise=0.55):
    """Embeddings of people with several photos each: mated cosines of about 0.75, non-mated ones of about 0."""
    rng = np.random.default_rng(seed)
    centres = rng.normal(size=(people, 128))
    rows = np.repeat(centres, photos, axis=0) + noise * rng.normal(size=(people * photos, 128))
    return (rows / np.linalg.norm(rows, axis=1, keepdims=True)).astype(np.float32), np.repeat(np.arange(people), photos)


@pytest.fixture(scope="module")
def card():
    """A card with the distribution of such scores."""
    embeddings, labels = crowd(300, 4, seed=9)
    scores, mated = (embeddings @ embeddings.T), labels[:, None] == labels
    upper = np.triu_indices(len(labels), 1)
    counts = [np.histogram(scores[upper][mated[upper] == kind], 100, (-1, 1))[0].tolist() for kind in (True, False)]
    return Card(Crop((112, 112)), histogram=ScoreHistogram(-1, 1, tuple(counts[0]), tuple(counts[1]), "a crowd"))


def test_faces_are_sorted_by_person(card):
    embeddings, labels = crowd(30, 4)
    album = group_faces(columns([(f"p{place}", 1) for place in range(120)], embeddings), card)
    assert album.people == (30, 0) and album.unsure == 0
    np.testing.assert_array_equal(album.groups[:, None] == album.groups, labels[:, None] == labels)
    assert album.cut.precision >= 0.99 and album.cut.wrong_merges < 1
    assert album.describe()[0].startswith(
        "120 faces, 30 people, 0 more seen once, 0 unsure; expected wrong merges: 0.0 (95 %: 0 to 0)"
    )
    assert album.to_json()["people"] == 30 and len(repr(album)) < 80


def test_two_faces_of_one_photo_are_two_people(card):
    embeddings, _ = crowd(10, 4)
    photos = [(f"p{place // 2}", 1 + place % 2) for place in range(40)]  # each photo shows one person twice, as in a mirror
    groups = group_faces(columns(photos, embeddings), card).groups
    for place in range(0, 40, 2):
        assert groups[place] != groups[place + 1] or groups[place] < 0


def test_poor_faces_join_groups_and_found_none(card):
    embeddings, labels = crowd(12, 5)
    eyes = np.full(60, 40.0, dtype=np.float32)
    eyes[4:55:5] = 15  # one of each person but the last, whose faces are all poor
    eyes[55:] = 15
    album = group_faces(columns([(f"p{place}", 1) for place in range(60)], embeddings, eye_distances=eyes), card)
    assert (album.groups[55:] == -1).all() and album.unsure == 5
    np.testing.assert_array_equal(album.groups[:55, None] == album.groups[:55], labels[:55, None] == labels[:55])


def test_a_poor_face_joins_no_group_with_a_face_in_its_photo(card):
    embeddings, _ = crowd(3, 4)
    model = MergeModel.fit(card, embeddings)
    means = embeddings.reshape(3, 4, -1).mean(axis=1)
    assert join_poor_faces(embeddings[:1], ["p"], means, set(), model, least=0.3).groups.tolist() == [0]
    barred = join_poor_faces(embeddings[:1], ["p"], means, {(0, "p")}, model, least=0.3)
    assert barred.groups.tolist() == [-1] and barred.wrong == 0
    twins = join_poor_faces(embeddings[:2], ["p", "p"], means, set(), model, least=0.3)
    assert sorted(twins.groups.tolist()) == [-1, 0]


def test_names_merge_split_and_reject(card):
    embeddings, labels = crowd(10, 4)
    faces = columns([(f"p{place}", 1) for place in range(40)], embeddings)
    keys = faces.keys
    merged = dict.fromkeys(keys[:8], "Anna")
    names = Names({**merged, keys[8]: "Berta", keys[9]: "Clara"}, frozenset({keys[12]}))
    album = group_faces(faces, card, names=names)
    assert set(album.names[:8]) == {"Anna"} and album.groups[12] == -1
    assert album.names[8] == "Berta" and album.names[9] == "Clara" and album.groups[8] != album.groups[9]
    assert album.names[16] is None


def test_an_empty_album_and_a_card_without_scores(card):
    assert group_faces(columns([], []), card).people == (0, 0)
    with pytest.raises(ModelError, match="records no distribution of scores"):
        group_faces(columns([("p", 1)], [angle(0)]), Card(Crop((112, 112))))
    with pytest.raises(ValueError, match=r"precision must be in \(0, 1\), got 1"):
        group_faces(columns([("p", 1)], [angle(0)]), card, precision=1)


def test_lists_of_names_are_checked(tmp_path):
    path = tmp_path / "names.csv"
    path.write_text('face,name\r\n"a.jpg#1","Anna  Maria"\r\nb.jpg#2,-\r\n')
    names = read_names(path)
    assert names == Names({"a.jpg#1": "Anna Maria"}, frozenset({"b.jpg#2"}))
    names.write(tmp_path / "again.csv")
    assert read_names(tmp_path / "again.csv") == names
    changed = names.updated(Names({"b.jpg#2": "Berta"}, frozenset({"a.jpg#1"})))
    assert changed == Names({"b.jpg#2": "Berta"}, frozenset({"a.jpg#1"}))
    path.write_text("face,name\na.jpg#1,\nb.jpg#2,\n")
    assert names.updated(read_names(path)) == Names()
    for content, message in (
        ("who,name\na,b\n", "line 2 must have a face and a name; the first line must be: face,name"),
        ("face,name\na,b\na,c\n", "line 3: a has two names: b and c"),
        ("face,name\na,\u202eb\n", "line 2: "),
        ("face,name\na,../../b\n", r"line 2: a person's name becomes a folder: it must have no / .*, got '../../b'"),
        ("face,name\na,.ssh\n", "not begin with a dot"),
        (f"face,name\na,{'b' * 201}\n", "at most 200 bytes"),
    ):
        path.write_text(content)
        with pytest.raises(DataError, match=message):
            read_names(path)
    with pytest.raises(DataError, match="not a readable list of names"):
        read_names(tmp_path / "none.csv")


def test_a_folder_is_sorted_named_and_becomes_people(party, aligned_run, tmp_path, capsys, monkeypatch):
    stand_in(monkeypatch, FindsUpright())
    out, options = tmp_path / "album", ("--model", aligned_run, "--workers", 1)
    code, text, err = call(capsys, "sort", party, "--out", out, *options)
    assert (
        code == 0
        and text.startswith("7 faces, ")
        and "1 photo without a face, such as wall.png: no face was found" in text
        and "page to review: " in err
    )
    page = (out / "index.html").read_text()
    assert 'data-face="late/c.png#2"' in page and f"visavis sort {party} --out {out} --names names.csv" in page
    names = tmp_path / "names.csv"
    names.write_text("face,name\na.png#1,Anna\nlate/c.png#2,Anna\nb.png#1,Berta\n")
    code, text, err = call(capsys, "sort", party, "--out", out, "--names", names, "--json", *options)
    album = json.loads(text)
    named = {face["face"]: face["name"] for face in album["faces"]}
    assert code == 0 and named["a.png#1"] == named["late/c.png#2"] == "Anna" and named["b.png#1"] == "Berta"
    people = {folder.name: len(list(folder.iterdir())) for folder in (out / "people").iterdir()}
    assert people == {name: list(named.values()).count(name) for name in ("Anna", "Berta")}
    names.write_text("face,name\nb.png#1,-\n")
    call(capsys, "sort", party, "--out", out, "--names", names, *options)
    assert read_names(out / "names.csv").rejected == {"b.png#1"}
    assert not [*(out / "people").glob("Berta/*.jpg")]
    code, _, err = call(capsys, "sort", party, "--out", party / "album", *options)
    assert code == 2 and "must lie outside" in err and not (party / "album").exists()


@pretrained
@pytest.mark.real_faces
def test_four_commands_from_unlabelled_photos_to_people_found_tomorrow(lfw_archive, tmp_path, capsys):
    chosen = ("Serena_Williams", "George_W_Bush", "Tony_Blair")
    party, tomorrow = tmp_path / "party", tmp_path / "tomorrow"
    party.mkdir(), tomorrow.mkdir()
    with visavis.data.open_photos(lfw_archive) as files:
        for person in chosen:
            photos = [name for name, who in files.photos if who == person][:7]
            for number, name in enumerate(photos):
                folder = party if number < 5 else tomorrow
                (folder / Path(name).name).write_bytes(files.fetch(name))
    album = sort_photos(party, tmp_path / "album", settings=ReadingSettings(workers=1))
    keys = album.faces.keys
    names = tmp_path / "names.csv"
    names.write_text("face,name\n" + "".join(f"{person}_0001.jpg#1,{person}\n" for person in chosen))
    assert call(capsys, "sort", party, "--out", tmp_path / "album", "--names", names, "--workers", 1)[0] == 0
    sorted_album = list(csv.DictReader((tmp_path / "album" / "faces.csv").read_text().splitlines()))
    main = [row for row in sorted_album if row["face"].endswith("#1")]
    assert len(keys) >= 15 and sum(row["name"] in row["photo"] and row["name"] != "" for row in main) >= 14
    code, text, _ = call(capsys, "find", tmp_path / "album" / "people", tomorrow, "--json", "--workers", 1)
    faces = [face for face in json.loads(text)["faces"] if face["number"] == 1]
    assert code == 0 and all(face["subject"] and face["subject"] in face["photo"] for face in faces) and len(faces) == 6
