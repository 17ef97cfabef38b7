"""Many photos to one table of embeddings: in a pool of processes or on a cluster, resumable, failures listed."""

import csv
import io
import os
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Literal

from tqdm import tqdm

from visavis.data import read_saved
from visavis.encoders import Encoder, load_encoder
from visavis.errors import DataError
from visavis.scale.shards import FAILURES, EmbeddingSettings, Failure, Shard, Table, make_shards
from visavis.scale.sources import is_prepared, list_photos
from visavis.scale.work import embed_shard
from visavis.workers import check_picklable, run_tasks

__all__ = ["Embedded", "embed_photos"]


@dataclass(frozen=True)
class Embedded:
    """What became of many photos.

    Attributes:
        out: The folder of the table.
        photos: How many photos there were.
        rows: How many embeddings they gave.
        failures: How many photos gave none; `_failures.csv` says why.
        shards: How many files the table has.
        resumed: How many of them were there already.
    """

    out: str
    photos: int
    rows: int
    failures: int
    shards: int
    resumed: int

    def to_json(self) -> dict[str, Any]:
        """Return it as plain values."""
        return asdict(self)

    def __str__(self) -> str:
        """Say it in words."""
        lines = [f"{self.rows:,} embeddings of {self.photos:,} photos, {self.shards:,} files in {self.out}"]
        if self.failures:
            lines.append(
                f"{self.failures:,} photos gave none ({self.failures / self.photos:.2%}); the reasons: {self.out}/{FAILURES}"
            )
        return "\n".join(lines)


def embed_photos(
    photos: Path | str,
    out: Path | str,
    settings: EmbeddingSettings | None = None,
    *,
    engine: Literal["processes", "ray"] = "processes",
    workers: int | None = None,
    progress: bool = True,
) -> Embedded:
    """Embed many photos into a folder of Parquet files, which readers of Parquet take as one table.

    Its columns are source, person, box (left, top, width, height), landmarks (five times x and y), detector_score, warnings and
    embedding (`float32`, unit length); digests of the encoder and of its card are in the metadata. An interrupted call is
    resumed by calling again.

    Args:
        photos: A folder with one sub-folder per person, or a `.tar` or `.zip` of one; a URI of an object store, such as
            `s3://bucket/photos`; or a prepared data set.
        out: The folder, or a URI.
        settings: The model, and how photos become faces; None: the usual ones.
        engine: `"processes"` of this machine; or `"ray"`, on the cluster of `RAY_ADDRESS`, or on this machine if that is not set.
            All machines must see `photos`, `out` and the model by the same names.
        workers: How many processes; None: one for each core.
        progress: Whether to show a bar on standard error.

    Raises:
        DataError: If there are no photos, if they are not aligned as the model wants them, or if `out` holds another table.
        MissingDependencyError: If pyarrow or Ray is not installed.
        ValueError: If `engine` is neither of the two, or if several processes are to use a detector that cannot be pickled.
    """
    settings, root = settings or EmbeddingSettings(), str(photos)
    if engine not in ("processes", "ray"):
        raise ValueError(f"engine must be 'processes' or 'ray'. Received: engine={engine!r}")
    encoder = load_encoder(settings.model)
    _check_faces(root, encoder)
    table = Table(str(out))
    shards = make_shards(list_photos(root, limits=settings.limits), root, str(out), settings, encoder=encoder.digest)
    missing = _missing(table, shards)
    count = sum(len(shard.photos) for shard in shards)
    left = sum(len(shard.photos) for shard in missing)
    processes = min(workers or os.cpu_count() or 1, max(1, len(missing)))
    if processes > 1 or engine == "ray":
        check_picklable("finder", settings.acquisition.finder)
    run: Callable[..., Iterator[int]] = run_tasks
    if engine == "ray":
        from visavis.scale.cluster import run_tasks_on_ray

        run = run_tasks_on_ray
    with tqdm(total=count, initial=count - left, desc="embedding", unit="photo", disable=not progress) as bar:
        for done in run(embed_shard, missing, workers=processes) if missing else ():
            bar.update(done)
    rows, failures = _finish(table, shards)
    return Embedded(str(out), count, rows, failures, len(shards), len(shards) - len(missing))


def _check_faces(root: str, encoder: Encoder) -> None:
    """Refuse faces of a data set that are cut in another way than those the model learned from."""
    if is_prepared(root) and encoder.card.aligned and not read_saved(root).aligned:
        raise DataError("the model takes aligned faces, and these are not. Align them first: visavis prepare PHOTOS --out FACES")


def _missing(table: Table, shards: list[Shard]) -> list[Shard]:
    """The shards that are not there yet; what is there must be of this table."""
    there = table.names()
    if strange := sorted(there - {shard.name for shard in shards}):
        raise DataError(
            f"{table.path}: holds embeddings of other photos, of another model or with other settings ({strange[0]}). "
            "Give a new folder"
        )
    return [shard for shard in shards if shard.name not in there]


def _finish(table: Table, shards: list[Shard]) -> tuple[int, int]:
    """List the failures of all shards, and count."""
    rows, failures = 0, list[Failure]()
    for count, failed in table.told([shard.name for shard in shards]):
        rows += count
        failures += failed
    text = io.StringIO(newline="")
    writer = csv.writer(text)
    writer.writerow(("source", "person", "reason"))
    writer.writerows(failures)
    table.write(FAILURES, text.getvalue().encode())
    table.tidy()
    return rows, len(failures)
