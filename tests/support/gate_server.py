"""A small real WebSocket server that speaks to gates and checkers as the backend does, and misbehaves as told.

Runs in a thread of its own on loopback. What a test changes it changes through methods, which are safe from any thread.
"""

import asyncio
import json
import logging
import ssl
import threading
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from http import HTTPStatus
from types import TracebackType
from typing import Any, Self

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from websockets.asyncio.server import ServerConnection, serve
from websockets.exceptions import ConnectionClosed
from websockets.http11 import Request, Response
from websockets.typing import Subprotocol

from gate.statements import Kind, encode, key_id, read, read_key, sign

TTL_MS = 2000
TOKEN = "wfs_test-token"
LIMIT_S = 30.0
"""For things that must happen; how soon is measured elsewhere."""
Answer = dict[str, Any]
_quiet = logging.getLogger("tests.gate_server")
"""Its own: the server of the same library in this process would log what the gate must not."""
_quiet.setLevel(logging.WARNING)


@dataclass
class State:
    """What the server knows and how it behaves."""

    epoch: int = 0
    holds: list[dict[str, Any]] = field(default_factory=list)
    lifted: list[dict[str, Any]] = field(default_factory=list)
    mode: str | None = None
    max_trade: str | None = None
    ttl_ms: int = TTL_MS
    renew_ms: int = 50
    answers: bool = True
    confirms: bool = True
    status: int | None = None
    """To answer an upgrade with, instead of accepting it."""
    damage: Callable[[Answer], Any] = lambda answer: answer


class GateServer:
    """One backend, as far as gates can tell."""

    def __init__(self, key: Ed25519PrivateKey | None = None, *, tls: ssl.SSLContext | None = None) -> None:
        self.key = key or Ed25519PrivateKey.generate()
        self.public = self.key.public_key().public_bytes_raw()
        self.kid = key_id(self.public)
        self.state = State()
        self.renewals: list[dict[str, Any]] = []
        self.headers: list[Mapping[str, str]] = []
        self.paths: list[str] = []
        self.connected = 0
        self._tls = tls
        self._seen = threading.Condition()
        self._peers: set[ServerConnection] = set()
        self._ready = threading.Event()
        self._thread = threading.Thread(target=lambda: asyncio.run(self._serve()), name="gate server")

    def __enter__(self) -> Self:
        self._thread.start()
        assert self._ready.wait(LIMIT_S)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._loop.call_soon_threadsafe(self._stop.set)
        self._thread.join()

    @property
    def url(self) -> str:
        return f"{'https' if self._tls else 'http'}://127.0.0.1:{self.port}"

    @property
    def keys(self) -> dict[str, bytes]:
        return {self.kid: self.public}

    def wait_for(self, ready: Callable[[], Any], what: str = "it happens") -> None:
        """Wait until something is true of what has been received."""
        with self._seen:
            assert self._seen.wait_for(ready, timeout=LIMIT_S), what

    def change(self, **state: Any) -> None:
        """Behave otherwise from the next message on."""
        for name, value in state.items():
            setattr(self.state, name, value)

    def freeze(self, mode: str = "halt", scope: str = "global", *, push: bool = True, drill: bool = False) -> int:
        """Put everybody under a hold; returns its epoch."""
        epoch = self.state.epoch + 1
        hold: dict[str, Any] = {"freeze_ref": f"FRZ-{epoch:04d}", "epoch": epoch, "mode": mode, "scope": scope}
        hold |= {"drill": True} if drill else {}
        self.change(epoch=epoch, mode=mode, holds=[*self.state.holds, hold])
        if push:
            self.say({"type": "revoke", "epoch": epoch, "mode": mode, "holds": self._shown_holds()}, "/v1/gate/connect")
            self.say(self.fence_state(None), "/v1/gate/watch")
        return epoch

    def thaw(self) -> None:
        """Lift all holds; the epoch stays."""
        lifted = [{"scope": hold["scope"], "epoch": hold["epoch"]} for hold in self.state.holds]
        self.change(mode=None, holds=[], lifted=[*self.state.lifted, *lifted])

    def say(self, message: Any, path: str = "/v1/gate/connect") -> None:
        """Say something to everybody on a path without being asked."""
        text = message if isinstance(message, str | bytes) else json.dumps(message)
        asyncio.run_coroutine_threadsafe(self._say(text, path), self._loop).result(LIMIT_S)

    def hang_up(self, code: int = 1001, reason: str = "") -> None:
        """Close every connection."""
        asyncio.run_coroutine_threadsafe(self._hang_up(code, reason), self._loop).result(LIMIT_S)

    def acknowledgement(self, renewal: dict[str, Any]) -> dict[str, Any]:
        """Read the acknowledgement of a renewal with the key registered in it."""
        public = read_key(renewal["public_key"])
        return read(renewal["acknowledgement"], Kind.HALT, {renewal["boot_id"]: public})

    def permit_for(self, renewal: dict[str, Any]) -> str:
        """Sign the permit that answers a renewal now."""
        names = ("executor", "boot_id", "chain", "strategy", "wallet", "request_no")
        payload = {
            "v": 1,
            **{name: renewal[name] for name in names},
            "mode": self.state.mode,
            "epoch": self.state.epoch,
            "ttl_ms": self.state.ttl_ms,
            "renew_ms": self.state.renew_ms,
            "max_trade": self.state.max_trade,
            "issued_at": "2026-01-01T00:00:00.000000Z",
            "holds": self._shown_holds(),
        }
        return sign(Kind.PERMIT, self.kid, self.key, payload)

    def fence_state(self, nonce: str | None) -> Answer:
        """Say what a checker is told."""
        payload: Answer = {
            "type": "state",
            "epoch": self.state.epoch,
            "holds": self.state.holds,
            "lifted": self.state.lifted,
            "nonce": nonce,
        }
        return payload | {"sig": sign(Kind.FENCE, self.kid, self.key, payload)}

    def _shown_holds(self) -> list[dict[str, Any]]:
        names = ("freeze_ref", "epoch", "mode", "drill")
        return [{name: hold[name] for name in names if name in hold} for hold in self.state.holds]

    async def _serve(self) -> None:
        self._loop, self._stop = asyncio.get_running_loop(), asyncio.Event()
        async with serve(
            self._talk,
            "127.0.0.1",
            0,
            ssl=self._tls,
            process_request=self._admit,
            subprotocols=[Subprotocol("watchfloor.gate.1")],
            close_timeout=1,
            logger=_quiet,
        ) as server:
            self.port: int = next(iter(server.sockets)).getsockname()[1]
            self._ready.set()
            await self._stop.wait()

    def _admit(self, connection: ServerConnection, request: Request) -> Response | None:
        self.headers.append(dict(request.headers.raw_items()))
        self.paths.append(request.path)
        if self.state.status is not None:
            return connection.respond(HTTPStatus(self.state.status), "no\n")
        return None

    async def _talk(self, connection: ServerConnection) -> None:
        self._peers.add(connection)
        with self._seen:
            self.connected += 1
            self._seen.notify_all()
        try:
            hello = {"type": "hello", "keys": {self.kid: encode(self.public)}, "backend": "b-1"}
            await connection.send(json.dumps(hello))
            async for text in connection:
                await self._answer(connection, json.loads(text))
        except ConnectionClosed:
            pass
        finally:
            self._peers.discard(connection)

    async def _answer(self, connection: ServerConnection, message: dict[str, Any]) -> None:
        with self._seen:
            self.renewals.append(message)
            self._seen.notify_all()
        if not self.state.answers:
            return
        if message["type"] == "watch":
            answer = self.fence_state(message["nonce"])
        else:
            answer = {"type": "permit", "permit": self.permit_for(message), "request_no": message["request_no"]}
            acknowledged = message["acknowledgement"] is not None and self.state.confirms
            answer["acked_epoch"] = self.acknowledgement(message)["epoch"] if acknowledged else 0
            answer["fates_taken"] = message["request_no"] if message["fates"] and self.state.confirms else 0
        damaged = self.state.damage(answer)
        await connection.send(damaged if isinstance(damaged, str | bytes) else json.dumps(damaged))

    async def _say(self, text: str | bytes, path: str) -> None:
        for peer in list(self._peers):
            if peer.request is not None and peer.request.path.endswith(path):
                await peer.send(text)

    async def _hang_up(self, code: int, reason: str) -> None:
        for peer in list(self._peers):
            await peer.close(code, reason)


def eventually(ready: Callable[[], Any], what: str = "it happens") -> None:
    """Wait until something that nobody announces is true."""
    end = time.monotonic() + LIMIT_S
    while not ready():
        assert time.monotonic() < end, what
        time.sleep(0.005)
