"""Owns the live feed: the overview, then every change, through lost lines, restarts and proxies without streaming.

One loop that the console iterates; nothing is queued here, so a slow reader holds the connection back and memory stays
bounded. Imports no textual. The clock and the dice are parameters.
"""

import asyncio
import random
import re
from collections.abc import AsyncGenerator, Callable
from contextlib import aclosing
from dataclasses import dataclass, field
from datetime import UTC, datetime
from enum import StrEnum
from typing import Final

from pydantic import BaseModel, ValidationError

from console.client.api import Api
from console.client.errors import ApiError, ClientError, NotUnderstood, TimedOut
from console.client.sse import Parser, ServerSentEvent, StreamTooLarge
from contract.access import Elevation
from contract.alerts import Alert
from contract.errors import ErrorCode
from contract.freeze import Freeze, FreezeStatus, LatchedFreezes
from contract.incidents import IncidentChanged
from contract.overview import Overview
from contract.recovery import RecoveryDrill
from contract.risk import RiskSnapshot
from contract.stream import AlertsChanged, Beat, ExecutorsChanged, Topic, TransactionsStored

SILENCE_S: Final = 2.0
"""The backend beats every second; a line silent for two is dead, and the operator sees it within two."""
BACKOFF_FIRST_S: Final = 0.2
BACKOFF_LAST_S: Final = 5.0
"""A restarted backend is found within 5 s, by a hundred consoles spread over these 5 s."""
POLL_S: Final = 30.0
"""How often the overview is read where no stream can be had."""
SILENT_OPENINGS: Final = 3
"""A stream that opens this often without a single byte is held back by a proxy: poll instead."""

OVERVIEW_TIMEOUT_S: Final = 5.0
"""Longer than one statement may take; shorter than a person waits before asking whether it hangs."""

RELOAD_GAP_S: Final = 1.0
"""Many alerts at once are read again at most this often, however often the backend says that they changed."""

LATCHED_TIMEOUT_S: Final = 4.0
"""A backend that has latched something tries its database for 1.4 s, then answers without it."""

MODELS: Final[dict[Topic, type[BaseModel]]] = {
    Topic.ALERT: Alert,
    Topic.ALERTS: AlertsChanged,
    Topic.INCIDENT: IncidentChanged,
    Topic.FREEZE: Freeze,
    Topic.RISK: RiskSnapshot,
    Topic.EXECUTORS: ExecutorsChanged,
    Topic.TRANSACTIONS: TransactionsStored,
    Topic.LATCHED: LatchedFreezes,
    Topic.ELEVATION: Elevation,
    Topic.RECOVERY: RecoveryDrill,
    Topic.BEAT: Beat,
}
_UNNUMBERED: Final = frozenset({Topic.BEAT, Topic.LATCHED})
_EVENT_ID: Final = re.compile("[0-9]{1,19}")
_SIGNED_OUT: Final = frozenset({ErrorCode.NOT_AUTHENTICATED, ErrorCode.NOT_ALLOWED, ErrorCode.SESSION_LOCKED})


class Line(StrEnum):
    """How current what the console shows can be."""

    CONNECTING = "connecting"
    LIVE = "live"
    POLLING = "polling"
    """No stream can be had: the overview is read every 30 s."""
    LOST = "lost"


@dataclass(frozen=True, slots=True)
class ConnectionState:
    """A change of the line's state."""

    line: Line
    since: datetime
    """When the line came into this state; another reason for the same state does not change it."""
    detail: str = ""
    """Why, in one plain sentence; empty while all is well."""
    hint: str = ""


@dataclass(frozen=True, slots=True)
class Snapshot:
    """The whole overview: replaces everything shown."""

    overview: Overview
    received_at: datetime


@dataclass(frozen=True, slots=True)
class Change:
    """One event; `event_id` is None for beats and for what one backend alone knows."""

    event_id: int | None
    topic: Topic
    model: BaseModel
    received_at: datetime


Update = Snapshot | Change | ConnectionState


def _now() -> datetime:
    return datetime.now(UTC)


@dataclass
class Feed:
    """The updates of one backend for one console."""

    api: Api
    first: Overview | None = None
    """An overview that was asked for before the console was loaded; saves one round trip."""
    now: Callable[[], datetime] = _now
    dice: random.Random = field(default_factory=random.SystemRandom)
    silence_s: float = SILENCE_S
    poll_s: float = POLL_S
    _line: Line | None = None
    _detail: str = ""
    _since: datetime | None = None
    _seen: int | None = None
    _failures: int = 0
    _openings: int = 0
    """Streams opened since one last gave a byte."""
    _latched: bool = False
    """Whether freezes are shown that a backend had latched: only a new overview tells what has become of them."""
    _outdated: bool = False
    """Whether many alerts changed since the last overview; the backend's beat says at the latest when to read it."""
    _read_s: float = -RELOAD_GAP_S
    """When the last overview was read, by the loop's clock."""

    async def updates(self) -> AsyncGenerator[Update, None]:
        """Every update until the caller stops; a lost line is reported and found again by itself.

        Raises:
            ApiError: the token is not valid any more, or may not see the overview, or its session is locked.
        """
        for state in self._become(Line.CONNECTING):
            yield state
        while True:
            try:
                async with aclosing(self._connected()) as life:
                    async for update in life:
                        yield update
                failure = ClientError("The backend closed the stream.")
            except StreamTooLarge as error:
                failure = NotUnderstood(f"The backend sends more than it may: {error}.")
            except ClientError as error:
                failure = _unless_signed_out(error)
            async with aclosing(self._fallen_back(failure)) as instead:
                async for update in instead:
                    yield update
            await asyncio.sleep(self.poll_s if self._line is Line.POLLING else self._backoff_s())

    async def _connected(self) -> AsyncGenerator[Update, None]:
        """One life of the stream."""
        if self._seen is None or self._latched:
            yield await self._snapshot()
        self._openings += 1
        parser = Parser()
        async with self.api.stream(after=self._seen, silence_s=self.silence_s) as chunks:
            async for chunk in chunks:
                self._failures = self._openings = 0
                for state in self._become(Line.LIVE):
                    yield state
                for event in parser.feed(chunk):
                    update = await self._taken(event)
                    if update is not None:
                        yield update
                if self._is_reload_due():
                    yield await self._snapshot()

    async def _taken(self, event: ServerSentEvent) -> Update | None:
        return await self._snapshot() if event.event == Topic.RESET else self._change(event)

    def _change(self, event: ServerSentEvent) -> Change | None:
        """The typed change, or None for what is already contained in the last overview, or of a newer backend."""
        try:
            topic = Topic(event.event)
        except ValueError:
            return None
        ident = None
        if topic not in _UNNUMBERED:
            if not _EVENT_ID.fullmatch(event.last_event_id):
                raise NotUnderstood("The backend sent an event without a number.")
            ident = int(event.last_event_id)
            if self._seen is not None and ident <= self._seen:
                return None
        try:
            model = MODELS[topic].model_validate_json(event.data)
        except ValidationError as error:
            raise NotUnderstood(f"The backend sent a {topic} event this version does not understand.") from error
        if ident is not None:
            self._seen = ident
        if isinstance(model, LatchedFreezes):
            self._latched = bool(model.items)
        self._outdated |= isinstance(model, AlertsChanged)
        return Change(ident, topic, model, self.now())

    def _is_reload_due(self) -> bool:
        return self._outdated and asyncio.get_running_loop().time() - self._read_s >= RELOAD_GAP_S

    async def _snapshot(self) -> Snapshot:
        overview, self.first = self.first, None
        if overview is None:
            overview = await self.api.overview(timeout_s=OVERVIEW_TIMEOUT_S)
        self._seen, self._outdated = overview.event_id, False
        self._read_s = asyncio.get_running_loop().time()
        self._latched = any(one.status is FreezeStatus.LATCHED for one in overview.freezes)
        return Snapshot(overview, self.now())

    async def _fallen_back(self, failure: ClientError) -> AsyncGenerator[Update, None]:
        """Say that the line is lost, or read the overview where the backend answers and yet gives no stream."""
        snapshot = None
        if self._streamless(failure):
            try:
                snapshot = await self._snapshot()
            except ClientError as error:
                failure = _unless_signed_out(error)
                self._openings = 0  # it was not a proxy that held the stream back
        for state in self._become(Line.LOST if snapshot is None else Line.POLLING, failure):
            yield state
        if snapshot is not None:
            yield snapshot
        elif _speaks_without_database(failure):
            async for change in self._known_without_database():
                yield change

    def expect_latched(self) -> None:
        """A latched freeze is shown: have the next line begin with an overview, which knows what became of it."""
        self._latched = True

    async def _known_without_database(self) -> AsyncGenerator[Change, None]:
        """What a backend that has lost its database has latched: the one thing it can tell."""
        try:
            page = await self.api.freezes(timeout_s=LATCHED_TIMEOUT_S)
        except ClientError:
            return  # the line is lost already, and said to be
        if page.partial is not None:
            self._latched, self._openings = bool(page.items), 0
            told = LatchedFreezes(items=page.items, journals_elsewhere=page.journals_elsewhere)
            yield Change(None, Topic.LATCHED, told, self.now())

    def _streamless(self, failure: ClientError) -> bool:
        refused = isinstance(failure, NotUnderstood) or (
            isinstance(failure, ApiError) and failure.code in {ErrorCode.NOT_FOUND, ErrorCode.INVALID_REQUEST}
        )
        return refused or (isinstance(failure, TimedOut) and self._openings >= SILENT_OPENINGS)

    def _become(self, line: Line, failure: ClientError | None = None) -> list[ConnectionState]:
        """The state to report, if it differs from the last one reported."""
        detail = failure.message if failure else ""
        if line is self._line and detail == self._detail:
            return []
        if line is not self._line or self._since is None:
            self._since = self.now()
        self._line, self._detail = line, detail
        hint = (failure.hint or "") if failure else ""
        return [ConnectionState(line, self._since, detail, hint)]

    def _backoff_s(self) -> float:
        """Full jitter above the first delay: many consoles must not come back in step."""
        ceiling = min(BACKOFF_LAST_S, BACKOFF_FIRST_S * 2**self._failures)
        self._failures = min(self._failures + 1, 10)
        return self.dice.uniform(BACKOFF_FIRST_S, max(ceiling, BACKOFF_FIRST_S))


def _speaks_without_database(failure: ClientError) -> bool:
    """Whether a backend may be there that cannot read its database: it says so, or hangs with it."""
    said = isinstance(failure, ApiError) and failure.code is ErrorCode.UNAVAILABLE
    return said or isinstance(failure, TimedOut)


def _unless_signed_out(error: ClientError) -> ClientError:
    """Give the error back, but raise the one that only a new sign-in cures."""
    if isinstance(error, ApiError) and error.code in _SIGNED_OUT:
        raise error
    return error
