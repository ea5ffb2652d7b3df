"""Time and identifiers as parameters. The only module of the backend that reads the wall clock or the random source."""

import secrets
import time
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from uuid import UUID

_UUID7_VERSION = 0x7 << 76
_UUID_VARIANT = 0x2 << 62


def utc_now() -> datetime:
    """The current instant, aware, UTC."""
    return datetime.now(UTC)


def uuid7(unix_ms: int, random_bits: int) -> UUID:
    """A time-ordered UUID (RFC 9562 §5.7) from a millisecond time stamp and 74 random bits."""
    rand_a = (random_bits >> 62) & 0xFFF
    rand_b = random_bits & ((1 << 62) - 1)
    return UUID(int=(unix_ms & ((1 << 48) - 1)) << 80 | _UUID7_VERSION | rand_a << 64 | _UUID_VARIANT | rand_b)


@dataclass(frozen=True, slots=True)
class Clock:
    """Where services get the time from; tests hand in their own."""

    now: Callable[[], datetime] = utc_now
    monotonic: Callable[[], float] = time.monotonic
    random_bytes: Callable[[int], bytes] = secrets.token_bytes
    """Fit for secrets."""

    def new_id(self) -> UUID:
        """A fresh time-ordered id, so that keyset paging by id follows creation."""
        return uuid7(int(self.now().timestamp() * 1000), secrets.randbits(74))


SYSTEM_CLOCK = Clock()
