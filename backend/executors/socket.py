"""The connection of an executor's gate: renewals up, permits and revocations down.

Must never let one connection hold up another: what a client does not read waits in its own short queue, and a client
that goes on not reading is cut. Every refusal is a message, then a close code, never a traceback.
"""

import asyncio
from collections import deque
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from typing import Final
from uuid import UUID

import psycopg
import structlog
from fastapi import APIRouter, WebSocket, WebSocketDisconnect
from pydantic import ValidationError
from sqlalchemy.exc import SQLAlchemyError

from backend.auth import service as auth
from backend.context import Caller, Runtime
from backend.errors import WatchfloorError
from backend.executors.desk import Desk
from backend.executors.granting import Granted
from backend.executors.reception import Outcome, Waiting
from backend.guard import needs_socket
from backend.http import record_refusal
from backend.wire import Wire, wire_of
from contract.errors import ErrorCode
from contract.gate import (
    MAX_MESSAGE_BYTES,
    SUBPROTOCOL,
    CloseCode,
    Hello,
    RefusalMessage,
    RenewMessage,
    RenewRequest,
)
from contract.permissions import Permission

log = structlog.get_logger(__name__)
router = APIRouter(tags=["executors"])

MAX_CONNECTIONS: Final = 2_500
"""Of one process: twice the largest floor one backend should serve; bounds its sockets and memory."""
MAX_QUEUED: Final = 16
"""Messages that wait for one client to read."""
SEND_LIMIT_S: Final = 2.0
"""A client that takes nothing for a permit's life is cut: what waits for it has died."""
SILENCE_LIMIT_S: Final = 15.0
"""A connection without a renewal for so long is closed; its executor comes back when it lives."""
LOOK_EVERY_S: Final = 0.5
"""How often tokens and silent connections are looked at: an ended token is closed within a second."""
MIN_RENEW_GAP_S: Final = 0.01
"""What a client sends faster waits in its own socket."""
CLOSE_LIMIT_S: Final = 1.0
"""How long the end of the process waits for connections to close."""


class Connection:
    """One open connection and what has still to be sent through it."""

    def __init__(self, caller: Caller, now: float, wire: Wire) -> None:
        self.caller = caller
        self.wire = wire
        self.known_request: RenewRequest | None = None
        self.heard_at = now
        self.sending_since: float | None = None
        self.told: frozenset[UUID] = frozenset()
        self.ended = asyncio.Event()
        """Nothing is taken from the client any more."""
        self._queue: deque[bytes] = deque()
        """What the wire did not take."""
        self._wake = asyncio.Event()
        self._refusal: WatchfloorError | None = None
        self._code: CloseCode | None = None

    @property
    def request(self) -> RenewRequest:
        """The newest renewal."""
        assert self.known_request is not None  # noqa: S101  a connection is attached once it has one
        return self.known_request

    def push(self, message: bytes) -> None:
        """Send a revocation before anything else that waits: permits in the queue are older than it."""
        self._queue.clear()
        self.say(message)

    def answer(self, outcome: Outcome) -> None:
        """Take the desk's answer to a renewal."""
        if isinstance(outcome, Granted):
            self.say(outcome.message())
        elif (
            outcome.code is not ErrorCode.UNAVAILABLE
        ):  # without an answer the permit runs out, and the gate asks again
            self.refuse(outcome)

    def refuse(self, refusal: WatchfloorError, code: CloseCode = CloseCode.REFUSED) -> None:
        """Say why, and close."""
        if self._code is None:
            self._refusal = refusal
            self.close(code)

    def close(self, code: CloseCode) -> None:
        """Close once what waits is sent."""
        if self._code is None:
            self._code = code
            self.ended.set()
            self._wake.set()

    def say(self, text: bytes) -> None:
        """Send a message, now if the client reads."""
        if self._code is not None or (not self._is_behind and self.wire.write(text)):
            return
        if len(self._queue) >= MAX_QUEUED:
            self._queue.clear()
            self.close(CloseCode.TOO_SLOW)
        else:
            self._queue.append(text)
            self._wake.set()

    @property
    def _is_behind(self) -> bool:
        return bool(self._queue) or self.sending_since is not None

    def is_stuck(self, now: float) -> bool:
        """Whether the client has not read for too long."""
        return self.sending_since is not None and now - self.sending_since > SEND_LIMIT_S

    async def send_all(self, websocket: WebSocket, runtime: Runtime) -> None:
        """Send what waits, until the connection is to be closed."""
        monotonic = runtime.clock.monotonic
        while True:
            while self._queue:
                self.sending_since = monotonic()
                await websocket.send_text(self._queue.popleft().decode())
                self.sending_since = None
            if self._code is not None:
                break
            self._wake.clear()
            await self._wake.wait()
        self.sending_since = monotonic()
        if self._refusal is not None:
            await record_refusal(runtime, self.caller, self._refusal)
            message = RefusalMessage(code=self._refusal.code.value, message=self._refusal.message)
            await websocket.send_text(message.model_dump_json())
        await websocket.close(self._code)


class Gates:
    """All open connections of one process."""

    def __init__(self, runtime: Runtime, desk: Desk) -> None:
        self._runtime = runtime
        self._desk = desk
        self._open: set[Connection] = set()
        self._closing = False
        self._none_open = asyncio.Event()
        self._none_open.set()
        hello = Hello(keys={desk.signer.kid: desk.signer.public_key}, backend=runtime.emitter.node)
        self._hello = hello.model_dump_json().encode()

    @asynccontextmanager
    async def running(self) -> AsyncIterator["Gates"]:
        """Look after connections while the context is open; all of them are closed at its end."""
        task = asyncio.create_task(self._look_for_ever(), name="gates")
        try:
            yield self
        finally:
            await self.close()
            task.cancel()
            await asyncio.gather(task, return_exceptions=True)

    async def close(self) -> None:
        """Say goodbye to everybody and take nobody new; called when the server begins to stop."""
        self._closing = True
        for connection in self._open:
            connection.close(CloseCode.GOING_AWAY)
        with suppress(TimeoutError):
            async with asyncio.timeout(CLOSE_LIMIT_S):
                await self._none_open.wait()

    async def serve(self, websocket: WebSocket, caller: Caller) -> None:
        """Serve one connection until it ends."""
        connection = Connection(caller, self._runtime.clock.monotonic(), wire_of(websocket))
        connection.wire.listen(lambda text: self._take(connection, text))
        await websocket.accept(SUBPROTOCOL)
        if self._closing or len(self._open) >= MAX_CONNECTIONS:
            full = WatchfloorError(ErrorCode.UNAVAILABLE, "No further executor can be connected here.")
            connection.refuse(full, CloseCode.GOING_AWAY if self._closing else CloseCode.FULL)
            with suppress(WebSocketDisconnect):
                await connection.send_all(websocket, self._runtime)
            return
        self._open.add(connection)
        self._count()
        try:
            connection.say(self._hello)
            await self._converse(websocket, connection)
        finally:
            connection.ended.set()
            self._desk.detach(connection)
            self._open.remove(connection)
            self._count()

    def _count(self) -> None:
        self._runtime.metrics.gates_connected.set(len(self._open))
        if self._open:
            self._none_open.clear()
        else:
            self._none_open.set()

    async def _converse(self, websocket: WebSocket, connection: Connection) -> None:
        """Wait until either side ends it."""
        sending = asyncio.create_task(connection.send_all(websocket, self._runtime))
        leaving = asyncio.create_task(_gone(websocket))
        try:
            await asyncio.wait({sending, leaving}, return_when=asyncio.FIRST_COMPLETED)
            if connection.ended.is_set():  # it was refused and has gone: that is still written down
                await asyncio.wait({sending}, timeout=SEND_LIMIT_S)
        finally:
            for task in (sending, leaving):
                task.cancel()
            results = await asyncio.gather(sending, leaving, return_exceptions=True)
        for result in results:
            if isinstance(result, Exception) and not isinstance(result, WebSocketDisconnect):
                log.error("gate_connection_failed", exc_info=result)

    def _take(self, connection: Connection, text: str | None) -> float:
        """Hand a renewal to the desk; returns for how many seconds this client is not to be read."""
        if connection.ended.is_set():
            return 0.0
        before, connection.heard_at = connection.heard_at, self._runtime.clock.monotonic()
        first = connection.known_request is None
        too_early = not first and connection.heard_at - before < MIN_RENEW_GAP_S
        try:
            request = _read(connection, text)
        except ValueError as error:
            refusal = WatchfloorError(ErrorCode.INVALID_REQUEST, str(error))
            connection.refuse(refusal, CloseCode.MALFORMED)
            return 0.0
        connection.known_request = request
        if first:
            self._desk.attach(connection)
        self._desk.submit(
            Waiting(connection.caller, request, connection.heard_at, connection.answer, listener=connection)
        )
        return MIN_RENEW_GAP_S if too_early else 0.0

    async def _look_for_ever(self) -> None:
        checking: asyncio.Task[None] | None = None
        try:
            while True:
                await asyncio.sleep(LOOK_EVERY_S)
                self._cut_the_stuck()
                if checking is None or checking.done():  # a database that stands still holds up only the next check
                    checking = asyncio.create_task(self._check_tokens(), name="gates' tokens")
        finally:
            if checking is not None:
                checking.cancel()

    async def _check_tokens(self) -> None:
        try:
            await self._close_ended_tokens()
        except (SQLAlchemyError, psycopg.Error, OSError) as error:
            log.warning("tokens_not_checked", error=type(error).__name__)  # nobody gets a permit meanwhile
        # the boundary of the task that looks after connections: the next look is tried
        except Exception:
            log.exception("gates_look_failed")

    def _cut_the_stuck(self) -> None:
        now = self._runtime.clock.monotonic()
        for connection in list(self._open):
            if connection.is_stuck(now):
                connection.wire.cut()
            elif now - connection.heard_at > SILENCE_LIMIT_S:
                connection.close(CloseCode.SILENT)

    async def _close_ended_tokens(self) -> None:
        callers = {connection.caller.identity: connection.caller for connection in self._open}
        if not callers:
            return
        async with self._runtime.database.read() as session:
            ended = await auth.no_longer_signed_in(session, self._runtime, callers.values(), Permission.RENEW_PERMIT)
        for connection in self._open:
            if connection.caller.identity in ended:
                connection.refuse(WatchfloorError(ErrorCode.NOT_AUTHENTICATED, "The token has ended."))


def _read(connection: Connection, text: str | None) -> RenewRequest:
    """Read a message.

    Raises:
        ValueError: it is no renewal, or one of another executor than this connection's.
    """
    if text is None or len(text) > MAX_MESSAGE_BYTES:
        raise ValueError("Messages are JSON text of at most 64 KiB.")
    try:
        request = RenewMessage.model_validate_json(text)
    except ValidationError as error:
        first = error.errors()[0]
        where = ".".join(map(str, first["loc"]))[:100]
        raise ValueError(f"{where}: {first['msg'][:200]}" if where else first["msg"][:200]) from error
    known = connection.known_request
    if known is not None and (known.executor, known.boot_id) != (request.executor, request.boot_id):
        raise ValueError("A connection carries the renewals of one process.")
    return request


async def _gone(websocket: WebSocket) -> None:
    """Wait for the client to leave."""
    while (await websocket.receive())["type"] != "websocket.disconnect":
        pass


@router.websocket("/v1/gate/connect", **needs_socket(Permission.RENEW_PERMIT))
async def connect(websocket: WebSocket) -> None:
    """Renewals up; permits and revocations down."""
    if SUBPROTOCOL not in websocket.scope.get("subprotocols", ()):
        raise WatchfloorError(ErrorCode.INVALID_REQUEST, f"Name the subprotocol {SUBPROTOCOL}.")
    gates: Gates = websocket.app.state.gates
    with suppress(WebSocketDisconnect):
        await gates.serve(websocket, websocket.state.caller)
