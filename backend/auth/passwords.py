"""Password hashing, off the event loop and bounded. Knows no account."""

import asyncio
import threading
from concurrent.futures import ThreadPoolExecutor

from argon2 import PasswordHasher
from argon2.exceptions import InvalidHashError, VerificationError

from backend.errors import WatchfloorError
from contract.errors import ErrorCode

_HASHER = PasswordHasher()
"""Argon2id with the second parameter set that RFC 9106 recommends: 3 passes over 64 MiB."""
_AT_ONCE = 2
"""Hashes computed at the same time: 128 MiB and two cores at most, however many people try to sign in."""
_WAITING = 32
"""Sign-ins in hand at once; a further one is told to come back rather than to wait for seconds."""
_DUMMY = "$argon2id$v=19$m=65536,t=3,p=4$LHoOjMWBD5B6TE2i+smRQw$jImW0Jq8YvMHf1piZa69/LoudTowt+4hpKb8Pgqgbkg"
"""The hash of a random password nobody has: names without an account cost as much time as names with one."""

_threads = ThreadPoolExecutor(_AT_ONCE, thread_name_prefix="password")
_slots = threading.BoundedSemaphore(_WAITING)


async def matches(stored: str | None, password: str) -> bool:
    """Whether a password is the one hashed; without a stored hash it takes as long and is False.

    Raises:
        WatchfloorError: RATE_LIMITED when too many sign-ins are in hand.
    """
    if not _slots.acquire(blocking=False):
        raise WatchfloorError(
            ErrorCode.RATE_LIMITED, "Too many people are signing in at once.", hint="Try again in a few seconds."
        )
    try:
        loop = asyncio.get_running_loop()
        return await loop.run_in_executor(_threads, _verify, stored or _DUMMY, password) and bool(stored)
    finally:
        _slots.release()


async def hashed(password: str) -> str:
    """A fresh hash with today's parameters."""
    return await asyncio.get_running_loop().run_in_executor(_threads, _HASHER.hash, password)


def is_outdated(stored: str) -> bool:
    """Whether a hash was made with other parameters than today's."""
    return _HASHER.check_needs_rehash(stored)


def _verify(stored: str, password: str) -> bool:
    try:
        return _HASHER.verify(stored, password)
    except (VerificationError, InvalidHashError):
        return False
