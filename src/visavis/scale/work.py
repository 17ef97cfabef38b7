"""Embed one shard of the table."""

import hashlib
import io
import json
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, replace
from functools import lru_cache, partial
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from visavis.data.objects import is_uri
from visavis.data.preparation import LANDMARKS, TABLE
from visavis.encoders import Encoder
from visavis.encoders.loading import load_expected
from visavis.errors import ImageError
from visavis.faces import AcquisitionSettings, AlignedFace, Crop
from visavis.images import decode_image
from visavis.scale.shards import CARD_KEY, CROP_KEY, ENCODER_KEY, FAILURES_KEY, ROOT_KEY, SETTINGS_KEY, Shard, Table, schema
from visavis.scale.sources import Source, open_source
from visavis.workers.isolated import isolated

__all__ = ["embed_shard"]

_BATCH = 64
_OTHER_ENCODER = "the encoder differs from that of the table. Do all machines read the same file?"  # on clusters: many disks


@dataclass(frozen=True, eq=False)
class _Row:
    """A row without its embedding, and the face to embed."""

    source: str
    person: str
    pixels: npt.NDArray[np.uint8]
    box: list[float] | None = None
    landmarks: list[float] | None = None
    detector_score: float | None = None
    sharpness: float | None = None
    warnings: list[str] = field(default_factory=list)
    face: int = 1


def embed_shard(shard: Shard) -> int:
    """Embed the photos of one shard and write it, unless it exists; return its number of photos.

    The task is idempotent, also when two processes run it at once.
    """
    table = Table(shard.out)
    if not table.exists(shard.name):
        encoder = load_expected(shard.settings.model, shard.encoder, otherwise=_OTHER_ENCODER)
        failures: list[tuple[str, str, str]] = []
        rows, embeddings = [], []
        for batch in _batches(_rows_of(shard, encoder, failures)):
            embeddings.append(encoder.embed(np.stack([row.pixels for row in batch])))
            rows += [_columns(row) for row in batch]
        table.write(shard.name, _parquet(shard, encoder, rows, embeddings=embeddings, failures=failures))
    return len(shard.photos)


def _batches(rows: Iterator[_Row]) -> Iterator[list[_Row]]:
    """Yield batches of rows, so that the faces of a shard are never all in memory."""
    batch: list[_Row] = []
    for row in rows:
        batch.append(row)
        if len(batch) == _BATCH:
            yield batch
            batch = []
    if batch:
        yield batch


def _rows_of(shard: Shard, encoder: Encoder, failures: list[tuple[str, str, str]]) -> Iterator[_Row]:
    source = open_source(shard.root, shard.photos[0].stamp, shard.settings.limits)
    if source.faces is not None:
        yield from _prepared_rows(shard, encoder, source)
        return
    finds_faces = encoder.card.aligned and not shard.settings.aligned
    assert source.fetch is not None
    acquisition = shard.settings.acquisition
    work = partial(_detect if finds_faces else _decode, acquisition, encoder.card.crop)
    read = isolated(work, acquisition.budget, acquisition.warm_up)
    for name, person, _, path in shard.photos:
        try:
            for number, row in enumerate(read(source.fetch(path), name), 1):
                yield replace(row, source=name, person=person, face=number)
        except (ImageError, OSError) as error:
            failures.append((name, person, str(error).removeprefix(f"{name}: ")))


def _detect(acquisition: AcquisitionSettings, crop: Crop, content: Path | bytes, name: str) -> list[_Row]:
    """Return a row for each face of a photo, without source and person."""
    found = acquisition.acquire(content, name=name)
    return [_Row("", "", face.cut(crop), *_where(face), round(face.sharpness, 1), list(face.warnings)) for face in found]


def _decode(acquisition: AcquisitionSettings, crop: Crop, content: Path | bytes, name: str) -> list[_Row]:
    """Return a row for a photo that is taken as it is, likewise."""
    photo = decode_image(content, name=name, limits=acquisition.limits)
    return [_Row("", "", crop.fit(photo.pixels), warnings=list(photo.warnings))]


def _where(aligned: AlignedFace) -> tuple[list[float] | None, list[float] | None, float | None]:
    """Box, landmarks and detector score; nothing where the centre of the photo was taken."""
    face = aligned.face
    return (None, None, None) if face is None else (face.box.tolist(), face.landmarks.ravel().tolist(), face.score)


def _prepared_rows(shard: Shard, encoder: Encoder, source: Source) -> Iterator[_Row]:
    """Yield the rows of a prepared data set with the recorded acquisition."""
    assert source.faces is not None
    recorded = _recorded(shard.root, shard.photos[0].stamp)
    for number, (name, person, _, _) in enumerate(shard.photos, start=shard.first):
        columns = () if recorded is None else recorded(number)
        yield _Row(name, person, source.faces.cut_face(number, encoder.card.crop), *columns)


@lru_cache(maxsize=1)
def _recorded(root: str, stamp: str) -> Callable[[int], tuple[Any, ...]] | None:
    """Return the columns of the table of `visavis prepare` by the number of a face; None without a table."""
    del stamp  # changes with the faces, and so does the table
    path = Path(root) / TABLE
    if not path.is_file():
        return None
    from pyarrow import csv

    table = csv.read_csv(path)
    box = [table[name] for name in ("left", "top", "width", "height")]
    landmarks = [table[f"{landmark}_{axis}"] for landmark in LANDMARKS for axis in "xy"]

    def row(number: int) -> tuple[Any, ...]:
        score = table["score"][number].as_py()
        warnings = [text for text in (table["warnings"][number].as_py() or "").split("; ") if text]
        sharpness = float(table["sharpness"][number].as_py())
        if score is None:
            return None, None, None, sharpness, warnings
        places = ([float(column[number].as_py()) for column in columns] for columns in (box, landmarks))
        return *places, float(score), sharpness, warnings

    return row


def _columns(row: _Row) -> dict[str, Any]:
    return {name: value for name, value in vars(row).items() if name != "pixels"}


def _parquet(
    shard: Shard,
    encoder: Encoder,
    rows: list[dict[str, Any]],
    *,
    embeddings: list[npt.NDArray[np.float32]],
    failures: list[tuple[str, str, str]],
) -> memoryview:
    """Return the content of the file."""
    import pyarrow as pa
    from pyarrow import parquet

    matrix = np.concatenate(embeddings) if embeddings else encoder.embed(np.zeros((1, *encoder.card.input_shape), np.uint8))[:0]
    card = json.dumps(encoder.card.to_json(), sort_keys=True)
    columns = schema(
        matrix.shape[1],
        {
            ENCODER_KEY: shard.encoder.encode(),
            CROP_KEY: json.dumps(encoder.card.crop.to_json()).encode(),
            CARD_KEY: hashlib.sha256(card.encode()).hexdigest().encode(),
            ROOT_KEY: (shard.root if is_uri(shard.root) else str(Path(shard.root).absolute())).encode("utf-8", "surrogateescape"),
            SETTINGS_KEY: json.dumps(shard.settings.to_json()).encode(),
            FAILURES_KEY: json.dumps(failures).encode(),
        },
    )
    arrays = [pa.array([row[column.name] for row in rows], column.type) for column in columns if column.name != "embedding"]
    arrays.append(pa.FixedSizeListArray.from_arrays(pa.array(matrix.ravel()), matrix.shape[1]))
    buffer = io.BytesIO()
    parquet.write_table(pa.Table.from_arrays(arrays, schema=columns), buffer)
    return buffer.getbuffer()
