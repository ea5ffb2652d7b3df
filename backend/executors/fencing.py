"""The connection of a choke point: asked how holds stand, it is told by a signed statement of a read made since.

Must never answer from anything older than the question, and never while this backend keeps freezes that the database
does not have: a checker that hears nothing lets nothing but cancels pass once its last word is a permit's life old.
"""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from typing import Any, Final

import orjson
import structlog
from fastapi import APIRouter, WebSocket, WebSocketDisconnect
from pydantic import Field, ValidationError
from sqlalchemy.exc import SQLAlchemyError

from backend.auth import service as auth
from backend.context import Caller, Runtime
from backend.errors import WatchfloorError
from backend.executors.desk import Desk
from backend.executors.signing import FENCE_TYPE
from backend.freeze import service as freeze
from backend.guard import needs_socket
from contract.base import WireRequest
from contract.errors import ErrorCode
from contract.gate import SUBPROTOCOL, CloseCode, Hello, RefusalMessage
from contract.permissions import Permission

log = structlog.get_logger(__name__)
router = APIRouter(tags=["executors"])

MAX_CHECKERS: Final = 200
"""Of one process: a choke point per signer or egress proxy, not per executor."""
READ_LIMIT_S: Final = 1.0
"""Half a permit's life: what takes longer helps nobody."""
MAX_QUESTION_CHARS: Final = 1_000
MIN_GAP_S: Final = 0.02
"""What a client asks faster waits in its own socket."""


class WatchMessage(WireRequest):
    """A checker asks how things stand."""

    type: str = Field(pattern="^watch$")
    nonce: str = Field(min_length=1, max_length=100)


class Fences:
    """All checkers connected to one process."""

    def __init__(self, runtime: Runtime, desk: Desk) -> None:
        self._runtime = runtime
        self._desk = desk
        self._signer = signer = desk.signer
        self._open: set[WebSocket] = set()
        self._changed = asyncio.Event()
        self._hello = Hello(keys={signer.kid: signer.public_key}, backend=runtime.emitter.node).model_dump_json()

    @asynccontextmanager
    async def running(self) -> AsyncIterator["Fences"]:
        """Tell every checker of each change while the context is open."""
        task = asyncio.create_task(self._tell_for_ever(), name="fences")
        try:
            yield self
        finally:
            task.cancel()
            await asyncio.gather(task, return_exceptions=True)
            for websocket in list(self._open):
                with suppress(RuntimeError, WebSocketDisconnect):
                    await websocket.close(CloseCode.GOING_AWAY)

    def wake(self) -> None:
        """A hold may have changed: checkers hear of it before they ask again."""
        self._changed.set()

    async def serve(self, websocket: WebSocket, caller: Caller) -> None:
        """Answer one checker until its connection ends."""
        await websocket.accept(SUBPROTOCOL)
        if len(self._open) >= MAX_CHECKERS:
            await _refuse(websocket, "No further checker can be connected here.", CloseCode.FULL, ErrorCode.UNAVAILABLE)
            return
        self._open.add(websocket)
        try:
            await websocket.send_text(self._hello)
            await self._converse(websocket, caller)
        finally:
            self._open.discard(websocket)

    async def _converse(self, websocket: WebSocket, caller: Caller) -> None:
        while True:
            text = await websocket.receive_text()
            try:
                if len(text) > MAX_QUESTION_CHARS:
                    raise ValueError("A question is short.")  # noqa: TRY301  one place tells what was wrong
                nonce = WatchMessage.model_validate_json(text).nonce
            except ValidationError:
                await _refuse(websocket, 'Ask {"type":"watch","nonce":"…"}.', CloseCode.MALFORMED)
                return
            except ValueError as error:
                await _refuse(websocket, str(error), CloseCode.MALFORMED)
                return
            try:
                state = await self._state(caller)
            except WatchfloorError as refusal:
                await _refuse(websocket, refusal.message, CloseCode.REFUSED)
                return
            if state is not None:
                await websocket.send_text(self._message(state, nonce))
            await asyncio.sleep(MIN_GAP_S)

    async def _state(self, caller: Caller | None) -> dict[str, Any] | None:
        """How things stand now; None if that cannot be told.

        Raises:
            WatchfloorError: the caller's token has ended.
        """
        try:
            async with asyncio.timeout(READ_LIMIT_S), self._runtime.database.read() as session:
                if caller is not None and await auth.no_longer_signed_in(
                    session, self._runtime, [caller], Permission.RENEW_PERMIT
                ):
                    raise WatchfloorError(ErrorCode.NOT_AUTHENTICATED, "The token has ended.")
                state = await freeze.fence(session)
        except (SQLAlchemyError, OSError, TimeoutError) as error:
            log.warning("fence_not_read", error=f"{type(error).__name__}: {error}"[:300])
            return None
        return None if self._runtime.latched.pending() or not self._desk.roll.clear else state

    def _message(self, state: dict[str, Any], nonce: str | None) -> str:
        signed = self._signer.sign(state | {"nonce": nonce}, kind=FENCE_TYPE)
        return orjson.dumps({"type": "state", "epoch": state["epoch"], "sig": signed}).decode()

    async def _tell_for_ever(self) -> None:
        while True:
            await self._changed.wait()
            self._changed.clear()
            if not self._open:
                continue
            state = await self._state(None)
            if state is not None:
                message = self._message(state, None)
                await asyncio.gather(*(_tell(websocket, message) for websocket in list(self._open)))


async def _tell(websocket: WebSocket, message: str) -> None:
    with suppress(TimeoutError, RuntimeError, WebSocketDisconnect):
        async with asyncio.timeout(READ_LIMIT_S):
            await websocket.send_text(message)


async def _refuse(
    websocket: WebSocket, why: str, close: CloseCode, code: ErrorCode = ErrorCode.INVALID_REQUEST
) -> None:
    await websocket.send_text(RefusalMessage(code=code.value, message=why).model_dump_json())
    await websocket.close(close)


@router.websocket("/v1/gate/watch", **needs_socket(Permission.RENEW_PERMIT))
async def watch(websocket: WebSocket) -> None:
    """How holds stand, for choke points."""
    if SUBPROTOCOL not in websocket.scope.get("subprotocols", ()):
        raise WatchfloorError(ErrorCode.INVALID_REQUEST, f"Name the subprotocol {SUBPROTOCOL}.")
    fences: Fences = websocket.app.state.fences
    with suppress(WebSocketDisconnect):
        await fences.serve(websocket, websocket.state.caller)
