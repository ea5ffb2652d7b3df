"""What a machine's token makes of whoever sends it. Owns the one reading of a token's row; asks nothing itself.

A token has one secret, and for a while after a rotation two. The one before lets in until the new one was used, or its
overlap is over; what was opened with it stays open until then.
"""

from collections.abc import Iterable
from dataclasses import replace
from datetime import datetime
from functools import lru_cache
from typing import Any, Final

from sqlalchemy import BindParameter, ColumnElement, bindparam, or_

from backend.auth.tables import ServiceToken
from backend.context import Caller, Runtime
from contract.permissions import Permission

Row = Any
"""Of `COLUMNS`."""
EXECUTOR: Final = "executor:"
"""In front of the names of tokens that renew permits."""
SERVICE: Final = "service:"
"""In front of the names of all others: watchers, scripts, alert routers."""
_TABLE = ServiceToken.__table__.c
COLUMNS: Final = (
    _TABLE.name, _TABLE.permissions, _TABLE.disabled, _TABLE.expires_at, _TABLE.max_trade_eth,
    _TABLE.client_certificate, _TABLE.executors, _TABLE.token_hash, _TABLE.previous_hash, _TABLE.previous_until,
    _TABLE.taken_up_at,
)  # fmt: skip


def sent_in() -> ColumnElement[bool]:
    """The condition that a token has one of the secrets whose hashes are the parameter `hashes`."""
    hashes: BindParameter[str] = bindparam("hashes", expanding=True)
    return or_(_TABLE.token_hash.in_(hashes), _TABLE.previous_hash.in_(hashes))


def subject_of(name: str, permissions: Iterable[str]) -> str:
    """How a machine is told of, in the audit log and on every screen: `executor:NAME` if it renews permits."""
    return f"{EXECUTOR if Permission.RENEW_PERMIT.value in permissions else SERVICE}{name}"


def name_in(subject: str) -> str:
    """The name of the token that a subject was made of."""
    return subject.partition(":")[2]


def lets_in(row: Row, digest: str, now: datetime) -> bool:
    """Whether a secret, by its hash, lets its holder in now."""
    if row.disabled or now >= row.expires_at:
        return False
    if digest == row.token_hash:
        return True
    return row.taken_up_at is None and keeps_open(row, digest, now)


def keeps_open(row: Row, digest: str | None, now: datetime) -> bool:
    """Whether what was opened with a secret may stay open: also with the one before, until its overlap is over."""
    if row.disabled or now >= row.expires_at:
        return False
    if digest == row.token_hash:
        return True
    return digest == row.previous_hash and row.previous_until is not None and bool(now < row.previous_until)


def caller_of_row(row: Row, digest: str, anonymous: Caller) -> Caller:
    """The caller a machine becomes by its token."""
    return replace(
        anonymous,
        subject=subject_of(row.name, row.permissions),
        kind="service",
        role="service",
        permissions=_permissions(tuple(row.permissions)),
        max_trade_eth=row.max_trade_eth,
        executors=tuple(row.executors),
        credential=digest,
    )


def note_use(runtime: Runtime, row: Row, digest: str, now: datetime) -> None:
    """Have it written down, later, that a token was used; soon if that is what ends the secret before."""
    takes_up = digest == row.token_hash and row.taken_up_at is None and row.previous_hash is not None
    runtime.token_use.note(digest, now, urgent=takes_up)


@lru_cache(maxsize=64)
def _permissions(names: tuple[str, ...]) -> frozenset[Permission]:
    return frozenset(Permission(name) for name in names)
