"""Keeps the database and the list of erasures outside it in step: at the start, and every half minute from then on.

An older copy of the database that comes back with people who were erased has them erased again, which is announced.
"""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from datetime import timedelta
from typing import Final

import structlog
from sqlalchemy.exc import DBAPIError
from sqlalchemy.exc import TimeoutError as PoolTimeoutError
from sqlalchemy.ext.asyncio import AsyncSession

from backend.audit import service as audit
from backend.audit.service import AuditDraft
from backend.context import Runtime, system_caller
from backend.errors import ConfigurationError
from backend.privacy import erasures, holds
from backend.revocations import Step

log = structlog.get_logger(__name__)

REPLAYED: Final = "ledger.erasure.replayed"
SWEEP_S: Final = 0.5
"""How often keys that are no longer believed are dropped from memory: with the second they are believed, the bound."""
REPLAY_S: Final = 30.0
"""How often the list and the database are compared; opening a value asks both every time and waits for neither."""
_SETTLED: Final = timedelta(minutes=1)
"""An approval without an outcome for longer than any commit takes: its process ended in the middle."""


async def replay(session: AsyncSession, runtime: Runtime) -> list[str]:
    """Bring database and list together; returns whom the database had brought back.

    Raises:
        ConfigurationError: the list was tampered with.
    """
    known = await runtime.revocations.known()
    destroyed = await audit.destroyed_subjects(session)
    now = runtime.clock.now()
    for subject in sorted(destroyed):
        if subject not in known or known[subject].step is not Step.DONE:
            await runtime.revocations.append(subject, Step.DONE, now)
    back = await audit.still_there(session, await _to_erase(session, runtime, destroyed))
    if back:
        gone = await erasures.erase_again(session, runtime, back)
        facts = {
            "subjects": back, "values": sum(one.values for one in gone), "keys": sum(len(one.key_ids) for one in gone),
        }  # fmt: skip
        draft = AuditDraft(REPLAYED, "erase again", "ledger", "subjects", new_value=facts, log=audit.META_LOG)
        caller = system_caller("privacy")
        await audit.record(session, runtime, caller, draft)
        for one in gone:
            await audit.record(session, runtime, caller, erasures.told(one, {"again": True}))
        log.warning("erasures_replayed", people=len(back))
    return back


async def _to_erase(session: AsyncSession, runtime: Runtime, destroyed: set[str]) -> list[str]:
    """Who was erased, and who was approved to be by a process that ended before it knew, unless a legal hold stands."""
    long_ago = runtime.clock.now() - _SETTLED
    wanted = []
    for subject, one in (await runtime.revocations.known()).items():
        undecided = one.step is Step.APPROVED and one.at < long_ago and subject not in destroyed
        if one.step is Step.DONE or (undecided and not await holds.in_force_on(session, subject)):
            wanted.append(subject)
    return wanted


async def replay_now(runtime: Runtime) -> None:
    """Replay in a transaction of its own; a database that is away, or not migrated yet, is asked later."""
    with suppress(DBAPIError, PoolTimeoutError, OSError):
        async with runtime.database.transaction() as session:
            await replay(session, runtime)


@asynccontextmanager
async def keeping_in_step(runtime: Runtime) -> AsyncIterator[None]:
    """Replay before anything else happens, then keep at it while the context is open.

    Raises:
        ConfigurationError: the list was tampered with.
    """
    await replay_now(runtime)
    task = asyncio.create_task(_keep_at_it(runtime), name="erasures")
    try:
        yield
    finally:
        task.cancel()
        with suppress(asyncio.CancelledError):
            await task


async def _keep_at_it(runtime: Runtime) -> None:
    due_s = REPLAY_S
    while True:
        await asyncio.sleep(SWEEP_S)
        runtime.data_keys.sweep()
        due_s -= SWEEP_S
        if due_s <= 0:
            due_s = REPLAY_S
            try:
                await replay_now(runtime)
            except ConfigurationError as error:  # values stay shut until somebody has restored the file
                log.critical("erasures_unreadable", error=str(error))
