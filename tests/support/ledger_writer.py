"""A process that acts and records: `python -m tests.support.ledger_writer FILE TASKS` until it is killed.

The settings come from the environment. Each act whose transaction was acknowledged is a line of the file: its entry's
id, or for entries of their own, which may wait in the spool, the action that their entry names.
"""

import asyncio
import os
import sys
from contextlib import suppress

import psycopg
from sqlalchemy import text
from sqlalchemy.exc import SQLAlchemyError

from backend.audit.apart import NotRecordedError, record_apart, replay
from backend.audit.service import AuditDraft, record
from backend.context import Runtime, system_caller
from backend.runtime import build_runtime
from backend.settings import Settings
from backend.spool import SpoolError
from contract.audit import AuditResult

ACTS = "CREATE TABLE soak_acts (id uuid PRIMARY KEY)"
APART = "apart "
"""How the action of an entry without a transaction of its act begins."""
_ACT = text("INSERT INTO soak_acts VALUES (:id)")
_EVENTS = ("freeze.hold.created", "executors.process.moved", "alerts.alert.raised")
_PAUSE_S = 0.05
_BREATH_S = 0.1
"""A hundred acts a second: whoever is killed must have something under way, not starve everybody else."""
_REPLAY_EVERY_S = 0.5
_APART_EVERY_S = 0.05


async def _write(runtime: Runtime, file: int, task: int) -> None:
    number = 0
    while True:
        number += 1
        draft = AuditDraft(_EVENTS[(task + number) % len(_EVENTS)], f"act {number}", new_value={"number": number})
        try:
            async with runtime.database.transaction() as session:
                ident = await record(session, runtime, system_caller(f"writer-{task}"), draft)
                await session.execute(_ACT, {"id": ident})
        except (SQLAlchemyError, psycopg.Error, OSError):
            await asyncio.sleep(_PAUSE_S)
        else:
            os.write(file, f"{ident}\n".encode())
            await asyncio.sleep(_BREATH_S)


async def _write_apart(runtime: Runtime, file: int) -> None:
    """Entries of refusals: recorded, kept in the spool, or the act does not happen."""
    number = 0
    while True:
        number += 1
        action = f"{APART}{runtime.emitter.boot} {number}"
        draft = AuditDraft("executors.process.moved", action, result=AuditResult.DENIED)
        with suppress(NotRecordedError):
            await record_apart(runtime, system_caller("writer"), draft)
            os.write(file, f"{action}\n".encode())
        await asyncio.sleep(_APART_EVERY_S)


async def _replay(runtime: Runtime) -> None:
    """Do as a backend does: record what waits in the spool once the database is back."""
    while True:
        await asyncio.sleep(_REPLAY_EVERY_S)
        with suppress(SQLAlchemyError, psycopg.Error, SpoolError, OSError):
            if runtime.write_path.spool.waiting:
                await replay(runtime, runtime.write_path.spool)


async def _main(path: str, tasks: int) -> None:
    runtime = build_runtime(Settings())
    file = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
    writing = [_write(runtime, file, task) for task in range(tasks - 1)]
    await asyncio.gather(*writing, _write_apart(runtime, file), _replay(runtime))


if __name__ == "__main__":
    asyncio.run(_main(sys.argv[1], int(sys.argv[2])))
