"""The check at a choke point: what a signer or an egress proxy asks before it lets a send through."""

import secrets
import ssl
from collections.abc import Callable, Mapping, Sequence
from decimal import Decimal
from types import TracebackType
from typing import Self

from gate.fence import DEFAULT_MAX_AGE_S, Fence
from gate.line import Line, monotonic_s
from gate.permits import DEFAULT_RENEW_S, Decision, Permit
from gate.session import checked_amount
from gate.statements import Kind, StatementError, read
from gate.watching import Watch

NONCE_BYTES = 16


class Checker:
    """Refuses permits older than the newest freeze over their place, and everything but cancels without fresh word.

    Keeps a connection of its own, so that an executor that is stopped, wedged or hostile cannot speak for it.
    """

    def __init__(
        self,
        keys: Mapping[str, bytes] | None,
        url: str | Sequence[str],
        token: str,
        *,
        max_age_s: float = DEFAULT_MAX_AGE_S,
        renew_s: float = DEFAULT_RENEW_S,
        tls: ssl.SSLContext | None = None,
        clock: Callable[[], float] = monotonic_s,
    ) -> None:
        """Prepare, without connecting.

        `keys`: the backend's public keys by name; None trusts those it names over the authenticated connection.
        `max_age_s`: how long word from the backend stays fresh, a permit's life; `renew_s`: how often to ask for it.

        Raises:
            ValueError: an address or the token is none, or the line would carry the token in the clear.
        """
        self._watch = Watch(Fence(max_age_s), keys, nonce=lambda: secrets.token_urlsafe(NONCE_BYTES), renew_s=renew_s)
        self._clock = clock
        self._line = Line(self._watch, url, token, name="checker", clock=clock, tls=tls)

    def start(self) -> Self:
        """Begin to listen in the background. Nothing but cancels passes before the first word."""
        self._line.start()
        return self

    def close(self, *, wait: bool = True) -> None:
        """Stop listening; what was heard grows old within a permit's life."""
        self._line.close(wait=wait)

    def __enter__(self) -> Self:
        return self.start()

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def check(
        self,
        permit: str | None,
        *,
        reduces: bool = False,
        cancels: bool = False,
        amount_eth: Decimal | int | None = None,
        executor: str | None = None,
        wallet: str | None = None,
    ) -> Decision:
        """Whether a send under this permit, as it was signed, may pass now. Give `wallet` wherever it is known.

        Raises:
            ValueError: the amount is not an exact amount.
        """
        amount = checked_amount(amount_eth)
        with self._line.lock:
            keys = self._watch.keys
        read_permit = _read(permit, keys)
        with self._line.lock:
            return self._watch.fence.judge(
                self._clock(),
                read_permit,
                reduces=reduces,
                cancels=cancels,
                amount_eth=amount,
                executor=executor,
                wallet=wallet,
            )

    @property
    def last_error(self) -> str | None:
        """Why there is no fresh word; None if nothing is wrong."""
        return self._watch.last_error


def _read(permit: str | None, keys: Mapping[str, bytes]) -> Permit | None:
    try:
        return Permit.read(read(permit, Kind.PERMIT, keys))
    except (StatementError, ValueError):
        return None
