"""Templates of several photos, on a small folder of the same form as IJB-C that is written here."""

import json

import numpy as np
import pytest
from commands import call
from PIL import Image

from visavis.data.ijb import read_ijb
from visavis.errors import DataError
from visavis.evaluation.templates import pool_templates
from visavis.faces.crops import ARCFACE_LANDMARKS

# photo -> template, medium; templates 7 and 12 show one person, 30 and 31 another
LISTED = [(7, 1), (7, 1), (7, 2), (12, 3), (30, 4), (31, 5), (31, 6)]
PAIRS = [(7, 12, 1), (30, 31, 1), (7, 30, 0), (12, 31, 0), (7, 31, 0)]


@pytest.fixture
def folder(tmp_path):
    root = tmp_path / "IJBX"
    for name in ("meta", "loose_crop"):
        (root / name).mkdir(parents=True)
    rng = np.random.default_rng(0)
    names = [f"{number + 1}.jpg" for number in range(len(LISTED))]
    for name in names:
        Image.fromarray(rng.integers(0, 255, (130, 120, 3), dtype=np.uint8)).save(root / "loose_crop" / name)
    points = " ".join(f"{x + 4} {y + 9}" for x, y in ARCFACE_LANDMARKS)
    write(root, "ijbx_face_tid_mid", [f"{name} {t} {m}" for name, (t, m) in zip(names, LISTED, strict=True)])
    write(root, "ijbx_name_5pts_score", [f"{name} {points} 0.99" for name in names])
    write(root, "ijbx_template_pair_label", [" ".join(map(str, pair)) for pair in PAIRS])
    return root


def write(root, name, lines):
    (root / "meta" / f"{name}.txt").write_text("\n".join(lines) + "\n")


def test_templates_pairs_and_landmarks_are_read(folder):
    protocol = read_ijb(folder)
    assert protocol.templates.tolist() == [0, 0, 0, 1, 2, 3, 3]
    assert protocol.media.tolist() == [1, 1, 2, 3, 4, 5, 6]
    assert protocol.pairs.pairs.tolist() == [[0, 1], [2, 3], [0, 2], [1, 3], [0, 3]]
    assert protocol.pairs.labels.tolist() == [1, 1, 0, 0, 0]
    assert protocol.people.tolist() == [0, 0, 1, 1]
    assert protocol.landmarks.shape == (7, 5, 2)
    np.testing.assert_allclose(protocol.landmarks[3, 0], np.array(ARCFACE_LANDMARKS[0]) + [4, 9], atol=1e-4)
    assert repr(protocol).startswith("TemplateProtocol(7 photos, 4 templates, PairProtocol('IJBX', 2 mated and 3 non-mated")


def test_a_long_video_has_the_weight_of_one_photo():
    east, north = [1.0, 0.0], [0.0, 1.0]
    embeddings = np.array([east, east, east, north, north], dtype=np.float32)
    pooled = pool_templates(embeddings, np.array([0, 0, 0, 0, 1]), np.array([5, 5, 5, 6, 5]))
    np.testing.assert_allclose(pooled, [[np.sqrt(0.5)] * 2, north], atol=1e-6)


def test_a_model_is_evaluated_on_templates(folder, tmp_path, capsys):
    out = tmp_path / "out"
    code, printed, error = call(capsys, "evaluate", "pretrained", "--protocol", folder, "--out", out, "--json")
    assert code == 0, error
    found = json.loads(printed)
    assert (found["name"], found["photos"], found["mated_pairs"], found["nonmated_pairs"]) == ("IJBX", 7, 2, 3)
    assert (out / "report.html").is_file()


@pytest.mark.parametrize(
    ("name", "lines", "message"),
    [
        ("ijbx_face_tid_mid", ["1.jpg 7"], r"face_tid_mid.txt: line 1: must have 3 columns, got 2"),
        ("ijbx_face_tid_mid", [f"{n + 1}.jpg 7 {'one' if n == 3 else 1}" for n in range(7)], "line 4: invalid literal"),
        ("ijbx_face_tid_mid", ["1.jpg 7 1"], "must list the photos of ijbx_face_tid_mid.txt in the same order"),
        ("ijbx_template_pair_label", ["7 12 2"], "each line must have two templates and 0 or 1"),
        ("ijbx_template_pair_label", ["7 12 1", "7 99 0"], "line 2: template 99 has no photos"),
        ("ijbx_template_pair_label", ["7 12 1", "12 7 0"], "pair 2 is non-mated, but mated pairs connect"),
        ("ijbx_template_pair_label", [""], "template_pair_label.txt: must have at least one pair, got none"),
        ("ijbx_face_tid_mid", [], "face_tid_mid.txt: line 1: must have 3 columns, got 0"),
        ("other_template_pair_label", ["7 12 1"], r"must have one file meta/\*_template_pair_label.txt.*got 2"),
    ],
)
def test_lists_that_cannot_be_used_are_named(folder, name, lines, message):
    write(folder, name, lines)
    with pytest.raises(DataError, match=message):
        read_ijb(folder)


@pytest.mark.parametrize("name", ["ijbx_face_tid_mid", "ijbx_name_5pts_score", "ijbx_template_pair_label"])
def test_a_list_in_another_encoding_is_named(folder, name):
    (folder / "meta" / f"{name}.txt").write_bytes("7 12 1\n".encode("utf-16"))
    with pytest.raises(DataError, match=f"{name}.txt: must be in UTF-8 .* at byte 0"):
        read_ijb(folder)


def test_a_damaged_photo_is_named(folder, tmp_path, capsys):
    (folder / "loose_crop" / "3.jpg").write_bytes(b"\xff\xd8\xff")
    code, _, error = call(capsys, "evaluate", "pretrained", "--protocol", folder, "--out", tmp_path / "out")
    assert (code, "loose_crop/3.jpg" in error) == (2, True)
