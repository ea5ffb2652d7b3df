"""Lets many machines in at once: who comes while one query runs is answered by the next, all of them together.

A thousand executors that come back at the same moment would otherwise wait in line longer than they have patience.
"""

import asyncio
from typing import Any

from fastapi import Request
from sqlalchemy import bindparam, select

from backend.auth import tokens
from backend.auth.service import MACHINE_COLUMNS, bearer_of, machine_caller
from backend.auth.tables import ServiceToken
from backend.context import Caller, Runtime
from backend.http import caller_of
from backend.peer import comes_over

_HASH = ServiceToken.__table__.c.token_hash
_MACHINES = select(_HASH, *MACHINE_COLUMNS).where(_HASH.in_(bindparam("hashes", expanding=True)))
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
        if row is None or row.disabled or self._runtime.clock.now() >= row.expires_at:
            return None
        caller = caller_of(request)
        if not comes_over(caller.peer, row.client_certificate, self._runtime.clock.now()):
            return None
        return machine_caller(row.name, tuple(row.permissions), row.max_trade_eth, caller)

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
                waiting[row.token_hash].set_result(row)
