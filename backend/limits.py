"""How much a caller may ask, over all backends together: takes requests ahead, so that few of them cost a statement.

Counts before anybody is looked up, so that a flood of wrong tokens is cheap to refuse. Falls open while the database is
away: what limits fairness must not become what keeps people out. Knows no route.
"""

import asyncio
from collections import OrderedDict
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Final

import psycopg
import structlog

from backend.limits_core import wait_us
from backend.limits_store import Accounts, Ask
from backend.metrics import Metrics
from backend.policy.transport import Allowance

log = structlog.get_logger(__name__)

MAX_REMEMBERED: Final = 20_000
"""Accounts of which this process knows something; one that is forgotten loses what was taken ahead of it."""
MAX_TOGETHER: Final = 500
"""Accounts asked in one statement."""
AWAY_S: Final = 5.0
"""A database that did not answer is not asked again for so long: nobody waits for it meanwhile."""
_LOW: Final = 4
"""Below this part of what is taken ahead more is fetched in the background."""
_MICROSECONDS: Final = 1_000_000


@dataclass(slots=True)
class _Held:
    """What this process has of one account."""

    requests: int = 0
    """Taken from the account and not used yet."""
    refused_until: float = 0.0
    asking: asyncio.Future[None] | None = None


@dataclass(frozen=True, slots=True)
class _Wanted:
    """An account that runs low."""

    held: _Held
    allowance: Allowance


class Limiter:
    """All accounts that one process knows. One event loop uses it."""

    def __init__(self, accounts: Accounts, metrics: Metrics, monotonic: Callable[[], float]) -> None:
        self._accounts = accounts
        self._metrics = metrics
        self._monotonic = monotonic
        self._held: OrderedDict[str, _Held] = OrderedDict()
        self._wanted: dict[str, _Wanted] = {}
        self._fetching: asyncio.Task[None] | None = None
        self._away_until = 0.0

    @asynccontextmanager
    async def running(self) -> AsyncIterator["Limiter"]:
        """Give the line to the database back when the context ends."""
        try:
            yield self
        finally:
            if self._fetching is not None:
                self._fetching.cancel()
                await asyncio.gather(self._fetching, return_exceptions=True)
            await self._accounts.close()

    async def refused_for_s(self, key: str, allowance: Allowance) -> float | None:
        """Use up one request of an account; None if there was one, else in how many seconds there may be.

        Never waits longer than a statement may take, and answers None if nobody could be asked.
        """
        held = self._known(key)
        while held.requests == 0:
            now = self._monotonic()
            if now < held.refused_until:
                return held.refused_until - now
            if now < self._away_until:
                self._metrics.requests_uncounted.inc()
                return None
            await asyncio.shield(self._ask(key, held, allowance))
        held.requests -= 1
        runs_low = held.requests * _LOW < allowance.taken_ahead
        if allowance.taken_ahead > 1 and runs_low and self._monotonic() >= max(held.refused_until, self._away_until):
            self._ask(key, held, allowance)
        return None

    def _known(self, key: str) -> _Held:
        held = self._held.get(key)
        if held is None:
            held = self._held[key] = _Held()
            if len(self._held) > MAX_REMEMBERED:
                self._held.popitem(last=False)
        else:
            self._held.move_to_end(key)
        return held

    def _ask(self, key: str, held: _Held, allowance: Allowance) -> asyncio.Future[None]:
        """Have more fetched; everybody who waits for the same account waits for one answer."""
        if held.asking is None:
            held.asking = asyncio.get_running_loop().create_future()
            self._wanted[key] = _Wanted(held, allowance)
            if self._fetching is None:
                self._fetching = asyncio.create_task(self._fetch(), name="request limits")
        return held.asking

    async def _fetch(self) -> None:
        try:
            while self._wanted:
                batch = dict(list(self._wanted.items())[:MAX_TOGETHER])
                for key in batch:
                    del self._wanted[key]
                try:
                    await self._fill(batch)
                finally:
                    _settle(batch)
        finally:
            self._fetching = None
            _settle(self._wanted)
            self._wanted.clear()

    async def _fill(self, batch: Mapping[str, _Wanted]) -> None:
        asks = [Ask(key, one.allowance, one.allowance.taken_ahead - one.held.requests) for key, one in batch.items()]
        try:
            answers = await self._accounts.take(asks)
        except (psycopg.Error, OSError, TimeoutError) as error:
            self._away_until = self._monotonic() + AWAY_S
            log.warning("request_limits_not_asked", why=f"{type(error).__name__}: {str(error).strip()[:200]}")
            return
        now = self._monotonic()
        for key, one in batch.items():
            answer = answers[key]
            one.held.requests += answer.granted
            if answer.granted == 0:
                wait = wait_us(answer.full_at_us, answer.asked_at_us, one.allowance)
                one.held.refused_until = now + wait / _MICROSECONDS


def _settle(batch: Mapping[str, _Wanted]) -> None:
    """Let everybody go on who waited for these."""
    for one in batch.values():
        asking, one.held.asking = one.held.asking, None
        if asking is not None and not asking.done():
            asking.set_result(None)
