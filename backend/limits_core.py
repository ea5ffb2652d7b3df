"""Which requests are limited, and how a common account of them fills and empties. Pure: no clock, no database.

What stops trading and what keeps an executor's permit alive is never limited: see `class_of`.
"""

import hashlib
import re
from dataclasses import dataclass
from ipaddress import IPv6Address, ip_address
from typing import Final

from backend.policy.transport import Allowance, RequestClass

_FREEZES: Final = "/v1/freezes"
_UNLIMITED: Final = ("/v1/gate/", "/v1/hooks/", "/healthz")
"""Renewals come twice a second from each executor, all from few addresses; a probe asks for nothing. An Alertmanager
that is told 429 gives its delivery up: what it sends too fast is asked for again by 503 (`backend.alerts`)."""
_SIGN_INS: Final = re.compile(r"/v1/auth/(login|confirm|unlock|password|authenticator)(/.*)?")
"""Asking how far a sign-in through SSO is comes every few seconds and costs no hash: it is a write like others."""
_EXPORTS: Final = re.compile(r"/v1/audit/export|/v1/ledger/bundle|/v1/freezes/drills/[^/]+/evidence|/v1/.*/export")
_READING: Final = frozenset({"GET", "HEAD", "OPTIONS"})
_IPV6_PREFIX_BITS: Final = 64
"""Whoever has one address of a network of this size has them all."""
_DIGEST_BYTES: Final = 16


def class_of(method: str, path: str) -> RequestClass | None:
    """What a request counts as; None for one that is never limited."""
    if path.startswith(_UNLIMITED) or (method == "POST" and path == _FREEZES):
        return None
    if method in _READING:
        return RequestClass.EXPORTS if _EXPORTS.fullmatch(path) else RequestClass.READS
    return RequestClass.SIGN_INS if _SIGN_INS.fullmatch(path) else RequestClass.WRITES


def address_group(address: str) -> str:
    """What counts as one address: an IPv4 address, or an IPv6 network that one subscriber has."""
    try:
        read = ip_address(address)
    except ValueError:
        return address
    if not isinstance(read, IPv6Address):
        return str(read)
    if read.ipv4_mapped is not None:
        return str(read.ipv4_mapped)
    rest = 128 - _IPV6_PREFIX_BITS
    return str(IPv6Address(int(read) >> rest << rest))


def account_key(secret: bytes, kind: RequestClass, what: str, value: str) -> str:
    """The name of an account: says neither whose address it is nor whose token, to nobody without the secret."""
    digest = hashlib.blake2b(f"{what} {value}".encode(), key=secret[:64], digest_size=_DIGEST_BYTES)
    return f"{kind.value} {what} {digest.hexdigest()}"


@dataclass(frozen=True, slots=True)
class Granted:
    """What asking an account for requests gave."""

    granted: int
    full_at_us: int


def grant(full_at_us: int, asked_at_us: int, now_us: int, wanted: int, allowance: Allowance) -> Granted:
    """Take up to `wanted` requests from an account that was asked last at a time and will be full at another.

    The statement of `backend.limits_store` does exactly this. A clock that was set back leaves an account as it was.
    """
    interval_us, burst = allowance.interval_us, allowance.burst
    owed_us = min(max(full_at_us - max(now_us, asked_at_us), 0), burst * interval_us)
    granted = min(wanted, (burst * interval_us - owed_us) // interval_us)
    return Granted(granted, now_us + owed_us + granted * interval_us)


def wait_us(full_at_us: int, now_us: int, allowance: Allowance) -> int:
    """How long until the account has one request again."""
    return max(full_at_us - now_us - (allowance.burst - 1) * allowance.interval_us, 0)
