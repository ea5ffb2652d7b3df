"""Writes a marker row many times a second while a drill runs, and counts those that a failover lost.

It has a connection of its own and finds the new primary by itself. What was acknowledged is known from the answers of
the servers alone, what survived from the rows of the primary of now. Must never end by itself, nor guess.
"""

import asyncio
from collections.abc import Sequence
from datetime import datetime, timedelta
from pathlib import Path
from typing import Final

import psycopg
import structlog

from backend.context import Runtime
from backend.continuity.boots import boot_id
from backend.continuity.marker_file import Ack, Known, Line, MarkerFile, in_us
from backend.continuity.measuring import Lost, Marks
from backend.continuity.writable import Connection, connect, drop, execute
from backend.db import place_of

log = structlog.get_logger(__name__)

WRITE_LIMIT_S: Final = 1.0
"""A write that takes longer is given up with its connection: only then another server can be found to take one."""
RECONNECT_EVERY_S: Final = 0.075
"""How soon a refused connection is tried again: often enough to measure by, and no burden."""
FLUSH_EVERY_S: Final = 0.2
"""What a killed process may have forgotten of its acknowledged markers."""
COUNT_LIMIT_S: Final = 10.0
"""For reading the rows of an hour or two."""
KEPT_MARKERS: Final = 72_000
"""Two hours of them are remembered; a standby that is further behind than that is none."""
KEPT_FOR: Final = timedelta(days=7)
"""Marker rows of earlier drills are deleted after this: what they showed stands in the reports."""
SILENCE_US: Final = 5_000_000
"""A server that answers again after so long without a write, and was not started since, stood still or was cut off; one
that is being killed is gone by then."""
REF_PREFIX: Final = "DR-TEST-"
"""What the day of a drill follows in its ref: refs sort by their days."""
_PURPOSE: Final = "recovery markers"
_WRITE: Final = "INSERT INTO recovery_markers (drill, seq, written_at) VALUES (%s, %s, %s)"
PRUNE_EVERY: Final = 50
"""Markers between two looks at what nobody counts any more."""
_NEWEST: Final = "SELECT coalesce(max(seq), 0) FROM recovery_markers WHERE drill = %s"
_PRUNE: Final = """
DELETE FROM recovery_markers WHERE ctid = ANY(ARRAY(
    SELECT ctid FROM recovery_markers WHERE drill < %s OR drill = %s AND seq BETWEEN 1 AND %s LIMIT 2000))
"""
_THERE: Final = "SELECT seq FROM recovery_markers WHERE drill = %s AND seq BETWEEN %s AND %s"
_US_PER_S: Final = 1_000_000


class Markers:
    """The markers of one drill; `Measuring` says what may be asked of them."""

    def __init__(self, runtime: Runtime, drill: str) -> None:
        self._runtime, self._drill = runtime, drill
        self._url = runtime.settings.database_url
        self._every_s = runtime.policy.recovery.marker_every_ms / 1000
        self._file = MarkerFile(marker_path(runtime, drill))
        self._known = Known()
        self._seq = 0
        self._began_us: int | None = None
        self._boot = boot_id()
        self._rebooted_us: int | None = None
        """Since when times can be compared, if the machine was started again in the middle of the drill."""
        self._connection: Connection | None = None
        self._tasks: list[asyncio.Task[None]] = []
        self._read = asyncio.Event()

    def start(self) -> None:
        """Begin to write; goes on from what an earlier process wrote."""
        self._tasks = [asyncio.create_task(one, name=_PURPOSE) for one in (self._write_on(), self._flush_on())]

    async def stop(self) -> None:
        """Write no more."""
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        self._tasks = []
        await self._hang_up()
        await self._file.flush()
        self._file.close()

    def outage_began(self, at: datetime) -> None:
        """From now on a write over a connection that was opened since is one after the outage."""
        self._began_us = self._instant_us(at)

    def marks(self) -> Marks:
        """How they stand now; asks nobody."""
        began, why_not = self._began_us, ""
        if began is not None and self._rebooted_us is not None and began < self._rebooted_us:
            why_not = "the machine of the backend was started again during the outage, and its clock began anew"
        after = None if began is None else self._first_line_after(began)
        before = [ack for ack in self._known.acks if after is None or ack.line < after]
        last = before[-1] if before else None
        first = None
        if after is not None and not why_not:
            first = next((ack for ack in self._known.acks if ack.line >= after), None)
        return Marks(
            acknowledged=self._known.forgotten + len(before),
            last_seq=None if last is None else last.seq,
            last_at=None if last is None else last.written_at,
            first_write_at=None if first is None else first.written_at,
            outage_ms=None if first is None or began is None else max(0, first.acked_us - began) // 1000,
            why_not=why_not,
        )

    def wrote_since(self, at: datetime) -> bool:
        """Whether a write has been acknowledged after an instant by another server, or one that was started since."""
        after = self._first_line_after(self._instant_us(at))
        return after is not None and bool(self._known.acks) and self._known.acks[-1].line >= after

    async def lost(self, marks: Marks) -> Lost | None:
        """Count what was acknowledged before the outage and is not there; None if that cannot be said."""
        await self._known_again()
        before = [ack for ack in self._known.acks if marks.last_seq is not None and ack.seq <= marks.last_seq]
        if marks.last_seq is None:
            return None  # nothing was measured, which is not the same as nothing lost
        if not before or before[-1].seq != marks.last_seq or self._known.forgotten + len(before) != marks.acknowledged:
            return None  # the process that wrote them has told nobody which these were
        there = await self._there(before[0].seq, marks.last_seq)
        if there is None:
            return None
        return judged(before, there, all_known=not self._known.forgotten)

    async def _there(self, first: int, last: int) -> set[int] | None:
        """Which markers the primary of now has; None while there is none that answers."""
        found = await connect(self._url, _PURPOSE, newest=self._timeline())
        if found is None:
            return None
        try:
            async with asyncio.timeout(COUNT_LIMIT_S):
                rows = await (await found.connection.execute(_THERE, (self._drill, first, last))).fetchall()
        except (psycopg.Error, OSError, TimeoutError):
            return None
        finally:
            await drop(found.connection)
        return {int(row[0]) for row in rows}

    def _first_line_after(self, at_us: int) -> int | None:
        """The first connection that was made after an instant to another life of a server than those before it.

        Or to the same one, after a silence that is none of a server that is being killed.
        """
        lives = {line.life for line in self._known.lines if line.opened_us <= at_us}
        for line in self._known.lines:
            if line.opened_us > at_us and (line.life not in lives or self._silent_us(line, at_us) >= SILENCE_US):
                return line.number
        return None

    def _silent_us(self, line: Line, since_us: int) -> int:
        """For how long nothing had been acknowledged when a connection was made; without a write: since an instant."""
        last = next((ack.acked_us for ack in reversed(self._known.acks) if ack.line < line.number), since_us)
        return line.opened_us - last

    def _timeline(self) -> int:
        return max((line.timeline for line in self._known.lines), default=0)

    def _instant_us(self, at: datetime) -> int:
        """An instant by the monotonic clock, as far as the other has not been set since."""
        return self._now_us() - (self._runtime.clock.now() - at) // timedelta(microseconds=1)

    def _now_us(self) -> int:
        return int(self._runtime.clock.monotonic() * _US_PER_S)

    async def _known_again(self) -> None:
        if self._tasks:
            await self._read.wait()
        elif not self._read.is_set():
            await self._take_up()

    async def _take_up(self) -> None:
        earlier = await self._file.read()
        if earlier.boot not in {"", self._boot}:
            earlier.forget_times()
            self._rebooted_us = self._now_us()
        if earlier.boot != self._boot:
            self._file.say(f"B {self._boot}\n")
        acks = {ack.seq: ack for ack in (*earlier.acks, *self._known.acks)}
        self._known = Known(
            [acks[seq] for seq in sorted(acks)], earlier.lines + self._known.lines, self._boot, earlier.forgotten
        )
        self._seq = max(self._seq, max(acks, default=0) + self._unsaid(earlier))
        self._read.set()

    def _unsaid(self, earlier: Known) -> int:
        """Numbers to leave free: an earlier process may have used some that its file does not tell of."""
        return int(60 / self._every_s) if earlier.lines else 0

    async def _write_on(self) -> None:
        await self._take_up()
        due = self._runtime.clock.monotonic()
        while True:
            connection = self._connection or await self._connect()
            if connection is None:
                await asyncio.sleep(RECONNECT_EVERY_S)
                continue
            await self._write(connection)
            due = max(due + self._every_s, self._runtime.clock.monotonic())
            await asyncio.sleep(due - self._runtime.clock.monotonic())

    async def _connect(self) -> Connection | None:
        found = await connect(self._url, _PURPOSE, newest=self._timeline())
        if found is None or not await self._number_on(found.connection):
            return None
        self._connection = found.connection
        line = Line(len(self._known.lines) + 1, self._now_us(), found.timeline, found.started_us, found.host)
        self._known.lines.append(line)
        self._file.say(line.text())
        log.info("recovery_markers_connected", drill=self._drill, host=found.host, timeline=found.timeline)
        return found.connection

    async def _number_on(self, connection: Connection) -> bool:
        """Go on behind the rows that are there; for the first connection of a process."""
        if self._seq and self._known.lines:
            return True
        try:
            async with asyncio.timeout(WRITE_LIMIT_S):
                row = await (await connection.execute(_NEWEST, (self._drill,))).fetchone()
        except (psycopg.Error, OSError, TimeoutError):
            await drop(connection)
            return False
        self._seq = max(self._seq, int(row[0]) if row is not None else 0)
        return True

    async def _write(self, connection: Connection) -> None:
        self._seq += 1
        at, sent = self._runtime.clock.now(), self._now_us()
        if not await execute(connection, _WRITE, (self._drill, self._seq, at), WRITE_LIMIT_S):
            await self._hang_up()
            return
        ack = Ack(self._seq, self._known.lines[-1].number, sent, in_us(at), self._now_us())
        self._known.acks.append(ack)
        self._file.say(ack.text())
        if self._seq % PRUNE_EVERY == 0 and self._began_us is None:
            await self._prune(connection)

    async def _prune(self, connection: Connection) -> None:
        """Forget what nobody counts any more, some at a time."""
        if len(self._known.acks) > KEPT_MARKERS:
            self._file.say(self._known.forget(KEPT_MARKERS // 2))
        before = self._known.acks[0].seq - 1 if self._known.forgotten else 0
        old = f"{REF_PREFIX}{self._runtime.clock.now() - KEPT_FOR:%Y%m%d}"
        if not await execute(connection, _PRUNE, (old, self._drill, before), WRITE_LIMIT_S):
            await self._hang_up()

    async def _hang_up(self) -> None:
        connection, self._connection = self._connection, None
        if connection is not None:
            await drop(connection)

    async def _flush_on(self) -> None:
        await self._read.wait()
        while True:
            await asyncio.sleep(FLUSH_EVERY_S)
            await self._file.flush()


def judged(before: Sequence[Ack], there: set[int], *, all_known: bool) -> Lost | None:
    """What of the acknowledged markers is not there; None if none of those that are known is, and others were."""
    gone = [ack for ack in before if ack.seq not in there]
    if not gone:
        return Lost(markers=0, rpo_ms=0)
    survivors = [ack for ack in before if ack.seq in there]
    if not survivors and not all_known:
        return None
    since = survivors[-1] if survivors else before[0]
    return Lost(markers=len(gone), rpo_ms=max(0, before[-1].written_us - since.written_us) // 1000)


def marker_path(runtime: Runtime, drill: str) -> Path:
    """Where a process keeps what it knows of a drill's markers."""
    return runtime.settings.data_dir / "recovery" / place_of(runtime.settings.database_url) / f"{drill}.markers"
