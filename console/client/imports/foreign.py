"""Owns reading files of foreign audit logs into records: CloudTrail files, JSON arrays and JSON Lines, also gzipped.

A record goes on as its text: a line as it stands, a member of an array written again without losing a digit.
"""

import gzip
import json
import zlib
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

import orjson

from contract.audit import ForeignChunk, ForeignRecord, ForeignResult, ForeignSource, RefusedRecord

CHUNK_RECORDS: Final = 500
CHUNK_CHARS: Final = 4_000_000
"""A chunk is one request and one transaction."""
MAX_FILE_BYTES: Final = 512 * 1024 * 1024
"""Of one file, unpacked: it is read whole."""
MAX_RECORD_CHARS: Final = 1_000_000
"""What the backend takes as one record."""
_GZIP: Final = b"\x1f\x8b"
_LIST_KEYS: Final = ("Records", "records", "events", "value")
"""Under which exports of audit logs keep their list."""


class ForeignFileError(Exception):
    """A file that cannot be read as an audit log; the message names it."""


@dataclass
class Outcome:
    """What became of all files."""

    files: int = 0
    records: int = 0
    imported: int = 0
    unchanged: int = 0
    truncated: int = 0
    refused: list[tuple[str, RefusedRecord]] = field(default_factory=list)
    retention: str | None = None
    """How long the log is kept; None while nothing was sent."""

    def add(self, file: str, sent: int, result: ForeignResult) -> None:
        """Count a chunk in."""
        self.records += sent
        self.imported += result.imported
        self.unchanged += result.unchanged
        self.truncated += result.truncated
        self.retention = result.retention
        self.refused += [(file, one) for one in result.refused]


def records_of(path: Path) -> list[tuple[int, str]]:
    """The records of a file, each with its line or its place in the list.

    Raises:
        ForeignFileError: it cannot be opened or unpacked, or is too large.
    """
    text = _text(path)
    try:
        whole = json.loads(text, parse_float=_exactly, parse_int=_exactly, parse_constant=str)
    except (ValueError, RecursionError):
        return [(number, line) for number, line in enumerate(text.split("\n"), start=1) if line.strip()]
    return [(number, _written(one)) for number, one in enumerate(_members(whole), start=1)]


def _text(path: Path) -> str:
    try:
        raw = path.read_bytes()
        if raw.startswith(_GZIP):
            with gzip.open(path) as packed:
                raw = packed.read(MAX_FILE_BYTES + 1)
    except (OSError, EOFError, zlib.error) as error:
        raise ForeignFileError(f"Cannot read {path.name}: {getattr(error, 'strerror', None) or error}.") from error
    if len(raw) > MAX_FILE_BYTES:
        raise ForeignFileError(f"{path.name} is larger than {MAX_FILE_BYTES:,} bytes unpacked: split it.")
    return raw.decode("utf-8-sig", errors="replace")


def _exactly(digits: str) -> Any:
    return orjson.Fragment(digits)


def _members(whole: Any) -> list[Any]:
    if isinstance(whole, list):
        return whole
    if isinstance(whole, dict):
        for key in _LIST_KEYS:
            if isinstance(whole.get(key), list):
                return list(whole[key])
    return [whole]


def _written(one: Any) -> str:
    try:
        return orjson.dumps(one).decode()
    except TypeError:  # half of a surrogate pair: only escaped it can travel
        return json.dumps(one, default=_digits)


def _digits(value: Any) -> str:
    return orjson.dumps(value).decode()


def source_of(records: Iterable[tuple[int, str]]) -> ForeignSource:
    """What kind of log it is, by its first record."""
    for _, text in records:
        is_cloudtrail = '"eventSource"' in text and '"eventName"' in text and '"rule_id"' not in text
        return ForeignSource.CLOUDTRAIL if is_cloudtrail else ForeignSource.JSON
    return ForeignSource.JSON


def chunks_of(file: str, source: ForeignSource, records: Iterable[tuple[int, str]]) -> Iterator[ForeignChunk]:
    """The records as requests."""
    held: list[ForeignRecord] = []
    chars = 0
    for line, text in records:
        if held and (len(held) == CHUNK_RECORDS or chars + len(text) > CHUNK_CHARS):
            yield ForeignChunk(source=source, file=file, records=held)
            held, chars = [], 0
        held.append(ForeignRecord(line=line, text=text))
        chars += len(text)
    if held:
        yield ForeignChunk(source=source, file=file, records=held)


def too_long(records: Iterable[tuple[int, str]]) -> tuple[list[tuple[int, str]], list[RefusedRecord]]:
    """The records that can be sent, and those too long to be."""
    sent, refused = [], []
    for line, text in records:
        if len(text) > MAX_RECORD_CHARS:
            refused.append(RefusedRecord(line=line, reason=f"longer than {MAX_RECORD_CHARS:,} characters"))
        else:
            sent.append((line, text))
    return sent, refused
