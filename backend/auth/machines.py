"""Lets many machines in at once: who comes while one query runs is answered by the next, all of them together.

A thousand executors that come back at the same moment would otherwise wait in line longer than they have patience.
"""

import asyncio
from typing import Any

from fastapi import Request
from sqlalchemy import select

from backend.auth import machine_rows, tokens
from backend.bearer import bearer_of
from backend.context import Caller, Runtime
from backend.http import caller_of
from backend.peer import comes_over

_MACHINES = select(*machine_rows.COLUMNS).where(machine_rows.sent_in())
_Row = Any  # of `_MACHINES`


class Machines:
    """The tokens that wait to be looked up. Remembers none."""

    def __init__(self, runtime: Runtime) -> None:
        self._runtime = runtime
        self._waiting: dict[str, asyncio.Future[_Row | None]] = {}
        self._looking: asyncio.Task[None] | None = None

    async def caller(self, request: Request) -> Caller | None:
        """The machine that calls, by a query that begins after it has called; None for anybody to look closer at."""
        token = bearer_of(request)
        if not token.startswith(tokens.SERVICE_PREFIX):
            return None
        token_hash = tokens.service_token_hash(token)
        found = self._waiting.get(token_hash)
        if found is None:
            found = self._waiting[token_hash] = asyncio.get_running_loop().create_future()
        if self._looking is None:
            self._looking = asyncio.create_task(self._look(), name="machines let in")
        row = await asyncio.shield(found)
        now = self._runtime.clock.now()
        if row is None or not machine_rows.lets_in(row, token_hash, now):
            return None
        caller = caller_of(request)
        if not comes_over(caller.peer, row.client_certificate, now):
            return None
        machine_rows.note_use(self._runtime, row, token_hash, now)
        return machine_rows.caller_of_row(row, token_hash, caller)

    async def _look(self) -> None:
        try:
            while self._waiting:
                waiting, self._waiting = self._waiting, {}
                try:
                    await self._answer(waiting)
                finally:
                    for found in waiting.values():
                        if not found.done():
                            found.set_result(None)
        finally:
            self._looking = None

    async def _answer(self, waiting: "dict[str, asyncio.Future[_Row | None]]") -> None:
        async with self._runtime.database.read() as session:
            for row in await session.execute(_MACHINES, {"hashes": list(waiting)}):
                for digest in {row.token_hash, row.previous_hash} & waiting.keys():
                    if not waiting[digest].done():
                        waiting[digest].set_result(row)
