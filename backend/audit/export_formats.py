"""Writes entries in the forms in which they leave: lines of JSON, CSV, OCSF or syslog, or Parquet. Reads nothing.

Every writer takes rows and gives bytes, and is bounded by the rows it was given last.
"""

import csv
import io
import re
import socket
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final, Protocol

import orjson

from backend.audit.ocsf import event_of
from backend.errors import WatchfloorError
from contract.audit import AuditEntry, AuditResult, ExportFormat
from contract.errors import ErrorCode

COLUMNS: Final = (
    "log", "seq", "id", "timestamp", "category", "event_type", "user_id", "ip_address", "user_agent", "action",
    "resource_type", "resource_id", "result", "error_message", "old_value", "new_value", "metadata", "hash",
)  # fmt: skip
_FORMULA: Final = re.compile("^[\\s\x00-\x1f]*[=+\\-@\uff1d\uff0b\uff0d\uff20\\t\\r\\n|%]")
"""What a spreadsheet takes for the beginning of a formula or a command."""
_AUDIT_FACILITY: Final = 13
_FACILITY_FACTOR: Final = 8
_SEVERITY: Final = {AuditResult.SUCCESS: 6, AuditResult.FAILURE: 4, AuditResult.DENIED: 4}
"""Informational; warning."""
_SD_ID: Final = "watchfloor@32473"
"""32473 is the enterprise number that stands for documentation: a party without one of its own writes it."""
_NOT_PRINTED = re.compile(r"[^!-~]")
_CONTROL = re.compile("[\x00-\x1f\x7f-\x9f\u2028\u2029]")
_HOST_CHARS, _NAME_CHARS = 255, 32


@dataclass(frozen=True, slots=True)
class Leaving:
    """One entry as it is shown, and its canonical bytes."""

    entry: AuditEntry
    canon: bytes


class Writer(Protocol):
    """Turns rows into bytes of one format."""

    media_type: str

    def begin(self) -> bytes:
        """What stands before the first row."""

    def rows(self, rows: Sequence[Leaving]) -> bytes:
        """The rows, and whatever was kept back before."""

    def end(self) -> bytes:
        """What stands after the last."""


class Lines:
    """One line a row."""

    def __init__(self, form: ExportFormat) -> None:
        self._line = {ExportFormat.JSONL: _json_line, ExportFormat.OCSF: _ocsf_line, ExportFormat.SYSLOG: _syslog_line}[
            form
        ]
        self.media_type = "text/plain; charset=utf-8" if form is ExportFormat.SYSLOG else "application/x-ndjson"

    def begin(self) -> bytes:
        """Nothing."""
        return b""

    def rows(self, rows: Sequence[Leaving]) -> bytes:
        """The rows as lines."""
        return b"".join(self._line(row) + b"\n" for row in rows)

    def end(self) -> bytes:
        """Nothing."""
        return b""


class Csv:
    """A header and quoted rows; a cell that a spreadsheet would run as a formula begins with an apostrophe."""

    media_type = "text/csv; charset=utf-8"

    def begin(self) -> bytes:
        """The header."""
        return _csv([COLUMNS])

    def rows(self, rows: Sequence[Leaving]) -> bytes:
        """The rows."""
        return _csv([[_cell(value) for value in _values(row.entry)] for row in rows])

    def end(self) -> bytes:
        """Nothing."""
        return b""


class Parquet:
    """One row group for each piece; every column is text but seq and the time."""

    media_type = "application/vnd.apache.parquet"

    def __init__(self) -> None:
        try:
            import pyarrow as pa
            from pyarrow import parquet
        except ImportError:
            raise WatchfloorError(
                ErrorCode.INVALID_REQUEST,
                "This backend cannot write Parquet: a library is not installed.",
                hint="Where the backend runs: pip install 'watchfloor[parquet]'. Or choose jsonl or csv.",
            ) from None
        kinds: dict[str, Any] = {"seq": pa.int64(), "timestamp": pa.timestamp("us", tz="UTC")}
        self._schema = pa.schema([(name, kinds.get(name, pa.string())) for name in COLUMNS])
        self._batch = pa.RecordBatch
        self._sink = _Sink()
        self._writer = parquet.ParquetWriter(pa.PythonFile(self._sink, mode="w"), self._schema, compression="zstd")

    def begin(self) -> bytes:
        """The magic number."""
        return self._sink.take()

    def rows(self, rows: Sequence[Leaving]) -> bytes:
        """The rows as a row group."""
        if rows:
            records = [dict(zip(COLUMNS, _values(row.entry), strict=True)) for row in rows]
            self._writer.write_batch(self._batch.from_pylist(records, schema=self._schema))
        return self._sink.take()

    def end(self) -> bytes:
        """The footer."""
        self._writer.close()
        return self._sink.take()


class _Sink(io.RawIOBase):
    """A file that hands on what was written to it and forgets it."""

    def __init__(self) -> None:
        super().__init__()
        self._parts: list[bytes] = []
        self._size = 0

    def writable(self) -> bool:
        """Always."""
        return True

    def write(self, data: Any) -> int:
        """Keep until taken."""
        part = bytes(data)
        self._parts.append(part)
        self._size += len(part)
        return len(part)

    def tell(self) -> int:
        """How much was written so far."""
        return self._size

    def take(self) -> bytes:
        """What was written since the last call."""
        taken, self._parts = b"".join(self._parts), []
        return taken


def writer_for(form: ExportFormat) -> Writer:
    """The writer of a format.

    Raises:
        WatchfloorError: INVALID_REQUEST: Parquet without its library.
    """
    if form is ExportFormat.PARQUET:
        return Parquet()
    return Csv() if form is ExportFormat.CSV else Lines(form)


def _values(entry: AuditEntry) -> list[Any]:
    return [_flat(getattr(entry, name)) for name in COLUMNS]


def _flat(value: Any) -> Any:
    if isinstance(value, dict):
        return orjson.dumps(value, option=orjson.OPT_SORT_KEYS).decode()
    return value.value if isinstance(value, AuditResult) else value


def _cell(value: Any) -> str:
    if value is None:
        return ""
    if not isinstance(value, str):
        return value.isoformat() if hasattr(value, "isoformat") else str(value)
    text = value.replace("\x00", "\ufffd")
    return f"'{text}" if _FORMULA.match(text) else text


def _csv(rows: Sequence[Sequence[str]]) -> bytes:
    buffer = io.StringIO()
    csv.writer(buffer, quoting=csv.QUOTE_ALL).writerows(rows)
    return buffer.getvalue().encode()


def _json_line(row: Leaving) -> bytes:
    return row.entry.model_dump_json().encode()


def _ocsf_line(row: Leaving) -> bytes:
    return orjson.dumps(event_of(row.entry, row.canon))


def _syslog_line(row: Leaving) -> bytes:
    """One message as RFC 5424 has it; a line break within a value becomes a space, so that one entry is one line."""
    entry = row.entry
    priority = _AUDIT_FACILITY * _FACILITY_FACTOR + _SEVERITY[entry.result]
    known = {
        "log": entry.log, "seq": entry.seq, "id": entry.id, "event": entry.event_type, "category": entry.category,
        "user": entry.user_id, "resource_type": entry.resource_type, "resource_id": entry.resource_id,
        "result": entry.result.value, "request": entry.metadata.get("request_id"), "hash": entry.hash,
    }  # fmt: skip
    data = " ".join(f'{name}="{_escaped(str(value))}"' for name, value in known.items() if value is not None)
    at = f"{entry.timestamp:%Y-%m-%dT%H:%M:%S.%f}Z"
    host = _NOT_PRINTED.sub("", socket.gethostname())[:_HOST_CHARS] or "-"
    name = _NOT_PRINTED.sub("", entry.event_type)[:_NAME_CHARS] or "-"
    told = _CONTROL.sub(" ", f"{entry.action}: {entry.error_message}" if entry.error_message else entry.action)
    return f"<{priority}>1 {at} {host} watchfloor - {name} [{_SD_ID} {data}] \ufeff{told}".encode()


def _escaped(value: str) -> str:
    return re.sub(r'(["\\\]])', r"\\\1", _CONTROL.sub(" ", value))
