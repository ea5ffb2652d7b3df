"""A gate's session and the other end of its line, in the test's hands: no connection, no clock."""

import json
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from gate.permits import Identity
from gate.session import Nature, Session
from gate.statements import Kind, encode, key_id, read, sign

ME = Identity(executor="bot-1", chain="arbitrum", strategy="arbitrage", wallet="0xAb", boot_id="b1")
KEY = Ed25519PrivateKey.from_private_bytes(bytes(range(32)))
PUBLIC = KEY.public_key().public_bytes_raw()
KID = key_id(PUBLIC)
OWN = Ed25519PrivateKey.from_private_bytes(bytes(32))
WALL = datetime(2026, 1, 2, 3, 4, 5, 678, tzinfo=UTC)
HELLO = {"type": "hello", "keys": {KID: encode(PUBLIC)}, "backend": "b"}


class Talk:
    """A session and the other end of its line, in the test's hands."""

    def __init__(
        self, *, pinned: dict[str, bytes] | None = None, boot_id: str = ME.boot_id, nature: Nature | None = None
    ) -> None:
        self.now = 100.0
        self.session = Session(
            replace(ME, boot_id=boot_id), OWN, permit_keys=pinned, now=self.now, nature=nature or Nature()
        )
        self.epoch, self.ttl_ms = 0, 2000
        self.mode: str | None = None
        self.holds: list[dict[str, Any]] = []
        self.acked = self.taken = 0
        self.max_trade: str | None = None

    def open(self, *, greet: bool = True) -> "Talk":
        self.session.opened(self.now)
        if greet:
            self.say(HELLO)
        return self

    def say(self, message: Any) -> None:
        self.session.received(self.now, message if isinstance(message, str | bytes) else json.dumps(message))

    def ask(self) -> dict[str, Any]:
        self.now = max(self.now, self.session.due_at)
        text = self.session.outgoing(self.now)
        assert text is not None
        message: dict[str, Any] = json.loads(text)
        return message

    def payload(self, asked: dict[str, Any]) -> dict[str, Any]:
        names = ("executor", "boot_id", "chain", "strategy", "wallet", "request_no")
        return {
            "v": 1,
            **{name: asked[name] for name in names},
            "mode": self.mode,
            "epoch": self.epoch,
            "ttl_ms": self.ttl_ms,
            "renew_ms": 500,
            "max_trade": self.max_trade,
            "issued_at": "2026-01-01T00:00:00.000000Z",
            "holds": self.holds,
        }

    def answer(self, asked: dict[str, Any], *, key: Ed25519PrivateKey = KEY, **change: Any) -> None:
        permit = sign(Kind.PERMIT, KID, key, self.payload(asked) | change)
        self.say(
            {
                "type": "permit",
                "permit": permit,
                "request_no": asked["request_no"],
                "acked_epoch": self.acked,
                "fates_taken": self.taken,
            }
        )

    def renew(self) -> dict[str, Any]:
        asked = self.ask()
        self.answer(asked)
        return asked

    def freeze(self, mode: str = "halt", **more: Any) -> dict[str, Any]:
        self.epoch += 1
        self.mode = mode
        hold = {"freeze_ref": f"FRZ-{self.epoch:04d}", "epoch": self.epoch, "mode": mode}
        self.holds = [*self.holds, hold | more]
        return {"type": "revoke", "epoch": self.epoch, "mode": mode, "holds": self.holds}

    def decide(self, **options: Any) -> Any:
        given = {"reduces": False, "cancels": False, "amount_eth": None} | options
        return self.session.may_send(self.now, **given)

    def acknowledgement(self, asked: dict[str, Any]) -> dict[str, Any]:
        return read(asked["acknowledgement"], Kind.HALT, {ME.boot_id: OWN.public_key().public_bytes_raw()})
