"""Has a process say in the ledger that what it wrote is settled: once it has been quiet for a while, and when it ends.

Without that, nothing shows the loss of the last entry of a process before the sequencer has taken it. Must never hold
up the end of the process, and never write because of what it wrote itself.
"""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Final

import psycopg
import structlog
from sqlalchemy.exc import SQLAlchemyError

from backend.audit.events import AuditEvent
from backend.audit.service import META_LOG, AuditDraft, record
from backend.context import Runtime, system_caller

log = structlog.get_logger(__name__)

LOOK_EVERY_S: Final = 1.0
"""How often a process looks whether it is quiet: two comparisons of numbers."""
CLOSE_LIMIT_S: Final = 1.0
"""A process that ends waits no longer for a database; it ends unclosed, as one that was killed."""
_AWAY: Final = (SQLAlchemyError, psycopg.Error, OSError)
"""What a database that is away looks like; also one that takes too long."""
_ACTIONS: Final = {AuditEvent.EMITTER_SETTLED: "say that all is settled", AuditEvent.EMITTER_CLOSED: "end a process"}


@asynccontextmanager
async def looked_after(runtime: Runtime) -> AsyncIterator[None]:
    """Look after it while the context is open, and say at its end that the process has ended.

    Whatever else writes entries must have ended by then.
    """
    task = asyncio.create_task(_keep_at_it(runtime), name="settling")
    try:
        yield
    finally:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)
        await close(runtime)


async def close(runtime: Runtime) -> None:
    """Say that this process has ended, if it ever wrote an entry and the database takes it within a second."""
    if not runtime.emitter.has_spoken:
        return
    try:
        async with asyncio.timeout(CLOSE_LIMIT_S):
            # asked first: of a connection being made nothing is left to wait for, of a statement there would be
            await (await runtime.database.dedicated("end of process")).close()
            await _say(runtime, AuditEvent.EMITTER_CLOSED)
    except _AWAY as error:
        log.warning("process_not_closed", error=f"{type(error).__name__}: {str(error).strip()}")


async def _keep_at_it(runtime: Runtime) -> None:
    emitter, monotonic = runtime.emitter, runtime.clock.monotonic
    last, since = emitter.last, monotonic()
    while True:
        await asyncio.sleep(LOOK_EVERY_S)
        if emitter.last != last:
            last, since = emitter.last, monotonic()
        elif emitter.needs_settling and monotonic() - since >= runtime.policy.watchfloor.ledger.settled_after_s:
            try:
                await _say(runtime, AuditEvent.EMITTER_SETTLED)
            except _AWAY as error:
                log.debug("not_said_settled", error=str(error).strip())
            # the task's boundary: it must outlive whatever it meets
            except Exception:
                log.exception("not_said_settled")
            since = monotonic()


async def _say(runtime: Runtime, event: AuditEvent) -> None:
    emitter = runtime.emitter
    told = {"node": emitter.node, "last": emitter.last}
    draft = AuditDraft(event, _ACTIONS[event], "process", emitter.boot, new_value=told, log=META_LOG)
    async with runtime.database.transaction() as session:
        await record(session, runtime, system_caller("ledger"), draft)
