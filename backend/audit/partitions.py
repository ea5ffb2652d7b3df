"""Reads matching entries one partition at a time, newest first, and stops when nothing newer can be left.

A word that only old entries have costs a look into the text index of each newer partition instead of a walk over all
their rows. Answers keys only; a page's bytes are fetched once it is known. Must never change anything.
"""

import time
from collections.abc import AsyncIterator, Iterable, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from typing import Any, Final

import psycopg
from sqlalchemy.exc import DBAPIError
from sqlalchemy.ext.asyncio import AsyncSession

from backend.audit.asking import ask
from backend.audit.barren import Barren
from backend.audit.conditions import Where
from backend.audit.cursors import Position
from backend.audit.ground import Ground
from backend.audit.windows import (
    FEW_PAGES,
    GROWTH,
    WALKED_ENTRIES,
    Expected,
    Span,
    Window,
    cut,
    together,
    together_at_most,
    walks,
)
from backend.paging import COUNT_CAP

MAX_TOGETHER: Final = 16
"""Partitions asked in one statement at most: planning more takes longer than the round trips it saves."""
SWIFT_S: Final = 0.01
"""As long as a statement takes no longer, the next one may take twice as many partitions."""
MEASURED_FIRST: Final = 4
"""Of so many partitions the planner is asked first how many matches it expects, and each time of twice as many more:
what is common is found in the newest ones, and asking costs as much as looking."""

_SAVE: Final = (
    "SAVEPOINT audit_search;"
    " SET LOCAL max_parallel_workers_per_gather = 0;"  # starting workers takes longer than a partition
    " SET LOCAL statement_timeout = {milliseconds}"  # the last: what is in force for the others is the caller's
)
_GO_BACK: Final = "ROLLBACK TO SAVEPOINT audit_search; RELEASE SAVEPOINT audit_search"
GO_BACK_TRIES: Final = 20
"""Going back takes some microseconds of a limit of a millisecond at least."""
_NO_END: Final = datetime.max.replace(tzinfo=UTC)
_ORDER: Final = 'ORDER BY occurred_at DESC, log COLLATE "C", seq DESC'
_COLLECTED: Final = "ORDER BY occurred_at + interval '0' DESC, seq DESC LIMIT :wanted"
"""An order that no index has: the planner must not walk entries by time in the hope of soon meeting a match."""
_WALKED: Final = "ORDER BY occurred_at DESC, seq DESC LIMIT :wanted"


class PartitionGoneError(Exception):
    """Retention dropped a partition while it was being looked into."""


@dataclass(frozen=True, slots=True)
class Key:
    """Where an entry lies."""

    at: datetime
    log: str
    seq: int
    table: str


def newest_first(keys: Iterable[Key]) -> list[Key]:
    """Keys in the order of a search: by falling time, then by log, then by falling number."""
    return sorted(sorted(keys, key=lambda key: (key.log, -key.seq)), key=lambda key: key.at, reverse=True)


@dataclass(slots=True)
class Reading:
    """What a search has found, and which partitions it has not looked into."""

    where: Where
    sizes: Mapping[str, int]
    position: Position | None
    wanted: int
    pending: list[Window]
    ground: Ground
    barren: Barren | None = None
    """What is known of closed partitions; None if nothing is to be remembered."""
    heads: frozenset[Span] = frozenset()
    """The newest partition of each log: what is common is found there, and more caution costs little."""
    found: list[Key] = field(default_factory=list)

    @property
    def unread_from(self) -> datetime | None:
        """The newest instant of which entries may be missing; None when all that matter were read."""
        return max((self.newest(window) for window in self.pending), default=None)

    def newest(self, window: Window) -> datetime:
        """No entry of the window that is asked for is newer."""
        return min(filter(None, (window.newest, self.where.until, self.position.at if self.position else None)))

    def oldest(self, window: Window) -> datetime:
        """No entry of the window that matters is older."""
        return max(filter(None, (window.oldest, self.where.since, self.worst)))

    def settle(self) -> None:
        """Drop what can no longer matter and sort the rest, narrow before wide: what a wide one is for may be found."""
        worst = self.worst
        if worst is not None:
            self.pending = [window for window in self.pending if self.newest(window) >= worst]
        self.pending.sort(key=lambda window: (window.oldest, self.newest(window)), reverse=True)

    @property
    def worst(self) -> datetime | None:
        """The instant that a further entry must at least have to be on the page; None while the page has room."""
        return self.found[self.wanted - 1].at if len(self.found) >= self.wanted else None

    def learn(self, windows: Iterable[Window], keys: Sequence[Key]) -> None:
        """Remember which of the windows just read, before what they gave is merged, hold nothing."""
        if self.barren is None or len(keys) >= self.wanted:  # the other windows' matches may be left out
            return
        for window in windows:
            span, oldest = window.span, self.oldest(window)
            if self.sizes[span.log] < span.seq_until or not self.ground.is_closed(span):
                continue
            if not any(key.table == span.table and key.at >= oldest for key in keys):
                ends = filter(None, (window.until, self.where.until, self.position.at if self.position else None))
                self.barren.learn(span, oldest, min(ends, default=_NO_END))

    def take(self, keys: Iterable[Key]) -> None:
        """Merge what a few partitions gave."""
        self.found = newest_first([*self.found, *keys])[: self.wanted]

    def certain(self) -> list[Key]:
        """What was found and cannot be preceded by an entry that was not."""
        unread = self.unread_from
        return self.found if unread is None else [key for key in self.found if key.at > unread]


def begin(
    where: Where,
    sizes: Mapping[str, int],
    position: Position | None,
    wanted: int,
    *,
    ground: Ground,
    barren: Barren | None = None,
) -> Reading:
    """Prepare a search for so many entries behind a position."""
    spans = [span for span in ground.spans if _may_hold(span, where, sizes, position)]
    heads = {span.log: span for span in sorted(spans, key=lambda span: span.seq_from)}
    windows = [Window(span, until=barren.since(span) if barren else None) for span in spans]
    windows = [one for one in windows if one.until is None or one.until > max(filter(None, (one.oldest, where.since)))]
    reading = Reading(where, sizes, position, wanted, windows, ground, barren, frozenset(heads.values()))
    reading.settle()
    return reading


def _may_hold(span: Span, where: Where, sizes: Mapping[str, int], position: Position | None) -> bool:
    return (
        span.seq_from < sizes.get(span.log, 0)
        and (where.log is None or span.log == where.log)
        and (where.since is None or span.time_max >= where.since)
        and (where.until is None or span.time_min < where.until)
        and (position is None or span.time_min <= position.at)
    )


@asynccontextmanager
async def _hurried(session: AsyncSession, budget_s: float) -> AsyncIterator[None]:
    """Nothing within takes longer than the budget, and none of it lasts: a statement that is ended for taking too
    long must not end the caller's transaction.
    """
    await ask(session, _SAVE.format(milliseconds=max(1, round(budget_s * 1000))))
    try:
        yield
    finally:
        await _go_back(session)


async def _go_back(session: AsyncSession) -> None:
    """Undo what was begun; going back is itself a statement that the short limit may end, on a machine at its limit."""
    for tries_left in reversed(range(GO_BACK_TRIES)):
        try:
            await ask(session, _GO_BACK)
        except DBAPIError as error:
            if not (tries_left and isinstance(error.orig, psycopg.errors.QueryCanceled)):
                raise
        else:
            return


async def read(session: AsyncSession, reading: Reading, budget_s: float) -> bool:
    """Look into partitions until the page is certain or the time is up; whether it is certain.

    Raises:
        PartitionGoneError: a partition was dropped meanwhile; begin again.
    """
    deadline = time.monotonic() + budget_s
    try:
        async with _hurried(session, budget_s):
            await _look_around(session, reading, deadline)
    except DBAPIError as error:
        if isinstance(error.orig, psycopg.errors.UndefinedTable):
            raise PartitionGoneError from error
        if not isinstance(error.orig, psycopg.errors.QueryCanceled):
            raise
    return not reading.pending


async def _look_around(session: AsyncSession, reading: Reading, deadline: float) -> None:
    sought = reading.where.sought
    most = min(len(reading.heads), MAX_TOGETHER)  # the newest of each log at once: few are asked for more
    room, measured = FEW_PAGES * reading.wanted, MEASURED_FIRST
    most_room = room * GROWTH
    while reading.pending and time.monotonic() < deadline:
        began = time.monotonic()
        number = together(reading.pending, most, room)
        if sought and not all(window.measured for window in reading.pending[:number]):
            await _measure(session, reading, measured)
            measured *= 2
            continue
        batch, rest = reading.pending[:number], reading.pending[number:]
        keys = await _look(session, reading, batch)
        reading.learn(batch, keys)
        reading.take(keys)
        reading.pending = rest
        reading.settle()
        swift = time.monotonic() - began < SWIFT_S
        most = min(most * 2, MAX_TOGETHER) if swift else max(most // 2, 1)
        if not keys:
            room = most_room  # the planner expects too many


async def count(session: AsyncSession, reading: Reading, budget_s: float) -> int | None:
    """How many entries match, up to the cap; None when that takes too long or a partition was dropped meanwhile."""
    deadline = time.monotonic() + budget_s
    counted, pending = 0, list(reading.pending)
    try:
        async with _hurried(session, budget_s):
            while pending and counted < COUNT_CAP:
                if time.monotonic() > deadline:
                    return None
                batch, pending = pending[:MAX_TOGETHER], pending[MAX_TOGETHER:]
                counted += await _count(session, reading, batch, COUNT_CAP - counted)
    except DBAPIError as error:
        if not isinstance(error.orig, psycopg.errors.QueryCanceled | psycopg.errors.UndefinedTable):
            raise
        return None
    return counted


async def _measure(session: AsyncSession, reading: Reading, number: int) -> None:
    """Cut the next partitions into windows by how many matches the planner expects in each: it knows what is common."""
    chosen = [window for window in reading.pending if not window.measured][:number]
    rest = [window for window in reading.pending if window not in chosen]
    arms, values = _arms(reading, chosen, "seq", "")
    ((explained,),) = await ask(session, f"EXPLAIN (FORMAT JSON) {' UNION ALL '.join(arms)}", values)
    plan = explained[0]["Plan"]
    plans = [plan] if len(chosen) == 1 else plan.get("Plans", [])
    if len(plans) == len(chosen):
        expected = {
            window: _expected(reading, window, one["Plan Rows"]) for window, one in zip(chosen, plans, strict=True)
        }
        walkable = await _walkable(session, reading, expected)
        cuts = [
            cut(window, replace(one, walkable=walkable.get(window)), reading.wanted) for window, one in expected.items()
        ]
        reading.pending = [*(window for windows in cuts for window in windows), *rest]
    else:  # the planner knows that some hold nothing
        reading.pending = [*(replace(window, measured=True) for window in chosen), *rest]
    reading.settle()


async def _walkable(
    session: AsyncSession, reading: Reading, expected: Mapping[Window, Expected]
) -> dict[Window, datetime]:
    """Where as many entries as may be walked begin, in each window that would be walked: entries come in bursts."""
    windows = [window for window, one in expected.items() if walks(one, reading.wanted)]
    values: dict[str, Any] = {"most": WALKED_ENTRIES}
    arms = []
    for place, window in enumerate(windows):
        span, name = window.span, f"from{place}"
        if reading.newest(window) >= span.time_max:  # by number: as good as by time, and found at once
            values[name] = min(reading.sizes[span.log], span.seq_until) - WALKED_ENTRIES
            ending = f"seq = :{name}"
        else:
            values[name] = reading.newest(window)
            ending = f"occurred_at <= :{name} ORDER BY occurred_at DESC, seq DESC OFFSET :most LIMIT 1"
        arms.append(f"(SELECT {place}, occurred_at FROM {span.table} WHERE {ending})")  # noqa: S608  as `_arms`
    found = await ask(session, " UNION ALL ".join(arms), values) if arms else ()
    return {windows[row[0]]: row[1] for row in found}


def _expected(reading: Reading, window: Window, matches: float) -> Expected:
    span = window.span
    newest, oldest = reading.newest(window), reading.oldest(window)
    entries = min(span.seq_until, reading.sizes[span.log]) - span.seq_from
    length = (span.time_max - span.time_min).total_seconds()
    share = (newest - oldest).total_seconds() / length if length else 1.0
    between = round(entries * share)
    if span in reading.heads:
        matches = together_at_most(between, matches, reading.where.words_joined)
    return Expected(between, matches, oldest, newest)


async def rows_of(session: AsyncSession, keys: Sequence[Key]) -> list[tuple[str, int, bytes, datetime]]:
    """The entries of keys, in their order; those dropped meanwhile are left out."""
    wanted: dict[str, list[int]] = {}
    for key in keys:
        wanted.setdefault(key.table, []).append(key.seq)
    arms = [
        f"SELECT log, seq, canon, occurred_at FROM {table} WHERE seq = ANY(:seqs{number})"  # noqa: S608  as `_arms`
        for number, table in enumerate(wanted)
    ]
    values = {f"seqs{number}": seqs for number, seqs in enumerate(wanted.values())}
    found = await ask(session, " UNION ALL ".join(arms), values) if arms else ()
    rows = {(row[0], row[1]): (row[0], row[1], row[2], row[3]) for row in found}
    return [rows[key.log, key.seq] for key in keys if (key.log, key.seq) in rows]


async def _look(session: AsyncSession, reading: Reading, windows: Sequence[Window]) -> list[Key]:
    arms, values = _arms(reading, windows, "occurred_at, log, seq, {number} AS source", None)
    whole = f"SELECT * FROM ({' UNION ALL '.join(arms)}) AS found {_ORDER} LIMIT :wanted"  # noqa: S608  as `_arms`
    found = await ask(session, whole, {**values, "wanted": reading.wanted})
    return [Key(at, log, seq, windows[source].span.table) for at, log, seq, source in found]


async def _count(session: AsyncSession, reading: Reading, windows: Sequence[Window], room: int) -> int:
    arms, values = _arms(reading, windows, "1", "LIMIT :room")
    whole = f"SELECT count(*) FROM (SELECT FROM ({' UNION ALL '.join(arms)}) AS one LIMIT :room) AS capped"  # noqa: S608  as `_arms`
    ((counted,),) = await ask(session, whole, {**values, "room": room})
    return int(counted)


def _arms(
    reading: Reading, windows: Sequence[Window], columns: str, ending: str | None
) -> tuple[list[str], dict[str, Any]]:
    """One SELECT a window. All that is not a bound value is a constant of this code or quoted by the database."""
    values = {**reading.where.values, **_shared_bounds(reading)}
    arms = []
    for number, window in enumerate(windows):
        span, names = window.span, {name: f"{name}{number}" for name in ("from", "to", "low", "high", "size")}
        values |= {names["low"]: reading.oldest(window), names["high"]: reading.newest(window)}
        clauses = [
            *reading.where.sql(span.log, f":{names['low']}", f":{names['high']}"),
            *_bounds(reading, span),
        ]
        if window.since is not None:
            values[names["from"]] = window.since
            clauses.append(f"occurred_at >= :{names['from']}")
        if window.until is not None:
            values[names["to"]] = window.until
            clauses.append(f"occurred_at < :{names['to']}")
        if reading.sizes[span.log] < span.seq_until:
            values[names["size"]] = reading.sizes[span.log]
            clauses.append(f"seq < :{names['size']}")
        order = ending if ending is not None else _COLLECTED if window.collected else _WALKED
        what = columns.format(number=number)
        arms.append(f"(SELECT {what} FROM {span.table} WHERE {' AND '.join(clauses or ['true'])} {order})")  # noqa: S608  see above
    return arms, values


def _shared_bounds(reading: Reading) -> dict[str, Any]:
    where, position = reading.where, reading.position
    behind = {} if position is None else {"at": position.at, "behind": position.seq}
    return {"since": where.since, "until": where.until, "worst": reading.worst, **behind}


def _bounds(reading: Reading, span: Span) -> list[str]:
    """What the times asked for, the position and the entries already found leave of a partition."""
    where, position = reading.where, reading.position
    clauses = []
    if where.since is not None and where.since > span.time_min:
        clauses.append("occurred_at >= :since")
    if where.until is not None and where.until <= span.time_max:
        clauses.append("occurred_at < :until")
    if reading.worst is not None:
        clauses.append("occurred_at >= :worst")
    if position is not None and position.at <= span.time_max:
        clauses.append(_behind(position, span.log))
    return clauses


def _behind(position: Position, log: str) -> str:
    if log == position.log:
        return "(occurred_at, seq) < (:at, :behind)"
    return "occurred_at <= :at" if log > position.log else "occurred_at < :at"
