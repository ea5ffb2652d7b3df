"""The webhook: answers 2xx only once what was delivered is durable, and 503 whenever it might be taken later.

An Alertmanager gives up a delivery on any 4xx, 429 among them, and tries again on 5xx: 4xx is for what will never be
taken. What comes too fast waits in a line that is bounded, so that people's requests keep their database connections.
"""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Final

import structlog
from fastapi import Request
from sqlalchemy.exc import DBAPIError
from sqlalchemy.exc import TimeoutError as PoolTimeoutError
from sqlalchemy.ext.asyncio import AsyncSession

from backend.alerts.alertmanager.admitting import admitted
from backend.alerts.alertmanager.occurrences import Fate
from backend.alerts.alertmanager.taking import Report, Taken, note_delivery, occurrences_taken
from backend.context import Caller, Runtime
from backend.errors import WatchfloorError
from contract.alertmanager import UnreadableError, delivery_of
from contract.alerts import AlertsTaken
from contract.errors import ErrorCode

log = structlog.get_logger(__name__)

AT_WORK: Final = 3
"""Deliveries that have a database connection at a time; of one source one is taken at a time anyhow."""
MAX_WAITING: Final = 100
"""Further ones that wait; who comes then is asked to come back, which an Alertmanager does by itself."""
READ_LIMIT_S: Final = 5.0
"""A body has come by then, or its line is too slow to hold a place for."""


class Deliveries:
    """The line in which deliveries of one process wait."""

    def __init__(self) -> None:
        self._at_work = asyncio.Semaphore(AT_WORK)
        self._waiting = 0

    @asynccontextmanager
    async def place(self) -> AsyncIterator[None]:
        """Wait for one's turn.

        Raises:
            WatchfloorError: UNAVAILABLE: too many wait already.
        """
        if self._waiting >= MAX_WAITING:
            raise _later("Too many deliveries wait already.")
        self._waiting += 1
        try:
            await self._at_work.acquire()
        finally:
            self._waiting -= 1
        try:
            yield
        finally:
            self._at_work.release()


async def in_line(request: Request) -> AsyncIterator[None]:
    """A dependency of the routes: looks who delivers, then reads the body, then waits for a database connection.

    It ends after the commit: whatever the database refuses until then is a delivery that may be taken later.

    Raises:
        WatchfloorError: UNAVAILABLE; NOT_AUTHENTICATED or NOT_ALLOWED before anything is read.
    """
    deliveries: Deliveries = request.app.state.deliveries
    counted = request.app.state.runtime.metrics.alert_deliveries
    try:
        await admitted(request)
        await _read(request)
        async with deliveries.place():
            yield
    except (DBAPIError, PoolTimeoutError) as error:
        log.warning("delivery_not_taken", error=type(error).__name__)
        counted.labels("later").inc()
        raise _later("This could not be taken now; nothing of it was.") from error
    except WatchfloorError as refusal:
        counted.labels("later" if refusal.code is ErrorCode.UNAVAILABLE else "refused").inc()
        raise
    counted.labels("taken").inc()


async def _read(request: Request) -> None:
    try:
        async with asyncio.timeout(READ_LIMIT_S):
            await request.body()  # the request keeps it
    except TimeoutError:
        raise _later("The body did not come in time.") from None


def _later(message: str) -> WatchfloorError:
    return WatchfloorError(ErrorCode.UNAVAILABLE, message, hint="Deliver it again.")


async def received(
    session: AsyncSession, runtime: Runtime, caller: Caller, source: str, body: bytes
) -> tuple[AlertsTaken, bool]:
    """Take one delivery; True: some alerts of its group are missing from it.

    Raises:
        WatchfloorError: INVALID_REQUEST for what is no delivery.
    """
    try:
        delivery = delivery_of(body)
    except UnreadableError as error:
        raise WatchfloorError(ErrorCode.INVALID_REQUEST, f"This is no delivery of an Alertmanager: {error}.") from error
    missing = f"{delivery.truncated:,} alerts were left out of a delivery" if delivery.truncated else None
    await note_delivery(session, source, runtime.clock.now(), error=missing)
    report = Report(source, delivery.alerts, group=delivery.group_key, receiver=delivery.receiver)
    return _answer(await occurrences_taken(session, runtime, caller, report)), delivery.truncated > 0


def _answer(taken: Taken) -> AlertsTaken:
    return AlertsTaken(
        raised=taken.fates[Fate.RAISED] + taken.fates[Fate.RAISED_AGAIN],
        cleared=sum(fate is Fate.CLEARED for fate, _ in taken.told),
        known=taken.fates[Fate.SEEN] + taken.fates[Fate.OLD_NEWS] + taken.fates[Fate.ENDED] + taken.fates[Fate.PAST],
    )
