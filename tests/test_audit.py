"""Faults that were put into a data set are found, and nothing else is."""

import csv
import json

import numpy as np
import pytest
from PIL import Image, ImageFilter

from visavis import cli
from visavis.data import FaceDataset, generate_faces
from visavis.data.audit import MOST_BITS, audit_dataset, near_duplicates, perceptual_hashes, write_fix_list


@pytest.fixture(scope="module")
def clean():
    return generate_faces(10, 4, size=64, seed=5)


def with_photos(dataset, *extra):
    """The data set with more photos: pixels, label and source of each."""
    pixels = np.concatenate([dataset.faces, np.stack([face for face, _, _ in extra])])
    labels = np.concatenate([dataset.labels, [label for _, label, _ in extra]])
    return FaceDataset(pixels, labels, dataset.people, [*dataset.sources[:], *(source for _, _, source in extra)])


def brute_force(first, second):
    distances = np.bitwise_count(first[:, None] ^ second[None]).sum(axis=2, dtype=int)
    return np.argwhere(distances <= MOST_BITS)


def test_near_duplicates_are_those_of_brute_force():
    rng = np.random.default_rng(0)
    hashes = rng.integers(0, 65536, (300, 16), dtype=np.uint16)
    for index in range(100):  # copies with 0 to 24 bits turned over
        bits = np.unpackbits(hashes[index].view(np.uint8))
        bits[rng.choice(256, index % 25, replace=False)] ^= 1
        hashes[200 + index] = np.packbits(bits).view(np.uint16)
    expected = brute_force(hashes, hashes)
    np.testing.assert_array_equal(near_duplicates(hashes), expected[expected[:, 0] < expected[:, 1]])
    np.testing.assert_array_equal(near_duplicates(hashes[:200], hashes[200:]), brute_force(hashes[:200], hashes[200:]))
    assert len(near_duplicates(hashes[:200], hashes[200:])) == 64


def test_a_hash_survives_coding_and_light(clean):
    face = Image.fromarray(clean.faces[0])
    other = np.asarray(face.resize((60, 60)).resize((64, 64)).point(lambda level: min(255, level * 1.1)))
    pair = FaceDataset(np.stack([clean.faces[0], other]), np.array([0, 0]), ("a",), ["1", "2"])
    assert len(near_duplicates(perceptual_hashes(pair))) == 1


def test_clean_data_has_no_duplicates(clean):
    audit = audit_dataset(clean)
    assert not [finding for finding in audit.findings if finding.kind in ("within", "across")]
    assert audit.photos_per_person == {4: 10}


def test_faults_are_found_by_kind(clean, tmp_path):
    soft = np.asarray(Image.fromarray(clean.faces[8]).filter(ImageFilter.GaussianBlur(4)))
    dirty = with_photos(clean, (clean.faces[0], 0, "again"), (clean.faces[4], 2, "wrong name"), (soft, 2, "soft"))
    audit = audit_dataset(dirty, other=clean.select([9, 13]))
    assert [finding.photos for finding in audit.of_kind("within")] == [(0, 40)]
    assert [finding.photos for finding in audit.of_kind("across")] == [(4, 41)]
    assert "soft (sharpness" in " ".join(finding.text for finding in audit.of_kind("blurred"))
    assert [finding.photos for finding in audit.of_kind("leak")] == [(9,), (13,)]
    path = tmp_path / "drop.csv"
    count = write_fix_list(path, audit, dirty)
    with path.open(newline="") as file:
        rows = {row["source"]: row for row in csv.DictReader(file)}
    assert count == len(rows)
    assert rows["again"]["person"] == clean.people[0]
    assert rows["again"]["reason"].startswith("Nearly the same photo twice")
    assert "wrong name" not in rows  # which of two names is right is for a person to say


def test_doubtful_names_are_found_by_embeddings(clean):
    rng = np.random.default_rng(1)
    centres = np.eye(10, 32, dtype=np.float32)
    centres[7] = centres[3]  # two names, one person
    embeddings = centres[clean.labels] + 0.1 * rng.standard_normal((40, 32)).astype(np.float32)
    embeddings[21] = centres[0]  # a photo of another person
    embeddings /= np.linalg.norm(embeddings, axis=1, keepdims=True)
    audit = audit_dataset(clean, embeddings=embeddings, threshold=0.5)
    assert [finding.photos for finding in audit.of_kind("alike")] == [(12, 28)]
    assert [finding.photos[0] for finding in audit.of_kind("mislabelled")] == [21]
    (finding,) = audit.of_kind("mislabelled")
    assert f"is more like {clean.people[0]} (score 0.98) than like the others of {clean.people[5]} (" in finding.text
    with pytest.raises(ValueError, match="as many as photos"):
        audit_dataset(clean, embeddings=embeddings[:3])


def test_the_command_writes_a_page_and_a_list(clean, tmp_path, capsys):
    dirty = with_photos(clean, (clean.faces[0], 0, "again<b>.png"))
    dirty.save(tmp_path / "faces")
    (tmp_path / "faces" / "failures.csv").write_text("source,person,reason\nx.jpg,anna,no face was found\n")
    page, drop = tmp_path / "inspect.html", tmp_path / "drop.csv"
    arguments = ["inspect", tmp_path / "faces", "--out", page, "--fix-list", drop, "--json", "--quiet"]
    with pytest.raises(SystemExit) as stop:
        cli.main([str(argument) for argument in arguments])
    answer = json.loads(capsys.readouterr().out)
    assert stop.value.code == 0
    assert len(answer["findings"]["within"]) == 1
    assert answer["failures"] == [{"source": "x.jpg", "reason": "no face was found"}]
    html = page.read_text()
    assert "again&lt;b&gt;.png" in html and "again<b>" not in html
    assert "Nearly the same photo twice" in html
    assert html.count("data:image/png;base64,") >= 1
    assert "x.jpg" in html
    assert drop.read_text().count("again") >= 1
