"""The webhook: answers 2xx only once what was delivered is durable, and 503 whenever it might be taken later.

An Alertmanager gives up a delivery on any 4xx, 429 among them, and tries again on 5xx: 4xx is for what will never be
taken. What comes too fast waits in a line that is bounded, so that people's requests keep their database connections.
"""

import asyncio
from collections.abc import AsyncIterator, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Final

import structlog
from fastapi import Request
from sqlalchemy.exc import DataError, DBAPIError
from sqlalchemy.exc import TimeoutError as PoolTimeoutError
from sqlalchemy.ext.asyncio import AsyncSession

from backend.alerts.alertmanager.admitting import admitted
from backend.alerts.alertmanager.occurrences import Fate
from backend.alerts.alertmanager.taking import Report, Taken, note_delivery, occurrences_taken
from backend.context import Caller, Runtime
from backend.db import is_decided
from backend.errors import WatchfloorError
from contract.alertmanager import Delivery, UnreadableError, delivery_of
from contract.alerts import AlertsTaken
from contract.errors import ErrorCode

log = structlog.get_logger(__name__)

AT_WORK: Final = 3
"""Deliveries that have a database connection at a time; of one source one is taken at a time anyhow."""
MAX_WAITING: Final = 100
"""Further ones that wait; who comes then is asked to come back, which an Alertmanager does by itself."""
MAX_TOGETHER: Final = 10
"""Deliveries taken in one transaction: most of what one costs by itself is paid once."""
MAX_ALERTS_TOGETHER: Final = 500
"""Alerts in them, unless one delivery alone has more: half a second of a busy machine."""
READ_LIMIT_S: Final = 5.0
"""A body has come by then, or its line is too slow to hold a place for."""


@dataclass(frozen=True, slots=True)
class _Waiting:
    """A delivery that is read, and whoever waits for its answer."""

    caller: Caller
    delivery: Delivery
    answer: asyncio.Future[AlertsTaken]


class Place:
    """Somebody's place in the line, until their delivery stands there."""


class Deliveries:
    """The line in which deliveries of one process wait: what waits of one source is taken in one transaction."""

    def __init__(self, runtime: Runtime) -> None:
        self._runtime = runtime
        self._at_work = asyncio.Semaphore(AT_WORK)
        self._coming: set[Place] = set()
        self._waiting: dict[str, list[_Waiting]] = {}
        self._working: dict[str, asyncio.Task[None]] = {}

    @contextmanager
    def place(self) -> Iterator[Place]:
        """A place in the line, taken before the body is read: what would be sent away is not read.

        Raises:
            WatchfloorError: UNAVAILABLE: too many wait already.
        """
        if len(self._coming) + sum(map(len, self._waiting.values())) >= MAX_WAITING:
            raise _later("Too many deliveries wait already.")
        place = Place()
        self._coming.add(place)
        try:
            yield place
        finally:
            self._coming.discard(place)

    async def taken(self, caller: Caller, source: str, delivery: Delivery, place: Place) -> AlertsTaken:
        """Have a delivery taken; the answer comes once it is durable."""
        self._coming.discard(place)  # from here on it is counted among those that wait
        one = _Waiting(caller, delivery, asyncio.get_running_loop().create_future())
        self._waiting.setdefault(source, []).append(one)
        if source not in self._working:
            self._working[source] = asyncio.create_task(self._work(source), name="deliveries")
        return await asyncio.shield(one.answer)  # whoever hangs up must not undo what is taken with others

    async def _work(self, source: str) -> None:
        try:
            while waiting := self._waiting.get(source):
                async with self._at_work:
                    some = _together(waiting)
                    del waiting[: len(some)]
                    await self._answer(source, some)
        finally:
            del self._working[source]
            self._waiting.pop(source, None)

    async def _answer(self, source: str, some: Sequence[_Waiting]) -> None:
        try:
            answers = await self._take(source, some)
        # the line's boundary: whatever is wrong with one delivery, the others are taken without it
        except Exception as error:
            if not isinstance(error, DBAPIError | PoolTimeoutError):
                log.exception("deliveries_not_taken", source=source, together=len(some))
            if len(some) == 1 or _hits_all(error):
                _fail(some, error)
            else:
                for one in some:
                    await self._answer(source, [one])
        else:
            for one, answer in zip(some, answers, strict=True):
                if not one.answer.done():
                    one.answer.set_result(answer)

    async def _take(self, source: str, some: Sequence[_Waiting]) -> list[AlertsTaken]:
        async with self._runtime.database.transaction() as session:
            return await received(session, self._runtime, source, [(one.caller, one.delivery) for one in some])


def _together(waiting: Sequence[_Waiting]) -> list[_Waiting]:
    """The first that wait, as many as one transaction takes without holding its locks for long."""
    alerts, found = 0, list[_Waiting]()
    for one in waiting[:MAX_TOGETHER]:
        alerts += len(one.delivery.alerts)
        if found and alerts > MAX_ALERTS_TOGETHER:
            break
        found.append(one)
    return found


def _hits_all(error: Exception) -> bool:
    """Whether it is the database that is away or busy: each of the deliveries would hear the same in turn."""
    return isinstance(error, PoolTimeoutError) or (isinstance(error, DBAPIError) and not is_decided(error))


def _fail(some: Sequence[_Waiting], error: Exception) -> None:
    for one in some:
        if not one.answer.done():
            one.answer.set_exception(error)


async def in_line(request: Request) -> AsyncIterator[None]:
    """A dependency of the routes: looks who delivers, takes a place in the line, then reads the body.

    It ends after the answer is known: what the database refuses may be taken later, unless it is a value of it.

    Raises:
        WatchfloorError: UNAVAILABLE; NOT_AUTHENTICATED or NOT_ALLOWED before anything is read; INVALID_REQUEST.
    """
    counted = request.app.state.runtime.metrics.alert_deliveries
    deliveries: Deliveries = request.app.state.deliveries
    try:
        await admitted(request)
        with deliveries.place() as request.state.place:
            await _read(request)
            yield
    except DataError as error:
        log.error("delivery_never_taken", error=str(error.orig).partition("\n")[0])  # noqa: TRY400  one line is enough
        counted.labels("refused").inc()
        raise WatchfloorError(ErrorCode.INVALID_REQUEST, "A value of this delivery cannot be stored.") from error
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


def read(body: bytes) -> Delivery:
    """What a delivery says.

    Raises:
        WatchfloorError: INVALID_REQUEST for what is no delivery.
    """
    try:
        return delivery_of(body)
    except UnreadableError as error:
        raise WatchfloorError(ErrorCode.INVALID_REQUEST, f"This is no delivery of an Alertmanager: {error}.") from error


async def received(
    session: AsyncSession, runtime: Runtime, source: str, told: Sequence[tuple[Caller, Delivery]]
) -> list[AlertsTaken]:
    """Take deliveries of one source in their order; what each changed."""
    missing = sum(delivery.truncated for _, delivery in told)
    error = f"{missing:,} alerts were left out of a delivery" if missing else None
    await note_delivery(session, source, runtime.clock.now(), error=error)
    reports = [
        Report(caller, source, delivery.alerts, group=delivery.group_key, receiver=delivery.receiver)
        for caller, delivery in told
    ]
    return [_answer(taken) for taken in await occurrences_taken(session, runtime, reports)]


def _answer(taken: Taken) -> AlertsTaken:
    return AlertsTaken(
        raised=taken.fates[Fate.RAISED] + taken.fates[Fate.RAISED_AGAIN],
        cleared=sum(fate is Fate.CLEARED for fate, _ in taken.told),
        known=taken.fates[Fate.SEEN] + taken.fates[Fate.OLD_NEWS] + taken.fates[Fate.ENDED] + taken.fates[Fate.PAST],
    )
