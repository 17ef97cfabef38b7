"""Backup, export and import, rotation of the key, another encoder, and the log."""

import json
import shutil
import tracemalloc
import zipfile

import numpy as np
import pytest
from test_gallery import ENCODER, KEY, FakeEncoder, angle, traces

from visavis.errors import DamagedGalleryError, FaceError, GalleryError, GalleryKeyError, UnknownSubjectError, WrongEncoderError
from visavis.gallery import back_up, binding_of, export_gallery, import_gallery, open_gallery, reembed, rotate
from visavis.gallery.keyfile import keys_of, replacement_of

OTHER_KEY = KEY[::-1]
OTHER = FakeEncoder(digest="b" * 64)


@pytest.fixture(autouse=True)
def no_key(monkeypatch):
    monkeypatch.delenv("VISAVIS_GALLERY_KEY", raising=False)


@pytest.fixture
def gallery(tmp_path):
    with open_gallery(tmp_path / "door.gallery", ENCODER) as gallery:
        gallery.enrol("anna", np.array([angle(0), angle(20)]), photos=[b"anna, first", b"anna, second"], actor="clerk")
        gallery.enrol("berta", angle(70)[None])
        gallery.enrol("anna", angle(25)[None])
        yield gallery


def test_a_backup_is_a_gallery_and_one_file(gallery, tmp_path):
    out = back_up(gallery, tmp_path / "copies" / "monday.gallery")
    assert [path.name for path in out.parent.iterdir()] == ["monday.gallery"]
    with pytest.raises(GalleryKeyError, match=r"monday.gallery.keys: the key file is missing.*A backup holds ciphertext only"):
        open_gallery(out, ENCODER, create=False)
    gallery.delete("anna")
    shutil.copy(keys_of(gallery.file.path), keys_of(out))
    with open_gallery(out, ENCODER, create=False) as copy:
        assert copy.search(angle(0)[None])[0][0].subject == "berta"  # who was deleted since is not in the backup any more
        assert [entry.action for entry in copy.log()][-2:] == ["backup", "delete"]
        copy.check()
    with pytest.raises(GalleryError, match="the file exists"):
        back_up(gallery, out)


def test_an_export_is_documented_and_comes_back(gallery, tmp_path):
    out = tmp_path / "door.zip"
    assert export_gallery(gallery, out) == 4
    with zipfile.ZipFile(out) as archive:
        about = json.loads(archive.read("gallery.json"))
        lines = [json.loads(line) for line in archive.read("references.jsonl").splitlines()]
        rows = np.frombuffer(archive.read("embeddings.f32"), "<f4").reshape(4, 8)
        photo = archive.read(lines[1]["photo"])
    assert about == {"format": 1, "encoder": ENCODER.digest, "size": 8, "references": 4}
    assert [line["subject"] for line in lines] == ["anna", "anna", "berta", "anna"]
    assert (lines[2]["photo"], photo) == (None, b"anna, second")
    np.testing.assert_array_equal(rows[2], angle(70))
    with open_gallery(tmp_path / "other.gallery", ENCODER) as other:
        assert import_gallery(other, out) == 4
        assert len(other.subject("anna").references) == 3
        expected = [(hit.subject, hit.score) for hit in gallery.search(angle(21)[None])[0]]
        assert [(hit.subject, hit.score) for hit in other.search(angle(21)[None])[0]] == expected
        with pytest.raises(GalleryError, match="'anna' is already enrolled"):
            import_gallery(other, out)
        assert len(other) == 4
        assert export_gallery(other, tmp_path / "again.zip") == 4


def test_what_cannot_be_imported(gallery, tmp_path):
    out = tmp_path / "door.zip"
    export_gallery(gallery, out)
    with (
        open_gallery(tmp_path / "other.gallery", OTHER) as other,
        pytest.raises(WrongEncoderError, match="belongs to the encoder aaaa"),
    ):
        import_gallery(other, out)
    with open_gallery(tmp_path / "new.gallery", ENCODER) as new:
        (tmp_path / "text.zip").write_text("not an export")
        with pytest.raises(DamagedGalleryError, match="not an exported gallery"):
            import_gallery(new, tmp_path / "text.zip")
        with pytest.raises(GalleryError, match="No such file"):
            import_gallery(new, tmp_path / "nothing.zip")
        data = bytearray(out.read_bytes())
        data[data.find(b"embeddings.f32") + 40] ^= 255
        (tmp_path / "damaged.zip").write_bytes(data)
        with pytest.raises(DamagedGalleryError):
            import_gallery(new, tmp_path / "damaged.zip")
        with zipfile.ZipFile(tmp_path / "newer.zip", "w") as archive:
            archive.writestr("gallery.json", json.dumps({"format": 2}))
        with pytest.raises(GalleryError, match="by a newer visavis"):
            import_gallery(new, tmp_path / "newer.zip")
        assert len(new) == 0


def archive_of(path, *, references=b"", embeddings=b"", about=None, photos=(), compression=zipfile.ZIP_DEFLATED):
    """Write an export by hand."""
    about = about or json.dumps({"format": 1, "encoder": ENCODER.digest, "size": 8, "references": 1})
    with zipfile.ZipFile(path, "w", compression) as archive:
        archive.writestr("gallery.json", about)
        archive.writestr("references.jsonl", references)
        archive.writestr("embeddings.f32", embeddings)
        for name, photo in photos:
            archive.writestr(name, photo)
    return path


LINE = b'{"subject": "anna", "photo": null}\n'
ROW = angle(0).astype("<f4").tobytes()


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"embeddings": bytes(50_000_000)}, "embeddings.f32 expands to more than 10 times its size"),
        ({"references": LINE * 1_000_000, "embeddings": ROW}, "references.jsonl expands to more than 200 times its size"),
        ({"references": LINE * 1000, "embeddings": ROW}, "1 embedding, 2 references"),
        ({"references": b'{"subject": "' + b"a" * 5000, "embeddings": ROW}, "a line of references.jsonl has more than 4,096 bytes"),
        ({"references": b"[" * 4000, "embeddings": ROW}, "recursion"),
        ({"about": "[" * 100_000}, "gallery.json expands to more than 10 times its size"),
        ({"about": "[" * 100_000, "compression": zipfile.ZIP_STORED}, "recursion"),
        (
            {"photos": [("photos/1", bytes(30_000_000))], "compression": zipfile.ZIP_STORED},
            "photos/1 has more than the limit of 20,000,000",
        ),
        ({"embeddings": bytes(1_000_000), "compression": zipfile.ZIP_LZMA}, "must be stored or deflated"),
        (
            {
                "references": b'{"subject": "anna", "photo": "photos/1"}\n' * 2,
                "embeddings": ROW * 2,
                "photos": [("photos/1", b"x")],
            },
            "2 embeddings, 2 references, 1 photo",
        ),
        ({"references": b'{"subject": "anna", "photo": "gallery.json"}\n', "embeddings": ROW}, "with the photo 'gallery.json'"),
        ({"references": b'{"subject": ["anna"], "photo": null}\n', "embeddings": ROW}, r"a reference of \['anna'\]"),
    ],
)
def test_an_import_that_expands_beyond_its_size_is_refused(tmp_path, options, message):
    with open_gallery(tmp_path / "new.gallery", ENCODER) as new:
        source = archive_of(tmp_path / "bomb.zip", **options)
        tracemalloc.start()
        try:
            with pytest.raises(DamagedGalleryError, match=message):
                import_gallery(new, source)
            assert tracemalloc.get_traced_memory()[1] < 10 * source.stat().st_size + 2_000_000
        finally:
            tracemalloc.stop()
        assert len(new) == 0


def test_members_of_an_import_do_not_share_their_bytes(tmp_path):
    source = archive_of(tmp_path / "bomb.zip", embeddings=np.random.default_rng(0).bytes(32_000), references=LINE)
    with zipfile.ZipFile(source, "a") as archive:
        archive.filelist += [archive.getinfo("embeddings.f32")] * 5
        archive.writestr("end", b"")
    with (
        open_gallery(tmp_path / "new.gallery", ENCODER) as new,
        pytest.raises(DamagedGalleryError, match="its members overlap"),
    ):
        import_gallery(new, source)


def test_rotation_leaves_nothing_of_what_was_before(gallery, tmp_path):
    path = tmp_path / "door.gallery"
    old = keys_of(path).read_bytes()
    rotate(gallery, KEY)
    assert not replacement_of(path).exists()
    for start in range(0, 4096 + 3 * 64, 32):
        assert not any(old[start : start + 32]) or not traces(tmp_path, old[start : start + 32]) or start == 0
    assert gallery.search(angle(0)[None])[0][0].subject == "anna"  # the one that rotated goes on
    gallery.enrol("clara", angle(170)[None], photos=[b"clara"])
    with pytest.raises(GalleryKeyError, match="no key was given"):
        open_gallery(path, ENCODER)
    with open_gallery(path, ENCODER, key=KEY) as other:
        assert other.search(angle(170)[None])[0][0].subject == "clara"
        before = path.read_bytes()
        rotate(other, OTHER_KEY)
        assert before != path.read_bytes()
        other.check()
    for use in (
        lambda: gallery.search(angle(0)[None]),
        lambda: gallery.enrol("dora", angle(5)[None]),
        lambda: gallery.verify("anna", angle(0)),
    ):
        with pytest.raises(GalleryKeyError, match="encrypted with another key"):
            use()
    with open_gallery(path, ENCODER, key=OTHER_KEY) as last:
        assert len(last) == 5
        export_gallery(last, tmp_path / "plain.zip")
    with zipfile.ZipFile(tmp_path / "plain.zip") as archive:
        assert sorted(archive.read(name) for name in archive.namelist() if name.startswith("photos/")) == [
            b"anna, first",
            b"anna, second",
            b"clara",
        ]


def test_a_bad_key_changes_nothing(gallery):
    pytest.importorskip("cryptography")
    with pytest.raises(GalleryKeyError, match="64 hexadecimal digits"):
        rotate(gallery, "secret")
    assert gallery.search(angle(0)[None])[0][0].subject == "anna"


def turned(photo):
    """Embeddings of another encoder."""
    if photo == b"anna, second":
        raise FaceError("no face")
    return angle(180)


def test_reembedding_needs_photos_and_says_where_there_are_none(gallery, tmp_path):
    path = tmp_path / "door.gallery"
    message = "3 of 4 references have no stored photo, or no face in it"
    with open_gallery(path, None) as old, pytest.raises(GalleryError, match=message):
        reembed(old, binding_of(OTHER), turned)
    assert gallery.search(angle(0)[None])[0][0].subject == "anna"
    with open_gallery(path, None) as old:
        result = reembed(old, binding_of(OTHER), turned, drop=True)
    assert (result.references, result.dropped, result.subjects) == (1, 3, 1)
    with pytest.raises(WrongEncoderError):
        gallery.search(angle(0)[None])
    assert not traces(tmp_path, angle(70).tobytes())
    with open_gallery(path, OTHER) as new:
        assert new.verify("anna", angle(180)).score == pytest.approx(1)
        with pytest.raises(UnknownSubjectError):
            new.subject("berta")


def test_dropping_references_is_seen_through_an_open_handle(gallery, tmp_path):
    with open_gallery(tmp_path / "door.gallery", ENCODER) as other:
        assert other.search(angle(70)[None], top=1)[0][0].subject == "berta"
        result = reembed(gallery, binding_of(ENCODER), lambda photo: angle(0 if photo.endswith(b"first") else 20), drop=True)
        assert (result.references, result.dropped, result.subjects) == (2, 2, 1)
        hits = other.search(angle(70)[None])[0]
        assert [hit.subject for hit in hits] == ["anna"] and hits[0].score == pytest.approx(np.cos(np.radians(60)), abs=1e-5)
        assert [subject.name for subject in other.subjects()] == ["anna"] and len(other) == 2
        reembed(gallery, binding_of(ENCODER), refuse, drop=True)
        assert other.search(angle(70)[None]) == [[]] and other.subjects() == []


def refuse(photo):
    raise FaceError("no face was found")


def test_reembedding_takes_in_who_is_enrolled_meanwhile(tmp_path):
    path = tmp_path / "door.gallery"
    with open_gallery(path, ENCODER) as gallery:
        gallery.enrol("anna", angle(0)[None], photos=[b"anna"])

        def embed(photo):
            if photo == b"anna" and len(gallery) == 1:
                gallery.enrol("berta", angle(70)[None], photos=[b"berta"])
            return angle(90) if photo == b"anna" else angle(45)

        with open_gallery(path, None) as old:
            assert reembed(old, binding_of(OTHER), embed).references == 2
    with open_gallery(path, OTHER) as new:
        assert new.verify("berta", angle(45)).score == pytest.approx(1)


def test_the_log_tells_who_did_what_and_forgets_deleted_subjects(gallery, tmp_path):
    first = gallery.log()[0]
    assert (first.sequence, first.actor, first.action, first.name, first.count) == (1, "clerk", "enrol", "anna", 2)
    gallery.delete("anna", actor="officer")
    entries = gallery.log(after=1)
    assert [(entry.actor, entry.action, entry.name, entry.count) for entry in entries] == [
        ("", "enrol", "berta", 1),
        ("", "enrol", None, 1),
        ("officer", "delete", None, 3),
    ]
    assert entries[-1].subject == first.subject
    assert len(gallery.log(limit=2)) == 2
    assert not traces(tmp_path, b"anna")
