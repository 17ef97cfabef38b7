"""InsightFace's .bin files are read without being unpickled; files of the same form are written here."""

import io
import json
import pickle
import struct

import numpy as np
import pytest
from commands import call
from PIL import Image

from visavis.data import read_bin
from visavis.data.protocols import connected_people
from visavis.errors import DataError


def encoded(level, side=112):
    buffer = io.BytesIO()
    Image.new("RGB", (side, side), (level, level, level)).save(buffer, format="PNG")
    return buffer.getvalue()


PHOTOS = [encoded(level) for level in (10, 20, 30, 40, 20, 30)]
SAME = [True, True, False]


def by_python_2(photos, same):
    """The pickle of Python 2, whose strings are bytes: protocol 2 with its own instructions."""
    body = b"".join(b"T" + struct.pack("<i", len(photo)) + photo + b"q" + bytes([number]) for number, photo in enumerate(photos))
    return b"\x80\x02]q\xf0(" + body + b"e](" + b"".join(b"\x88" if value else b"\x89" for value in same) + b"e\x86."


WRITERS = {
    **{f"protocol {number}": lambda content, number=number: pickle.dumps(content, number) for number in (3, 4, 5)},
    "python 2": lambda content: by_python_2(*content),
}


@pytest.mark.parametrize("writer", WRITERS)
def test_photos_and_pairs_are_read(tmp_path, writer):
    path = tmp_path / "cfp.bin"
    path.write_bytes(WRITERS[writer]((PHOTOS, SAME)))
    faces, pairs = read_bin(path)
    assert faces.shape == (112, 112, 3) and faces.aligned
    assert faces.faces[:, 0, 0, 0].tolist() == [10, 20, 30, 40], "equal photos are kept once"
    assert pairs.pairs.tolist() == [[0, 1], [2, 3], [1, 2]]
    assert (pairs.labels.tolist(), pairs.folds, pairs.name) == ([1, 1, 0], None, "cfp")
    assert faces.labels.tolist() == [0, 0, 1, 1], "mated pairs connect the photos of a person"


def test_there_are_ten_folds_in_the_order_of_the_file(tmp_path):
    path = tmp_path / "lfw.bin"
    path.write_bytes(pickle.dumps(([encoded(level) for level in range(50)], [True, False] * 12 + [True])))
    assert np.bincount(read_bin(path)[1].folds).tolist() == [3, 2] * 5


def test_photos_of_another_size_are_resized(tmp_path):
    path = tmp_path / "large.bin"
    path.write_bytes(pickle.dumps(([encoded(5, side=224), encoded(9, side=224)], [False])))
    assert read_bin(path)[0].shape == (112, 112, 3)


class Touch:
    """What a harmful pickle does when it is unpickled."""

    def __init__(self, path):
        self.path = path

    def __reduce__(self):
        return open, (str(self.path), "w")


def test_nothing_in_a_file_is_ever_called(tmp_path):
    path, touched = tmp_path / "harmful.bin", tmp_path / "touched"
    for protocol in range(6):
        path.write_bytes(pickle.dumps(([Touch(touched)], [True]), protocol))
        with pytest.raises(DataError, match=r"harmful.bin: not a file of photos and truth values.*is not allowed"):
            read_bin(path)
    assert not touched.exists()


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", "not a file of photos"),
        (b"\x89PNG\r\n", "not a file of photos"),
        (pickle.dumps((PHOTOS, SAME))[:-40], "not a file of photos"),
        (pickle.dumps((PHOTOS, ["yes"] * 3)), "SHORT_BINUNICODE is not allowed"),
        (pickle.dumps((PHOTOS, [1, 1, 0])), "BININT1 is not allowed"),
        (pickle.dumps({"photos": PHOTOS}), "EMPTY_DICT is not allowed"),
        (pickle.dumps((SAME, PHOTOS)), "must hold photos as bytes and truth values"),
        (pickle.dumps((PHOTOS[:5], SAME)), "must hold two photos for each truth value, got 5 photos and 3 values"),
        (pickle.dumps(([], [])), "must hold two photos for each truth value, got 0 photos"),
        (pickle.dumps([SAME]), "must hold a list of photos and one of truth values"),
        (pickle.dumps(([b"no photo"] * 2, [True])), "photo 1: unsupported image format"),
        (pickle.dumps(([PHOTOS[0], PHOTOS[0]], [False])), "pair 1 is non-mated, but mated pairs connect its two photos"),
        (b"ae.", "not a file of photos"),
        (b"]h\x05.", "not a file of photos"),
        (b"\x8e\xff\xff\xff\xff\xff\xff\xff\x7f.", "not a file of photos"),
    ],
)
def test_other_files_are_refused_with_the_reason(tmp_path, content, message):
    path = tmp_path / "other.bin"
    path.write_bytes(content)
    with pytest.raises(DataError, match=message):
        read_bin(path)


def test_a_missing_file_is_named(tmp_path):
    with pytest.raises(DataError, match=r"none\.bin: No such file"):
        read_bin(tmp_path / "none.bin")


def test_people_without_names_are_connected_by_mated_pairs():
    pairs, labels = np.array([[0, 1], [1, 2], [3, 4], [0, 3]]), np.array([1, 1, 1, 0])
    assert connected_people(pairs, labels, count=6, name="these").tolist() == [0, 0, 0, 1, 1, 2]
    with pytest.raises(DataError, match="these: pair 4 is non-mated"):
        connected_people(np.array([[0, 1], [1, 2], [3, 4], [0, 2]]), labels, count=5, name="these")


def test_a_model_is_evaluated_on_a_file(aligned_run, tmp_path, capsys):
    rng = np.random.default_rng(0)
    files = []
    for photo in rng.integers(0, 255, (40, 112, 112, 3), dtype=np.uint8):
        buffer = io.BytesIO()
        Image.fromarray(photo).save(buffer, format="PNG")
        files.append(buffer.getvalue())
    path = tmp_path / "agedb.bin"
    path.write_bytes(pickle.dumps((files, [True, False] * 10)))
    code, printed, _ = call(capsys, "evaluate", str(aligned_run), "--protocol", str(path), "--out", str(tmp_path / "out"), "--json")
    found = json.loads(printed)
    assert (code, found["name"]) == (0, "agedb")
    assert len(found["folded"]["folds"]) == 10
    assert (tmp_path / "out" / "report.html").is_file()


def test_data_and_protocol_exclude_each_other(aligned_run, capsys):
    for words in (["faces", "--protocol", "lfw.bin"], []):
        code, _, error = call(capsys, "evaluate", str(aligned_run), *words)
        assert (code, "give DATA or --protocol, and not both" in error) == (2, True)
