"""Albums from a table of embeddings: the same decisions and groups as from the photos, whether these are still there or not."""

import csv
import json
import logging
import shutil
from pathlib import Path

import numpy as np
import pytest
from commands import call
from test_albums import FindsUpright
from trained import stand_in

import visavis
from visavis.albums.finding import FindOptions, find_people
from visavis.albums.pages import write_annotated, write_found_page
from visavis.albums.reading import ReadingSettings
from visavis.albums.sorting import sort_photos
from visavis.errors import DataError
from visavis.faces import AcquisitionSettings
from visavis.scale import EmbeddingSettings, SavedTable, embed_photos

pytest.importorskip("pyarrow", reason="needs the extra parquet")

import pyarrow as pa
from pyarrow import parquet

HALF = FindOptions(threshold=0.5)


@pytest.fixture
def settings(aligned_run):
    return ReadingSettings(str(aligned_run), AcquisitionSettings(finder=FindsUpright()), workers=1, thumbnails=True)


@pytest.fixture
def table(party, aligned_run, tmp_path):
    """The table of all faces of the party, two photos in each file."""
    return embedded(party, tmp_path / "party.parquet", aligned_run)


def embedded(photos, out, model, **changes):
    options = EmbeddingSettings(
        **{"model": str(model), "policy": "all", "finder": FindsUpright(), "photos_per_shard": 2, **changes}
    )
    embed_photos(photos, out, options, workers=1, progress=False)
    return out


def rewritten(table, out, *, metadata=None, columns=None):
    """A copy of a table of one file with other metadata or columns."""
    out.mkdir()
    (out / "_failures.csv").write_text("source,person,reason\n")
    content = parquet.read_table(sorted(table.glob("part-*"))[0])
    content = content.select(columns or content.column_names)
    parquet.write_table(
        content.replace_schema_metadata(content.schema.metadata if metadata is None else metadata), out / "part-0.parquet"
    )
    return out


def test_people_are_found_in_a_table_as_in_the_photos(table, party, folder, settings, tmp_path):
    from_photos = find_people(folder, party, settings=settings, options=HALF)
    found = find_people(folder, table, settings=settings, options=HALF)
    assert [(face.photo, face.number, face.subject) for face in found.faces] == [
        (face.photo, face.number, face.subject) for face in from_photos.faces
    ]
    np.testing.assert_allclose([face.score for face in found.faces], [face.score for face in from_photos.faces], atol=1e-5)
    np.testing.assert_allclose([face.box for face in found.faces], [face.box for face in from_photos.faces], atol=0.1)
    assert (found.named, found.failures) != ((), ()) and found.failures == from_photos.failures
    assert found.describe() == from_photos.describe() and found.intake.to_json() == from_photos.intake.to_json()
    write_found_page(from_photos, party, tmp_path / "photos", settings)
    write_found_page(found, table, tmp_path / "table", settings)
    assert (tmp_path / "table" / "index.html").read_text() == (tmp_path / "photos" / "index.html").read_text()
    one_file = find_people(folder, sorted(table.glob("part-*"))[0], settings=settings, options=HALF)
    assert one_file.intake.photos == 2 and one_file.faces == found.faces[: len(one_file.faces)]


def test_photos_that_are_gone_are_listed_without_a_picture(table, party, folder, settings, tmp_path):
    found = find_people(folder, table, settings=settings, options=HALF)
    named = {face.photo for face in found.named}
    (party / "b.png").unlink()
    page = write_found_page(found, table, tmp_path / "one", settings).read_text()
    assert "1 photo cannot be read any more" in page and page.count("<img") == len(named) - 1 == len(
        named & {"a.png", "late/c.png"}
    )
    assert "<h2>b.png</h2>" in page
    assert write_annotated(found, table, tmp_path / "copies", settings) == len(named) - 1
    shutil.move(party, tmp_path / "moved")
    page = write_found_page(found, table, tmp_path / "none", settings).read_text()
    assert f"{len(named)} photos cannot be read any more below {party}" in page and "<img" not in page


def test_a_table_cannot_make_a_page_show_other_files(table, party, folder, settings, tmp_path):
    shutil.copy(party / "a.png", tmp_path / "secret.png")
    content = parquet.read_table(sorted(table.glob("part-*"))[0])
    sources = pa.array(["../secret.png", str(tmp_path / "secret.png")] + ["a.png"] * (len(content) - 2))
    forged = tmp_path / "forged.parquet"
    parquet.write_table(content.set_column(0, content.schema.field("source"), sources), forged)
    found = find_people(folder, forged, settings=settings, options=FindOptions(threshold=-1.0))
    assert {face.photo for face in found.named} >= {"../secret.png", str(tmp_path / "secret.png")}
    page = write_found_page(found, forged, tmp_path / "page", settings).read_text()
    assert "2 photos cannot be read any more" in page


def test_faces_of_a_table_are_sorted_as_those_of_photos(table, party, settings, tmp_path):
    from_photos = sort_photos(party, tmp_path / "photos", settings=settings)
    album = sort_photos(table, tmp_path / "table", settings=settings)
    assert album.faces.keys == from_photos.faces.keys and album.describe() == from_photos.describe()
    np.testing.assert_array_equal(album.groups, from_photos.groups)
    np.testing.assert_array_equal(album.faces.weights, from_photos.faces.weights)
    assert [len(picture) for picture in album.faces.thumbnails] == [len(picture) for picture in from_photos.faces.thumbnails]
    assert not (tmp_path / "table" / ".faces").exists()
    shutil.rmtree(party)
    assert set(sort_photos(table, tmp_path / "table", settings=settings).faces.thumbnails) == {b""}


def test_commands_take_a_table(party, folder, aligned_run, tmp_path, capsys, monkeypatch):
    stand_in(monkeypatch, FindsUpright())
    table, options = tmp_path / "party.parquet", ("--model", aligned_run, "--workers", 1, "--quiet")
    assert call(capsys, "embed", party, "--out", table, "--face", "all", *options)[0] == 0
    out = tmp_path / "found"
    code, text, _ = call(capsys, "find", folder, table, "--json", "--out", out, "--threshold", 0.5, *options)
    assert code == 0 and len(json.loads(text)["faces"]) == 7 and not (out / ".faces").exists()
    assert len(list(csv.DictReader((out / "faces.csv").read_text().splitlines()))) == 7
    names, album = tmp_path / "names.csv", tmp_path / "album"
    names.write_text("face,name\na.png#1,Anna\nlate/c.png#2,Anna\nb.png#1,Berta\n")
    code, text, _ = call(capsys, "sort", table, "--out", album, "--names", names, *options)
    assert code == 0 and text.startswith("7 faces, ")
    people = {path.name: len(list(path.iterdir())) for path in (album / "people").iterdir()}
    assert people["Anna"] >= 2 and people["Berta"] >= 1
    shutil.move(party, tmp_path / "moved")
    assert call(capsys, "sort", table, "--out", album, *options)[0] == 0
    assert {path.name: len(list(path.iterdir())) for path in (album / "people").iterdir()} == people
    page = (album / "index.html").read_text()
    assert "7 faces without a picture" in page and "<img" not in page and 'data-face="a.png#1"' in page


def test_tables_of_another_encoder_and_other_files_are_refused(table, party, folder, run, settings, tmp_path):
    metadata = parquet.read_schema(sorted(table.glob("part-*"))[0]).metadata
    rewritten(table, tmp_path / "other", metadata={**metadata, b"visavis.encoder": b"0" * 64})
    rewritten(table, tmp_path / "foreign", metadata={})
    rewritten(table, tmp_path / "early", columns=["source", "person", "box", "warnings", "embedding"])
    damaged = rewritten(table, tmp_path / "damaged")
    (damaged / "part-0.parquet").write_bytes((damaged / "part-0.parquet").read_bytes()[:-100])
    unfinished = shutil.copytree(table, tmp_path / "unfinished")
    (unfinished / "_failures.csv").unlink()
    (tmp_path / "empty.parquet").mkdir()
    for name, message in (
        (
            "other",
            r"other/part-0.parquet: holds embeddings of encoder 000000000000, and the model has encoder [0-9a-f]{12}\. Choose",
        ),
        ("foreign", "foreign/part-0.parquet: not a table that visavis embed writes: its metadata name no encoder"),
        ("early", "early/part-0.parquet: no column 'face'; written by an earlier version"),
        ("damaged", "damaged/part-0.parquet: damaged, or not a Parquet file"),
        ("unfinished", "unfinished: not finished. Run visavis embed again"),
        ("empty.parquet", "empty.parquet: not a table that visavis embed writes: no file part-"),
    ):
        with pytest.raises(DataError, match=message):
            find_people(folder, tmp_path / name, settings=settings, options=HALF)
        with pytest.raises(DataError, match=message):
            sort_photos(tmp_path / name, tmp_path / "album", settings=settings)
    frame = tmp_path / "frame.parquet"
    parquet.write_table(pa.table({"embedding": [1.0]}), frame)
    with pytest.raises(DataError, match="frame.parquet: not a table that visavis embed writes"):
        find_people(folder, frame, settings=settings, options=HALF)


def test_embeddings_without_unit_length_are_refused(table, folder, settings, tmp_path):
    content = parquet.read_table(sorted(table.glob("part-*"))[0])
    place, size = content.column_names.index("embedding"), content["embedding"].type.list_size
    for value in (0.5, np.nan):
        rows = pa.FixedSizeListArray.from_arrays(pa.array(np.full(len(content) * size, value, np.float32)), size)
        parquet.write_table(content.set_column(place, content.schema.field(place), rows), tmp_path / "e.parquet")
        with pytest.raises(DataError, match=r"e\.parquet: damaged: embeddings must have unit length"):
            find_people(folder, tmp_path / "e.parquet", settings=settings, options=HALF)


def test_a_table_with_one_face_of_each_photo_is_taken_with_a_warning(party, folder, aligned_run, settings, tmp_path, caplog):
    largest = embedded(party, tmp_path / "largest.parquet", aligned_run, policy="largest")
    with caplog.at_level(logging.WARNING, "visavis"):
        found = find_people(folder, largest, settings=settings, options=HALF)
    assert len(found.faces) == 3 and "holds one face of each photo (--face largest)" in caplog.text


def test_crops_that_were_embedded_as_they_are_found_groups(folder, aligned_run, settings, tmp_path, caplog):
    table = embedded(folder, tmp_path / "crops.parquet", aligned_run, aligned=True, policy="largest")
    album = sort_photos(table, tmp_path / "album", settings=settings)
    assert len(album.faces) == 64 and (album.faces.weights == 1).all() and sum(album.people) > 0
    assert album.faces.photos[0] == "person-00/0.png" and np.isnan(album.faces.boxes).all()
    assert not caplog.text and all(album.faces.thumbnails)


def test_a_table_remembers_where_its_photos_were(table, party, aligned_run, monkeypatch, tmp_path):
    digest = visavis.load_encoder(aligned_run).digest
    assert SavedTable(table, digest).root == str(party)
    monkeypatch.chdir(party.parent)
    relative = embedded(Path(party.name), tmp_path / "relative.parquet", aligned_run)
    assert SavedTable(relative, digest).root == str(party)
    assert [file.reason for file in SavedTable(table, digest).passed_over] == ["not an image by its content"]
