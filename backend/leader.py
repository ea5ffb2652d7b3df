"""Runs each monitor on exactly one backend at a time.

A lease row for each monitor says who leads it until when, by the database's clock, and under which fencing number; the
number rises at every take-over. A tick commits only while its number still holds: a leader that was stopped and wakes
up late changes nothing. Must never trust this machine's clock for more than giving up early.
"""

import asyncio
import os
import secrets
import socket
import time
from collections.abc import AsyncIterator, Iterable
from contextlib import asynccontextmanager, suppress
from typing import Any

import psycopg
import structlog
from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncSession

from backend.context import Runtime
from backend.db import DEDICATED_PREFIX
from backend.monitors import Duty, Monitor
from backend.stream import Broker

log = structlog.get_logger(__name__)

LEASE_S = 3.0
"""A dead leader is replaced after this; longer than any pause a healthy process makes."""
RENEW_EVERY_S = 1.0
"""Two renewals may fail before the lease is lost."""
CLAIM_EVERY_S = 0.5
"""How often a backend that does not lead everything looks for expired leases."""
STUCK_S = 2.0
"""A lease that expired so long ago and cannot be claimed is held by a transaction of a process that stands still.

The server ends a transaction that idles, but not one stopped in the middle of a COPY: it would wait for ever.
"""
ROUND_LIMIT_S = 2.0
"""A round of renewals that takes longer means that the server hangs: connect anew."""
STALLED_TICK_MS = 4_000
"""The server ends the transaction of a tick whose process was stopped, so that its locks do not hold up the next."""
RETRY_MIN_S, RETRY_MAX_S = 0.5, 30.0
"""Pause after a failed tick; doubles up to the second, but never beyond the monitor's interval."""

_SEED = """
INSERT INTO leader_leases (name, holder, fence, expires_at)
SELECT name, '', 0, 'epoch' FROM unnest(%(names)s::text[]) AS monitor(name) ON CONFLICT DO NOTHING
"""
_CLAIM = """
WITH free AS (
    SELECT name FROM leader_leases
    WHERE name = ANY(%(names)s) AND (expires_at < clock_timestamp()
        OR expires_at > clock_timestamp() + make_interval(secs => 2 * %(lease_s)s)) FOR UPDATE SKIP LOCKED)
UPDATE leader_leases AS lease
SET holder = %(holder)s, fence = fence + 1, expires_at = clock_timestamp() + make_interval(secs => %(lease_s)s)
FROM free WHERE lease.name = free.name RETURNING lease.name, lease.fence
"""
"""A lease that ends later than any that is given now was given before the clock was put back: who holds it may be gone,
and who lives is told apart by its fence."""
_RENEW = """
UPDATE leader_leases AS lease SET expires_at = clock_timestamp() + make_interval(secs => %(lease_s)s)
FROM unnest(%(names)s::text[], %(fences)s::bigint[]) AS held(name, fence)
WHERE lease.name = held.name AND lease.fence = held.fence AND lease.holder = %(holder)s RETURNING lease.name
"""
_RELEASE = """
UPDATE leader_leases AS lease SET expires_at = clock_timestamp()
FROM unnest(%(names)s::text[], %(fences)s::bigint[]) AS held(name, fence)
WHERE lease.name = held.name AND lease.fence = held.fence AND lease.holder = %(holder)s
"""
_FREE_STUCK = """
SELECT lease.name, count(pg_terminate_backend(session.pid))
FROM leader_leases AS lease
JOIN pg_stat_activity AS session
    ON session.application_name = %(prefix)s || lease.name AND session.datname = current_database()
WHERE lease.name = ANY(%(names)s) AND session.xact_start < lease.expires_at
    AND lease.expires_at < clock_timestamp() - make_interval(secs => %(stuck_s)s)
GROUP BY lease.name
"""
_STALL_LIMIT = text("SELECT set_config('idle_in_transaction_session_timeout', :ms, true)")
_STILL_LEADING = "SELECT 1 FROM leader_leases WHERE name = :name AND fence = :fence AND holder = :holder"
_ASSERT = text(_STILL_LEADING)
_HOLD = text(f"{_STILL_LEADING} FOR KEY SHARE")
"""Lets the own renewal through but makes a take-over wait until this transaction has ended."""

_HOLD_PLAIN = """
SELECT 1 FROM leader_leases WHERE name = %s AND fence = %s AND holder = %s FOR KEY SHARE
"""
"""The same for a duty's own connection."""

_Connection = psycopg.AsyncConnection[tuple[Any, ...]]


class LeadershipLostError(Exception):
    """Another backend leads the monitor now; the tick is rolled back."""


class Leases:
    """The leases this process holds, kept alive on a connection of their own."""

    def __init__(self, runtime: Runtime, names: list[str]) -> None:
        self._runtime = runtime
        self._names = names
        self._fences: dict[str, int] = {}
        self._valid_until = 0.0
        self._changed = asyncio.Condition()
        self.holder = f"{socket.gethostname()[:50]}:{os.getpid()}:{secrets.token_hex(6)}"

    def fence(self, name: str) -> int | None:
        """The fencing number under which this process leads the monitor, or None."""
        return self._fences.get(name) if time.monotonic() < self._valid_until else None

    async def acquired(self, name: str) -> int:
        """Wait until this process leads the monitor."""
        async with self._changed:
            while (fence := self.fence(name)) is None:
                await self._changed.wait()
            return fence

    @asynccontextmanager
    async def kept(self) -> AsyncIterator[None]:
        """Claim and renew while the context is open; give everything up at its end."""
        task = asyncio.create_task(self._keep_for_ever(), name="leader leases")
        try:
            yield
        finally:
            task.cancel()
            with suppress(asyncio.CancelledError):
                await task
            await self._release()

    async def _keep_for_ever(self) -> None:
        while True:
            try:
                async with await self._runtime.database.dedicated("leases") as connection:
                    await self._keep(connection)
            except (psycopg.Error, OSError, TimeoutError) as error:
                log.warning("lease_connection_lost", error=str(error).strip())
            # the lease keeper's boundary: whatever went wrong, leadership is found again from the table
            except Exception:
                log.exception("lease_keeper_failed")
            self._show(())
            await asyncio.sleep(CLAIM_EVERY_S / 2)

    async def _keep(self, connection: _Connection) -> None:
        async with asyncio.timeout(ROUND_LIMIT_S):
            await connection.execute(_SEED, {"names": self._names})
        while True:
            async with asyncio.timeout(ROUND_LIMIT_S):
                await self._round(connection)
            complete = len(self._fences) == len(self._names)
            await asyncio.sleep(RENEW_EVERY_S if complete else CLAIM_EVERY_S)

    async def _round(self, connection: _Connection) -> None:
        began = time.monotonic()
        kept: set[str] = set()
        if self._fences:
            cursor = await connection.execute(_RENEW, self._parameters())
            kept = {name for (name,) in await cursor.fetchall()}
        free = [name for name in self._names if name not in kept]
        gained: dict[str, int] = {}
        if free:
            cursor = await connection.execute(_CLAIM, {"names": free, "holder": self.holder, "lease_s": LEASE_S})
            gained = dict(await cursor.fetchall())
            await self._free_stuck(connection, [name for name in free if name not in gained])
        async with self._changed:
            for name in self._fences.keys() - kept - gained.keys():
                log.warning("leadership_lost", monitor=name)
            for name, fence in gained.items():
                log.info("leadership_gained", monitor=name, fence=fence)
            self._fences = {name: fence for name, fence in self._fences.items() if name in kept} | gained
            self._valid_until = began + LEASE_S
            self._show(self._fences)
            self._changed.notify_all()

    async def _free_stuck(self, connection: _Connection, names: list[str]) -> None:
        """End the transactions of leaders that were stopped, which a duty's own connection tells by its name."""
        stuck = {"names": names, "stuck_s": STUCK_S, "prefix": DEDICATED_PREFIX}
        if names:
            for name, ended in await (await connection.execute(_FREE_STUCK, stuck)).fetchall():
                log.warning("stopped_leader_ended", monitor=name, sessions=ended)

    def _show(self, led: Iterable[str]) -> None:
        leading = set(led)
        for name in self._names:
            self._runtime.metrics.monitor_leader.labels(name).set(name in leading)

    def _parameters(self) -> dict[str, Any]:
        return {
            "names": list(self._fences),
            "fences": list(self._fences.values()),
            "holder": self.holder,
            "lease_s": LEASE_S,
        }

    async def _release(self) -> None:
        """Let a successor in at once; one that cannot be told finds the lease expired."""
        self._valid_until = 0.0
        if not self._fences:
            return
        with suppress(psycopg.Error, OSError, TimeoutError):
            async with asyncio.timeout(ROUND_LIMIT_S), await self._runtime.database.dedicated("leases") as connection:
                await connection.execute(_RELEASE, self._parameters())


class _Runner:
    """Ticks one monitor while this process leads it."""

    def __init__(self, runtime: Runtime, leases: Leases, monitor: Monitor) -> None:
        self._runtime = runtime
        self._leases = leases
        self._monitor = monitor
        self._woken = asyncio.Event()
        self._failures = 0
        self._wanted_s: float | None = None

    def wake(self) -> None:
        """Let the next tick come early."""
        self._woken.set()

    async def run(self) -> None:
        """Tick for ever."""
        while True:
            fence = await self._leases.acquired(self._monitor.name)
            self._woken.clear()
            await self._tick_guarded(fence)
            await self._pause()

    async def _tick_guarded(self, fence: int) -> None:
        name, metrics = self._monitor.name, self._runtime.metrics
        began = time.monotonic()
        try:
            await self._tick(fence)
        except LeadershipLostError:
            log.warning("tick_dropped_after_takeover", monitor=name, fence=fence)
        # the monitor's boundary: a tick that fails is rolled back and tried again, the others run on
        except Exception:
            self._failures += 1
            metrics.monitor_failures.labels(name).inc()
            log.exception("tick_failed", monitor=name, failures=self._failures)
        else:
            self._failures = 0
            metrics.monitor_ticks.labels(name).inc()
            metrics.monitor_seconds.labels(name).observe(time.monotonic() - began)

    async def _tick(self, fence: int) -> None:
        async with self._runtime.database.transaction() as session:
            await session.execute(_STALL_LIMIT, {"ms": str(STALLED_TICK_MS)})
            await self._require(session, fence, hold=False)
            wanted_s = await self._monitor.tick(session, self._runtime)
            await session.flush()
            await self._require(session, fence, hold=True)
        self._wanted_s = wanted_s

    async def _require(self, session: AsyncSession, fence: int, *, hold: bool) -> None:
        identity = {"name": self._monitor.name, "fence": fence, "holder": self._leases.holder}
        if await session.scalar(_HOLD if hold else _ASSERT, identity) is None:
            raise LeadershipLostError(self._monitor.name)

    async def _pause(self) -> None:
        if self._failures:
            retry_s = min(RETRY_MIN_S * 2 ** min(self._failures - 1, 10), RETRY_MAX_S)
            await asyncio.sleep(min(retry_s, max(self._monitor.interval_s, RETRY_MIN_S)))
            return
        if self._wanted_s is not None:
            await asyncio.sleep(self._wanted_s)
            return
        await asyncio.sleep(self._monitor.min_gap_s)
        with suppress(TimeoutError):
            async with asyncio.timeout(max(0.0, self._monitor.interval_s - self._monitor.min_gap_s)):
                await self._woken.wait()


class _DutyRunner:
    """Runs one duty while this process leads it; what a duty asks about its leadership it asks this."""

    def __init__(self, runtime: Runtime, leases: Leases, duty: Duty) -> None:
        self._runtime = runtime
        self._leases = leases
        self._duty = duty

    async def require(self, connection: _Connection) -> None:
        """See `Lead`."""
        fence = self._leases.fence(self._duty.name)
        if fence is None:
            raise LeadershipLostError(self._duty.name)
        cursor = await connection.execute(_HOLD_PLAIN, (self._duty.name, fence, self._leases.holder))
        if await cursor.fetchone() is None:
            raise LeadershipLostError(self._duty.name)

    async def run(self) -> None:
        """Lead for ever: again and again while leadership is won, lost and won."""
        name, metrics = self._duty.name, self._runtime.metrics
        while True:
            await self._leases.acquired(name)
            try:
                await self._duty.run(self._runtime, self)
            except LeadershipLostError:
                log.warning("duty_dropped_after_takeover", duty=name)
            except (psycopg.Error, OSError, TimeoutError) as error:
                log.warning("duty_connection_lost", duty=name, error=str(error).strip())
            # the duty's boundary: one that fails is rolled back and started again, the others run on
            except Exception:
                metrics.monitor_failures.labels(name).inc()
                log.exception("duty_failed", duty=name)
            await asyncio.sleep(RETRY_MIN_S)


@asynccontextmanager
async def run_monitors(
    runtime: Runtime, broker: Broker, monitors: tuple[Monitor, ...], duties: tuple[Duty, ...] = ()
) -> AsyncIterator[None]:
    """Compete for the leadership of monitors and duties and run those that are led, while the context is open."""
    leases = Leases(runtime, [*(monitor.name for monitor in monitors), *(duty.name for duty in duties)])
    runners = [_Runner(runtime, leases, monitor) for monitor in monitors]
    for runner, monitor in zip(runners, monitors, strict=True):
        if monitor.wake_on:
            broker.watch(monitor.wake_on, runner.wake)
    async with leases.kept():
        runs = [runner.run() for runner in runners] + [_DutyRunner(runtime, leases, duty).run() for duty in duties]
        tasks = [asyncio.create_task(run, name="monitor") for run in runs]
        try:
            yield
        finally:
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)
