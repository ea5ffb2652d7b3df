"""Owns sending one file of trades: read ahead, stage chunk after chunk, commit once. Stores all lines or none.

The next chunk is read while the last ones are on their way; at most three are in memory. Running it again with the same
file changes nothing: lines already stored count as unchanged.
"""

import asyncio
import hashlib
import os
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

from console.client.api import Api
from console.client.imports.chunks import Chunk, Chunker
from console.client.imports.columns import choices
from console.client.imports.readers import FileError, Format, Source, open_source
from contract.transactions import ImportResult, ImportStart, RefusedRow

UPLOADS_AT_ONCE: Final = 2
"""One is being stored while the next travels."""
_MAX_NAME_CHARS: Final = 500
_HASH_BLOCK_BYTES: Final = 1 << 20


@dataclass(frozen=True)
class ImportOrder:
    """What to import, and how."""

    path: Path
    format: Format = Format.AUTO
    columns: Mapping[str, str] = field(default_factory=dict)
    """Explicit choices: column of the file → field of a trade."""
    constants: Mapping[str, str] = field(default_factory=dict)
    """Fields that are the same on every line."""
    skip_bad: bool = False


@dataclass(frozen=True, slots=True)
class Progress:
    """How far an import has come."""

    done_bytes: int
    total_bytes: int
    rows: int
    committing: bool = False


@dataclass(frozen=True)
class ImportReport:
    """What became of a file."""

    imported: int
    unchanged: int
    refused: list[RefusedRow]
    rows: int
    """Lines that hold a trade, refused ones included."""
    stored: bool
    """False when lines were refused, so that nothing of the file was stored."""
    ignored_columns: list[str]


async def import_file(api: Api, order: ImportOrder, on_progress: Callable[[Progress], None]) -> ImportReport:
    """Import a file whole, or not at all; with `skip_bad`, without its refused lines.

    Raises:
        FileError: the file cannot be read, or changed meanwhile.
        ColumnError: its columns do not make trades.
        ParquetMissing: it is Parquet and the library is not installed.
        ClientError: the backend refused or was lost; nothing was stored unless the commit's answer was lost.
    """
    source = await asyncio.to_thread(open_source, order.path, order.format)
    with source.file:
        chunker = Chunker(source, choices(order.columns, order.constants))
        chunker.prepare()
        before = _fingerprint(source)
        start = ImportStart(filename=_shown_name(order.path), sha256=await asyncio.to_thread(_sha256, source))
        upload = _Upload(api, start, source.total_bytes, on_progress)
        await upload.stage_all(chunker.chunks())
        if _fingerprint(source) != before:
            raise FileError(f"{order.path} was changed while it was read; nothing was stored.", "Try again.")
        return await upload.finish(list(chunker.ignored), skip_bad=order.skip_bad)


class _Upload:
    """One import under way."""

    def __init__(self, api: Api, start: ImportStart, total_bytes: int, on_progress: Callable[[Progress], None]) -> None:
        self._api = api
        self._start = start
        self._total_bytes = total_bytes
        self._on_progress = on_progress
        self._import_id: str | None = None
        self._unread: list[RefusedRow] = []
        self._refused: list[RefusedRow] = []
        self._rows = 0

    async def stage_all(self, chunks: Iterator[Chunk]) -> None:
        """Read and send every chunk; the first failure ends all."""
        try:
            await self._stage_all(chunks)
        except BaseExceptionGroup as failures:
            raise _first_of(failures) from None

    async def _stage_all(self, chunks: Iterator[Chunk]) -> None:
        slots = asyncio.Semaphore(UPLOADS_AT_ONCE)
        async with asyncio.TaskGroup() as tasks:
            while True:
                await slots.acquire()
                chunk = await asyncio.to_thread(next, chunks, None)
                if chunk is None:
                    break
                self._unread += chunk.refused
                self._rows += chunk.rows + len(chunk.refused)
                if chunk.body and self._import_id is None:
                    self._import_id = (await self._api.open_import(self._start)).id
                tasks.create_task(self._stage(chunk, slots))

    async def _stage(self, chunk: Chunk, slots: asyncio.Semaphore) -> None:
        try:
            if chunk.body and self._import_id is not None:
                self._refused += (await self._api.stage(self._import_id, chunk.body)).refused
            self._on_progress(Progress(chunk.done_bytes, self._total_bytes, self._rows))
        finally:
            slots.release()

    async def finish(self, ignored_columns: list[str], *, skip_bad: bool) -> ImportReport:
        """Commit, unless lines were refused before they could be sent and are not to be skipped."""
        result = ImportResult(imported=0, unchanged=0, refused=self._refused)
        if self._import_id is not None and (skip_bad or not self._unread):
            self._on_progress(Progress(self._total_bytes, self._total_bytes, self._rows, committing=True))
            result = await self._api.commit_import(self._import_id, skip_bad=skip_bad)
        refused = {row.line: row for row in (*self._refused, *self._unread, *result.refused)}
        return ImportReport(
            imported=result.imported,
            unchanged=result.unchanged,
            refused=[refused[line] for line in sorted(refused)],
            rows=self._rows,
            stored=skip_bad or not refused,
            ignored_columns=ignored_columns,
        )


def _first_of(failures: BaseExceptionGroup[BaseException]) -> BaseException:
    first = failures.exceptions[0]
    return _first_of(first) if isinstance(first, BaseExceptionGroup) else first


def _fingerprint(source: Source) -> tuple[int, int]:
    status = os.fstat(source.file.fileno())
    return status.st_size, status.st_mtime_ns


def _sha256(source: Source) -> str:
    digest = hashlib.sha256()
    position = source.file.tell()
    source.file.seek(0)
    while block := source.file.read(_HASH_BLOCK_BYTES):
        digest.update(block)
    source.file.seek(position)
    return digest.hexdigest()


def _shown_name(path: Path) -> str:
    """The file's name as the record keeps it: no directories of the sender's machine, no undecodable bytes."""
    return path.name.encode("utf-8", "replace").decode("utf-8", "replace")[:_MAX_NAME_CHARS]
