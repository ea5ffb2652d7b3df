"""The same gate for an executor that runs on asyncio: one task instead of threads, and no lock."""

import asyncio
import contextlib
import logging
import secrets
import ssl
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, Sequence
from datetime import UTC, datetime
from types import TracebackType
from typing import Self

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from websockets.asyncio.client import ClientConnection
from websockets.asyncio.client import connect as open_connection
from websockets.exceptions import ConnectionClosed

from gate.addresses import Address, Addresses
from gate.asking import Asking
from gate.line import (
    ANSWER_LIMIT_S,
    CLOSE_TIMEOUT_S,
    LONELY_ANSWER_LIMIT_S,
    LONELY_OPEN_TIMEOUT_S,
    LONGEST_WAIT_S,
    MAX_MESSAGE_BYTES,
    OPEN_TIMEOUT_S,
    REFUSING_CLOSE_CODES,
    SEND_TIMEOUT_S,
    SHORTEST_WAIT_S,
    SUBPROTOCOL,
    USER_AGENT,
    HungError,
    RefusedError,
    authorization,
    describe,
    is_refusal,
    jitter,
    lost,
    monotonic_s,
    tls_context,
    wire_log,
)
from gate.permits import Decision, Identity
from gate.session import Nature, Session

log = logging.getLogger("gate")


class AsyncGate(Asking):
    """What an executor asks before each send, for code that runs in one event loop. Never waits; fails closed.

    `on_halt` may be a function or a coroutine function; it is called when a freeze comes to cover the executor, again
    with each renewal until it returns True to say that the executor has stopped.
    """

    def __init__(
        self,
        url: str | Sequence[str],
        token: str,
        *,
        executor: str,
        chain: str,
        strategy: str,
        wallet: str,
        on_halt: Callable[[], bool | Awaitable[bool]] | None = None,
        permit_keys: Mapping[str, bytes] | None = None,
        tls: ssl.SSLContext | None = None,
        clock: Callable[[], float] = monotonic_s,
        boot_id: str | None = None,
        sees_orders: bool = True,
        bounded: bool = True,
        in_drills: bool = True,
    ) -> None:
        """Prepare, without connecting. Parameters as of `Gate`.

        Raises:
            ValueError: an address or the token is none, or the line would carry the token in the clear.
        """
        identity = Identity(executor, chain, strategy, wallet, boot_id or secrets.token_hex(16))
        nature = Nature(sees_orders=sees_orders, bounded=bounded, in_drills=in_drills)
        key = Ed25519PrivateKey.generate()
        super().__init__(Session(identity, key, permit_keys=permit_keys, now=clock(), nature=nature), clock)
        self._on_halt = on_halt
        self._addresses = Addresses(url, jitter)
        self._headers = authorization(token)
        self._tls = tls
        alone = self._addresses.only_one
        self._limit_s = LONELY_ANSWER_LIMIT_S if alone else ANSWER_LIMIT_S
        self._open_s = LONELY_OPEN_TIMEOUT_S if alone else OPEN_TIMEOUT_S
        self._wake = asyncio.Event()
        self._task: asyncio.Task[None] | None = None
        self._asking: asyncio.Task[None] | None = None
        self._shown: str | None = None

    def start(self) -> Self:
        """Begin renewing in the running event loop. Nothing is permitted before the first answer."""
        if self._task is None:
            name = f"gate {self._session.identity.executor}"
            self._task = asyncio.get_running_loop().create_task(self._keep_going(), name=name)
        return self

    async def close(self) -> None:
        """Stop renewing and give the permit in hand up."""
        self._closed = True
        self._wake.set()
        for task in (self._task, self._asking):
            if task is not None and task is not asyncio.current_task():
                task.cancel()
                await asyncio.wait([task])

    async def __aenter__(self) -> Self:
        return self.start()

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.close()

    def _guard(self) -> contextlib.nullcontext[None]:
        return contextlib.nullcontext()  # one event loop: nobody else

    def _stir(self) -> None:
        self._wake.set()

    async def _keep_going(self) -> None:
        while not self._closed:  # a cancellation may be lost where two come together
            await asyncio.sleep(max(0.0, self._addresses.next_try_at - self._clock()))
            refused = False
            try:
                await self._converse(self._addresses.current)
                why = "the connection was closed"
            except Exception as error:  # noqa: BLE001  boundary: whatever ends a connection, the next one is tried
                why, refused = describe(error), is_refusal(error)
            self._lost(why, refused=refused)

    def _lost(self, why: str, *, refused: bool) -> None:
        if self._session.answered:
            self._addresses.worked()
        before, self._shown = self._shown, lost(self._session, why, refused=refused)
        self._addresses.failed(self._clock(), refused=refused)
        if self._shown != before:
            log.warning("no connection for %s: %s", self._session.identity.executor, self._shown)

    async def _converse(self, address: Address) -> None:
        async with self._connected(address) as connection:
            self._session.opened(self._clock())
            reader = asyncio.create_task(self._read(connection))
            try:
                await self._write(connection, reader)
            finally:
                reader.cancel()
                await asyncio.wait([reader])
        if connection.close_code in REFUSING_CLOSE_CODES:
            raise RefusedError

    async def _write(self, connection: ClientConnection, reader: asyncio.Task[None]) -> None:
        while not reader.done() and not self._closed:
            self._wake.clear()
            now = self._clock()
            owed_since = self._session.overdue_since()
            if now - owed_since > self._limit_s:
                raise HungError(f"no answer within {self._limit_s:g} s")
            if (text := self._session.outgoing(now)) is not None:
                await asyncio.wait_for(connection.send(text), SEND_TIMEOUT_S)
                continue
            wait_s = min(self._session.due_at, owed_since + self._limit_s) - now
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(self._wake.wait(), min(max(wait_s, SHORTEST_WAIT_S), LONGEST_WAIT_S))

    async def _read(self, connection: ClientConnection) -> None:
        try:
            async for message in connection:
                self._session.received(self._clock(), message)
                self._news()
                self._wake.set()
        except ConnectionClosed:
            pass
        finally:
            self._wake.set()

    def _news(self) -> None:
        waiting = self._session.unconfirmed(self._clock())
        if waiting is not None and self._on_halt is not None and self._asking is None:
            self._ask(self._on_halt, waiting)

    def _ask(self, on_halt: Callable[[], bool | Awaitable[bool]], hold: Decision) -> None:
        """Have the executor stop at once: before anything is sent, and before another of this loop's tasks runs."""
        try:
            answer = on_halt()
        except Exception:  # boundary: the executor's own code must not end the renewals
            log.exception("on_halt of %s failed", self._session.identity.executor)
            return
        if isinstance(answer, bool):
            self._answered(hold, stopped=answer)
        else:
            self._asking = asyncio.get_running_loop().create_task(self._answer_of(answer, hold))

    async def _answer_of(self, waiting: Awaitable[bool], hold: Decision) -> None:
        try:
            stopped = await waiting is True
        except Exception:  # boundary: the executor's own code must not end the renewals
            log.exception("on_halt of %s failed", self._session.identity.executor)
            stopped = False
        finally:
            self._asking = None
        self._answered(hold, stopped=stopped)

    def _answered(self, hold: Decision, *, stopped: bool) -> None:
        if stopped and self._session.stopped_by_callback(datetime.now(UTC), hold):
            self._wake.set()

    @contextlib.asynccontextmanager
    async def _connected(self, address: Address) -> AsyncIterator[ClientConnection]:
        async with open_connection(  # with host and port given it follows no redirect to elsewhere with the token
            address.websocket(self._session.path),
            host=address.host,
            port=address.port,
            ssl=tls_context(self._tls) if address.secure else None,
            additional_headers=self._headers,
            subprotocols=[SUBPROTOCOL],
            user_agent_header=USER_AGENT,
            compression=None,
            proxy=None,
            open_timeout=self._open_s,
            close_timeout=CLOSE_TIMEOUT_S,
            ping_interval=None,
            max_size=MAX_MESSAGE_BYTES,
            logger=wire_log,
        ) as connection:
            yield connection
