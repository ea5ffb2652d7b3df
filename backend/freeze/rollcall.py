"""After the database was away: nobody trades before every backend has said that it keeps no freeze from it.

A freeze may have been latched at one backend while none could read the database. When it comes back, the others would
read a state without that freeze. So each backend checks in, while it keeps none back, and whoever lost the database
for a moment gives no permit until all others have checked in since. One that never does is waited for `LONGEST_S`.

No wall clock takes part: whether somebody has checked in since is seen from the check-in having changed, because the
database's clock may have been put back or forward meanwhile, or be another server's.
"""

import asyncio
import hashlib
import socket
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field
from typing import Any, Final

import structlog
from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncSession

from backend.context import Runtime
from backend.freeze.draining import Keeper

log = structlog.get_logger(__name__)

EVERY_S: Final = 0.5
"""How often a backend checks in: who has to wait for it waits about so long."""
LONGEST_S: Final = 10.0
"""A backend that has not come back by then is taken for dead: what it latched is in force once it is started again."""
UNSEEN_S: Final = 2.0
"""Who has not looked for so long cannot know whether the database was away: twice the gap between looks of a backend
to which nobody is connected."""
FORGOTTEN_AFTER_S: Final = 60.0
"""A backend that others have not seen for so long, with the database there all the time, is waited for no more by
permits. It is still missing where somebody asks whether a freeze was taken: its journal may hold it."""
MISSED_S: Final = 3.0
"""Who has not checked in for so long keeps a freeze back, or has died: six times the gap between check-ins."""
_ATTEMPT_S: Final = 2.0
CHECK_INS_SQL: Final = (
    "(SELECT jsonb_object_agg(boot, checked_in_at) FROM backend_checkins WHERE boot <> %(me)s AND NOT silent)"
)
"""The last check-in of every backend that is waited for but the one that asks, by boot; NULL when there is no other."""
_CHECK_IN = (
    text("SET LOCAL synchronous_commit = off"),  # one that a crash takes back is made again
    text(
        "INSERT INTO backend_checkins (boot, place, checked_in_at) VALUES (:me, :place, clock_timestamp())"
        " ON CONFLICT (boot) DO UPDATE SET checked_in_at = excluded.checked_in_at, silent = false"
    ),
)
_SPEAK_FOR = text(
    "DELETE FROM backend_checkins WHERE boot IN ("
    " SELECT boot FROM backend_checkins"
    " WHERE place = :place AND boot <> :me AND NOT boot = ANY(CAST(:waiting AS text[])) FOR UPDATE SKIP LOCKED)"
)
"""Of processes that ran here before. One that lives beside this one checks in again; its row is never waited for."""
_LIST = text("SELECT boot, checked_in_at FROM backend_checkins WHERE boot <> :me AND NOT silent")
_MISSING = text(
    "SELECT EXISTS (SELECT FROM backend_checkins"
    " WHERE boot <> :me AND (silent OR checked_in_at < clock_timestamp() - make_interval(secs => :missed_s)))"
)
_FORGET = text("UPDATE backend_checkins SET silent = true WHERE boot = ANY(CAST(:boots AS text[]))")
_LEAVE = text("DELETE FROM backend_checkins WHERE boot = :me")


async def somebody_is_missing(session: AsyncSession, runtime: Runtime) -> bool:
    """Whether another backend may have latched a freeze that the database does not have.

    One that fell silent without a goodbye may, however long ago: until it speaks again, or one started in its place.
    """
    asked = {"me": runtime.emitter.boot, "missed_s": MISSED_S}
    return bool((await session.execute(_MISSING, asked)).scalar_one())


@dataclass
class RollCall:
    """Whether permits may be given again, pure. In doubt from the start: nobody knows what was before."""

    clear: bool = False
    _waiting_for: Mapping[str, Any] | None = None
    """The check-ins as they were at the first look since the doubt began."""
    _since: float = 0.0
    _looked_at: float | None = None

    def doubt(self) -> None:
        """A read has failed: while nothing could be read, a freeze may have been latched elsewhere."""
        self.clear, self._waiting_for = False, None

    def passes(self, check_ins: Mapping[str, Any], *, at: float) -> bool:
        """Whether a state that was just read is all there is.

        `check_ins` are those of all other backends, of the same read; `at` is this process's monotonic clock (seconds).
        """
        if self._looked_at is not None and at - self._looked_at > UNSEEN_S:
            self.doubt()
        self._looked_at = at
        if self.clear:
            return True
        if self._waiting_for is None:
            self._waiting_for, self._since = check_ins, at
        missing = any(check_ins.get(boot) == last for boot, last in self._waiting_for.items())
        self.clear = not missing or at - self._since > LONGEST_S
        return self.clear


@dataclass
class _Memory:
    """How long the check-ins of others have been the same, by this process's own clock."""

    _seen: dict[str, tuple[Any, float]] = field(default_factory=dict)

    def unchanged(self, check_ins: Mapping[str, Any], *, at: float, for_s: float) -> list[str]:
        """Those that have not checked in again for so long."""
        for boot in self._seen.keys() - check_ins.keys():
            del self._seen[boot]
        for boot, last in check_ins.items():
            if boot not in self._seen or self._seen[boot][0] != last:
                self._seen[boot] = last, at
        return [boot for boot, (_, since) in self._seen.items() if at - since > for_s]

    def forget(self) -> None:
        """What was seen before counts no more: the database was away, for others too."""
        self._seen.clear()


class Attendance:
    """Checks one backend in, again and again, while it keeps no freeze from the database."""

    def __init__(self, runtime: Runtime, keeper: Keeper) -> None:
        self._runtime = runtime
        self._keeper = keeper
        where = f"{socket.gethostname()}:{runtime.settings.data_dir.resolve()}"
        self._place = hashlib.sha256(where.encode()).hexdigest()[:16]
        self._others = _Memory()
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
                self._others.forget()
                log.warning("not_checked_in", error=f"{type(error).__name__}: {error}"[:300])
            await asyncio.sleep(EVERY_S)

    async def _once(self) -> None:
        if self._runtime.latched.pending():
            return
        waiting = await self._keeper.boots_that_wait()

        async def check_in(session: AsyncSession) -> None:
            for statement in _CHECK_IN:
                await session.execute(statement, {"me": self._me, "place": self._place})
            if not self._has_spoken:
                await session.execute(_SPEAK_FOR, {"me": self._me, "place": self._place, "waiting": waiting})
            await self._forget_the_dead(session)

        await self._runtime.reserve.attempt(check_in, _ATTEMPT_S)
        self._has_spoken = True

    async def _forget_the_dead(self, session: AsyncSession) -> None:
        others = {row.boot: row.checked_in_at for row in await session.execute(_LIST, {"me": self._me})}
        gone = self._others.unchanged(others, at=self._runtime.clock.monotonic(), for_s=FORGOTTEN_AFTER_S)
        if gone:
            await session.execute(_FORGET, {"boots": gone})

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
