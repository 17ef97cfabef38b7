"""Read text files and CSVs that people make: in several encodings, with several separators."""

import csv
from dataclasses import dataclass
from pathlib import Path

from visavis.errors import DataError
from visavis.files import check_path
from visavis.wording import counted

__all__ = ["Table", "read_lines", "read_table"]

_UTF16_MARKS = (b"\xff\xfe", b"\xfe\xff")
_SEPARATORS = ",;\t"


def read_lines(path: Path | str, encoding: str | None = None) -> list[str]:
    """Read the lines of a text file.

    Args:
        path: The file.
        encoding: Such as `"cp1252"`; None: UTF-8 with or without a byte order mark, or UTF-16 with one.

    Raises:
        DataError: If there is no such file, or if it has another encoding; the message names the line.
    """
    try:
        data = check_path(path).read_bytes()
    except OSError as error:
        raise DataError(f"{path}: {error.strerror or error}") from error
    chosen = encoding or ("utf-16" if data[:2] in _UTF16_MARKS else "utf-8-sig")
    try:
        return data.decode(chosen).splitlines()
    except LookupError:
        raise DataError(f"{path}: encoding must be the name of an encoding, such as utf-8 or cp1252, got {encoding!r}") from None
    except UnicodeDecodeError as error:
        line = data[: error.start].count(b"\n") + 1
        hint = "" if encoding else "; for a file of Windows give the encoding cp1252"
        raise DataError(f"{path}: line {line}: not {chosen.removesuffix('-sig')} ({error.reason}){hint}") from None


@dataclass(frozen=True, repr=False)
class Table:
    """A CSV.

    Attributes:
        columns: The names in its first line.
        rows: For each further line that is not empty its number, and its values by column; what is missing is an empty text.
    """

    columns: list[str]
    rows: list[tuple[int, dict[str, str]]]


def read_table(path: Path | str, encoding: str | None = None) -> Table:
    """Read a CSV whose first line names the columns, separated by commas, semicolons or tabs.

    Raises:
        DataError: If it cannot be read, if it is empty, or if a line has more values than there are columns.
    """
    lines = read_lines(path, encoding)
    if not lines:
        raise DataError(f"{path}: must have a line of column names, got an empty file")
    separator = max(_SEPARATORS, key=lines[0].count)
    reader = csv.reader(lines, delimiter=separator)
    columns = [name.strip() for name in next(reader)]
    rows = []
    try:
        for values in reader:
            if len(values) > len(columns):
                quoted = separator.join(values)
                raise DataError(
                    f"{path}: line {reader.line_num}: must have {counted(len(columns), 'value')}, got {len(values)}: {quoted!r}"
                )
            if any(values):
                padded = [value.strip() for value in values] + [""] * (len(columns) - len(values))
                rows.append((reader.line_num, dict(zip(columns, padded, strict=True))))
    except csv.Error as error:
        raise DataError(f"{path}: line {reader.line_num}: {error}") from error
    return Table(columns, rows)
