"""Keeps the database in step with a drill's journal while the drill runs, and has its incident told of it.

Has connections of its own: a database that is away holds up neither the drill nor anybody else. Must never end before
the database has everything.
"""

import asyncio
from collections.abc import Awaitable, Callable
from contextlib import suppress
from typing import Final, TypeVar
from uuid import UUID

import psycopg
import structlog
from sqlalchemy.exc import IntegrityError, SQLAlchemyError
from sqlalchemy.ext.asyncio import AsyncSession

from backend.context import Runtime
from backend.continuity.mirroring import Mirrored, mirror
from backend.continuity.tables import RecoveryAskRow
from backend.continuity.telling import Telling
from backend.continuity.timeline import Timeline
from backend.errors import WatchfloorError
from backend.reserve import Reserve
from contract.recovery import RecoveryDrill

log = structlog.get_logger(__name__)

T = TypeVar("T")
HEARTBEAT_S: Final = 1.0
"""How often the database hears that the drill is at work, and is asked for what was asked at other backends."""
PUBLISH_S: Final = 5.0
"""How often consoles hear of a drill in which nothing happens."""
GATHER_S: Final = 0.1
"""What is said within this goes into the database together."""
MIRROR_S: Final = 3.0
"""A database that takes longer is away."""
RETRY_S: Final = 0.5
_AWAY: Final = (SQLAlchemyError, psycopg.Error, OSError, TimeoutError)


class Keeping:
    """The database's copy of one drill. One event loop uses it."""

    def __init__(
        self,
        runtime: Runtime,
        telling: Telling,
        *,
        take: Callable[[RecoveryAskRow], Awaitable[None]],
        given_up: Callable[[RecoveryDrill], Awaitable[None]],
    ) -> None:
        self._runtime, self._telling, self._take, self._given_up = runtime, telling, take, given_up
        self._monotonic = runtime.clock.monotonic
        self._reserve = Reserve(runtime.settings, runtime.database.nodes)
        self._timeline = Timeline(runtime, telling, self._reserve)
        self._answers: dict[UUID, str] = {}
        self._under_way: asyncio.Task[Mirrored] | None = None
        """An attempt bounds its own wait: whoever stops lets it come to its end."""
        self._reader = asyncio.Semaphore(1)
        self._published = -PUBLISH_S
        self._heard: float | None = None
        """When the last attempt was begun after which the database said that the drill is this process's."""

    async def hear(self) -> None:
        """Ask once how the database has it, before anything is done: somebody may have given it up. Never fails."""
        await self._once()

    @property
    def silent_s(self) -> float | None:
        """How long the database has not said that the drill is this process's; None: it never has."""
        return None if self._heard is None else self._monotonic() - self._heard

    async def is_ours(self, within_s: float) -> bool:
        """Wait, for so long, until it is certain that nobody else has ended the drill, or that somebody has.

        Nobody can give a drill up before its backend was silent for as long as the policy says: within half of that
        after the database was heard, nobody has. Whether somebody has is said by `telling.given_up`.
        """
        certain_s = self._runtime.policy.recovery.heard_within_seconds / 2
        deadline = self._monotonic() + within_s
        while not self._telling.given_up.is_set():
            silent_s = self.silent_s
            if silent_s is not None and silent_s <= certain_s:
                return True
            if self._monotonic() >= deadline:
                return False
            self._telling.changed.set()
            await asyncio.sleep(GATHER_S)
        return False

    async def until_ended(self) -> None:
        """Keep at it until the drill has ended and the database has all of it."""
        heard = -HEARTBEAT_S
        while True:
            with suppress(TimeoutError):
                async with asyncio.timeout(max(0.0, heard + HEARTBEAT_S - self._monotonic())):
                    await self._telling.changed.wait()
            self._telling.changed.clear()
            await self._telling.flush()
            ended = self._telling.run.ended is not None
            if await self._once():
                heard = self._monotonic()
                if ended:
                    return
                await asyncio.sleep(GATHER_S)
            else:
                self._telling.changed.set()
                await asyncio.sleep(RETRY_S)

    async def _once(self) -> bool:
        """One attempt; whether the database has it all, and the incident was told."""
        run = self._telling.run
        try:
            done = await self._attempt()
            await self._obey(done)
            return await self._timeline.tell() if done.given_up is None else True
        except IntegrityError as error:
            log.critical("recovery_drill_not_mirrored", drill=run.ref, error=str(error.orig)[:300])
        except _AWAY as error:
            log.info("recovery_drill_not_mirrored_yet", drill=run.ref, error=type(error).__name__)
        # the task's boundary: it must outlive whatever it meets
        except Exception:
            log.exception("recovery_mirror_failed", drill=run.ref)
        return False

    async def _attempt(self) -> Mirrored:
        run, told, answers = self._telling.run, list(self._telling.kept), dict(self._answers)
        now, begun = self._runtime.clock.now(), self._monotonic()
        told_all = self._monotonic() - self._published >= PUBLISH_S
        self._under_way = asyncio.create_task(
            self._reserve.attempt(
                lambda session: mirror(
                    session, self._runtime, run, told, heard_at=now, answers=answers, publish=told_all
                ),
                MIRROR_S,
            )
        )
        done = await asyncio.shield(self._under_way)
        if done.given_up is None:
            self._heard = begun
        if told_all:
            self._published = self._monotonic()
        for ident in answers:
            del self._answers[ident]
        return done

    async def _obey(self, done: Mirrored) -> None:
        """Do what was asked at other backends."""
        if done.given_up is not None:
            await self._given_up(done.given_up)
        for ask in done.asks:
            try:
                await self._take(ask)
                self._answers[ask.id] = ""
            except WatchfloorError as error:
                self._answers[ask.id] = error.message
        if done.asks:
            self._telling.changed.set()

    async def tell_incident(self, text: str) -> None:
        """Tell the drill's incident something that no line says, if the database takes it. Never fails."""
        try:
            await self._timeline.add(text)
        except (*_AWAY, WatchfloorError) as error:
            log.warning("recovery_incident_not_told", drill=self._telling.run.ref, error=type(error).__name__)

    async def attempt(self, work: Callable[[AsyncSession], Awaitable[T]], within_s: float) -> T:
        """Do something on the other connection, one at a time.

        Raises:
            Exception: as `Reserve.attempt`.
        """
        async with asyncio.timeout(within_s), self._reader:
            return await self._reserve.attempt(work, within_s)

    async def close(self) -> None:
        """Give the connections back."""
        if self._under_way is not None:
            await asyncio.gather(self._under_way, return_exceptions=True)
        await self._reserve.close()
