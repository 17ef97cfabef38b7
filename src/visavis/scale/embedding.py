"""Embed many photos into one table: by a pool of processes or a cluster, resumable, with a list of failures."""

import os
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Literal

from tqdm import tqdm

from visavis.data import Intake, PassedOver, read_saved
from visavis.data.folders import check_outside
from visavis.encoders import Encoder, load_encoder
from visavis.errors import DataError, check_option
from visavis.files import csv_bytes
from visavis.scale.shards import FAILURES, PASSED_OVER, EmbeddingSettings, Failure, Shard, Table, make_shards
from visavis.scale.sources import is_prepared, list_photos
from visavis.scale.work import embed_shard
from visavis.wording import counted
from visavis.workers.tasks import check_picklable, run_tasks

__all__ = ["Embedded", "embed_photos"]


Engine = Literal["processes", "ray"]


@dataclass(frozen=True)
class Embedded:
    """The result of embedding many photos.

    Attributes:
        out: The folder of the table.
        photos: Number of photos.
        rows: Number of embeddings.
        failures: Number of photos without an embedding; `_failures.csv` lists the reasons.
        shards: Number of files of the table.
        resumed: Number of files that an earlier run had written.
        intake: The photos that were found, and the files that were passed over; `_passed_over.csv` lists these.
    """

    out: str
    photos: int
    rows: int
    failures: int
    shards: int
    resumed: int
    intake: Intake

    def to_json(self) -> dict[str, Any]:
        """Return the result as JSON-serialisable values."""
        return {**asdict(self), "intake": self.intake.to_json()}

    def __str__(self) -> str:
        """Return a summary."""
        lines = [
            f"{counted(self.rows, 'embedding')} of {counted(self.photos, 'photo')}, {counted(self.shards, 'file')} in {self.out}"
        ]
        if self.failures:
            lines.append(
                f"{counted(self.failures, 'photo')} failed ({self.failures / self.photos:.2%}); reasons in {self.out}/{FAILURES}"
            )
        if self.intake.passed_over:
            lines.append(self.intake.describe_passed_over(f"{self.out}/{PASSED_OVER}"))
        return "\n".join(lines)


def embed_photos(
    photos: Path | str,
    out: Path | str,
    settings: EmbeddingSettings | None = None,
    *,
    engine: Engine = "processes",
    workers: int | None = None,
    progress: bool = True,
) -> Embedded:
    """Embed many photos into a folder of Parquet files, which Parquet readers open as one table.

    Its columns are source, face (its number in the photo, the largest first), person, box (left, top, width, height), landmarks
    (five times x and y), detector_score, sharpness, warnings and embedding (`float32`, unit length); digests of the encoder and of
    its card are in the metadata. An interrupted call is resumed by calling again.

    Args:
        photos: A folder with one sub-folder per person, or a `.tar` or `.zip` of one; a URI of an object store, such as
            `s3://bucket/photos`; or a prepared data set. Photos that lie in no person's folder get an empty name.
        out: The folder, or a URI.
        settings: The model and the acquisition of faces; None: the defaults.
        engine: `"processes"` of this machine; or `"ray"`, on the cluster of `RAY_ADDRESS`, or on this machine if that is not set.
            All machines must reach `photos`, `out` and the model by the same paths.
        workers: Number of processes; None: one per core.
        progress: Whether to show a bar on standard error.

    Raises:
        DataError: If there are no photos, if their alignment does not fit the model, or if `out` holds another table.
        MissingDependencyError: If pyarrow or Ray is not installed.
        ValueError: If `engine` is neither of the two, or if several processes are to use a detector that cannot be pickled.
    """
    settings, root = settings or EmbeddingSettings(), str(photos)
    check_option("engine", engine, Engine)
    encoder = load_encoder(settings.model)
    _check_faces(root, encoder)
    table = Table(str(out))
    check_outside(root, out)
    listed = list_photos(root, settings.rules)
    shards = make_shards(listed.photos, root, str(out), settings, encoder=encoder.digest)
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
    if listed.intake.passed_over:
        table.write(PASSED_OVER, csv_bytes(PassedOver._fields, listed.intake.passed_over))
    return Embedded(str(out), count, rows, failures, len(shards), len(shards) - len(missing), listed.intake)


def _check_faces(root: str, encoder: Encoder) -> None:
    """Refuse faces of a data set that are cut in another way than those the model learned from."""
    if is_prepared(root):
        read_saved(root).check_crop(encoder.card.crop)


def _missing(table: Table, shards: list[Shard]) -> list[Shard]:
    """Return the missing shards; existing ones must belong to this table."""
    there = table.names()
    if foreign := sorted(there - {shard.name for shard in shards}):
        raise DataError(
            f"{table.path}: holds embeddings of other photos, of another model or with other settings ({foreign[0]}). "
            "Choose a new folder"
        )
    return [shard for shard in shards if shard.name not in there]


def _finish(table: Table, shards: list[Shard]) -> tuple[int, int]:
    """Write the list of failures and count rows and failures."""
    rows, failures = 0, list[Failure]()
    for count, failed in table.summaries([shard.name for shard in shards]):
        rows += count
        failures += failed
    table.write(FAILURES, csv_bytes(("source", "person", "reason"), failures))
    table.remove_temporary_files()
    return rows, len(failures)
