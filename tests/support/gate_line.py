"""An executor's side of the connection, by hand: what a gate would send and get, and what none would ever send."""

import asyncio
import json
import secrets
import ssl
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field
from typing import Any

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import ConnectionClosed
from websockets.typing import Subprotocol

from contract.gate import SUBPROTOCOL
from gate.statements import Kind, encode, read, read_key, sign
from tests.support.holds import renewal

LIMIT_S = 30.0
"""For things that must happen; how soon is measured elsewhere."""
ASK_ANEW_S = 1.5
"""A backend drops what it could not answer within a second, and of two requests the older one."""


@dataclass
class Line:
    """One process of one executor, connected."""

    connection: ClientConnection
    name: str
    boot_id: str = field(default_factory=lambda: secrets.token_hex(8))
    key: Ed25519PrivateKey = field(default_factory=Ed25519PrivateKey.generate)
    signs: bool = True
    trusted: dict[str, bytes] = field(default_factory=dict)
    asked: int = 0

    async def greeted(self) -> dict[str, Any]:
        """Take the first message."""
        hello = await self.heard()
        self.trusted = {kid: read_key(key) for kid, key in hello["keys"].items()}
        return hello

    async def send(self, **changes: Any) -> int:
        """Send a renewal and return its number."""
        self.asked += 1
        own = {"boot_id": self.boot_id, "request_no": self.asked}
        if self.signs:
            own["public_key"] = encode(self.key.public_key().public_bytes_raw())
        body = renewal(self.name, **(own | changes)).model_dump(mode="json", exclude_none=True)
        await self.connection.send(json.dumps({"type": "renew"} | body))
        return self.asked

    async def heard(self) -> dict[str, Any]:
        """The next message, whatever it is."""
        async with asyncio.timeout(LIMIT_S):
            message: dict[str, Any] = json.loads(await self.connection.recv())
        return message

    async def until(self, kind: str) -> dict[str, Any]:
        """The next message of a kind."""
        while (message := await self.heard())["type"] != kind:
            pass
        return message

    async def answer_to(self, number: int) -> dict[str, Any]:
        """The answer to a renewal, or to one after it."""
        while (message := await self.until("permit"))["request_no"] < number:
            pass
        return message

    async def answer(self, **changes: Any) -> dict[str, Any]:
        """Send a renewal, as often as a gate would, until one is answered."""
        number = await self.send(**changes)
        async with asyncio.timeout(LIMIT_S):
            while True:
                with suppress(TimeoutError):
                    async with asyncio.timeout(ASK_ANEW_S):
                        return await self.answer_to(number)
                await self.send(**changes)

    async def renew(self, **changes: Any) -> dict[str, Any]:
        """What the permit says that a renewal is answered with."""
        return self.claims(await self.answer(**changes))

    async def refused(self, **changes: Any) -> tuple[dict[str, Any] | None, int]:
        """Send a renewal, as often as a gate would, until the backend hangs up; see `closed`."""
        end = asyncio.create_task(self.closed())
        with suppress(ConnectionClosed):
            while not end.done():
                await self.send(**changes)
                await asyncio.wait([end], timeout=ASK_ANEW_S)
        return await end

    def claims(self, message: dict[str, Any]) -> dict[str, Any]:
        """What the permit in an answer says."""
        return read(message["permit"], Kind.PERMIT, self.trusted)

    def acknowledgement(self, epoch: int, *refs: str, key: Ed25519PrivateKey | None = None, **changes: Any) -> str:
        """Sign that holds are obeyed."""
        payload = {
            "v": 1, "executor": self.name, "boot_id": self.boot_id, "epoch": epoch, "mode": "halt", "holds": list(refs),
            "last_order_seq": 7, "nonces": {"0xABc": 3}, "in_flight": ["0x01", "0x02"], "in_flight_count": 2,
            "open_orders": 0, "at": "2026-11-22T10:00:00Z",
        } | changes  # fmt: skip
        return sign(Kind.HALT, self.boot_id, key or self.key, payload)

    async def closed(self) -> tuple[dict[str, Any] | None, int]:
        """Wait for the end; returns the last message and the code."""
        last = None
        with suppress(ConnectionClosed):
            async with asyncio.timeout(LIMIT_S):
                while True:
                    last = json.loads(await self.connection.recv())
        assert self.connection.close_code is not None
        return last, self.connection.close_code


@asynccontextmanager
async def line(
    url: str, token: str, name: str = "bot-1", *, tls: ssl.SSLContext | None = None, **own: Any
) -> AsyncIterator[Line]:
    """Connect an executor and take the first message."""
    address = f"{url.replace('http', 'ws', 1)}/v1/gate/connect"
    async with connect(
        address,
        ssl=tls,
        subprotocols=[Subprotocol(SUBPROTOCOL)],
        additional_headers={"Authorization": f"Bearer {token}"},
        compression=None,
        proxy=None,
        open_timeout=LIMIT_S,
        close_timeout=1.0,
    ) as connection:
        opened = Line(connection, name, **own)
        await opened.greeted()
        yield opened
