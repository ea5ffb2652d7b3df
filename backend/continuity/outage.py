"""The outage of a drill: when it began, when a write was taken again, what was lost. Decides nothing.

What one process saw by its monotonic clock counts by that; what only its journal tells counts by the instants there.
"""

import asyncio
from datetime import datetime
from typing import Final

import structlog

from backend.clock import Clock
from backend.continuity import lines
from backend.continuity.cluster.port import Cluster, ClusterError
from backend.continuity.kinds.base import Facts
from backend.continuity.measuring import Lost, Marks, Measuring
from backend.continuity.telling import Telling

log = structlog.get_logger(__name__)

BEGAN_FACT: Final = "outage_began_at"
FIRST_MARKER_S: Final = 5.0
"""The connection for markers is open within a tenth of it; the drill says so if there was none."""
LOOK_S: Final = 0.5
"""How often the markers are looked at while writes are missing; none for as long means that there are none."""
WRITE_S: Final = 30.0
"""How long the first write is waited for before what was lost is counted."""
POLL_S: Final = 0.1
COUNT_S: Final = 120.0
"""How long the log of the old primary may take to read."""
BACK_S: Final = 5.0
"""The first of these waits when the drill turns back: writes may not come before it has."""


class Outage:
    """The outage of one drill, as far as this process has seen it."""

    def __init__(self, clock: Clock, telling: Telling, cluster: Cluster, measuring: Measuring) -> None:
        self._clock, self._telling, self._cluster, self._measuring = clock, telling, cluster, measuring
        self._began: float | None = None
        """By the monotonic clock, if this process saw it begin."""
        self._quiet = -1
        """How many markers were acknowledged at the last look."""
        began_at = telling.run.outage_began_at
        if began_at is not None:
            measuring.outage_began(began_at)

    async def first_marker(self) -> None:
        """Wait for a marker, for so long: without one before the outage nothing can be said of what it loses."""
        deadline = self._clock.monotonic() + FIRST_MARKER_S
        while not self._measuring.marks().acknowledged and self._clock.monotonic() < deadline:  # noqa: ASYNC110  asked of a port
            await asyncio.sleep(LOOK_S)

    async def begin(self, step: int, at: datetime) -> None:
        """Count from now on."""
        self._began = self._clock.monotonic()
        self._measuring.outage_began(at)
        await self._telling.say(lines.OutageBegan(at=at, step=step))

    async def refine(self, step: int, facts: Facts) -> None:
        """Take over when it began more exactly, if a step has found that out."""
        run = self._telling.run
        told, before = facts.get(BEGAN_FACT), run.outage_began_at
        if told is None or before is None or not run.step(step).plan.begins_outage:
            return
        at = datetime.fromisoformat(str(told))
        if at == before:
            return
        if self._began is not None:
            self._began += (at - before).total_seconds()
        self._measuring.outage_began(at)
        await self._telling.say(lines.OutageBegan(at=at, step=step))

    def lasted_ms(self) -> int | None:
        """Since it began, if this process saw that."""
        return None if self._began is None else round((self._clock.monotonic() - self._began) * 1000)

    def wrote_since(self, step_begun_at: datetime | None) -> bool:
        """Whether writes are taken again: since the outage began while it lasts, then since the step began."""
        run = self._telling.run
        last = run.outage_ends_with
        over = last is not None and last.ended is not None
        since = step_begun_at if over or run.outage_began_at is None else run.outage_began_at
        return since is not None and self._measuring.wrote_since(since)

    async def watch(self) -> None:
        """Keep the markers' figures in the journal while writes are missing, for ever."""
        while True:
            await asyncio.sleep(LOOK_S)
            run = self._telling.run
            if run.outage_began_at is not None and run.counted is None and not self._has_first_write():
                await self._keep(self._measuring.marks())

    def _has_first_write(self) -> bool:
        marks = self._telling.run.marks
        return marks is not None and marks.first_write_at is not None

    async def _keep(self, marks: Marks) -> None:
        """Write down how the markers stand, if that is news."""
        before = self._telling.run.marks
        saw = self._began is not None
        silent, self._quiet = marks.acknowledged == self._quiet, marks.acknowledged
        if saw:
            whole = silent or marks.first_write_at is not None
            line = lines.Marked(
                at=self._clock.now(), acknowledged=marks.acknowledged, last_seq=marks.last_seq, last_at=marks.last_at,
                first_write_at=marks.first_write_at, outage_ms=marks.outage_ms, whole=whole,
            )  # fmt: skip
        elif marks.first_write_at is None:
            return
        else:  # what was acknowledged before the outage only the process that is gone knew
            line = lines.Marked(
                at=self._clock.now(),
                acknowledged=0 if before is None else before.acknowledged,
                last_seq=None if before is None else before.last_seq,
                last_at=None if before is None else before.last_at,
                first_write_at=marks.first_write_at,
                outage_ms=None,
                whole=before is not None and before.whole,
            )
        if before is None or before.model_copy(update={"at": line.at}) != line:
            await self._telling.say(line)

    async def count(self) -> None:
        """Count what was lost, once writes are taken again."""
        run = self._telling.run
        await self._first_write(BACK_S if run.turning_back else WRITE_S)
        marks = self._measuring.marks()
        if marks.why_not:
            self._telling.tell(lines.Logged(at=self._clock.now(), text=f"Nothing is measured: {marks.why_not}."))
        if not self._has_first_write():
            await self._keep(marks)
        lost = await self._lost()
        commits = await self._commits()
        await self._telling.say(
            lines.Counted(
                at=self._clock.now(),
                markers_lost=None if lost is None else lost.markers,
                rpo_ms=None if lost is None else lost.rpo_ms,
                transactions_lost=None if commits is None else commits[0],
                transactions_unacknowledged=None if commits is None else commits[1],
            )
        )

    async def _first_write(self, limit_s: float) -> None:
        for _ in range(round(limit_s / POLL_S)):
            marks = self._measuring.marks()
            if marks.first_write_at is not None or marks.why_not:
                return
            await asyncio.sleep(POLL_S)

    async def _lost(self) -> Lost | None:
        marks = self._telling.run.marks
        if marks is None or not marks.whole or marks.first_write_at is None:
            return None
        known = Marks(marks.acknowledged, marks.last_seq, marks.last_at, marks.first_write_at, marks.outage_ms)
        try:
            async with asyncio.timeout(COUNT_S):
                return await self._measuring.lost(known)
        except TimeoutError:
            return None

    async def _commits(self) -> tuple[int, int] | None:
        """Transactions that only the old primary has, and how many of them cannot have been acknowledged."""
        node = self._telling.run.first_primary
        if node is None:
            return None
        try:
            async with asyncio.timeout(COUNT_S):
                found = await self._cluster.only_there(node)
        except (ClusterError, TimeoutError) as error:
            log.warning("recovery_commits_not_counted", why=str(error))
            return None
        return None if found is None else (found.commits, max(0, found.commits - found.acknowledged_at_most))
