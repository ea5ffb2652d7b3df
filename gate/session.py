"""One executor's conversation with the backend, without the line: messages in and out, time passed in.

Owns what both shells share: renewals, the permit book, acknowledgements and fates that are repeated until they are
confirmed. Reads no clock, opens no connection, holds no lock.
"""

import json
import zlib
from collections import OrderedDict
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from gate.orders import Fate, Orders
from gate.permits import (
    MIN_RENEW_S,
    Decision,
    Identity,
    Mode,
    Permit,
    PermitBook,
    read_holds,
    read_mode,
    strictest,
    whole,
)
from gate.statements import Kind, StatementError, encode, read, read_json, read_key, sign

MAX_MESSAGE_BYTES = 65_536
"""Of one frame; anything longer is not read."""
MAX_KEYS = 16
"""That a backend may name; it has one, and two while it changes them."""
MAX_SHOWN_CHARS = 300
MAX_IDLE_MS = 2**31 - 1
SOONEST = 0.2
"""Of an interval: when a renewal follows a hurried one at the earliest."""
_NEVER = float("inf")


@dataclass(frozen=True, slots=True)
class Nature:
    """What an executor is, said once by each process."""

    sees_orders: bool = True
    """False for who stands for software and sees none of its orders: there may be some that it does not tell of."""
    bounded: bool = True
    """False for who stands for software that does not ask before each send: a dead permit stops nothing there."""
    in_drills: bool = True
    """False for what must not be stopped for practice: a drill's hold is told and not obeyed."""

    def told(self) -> dict[str, bool]:
        """What the backend has to know of it; what is left out is true."""
        return {name: False for name in ("bounded", "in_drills") if not getattr(self, name)}


class Session:
    """What one process of an executor says and is told. Every `now` is a reading of one monotonic clock, in seconds."""

    path = "/v1/gate/connect"

    def __init__(
        self,
        identity: Identity,
        key: Ed25519PrivateKey,
        *,
        permit_keys: Mapping[str, bytes] | None,
        now: float,
        nature: Nature = Nature(),
    ) -> None:
        self.identity = identity
        self.book = PermitBook(identity)
        self.orders = Orders()
        self.nature = nature
        self.last_error: str | None = None
        """Why there is no permit or the newest message was of no use; None if nothing is wrong."""
        self._key = key
        self._pinned = permit_keys is not None
        self._keys: Mapping[str, bytes] = dict(permit_keys or {})
        self._reported: dict[str, Any] = {"position_eth": None, "open_orders": None, "in_flight": None}
        self._reported_seq = 0
        self._confirmed_epoch = 0
        self._latch_obeyed: Mode | None = None
        self._unsigned: dict[str, Any] | None = None
        self._acknowledgement: str | None = None
        self._acknowledged_epoch = 0
        self._permit: str | None = None
        self._called_at = now
        self._open = False
        self.answered = False
        """Whether this connection has brought a permit, of whatever mode."""
        self._sent_at = -_NEVER
        self._hurried = False
        self._was_hurried = False
        # a freeze hurries a thousand processes in one instant: each goes on at a time of its own, or they would all
        # renew in one instant ever after
        self._own_share = SOONEST + (1 - SOONEST) * zlib.crc32(identity.boot_id.encode()) / 2**32
        self._unanswered: OrderedDict[int, float] = OrderedDict()

    # -- what the executor's own code calls

    def may_send(self, now: float, *, reduces: bool, cancels: bool, amount_eth: Decimal | int | None) -> Decision:
        """Whether this very send is allowed.

        Raises:
            ValueError: the amount is not one.
        """
        self._called_at = now
        return self.book.decide(now, reduces=reduces, cancels=cancels, amount_eth=checked_amount(amount_eth))

    def look(self, now: float) -> Decision:
        """What a send would be told; says nothing about whether the executor's own code runs."""
        decision = self.book.decide(now, amount_eth=Decimal(0))  # of no size: a limit on sizes stops none of these
        return decision if self.nature.in_drills else self.book.without_drills(decision)

    def beat(self, now: float) -> None:
        """Note that the executor's own code is running."""
        self._called_at = now

    def sent(self, now: float, order_id: str, wallet: str | None, nonce: int | None) -> None:
        """Note an order that is about to leave."""
        self._called_at = now
        self.orders.sent(order_id, wallet or self.identity.wallet, nonce)

    def settled(self, now: float, order_id: str, fate: str) -> None:
        """Note what became of an order; under a hold the backend hears of it at once."""
        self._called_at = now
        self.orders.settled(order_id, Fate(fate))
        self._hurried |= self.book.mode is not None

    def report(self, now: float, given: Mapping[str, Any]) -> None:
        """Note what the executor is doing; what is None stays as it was.

        Raises:
            ValueError: a nonce or the number of wallets is out of bounds.
        """
        self._called_at = now
        if given["last_order_seq"] is not None:
            self._reported_seq = max(self._reported_seq, given["last_order_seq"])
        self._reported |= {name: given[name] for name in self._reported if given[name] is not None}
        for wallet, nonce in (given.get("nonces") or {}).items():
            self.orders.used(wallet, nonce)

    def confirm_halted(
        self, now: float, wall: datetime, obeyed: Decision, paused: Mapping[str, int] | None = None
    ) -> bool:
        """State, signed, that the executor obeys the holds of a decision; False if it has said so before."""
        self._called_at = now
        return self._confirm(wall, obeyed, paused)

    def stopped_by_callback(self, wall: datetime, obeyed: Decision) -> bool:
        """The same, found out by asking the executor: says nothing about whether its own code runs."""
        return self._confirm(wall, obeyed)

    def _confirm(self, wall: datetime, obeyed: Decision, paused: Mapping[str, int] | None = None) -> bool:
        if self.book.is_latched:
            self._latch_obeyed = obeyed.mode
        if obeyed.held_epoch <= self._confirmed_epoch:
            return False
        self._confirmed_epoch = obeyed.held_epoch
        said = self.orders.acknowledged()
        said["last_order_seq"] = self._last_order_seq()
        if not self.orders.counts:
            said["in_flight_count"] = self._reported["in_flight"] or (0 if self.nature.sees_orders else None)
        payload = {
            "v": 1,
            "executor": self.identity.executor,
            "boot_id": self.identity.boot_id,
            "epoch": obeyed.held_epoch,
            "mode": (obeyed.mode or Mode.HALT).value,
            "holds": list(obeyed.holds),
            **said,
            "open_orders": self._reported["open_orders"],
            **({"paused": dict(paused)} if paused else {}),
            "at": wall.astimezone(UTC).isoformat(timespec="microseconds").replace("+00:00", "Z"),
        }
        self._unsigned = payload  # signed when it is sent: where many gates share a process, all halt before one signs
        self._acknowledged_epoch = obeyed.held_epoch
        self._hurried = True
        return True

    def unconfirmed(self, now: float) -> Decision | None:
        """Return the hold that the executor has yet to say it obeys, if any."""
        told = self.look(now)
        if told.mode is None:
            return None
        latched = self.book.is_latched and strictest(self._latch_obeyed, self.book.mode) is not self._latch_obeyed
        return told if latched or told.held_epoch > self._confirmed_epoch else None

    @property
    def permit(self) -> str | None:
        """The newest permit as it was signed, for a checker; None once it has been revoked."""
        return self._permit

    # -- what the line calls

    def opened(self, now: float) -> None:  # noqa: ARG002  what every conversation is told
        """A connection stands: a renewal is due."""
        self._open = True
        self._hurried = True
        self.answered = False
        self._sent_at = -_NEVER
        self._unanswered.clear()

    def closed(self, why: str | None) -> None:
        """The connection is gone. The permit in hand runs out by itself."""
        self._open = False
        self._unanswered.clear()
        self.last_error = shown(why) if why else self.last_error

    def refused(self, why: str) -> None:
        """The backend will not have this executor: what was permitted ends now."""
        self.book.refused()
        self._permit = None
        self.last_error = shown(why)

    @property
    def due_at(self) -> float:
        """When there is something to send; never while no connection stands."""
        if not self._open:
            return _NEVER
        if self._hurried:
            return self._sent_at + MIN_RENEW_S
        return self._sent_at + self.book.renew_s * (self._own_share if self._was_hurried else 1)

    def overdue_since(self) -> float:
        """Return when the oldest request was sent that this connection has not answered; infinity if it owes none."""
        return next(iter(self._unanswered.values()), _NEVER)

    def outgoing(self, now: float) -> str | None:
        """Return the renewal to be sent now, None if none is due. Its permit will count from `now`."""
        if now < self.due_at:
            return None
        number = self.book.sent(now)
        self._unanswered[number] = self._sent_at = now
        self._was_hurried, self._hurried = self._hurried, False
        return json.dumps({"type": "renew", **self._body(now, number)}, separators=(",", ":"))

    def _body(self, now: float, number: int) -> dict[str, Any]:
        in_flight = self.orders.in_flight if self.orders.counts else self._reported["in_flight"]
        return {
            "executor": self.identity.executor,
            "chain": self.identity.chain,
            "strategy": self.identity.strategy,
            "wallet": self.identity.wallet,
            "boot_id": self.identity.boot_id,
            "request_no": number,
            "position_eth": self._reported["position_eth"],
            "open_orders": self._reported["open_orders"],
            "in_flight": in_flight,
            "last_order_seq": self._last_order_seq(),
            "halted_epoch": self._confirmed_epoch,
            "seen_epoch": self.book.seen_epoch,
            "public_key": encode(self._key.public_key().public_bytes_raw()),
            "acknowledgement": self._signed_acknowledgement(),
            "fates": self.orders.fates_for(number),
            "idle_ms": min(MAX_IDLE_MS, max(0, int((now - self._called_at) * 1000))),
            **self.nature.told(),
        }

    def _signed_acknowledgement(self) -> str | None:
        if self._unsigned is not None:
            self._acknowledgement = sign(Kind.HALT, self.identity.boot_id, self._key, self._unsigned)
            self._unsigned = None
        return self._acknowledgement

    def _last_order_seq(self) -> int:
        return max(self._reported_seq, self.orders.last_seq)

    def received(self, now: float, text: str | bytes) -> None:  # noqa: ARG002  what every conversation is told
        """Take a message in. One that makes no sense changes nothing, except that a revocation always revokes."""
        try:
            message = read_json(text) if len(text) <= MAX_MESSAGE_BYTES else None
            if not isinstance(message, dict):
                raise StatementError("not a message")
            match message.get("type"):
                case "hello":
                    self._greeted(message)
                case "permit":
                    self._permitted(message)
                case "revoke":
                    self._revoked(message)
                case "refused" if message.get("code") == "unavailable":
                    self.last_error = shown(str(message.get("message", "unavailable")))
                case "refused":
                    self.refused(str(message.get("message", "refused")))
        except ValueError as error:
            self.last_error = shown(f"an answer of no use: {error}")

    def _greeted(self, message: Mapping[str, Any]) -> None:
        keys = message.get("keys")
        if self._pinned:
            return
        if not isinstance(keys, dict) or not 0 < len(keys) <= MAX_KEYS:
            raise StatementError("a greeting without keys")
        self._keys = {name: read_key(text) for name, text in keys.items()}

    def _permitted(self, message: Mapping[str, Any]) -> None:
        text = message.get("permit")
        permit = Permit.read(read(text, Kind.PERMIT, self._keys))
        if not permit.holder.same_as(self.identity):
            raise StatementError("a permit for somebody else")
        for number in [number for number in self._unanswered if number <= permit.request_no]:
            del self._unanswered[number]
        self.answered = True
        self._confirmed_by_backend(message)
        if self.book.permitted(permit):
            self._permit = text
            self.last_error = None
            self._forget_latch()

    def _forget_latch(self) -> None:
        if not self.book.is_latched:
            self._latch_obeyed = None

    def _confirmed_by_backend(self, message: Mapping[str, Any]) -> None:
        if self._acknowledgement is not None and whole(message.get("acked_epoch", 0)) >= self._acknowledged_epoch:
            self._acknowledgement = None
        self.orders.fates_taken(whole(message.get("fates_taken", 0)))

    def _revoked(self, message: Mapping[str, Any]) -> None:
        try:
            epoch = None if message.get("epoch") is None else whole(message["epoch"])
            holds = read_holds(message.get("holds", []))
        except ValueError:
            epoch, holds = None, ()  # whatever it meant, it meant to stop
        self.book.revoked(epoch, read_mode(message.get("mode")) or Mode.HALT, holds)
        self._permit = None
        self._forget_latch()
        self._hurried = True


def checked_amount(amount_eth: Decimal | int | None) -> Decimal | None:
    """Return the size of a send.

    Raises:
        ValueError: it is not an exact amount of at least 0.
    """
    if amount_eth is None:
        return None
    if isinstance(amount_eth, bool) or not isinstance(amount_eth, Decimal | int):
        raise ValueError("an amount is a Decimal or a whole number of ETH")  # noqa: TRY004  one error for all of them
    amount = Decimal(amount_eth)
    if not amount.is_finite() or amount < 0:
        raise ValueError("an amount is finite and at least 0")
    return amount


def shown(text: str) -> str:
    """Return text from outside as one printable line."""
    line = "".join(character if character.isprintable() else " " for character in text[:MAX_SHOWN_CHARS])
    return " ".join(line.split())
