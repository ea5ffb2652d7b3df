"""Owns taking a file apart into lines and cells, whatever its format, in bounded memory. Knows no field of a trade."""

import csv
import json
import os
import stat
from collections.abc import Iterator
from dataclasses import dataclass
from decimal import Decimal
from enum import StrEnum
from pathlib import Path
from typing import BinaryIO, Final, NamedTuple

MAX_LINE_BYTES: Final = 1_000_000
"""A trade has some 500 bytes; a longer line is another kind of file."""
_LOOK_BYTES: Final = 8_192
_BOM: Final = b"\xef\xbb\xbf"
_DELIMITERS: Final = ",;\t|"
_GZIP: Final = b"\x1f\x8b"
_ZIP: Final = b"PK\x03\x04"
_PARQUET: Final = b"PAR1"
_UTF16: Final = (b"\xff\xfe", b"\xfe\xff")
_PARQUET_BATCH_ROWS: Final = 2_000


class Format(StrEnum):
    """Formats of files of trades."""

    AUTO = "auto"
    CSV = "csv"
    JSONL = "jsonl"
    PARQUET = "parquet"


class FileError(Exception):
    """The file as a whole cannot be read: one sentence, and what to do."""

    def __init__(self, message: str, hint: str = "") -> None:
        super().__init__(message)
        self.message = message
        self.hint = hint


class ParquetMissing(Exception):  # noqa: N818  it names what is wrong
    """The optional library for Parquet is not installed."""


class Line(NamedTuple):
    """One line taken apart, or what is wrong with it."""

    number: int
    columns: tuple[str, ...]
    cells: tuple[object, ...]
    problem: str = ""


@dataclass
class Source:
    """An open file: its format, its header if it has one, and how far it has been read."""

    path: Path
    format: Format
    file: BinaryIO
    total_bytes: int
    header: tuple[str, ...] | None = None
    """None for JSON Lines, where each line names its own columns."""
    line: int = 0
    """Physical lines, or rows of a Parquet file, read so far."""
    total_rows: int = 0
    """Known beforehand for Parquet only."""
    delimiter: str = ","

    @property
    def done_bytes(self) -> int:
        """How far the file has been read."""
        if self.format is Format.PARQUET:
            return self.total_bytes * self.line // max(self.total_rows, 1)
        return self.file.tell()

    def lines(self) -> Iterator[Line]:
        """Every line with a trade, or with a problem.

        Raises:
            FileError: what follows cannot be read at all.
        """
        match self.format:
            case Format.PARQUET:
                return _parquet_lines(self)
            case Format.JSONL:
                return _json_lines(self)
            case _:
                return _csv_lines(self)


def open_source(path: Path, wanted: Format) -> Source:
    """Open a file and recognise its format; the caller closes `file`.

    Raises:
        FileError: absent, a directory, empty, binary, compressed, or not in the format that was asked for.
        ParquetMissing: a Parquet file, and no library for it.
    """
    file, size = _opened(path)
    try:
        start = file.read(_LOOK_BYTES)
        file.seek(0)
        source = Source(path, _recognised(path, start, wanted), file, size)
        if source.format is Format.PARQUET:
            _check_parquet(source)
        elif source.format is Format.CSV:
            _read_csv_header(source)
    except BaseException:
        file.close()
        raise
    return source


def _opened(path: Path) -> tuple[BinaryIO, int]:
    try:
        # without O_NONBLOCK a named pipe would be waited for
        descriptor = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
    except FileNotFoundError:
        raise FileError(f"There is no file {path}.") from None
    except (OSError, ValueError) as error:
        reason = error.strerror if isinstance(error, OSError) else str(error)
        raise FileError(f"Cannot read {path}: {reason}.") from error
    status = os.fstat(descriptor)
    if not stat.S_ISREG(status.st_mode):
        os.close(descriptor)
        kind = "a directory" if stat.S_ISDIR(status.st_mode) else "not a regular file"
        raise FileError(f"{path} is {kind}.", "Give one CSV, JSON Lines or Parquet file.")
    if status.st_size == 0:
        os.close(descriptor)
        raise FileError(f"{path} is empty.")
    return os.fdopen(descriptor, "rb"), status.st_size


def _recognised(path: Path, start: bytes, wanted: Format) -> Format:
    if start.startswith(_PARQUET):
        if wanted in {Format.AUTO, Format.PARQUET}:
            return Format.PARQUET
        raise FileError(f"{path} is a Parquet file.", "Leave out --format.")
    if wanted is Format.PARQUET:
        raise FileError(f"{path} is not a Parquet file.", "Leave out --format.")
    if start.startswith((_GZIP, _ZIP)):
        raise FileError(f"{path} is compressed.", "Unpack it first.")
    if start.startswith(_UTF16):
        raise FileError(f"{path} is UTF-16.", f"Convert it: iconv -f utf-16 -t utf-8 {path}")
    if b"\x00" in start:
        raise FileError(f"{path} is a binary file.", "Give one CSV, JSON Lines or Parquet file.")
    first = start.removeprefix(_BOM).lstrip()[:1]
    if first == b"[" and wanted is not Format.CSV:
        raise FileError(f"{path} is one JSON array.", f"Write one object a line: jq -c '.[]' {path}")
    if wanted is not Format.AUTO:
        return wanted
    return Format.JSONL if first == b"{" else Format.CSV


def _text_lines(source: Source) -> Iterator[str]:
    """The physical lines with their ends; decoding is strict, so that no wrong letter is stored."""
    while raw := source.file.readline(MAX_LINE_BYTES):
        source.line += 1
        if len(raw) >= MAX_LINE_BYTES and not raw.endswith(b"\n"):
            raise FileError(f"Line {source.line} of {source.path} is longer than {MAX_LINE_BYTES} bytes.")
        if source.line == 1:
            raw = raw.removeprefix(_BOM)
        try:
            yield raw.decode()
        except UnicodeDecodeError as error:
            raise FileError(
                f"Line {source.line} of {source.path} is not UTF-8 (byte 0x{raw[error.start]:02x}).",
                f"Convert the file, for example: iconv -f latin1 -t utf-8 {source.path}",
            ) from error


# CSV


def _read_csv_header(source: Source) -> None:
    lines = _text_lines(source)
    first = next((line for line in lines if line.strip()), "")
    if not first.strip():
        raise FileError(f"{source.path} holds only blank lines.")
    source.delimiter = max(_DELIMITERS, key=lambda mark: (first.count(mark), -_DELIMITERS.index(mark)))
    try:
        cells = next(csv.reader([first], delimiter=source.delimiter, strict=True))
    except csv.Error as error:
        raise FileError(f"The header of {source.path} cannot be read: {error}.") from error
    header = tuple(cell.strip() for cell in cells)
    for name in header:
        if header.count(name) > 1:
            raise FileError(f"The header of {source.path} names {name!r} twice.", "Rename one of the columns.")
    source.header = header


def _csv_lines(source: Source) -> Iterator[Line]:
    header = source.header or ()
    reader = csv.reader(_text_lines(source), delimiter=source.delimiter, strict=True)
    while True:
        number = source.line + 1
        try:
            cells = next(reader)
        except StopIteration:
            return
        except csv.Error as error:
            yield Line(number, header, (), f"is not CSV: {error}")
            continue
        if len(cells) == len(header):
            yield Line(number, header, tuple(cells))
        elif any(cell.strip() for cell in cells):
            yield Line(number, header, (), f"has {len(cells)} cells, the header has {len(header)}")


# JSON Lines


def _json_lines(source: Source) -> Iterator[Line]:
    for text in _text_lines(source):
        if not text.strip():
            continue
        try:
            document = json.loads(text, parse_float=Decimal, parse_constant=_no_constant)
        except (ValueError, RecursionError) as error:
            reason = error.msg if isinstance(error, json.JSONDecodeError) else str(error)
            yield Line(source.line, (), (), f"is not JSON: {reason}")
            continue
        if isinstance(document, dict):
            yield Line(source.line, tuple(document), tuple(document.values()))
        else:
            yield Line(source.line, (), (), "is not a JSON object")


def _no_constant(name: str) -> None:
    raise ValueError(f"{name} is no number")


# Parquet


def _check_parquet(source: Source) -> None:
    try:
        import pyarrow as pa
        import pyarrow.parquet as pq
    except ImportError as error:
        raise ParquetMissing from error
    try:
        file = pq.ParquetFile(source.file)
        source.header = tuple(file.schema_arrow.names)
        source.total_rows = file.metadata.num_rows
    except (pa.ArrowException, OSError) as error:
        raise FileError(f"{source.path} is a damaged Parquet file.", "Was it copied completely?") from error


def _parquet_lines(source: Source) -> Iterator[Line]:
    import pyarrow as pa
    import pyarrow.parquet as pq

    header = source.header or ()
    try:
        for batch in pq.ParquetFile(source.file).iter_batches(batch_size=_PARQUET_BATCH_ROWS):
            columns = [_python_values(column) for column in batch.columns]
            for cells in zip(*columns, strict=True):
                source.line += 1
                yield Line(source.line, header, cells)
    except (pa.ArrowException, OSError) as error:
        raise FileError(
            f"{source.path} cannot be read after row {source.line}.", "Was it copied completely?"
        ) from error


def _python_values(column: object) -> list[object]:
    import pyarrow as pa

    if not isinstance(column, pa.Array):
        return []
    if pa.types.is_timestamp(column.type):
        # nanoseconds have no Python type; block times have whole seconds
        column = column.cast(pa.timestamp("us", tz=column.type.tz), safe=False)
    return list(column.to_pylist())
