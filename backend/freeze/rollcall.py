"""After the database was away: nobody trades before every backend has said that it keeps no freeze from it.

A freeze may have been latched at one backend while none could read the database. When it comes back, the others would
read a state without that freeze. So each backend checks in, while it keeps none back, and whoever lost the database
for a moment gives no permit until all others have checked in since. One that never does is waited for `LONGEST`.
"""

import asyncio
import hashlib
import socket
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Final

import structlog
from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncSession

from backend.context import Runtime
from backend.freeze.draining import Keeper

log = structlog.get_logger(__name__)

EVERY_S: Final = 0.5
"""How often a backend checks in: who has to wait for it waits about so long."""
LONGEST: Final = timedelta(seconds=10)
"""A backend that has not come back by then is taken for dead: what it latched is in force once it is started again."""
FORGOTTEN_AFTER_S: Final = 60.0
"""A backend that others have not seen for so long, with the database there all the time, is waited for no more."""
_ATTEMPT_S: Final = 2.0
OLDEST_SQL: Final = "(SELECT min(checked_in_at) FROM backend_checkins WHERE boot <> %(me)s)"
"""When that backend checked in last that did so longest ago, of all but the one that asks."""
_CHECK_IN = (
    text("SET LOCAL synchronous_commit = off"),  # one that a crash takes back is made again
    text(
        "INSERT INTO backend_checkins (boot, place, checked_in_at) VALUES (:me, :place, clock_timestamp())"
        " ON CONFLICT (boot) DO UPDATE SET checked_in_at = excluded.checked_in_at"
    ),
)
_SPEAK_FOR = text(
    "DELETE FROM backend_checkins WHERE boot IN ("
    " SELECT boot FROM backend_checkins"
    " WHERE place = :place AND boot <> :me AND NOT boot = ANY(CAST(:waiting AS text[])) FOR UPDATE SKIP LOCKED)"
)
"""Of processes that ran here before. One that lives beside this one checks in again; its row is never waited for."""
_FORGET = text("DELETE FROM backend_checkins WHERE checked_in_at < clock_timestamp() - make_interval(secs => :seconds)")
_LEAVE = text("DELETE FROM backend_checkins WHERE boot = :me")


@dataclass
class RollCall:
    """Whether permits may be given again, pure. In doubt from the start: nobody knows what was before."""

    clear: bool = False
    _since: datetime | None = None

    def doubt(self) -> None:
        """A read has failed: while nothing could be read, a freeze may have been latched elsewhere."""
        self.clear, self._since = False, None

    def passes(self, now: datetime, oldest: datetime | None) -> bool:
        """Whether a state read at `now` is all there is. Both times are the database's.

        `oldest`: the check-in that lies back furthest, of all other backends; None when there is no other.
        """
        if self.clear:
            return True
        if self._since is None or now < self._since:
            self._since = now
        self.clear = oldest is None or oldest > self._since or now - self._since > LONGEST
        return self.clear


class Attendance:
    """Checks one backend in, again and again, while it keeps no freeze from the database."""

    def __init__(self, runtime: Runtime, keeper: Keeper) -> None:
        self._runtime = runtime
        self._keeper = keeper
        where = f"{socket.gethostname()}:{runtime.settings.data_dir.resolve()}"
        self._place = hashlib.sha256(where.encode()).hexdigest()[:16]
        self._seen_since = runtime.clock.monotonic()
        self._has_spoken = False
        """For the processes before it: once, so that two that share a directory do not go on deleting each other."""

    @property
    def _me(self) -> str:
        return self._runtime.emitter.boot

    async def keep_on(self) -> None:
        """Check in for ever."""
        while True:
            try:
                await self._once()
            # the task's boundary: a database that is away is what this is for
            except Exception as error:  # noqa: BLE001  named above
                self._seen_since = self._runtime.clock.monotonic()
                log.warning("not_checked_in", error=f"{type(error).__name__}: {error}"[:300])
            await asyncio.sleep(EVERY_S)

    async def _once(self) -> None:
        if self._runtime.latched.pending():
            return
        waiting = await self._keeper.boots_that_wait()
        long_seen = self._runtime.clock.monotonic() - self._seen_since > FORGOTTEN_AFTER_S

        async def check_in(session: AsyncSession) -> None:
            for statement in _CHECK_IN:
                await session.execute(statement, {"me": self._me, "place": self._place})
            if not self._has_spoken:
                await session.execute(_SPEAK_FOR, {"me": self._me, "place": self._place, "waiting": waiting})
            if long_seen:
                await session.execute(_FORGET, {"seconds": FORGOTTEN_AFTER_S})

        await self._runtime.reserve.attempt(check_in, _ATTEMPT_S)
        self._has_spoken = True

    async def leave(self) -> None:
        """Say goodbye: nobody need wait for this backend. One that still keeps a freeze back does not."""
        if self._runtime.latched.pending():
            return

        async def go(session: AsyncSession) -> None:
            await session.execute(_LEAVE, {"me": self._me})

        with suppress(Exception):  # the boundary of the end: who cannot say goodbye is waited for
            await self._runtime.reserve.attempt(go, _ATTEMPT_S)


@asynccontextmanager
async def attending(runtime: Runtime, keeper: Keeper) -> AsyncIterator[None]:
    """Check in while the context is open."""
    attendance = Attendance(runtime, keeper)
    task = asyncio.create_task(attendance.keep_on(), name="roll call")
    try:
        yield
    finally:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)
        await attendance.leave()
