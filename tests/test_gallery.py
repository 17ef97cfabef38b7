"""Galleries in SQLite: enrolled, found, deleted; several threads and processes; what is left on the disk."""

import multiprocessing
import sqlite3
import stat
import threading
import zipfile
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest

from visavis.encoders.card import Card
from visavis.errors import DamagedGalleryError, GalleryError, GalleryKeyError, UnknownSubjectError, WrongEncoderError
from visavis.faces import Crop
from visavis.gallery import Hit, export_gallery, matrix as matrix_module, open_gallery
from visavis.gallery.keyfile import keys_of, replacement_of
from visavis.gallery.matrix import Matrix
from visavis.gallery.records import Enrolment, photo_digest
from visavis.gallery.schema import VERSION

SIZE = 8
KEY = "00112233445566778899aabbccddeeff" * 2


@dataclass(frozen=True)
class FakeEncoder:
    """The mean of the first rows of pixels, instead of a network."""

    digest: str = "a" * 64
    card: Card = Card(Crop((4, SIZE), "gray"))

    def embed(self, faces):
        rows = faces[:, 0, :, 0].astype(np.float32) + 1
        return rows / np.linalg.norm(rows, axis=1, keepdims=True)


ENCODER = FakeEncoder()


def unit(count, seed=0, size=SIZE):
    rows = np.random.default_rng(seed).normal(size=(count, size)).astype(np.float32)
    return rows / np.linalg.norm(rows, axis=1, keepdims=True)


def angle(degrees):
    """A point on a circle, so that scores can be worked out by hand."""
    row = np.zeros(SIZE, dtype=np.float32)
    row[:2] = np.cos(np.radians(degrees)), np.sin(np.radians(degrees))
    return row


@pytest.fixture(autouse=True)
def no_key(monkeypatch):
    monkeypatch.delenv("VISAVIS_GALLERY_KEY", raising=False)


@pytest.fixture(params=[None, KEY], ids=["open", "encrypted"])
def key(request):
    return request.param


@pytest.fixture
def gallery(tmp_path, key):
    with open_gallery(tmp_path / "door.gallery", ENCODER, key=key) as gallery:
        yield gallery


def brute_force(people, probe, top):
    """The best subjects by comparing with the mean of each one's references, one by one."""
    best = {
        name: float(rows.mean(axis=0) @ probe / np.linalg.norm(rows.mean(axis=0))) for name, rows in people.items() if len(rows)
    }
    return sorted(best.items(), key=lambda item: -item[1])[:top]


def found_in(gallery, probe, top=5):
    return [(hit.subject, pytest.approx(hit.score, abs=1e-5)) for hit in gallery.search(probe[None], top=top)[0]]


def traces(folder, value):
    """The files under a folder that hold these bytes."""
    return [path.name for path in folder.iterdir() if value in path.read_bytes()]


def test_a_subject_is_scored_by_the_mean_of_its_references_and_the_nearest_is_named(gallery):
    references = gallery.enrol("anna", np.array([angle(0), angle(20)]))
    (other,) = gallery.enrol("berta", angle(70)[None])
    assert gallery.search(angle(30)[None])[0] == [
        Hit("anna", references[1], pytest.approx(np.cos(np.radians(20)))),
        Hit("berta", other, pytest.approx(np.cos(np.radians(40)))),
    ]
    assert [hit.subject for hit in gallery.search(angle(30)[None], threshold=0.9)[0]] == ["anna"]
    assert [hit.subject for hit in gallery.search(angle(60)[None], top=1)[0]] == ["berta"]
    assert gallery.verify("anna", angle(-5)) == Hit("anna", references[0], pytest.approx(np.cos(np.radians(15))))
    assert (len(gallery), gallery.subject_count) == (3, 2)


def test_an_empty_gallery_finds_nobody(gallery):
    assert gallery.search(unit(2)) == [[], []]
    assert (len(gallery), gallery.subjects()) == (0, [])


def test_subjects_are_listed_by_name_and_page(gallery):
    for name in ("clara", "anna", "berta"):
        gallery.enrol(name, unit(2))
    assert [subject.name for subject in gallery.subjects()] == ["anna", "berta", "clara"]
    assert [subject.name for subject in gallery.subjects(after="anna", limit=1)] == ["berta"]
    gallery.enrol("anna", unit(1))
    assert len(gallery.subject("anna").references) == 3
    with pytest.raises(UnknownSubjectError, match="no subject named 'dora' is enrolled"):
        gallery.subject("dora")


def test_search_equals_brute_force_through_enrolments_and_deletions(gallery, monkeypatch):
    monkeypatch.setattr(matrix_module, "BLOCK", 16)  # so that a few references fill several blocks
    rng = np.random.default_rng(3)
    people = {}
    for step in range(120):
        name = f"p{rng.integers(25)}"
        if rng.random() < 0.3 and name in people:
            assert gallery.delete(name) == len(people.pop(name))
        else:
            rows = unit(rng.integers(1, 5), seed=step)
            gallery.enrol(name, rows)
            people[name] = np.concatenate([people.get(name, rows[:0]), rows])
        probe = unit(1, seed=1000 + step)[0]
        assert found_in(gallery, probe, 4) == brute_force(people, probe, 4)
    probes = unit(5, seed=9)
    assert [hits[0].subject for hits in gallery.search(probes)] == [brute_force(people, probe, 1)[0][0] for probe in probes]
    gallery.check()


def test_a_gallery_lives_on_the_disk(gallery, tmp_path, key):
    gallery.enrol("anna", angle(0)[None])
    with open_gallery(tmp_path / "door.gallery", ENCODER, key=key) as again:
        assert found_in(again, angle(0)) == [("anna", pytest.approx(1))]
    assert stat.S_IMODE((tmp_path / "door.gallery").stat().st_mode) == 0o600


def test_what_others_write_is_found_and_what_they_delete_is_not(gallery, tmp_path, key):
    with open_gallery(tmp_path / "door.gallery", ENCODER, key=key) as other:
        assert gallery.search(angle(0)[None]) == [[]]
        other.enrol("anna", angle(0)[None])
        assert [hit.subject for hit in gallery.search(angle(0)[None])[0]] == ["anna"]
        other.delete("anna")
        other.enrol("anna", angle(90)[None])
        assert found_in(gallery, angle(90)) == [("anna", pytest.approx(1))]
        assert len(gallery) == 1


def test_no_name_embedding_or_photo_is_ever_on_the_disk(tmp_path, key):
    rows, photo = unit(40), b"a photo that nobody else has " * 400
    with open_gallery(tmp_path / "door.gallery", ENCODER, key=key) as gallery:
        gallery.enrol("anna the forgotten", rows, photos=[photo] * 40, actor="clerk")
        gallery.rename("anna the forgotten", "anna the renamed")
        for value in (*(row.tobytes()[:16] for row in rows), photo[:16], b"anna the"):
            assert not traces(tmp_path, value)
        assert found_in(gallery, rows[0]) == brute_force({"anna the renamed": rows}, rows[0], 1)


def test_what_is_left_of_a_deleted_subject_cannot_be_read(tmp_path, key):
    path = tmp_path / "door.gallery"
    with open_gallery(path, ENCODER, key=key) as gallery:
        gallery.enrol("anna", unit(3), photos=[b"her photo"] * 3)
        gallery.enrol("berta", unit(3, seed=1))
        copies = {file.name: file.read_bytes() for file in tmp_path.iterdir() if not file.name.endswith((".keys", "-shm"))}
        assert gallery.delete("anna") == 3
    for name, content in copies.items():  # as a backup from before the deletion would be restored
        (tmp_path / name).write_bytes(content)
    with open_gallery(path, ENCODER, key=key) as restored:
        assert [subject.name for subject in restored.subjects()] == ["berta"]
        assert len(restored) == 3
        assert found_in(restored, unit(1)[0])[0][0] == "berta"
        restored.check()


def test_the_key_of_a_deleted_subject_is_overwritten(tmp_path, key):
    path = tmp_path / "door.gallery"
    with open_gallery(path, ENCODER, key=key) as gallery:
        gallery.enrol("anna", unit(1))
        slots = keys_of(path).read_bytes()[4096:]
        gallery.delete("anna")
        left = keys_of(path).read_bytes()[4096:]
    assert any(slots[:60])
    assert not any(left[:64])
    assert left[64:] == slots[64:]


def test_a_deletion_waits_for_no_reader(tmp_path):
    with open_gallery(tmp_path / "door.gallery", ENCODER) as gallery:
        gallery.enrol("anna", unit(1))
        reader = sqlite3.connect(tmp_path / "door.gallery", isolation_level=None)
        reader.execute("BEGIN")
        reader.execute("SELECT * FROM enrolled").fetchall()
        assert gallery.delete("anna") == 1
        with open_gallery(tmp_path / "door.gallery", ENCODER) as other:
            assert other.subjects() == []
        reader.close()
        with pytest.raises(UnknownSubjectError):
            gallery.subject("anna")


def test_a_deletion_on_a_full_disk_is_one(tmp_path, monkeypatch):
    path = tmp_path / "door.gallery"
    with open_gallery(path, ENCODER) as gallery:
        gallery.enrol("anna", unit(2))
        gallery.enrol("berta", unit(1, seed=1))
        gallery.search(unit(1))

        def full(*_, **__):
            raise sqlite3.OperationalError("database or disk is full")

        monkeypatch.setattr("visavis.gallery.sqlite.write_log", full)
        assert gallery.delete("anna") == 2
        monkeypatch.undo()
        assert found_in(gallery, unit(1)[0])[0][0] == "berta"
        with pytest.raises(UnknownSubjectError):
            gallery.verify("anna", unit(1)[0])
    with open_gallery(path, ENCODER) as gallery:
        assert [subject.name for subject in gallery.subjects()] == ["berta"]
        assert len(gallery) == 1
        gallery.check()


def test_a_gallery_without_its_key_file_is_refused(tmp_path):
    path = tmp_path / "door.gallery"
    open_gallery(path, ENCODER).close()
    keys_of(path).rename(tmp_path / "elsewhere")
    with pytest.raises(GalleryKeyError, match="door.gallery.keys: the key file is missing"):
        open_gallery(path, ENCODER)
    open_gallery(tmp_path / "other.gallery", ENCODER).close()
    keys_of(tmp_path / "other.gallery").rename(keys_of(path))
    with pytest.raises(GalleryKeyError, match="the key file of another gallery"):
        open_gallery(path, ENCODER)
    keys_of(path).write_bytes((tmp_path / "elsewhere").read_bytes()[:60] + bytes(5000))
    with pytest.raises(DamagedGalleryError, match="not a key file, or a damaged one"):
        open_gallery(path, ENCODER)


def test_an_exchange_of_key_files_that_was_interrupted_is_finished(tmp_path):
    path = tmp_path / "door.gallery"
    with open_gallery(path, ENCODER) as gallery:
        gallery.enrol("anna", unit(1))
    keys_of(path).rename(replacement_of(path))
    keys_of(path).write_bytes(b"visavis gallery keys 1\n" + bytes(5000))
    with open_gallery(path, ENCODER) as gallery:
        assert gallery.subject("anna").name == "anna"
    assert not replacement_of(path).exists()


@pytest.mark.parametrize("moved", ["door.gallery", "door.gallery.keys"])
def test_a_gallery_that_was_moved_away_takes_no_enrolment(tmp_path, moved):
    with open_gallery(tmp_path / "door.gallery", ENCODER) as gallery:
        gallery.enrol("anna", unit(1))
        (tmp_path / moved).rename(tmp_path / "elsewhere")
        for use in (lambda: gallery.enrol("berta", unit(1)), gallery.refresh):
            with pytest.raises(GalleryError, match="moved, deleted or replaced while it was open"):
                use()


@pytest.mark.parametrize(("name", "key"), [("gallery-v1", None), ("gallery-v1-encrypted", KEY)])
def test_a_file_of_version_1_is_upgraded(tmp_path, name, key):
    path = tmp_path / "door.gallery"
    path.write_bytes((Path(__file__).parent / "data" / f"{name}.sqlite").read_bytes())
    if key is not None:
        with pytest.raises(GalleryKeyError, match="the key is missing"):
            open_gallery(path, ENCODER)
    with open_gallery(path, ENCODER, key=key) as gallery:
        names = [(subject.name, subject.references) for subject in gallery.subjects()]
        assert names == [("Jos\u00e9", ("3",)), ("anna", ("1", "2")), ("berta", ("5", "6", "7"))]
        hit = gallery.verify("anna", unit(2, seed=1)[1])
        assert (hit.reference, hit.score) == (
            "2",
            pytest.approx(brute_force({"anna": unit(2, seed=1)}, unit(2, seed=1)[1], 1)[0][1]),
        )
        gallery.check()
        assert [(entry.action, entry.name) for entry in gallery.log()][-1] == ("enrol", "berta")
        gallery.enrol("dora", unit(1, seed=9))
        assert gallery.subject("dora").references == ("8",)
        out = tmp_path / "photos.zip"
        export_gallery(gallery, out)
        with zipfile.ZipFile(out) as archive:
            assert archive.read("photos/2") == b"photo of anna, two"
    for value in (b"berta", unit(3, seed=4)[0].tobytes()[:12], b"photo of"):
        assert not [file for file in tmp_path.iterdir() if value in file.read_bytes() and file.suffix != ".zip"]


def test_the_same_photo_is_enrolled_once(gallery):
    first, second = photo_digest(np.zeros((4, 4, 3), np.uint8)), photo_digest(np.ones((4, 4, 3), np.uint8))
    assert gallery.enrol("anna", unit(2), digests=[first, second]) == ("1", "2")
    assert gallery.enrol("anna", unit(3), digests=[first, None, second]) == ("3",)
    assert gallery.enrol("anna", unit(2), digests=[first, second]) == ()
    assert gallery.enrol("berta", unit(2), digests=[second, second]) == ("4",)
    assert len(gallery) == 4


def test_references_are_removed_subjects_renamed_and_merged(gallery, tmp_path, key):
    digest = photo_digest(np.zeros((4, 4, 3), np.uint8))
    with open_gallery(tmp_path / "door.gallery", ENCODER, key=key) as other:
        gallery.enrol("anna", np.stack([angle(0), angle(30)]), digests=[digest, None])
        gallery.enrol("berta", np.stack([angle(90), angle(0)]), digests=[None, digest])
        near, far = (pytest.approx(np.cos(np.radians(degrees))) for degrees in (5, 25))
        assert found_in(other, angle(20)) == [("anna", near), ("berta", far)]
        gallery.remove("anna", "2")
        assert dict(found_in(other, angle(20)))["anna"] == pytest.approx(np.cos(np.radians(20)))
        gallery.rename("anna", "Anna  Maria ")
        assert [(one.name, one.references) for one in other.subjects()] == [("Anna Maria", ("1",)), ("berta", ("3", "4"))]
        assert gallery.merge("berta", "Anna Maria") == 2  # one photo is in both
        assert found_in(other, angle(90)) == [("Anna Maria", pytest.approx(np.cos(np.pi / 4)))]
        assert len(other) == 2
        other.check()
        with pytest.raises(UnknownSubjectError, match="'berta'"):
            other.verify("berta", angle(0))
        with pytest.raises(UnknownSubjectError, match="has no reference '99'"):
            gallery.remove("Anna Maria", "99")
        with pytest.raises(ValueError, match="must differ"):
            gallery.merge("Anna Maria", "Anna Maria ")
        gallery.enrol("clara", angle(180)[None])
        with pytest.raises(GalleryError, match="the only reference of 'clara'"):
            gallery.remove("clara", "5")
        with pytest.raises(GalleryError, match="'clara' is already enrolled"):
            gallery.rename("Anna Maria", "clara")
        assert [entry.action for entry in gallery.log()] == ["enrol", "enrol", "remove", "rename", "merge", "merge", "enrol"]


def test_encrypted_galleries_show_no_embedding_and_no_photo(tmp_path):
    with open_gallery(tmp_path / "door.gallery", ENCODER, key=KEY) as gallery:
        row = unit(1)
        gallery.enrol("anna", row, photos=[b"a photo of hers"])
        assert not traces(tmp_path, row.tobytes())
        assert not traces(tmp_path, b"a photo of hers")


@pytest.mark.parametrize(
    ("made_with", "opened_with", "message"),
    [
        (KEY, None, "encrypted, and no key was given"),
        (KEY, KEY[::-1], "encrypted with another key"),
        (None, KEY, "has no gallery key, but one was given"),
        (KEY, "secret", "64 hexadecimal digits"),
    ],
)
def test_the_key_must_be_the_gallerys(tmp_path, made_with, opened_with, message):
    open_gallery(tmp_path / "door.gallery", ENCODER, key=made_with).close()
    with pytest.raises(GalleryKeyError, match=message):
        open_gallery(tmp_path / "door.gallery", ENCODER, key=opened_with)


def test_the_key_comes_from_the_environment(tmp_path, monkeypatch):
    monkeypatch.setenv("VISAVIS_GALLERY_KEY", KEY)
    open_gallery(tmp_path / "door.gallery", ENCODER).close()
    monkeypatch.delenv("VISAVIS_GALLERY_KEY")
    with pytest.raises(GalleryKeyError, match="encrypted, and no key was given"):
        open_gallery(tmp_path / "door.gallery", ENCODER)


def test_an_encrypted_embedding_cannot_be_put_under_another_name(tmp_path):
    path = tmp_path / "door.gallery"
    with open_gallery(path, ENCODER, key=KEY) as gallery:
        gallery.enrol("anna", unit(1))
        gallery.enrol("berta", unit(1, seed=1))
    with closing(sqlite3.connect(path)) as intruder, intruder:
        intruder.execute("UPDATE enrolled SET subject = 3 - subject")
    with open_gallery(path, ENCODER, key=KEY) as gallery:
        with pytest.raises(GalleryKeyError, match="modified, moved or encrypted with another key"):
            gallery.search(unit(1))
        with pytest.raises(DamagedGalleryError, match="modified, moved"):
            gallery.check()


@pytest.mark.parametrize(
    ("swapped", "message"),
    [("name = b.name", "modified, moved"), ("name_index = b.name_index", "the index of names was modified")],
)
def test_names_cannot_be_swapped(tmp_path, key, swapped, message):
    path = tmp_path / "door.gallery"
    with open_gallery(path, ENCODER, key=key) as gallery:
        gallery.enrol("anna", unit(1))
        gallery.enrol("berta", unit(1, seed=1))
    with closing(sqlite3.connect(path)) as intruder, intruder:
        intruder.execute("CREATE TABLE b AS SELECT 3 - number AS number, name, name_index FROM subjects")
        intruder.execute("UPDATE subjects SET name_index = number")
        intruder.execute(f"UPDATE subjects SET {swapped} FROM b WHERE b.number = subjects.number")
        if "index" not in swapped:
            intruder.execute("UPDATE subjects SET name_index = b.name_index FROM b WHERE b.number = 3 - subjects.number")
        intruder.execute("DROP TABLE b")
    with open_gallery(path, ENCODER, key=key) as gallery:
        with pytest.raises((DamagedGalleryError, GalleryKeyError), match=message):
            gallery.verify("anna", unit(1)[0])
        with pytest.raises(DamagedGalleryError, match=message):
            gallery.check()


def test_another_encoders_embeddings_are_refused(tmp_path):
    path = tmp_path / "door.gallery"
    open_gallery(path, ENCODER).close()
    with pytest.raises(WrongEncoderError, match="belongs to the encoder aaaaaaaaaaaaaaaa, not to bbbbbbbbbbbbbbbb"):
        open_gallery(path, FakeEncoder(digest="b" * 64))
    with open_gallery(path, None) as gallery:
        assert (gallery.digest, gallery.size, len(gallery)) == (ENCODER.digest, SIZE, 0)
        for use in (gallery.search, lambda rows: gallery.enrol("anna", rows), lambda rows: gallery.verify("anna", rows[0])):
            with pytest.raises(WrongEncoderError, match="opened without an encoder"):
                use(unit(1))


def test_bad_arguments(gallery):
    gallery.enrol("anna", unit(1))
    with pytest.raises(ValueError, match=r"embeddings must have shape \(n, 8\), got \(1, 9\)"):
        gallery.enrol("anna", unit(1, size=9))
    with pytest.raises(ValueError, match="rows of unit length"):
        gallery.enrol("anna", 2 * unit(1))
    with pytest.raises(ValueError, match="rows of unit length"):
        gallery.search(np.full((1, SIZE), np.nan, dtype=np.float32))
    with pytest.raises(ValueError, match="got 2 embeddings, 1 photo, 0 digests"):
        gallery.enrol("anna", unit(2), photos=[b"one"])
    with pytest.raises(ValueError, match="top must be at least 1"):
        gallery.search(unit(1), top=0)
    for name, message in (
        ("", "must not be empty"),
        ("a\x07b", "invisible characters"),
        ("x" * 201, "at most 200 characters, got 201"),
    ):
        with pytest.raises(ValueError, match=f"a subject's name must .*{message}|a subject's name {message}"):
            gallery.enrol(name, unit(1))
    assert len(gallery) == 1


def test_files_that_are_no_gallery(tmp_path):
    with pytest.raises(GalleryError, match=r"door.gallery: no such gallery"):
        open_gallery(tmp_path / "door.gallery", ENCODER, create=False)
    with pytest.raises(GalleryError, match="no such gallery"):
        open_gallery(tmp_path / "door.gallery", None)
    text = tmp_path / "text.gallery"
    text.write_text("not a database " * 100)
    with pytest.raises(DamagedGalleryError, match="not a gallery"):
        open_gallery(text, ENCODER)
    other = tmp_path / "other.gallery"
    with closing(sqlite3.connect(other)) as database, database:
        database.execute("CREATE TABLE notes (text)")
    with pytest.raises(DamagedGalleryError, match="a database, but not a visavis gallery"):
        open_gallery(other, ENCODER)


def test_a_file_of_a_newer_visavis_is_refused(tmp_path):
    path = tmp_path / "door.gallery"
    open_gallery(path, ENCODER).close()
    with closing(sqlite3.connect(path)) as database, database:
        database.execute(f"PRAGMA user_version = {VERSION + 1}")
    with pytest.raises(GalleryError, match="by a newer visavis"):
        open_gallery(path, ENCODER)


def test_check_finds_damaged_pages(tmp_path):
    path = tmp_path / "door.gallery"
    with open_gallery(path, ENCODER) as gallery:
        gallery.enrol("anna", unit(600))
    data = bytearray(path.read_bytes())
    data[len(data) // 2 : len(data) // 2 + 3000] = b"\xff" * 3000
    path.write_bytes(data)
    with pytest.raises(DamagedGalleryError), open_gallery(path, ENCODER) as gallery:
        gallery.check()


def test_check_finds_changed_embeddings(tmp_path):
    path = tmp_path / "door.gallery"
    with open_gallery(path, ENCODER) as gallery:
        gallery.enrol("anna", unit(2))
    with closing(sqlite3.connect(path)) as intruder, intruder:
        intruder.execute("UPDATE enrolled SET embedding = zeroblob(32) WHERE number = 2")
    with open_gallery(path, ENCODER) as gallery, pytest.raises(DamagedGalleryError, match="modified, moved"):
        gallery.check()


def test_threads_share_a_gallery(gallery):
    failures = []

    def work(number):
        try:
            for step in range(12):
                gallery.enrol(f"t{number}-{step}", unit(1, seed=100 * number + step).repeat(2, axis=0))
                assert gallery.search(unit(1, seed=100 * number + step))[0][0].subject == f"t{number}-{step}"
                if step % 3 == 2:
                    gallery.delete(f"t{number}-{step - 1}")
        except BaseException as error:
            failures.append(error)

    threads = [threading.Thread(target=work, args=(number,)) for number in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not failures
    assert len(gallery) == 4 * 2 * (12 - 4)


def test_a_gallery_opens_and_is_searched_during_a_long_write(tmp_path):
    path = tmp_path / "door.gallery"
    with open_gallery(path, ENCODER) as gallery:
        gallery.enrol("anna", unit(1))
        writer = sqlite3.connect(path, isolation_level=None)
        writer.execute("BEGIN IMMEDIATE")
        with open_gallery(path, ENCODER) as other:
            assert other.search(unit(1))[0][0].subject == "anna"
        writer.close()


def _enrol_some(path, number):
    with open_gallery(path, ENCODER) as gallery:
        for step in range(10):
            gallery.enrol(f"process {number}, {step}", unit(1, seed=100 * number + step))


def test_processes_share_a_gallery_from_its_first_moment(tmp_path):
    path = tmp_path / "door.gallery"
    spawn = multiprocessing.get_context("spawn")
    workers = [spawn.Process(target=_enrol_some, args=(path, number)) for number in range(3)]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join()
    assert [worker.exitcode for worker in workers] == [0, 0, 0]
    with open_gallery(path, ENCODER) as gallery:
        assert len(gallery) == 30
        assert gallery.search(unit(1, seed=205))[0][0].subject == "process 2, 5"
        gallery.check()


def test_two_who_make_a_gallery_at_once_wait_for_each_other(tmp_path):
    path = tmp_path / "door.gallery"
    path.touch()
    with closing(sqlite3.connect(path, isolation_level=None, check_same_thread=False)) as other:
        other.execute("BEGIN IMMEDIATE")  # SQLite refuses at once, without its timeout, to turn such a file to its log
        release = threading.Timer(0.2, other.execute, ["ROLLBACK"])
        release.start()
        try:
            with open_gallery(path, ENCODER) as gallery:
                gallery.enrol("anna", unit(1))
                assert gallery.search(unit(1))[0][0].subject == "anna"
        finally:
            release.join()


def test_a_closed_gallery_says_so(tmp_path):
    gallery = open_gallery(tmp_path / "door.gallery", ENCODER)
    gallery.close()
    with pytest.raises(GalleryError, match="closed"):
        gallery.search(unit(1))


def test_the_matrix_overwrites_what_is_removed():
    matrix = Matrix(SIZE)
    numbers = np.arange(3)
    matrix.add(numbers, unit(3))
    matrix.remove(np.array([0]))
    assert len(matrix) == 2
    assert not matrix._blocks[0].vectors[2].any()
    matrix.remove(np.array([1, 2]))
    assert (len(matrix), matrix._blocks) == (0, [])


def test_templates_grow_by_references_that_come_later(monkeypatch):
    monkeypatch.setattr(matrix_module, "BLOCK", 2)
    matrix = Matrix(SIZE)
    matrix.add(np.array([0, 1, 2, 0]), np.array([angle(0), angle(40), angle(80), angle(10)]))
    matrix.add(np.array([2, 3, 0]), np.array([angle(60), angle(-90), angle(20)]))
    (found,) = matrix.search(angle(10)[None], top=4)
    assert found.subjects.tolist() == [0, 1, 2, 3]
    np.testing.assert_allclose(found.scores, np.cos(np.radians([0, 30, 60, 100])), atol=1e-6)
    matrix.add(np.zeros(0, dtype=np.int64), unit(3)[:0])
    matrix.remove(np.array([0, 3]))
    assert matrix.search(angle(10)[None], top=4)[0].subjects.tolist() == [1, 2]


def test_references_that_cancel_out_match_nobody():
    matrix = Matrix(SIZE)
    matrix.add(np.array([0, 0]), np.array([angle(0), -angle(0)]))
    assert matrix.search(angle(0)[None], top=1)[0].scores.tolist() == [0]


def test_names_are_compared_in_their_normal_form(gallery):
    """José in two normal forms is one subject: deleting one leaves nothing of the other."""
    composed, decomposed = "Jos\u00e9 Garc\u00eda", " Jose\u0301  Garci\u0301a "
    gallery.enrol(decomposed, unit(1))
    gallery.enrol(composed, unit(2))
    assert [subject.name for subject in gallery.subjects()] == [composed]
    assert gallery.subject(decomposed).name == gallery.verify(decomposed, unit(1)[0]).subject == composed
    with pytest.raises(GalleryError, match="is already enrolled"):
        gallery.enrol_all([Enrolment(decomposed, unit(1), [None])])
    assert gallery.subjects(after=decomposed) == []
    assert gallery.delete(decomposed) == 3
    assert gallery.subjects() == []
