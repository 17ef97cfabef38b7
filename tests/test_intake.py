"""Which files are photos, whose they are, and that every file is read or passed over with a reason."""

import io
import os
import shutil
import tarfile
import unicodedata
import zipfile

import numpy as np
import pytest
from PIL import Image

from visavis.data import IntakeRules, check_leaks, generate_faces, load_dataset, open_photos, read_archive, read_arrays, read_folder
from visavis.data.intake import Entry, sort_entries
from visavis.data.names import check_name, normalise_name, normalise_path, shown_name
from visavis.errors import DataError, ImageError, LeakError
from visavis.evaluation.calibrate import calibrate_model
from visavis.files import write_csv
from visavis.formats import HEAD_BYTES, READABLE, image_format
from visavis.images import read_image
from visavis.training.experiments import train_model

FACES = generate_faces(3, 4, size=32).faces.reshape(-1, 32, 32, 3)


def encoded(number=0, kind="JPEG", **options):
    """One of the generated faces as an image file."""
    file = io.BytesIO()
    Image.fromarray(FACES[number % len(FACES)]).save(file, kind, **options)
    return file.getvalue()


JPEG = encoded()
NFC, NFD = (unicodedata.normalize(form, "José") for form in ("NFC", "NFD"))


def write_tree(root, files):
    for name, data in files.items():
        path = os.path.join(os.fsencode(root), name if isinstance(name, bytes) else name.encode())
        os.makedirs(os.path.dirname(path), exist_ok=True)
        with open(path, "wb") as file:
            file.write(data)
    return root


def people_of(files, **rules):
    """Each photo's person among files that are all JPEGs."""
    entries = [Entry(name, JPEG[:HEAD_BYTES]) for name in files]
    return dict(sort_entries(entries, "root", IntakeRules(**rules)).photos)


@pytest.mark.parametrize("kind", ["JPEG", "PNG", "GIF", "BMP", "TIFF", "WEBP", "PPM", "AVIF"])
def test_image_formats_are_recognised_by_content(kind):
    found = image_format(encoded(0, kind)[:HEAD_BYTES])
    assert found is not None and found.upper() == kind and found in READABLE


@pytest.mark.parametrize(
    ("head", "found"),
    [
        (b"\0\0\0\x18ftypheic\0\0\0\0mif1heic", "HEIC"),
        (b"\0\0\0\x1cftypmif1\0\0\0\0mif1avif", "AVIF"),
        (b"\0\0\0\x18ftypmif1\0\0\0\0mif1heic", "HEIC"),
        (b"\0\0\0\x18ftypisom\0\0\0\0isomavc1", None),
        (b"\xff\x0a\0\0", "JPEG XL"),
        (b"BMW is a maker of cars, and this is a text", None),
        (b"P1 is the first point of the list", None),
        (b"P5\n# a comment\n4 4\n255\n", "PPM"),
        (b"%PDF-1.7", None),
        (b"\0\5\26\7AppleDouble", None),
        (b"x", None),
        (b"", None),
    ],
)
def test_other_content_is_recognised(head, found):
    assert image_format(head) == found


@pytest.mark.parametrize(
    ("files", "people"),
    [
        (["a/1", "b/1"], ["a", "b"]),
        (["a/2019/1", "a/2020/deep/2", "a/3", "b/1"], ["a", "a", "a", "b"]),
        (["train/a/1", "train/b/1"], ["a", "b"]),
        (["data/train/a/1", "data/train/b/2019/1"], ["a", "b"]),
        (["train/a/1", "test/b/1"], ["train", "test"]),
        (["only/1", "only/2"], ["only", "only"]),
        (["wrap/only/1", "wrap/only/x/2"], ["only", "only"]),
        (["Anna /1", f"{NFC}/1", f"{NFD}/2", "anna/1"], ["Anna", NFC, NFC, "anna"]),
        (["zwj\u200dname/1", "b/1"], ["zwj\u200dname", "b"]),
        (["not\udce9/1", "b/1"], [r"not\xe9", "b"]),
    ],
)
def test_the_person_is_the_top_folder_below_wrappers(files, people):
    found = people_of(files)
    assert [found[shown_name(name)] for name in files] == people


def test_the_depth_of_people_can_be_given():
    assert people_of(["train/a/1", "test/b/x/1"], people_depth=2) == {"train/a/1": "a", "test/b/x/1": "b"}
    assert set(people_of(["wrap/a/1", "wrap/b/1"], people_depth=1).values()) == {"wrap"}
    with pytest.raises(ValueError, match="people_depth must be at least 1, got 0"):
        IntakeRules(people_depth=0)
    with pytest.raises(ValueError, match="people must be 'required', 'optional' or 'ignored', got 'any'"):
        IntakeRules(people="any")


def test_one_name_in_two_branches_is_an_error_that_names_both():
    with pytest.raises(DataError, match=r"root: two folders of one person's name: 2019/Ann and 2020/Ann\. Rename one"):
        people_of(["2019/Ann/1", "2020/Ann /2"], people_depth=2)


def test_photos_in_no_persons_folder():
    files = ["loose", "a/1", "b/1"]
    assert people_of(files) == {"a/1": "a", "b/1": "b"}
    assert people_of(files, people="optional") == {"loose": "", "a/1": "a", "b/1": "b"}
    assert set(people_of(files, people="ignored").values()) == {""}
    assert people_of(["1", "2"], people="optional") == {"1": "", "2": ""}
    with pytest.raises(DataError, match="root: 2 photos in no person's folder"):
        people_of(["1", "2"])


def test_a_folder_whose_name_would_be_shown_as_another_is_passed_over():
    found = sort_entries([Entry(f"{name}/1", JPEG[:HEAD_BYTES]) for name in ("a\u202eb", "c\x07d", "e")], "root", IntakeRules())
    assert [photo.person for photo in found.photos] == ["e"]
    assert [(file.name, file.kind) for file in found.passed_over] == [("a\\u202eb/1", "bad name"), ("c\\x07d/1", "bad name")]
    assert "U+202E (RIGHT-TO-LEFT OVERRIDE)" in found.passed_over[0].reason


ODD_TREE = {
    "bush/1.jfif": encoded(0),
    "bush/noext": encoded(1, "PNG"),
    "bush/8.jpg?w=200": encoded(2),
    "bush/2019/5.jpg ": encoded(3, "WEBP"),
    "powell/1.txt": encoded(4),
    "powell/2.JPG": encoded(5, "AVIF"),
    b"powell/caf\xe9.jpg": encoded(6),
    "powell/Thumbs.db": b"x",
    "powell/._1.jpg": b"\0\5\26\7AppleDouble",
    "powell/@eaDir/1.jpg/SYNOPHOTO_THUMB_M.jpg": encoded(7),
    "@eaDir/1.jpg": encoded(8),
    "__MACOSX/bush/._1.jfif": b"x",
    ".thumbnails/1.jpg": encoded(9),
    "powell/empty.jpg": b"",
    "powell/notes.jpg": b"not an image",
    "bush/new.jxl": b"\xff\x0a JPEG XL",
    "README.txt": b"read me",
    "powell/cut.jpg": encoded(10)[:300],
    "group.jpg": encoded(11),
}
READ = ["bush/1.jfif", "bush/8.jpg?w=200", "bush/2019/5.jpg ", "bush/noext", "powell/1.txt", "powell/2.JPG", r"powell/caf\xe9.jpg"]
SUMMARY = "7 photos of 2 people; 12 files passed over (3 not images, 6 system files, 2 unreadable, 1 in no person's folder)"


def packed(root, kind, tmp_path):
    """The same tree as a folder, a `.tar`, a `.tar.gz` or a `.zip`."""
    if kind == "folder":
        return root
    path = tmp_path / f"packed.{kind}"
    if kind.startswith("tar"):
        with tarfile.open(path, "w:gz" if kind.endswith("gz") else "w") as tar:
            tar.add(root, ".")
        return path
    with zipfile.ZipFile(path, "w") as archive:
        for folder, _, names in os.walk(root):
            for name in names:
                file = os.path.join(folder, name)
                shown = os.path.relpath(file, root).encode("utf-8", "surrogateescape").decode("utf-8", "backslashreplace")
                archive.write(file, shown.replace("\\", "%"))
    return path


@pytest.mark.parametrize("kind", ["folder", "tar", "tar.gz", "zip"])
def test_every_file_is_read_or_passed_over_with_a_reason(tmp_path, kind):
    root = write_tree(tmp_path / "odd", ODD_TREE)
    dataset = load_dataset(packed(root, kind, tmp_path), size=32)
    expected = [name.replace("\\", "%") for name in READ] if kind == "zip" else READ
    assert sorted(dataset.sources) == sorted(expected)
    assert dataset.people == ("bush", "powell")
    assert str(dataset.intake) == SUMMARY
    assert dataset.intake.files == len(ODD_TREE)
    assert all(file.reason for file in dataset.intake.passed_over)


def test_the_summary_and_the_list(tmp_path):
    intake = load_dataset(write_tree(tmp_path / "odd", ODD_TREE), size=32).intake
    assert repr(intake) == f"Intake({str(tmp_path / 'odd')!r}, photos=7, people=2, passed_over=12)"
    assert intake.describe_passed_over("x.csv").endswith("1 in no person's folder), listed in x.csv")
    assert intake.to_json()["files"] == 19
    intake.write(tmp_path / "x.csv")
    assert "bush/new.jxl,not an image,unsupported image format (JPEG XL)" in (tmp_path / "x.csv").read_text()
    assert "bush/new.jxl: unsupported image format (JPEG XL)" in intake.reasons()
    assert intake.reasons(1)[-1] == "... and 11 more"


def test_what_was_passed_over_is_logged_and_the_command_that_lists_all_of_it(tmp_path, caplog):
    files = {f"a/{number}.txt": b"text" for number in range(12)}
    root = write_tree(tmp_path / "people", {"a/1.jpg": encoded(0), "b/1.jpg": encoded(1), **files})
    load_dataset(root, size=32)
    (message,) = caplog.messages
    assert message.startswith(f"{root}: 2 photos of 2 people; 12 files passed over (12 not images)")
    assert message.endswith(f"... and 2 more; to list all: visavis inspect {root} --json")


@pytest.mark.parametrize(
    "write", [lambda path: train_model("synthetic", path), lambda path: calibrate_model("pretrained", [], path)]
)
def test_a_model_is_not_written_to_a_path_that_no_file_can_have(write):
    with pytest.raises(DataError, match="a path must not have a NUL character"):
        write("a\0b")


def test_links_pipes_and_loops_in_a_folder(tmp_path):
    root = write_tree(tmp_path / "people", {"a/1.jpg": encoded(0), "b/1.jpg": encoded(1), "c/1.jpg": encoded(2)})
    (root / "a" / "again").symlink_to(root / "a")
    (root / "a" / "gone.jpg").symlink_to(root / "nowhere.jpg")
    (root / "a" / "self").symlink_to(root / "a" / "self")
    (root / "b" / "2.jpg").symlink_to(root / "a" / "1.jpg")
    os.mkfifo(root / "b" / "pipe.jpg")
    dataset = read_folder(root)
    assert list(dataset.sources) == ["a/1.jpg", "b/1.jpg", "b/2.jpg", "c/1.jpg"]
    reasons = {file.name: file.reason for file in dataset.intake.passed_over}
    assert reasons == {
        "a/again": "a link to the folder a, which is read already",
        "a/gone.jpg": "a link to a file that is missing",
        "a/self": "a link to a file that is missing",
        "b/pipe.jpg": "not a regular file",
    }


@pytest.mark.skipif(os.geteuid() == 0, reason="root may read everything")
def test_what_may_not_be_read_is_listed(tmp_path):
    root = write_tree(tmp_path / "people", {"a/1.jpg": encoded(0), "b/1.jpg": encoded(1), "b/2.jpg": encoded(2)})
    (root / "b" / "2.jpg").chmod(0)
    assert read_folder(root).intake.passed_over[0].reason == "Permission denied"


def test_members_of_a_tar(tmp_path):
    """Hard links are read, symbolic links and devices are not, the later of two entries counts, no path leads out."""
    with tarfile.open(tmp_path / "people.tar", "w") as tar:

        def add(name, data=b"", kind=tarfile.REGTYPE, target=""):
            member = tarfile.TarInfo(name)
            member.type, member.linkname, member.size = kind, target, len(data)
            tar.addfile(member, io.BytesIO(data))

        add("./a/1.jpg", b"an earlier version")
        add("a/1.jpg", encoded(0))
        add("a/2.jpg", kind=tarfile.LNKTYPE, target="a/1.jpg")
        add("b/1.jpg", kind=tarfile.SYMTYPE, target="../a/1.jpg")
        add("b/2.jpg", encoded(2))
        add("b/3.jpg", kind=tarfile.FIFOTYPE)
        add("b/4.zip", b"PK\5\6" + bytes(18))
        add("../b/5.jpg", encoded(1))
    dataset = read_archive(tmp_path / "people.tar")
    assert list(dataset.sources) == ["a/1.jpg", "a/2.jpg", "b/2.jpg"]
    assert dataset.intake.counts == {"replaced": 1, "unreadable": 2, "not an image": 1, "bad name": 1}
    assert dataset.intake.files == 8


def test_names_in_a_zip_of_windows_and_of_macos(tmp_path):
    with zipfile.ZipFile(tmp_path / "people.zip", "w") as archive:
        archive.writestr("wrap\\a\\1.jpg", encoded(0))
        member = zipfile.ZipInfo("wrap/b/1.jpg")
        archive.writestr(member, encoded(1))
        archive.writestr("wrap/XXXXX/1.jpg", encoded(2))
    data = (tmp_path / "people.zip").read_bytes().replace(b"XXXXX", "José".encode())
    (tmp_path / "people.zip").write_bytes(data)  # UTF-8 that does not say so, as macOS writes it
    assert set(read_archive(tmp_path / "people.zip").people) == {"José", "a", "b"}


def test_a_tar_that_ends_with_a_zip_is_a_tar(tmp_path):
    inner = io.BytesIO()
    with zipfile.ZipFile(inner, "w") as archive:
        archive.writestr("x/1.jpg", encoded(0))
    root = write_tree(tmp_path / "people", {"a/1.jpg": encoded(0), "b/1.jpg": encoded(1), "z.zip": inner.getvalue()})
    with tarfile.open(tmp_path / "people.tar", "w") as tar:
        tar.add(root, "people")
    assert read_archive(tmp_path / "people.tar").people == ("a", "b")


def test_a_file_beyond_the_limit_costs_no_others(tmp_path):
    from visavis.images import Limits

    root = write_tree(
        tmp_path / "people", {"a/1.jpg": encoded(0), "b/1.jpg": encoded(1), "b/2.bmp": encoded(2, "BMP") + bytes(9_000)}
    )
    shutil.make_archive(str(tmp_path / "people"), "zip", root)
    for path in (root, tmp_path / "people.zip"):
        dataset = load_dataset(path, rules=IntakeRules(limits=Limits(max_bytes=9_000)))
        assert list(dataset.sources) == ["a/1.jpg", "b/1.jpg"]
        assert dataset.intake.reasons() == ["b/2.bmp: more than the limit of 9,000 bytes"]


@pytest.mark.parametrize("path", ["people\0", ""])
def test_a_path_that_no_file_can_have(path, tmp_path):
    for read in (load_dataset, lambda name: list(open_photos(name).__enter__().photos)):
        with pytest.raises(DataError, match="a path must not"):
            read(path)
    with pytest.raises(ImageError, match="a path must not"):
        read_image(path)
    if path:  # "" is the current folder where something is written
        with pytest.raises(DataError, match="a path must not have a NUL character"):
            read_arrays(np.zeros((2, 8, 8, 1), np.uint8), [0, 1]).save(tmp_path / path)
        with pytest.raises(DataError, match="a path must not have a NUL character"):
            write_csv(tmp_path / path, ("name",), [])


@pytest.mark.parametrize(
    ("name", "normal"),
    [
        (f" {NFD} ", NFC),
        ("Anna  Maria\u00a0Berg", "Anna Maria Berg"),
        ("\u0645\u06cc\u200c\u062e\u0648\u0627\u0647\u0645", "\u0645\u06cc\u200c\u062e\u0648\u0627\u0647\u0645"),
        ("Ann\u2764\ufe0f", "Ann\u2764\ufe0f"),
        ("李\U0003134a", "李\U0003134a"),
    ],
)
def test_names_have_one_form(name, normal):
    assert check_name(name) == normalise_name(name) == normal
    assert normalise_name(normal) == normal
    assert normalise_path(f"{name}/1.jpg") == f"{normal}/1.jpg"


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("", "must not be empty, got ''"),
        (" \t ", "must not be empty"),
        ("Anna\u202e", r"U\+202E \(RIGHT-TO-LEFT OVERRIDE\)"),
        ("Anna\u2066", r"U\+2066 \(LEFT-TO-RIGHT ISOLATE\)"),
        ("Anna\x00", r"U\+0000 \(a control character\)"),
        ("Anna\x9b", r"U\+009B \(a control character\)"),
        ("Anna\u200b", r"U\+200B \(ZERO WIDTH SPACE\)"),
        ("Anna\udce9", r"U\+DCE9 \(a control character\)"),
    ],
)
def test_names_that_cannot_be_read_are_refused(name, message):
    with pytest.raises(ValueError, match=f"a person's name .*{message}"):
        check_name(name)


def test_a_person_in_two_normal_forms_is_a_leak():
    from visavis.data import FaceDataset

    def one(name, number):
        return FaceDataset(FACES[number : number + 1], np.array([0]), (name,), [f"{number}.jpg"])

    with pytest.raises(LeakError, match=f"person {NFC} is in both train and test"):
        check_leaks(train=one(NFC, 0), test=one(NFD, 1))
    assert one(f" {NFD}", 0).people == (NFC,)
    with pytest.raises(DataError, match=f"people must have different names, got '{NFC}' twice"):
        FaceDataset(FACES[:2], np.array([0, 1]), (NFC, NFD), ["1", "2"])
    with pytest.raises(LeakError, match=f"photo {NFC}/1.jpg is in both"):
        check_leaks(
            people=False,
            train=FaceDataset(FACES[:1], np.array([0]), ("a",), [f"{NFC}/1.jpg"]),
            test=FaceDataset(FACES[1:2], np.array([0]), ("a",), [f"{NFD}/1.jpg"]),
        )
