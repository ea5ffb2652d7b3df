"""A process that acts and records: `python -m tests.support.ledger_writer FILE TASKS` until it is killed.

The settings come from the environment. Each act whose transaction was acknowledged is a line of the file.
"""

import asyncio
import os
import sys

import psycopg
from sqlalchemy import text
from sqlalchemy.exc import SQLAlchemyError

from backend.audit.service import AuditDraft, record
from backend.context import Runtime, system_caller
from backend.runtime import build_runtime
from backend.settings import Settings

ACTS = "CREATE TABLE soak_acts (id uuid PRIMARY KEY)"
_ACT = text("INSERT INTO soak_acts VALUES (:id)")
_EVENTS = ("freeze.hold.created", "executors.process.moved", "alerts.alert.raised")
_PAUSE_S = 0.05


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
            await asyncio.sleep(0)


async def _main(path: str, tasks: int) -> None:
    runtime = build_runtime(Settings())
    file = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
    await asyncio.gather(*(_write(runtime, file, task) for task in range(tasks)))


if __name__ == "__main__":
    asyncio.run(_main(sys.argv[1], int(sys.argv[2])))
