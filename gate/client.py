"""The gate of one executor: renews its permit in the background and answers, before each send, whether it may."""

import logging
import os
import secrets
import ssl
import threading
from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, datetime
from decimal import Decimal
from types import TracebackType
from typing import Self

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from gate.line import Line, monotonic_s
from gate.permits import Decision, Identity, Reason, refusal
from gate.session import Session

log = logging.getLogger("gate")


class Gate:
    """What an executor asks before each send. Safe to use from several threads; never blocks; fails closed.

    `on_halt` is called in a thread of its own when a freeze comes to cover the executor, again with each renewal until
    it returns True to say that the executor has stopped. An executor may call `confirm_halted` instead.
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
        on_halt: Callable[[], bool] | None = None,
        permit_keys: Mapping[str, bytes] | None = None,
        tls: ssl.SSLContext | None = None,
        clock: Callable[[], float] = monotonic_s,
        boot_id: str | None = None,
        sees_orders: bool = True,
    ) -> None:
        """Prepare, without connecting. Several addresses are tried in turn.

        `permit_keys`: the backend's public keys by name (32 bytes each); None trusts those that the backend itself
        names over the authenticated connection. `sees_orders` is false for who stands for software whose orders it
        cannot see: its acknowledgements then say that what is in flight is unknown, and not that there is nothing.

        Raises:
            ValueError: an address or the token is none, or the line would carry the token in the clear.
        """
        identity = Identity(executor, chain, strategy, wallet, boot_id or secrets.token_hex(16))
        self._clock = clock
        self._on_halt = on_halt
        self._session = Session(identity, Ed25519PrivateKey.generate(), permit_keys=permit_keys, now=clock())
        self._session.sees_orders = sees_orders
        self._line = Line(self._session, url, token, name=executor, told=self._news, clock=clock, tls=tls)
        self._lock = self._line.lock
        self._closed = False
        self._asking = False
        self._pid = os.getpid()

    def start(self) -> Self:
        """Begin renewing in the background. Nothing is permitted before the first answer."""
        self._line.start()
        return self

    def close(self, *, wait: bool = True) -> None:
        """Stop renewing. The permit in hand is given up at once; `wait` also for the connection to be closed."""
        self._closed = True
        self._line.close(wait=wait)

    def __enter__(self) -> Self:
        return self.start()

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def may_send(
        self, *, reduces: bool = False, cancels: bool = False, amount_eth: Decimal | int | None = None
    ) -> Decision:
        """Whether this very send is allowed. Ask right before each one; an answer is no promise for the next.

        `reduces`: the order only makes a position smaller. `cancels`: it takes an order back, which is always allowed.
        `amount_eth`: its size, which a permit may limit.

        Raises:
            ValueError: the amount is not an exact amount.
        """
        if os.getpid() != self._pid:  # a forked copy; its lock may have been held by a thread that was not copied
            return Decision(allowed=cancels, reason=Reason.CANCEL if cancels else Reason.NO_PERMIT, remaining_s=0.0)
        with self._lock:
            decision = self._session.may_send(self._clock(), reduces=reduces, cancels=cancels, amount_eth=amount_eth)
        return refusal(Reason.NO_PERMIT) if self._closed and decision.allowed and not cancels else decision

    def look(self) -> Decision:
        """What a send would be told now, for a process that watches over the executor from outside.

        Other than `may_send` it is no sign that the executor's own code runs: `beat` says that.
        """
        with self._lock:
            return self._session.look(self._clock())

    @property
    def permit(self) -> str | None:
        """The newest permit as it was signed, to be shown to a checker; None without one."""
        with self._lock:
            return self._session.permit

    def sent(self, order_id: str, *, wallet: str | None = None, nonce: int | None = None) -> None:
        """Note an order, just before it leaves: it counts as in flight until `settled` says what became of it.

        `wallet` is the executor's own unless given; `nonce` that of a transaction on a chain.

        Raises:
            ValueError: id or nonce is out of bounds.
        """
        with self._lock:
            self._session.sent(self._clock(), order_id, wallet, nonce)

    def settled(self, order_id: str, fate: str) -> None:
        """Note what became of an order: landed, replaced, cancelled or expired.

        Raises:
            ValueError: it is none of these.
        """
        with self._lock:
            self._session.settled(self._clock(), order_id, fate)
            self._lock.notify_all()

    def report(
        self,
        *,
        position_eth: Decimal | None = None,
        open_orders: int | None = None,
        in_flight: int | None = None,
        last_order_seq: int | None = None,
        nonces: Mapping[str, int] | None = None,
    ) -> None:
        """Say what the executor is doing; it travels with the next renewal. What is left out stays as it was.

        `in_flight` and `last_order_seq` are for executors that do not tell of each order with `sent`. `nonces`: the
        last one of each wallet as its chain has it, told at the start, so that a halt before any order can be verified.

        Raises:
            ValueError: a nonce or the number of wallets is out of bounds.
        """
        given = {
            "position_eth": None if position_eth is None else format(position_eth, "f"),
            "open_orders": open_orders,
            "in_flight": in_flight,
            "last_order_seq": last_order_seq,
            "nonces": nonces,
        }
        with self._lock:
            self._session.report(self._clock(), given)

    def confirm_halted(self, obeyed: Decision) -> None:
        """State, signed and at once, that the executor obeys a decision's holds: it has stopped, or only reduces.

        The decision is named because a further freeze may have come since: that one is not obeyed yet.
        """
        with self._lock:
            if self._session.confirm_halted(self._clock(), datetime.now(UTC), obeyed):
                self._lock.notify_all()

    def beat(self) -> None:
        """Say that the executor's own code is running, where it has nothing to ask."""
        with self._lock:
            self._session.beat(self._clock())

    @property
    def last_error(self) -> str | None:
        """Why there is no permit or the newest answer was of no use; None if nothing is wrong."""
        return self._session.last_error

    def _news(self) -> None:
        if self._on_halt is None:
            return
        with self._lock:
            waiting = None if self._asking else self._session.unconfirmed(self._clock())
            self._asking |= waiting is not None
        if waiting is not None:
            threading.Thread(target=self._ask, args=(self._on_halt, waiting), name="gate on_halt", daemon=True).start()

    def _ask(self, on_halt: Callable[[], bool], hold: Decision) -> None:
        try:
            stopped = on_halt() is True
        except Exception:  # boundary: the executor's own code must not end the renewals
            log.exception("on_halt of %s failed", self._session.identity.executor)
            stopped = False
        with self._lock:
            self._asking = False
            if stopped and self._session.stopped_by_callback(datetime.now(UTC), hold):
                self._lock.notify_all()
