"""Finding audit entries: filters, full text, pages that stay as they are. Every search is itself an entry."""

import asyncio
import time
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any, Final

from sqlalchemy import func, select
from sqlalchemy.ext.asyncio import AsyncSession
from sqlalchemy.orm import undefer

from backend.audit import barren, cursors, ground, partitions
from backend.audit.barren import Barren
from backend.audit.conditions import Where, conditions, without_bookkeeping
from backend.audit.cursors import Cursor, Position
from backend.audit.events import UNHURRIED, AuditEvent
from backend.audit.ground import Asker, Ground
from backend.audit.introducing import surrogate_of
from backend.audit.need_to_know import require_need_to_know
from backend.audit.query import AuditQuery, FollowQuery
from backend.audit.reading import Kept, shown
from backend.audit.service import AuditDraft, record
from backend.audit.tables import AuditOutbox, LedgerEntry
from backend.context import Caller, Runtime
from backend.errors import WatchfloorError, known_ident, not_found
from contract.audit import AuditEntry, AuditPage, RelatedBy
from contract.errors import ErrorCode

SETTLE_LIMIT_S: Final = 0.25
"""How long a search waits for entries that are committed and not yet in the ledger."""
SETTLE_LOOK_S: Final = 0.005
"""How often it looks."""
FIRST_BUDGET_S: Final = 1.0
"""After this a page is answered with what is certain, and a cursor to go on."""
FURTHER_BUDGET_S: Final = 4.0
"""As much when going on: a partition that took longer before gets more time. Below the client's patience of 10 s."""
COUNT_BUDGET_S: Final = 1.0
_HALVINGS: Final = 10
"""Of a time until what is nearest to its beginning fits a page: of half an hour, to two seconds."""
_RELATED: Final = {
    RelatedBy.ACTOR: ("actor",),
    RelatedBy.REQUEST: ("request_id",),
    RelatedBy.RESOURCE: ("resource_type", "resource_id"),
    RelatedBy.INCIDENT: ("incident",),
}


async def search(session: AsyncSession, runtime: Runtime, caller: Caller, query: AuditQuery) -> AuditPage:
    """One page of matching entries, newest first; writes `audit.search.run` in the same transaction.

    Raises:
        WatchfloorError: INVALID_REQUEST when the cursor is not one of ours; QUERY_TOO_SLOW.
    """
    require_need_to_know(caller, query)
    where = without_bookkeeping(await conditions(session, runtime, query), query)
    page = await _page(session, runtime, caller, query, where)
    await _record(session, runtime, caller, _told(query, query.filters(), page))
    return page


async def related(
    session: AsyncSession, runtime: Runtime, caller: Caller, entry_id: str, query: FollowQuery
) -> AuditPage:
    """One page of the entries that share something with one entry; recorded like a search.

    Raises:
        WatchfloorError: NOT_FOUND; INVALID_REQUEST when the entry has nothing of the kind, and as `search`.
    """
    row = await _row(session, entry_id)
    shared = {column: getattr(row, column) for column in _RELATED[query.by]}
    if shared[_RELATED[query.by][-1]] is None:
        raise WatchfloorError(ErrorCode.INVALID_REQUEST, f"The entry names no {query.by.value}.")
    known = {column: value for column, value in shared.items() if value is not None}
    require_need_to_know(caller, query)
    where = await conditions(session, runtime, query)
    clauses = [f"{column} = :shared_{column}" for column in known]
    values = {f"shared_{column}": value for column, value in known.items()}
    where = replace(where, clauses=(*where.clauses, *clauses), values={**where.values, **values})
    told = {"related_to": str(row.id), "by": query.by.value, **query.filters()}
    page = await _page(session, runtime, caller, query, where)
    await _record(session, runtime, caller, _told(query, told, page))
    return page


def _told(query: AuditQuery, filters: Mapping[str, Any], page: AuditPage) -> dict[str, Any]:
    return {"filters": filters, "further_page": query.cursor is not None, "entries": len(page.items)}


async def _record(session: AsyncSession, runtime: Runtime, caller: Caller, told: dict[str, Any]) -> None:
    draft = AuditDraft(AuditEvent.SEARCH_RUN, "search the audit log", resource_type="audit", new_value=told)
    await record(session, runtime, caller, draft)


@dataclass(frozen=True, slots=True)
class Found:
    """Entries of one page, and where the next begins; None when there is nothing left."""

    rows: list[Kept]
    more: Cursor | None


async def find(
    session: AsyncSession,
    where: Where,
    sizes: Mapping[str, int],
    cursor: Cursor | None,
    limit: int,
    *,
    known: tuple[Ground, Barren | None] | None = None,
) -> Found:
    """Look for so many entries behind a cursor; what is known of the ledger already need not be asked.

    Raises:
        WatchfloorError: QUERY_TOO_SLOW when not even one partition can be read in the time.
    """
    position = None if cursor is None else cursor.position
    standing, empty = known or (await ground.read(session), None)
    reading = partitions.begin(where, sizes, position, limit + 1, ground=standing, barren=empty)
    patient = cursor is not None and cursor.unfinished
    try:
        await partitions.read(session, reading, FURTHER_BUDGET_S if patient else FIRST_BUDGET_S)
    except partitions.PartitionGoneError:
        return await find(session, where, sizes, cursor, limit)
    more = _next(reading, limit, sizes)
    if patient and more is not None and more.position == position:
        raise WatchfloorError(
            ErrorCode.QUERY_TOO_SLOW, "The question takes too long to answer.", hint="Narrow the time or filter."
        )
    rows = await partitions.rows_of(session, reading.certain()[:limit])
    return Found([Kept(*row) for row in rows], more)


async def nearest(session: AsyncSession, where: Where, at: datetime, limit: int) -> tuple[list[Kept], int | None]:
    """The entries of a time nearest to an instant in it, and how many there are up to the cap; None: nobody can say.

    Raises:
        WatchfloorError: QUERY_TOO_SLOW.
    """
    standing = await ground.read(session)

    async def between(since: datetime | None, until: datetime | None) -> Found:
        return await find(session, replace(where, since=since, until=until), standing.sizes, None, limit)

    before, after = await between(where.since, at), await between(at, where.until)
    whole = before.more is None and after.more is None
    if after.more is not None and where.until is not None:
        after = await _drawn_nearer(between, at, where.until)
    rows = list({(row.log, row.seq): row for row in (*before.rows, *after.rows)}.values())
    number = len(rows) if whole else await _count(session, where, standing.sizes, standing)
    return sorted(rows, key=lambda row: (abs(row.occurred_at - at), row.log, row.seq))[:limit], number


async def _drawn_nearer(
    between: Callable[[datetime, datetime], Awaitable[Found]], at: datetime, until: datetime
) -> Found:
    """The first entries after an instant: searches go back in time, so that their end comes nearer until all fit."""
    fits, too_far, found = at, until, None
    for _ in range(_HALVINGS):
        middle = fits + (too_far - fits) / 2
        tried = await between(at, middle)
        if tried.more is None:
            fits, found = middle, tried
        else:
            too_far = middle
    return found or await between(at, too_far)


async def entries_of(session: AsyncSession, rows: Sequence[Kept]) -> list[AuditEntry]:
    """Rows as callers see them."""
    return await shown(session, rows)


async def log_sizes(session: AsyncSession) -> Mapping[str, int]:
    """How many entries every log holds: what a search that begins now looks through."""
    return (await ground.read(session)).sizes


async def _page(session: AsyncSession, runtime: Runtime, caller: Caller, query: AuditQuery, where: Where) -> AuditPage:
    cursor = None if query.cursor is None else cursors.decode(query.cursor)
    if cursor is None:
        standing = await _up_to_date(session, runtime, caller, where)
        sizes = standing.sizes
    else:
        standing, sizes = await ground.read(session), cursor.sizes
    empty = barren.asked(runtime.barren, standing.generation, where) if where.clauses else None
    found = await find(session, where, sizes, cursor, query.limit, known=(standing, empty))
    more, logs = found.more, {row.log for row in found.rows}
    return AuditPage(
        items=await entries_of(session, found.rows),
        next_cursor=cursors.encode(more) if more else None,
        total=await _count(session, where, sizes, standing) if query.count else None,
        as_of=runtime.clock.now(),
        sizes=dict(sizes),
        checkpoints={log: note.decode() for log, note in standing.notes.items() if log in logs},
        waiting=standing.waiting,
        unfinished=more is not None and more.unfinished,
        searched_back_to=more.position.at if more is not None and more.unfinished else None,
    )


async def _up_to_date(session: AsyncSession, runtime: Runtime, caller: Caller, where: Where) -> Ground:
    """How the ledger stands once it holds what must not be missed, or after a quarter of a second without it.

    That is what the caller has done before, and what has waited longer than usual. Other entries of the last moments
    are not waited for: more come while an answer is made, and the page says how many there were.
    """
    own = await surrogate_of(session, runtime, caller.subject) if caller.kind == "user" else caller.subject
    readings = not UNHURRIED.isdisjoint(where.values.get("event_types", ()))
    asker = Asker(own, runtime.clock.now(), readings)
    deadline = time.monotonic() + SETTLE_LIMIT_S
    while (standing := await ground.read(session, asker)).awaited and time.monotonic() < deadline:
        runtime.outbox_filled.set()  # wakes the sequencer if it runs here: others' entries do not
        await asyncio.sleep(SETTLE_LOOK_S)
    return standing


async def _count(session: AsyncSession, where: Where, sizes: Mapping[str, int], standing: Ground) -> int | None:
    return await partitions.count(session, partitions.begin(where, sizes, None, 1, ground=standing), COUNT_BUDGET_S)


def _next(reading: partitions.Reading, limit: int, sizes: Mapping[str, int]) -> Cursor | None:
    """Where the next page begins: behind the last entry, or where the time was up; None when there is nothing left."""
    certain, unread = reading.certain(), reading.unread_from
    if len(certain) > limit or (certain and len(certain) == limit and unread is not None):
        last = certain[limit - 1]
        return Cursor(Position(last.at, last.log, last.seq), sizes)
    if unread is None:
        return None
    begun = reading.position
    if begun is not None and unread >= begun.at:  # of that instant, entries before the position were on earlier pages
        return Cursor(begun, sizes, unfinished=True)
    return Cursor(Position(unread, "", 0), sizes, unfinished=True)


async def entry(session: AsyncSession, runtime: Runtime, caller: Caller, entry_id: str) -> AuditEntry:
    """One entry; that it was read is recorded.

    Raises:
        WatchfloorError: NOT_FOUND.
    """
    try:
        row = await _row(session, entry_id)
    except WatchfloorError:  # it may be on its way
        await settled(session, runtime)
        row = await _row(session, entry_id)
    draft = AuditDraft(AuditEvent.ENTRY_READ, "read an audit entry", "audit", str(row.id))
    await record(session, runtime, caller, draft)
    return (await shown(session, [Kept(row.log, row.seq, row.canon, row.occurred_at)]))[0]


async def _row(session: AsyncSession, entry_id: str) -> LedgerEntry:
    ident = known_ident("audit entry", entry_id)
    found = await session.scalar(
        select(LedgerEntry).options(undefer(LedgerEntry.canon)).where(LedgerEntry.id == ident).limit(1)
    )
    if found is None:
        raise not_found("audit entry", entry_id)
    return found


async def settled(session: AsyncSession, runtime: Runtime) -> int:
    """Wait a moment for what was committed before now to reach the ledger; how many entries have not.

    Who acts and then searches finds the act; a sequencer that stands still delays a search by a quarter of a second.
    """
    waiting = select(func.count()).select_from(AuditOutbox).where(AuditOutbox.emitted_at <= runtime.clock.now())
    deadline = time.monotonic() + SETTLE_LIMIT_S
    while (left := (await session.execute(waiting)).scalar_one()) and time.monotonic() < deadline:
        runtime.outbox_filled.set()  # wakes the sequencer if it runs here: others' entries do not
        await asyncio.sleep(SETTLE_LOOK_S)
    return left
