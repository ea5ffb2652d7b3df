"""Every process looks after the write path: how long entries wait, whether the spool would hold, what it still holds.

What it finds shows in the metrics, in `/readyz` and as a critical alert. Must never end, and never raise for a database
or a disk that is away: that is what it watches for.
"""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager, suppress
from typing import Final

import psycopg
import structlog
from sqlalchemy import text
from sqlalchemy.exc import SQLAlchemyError
from sqlalchemy.ext.asyncio import AsyncSession

from backend.alerts import service as alerts
from backend.alerts.service import AlertDraft
from backend.audit.apart import OtherLedgerError, replay
from backend.context import Runtime, system_caller
from backend.spool import Spool, SpoolError
from backend.write_path import LOOK_BUSY_S, LOOK_EVERY_S
from contract.alerts import Severity
from contract.scope import Scope, ScopeKind

log = structlog.get_logger(__name__)

PROBE_EVERY_S: Final = 1.0
"""A sick disk is noticed within five seconds even if two looks fail."""
LOOK_LIMIT_S: Final = 2.0
"""A database that takes longer to say how much waits is away."""
PROBE_BYTES: Final = 16
RULE_WAITING, RULE_QUARANTINE, RULE_SPOOL = "audit_outbox_age", "audit_quarantine", "audit_spool"
RULES: Final = (RULE_WAITING, RULE_QUARANTINE, RULE_SPOOL)
_LOOK: Final = text(
    "SELECT (SELECT count(*) FROM (SELECT FROM audit_outbox LIMIT 5000) AS waiting),"
    " coalesce(extract(epoch FROM clock_timestamp()"
    " - (SELECT min(filed_at) FROM audit_outbox WHERE isfinite(filed_at))), 0)::float8,"
    " (SELECT count(*) FROM (SELECT FROM audit_quarantine LIMIT 5000) AS aside)"
)


@asynccontextmanager
async def watching(runtime: Runtime) -> AsyncIterator[None]:
    """Watch while the context is open."""
    jobs = ((_look, _until_look), (_probe, _until_probe), (_replay, _until_probe))
    tasks = [asyncio.create_task(_repeat(runtime, job, pause), name="audit watch") for job, pause in jobs]
    try:
        yield
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        await runtime.write_path.spool.close()


_Step = Callable[[Runtime], Awaitable[None]]


async def _repeat(runtime: Runtime, job: _Step, pause: _Step) -> None:
    name = getattr(job, "__name__", "")
    while True:
        try:
            await job(runtime)
        except (SQLAlchemyError, psycopg.Error, SpoolError, OSError) as error:
            log.debug("audit_watch_failed", job=name, error=str(error).strip())
        # the watch's boundary: it must outlive whatever it meets
        except Exception:
            log.exception("audit_watch_failed", job=name)
        await pause(runtime)


async def _until_look(runtime: Runtime) -> None:
    await asyncio.sleep(LOOK_BUSY_S)
    with suppress(TimeoutError):
        async with asyncio.timeout(LOOK_EVERY_S - LOOK_BUSY_S):
            await runtime.write_path.crowded.wait()


async def _until_probe(_: Runtime) -> None:
    await asyncio.sleep(PROBE_EVERY_S)


async def _look(runtime: Runtime) -> None:
    state, metrics = runtime.write_path, runtime.metrics
    before = state.committed
    async with asyncio.timeout(LOOK_LIMIT_S), runtime.database.read() as session:
        found = (await session.execute(_LOOK)).one()
    waiting, state.oldest_s, state.quarantined = found
    # what was committed while it was asked may be in its answer or not: counted twice until the next look, but not lost
    state.see(waiting + state.committed - before)
    state.seen_at = runtime.clock.monotonic()
    if state.seen_first_at is None:
        state.seen_first_at = state.seen_at
    metrics.audit_waiting.set(state.waiting)
    metrics.audit_oldest.set(state.oldest_s)
    wanted = drafts(runtime)
    if wanted or state.alerted:
        async with runtime.database.transaction() as session:
            await _say(session, runtime, wanted)
        state.alerted = bool(wanted)


def drafts(runtime: Runtime) -> list[AlertDraft]:
    """The alerts that the state calls for."""
    state, found = runtime.write_path, []
    limit_s = runtime.policy.audit.watchfloor.outbox_age_seconds
    if min(state.oldest_s, state.watched_s) > limit_s:
        message = f"Audit entries wait longer than {limit_s} s for their place in the ledger"
        found.append(_draft(RULE_WAITING, RULE_WAITING, message))
    if state.quarantined:
        found.append(_draft(RULE_QUARANTINE, RULE_QUARANTINE, "Something in the audit outbox could not be an entry"))
    if state.spool.problem is not None:
        message = f"The audit spool of {runtime.emitter.node} cannot take entries: {state.spool.problem}"
        found.append(_draft(RULE_SPOOL, f"{RULE_SPOOL}|{runtime.emitter.node}", message))
    return found


def _draft(rule: str, fingerprint: str, message: str) -> AlertDraft:
    return AlertDraft(
        fingerprint=fingerprint,
        rule=rule,
        severity=Severity.CRITICAL,
        scope=Scope(kind=ScopeKind.GLOBAL),
        message=message,
        moves=False,
    )


async def _say(session: AsyncSession, runtime: Runtime, wanted: list[AlertDraft]) -> None:
    """Raise what is new and clear what is over; of a spool only the process whose it is says so."""
    caller = system_caller("ledger")
    live = dict(await alerts.live_of_rules(session, RULES))
    said = {draft.fingerprint for draft in wanted}
    for draft in wanted:
        if draft.fingerprint not in live:
            await alerts.raise_alert(session, runtime, caller, draft)
    own = {RULE_WAITING, RULE_QUARANTINE, f"{RULE_SPOOL}|{runtime.emitter.node}"}
    for fingerprint, alert in live.items():
        if fingerprint in own - said:
            await alerts.clear_alert(session, runtime, caller, alert.id, why="it is over")


async def _probe(runtime: Runtime) -> None:
    spool, metrics = runtime.write_path.spool, runtime.metrics
    before = spool.problem
    await spool.probe(runtime.clock.random_bytes(PROBE_BYTES))
    metrics.audit_spool_broken.set(spool.problem is not None)
    metrics.audit_spool_waiting.set(spool.waiting)
    if spool.problem is not None and before is None:
        log.critical("audit_spool_broken", why=spool.problem)


async def _replay(runtime: Runtime) -> None:
    spool = runtime.write_path.spool
    if spool.waiting:
        await replay(runtime, spool)
    for other in await spool.others():
        await _take_over(runtime, other)


async def _take_over(runtime: Runtime, other: Spool) -> None:
    try:
        await _take_over_whole(runtime, other)
    except OtherLedgerError as error:  # a backend of that ledger takes it over
        name = other.file.path.name
        if name not in runtime.write_path.foreign:
            runtime.write_path.foreign.add(name)
            log.warning("audit_spool_of_another_ledger", file=name, why=str(error))
    except SpoolError as error:  # its process lives: its lock says so
        log.debug("audit_spool_not_taken_over", file=other.file.path.name, why=str(error))
    finally:  # else our own lock would keep us from ever trying again
        await other.let_go()


async def _take_over_whole(runtime: Runtime, other: Spool) -> None:
    while await replay(runtime, other):
        log.info("audit_spool_taken_over", file=other.file.path.name)
    await other.close()
