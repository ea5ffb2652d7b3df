"""Where the backend is and when to try it again. Pure: opens nothing, reads no clock, draws no random number itself."""

import ipaddress
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from urllib.parse import urlsplit

FIRST_DELAY_S = 0.1
"""Before the second attempt at the same address; spread out, so that a floor does not come back all at once."""
LONGEST_DELAY_S = 2.0
"""A permit's life: a backend that comes back is found again within one."""
REFUSED_DELAY_S = 1.0
"""Before asking again after a refusal, which seldom ends by itself."""
LONGEST_REFUSED_DELAY_S = 5.0
_MOST_DOUBLINGS = 16
_PORTS = {False: 80, True: 443}


@dataclass(frozen=True, slots=True)
class Address:
    """One backend."""

    host: str
    port: int
    secure: bool
    prefix: str

    def websocket(self, path: str) -> str:
        """Return the address of a WebSocket there."""
        host = f"[{self.host}]" if ":" in self.host else self.host
        return f"{'wss' if self.secure else 'ws'}://{host}:{self.port}{self.prefix}{path}"


def parse(url: str) -> Address:
    """Read the address of a backend as people write it.

    Raises:
        ValueError: it is none, would carry the token in the clear, or carries something secret itself.
    """
    parts = urlsplit(url)
    secure = parts.scheme in {"https", "wss"}
    if parts.scheme not in {"http", "https", "ws", "wss"} or not parts.hostname:
        raise ValueError(f"{url!r} is not an http or https address")
    if parts.username is not None or parts.password is not None or parts.query or parts.fragment:
        raise ValueError("the address of a backend has no user, query or fragment; the token is given apart")
    if not secure and not is_loopback(parts.hostname):
        raise ValueError(f"{url!r} would carry the token in the clear: use https")
    return Address(parts.hostname, parts.port or _PORTS[secure], secure, parts.path.rstrip("/"))


def is_loopback(host: str) -> bool:
    """Whether what is sent there never leaves this machine."""
    if host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


class Addresses:
    """Several addresses tried in turn, with longer pauses from round to round. Times are monotonic seconds."""

    def __init__(self, urls: str | Sequence[str], jitter: Callable[[], float]) -> None:
        """`jitter` gives numbers from 0 to 1.

        Raises:
            ValueError: one of the addresses is none, or there is none at all.
        """
        self._all = [parse(url) for url in ([urls] if isinstance(urls, str) else urls)]
        if not self._all:
            raise ValueError("no address of a backend")
        self._jitter = jitter
        self._at = 0
        self._failures = 0
        self.next_try_at = float("-inf")

    @property
    def current(self) -> Address:
        """Which to try now."""
        return self._all[self._at]

    @property
    def only_one(self) -> bool:
        """Whether there is no other to turn to."""
        return len(self._all) == 1

    def worked(self) -> None:
        """The current address gave an answer: pauses begin anew."""
        self._failures = 0

    def failed(self, now: float, *, refused: bool = False) -> None:
        """Turn to the next address, at once if it has not been tried since the last answer, else after a pause."""
        self._at = (self._at + 1) % len(self._all)
        self._failures += 1
        rounds = self._failures // len(self._all)
        first, longest = (REFUSED_DELAY_S, LONGEST_REFUSED_DELAY_S) if refused else (FIRST_DELAY_S, LONGEST_DELAY_S)
        pause = min(longest, first * 2 ** min(rounds - 1, _MOST_DOUBLINGS)) if rounds else 0.0
        self.next_try_at = now + max(pause, FIRST_DELAY_S / 2) * (1 + self._jitter()) / 2
