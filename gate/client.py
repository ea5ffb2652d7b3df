"""The gate of one executor: renews its permit in the background and answers, before each send, whether it may."""

import logging
import os
import secrets
import threading
import time
from collections.abc import Callable
from decimal import Decimal
from types import TracebackType
from typing import Any, Self

from gate.permits import Answer, Decision, PermitBook, Reason
from gate.transport import HttpTransport, Refused, Transport, TransportError

log = logging.getLogger(__name__)
REQUEST_TIMEOUT_S = 1.0
"""Half a permit's life: a request that hangs leaves time for one more before the permit runs out."""
JOIN_TIMEOUT_S = 2.0
"""A little more than one request may take."""
_BOOTTIME = getattr(time, "CLOCK_BOOTTIME", None)


def monotonic_s() -> float:
    """Seconds on a clock that nobody can set and that, where the system has one, runs on while the machine sleeps."""
    return time.monotonic() if _BOOTTIME is None else time.clock_gettime(_BOOTTIME)


class Gate:
    """What an executor asks before each send. Safe to use from several threads; fails closed.

    `on_halt` is called in the gate's thread when a freeze comes to cover the executor, again with each renewal until
    it returns True to say that the executor has stopped. An executor may call `confirm_halted` instead.
    """

    def __init__(
        self,
        url: str,
        token: str,
        *,
        executor: str,
        chain: str,
        strategy: str,
        wallet: str,
        on_halt: Callable[[], bool] | None = None,
        transport: Transport | None = None,
        clock: Callable[[], float] = monotonic_s,
        boot_id: str | None = None,
        request_timeout_s: float = REQUEST_TIMEOUT_S,
    ) -> None:
        self._transport = transport or HttpTransport(url, token)
        self._clock = clock
        self._on_halt = on_halt
        self._timeout_s = request_timeout_s
        self._identity = {"executor": executor, "chain": chain, "strategy": strategy, "wallet": wallet}
        self._identity["boot_id"] = boot_id or secrets.token_hex(16)
        self._reported: dict[str, Any] = {"last_order_seq": 0}
        self._halted_epoch = 0
        self._book = PermitBook()
        self._last_error: str | None = None
        self._lock = threading.Lock()
        self._wake = threading.Event()
        self._stopping = False
        self._thread: threading.Thread | None = None
        self._pid = os.getpid()

    def start(self) -> Self:
        """Begin renewing in the background. Nothing is permitted before the first answer."""
        if self._thread is None:
            name = f"gate {self._identity['executor']}"
            self._thread = threading.Thread(target=self._renew_forever, name=name, daemon=True)
            self._thread.start()
        return self

    def close(self, *, wait: bool = True) -> None:
        """Stop renewing. The permit in hand is given up at once; `wait` also for a request under way."""
        with self._lock:
            self._stopping = True
        self._wake.set()
        if wait and self._thread is not None and self._thread is not threading.current_thread():
            self._thread.join(JOIN_TIMEOUT_S)

    def __enter__(self) -> Self:
        return self.start()

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def may_send(self, *, reduces: bool = False, cancels: bool = False) -> Decision:
        """Whether this very send is allowed. Ask right before each one; an answer is no promise for the next.

        `reduces`: the order only makes a position smaller. `cancels`: it takes an order back, which is always allowed.
        """
        with self._lock:
            decision = self._book.decide(self._clock(), reduces=reduces, cancels=cancels)
            if decision.allowed and not cancels and (self._stopping or os.getpid() != self._pid):
                return Decision(allowed=False, reason=Reason.NO_PERMIT, remaining_s=0.0)  # closed, or a forked copy
            return decision

    def report(
        self,
        *,
        position_eth: Decimal | None = None,
        open_orders: int | None = None,
        in_flight: int | None = None,
        last_order_seq: int | None = None,
    ) -> None:
        """Say what the executor is doing; it travels with the next renewal. What is left out stays as it was."""
        given = {
            "position_eth": None if position_eth is None else format(position_eth, "f"),
            "open_orders": open_orders,
            "in_flight": in_flight,
            "last_order_seq": last_order_seq,
        }
        with self._lock:
            self._reported |= {name: value for name, value in given.items() if value is not None}

    def confirm_halted(self, obeyed: Decision) -> None:
        """Say that the executor obeys the holds of a decision: it has stopped, or only reduces. Sent at once.

        The decision is named because a further freeze may have come since: that one is not obeyed yet.
        """
        self._acknowledge(obeyed.held_epoch)

    def _acknowledge(self, epoch: int) -> None:
        with self._lock:
            news = epoch > self._halted_epoch
            self._halted_epoch = max(self._halted_epoch, epoch)
        if news:
            self._wake.set()

    @property
    def last_error(self) -> str | None:
        """Why the last renewal failed; None if it did not."""
        return self._last_error

    def renew_once(self) -> bool:
        """Ask for one permit and take the answer in; False if there was none. The background thread calls this."""
        with self._lock:
            if self._stopping:
                return False
            number = self._book.sent(self._clock())
            body = {**self._identity, **self._reported, "halted_epoch": self._halted_epoch, "request_no": number}
        try:
            answer = Answer.read(self._transport.renew(body, timeout_s=self._timeout_s))
        except Refused as refusal:
            with self._lock:
                self._book.refused(number)
            return self._failed(refusal)
        except (TransportError, ValueError) as error:
            return self._failed(error)
        with self._lock:
            taken = self._book.answered(answer)
        self._last_error = None if taken else "an answer to another request"
        self._call_on_halt()
        return taken

    def _failed(self, error: Exception) -> bool:
        text = str(error)
        if text != self._last_error:
            log.warning("no permit for %s: %s", self._identity["executor"], text)
        self._last_error = text
        return False

    def _call_on_halt(self) -> None:
        with self._lock:
            epoch = self._book.held_epoch
            waiting = epoch > self._halted_epoch
        if waiting and self._on_halt is not None and self._stopped_by_callback(self._on_halt):
            self._acknowledge(epoch)

    def _stopped_by_callback(self, on_halt: Callable[[], bool]) -> bool:
        try:
            return on_halt() is True
        except Exception:  # boundary: the executor's own code must not end the renewals
            log.exception("on_halt of %s failed", self._identity["executor"])
            return False

    def _renew_forever(self) -> None:
        while not self._stopping:
            began = self._clock()
            self._wake.clear()
            self.renew_once()
            self._wake.wait(max(0.0, self._book.renew_s - (self._clock() - began)))
        self._transport.close()
