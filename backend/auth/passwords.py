"""Password hashing, off the event loop and bounded. Knows no account."""

import asyncio
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, nullcontext

from argon2 import PasswordHasher
from argon2.exceptions import InvalidHashError, VerificationError

from backend.errors import WatchfloorError
from contract.errors import ErrorCode

_HASHER = PasswordHasher()
"""Argon2id with the second parameter set that RFC 9106 recommends: 3 passes over 64 MiB."""
_AT_ONCE = 2
"""Hashes computed at the same time: 128 MiB and two cores at most, however many people try to sign in."""
_WAITING = 32
"""Tries in hand at once; a further one is told to come back rather than to wait for seconds."""
_WAITING_SIGNED_IN = 24
"""Of these by whoever has a session: the rest is for signing in, which nobody with a session can take away."""
_DUMMY = "$argon2id$v=19$m=65536,t=3,p=4$LHoOjMWBD5B6TE2i+smRQw$jImW0Jq8YvMHf1piZa69/LoudTowt+4hpKb8Pgqgbkg"
"""The hash of a random password nobody has: names without an account cost as much time as names with one."""

_threads = ThreadPoolExecutor(_AT_ONCE, thread_name_prefix="password")
_slots = threading.BoundedSemaphore(_WAITING)
_slots_signed_in = threading.BoundedSemaphore(_WAITING_SIGNED_IN)


async def matches(stored: str | None, password: str, *, signed_in: bool = False) -> bool:
    """Whether a password is the one hashed; without a stored hash it takes as long and is False.

    `signed_in`: whoever asks has a session, and leaves some room to those who have none. Hold no database connection.

    Raises:
        WatchfloorError: RATE_LIMITED when too many sign-ins are in hand.
    """
    with _slot(_slots_signed_in) if signed_in else nullcontext(), _slot(_slots):
        loop = asyncio.get_running_loop()
        return await loop.run_in_executor(_threads, _verify, stored or _DUMMY, password) and bool(stored)


@contextmanager
def _slot(slots: threading.BoundedSemaphore) -> Iterator[None]:
    if not slots.acquire(blocking=False):
        raise WatchfloorError(
            ErrorCode.RATE_LIMITED, "Too many people are signing in at once.", hint="Try again in a few seconds."
        )
    try:
        yield
    finally:
        slots.release()


async def hashed(password: str) -> str:
    """A fresh hash with today's parameters."""
    return await asyncio.get_running_loop().run_in_executor(_threads, _HASHER.hash, password)


def is_outdated(stored: str) -> bool:
    """Whether a hash was made with other parameters than today's; what is no hash never is."""
    try:
        return _HASHER.check_needs_rehash(stored)
    except InvalidHashError:
        return False


def _verify(stored: str, password: str) -> bool:
    try:
        return _HASHER.verify(stored, password)
    except (VerificationError, InvalidHashError):
        return False
