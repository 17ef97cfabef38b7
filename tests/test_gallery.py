"""Galleries in SQLite: enrolled, found, deleted; several threads and processes; what is left on the disk."""

import multiprocessing
import sqlite3
import stat
import threading
from contextlib import closing
from dataclasses import dataclass

import numpy as np
import pytest

from visavis.encoders.card import Card
from visavis.errors import DamagedGalleryError, GalleryError, GalleryKeyError, UnknownSubjectError, WrongEncoderError
from visavis.faces import Crop
from visavis.gallery import Hit, matrix as matrix_module, open_gallery
from visavis.gallery.matrix import Matrix
from visavis.gallery.records import Enrolment
from visavis.gallery.schema import MIGRATIONS

SIZE = 8
KEY = "00112233445566778899aabbccddeeff" * 2


@dataclass(frozen=True)
class FakeEncoder:
    """The mean of the first rows of pixels, in the place of a network."""

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
    if request.param:
        pytest.importorskip("cryptography", reason="encryption needs the extra gallery")
    return request.param


@pytest.fixture
def gallery(tmp_path, key):
    with open_gallery(tmp_path / "door.gallery", ENCODER, key=key) as gallery:
        yield gallery


def brute_force(people, probe, top):
    """The best subjects by comparing with every reference, one by one."""
    best = {name: max(float(row @ probe) for row in rows) for name, rows in people.items() if len(rows)}
    return sorted(best.items(), key=lambda item: -item[1])[:top]


def found_in(gallery, probe, top=5):
    return [(hit.subject, pytest.approx(hit.score, abs=1e-5)) for hit in gallery.search(probe[None], top=top)[0]]


def traces(folder, value):
    """The files under a folder that hold these bytes."""
    return [path.name for path in folder.iterdir() if value in path.read_bytes()]


def test_the_best_reference_of_each_subject_is_found(gallery):
    references = gallery.enrol("anna", np.array([angle(0), angle(20)]))
    (other,) = gallery.enrol("berta", angle(70)[None])
    assert gallery.search(angle(30)[None])[0] == [
        Hit("anna", references[1], pytest.approx(np.cos(np.radians(10)))),
        Hit("berta", other, pytest.approx(np.cos(np.radians(40)))),
    ]
    assert [hit.subject for hit in gallery.search(angle(30)[None], threshold=0.9)[0]] == ["anna"]
    assert [hit.subject for hit in gallery.search(angle(60)[None], top=1)[0]] == ["berta"]
    assert gallery.verify("anna", angle(-5)) == Hit("anna", references[0], pytest.approx(np.cos(np.radians(5))))
    assert len(gallery) == 3


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


def test_nothing_of_a_deleted_subject_is_left_on_the_disk(tmp_path):
    rows, photo = unit(40), b"a photo that nobody else has " * 400
    with open_gallery(tmp_path / "door.gallery", ENCODER) as gallery:
        gallery.enrol("anna the forgotten", rows, photos=[photo] * 40, actor="clerk")
        gallery.enrol("berta", unit(3, seed=1))
        for value in (rows[0].tobytes(), photo[:200], b"anna the forgotten"):
            assert traces(tmp_path, value)
        assert gallery.delete("anna the forgotten", actor="clerk") == 40
        for value in (*(row.tobytes() for row in rows), photo[:200], b"anna the forgotten"):
            assert not traces(tmp_path, value)
        assert len(gallery) == 3


def test_what_was_not_swept_is_swept_by_the_next_one_who_opens(tmp_path):
    row = unit(1)
    with open_gallery(tmp_path / "door.gallery", ENCODER) as gallery:
        gallery.enrol("anna", row)
        with closing(sqlite3.connect(tmp_path / "door.gallery")) as died, died:  # a process that died before it could sweep
            died.execute("PRAGMA foreign_keys = ON")
            died.execute("PRAGMA secure_delete = ON")
            died.execute("DELETE FROM subjects")
        assert traces(tmp_path, row.tobytes())
        open_gallery(tmp_path / "door.gallery", ENCODER).close()
        assert not traces(tmp_path, row.tobytes())


def test_a_deletion_that_leaves_traces_says_so(tmp_path, monkeypatch):
    monkeypatch.setattr("visavis.gallery.schema._TIMEOUT", 0.05)
    with open_gallery(tmp_path / "door.gallery", ENCODER) as gallery:
        gallery.enrol("anna", unit(1))
        reader = sqlite3.connect(tmp_path / "door.gallery", isolation_level=None)
        reader.execute("BEGIN")
        reader.execute("SELECT * FROM enrolled").fetchall()
        with pytest.raises(GalleryError, match="anna is deleted, but another process kept reading"):
            gallery.delete("anna")
        reader.close()
        with pytest.raises(UnknownSubjectError):
            gallery.subject("anna")


def test_encrypted_galleries_show_no_embedding_and_no_photo(tmp_path):
    pytest.importorskip("cryptography")
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
        (None, KEY, "is not encrypted, but a key was given"),
        (KEY, "secret", "64 hexadecimal digits"),
    ],
)
def test_the_key_must_be_the_gallerys(tmp_path, made_with, opened_with, message):
    pytest.importorskip("cryptography")
    open_gallery(tmp_path / "door.gallery", ENCODER, key=made_with).close()
    with pytest.raises(GalleryKeyError, match=message):
        open_gallery(tmp_path / "door.gallery", ENCODER, key=opened_with)


def test_the_key_comes_from_the_environment(tmp_path, monkeypatch):
    pytest.importorskip("cryptography")
    monkeypatch.setenv("VISAVIS_GALLERY_KEY", KEY)
    open_gallery(tmp_path / "door.gallery", ENCODER).close()
    monkeypatch.delenv("VISAVIS_GALLERY_KEY")
    with pytest.raises(GalleryKeyError, match="encrypted, and no key was given"):
        open_gallery(tmp_path / "door.gallery", ENCODER)


def test_an_encrypted_embedding_cannot_be_put_under_another_name(tmp_path):
    pytest.importorskip("cryptography")
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
    with pytest.raises(ValueError, match="got 2 embeddings, 1 photos"):
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
        database.execute(f"PRAGMA user_version = {len(MIGRATIONS) + 1}")
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
    with open_gallery(path, ENCODER) as gallery, pytest.raises(DamagedGalleryError, match="unit length"):
        gallery.check()


def test_threads_share_a_gallery(gallery):
    failures = []

    def work(number):
        try:
            for step in range(12):
                gallery.enrol(f"t{number}-{step}", unit(2, seed=100 * number + step))
                assert gallery.search(unit(2, seed=100 * number + step))[0][0].subject == f"t{number}-{step}"
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


def test_a_gallery_opens_and_is_searched_while_somebody_writes_for_long(tmp_path):
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
    matrix.append(numbers, numbers, unit(3))
    matrix.remove(np.array([0]))
    assert len(matrix) == 2
    assert not matrix._blocks[0].vectors[2].any()
    matrix.remove(np.array([1, 2]))
    assert (len(matrix), matrix._blocks) == (0, [])


def test_subjects_of_many_references_do_not_hide_others():
    matrix = Matrix(SIZE)
    near = np.tile(angle(1), (500, 1))
    matrix.append(np.arange(502), np.array([0] * 500 + [1, 2]), np.array([*near, angle(40), angle(80)]))
    assert matrix.search(angle(0)[None], top=3)[0].subjects.tolist() == [0, 1, 2]


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
