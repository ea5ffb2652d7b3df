"""Lets entries leave: the filters of a search, every match, in bounded memory.

An export is two entries: that it began, written before the first byte, and how it ended with how many rows.
"""

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator, Mapping
from dataclasses import dataclass, field
from typing import Any, Final

from sqlalchemy.ext.asyncio import AsyncSession

from backend.audit import search
from backend.audit.conditions import Where, conditions
from backend.audit.cursors import Cursor
from backend.audit.events import AuditEvent
from backend.audit.export_formats import Leaving, Writer, writer_for
from backend.audit.need_to_know import require_need_to_know
from backend.audit.query import ExportQuery
from backend.audit.service import AuditDraft, record
from backend.context import Caller, Runtime
from contract.audit import AuditResult

PIECE_ROWS: Final = 1_000
"""Rows held in memory at a time: a few megabytes."""


@dataclass(slots=True)
class Export:
    """One export under way."""

    runtime: Runtime
    caller: Caller
    where: Where
    writer: Writer
    told: Mapping[str, Any]
    sizes: Mapping[str, int]
    rows: int = field(default=0)

    async def stream(self) -> AsyncGenerator[bytes, None]:
        """The bytes, in pieces; records how it ended, also when the reader goes away."""
        whole = False
        try:
            yield self.writer.begin()
            async for rows in self._pieces():
                self.rows += len(rows)
                yield await asyncio.to_thread(self.writer.rows, rows)
            yield self.writer.end()
            whole = True
        finally:
            await asyncio.shield(self._ended(whole=whole))

    async def _pieces(self) -> AsyncIterator[list[Leaving]]:
        cursor: Cursor | None = None
        while True:
            async with self.runtime.database.read() as session:
                found = await search.find(session, self.where, self.sizes, cursor, PIECE_ROWS)
                entries = await search.entries_of(session, found.rows)
            if entries:
                yield [Leaving(entry, row.canon) for entry, row in zip(entries, found.rows, strict=True)]
            if found.more is None:
                return
            cursor = found.more

    async def _ended(self, *, whole: bool) -> None:
        draft = AuditDraft(
            AuditEvent.EXPORT_ENDED,
            "export audit entries",
            resource_type="audit",
            new_value={**self.told, "rows": self.rows},
            result=AuditResult.SUCCESS if whole else AuditResult.FAILURE,
            error_message=None if whole else "the export was cut off",
        )
        async with self.runtime.database.transaction() as session:
            await record(session, self.runtime, self.caller, draft)


async def begin(session: AsyncSession, runtime: Runtime, caller: Caller, query: ExportQuery) -> Export:
    """Prepare an export and record that it begins.

    Raises:
        WatchfloorError: INVALID_REQUEST for Parquet without its library; NOT_ALLOWED for a filter of what is sealed.
    """
    told = {"format": query.format.value, "filters": query.filters()}
    writer = await asyncio.to_thread(writer_for, query.format)  # the first Parquet file loads a library for a second
    await search.settled(session, runtime)
    sizes = await search.log_sizes(session)
    require_need_to_know(caller, query)
    where = await conditions(session, runtime, query)
    draft = AuditDraft(AuditEvent.EXPORT_BEGUN, "export audit entries", resource_type="audit", new_value=told)
    await record(session, runtime, caller, draft)
    return Export(runtime, caller, where, writer, told, sizes)
