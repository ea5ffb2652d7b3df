"""The gate of one executor: renews its permit in the background and answers, before each send, whether it may."""

import logging
import secrets
import ssl
import threading
from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, datetime
from types import TracebackType
from typing import Self

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from gate.asking import Asking
from gate.line import Line, monotonic_s
from gate.permits import Decision, Identity
from gate.session import Nature, Session

log = logging.getLogger("gate")


class Gate(Asking):
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
        bounded: bool = True,
        in_drills: bool = True,
    ) -> None:
        """Prepare, without connecting. Several addresses are tried in turn.

        `permit_keys`: the backend's public keys by name (32 bytes each); None trusts those that the backend itself
        names over the authenticated connection. `sees_orders` is false for who stands for software whose orders it
        cannot see: its acknowledgements then say that what is in flight is unknown, and not that there is nothing.
        `bounded` is false for who stands for software that does not ask before each send: that its permit is dead then
        proves nothing. `in_drills` is false for what must not be stopped for practice: see `look`.

        Raises:
            ValueError: an address or the token is none, or the line would carry the token in the clear.
        """
        identity = Identity(executor, chain, strategy, wallet, boot_id or secrets.token_hex(16))
        nature = Nature(sees_orders=sees_orders, bounded=bounded, in_drills=in_drills)
        key = Ed25519PrivateKey.generate()
        super().__init__(Session(identity, key, permit_keys=permit_keys, now=clock(), nature=nature), clock)
        self._on_halt = on_halt
        self._line = Line(self._session, url, token, name=executor, told=self._news, clock=clock, tls=tls)
        self._lock = self._line.lock
        self._asking = False

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

    def _guard(self) -> threading.Condition:
        return self._lock

    def _stir(self) -> None:
        self._lock.notify_all()

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
