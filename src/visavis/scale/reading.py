"""Read a table of embeddings, one file at a time, and refuse one that is damaged, unfinished or of another encoder."""

import csv
import io
import json
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Any

import numpy as np
import numpy.typing as npt

from visavis.data import PassedOver
from visavis.data.objects import is_uri
from visavis.errors import DataError
from visavis.files import check_path
from visavis.scale.shards import ENCODER_KEY, FAILURES, FAILURES_KEY, PASSED_OVER, ROOT_KEY, SETTINGS_KEY, Table

__all__ = ["SavedTable", "TableRows", "is_table"]

Floats = npt.NDArray[np.float32]

_SUFFIX, _MAGIC = ".parquet", b"PAR1"
_COLUMNS = ("source", "face", "box", "landmarks", "detector_score", "sharpness", "warnings", "embedding")
_UNIT = 1e-3  # how far the length of an embedding may be from 1


@dataclass(frozen=True, eq=False, repr=False)
class TableRows:
    """Faces of one file of a table.

    Attributes:
        sources: The photo of each face, its path below the root.
        faces: `(n,)`, the number of the face in its photo, the largest first.
        boxes: `(n, 4)`, left, top, width and height in pixels of the photo; NaN where no face was detected.
        landmarks: `(n, 5, 2)`, pixels of the photo; NaN likewise.
        detector_scores: `(n,)`, 0 .. 1; NaN likewise.
        sharpness: `(n,)`, see `faces.sharpness`; NaN where it was not measured.
        warnings: What makes the comparison of each less reliable.
        embeddings: `(n, d)`, rows of unit length.
        failures: Photos without a face: source, person and reason.
    """

    sources: list[str]
    faces: npt.NDArray[np.int64]
    boxes: Floats
    landmarks: Floats
    detector_scores: Floats
    sharpness: Floats
    warnings: list[tuple[str, ...]]
    embeddings: Floats
    failures: list[tuple[str, str, str]]

    def __len__(self) -> int:
        """Return the number of faces."""
        return len(self.sources)


def is_table(location: Path | str) -> bool:
    """Return whether this is a table of embeddings, or some other Parquet file or folder, and not photos."""
    if is_uri(location):
        try:
            return bool(Table(str(location)).names())
        except OSError:  # no folder; whoever reads it says so
            return False
    path = check_path(location)
    if path.is_dir():
        return path.suffix == _SUFFIX or any(path.glob(f"part-*{_SUFFIX}"))
    if not path.is_file():
        return False
    with path.open("rb") as file:
        return file.read(len(_MAGIC)) == _MAGIC


class SavedTable:
    """A table that `visavis embed` wrote: a folder of files, or one file of it.

    Attributes:
        location: The folder, file or URI.
        root: Where the photos were when they were embedded.
        settings: How they became rows; see `EmbeddingSettings.to_json`.
        names: The files.
    """

    def __init__(self, location: Path | str, encoder: str) -> None:
        """Open a table.

        Args:
            location: The folder, file or URI.
            encoder: Digest of the encoder whose embeddings are expected.

        Raises:
            DataError: If it is not such a table, is not finished, or is of another encoder.
            MissingDependencyError: If pyarrow is not installed.
        """
        self.location, self._encoder = str(location), encoder
        whole = is_uri(location) or Path(location).is_dir()
        self._table = Table(self.location if whole else str(Path(location).parent))
        self.names = sorted(self._table.names()) if whole else [Path(location).name]
        if not self.names:
            raise DataError(f"{location}: not a table that visavis embed writes: no file part-*{_SUFFIX} in it")
        if whole and not self._table.exists(FAILURES):
            raise DataError(f"{location}: not finished. Run visavis embed again to embed the rest")
        with self._open(self.names[0]) as file:
            metadata = self._metadata(file, self.names[0])
        self.root: str = metadata[ROOT_KEY].decode("utf-8", "surrogateescape")
        self.settings: dict[str, Any] = json.loads(metadata[SETTINGS_KEY])

    def rows(self) -> Iterator[TableRows]:
        """Yield the rows of each file; all faces of a photo are in one.

        Raises:
            DataError: If a file is damaged, or of another encoder.
        """
        for name in self.names:
            with self._open(name) as file:
                metadata = self._metadata(file, name)
                failures = [tuple(failure) for failure in json.loads(metadata[FAILURES_KEY])]
                yield self._rows(file.read(columns=list(_COLUMNS)), name, failures)

    @property
    def passed_over(self) -> tuple[PassedOver, ...]:
        """The files that were not taken for photos, with the reason of each."""
        if not self._table.exists(PASSED_OVER):
            return ()
        rows = csv.DictReader(io.StringIO(self._table.read(PASSED_OVER).decode(), newline=""))
        return tuple(PassedOver(row["name"], row["kind"], row["reason"]) for row in rows)  # type: ignore[arg-type]

    @contextmanager
    def _open(self, name: str) -> Iterator[Any]:
        from pyarrow import ArrowException, parquet

        try:
            with self._table.system.open_input_file(f"{self._table.path}/{name}") as stream:
                yield parquet.ParquetFile(stream)
        except (ArrowException, OSError) as error:
            raise DataError(f"{self._shown(name)}: damaged, or not a Parquet file ({error})") from error

    def _metadata(self, file: Any, name: str) -> dict[bytes, bytes]:
        """Return the metadata of a file, after a check of encoder and columns."""
        metadata: dict[bytes, bytes] = file.schema_arrow.metadata or {}
        if ENCODER_KEY not in metadata:
            raise DataError(f"{self._shown(name)}: not a table that visavis embed writes: its metadata name no encoder")
        if (found := metadata[ENCODER_KEY].decode()) != self._encoder:
            raise DataError(
                f"{self._shown(name)}: holds embeddings of encoder {found[:12]}, and the model has encoder {self._encoder[:12]}. "
                "Choose the model that the photos were embedded with, or embed them again"
            )
        missing = [column for column in _COLUMNS if column not in file.schema_arrow.names]
        if missing or ROOT_KEY not in metadata:
            what = f"no column {missing[0]!r}" if missing else "no place of the photos"
            raise DataError(f"{self._shown(name)}: {what}; written by an earlier version. Embed the photos again")
        return metadata

    def _rows(self, table: Any, name: str, failures: list[Any]) -> TableRows:
        embeddings = _matrix(table["embedding"])
        lengths = np.linalg.norm(embeddings, axis=1)
        if not np.all(np.abs(lengths - 1) < _UNIT):  # NaN is refused too
            raise DataError(f"{self._shown(name)}: damaged: embeddings must have unit length")
        return TableRows(
            table["source"].to_pylist(),
            table["face"].to_numpy().astype(np.int64),
            _matrix(table["box"], 4),
            _matrix(table["landmarks"], 10).reshape(-1, 5, 2),
            _column(table["detector_score"]),
            _column(table["sharpness"]),
            [tuple(texts) for texts in table["warnings"].to_pylist()],
            embeddings,
            failures,
        )

    def _shown(self, name: str) -> str:
        return f"{self.location}/{name}" if PurePosixPath(self.location).name != name else self.location


def _column(column: Any) -> Floats:
    """Return numbers, NaN where there is none."""
    return np.asarray(column.to_numpy(), dtype=np.float32)


def _matrix(column: Any, size: int | None = None) -> Floats:
    """Return lists of a fixed size as rows, NaN where there is none."""
    array = column.combine_chunks()
    size = size or array.type.list_size
    values = np.full((len(array), size), np.nan, dtype=np.float32)
    there = np.asarray(array.is_valid())
    values[there] = np.asarray(array.drop_null().flatten(), dtype=np.float32).reshape(-1, size)
    return values
