"""Bulk embedding: the same rows from every engine, each file once, failures listed, and gone on with after an interruption."""

import gc
import json
import shutil
import warnings

import numpy as np
import pytest
from PIL import Image
from trained import stand_in

from visavis import cli
from visavis.data import FaceDataset
from visavis.data.preparation import prepare_photos
from visavis.encoders import load_encoder
from visavis.errors import DataError, ModelError
from visavis.faces import CANONICAL_LANDMARKS, Face
from visavis.images import Limits
from visavis.scale import EmbeddingSettings, embed_photos, work
from visavis.scale.shards import Table
from visavis.scale.sources import list_photos, open_source

pytest.importorskip("pyarrow", reason="needs the extra parquet")
parquet = pytest.importorskip("pyarrow.parquet")

ALIGNED = EmbeddingSettings(aligned=True, photos_per_shard=3)


class FindsRed:
    """Finds a face wherever the photo's top left pixel is red, two of them where the next one is red as well."""

    def detect(self, photo):
        count = int(photo[0, 0, 0] > 200) + int(photo[0, 1, 0] > 200)
        return [Face(np.array([4, 4, 100 - i, 100 - i], float), CANONICAL_LANDMARKS + 4 + i, 0.75) for i in range(count)]

    def score_crop(self, crop):
        return 0.9


@pytest.fixture
def photos(tmp_path):
    """Seven photos of two people; one has no face, one has two, one more is damaged, and a file is no image."""
    root = tmp_path / "photos"
    for number, reds in enumerate((1, 2, 0, 1, 1, 1, 1)):
        pixels = np.random.default_rng(number).integers(0, 180, (130, 140, 3), dtype=np.uint8)
        pixels[0, :reds] = (255, 0, 0)
        path = root / ("anna" if number < 4 else "ben") / f"{number}.png"
        path.parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(pixels).save(path)
    (root / "ben" / "9.jpg").write_bytes(b"\xff\xd8\xff damaged")
    (root / "ben" / "notes.jpg").write_bytes(b"not an image")
    return root


@pytest.fixture
def finder(monkeypatch):
    stand_in(monkeypatch, FindsRed())


def embedded(photos, out, settings=ALIGNED, **engine):
    return embed_photos(photos, out, settings, progress=False, **{"workers": 1, **engine})


def table_of(out):
    return parquet.read_table(out)


def vectors_of(out):
    column = table_of(out)["embedding"].combine_chunks()
    return column.flatten().to_numpy().reshape(len(column), -1)


def test_rows_hold_what_the_encoder_gives(photos, tmp_path):
    result = embedded(photos, tmp_path / "e.parquet")
    assert (result.photos, result.rows, result.failures, result.shards, result.resumed) == (8, 7, 1, 3, 0)
    table = table_of(tmp_path / "e.parquet")
    names = ["source", "face", "person", "box", "landmarks", "detector_score", "sharpness", "warnings", "embedding"]
    assert table.column_names == names and table["face"].to_pylist() == [1] * 7
    assert table["source"].to_pylist() == [f"anna/{n}.png" for n in range(4)] + [f"ben/{n}.png" for n in (4, 5, 6)]
    assert table["person"].to_pylist() == ["anna"] * 4 + ["ben"] * 3
    assert table["box"].null_count == 7  # no face was detected
    encoder = load_encoder()
    side = encoder.card.input_shape[0]
    photo = Image.open(photos / "anna" / "0.png").resize((side, side), Image.Resampling.BICUBIC, reducing_gap=3.0)
    np.testing.assert_allclose(vectors_of(tmp_path / "e.parquet")[0], encoder.embed(np.asarray(photo)[None])[0], atol=1e-5)
    metadata = parquet.read_schema(next((tmp_path / "e.parquet").glob("part-*"))).metadata
    assert metadata[b"visavis.encoder"].decode() == load_encoder().digest
    assert len(metadata[b"visavis.card"]) == 64
    failure = (tmp_path / "e.parquet" / "_failures.csv").read_text().splitlines()[1]
    assert failure.startswith('ben/9.jpg,ben,"damaged or truncated')


def test_faces_are_found_in_whole_photos(finder, photos, tmp_path):
    result = embedded(photos, tmp_path / "e.parquet", EmbeddingSettings(policy="all", photos_per_shard=4))
    assert (result.rows, result.failures) == (7, 2)
    table = table_of(tmp_path / "e.parquet")
    assert table["source"].to_pylist()[:3] == ["anna/0.png", "anna/1.png", "anna/1.png"]
    assert table["face"].to_pylist()[:3] == [1, 1, 2] and min(table["sharpness"].to_pylist()) > 0
    assert table["box"].to_pylist()[2] == [4, 4, 99, 99]
    assert table["detector_score"].to_pylist()[0] == 0.75
    np.testing.assert_allclose(table["landmarks"].to_pylist()[0], (CANONICAL_LANDMARKS + 4).ravel(), rtol=1e-6)
    assert "anna/2.png,anna,no face was found" in (tmp_path / "e.parquet" / "_failures.csv").read_text()


def test_a_detector_of_ones_own_is_asked(photos, tmp_path):
    class Everywhere:
        def detect(self, photo):
            return [Face(np.array([4, 4, 100, 100], float), CANONICAL_LANDMARKS + 4, 0.75)]

    settings = EmbeddingSettings(finder=Everywhere(), photos_per_shard=3)
    result = embedded(photos, tmp_path / "own.parquet", settings)
    assert (result.rows, result.failures) == (7, 1)
    metadata = parquet.read_metadata(next((tmp_path / "own.parquet").glob("part-*"))).metadata
    assert json.loads(metadata[b"visavis.settings"])["finder"].endswith("Everywhere")
    assert embedded(photos, tmp_path / "own.parquet", settings).resumed == result.shards
    with pytest.raises(DataError, match="with other settings"):
        embedded(photos, tmp_path / "own.parquet", EmbeddingSettings(photos_per_shard=3))
    with pytest.raises(ValueError, match="finder must be picklable"):
        embedded(photos, tmp_path / "two.parquet", settings, workers=2)


def test_limits_are_those_of_each_photo(photos, tmp_path):
    limits = Limits(max_bytes=(photos / "ben" / "9.jpg").stat().st_size)
    result = embedded(photos, tmp_path / "own.parquet", EmbeddingSettings(aligned=True, limits=limits))
    assert (result.rows, result.failures) == (0, 8)


def test_prepared_faces_bring_what_was_found(finder, photos, tmp_path):
    prepare_photos(photos, tmp_path / "faces", workers=1, progress=False)
    embedded(tmp_path / "faces", tmp_path / "a.parquet", EmbeddingSettings(photos_per_shard=4))
    embedded(photos, tmp_path / "b.parquet", EmbeddingSettings(photos_per_shard=4))
    first, second = (table_of(tmp_path / name) for name in ("a.parquet", "b.parquet"))
    for column in ("source", "person", "box", "detector_score", "warnings"):
        assert first[column].to_pylist() == second[column].to_pylist(), column
    np.testing.assert_allclose(np.array(first["landmarks"].to_pylist()), np.array(second["landmarks"].to_pylist()), atol=0.01)
    cosines = (vectors_of(tmp_path / "a.parquet") * vectors_of(tmp_path / "b.parquet")).sum(axis=1)
    assert cosines.min() > 0.99  # the faces were resampled twice on the one way, once on the other


def test_faces_that_are_not_aligned_are_refused(faces, tmp_path):
    FaceDataset(faces.faces, faces.labels, faces.people, faces.sources).save(tmp_path / "crops")
    with pytest.raises(DataError, match="the model takes aligned faces"):
        embedded(tmp_path / "crops", tmp_path / "e.parquet")


def test_what_was_interrupted_goes_on_and_ends_in_the_same_files(photos, tmp_path, monkeypatch):
    out, write, written = tmp_path / "e.parquet", work.Table.write, []

    def interrupted(table, name, content):
        if len(written) == 1:
            raise KeyboardInterrupt
        written.append(name)
        write(table, name, content)

    monkeypatch.setattr(work.Table, "write", interrupted)
    with pytest.raises(KeyboardInterrupt):
        embedded(photos, out)
    monkeypatch.setattr(work.Table, "write", write)
    assert [path.name for path in out.iterdir()] == written
    (out / ".part-7.123.tmp.parquet").write_bytes(b"half of it")
    before = (out / written[0]).stat().st_mtime_ns
    assert embedded(photos, out).resumed == 1
    assert (out / written[0]).stat().st_mtime_ns == before
    embedded(photos, tmp_path / "other.parquet")
    files = sorted(path.name for path in out.iterdir())
    assert files == sorted(path.name for path in (tmp_path / "other.parquet").iterdir())
    for name in files:
        assert (out / name).read_bytes() == (tmp_path / "other.parquet" / name).read_bytes()
    assert embedded(photos, out).resumed == 3


def test_other_photos_or_settings_need_another_folder(photos, tmp_path):
    embedded(photos, tmp_path / "e.parquet")
    with pytest.raises(DataError, match="embeddings of other photos"):
        embedded(photos, tmp_path / "e.parquet", EmbeddingSettings(aligned=True, photos_per_shard=3, fallback="centre"))
    Image.new("RGB", (90, 90)).save(photos / "anna" / "0.png")
    with pytest.raises(DataError, match="embeddings of other photos"):
        embedded(photos, tmp_path / "e.parquet")


@pytest.mark.parametrize("kind", ["zip", "tar", "uri"])
def test_photos_are_read_wherever_they_are(photos, tmp_path, kind):
    root = f"file://{photos}" if kind == "uri" else shutil.make_archive(str(tmp_path / "packed"), kind, photos)
    embedded(photos, tmp_path / "plain.parquet")
    assert embedded(root, tmp_path / "e.parquet").failures == 1
    np.testing.assert_array_equal(vectors_of(tmp_path / "e.parquet"), vectors_of(tmp_path / "plain.parquet"))


def test_an_archive_that_a_reference_cycle_holds_is_closed(photos, tmp_path):
    first, second = (shutil.make_archive(str(tmp_path / name), "zip", photos) for name in "ab")
    cycle = [open_source(first, "")]
    cycle.append(cycle)  # as an exception and its traceback can be
    gc.collect(0)  # an older source is finalized after its file
    open_source(second, "")
    del cycle
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        gc.collect()
    assert [str(warning.message) for warning in caught if first in str(warning.message)] == []


def test_an_object_store_takes_the_table(photos, tmp_path):
    pytest.importorskip("fsspec", reason="needs the package fsspec")
    from pyarrow import fs

    out = "fsspec+memory://bucket/e.parquet"
    assert embedded(photos, out).rows == 7
    assert embedded(photos, out).resumed == 3
    embedded(photos, tmp_path / "e.parquet")
    system, path = fs.FileSystem.from_uri(out)
    names = {info.base_name for info in system.get_file_info(fs.FileSelector(path))}
    assert names == {file.name for file in (tmp_path / "e.parquet").iterdir()}


def test_another_encoder_under_the_same_name_is_refused(photos, tmp_path):
    from visavis.encoders import PRETRAINED_FILE
    from visavis.scale.shards import Shard

    model = tmp_path / "mine.onnx"
    shutil.copy(PRETRAINED_FILE, model)
    settings = EmbeddingSettings(str(model), aligned=True, photos_per_shard=8)
    embedded(photos, tmp_path / "e.parquet", settings)
    listed = list_photos(str(photos)).photos
    with pytest.raises(ModelError, match="the encoder differs from that of the table"):
        work.embed_shard(Shard(str(photos), str(tmp_path / "other.parquet"), 0, listed, settings, "0" * 64))


def test_only_the_owner_reads_embeddings(tmp_path):
    Table(str(tmp_path / "embeddings.parquet")).write("part-0", b"embeddings")
    assert (tmp_path / "embeddings.parquet" / "part-0").stat().st_mode & 0o777 == 0o600


def test_nothing_to_embed(tmp_path):
    with pytest.raises(DataError, match="no such file or folder"):
        embedded(tmp_path / "nowhere", tmp_path / "e.parquet")
    with pytest.raises(DataError, match="unknown kind of URI"):
        embedded("gopher://photos", tmp_path / "e.parquet")
    (tmp_path / "empty").mkdir()
    with pytest.raises(DataError, match="no photos in it"):
        embedded(tmp_path / "empty", tmp_path / "e.parquet")
    with pytest.raises(ValueError, match="engine must be"):
        embedded(tmp_path, tmp_path / "e.parquet", engine="threads")
    with pytest.raises(ValueError, match="photos_per_shard must be positive"):
        EmbeddingSettings(photos_per_shard=0)


def test_command_with_several_processes(photos, tmp_path, capsys):
    arguments = [
        "embed",
        photos,
        "--out",
        tmp_path / "e.parquet",
        "--aligned",
        "--photos-per-file",
        3,
        "--workers",
        2,
        "--json",
        "--quiet",
    ]
    with pytest.raises(SystemExit) as stop:
        cli.main([str(argument) for argument in arguments])
    answer = json.loads(capsys.readouterr().out)
    assert stop.value.code == 0
    assert (answer["rows"], answer["failures"], answer["shards"]) == (7, 1, 3)
    embedded(photos, tmp_path / "one.parquet")
    assert table_of(tmp_path / "e.parquet").equals(table_of(tmp_path / "one.parquet"))
