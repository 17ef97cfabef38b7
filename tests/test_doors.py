"""Every way in which photos enter meets every oddity of files and names: the right value, or a reason that names the file."""

import csv
import io
import json
import os
import tarfile
import unicodedata
import zipfile
from dataclasses import dataclass, field
from urllib.parse import quote

import numpy as np
import pytest
from PIL import Image

from visavis.data import IntakeRules, generate_faces, load_dataset, read_arrays, read_pairs
from visavis.data.names import shown_name
from visavis.data.preparation import prepare_photos
from visavis.errors import DataError
from visavis.faces import CANONICAL_LANDMARKS, AcquisitionSettings, Face
from visavis.formats import HEAD_BYTES, image_format

pytest.importorskip("fastapi", reason="uploads need the extra serve")

import requests
from serving import Quarters, running, service_of

from visavis.gallery import open_gallery
from visavis.gallery.enrolling import EnrolmentOptions, enrol_folder, enrol_photos
from visavis.verification import Verifier
from visavis.verification.comparisons import compare_photos

NFC, NFD = (unicodedata.normalize(form, "José") for form in ("NFC", "NFD"))
FACES = generate_faces(6, 4, size=120, seed=9).faces


def photo(number, kind="JPEG"):
    """One of 24 generated faces as an image file."""
    file = io.BytesIO()
    Image.fromarray(FACES[number]).save(file, kind)
    return file.getvalue()


@dataclass(frozen=True)
class Tree:
    """Files below a root, and what must become of them.

    Attributes:
        files: Content by path; paths are bytes where they are not UTF-8.
        people: The person of each photo, by its name as it is shown.
        passed_over: What each other file is counted as.
        depth: The option `--people-depth`.
    """

    files: dict
    people: dict
    passed_over: dict = field(default_factory=dict)
    depth: int | None = None


TREES = {
    "suffixes": Tree(
        {
            "bush/1.jfif": photo(0),
            "bush/2.JPG": photo(1),
            "bush/3.jpeg_large": photo(2),
            "bush/noext": photo(3, "PNG"),
            "bush/5.jpg ": photo(4),
            "bush/6.txt": photo(5, "WEBP"),
            "bush/8.jpg?w=200": photo(6, "BMP"),
            "powell/1.db": photo(7, "TIFF"),
            "powell/2.gif": photo(8, "AVIF"),
            "powell/3.exe": photo(9, "GIF"),
            "powell/notes.jpg": b"Dear diary",
            "powell/page.png": b"<!DOCTYPE html><p>404",
            "powell/film.jpg": b"\0\0\0\x18ftypisom\0\0\0\0isomavc1",
            "powell/new.jpg": b"\xff\x0a a JPEG XL",
        },
        {
            **dict.fromkeys(
                [f"bush/{name}" for name in ("1.jfif", "2.JPG", "3.jpeg_large", "noext", "5.jpg ", "6.txt", "8.jpg?w=200")], "bush"
            ),
            **dict.fromkeys([f"powell/{name}" for name in ("1.db", "2.gif", "3.exe")], "powell"),
        },
        dict.fromkeys([f"powell/{name}" for name in ("notes.jpg", "page.png", "film.jpg", "new.jpg")], "not an image"),
    ),
    "nested": Tree(
        {"bush/1.jpg": photo(0), "bush/2019/2.jpg": photo(1), "bush/2020/May/3.jpg": photo(2), "powell/1.jpg": photo(3)},
        {"bush/1.jpg": "bush", "bush/2019/2.jpg": "bush", "bush/2020/May/3.jpg": "bush", "powell/1.jpg": "powell"},
    ),
    "wrapped": Tree(
        {"data/train/bush/1.jpg": photo(0), "data/train/powell/old/1.jpg": photo(1), "data/README.md": b"# Faces"},
        {"data/train/bush/1.jpg": "bush", "data/train/powell/old/1.jpg": "powell"},
        {"data/README.md": "not an image"},
    ),
    "two branches": Tree(
        {"train/bush/1.jpg": photo(0), "test/powell/1.jpg": photo(1), "test/2.jpg": photo(2)},
        {"train/bush/1.jpg": "bush", "test/powell/1.jpg": "powell"},
        {"test/2.jpg": "no person"},
        depth=2,
    ),
    "system": Tree(
        {
            "bush/1.jpg": photo(0),
            "powell/1.jpg": photo(1),
            "bush/@eaDir/1.jpg/SYNOPHOTO_THUMB_M.jpg": photo(0),
            "@eaDir/1.jpg": photo(2),
            "#recycle/bush/3.jpg": photo(3),
            "$RECYCLE.BIN/4.jpg": photo(4),
            "__MACOSX/bush/._1.jpg": b"\0\5\26\7",
            ".thumbnails/5.jpg": photo(5),
            "bush/Thumbs.db": b"x",
            "bush/.DS_Store": b"x",
            "bush/._1.jpg": b"\0\5\26\7AppleDouble",
            "bush/desktop.ini": b"[x]",
        },
        {"bush/1.jpg": "bush", "powell/1.jpg": "powell"},
        dict.fromkeys(
            [
                "bush/@eaDir/1.jpg/SYNOPHOTO_THUMB_M.jpg",
                "@eaDir/1.jpg",
                "#recycle/bush/3.jpg",
                "$RECYCLE.BIN/4.jpg",
                "__MACOSX/bush/._1.jpg",
                ".thumbnails/5.jpg",
                "bush/Thumbs.db",
                "bush/.DS_Store",
                "bush/._1.jpg",
                "bush/desktop.ini",
            ],
            "system file",
        ),
    ),
    "names": Tree(
        {
            f"{NFC}/1.jpg": photo(0),
            f"{NFD}/2.jpg": photo(1),
            "Anna /1.jpg": photo(2),
            "anna/2.jpg": photo(3),
            "Ann  Lee/1.jpg": photo(4),
            "\u0645\u06cc\u200c\u062e/1.jpg": photo(5),
            "evil\u202egnp/1.jpg": photo(6),
        },
        {
            f"{NFC}/1.jpg": NFC,
            f"{NFD}/2.jpg": NFC,
            "Anna /1.jpg": "Anna",
            "anna/2.jpg": "anna",
            "Ann  Lee/1.jpg": "Ann Lee",
            "\u0645\u06cc\u200c\u062e/1.jpg": "\u0645\u06cc\u200c\u062e",
        },
        {"evil\\u202egnp/1.jpg": "bad name"},
    ),
    "not UTF-8": Tree(
        {b"renee/caf\xe9.jpg": photo(0), b"Ren\xe9/1.jpg": photo(1), "bush/a\nb.jpg": photo(2)},
        {r"renee/caf\xe9.jpg": "renee", r"Ren\xe9/1.jpg": r"Ren\xe9", r"bush/a\x0ab.jpg": "bush"},
    ),
    "damaged": Tree(
        {
            "bush/1.jpg": photo(0),
            "bush/2.jpg": photo(1)[:700],
            "bush/3.jpg": b"",
            "powell/1.jpg": photo(2),
            "lost/1.png": photo(3, "PNG")[:300],
        },
        {"bush/1.jpg": "bush", "powell/1.jpg": "powell"},
        {"bush/2.jpg": "unreadable", "bush/3.jpg": "unreadable", "lost/1.png": "unreadable"},
    ),
}


def write_folder(tree, root):
    for name, data in tree.files.items():
        path = os.path.join(os.fsencode(root), name if isinstance(name, bytes) else name.encode())
        os.makedirs(os.path.dirname(path), exist_ok=True)
        with open(path, "wb") as file:
            file.write(data)
    return root


def write_tar(tree, path):
    with tarfile.open(path, "w:gz" if path.suffix == ".gz" else "w", encoding="utf-8") as tar:
        for name, data in tree.files.items():
            member = tarfile.TarInfo(os.fsdecode(name) if isinstance(name, bytes) else name)
            member.size = len(data)
            tar.addfile(member, io.BytesIO(data))
    return path


def write_zip(tree, path):
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, data in tree.files.items():
            archive.writestr(name, data)
    return path


@pytest.fixture(params=["folder", "tar", "tar.gz", "zip", "object store", "tar in an object store"])
def packed(request, tmp_path):
    """A function that writes a tree as a folder, an archive or below a URI, and returns its path or URI."""
    in_store = "object store" in request.param
    if in_store:
        pytest.importorskip("pyarrow", reason="needs the extra parquet")

    def write(tree):
        kind = request.param.removesuffix(" in an object store").replace("object store", "folder")
        path = tmp_path / f"tree.{kind}"
        if (kind == "zip" or request.param == "object store") and any(isinstance(name, bytes) for name in tree.files):
            pytest.skip("a ZIP of today and an object store have names in UTF-8")
        written = {"folder": write_folder, "zip": write_zip}.get(kind, write_tar)(tree, path)
        return f"file://{written}" if in_store else written

    return write


class FindsOne:
    """Detects one face in every photo."""

    def detect(self, photo):
        return [Face(np.array([4, 4, 100, 100], float), CANONICAL_LANDMARKS + 4, 0.98)]


def through_data_set(root, tree, tmp_path):
    faces = load_dataset(root, size=32, rules=IntakeRules(people_depth=tree.depth))
    people = {source: faces.people[label] for source, label in zip(faces.sources, faces.labels, strict=True)}
    assert faces.intake.files == len(tree.files)
    return people, {file.name: file.kind for file in faces.intake.passed_over}


def through_listing(root, tree, tmp_path):
    """What `embed` lists; damaged photos are found when they are decoded."""
    pytest.importorskip("pyarrow", reason="needs the extra parquet")
    from visavis.scale.sources import list_photos

    listed = list_photos(str(root), IntakeRules(people_depth=tree.depth))
    assert listed.intake.files == len(tree.files)
    people = {photo.source: photo.person for photo in listed.photos}
    kinds = {file.name: file.kind for file in listed.intake.passed_over}
    undecoded = {name: kind for name, kind in tree.passed_over.items() if kind == "unreadable" and name not in kinds}
    return {name: person for name, person in people.items() if name not in undecoded}, {**kinds, **undecoded}


def test_an_object_store_with_a_name_that_is_not_utf8(tmp_path):
    root = write_folder(TREES["not UTF-8"], tmp_path / "tree")
    with pytest.raises(DataError, match=r"(caf|Ren)\\xe9.*: the name is not UTF-8. Give the folder as a path"):
        through_listing(f"file://{root}", TREES["not UTF-8"], tmp_path)


def through_prepare(root, tree, tmp_path):
    rules = IntakeRules(people_depth=tree.depth)
    result = prepare_photos(
        root, tmp_path / "faces", acquisition=AcquisitionSettings(finder=FindsOne()), rules=rules, workers=1, progress=False
    )
    faces = load_dataset(tmp_path / "faces")
    people = {source: faces.people[label] for source, label in zip(faces.sources, faces.labels, strict=True)}
    rows = []
    for name in ("passed_over.csv", "failures.csv"):
        if (tmp_path / "faces" / name).is_file():
            with (tmp_path / "faces" / name).open(newline="", encoding="utf-8") as file:
                rows += list(csv.DictReader(file))
    assert all(row["reason"] for row in rows)
    assert result.photos + len(result.intake.passed_over) == len(tree.files)
    return people, {row.get("name") or row["source"]: row.get("kind", "unreadable") for row in rows}


def through_gallery(root, tree, tmp_path):
    with open_gallery(tmp_path / "door.gallery", Quarters()) as gallery:
        result = enrol_folder(gallery, Verifier(Quarters(), aligned=True), root, EnrolmentOptions(people_depth=tree.depth))
        counts = {subject.name: len(subject.references) for subject in gallery.subjects()}
    expected = list(tree.people.values())
    assert counts == {name: expected.count(name) for name in set(expected)}
    assert result.intake.files == len(tree.files)
    failed = {name.removeprefix(f"{root}/"): "unreadable" for name, _ in result.failures}
    return tree.people, {**{file.name: file.kind for file in result.passed_over}, **failed}


DOORS = (through_data_set, through_listing, through_prepare, through_gallery)


@pytest.mark.parametrize("name", TREES)
@pytest.mark.parametrize("door", DOORS, ids=lambda door: door.__name__)
def test_every_tree_through_every_door(packed, door, name, tmp_path):
    tree = TREES[name]
    people, passed_over = door(packed(tree), tree, tmp_path)
    assert people == tree.people
    assert passed_over == tree.passed_over
    assert len(people) + len(passed_over) == len(tree.files), "nothing is lost"


FLAT = Tree(
    {"1.jpg": photo(0), "album/2": photo(1), b"caf\xe9.jpg": photo(2), "x.txt": b"x", "Thumbs.db": b"x", "cut.jpg": photo(3)[:500]},
    {},
)


def test_photos_without_people(tmp_path):
    """`prepare` and `compare` take them, as does enrolling one subject; whatever needs people says so."""
    root = write_folder(FLAT, tmp_path / "flat")
    result = prepare_photos(root, tmp_path / "faces", acquisition=AcquisitionSettings(finder=FindsOne()), workers=1, progress=False)
    assert (result.photos, result.faces, result.failures, len(result.intake.passed_over)) == (4, 3, 1, 2)
    assert set(load_dataset(tmp_path / "faces", rules=IntakeRules(people="optional")).people) == {"", "album"}
    assert load_dataset(tmp_path / "faces").people == ("album",)
    verifier = Verifier(Quarters(), aligned=True)
    compared = compare_photos(verifier, root / "1.jpg", [root])
    assert (len(compared.ranked), len(compared.failures), len(compared.passed_over)) == (3, 1, 2)
    with open_gallery(tmp_path / "door.gallery", Quarters()) as gallery:
        enrolled = enrol_photos(gallery, verifier, f" {NFD} ", [root])
        assert [subject.name for subject in gallery.subjects()] == [NFC]
    assert (sum(map(len, enrolled.references.values())), len(enrolled.failures), len(enrolled.passed_over)) == (3, 1, 2)
    (root / "album" / "2").rename(root / "2")
    with pytest.raises(DataError, match=r"flat: 4 photos in no person's folder"):
        load_dataset(root)


def twelve_bits(number):
    """A generated face as a 16-bit PNG that uses 12 bits of them."""
    file = io.BytesIO()
    Image.fromarray(FACES[number][..., 0].astype(np.uint16) * 16).save(file, "PNG")
    return file.getvalue()


def test_scaled_levels_are_said_through_every_door(tmp_path):
    text = "levels of 0 to 4,095 were scaled to 0 to 255"
    tree = Tree({"bush/1.png": twelve_bits(0), "powell/1.png": photo(1, "PNG")}, {})
    root = write_folder(tree, tmp_path / "deep")
    first, second = root / "bush" / "1.png", root / "powell" / "1.png"
    for aligned in (True, False):
        verifier = Verifier(Quarters(), aligned=aligned, acquisition=AcquisitionSettings(finder=FindsOne()))
        assert verifier.verify(first, second).warnings == (f"first photo: {text}",)
        assert [face.found.warnings for face in verifier.acquire_all(first)] == [(text,)]
        with open_gallery(tmp_path / f"{aligned}.gallery", Quarters()) as gallery:
            assert enrol_folder(gallery, verifier, root).warnings == ((f"{root}/bush/1.png", text),)
    intake = load_dataset(root, size=32).intake
    assert intake.warnings == (("bush/1.png", text),)
    prepare_photos(root, tmp_path / "faces", acquisition=AcquisitionSettings(finder=FindsOne()), workers=1, progress=False)
    with (tmp_path / "faces" / "faces.csv").open(newline="", encoding="utf-8") as file:
        assert [row["warnings"] for row in csv.DictReader(file)] == [text, ""]


UPLOADS = {
    "JPEG without a name": (photo(0), "", "", 200),
    "PNG as text": (photo(1, "PNG"), "a.txt", "text/plain", 200),
    "WebP as JPEG": (photo(2, "WEBP"), "a.jpg", "image/jpg; charset=x", 200),
    "bytes": (photo(3), "a", "application/octet-stream", 200),
    "text as JPEG": (b"Dear diary", "a.jpg", "image/jpeg", 415),
    "film as JPEG": (b"\0\0\0\x18ftypisom\0\0\0\0", "a.jpg", "image/jpeg", 415),
    "empty": (b"", "a.jpg", "image/jpeg", 422),
    "cut": (photo(4)[:600], "a.jpg", "image/jpeg", 422),
}


@pytest.fixture(scope="module")
def url():
    with running(service_of()) as address:
        yield address


@pytest.mark.parametrize("name", UPLOADS)
def test_uploads(url, name):
    data, file_name, media_type, status = UPLOADS[name]
    files = {"first": (file_name or "x", data, media_type or None), "second": ("b.png", photo(5, "PNG"), "image/png")}
    answer = requests.post(f"{url}/v1/verify", files=files, data={"aligned": "true"})
    assert answer.status_code == status, answer.text
    assert status == 200 or "first" in answer.json()["detail"]


def uploads_of(tree):
    """The files of a tree that a client sends, by the person in whose folder they lie: no system files, no files of nobody."""
    wrappers = {person: name.split("/").index(person) for name, person in tree.people.items() if person in name.split("/")}
    sent = {}
    for path, data in tree.files.items():
        name = shown_name(os.fsdecode(path) if isinstance(path, bytes) else path)
        person = tree.people.get(name) or next(
            (who for who, at in wrappers.items() if name.split("/")[at : at + 1] == [who]), name.split("/")[0]
        )
        if tree.passed_over.get(name) not in ("system file", "no person", "bad name"):
            sent.setdefault(person, {})[name] = data
    return sent


def enrol_over_http(address, person, files):
    """Enrol what is accepted; return the reason for each other file, and the number of references."""
    photos = [("photos", (f"{number}", photo)) for number, photo in enumerate(files.values())]
    answer = requests.post(f"{address}/v1/subjects/{quote(person, safe='')}", files=photos, data={"aligned": "true"})
    if answer.status_code == 201:
        return {list(files)[one["photo"]]: one["reason"] for one in answer.json()["failures"]}, len(answer.json()["enrolled"])
    assert answer.status_code in (415, 422), answer.text
    reasons = answer.json()["detail"].split("; photos ")
    assert len(reasons) == len(files)
    return dict(zip(files, reasons, strict=True)), 0


@pytest.mark.parametrize("name", TREES)
def test_a_tree_by_uploads(name, tmp_path):
    """A person at a time; each file is enrolled, or refused with a reason. Of the formats, JPEG, PNG and WebP are taken."""
    tree, lost = TREES[name], 0
    with open_gallery(tmp_path / "door.gallery", Quarters()) as gallery, running(service_of(gallery=gallery)) as address:
        for person, files in uploads_of(tree).items():
            refused, enrolled = enrol_over_http(address, person, files)
            lost += len(files) - len(refused) - enrolled
            for file, reason in refused.items():
                kind = image_format(files[file][:HEAD_BYTES])
                assert reason and (file in tree.passed_over or f"unsupported image format ({kind})" in reason)
        enrolled = {subject.name: len(subject.references) for subject in gallery.subjects()}
    assert lost == 0
    formats = {name: image_format(data[:HEAD_BYTES]) for name, data in shown_files(tree).items()}
    taken = [person for file, person in tree.people.items() if formats[file] in ("JPEG", "PNG", "WebP")]
    assert enrolled == {person: taken.count(person) for person in set(taken)}


def shown_files(tree):
    return {shown_name(os.fsdecode(path) if isinstance(path, bytes) else path): data for path, data in tree.files.items()}


def test_an_upload_of_scaled_levels_has_a_warning(url):
    files = {"first": ("a.png", twelve_bits(0), "image/png"), "second": ("b.png", photo(5, "PNG"), "image/png")}
    answer = requests.post(f"{url}/v1/verify", files=files, data={"aligned": "true"}).json()
    assert "levels of 0 to 4,095 were scaled to 0 to 255" in json.dumps(answer)


@pytest.mark.parametrize(
    ("labels", "people"),
    [
        ([NFC, NFD, "b", " b "], (NFC, "b")),
        (np.array(["a", "a", "b", "b"], dtype=object), ("a", "b")),
        (np.array([2, 2, 5, 5], dtype=object), ("2", "5")),
        ([1.0, 1.0, 2.0, 2.0], ("1", "2")),
        ([True, True, False, False], ("False", "True")),
    ],
)
def test_labels_of_arrays(labels, people):
    assert read_arrays(FACES[:4], labels).people == people


@pytest.mark.parametrize(
    ("labels", "message"),
    [
        (np.array(["a", None, "b", "b"], dtype=object), "the person of every photo, got None for photo 1"),
        (np.array(["a", np.nan, "b", "b"], dtype=object), "the person of every photo, got nan for photo 1"),
        ([1.0, 1.0, np.nan, 2.0], "the person of every photo, got nan for photo 2"),
        (np.array(["a", 1, "b", "b"], dtype=object), "all integers or all strings, got int and str"),
        (["a", "", "b", "b"], "a label must not be empty"),
        (["a", "a\u202e", "b", "b"], "invisible characters"),
        ([1.5, 1.5, 2, 2], "integers or strings, got dtype float64"),
        ([[1], [1], [2], [2]], r"try labels.ravel\(\)"),
    ],
)
def test_labels_that_cannot_be_used(labels, message):
    with pytest.raises(DataError, match=f"labels.*{message}"):
        read_arrays(FACES[:4], labels)


def test_labels_of_pandas():
    pandas = pytest.importorskip("pandas", reason="needs the package pandas")
    for labels in (pandas.Series(["a", "a", "b", "b"]), pandas.Categorical(["a", "a", "b", "b"])):
        assert read_arrays(FACES[:4], labels).people == ("a", "b")
    for missing in (pandas.Series(["a", None, "b", "b"]), pandas.array([1, None, 2, 2], dtype="Int64")):
        with pytest.raises(DataError, match="must name the person of every photo"):
            read_arrays(FACES[:4], missing)


@pytest.fixture
def named():
    dataset = read_arrays(FACES[:4], [NFC, NFC, "Bo B", "Bo B"])
    bo, jose = dataset.people.index("Bo B"), dataset.people.index(NFC)
    assert dataset.labels.tolist() == [jose, jose, bo, bo]
    sources = [f"{NFD}/{NFD}_0001.jpg", f"{NFD}/{NFD}_0002.jpg", "Bo B/Bo B_0001.jpg", "Bo B/Bo B_0002.jpg"]
    return type(dataset)(dataset.pixels, dataset.labels, dataset.people, sources)


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16", "cp1252"])
@pytest.mark.parametrize("separator", [",", ";", "\t"])
def test_pairs_files_in_every_encoding(named, tmp_path, encoding, separator):
    path = tmp_path / "pairs.csv"
    lines = [("first", "second"), (f"{NFC}_0001.jpg", f"{NFC}/{NFC}_0002.jpg"), (f"{NFC}_0001.jpg", "Bo  B_0001.jpg")]
    path.write_bytes("\r\n".join(separator.join(line) for line in lines).encode(encoding))
    protocol = read_pairs(path, named, encoding="cp1252" if encoding == "cp1252" else None)
    assert (protocol.pairs.tolist(), protocol.labels.tolist()) == ([[0, 1], [0, 2]], [1, 0])


@pytest.mark.parametrize("encoding", ["utf-8-sig", "utf-16"])
def test_lfw_files_of_both_views(named, tmp_path, encoding):
    path = tmp_path / "pairs.txt"
    path.write_bytes(f"1\t1\n{NFC}\t1\t2\n{NFD}\t1\tBo B\t2\n\n".encode(encoding))
    protocol = read_pairs(path, named)
    assert (protocol.pairs.tolist(), protocol.labels.tolist(), protocol.folds.tolist()) == ([[0, 1], [0, 3]], [1, 0], [0, 0])
    path.write_bytes(f"1\n{NFC} 1 2\n{NFD}  2   {NFD} 1\n".encode(encoding))
    view_1 = read_pairs(path, named)
    assert (view_1.labels.tolist(), view_1.folds, view_1.name) == ([1, 1], None, "LFW View 1, pairs")


@pytest.mark.parametrize(
    ("name", "data", "message"),
    [
        ("pairs.csv", "first,second\nJosé_0001.jpg,x\n".encode("cp1252"), "line 2: not utf-8 .*; .* the encoding cp1252"),
        ("pairs.csv", b"first,second\nx.jpg,Bo B_0001.jpg\n", "line 2: no photo 'x.jpg' .*: 'x.jpg,Bo B_0001.jpg'"),
        ("pairs.csv", b"first,second\na,b,c\n", "line 2: must have 2 values, got 3: 'a,b,c'"),
        ("pairs.csv", b"", "must have a line of column names"),
        ("pairs.txt", b"1 1\nBo 1\nBo 1 2\n", "line 2: must be NAME i j or NAME i NAME2 j: 'Bo 1'"),
        ("pairs.txt", b"1 1\nBo\t1\t2\n", "must have 2 pairs by its first line '1 1', got 1"),
        ("pairs.txt", b"some\n", "line 1: must give .*, got 'some'"),
        ("gone.csv", None, "No such file"),
    ],
)
def test_pairs_files_that_cannot_be_read_quote_the_line(named, tmp_path, name, data, message):
    if data is not None:
        (tmp_path / name).write_bytes(data)
    with pytest.raises(DataError, match=f"{name}: {message}"):
        read_pairs(tmp_path / name, named)


@pytest.mark.parametrize("size", [80, (80, 80), np.int64(80)])
def test_a_size_may_be_one_number(size, tmp_path):
    root = write_folder(TREES["nested"], tmp_path / "nested")
    assert load_dataset(root, size=size).shape == (80, 80, 3)
    assert load_dataset("synthetic", size=size).shape == (80, 80, 3)


@pytest.mark.parametrize("size", [0, (80, 80, 3), "80", (1.5, 2)])
def test_a_size_that_is_none(size, tmp_path):
    with pytest.raises(ValueError, match="size must be a positive number or"):
        load_dataset(write_folder(TREES["nested"], tmp_path / "nested"), size=size)


def test_results_are_not_written_among_the_photos(tmp_path):
    root = write_folder(TREES["nested"], tmp_path / "people")
    (tmp_path / "link").symlink_to(root)
    for out in (root, root / "faces", tmp_path / "link", tmp_path / "link" / "faces"):
        with pytest.raises(DataError, match="out must lie outside of the folder of photos"):
            prepare_photos(root, out, acquisition=AcquisitionSettings(finder=FindsOne()), workers=1, progress=False)
    assert not (root / "faces.npy").exists()


def test_the_short_forms_of_objects(named):
    from visavis.data import PairProtocol, split_people

    faces = generate_faces(8, 2, size=32)
    assert repr(faces) == "FaceDataset(16 photos of 8 people, 32 x 32 x 3)"
    split = split_people(faces, fractions=(0.5, 0.25, 0.25))
    assert repr(split) == (
        "Split(by='person', train=8 photos of 4 people, validation=4 photos of 2 people, test=4 photos of 2 people)"
    )
    protocol = PairProtocol(np.array([[0, 1], [0, 2]]), np.array([1, 0]), np.array([0, 1]), "mine")
    assert repr(protocol) == "PairProtocol('mine', 1 mated and 1 non-mated pair, 2 folds)"
