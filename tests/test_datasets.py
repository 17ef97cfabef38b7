"""Data sets, their readers, and what each says about data that cannot be used."""

import io
import re
import tarfile
import zipfile

import numpy as np
import pytest
from PIL import Image

from visavis.data import (
    FaceDataset,
    RenderOptions,
    fetch_olivetti,
    generate_faces,
    load_dataset,
    open_photos,
    read_archive,
    read_arrays,
    read_folder,
    read_npy,
    read_npz,
    read_saved,
)
from visavis.data.folders import as_size
from visavis.errors import DataError, DownloadError


def levels(count=6, shape=(8, 10), seed=0):
    return np.random.default_rng(seed).integers(0, 256, (count, *shape), dtype=np.uint8)


def png(pixels):
    file = io.BytesIO()
    Image.fromarray(pixels).save(file, "PNG")
    return file.getvalue()


@pytest.fixture
def photo_files():
    """Three people with two photos each, by file name; in natural order s1, s2, s10."""
    faces = levels(6, (8, 10, 3))
    return {
        f"{person}/{number}.png": png(faces[index])
        for index, (person, number) in enumerate((person, number) for person in ("s10", "s1", "s2") for number in (1, 2))
    }


@pytest.fixture
def photo_folder(tmp_path, photo_files):
    for name, data in photo_files.items():
        path = tmp_path / "photos" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(data)
    return tmp_path / "photos"


def test_arrays_of_any_kind_become_uint8_with_a_channel():
    faces = levels()
    grey = read_arrays(faces, [3, 3, 5, 5, 9, 9])
    assert grey.faces.shape == (6, 8, 10, 1)
    assert (grey.faces[..., 0] == faces).all()
    assert grey.people == ("3", "5", "9")
    assert grey.labels.tolist() == [0, 0, 1, 1, 2, 2]
    same = read_arrays(faces.astype(np.float32) / 255, list("aabbcc"))
    assert (same.faces == grey.faces).all()
    assert same.people == ("a", "b", "c")
    assert read_arrays(levels(4, (8, 8, 3)), [0, 0, 1, 1], people=["ann", "bob"]).people == ("ann", "bob")
    assert read_arrays(faces, [0, 0, 1, 1, 2, 2], size=(32, 40)).shape == (32, 40, 1)


@pytest.mark.parametrize(
    ("images", "labels", "message"),
    [
        (levels(0), [], "must have at least one image"),
        ([], [], "must have at least one image"),
        (levels(4), [1, 1, 1, 1], "at least two people, got one, 1"),
        (levels(4), [1, 1, 2], "the same length, got 4 and 3"),
        (levels(4), [[1], [1], [2], [2]], r"try labels.ravel\(\)"),
        (levels(4), [1.5, 1.5, 2.0, 2.0], "integers or strings"),
        (np.full((4, 8, 8), np.nan), [1, 1, 2, 2], "image 0 holds NaN"),
        (levels(4) * 1.0, [1, 1, 2, 2], "for levels of 0 .. 255 pass uint8"),
        (levels(4) / 255 - 0.5, [1, 1, 2, 2], r"must lie in \[0, 1\]"),
        (levels(4).astype(np.int32), [1, 1, 2, 2], "dtype int32"),
        (levels(4, (8, 8, 2)), [1, 1, 2, 2], r"shape \(4, 8, 8, 2\)"),
        (levels(4, (64,)), [1, 1, 2, 2], r"shape \(4, 64\)"),
        ([np.zeros((8, 8)), np.zeros((9, 9))], [1, 2], "several sizes"),
    ],
)
def test_arrays_that_cannot_be_used_are_named(images, labels, message):
    with pytest.raises(DataError, match=message):
        read_arrays(images, labels)


def test_single_photos_are_counted_in_the_summary():
    summary = read_arrays(levels(4), [0, 0, 1, 2]).summary()
    assert (summary.photos, summary.people, summary.single_photo_people) == (4, 3, 2)
    assert "2 of them with one photo only" in str(summary)


def test_selection_copies_no_pixels_and_renumbers():
    faces = read_arrays(levels(), list("aabbcc"))
    part = faces.select([5, 2, 3])
    assert part.people == ("b", "c")
    assert part.labels.tolist() == [1, 0, 0]
    assert part.pixels is faces.pixels
    assert (part.faces == faces.faces[[5, 2, 3]]).all()
    assert (part.select([1]).faces == faces.faces[[2]]).all()
    assert faces.select_people(["c", "a"]).sources == [faces.sources[index] for index in (0, 1, 4, 5)]
    with pytest.raises(DataError, match="no such person in the data: zoe"):
        faces.select_people(["zoe"])


def test_saved_faces_are_mapped_from_the_disk(tmp_path):
    faces = read_arrays(levels(), list("aabbcc")).select([0, 1, 4, 5])
    again = read_saved(faces.save(tmp_path / "saved"))
    assert isinstance(again.pixels, np.memmap)
    assert again.digest() == faces.digest()
    assert list(again.sources) == list(faces.sources)
    assert load_dataset(tmp_path / "saved", size=(32, 32)).shape == (32, 32, 1)
    names = tmp_path / "saved" / "names.json"
    content = names.read_text(encoding="utf-8")
    names.write_text("[" * 100_000)
    with pytest.raises(DataError, match="not a saved data set"):
        read_saved(tmp_path / "saved")
    names.write_text(content, encoding="utf-8")
    (tmp_path / "saved" / "labels.npy").unlink()
    with pytest.raises(DataError, match="not a saved data set"):
        read_saved(tmp_path / "saved")


def test_the_digest_knows_pixels_labels_and_names():
    faces = levels()
    digests = {
        read_arrays(faces, list("aabbcc")).digest(),
        read_arrays(faces, list("aabbcd")).digest(),
        read_arrays(faces, list("aaabbb")).digest(),
        read_arrays(levels(seed=1), list("aabbcc")).digest(),
    }
    assert len(digests) == 4


def test_npz_and_npy(tmp_path):
    faces, labels = levels(), [0, 0, 1, 1, 2, 2]
    np.savez(tmp_path / "faces.npz", face_images=faces, face_labels=labels)
    np.save(tmp_path / "images.npy", faces)
    np.save(tmp_path / "labels.npy", labels)
    for dataset in (
        read_npz(tmp_path / "faces.npz"),
        read_npy(tmp_path / "images.npy", tmp_path / "labels.npy"),
        load_dataset(f"{tmp_path / 'images.npy'},{tmp_path / 'labels.npy'}"),
    ):
        assert (dataset.faces[..., 0] == faces).all()
    assert isinstance(read_npy(tmp_path / "images.npy", tmp_path / "labels.npy").pixels, np.memmap)
    np.savez(tmp_path / "other.npz", pictures=faces)
    with pytest.raises(DataError, match="must hold face_images and face_labels, got pictures"):
        read_npz(tmp_path / "other.npz")
    np.savez(tmp_path / "objects.npz", face_images=np.array([{}]), face_labels=[1])
    with pytest.raises(DataError, match="objects.npz: not a readable"):
        read_npz(tmp_path / "objects.npz")


def test_folder_in_natural_order(photo_folder, photo_files):
    (photo_folder / "s1" / "notes.txt").write_text("not a photo")
    (photo_folder / ".hidden").mkdir()
    dataset = read_folder(photo_folder)
    assert dataset.people == ("s1", "s2", "s10")
    assert dataset.sources == ["s1/1.png", "s1/2.png", "s2/1.png", "s2/2.png", "s10/1.png", "s10/2.png"]
    assert png(dataset.faces[4]) == photo_files["s10/1.png"]
    assert read_folder(photo_folder, size=(32, 32), gray=True, crop=0.5).shape == (32, 32, 1)


def test_archives_are_read_in_place(tmp_path, photo_folder, photo_files):
    with zipfile.ZipFile(tmp_path / "photos.zip", "w") as archive:
        for name, data in photo_files.items():
            archive.writestr(f"faces/{name}", data)
        archive.writestr("__MACOSX/s1/1.png", b"junk")
    with tarfile.open(tmp_path / "photos.tar.gz", "w:gz") as tar:
        tar.add(photo_folder, "faces")
        link = tarfile.TarInfo("faces/s1/3.png")
        link.type, link.linkname = tarfile.SYMTYPE, "/etc/passwd"
        tar.addfile(link)
    before = sorted(tmp_path.rglob("*"))
    for name in ("photos.zip", "photos.tar.gz"):
        dataset = load_dataset(tmp_path / name)
        assert (dataset.faces == read_folder(photo_folder).faces).all()
        assert dataset.people == ("s1", "s2", "s10")
    assert sorted(tmp_path.rglob("*")) == before


def damaged_zip(path, files, fault):
    """A ZIP of these files of which the last is damaged, or said to want a password."""
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, data in files.items():
            archive.writestr(name, data)
        last = archive.infolist()[-1]
    data = bytearray(path.read_bytes())
    if fault == "damaged":
        data[last.header_offset + 60 : last.header_offset + 70] = bytes(10)
    else:
        data[last.header_offset + 6] |= 1
        data[data.rindex(b"PK\x01\x02") + 8] |= 1
    path.write_bytes(data)
    return path


@pytest.mark.parametrize(("fault", "reason"), [("damaged", "Error|Bad CRC"), ("locked", "protected by a password")])
def test_a_damaged_photo_of_an_archive_is_listed(tmp_path, photo_files, fault, reason):
    path = damaged_zip(tmp_path / "photos.zip", photo_files, fault)
    dataset = read_archive(path)
    last = list(photo_files)[-1]
    assert set(dataset.sources) == {*photo_files} - {last}
    (passed_over,) = dataset.intake.passed_over
    assert (passed_over.name, passed_over.kind) == (last, "unreadable")
    assert re.search(reason, passed_over.reason)
    with open_photos(path) as files:
        fetched = [files.fetch(name) for name, _ in files.photos if name != last]
    assert fetched == [photo_files[name] for name, _ in files.photos if name != last]


def test_what_fails_while_an_archive_is_open_is_not_laid_to_it(tmp_path, photo_files):
    with zipfile.ZipFile(tmp_path / "photos.zip", "w") as archive:
        for name, data in photo_files.items():
            archive.writestr(name, data)
    with pytest.raises(OSError, match="disk is full"), open_photos(tmp_path / "photos.zip"):
        raise OSError("the disk is full")


def test_mixed_sizes_name_two_photos(photo_folder):
    (photo_folder / "s2" / "2.png").write_bytes(png(levels(1, (9, 9, 3))[0]))
    with pytest.raises(DataError, match=r"s1/1.png has 10 x 8 pixels, s2/2.png has 9 x 9"):
        read_folder(photo_folder)
    assert len(read_folder(photo_folder, size=(32, 32))) == 6


def test_an_unreadable_photo_is_listed_and_the_others_are_read(photo_folder, photo_files):
    (photo_folder / "s1" / "1.png").write_bytes(photo_files["s1/1.png"][:60])
    dataset = read_folder(photo_folder)
    assert dataset.sources == ["s1/2.png", "s2/1.png", "s2/2.png", "s10/1.png", "s10/2.png"]
    assert png(dataset.faces[0]) == photo_files["s1/2.png"]
    assert str(dataset.intake) == "5 photos of 3 people; 1 file passed over (1 unreadable)"
    assert dataset.intake.reasons()[0].startswith("s1/1.png: damaged or truncated")
    for name in photo_files:
        (photo_folder / name).write_bytes(photo_files[name][:60])
    with pytest.raises(DataError, match=r"none of 6 photos can be read: s1/1.png: damaged or truncated"):
        read_folder(photo_folder)


def test_one_person_only(tmp_path, photo_folder):
    for name in ("s2", "s10"):
        (photo_folder / name).rename(tmp_path / name)
    with pytest.raises(DataError, match="one sub-folder per person, got 2 photos of 1 person"):
        read_folder(photo_folder)


def test_photos_side_by_side_have_no_person(photo_folder):
    with pytest.raises(DataError, match=r"s2: 2 photos in no person's folder. Give .* one sub-folder per person"):
        read_folder(photo_folder / "s2")


@pytest.mark.parametrize(("data", "message"), [("nowhere", "no such file or folder"), ("junk.bin", "must be a folder")])
def test_what_is_no_data_is_named(tmp_path, data, message):
    (tmp_path / "junk.bin").write_bytes(b"junk")
    with pytest.raises(DataError, match=message):
        load_dataset(tmp_path / data)


def test_a_damaged_archive_is_named(tmp_path):
    (tmp_path / "photos.tar").write_bytes(b"junk" * 500)
    with pytest.raises(DataError, match=r"photos.tar: not a readable .tar or .zip \([^\n]*\)$"):
        read_archive(tmp_path / "photos.tar")


def test_without_a_network_the_error_says_what_to_do(monkeypatch, tmp_path):
    def no_network(**_):
        raise OSError("no route to host")

    monkeypatch.setattr("sklearn.datasets.fetch_olivetti_faces", no_network)
    with pytest.raises(DownloadError, match="Olivetti could not be fetched .*give the path"):
        fetch_olivetti(data_home=tmp_path)


def test_parts_that_do_not_fit():
    with pytest.raises(DataError, match="2 labels and 6 sources"):
        FaceDataset(levels()[..., None], np.array([0, 1]), ("a", "b"), list("abcdef"))
    with pytest.raises(DataError, match="every person must have a photo"):
        FaceDataset(levels(2)[..., None], np.array([0, 0]), ("a", "b"), list("ab"))


@pytest.mark.real_faces
def test_att(att_archive):
    dataset = read_archive(att_archive, gray=True)
    assert (len(dataset), len(dataset.people), dataset.shape) == (400, 40, (112, 92, 1))
    assert dataset.people[:3] == ("s1", "s2", "s3")
    assert dataset.sources[9] == "att_faces/s1/10.pgm"


def test_faces_without_room_on_the_disk_are_refused(tmp_path, faces, no_room):
    with pytest.raises(OSError, match="faces.npy"), no_room():
        faces.save(tmp_path)
    assert not list(tmp_path.iterdir())
    with pytest.raises(OSError, match="many.npy"), no_room():
        generate_faces(2, 20, size=32, options=RenderOptions(tmp_path / "many.npy"))


@pytest.mark.parametrize("size", [80, np.int64(80), (80, 80), [80, 80], np.array([80, 80])])
def test_a_size_is_a_side_or_two(size):
    assert as_size(size) == (80, 80)


@pytest.mark.parametrize(
    "size", [0, -1, 80.0, "80", (80,), (80, "a"), (80, 80, 3), (80, 0.5), object, True, (True, 80), np.array(80.0)]
)
def test_another_size_is_refused(size):
    with pytest.raises(ValueError, match="size must be a positive number or "):
        load_dataset("synthetic", size=size)
