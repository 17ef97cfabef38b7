"""The table of embeddings as a folder of shards, named by their content and written atomically."""

import hashlib
import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

from visavis.data import IntakeRules
from visavis.data.objects import filesystem_of
from visavis.errors import check_numbers
from visavis.faces import AcquisitionSettings, FaceDetector, FaceFallback, FaceFinder, FacePolicy, detector_name
from visavis.files import atomic_write
from visavis.images import Limits
from visavis.scale.sources import Photo

__all__ = ["EmbeddingSettings", "Shard", "Table", "make_shards"]

ENCODER_KEY, CROP_KEY, CARD_KEY, ROOT_KEY, SETTINGS_KEY, FAILURES_KEY = (
    f"visavis.{name}".encode() for name in ("encoder", "crop", "card", "photos", "settings", "failures")
)
_COLUMNS = 2  # version; files of different ones have different names, so that they do not mix
FAILURES, PASSED_OVER = "_failures.csv", "_passed_over.csv"  # Parquet readers ignore names that begin with _ or .

Failure = tuple[str, str, str]


@dataclass(frozen=True)
class EmbeddingSettings:
    """How photos become rows.

    Attributes:
        model: A model, see `load_encoder`.
        aligned: Whether the photos are aligned crops, so that no face is detected.
        policy: Which face to take of several, see `faces.acquire_faces`.
        fallback: What to take where no face is detected, see `faces.acquire_faces`.
        finder: The face detector; None: `FaceFinder()`. Several processes need one that can be pickled.
        limits: Largest file and picture that are decoded; None: `Limits()`.
        photos_per_shard: Number of photos per file, the unit of work that an interruption repeats.
        people_depth: Which folders are the people; see `IntakeRules`.
    """

    model: str = "pretrained"
    aligned: bool = False
    policy: FacePolicy = "largest"
    fallback: FaceFallback | None = None
    finder: FaceDetector | None = None
    limits: Limits | None = None
    photos_per_shard: int = 1024
    people_depth: int | None = None

    def __post_init__(self) -> None:
        """Check the settings.

        Raises:
            ValueError: If `photos_per_shard` is not positive, or an option is not one of its values.
        """
        check_numbers(self)
        _ = self.acquisition
        if self.photos_per_shard < 1:
            raise ValueError(f"photos_per_shard must be positive, got {self.photos_per_shard}")

    @property
    def acquisition(self) -> AcquisitionSettings:
        """How photos become faces."""
        finder = FaceFinder() if self.finder is None else self.finder
        return AcquisitionSettings(self.policy, self.fallback, finder, self.limits or Limits())

    def to_json(self) -> dict[str, Any]:
        """Return the settings that the rows depend on as JSON-serialisable values."""
        return {
            "model": self.model,
            "aligned": self.aligned,
            "policy": self.policy,
            "fallback": self.fallback,
            "finder": detector_name(self.acquisition.finder),
            "photos_per_shard": self.photos_per_shard,
        }

    @property
    def rules(self) -> IntakeRules:
        """How files become photos of people."""
        return IntakeRules("optional", self.people_depth, self.limits or Limits())


@dataclass(frozen=True)
class Shard:
    """One file of the table.

    Attributes:
        root: The folder, archive, URI or prepared data set.
        out: The folder or URI of the table.
        first: The number of the first photo.
        photos: The photos.
        settings: How they become rows.
        encoder: Digest of the encoder.
    """

    root: str
    out: str
    first: int
    photos: Sequence[Photo]
    settings: EmbeddingSettings
    encoder: str

    @cached_property
    def name(self) -> str:
        """File name: the number of the first photo, and a digest of photos, settings, encoder and columns."""
        content = json.dumps([_COLUMNS, self.encoder, {**self.settings.to_json(), "model": None}, self.photos])
        return f"part-{self.first:010d}-{hashlib.sha256(content.encode()).hexdigest()[:16]}.parquet"


def make_shards(photos: Sequence[Photo], root: str, out: str, settings: EmbeddingSettings, *, encoder: str) -> list[Shard]:
    """Divide photos among shards in their order; `encoder` is the digest of the encoder."""
    size = settings.photos_per_shard
    return [Shard(root, out, first, photos[first : first + size], settings, encoder) for first in range(0, len(photos), size)]


class Table:
    """The folder of the shards, on a disk or in an object store.

    Example:
        Any Parquet reader opens it::

            pyarrow.parquet.read_table("embeddings.parquet")
    """

    def __init__(self, out: str) -> None:
        """Open the folder; nothing is written.

        Raises:
            MissingDependencyError: If pyarrow is not installed.
        """
        self.system, self.path = filesystem_of(out)
        self.local = self.system.type_name == "local"

    def names(self) -> set[str]:
        """Return the names of the existing shards."""
        from pyarrow import fs

        infos = self.system.get_file_info(fs.FileSelector(self.path, allow_not_found=True))
        return {info.base_name for info in infos if info.base_name.startswith("part-")}

    def exists(self, name: str) -> bool:
        """Return whether there is a file of this name."""
        from pyarrow import fs

        return bool(self.system.get_file_info(f"{self.path}/{name}").type == fs.FileType.File)

    def read(self, name: str) -> bytes:
        """Return the content of a file."""
        with self.system.open_input_stream(f"{self.path}/{name}") as stream:
            content: bytes = stream.read()
        return content

    def write(self, name: str, content: bytes | memoryview) -> None:
        """Write a file atomically: on a disk through a temporary file; object stores publish a file when it is complete."""
        if self.local:
            with atomic_write(Path(self.path) / name, private=True) as temporary:
                temporary.write_bytes(content)
            return
        self.system.create_dir(self.path, recursive=True)
        with self.system.open_output_stream(f"{self.path}/{name}") as stream:
            stream.write(content)

    def summaries(self, names: Sequence[str]) -> Iterator[tuple[int, list[Failure]]]:
        """Yield the number of rows and the failures of each of these shards, read from their metadata."""
        from pyarrow import parquet

        for name in names:
            with self.system.open_input_file(f"{self.path}/{name}") as file:
                metadata = parquet.read_metadata(file)
            yield metadata.num_rows, [tuple(failure) for failure in json.loads(metadata.metadata[FAILURES_KEY])]

    def remove_temporary_files(self) -> None:
        """Remove incomplete files of killed processes."""
        for path in Path(self.path).glob(".part-*.tmp.parquet") if self.local else ():
            path.unlink(missing_ok=True)


def schema(size: int, metadata: dict[bytes, bytes]) -> Any:
    """Return the schema of a table of embeddings of this length."""
    import pyarrow as pa

    return pa.schema(
        [
            pa.field("source", pa.string(), nullable=False),
            pa.field("face", pa.int32(), nullable=False),
            pa.field("person", pa.string(), nullable=False),
            ("box", pa.list_(pa.float32(), 4)),
            ("landmarks", pa.list_(pa.float32(), 10)),
            ("detector_score", pa.float32()),
            ("sharpness", pa.float32()),
            pa.field("warnings", pa.list_(pa.string()), nullable=False),
            pa.field("embedding", pa.list_(pa.float32(), size), nullable=False),
        ],
        metadata=metadata,
    )
