"""Machines' tokens: issued, rotated without a gap, revoked, listed; warned about before they end.

A secret leaves this module once, to whoever asked for it; stored is its hash, and recorded is neither.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime, timedelta
from decimal import Decimal
from typing import Any, Final

from sqlalchemy import select
from sqlalchemy.ext.asyncio import AsyncSession

from backend.audit import service as audit
from backend.audit.service import AuditDraft
from backend.auth import fresh_key, machine_rows, tokens
from backend.auth.names import check_name
from backend.auth.tables import ServiceToken
from backend.context import Caller, Runtime
from backend.db import after_commit
from backend.errors import WatchfloorError, not_found
from contract.base import Page
from contract.errors import ErrorCode
from contract.hardware import HardwareAct
from contract.permissions import Permission
from contract.service_tokens import RotateRequest, ServiceTokenRequest, ServiceTokenState
from contract.service_tokens import ServiceToken as Wire

ISSUED: Final = "auth.token.issued"
ROTATED: Final = "auth.token.rotated"
REVOKED: Final = "auth.token.revoked"
_ACTIONS: Final = {ISSUED: "issue token", ROTATED: "rotate token", REVOKED: "revoke token"}


@dataclass(frozen=True, slots=True, repr=False)
class Issued:
    """A token with its secret; shown once, kept nowhere."""

    row: ServiceToken
    secret: str


@dataclass(frozen=True, slots=True)
class Scope:
    """What a token is good for."""

    permissions: tuple[str, ...]
    executors: tuple[str, ...] = ()
    certificate: str | None = None
    max_trade_eth: Decimal | None = None

    def facts(self) -> dict[str, Any]:
        """What the audit log says of it."""
        told: dict[str, Any] = {"permissions": list(self.permissions), "client_certificate": self.certificate}
        told |= {"executors": list(self.executors)} if self.executors else {}
        return told | ({} if self.max_trade_eth is None else {"max_trade_eth": format(self.max_trade_eth, "f")})


async def ensure_service_token(
    session: AsyncSession,
    runtime: Runtime,
    caller: Caller,
    *,
    name: str,
    permissions: Iterable[Permission],
    token: str | None = None,
    certificate: str | None = None,
    max_trade_eth: Decimal | None = None,
    executors: Iterable[str] = (),
) -> str:
    """Make a machine's token exist with exactly this scope and return its secret; a given one that works is left alone.

    For whoever sets a backend up beside its database: it takes any permission, and what the name had before ends.

    Raises:
        WatchfloorError: INVALID_REQUEST for a name that cannot be, a token without the prefix, or a limit that is none.
    """
    check_name(name)
    if token is not None and not token.startswith(tokens.SERVICE_PREFIX):
        raise WatchfloorError(ErrorCode.INVALID_REQUEST, f"A machine's token starts with {tokens.SERVICE_PREFIX}.")
    scope = _scope(runtime, permissions, executors, certificate, max_trade_eth)
    row = await _locked(session, name)
    digest = tokens.service_token_hash(token) if token else None
    if token is not None and row is not None and _is_as_wanted(row, digest, scope, runtime.clock.now()):
        return token
    return (await _store(session, runtime, caller, name, row, scope, secret=token)).secret


async def issue(session: AsyncSession, runtime: Runtime, caller: Caller, asked: ServiceTokenRequest) -> Issued:
    """Make a machine a token.

    Raises:
        WatchfloorError: INVALID_REQUEST for a name, scope or life that cannot be; CONFLICT while the name has a token
            that works; CONFIRMATION_REQUIRED without a fresh touch of the hardware key.
    """
    check_name(asked.name)
    _check_grantable(runtime, asked.permissions)
    scope = _scope(runtime, asked.permissions, asked.executors, asked.certificate, asked.max_trade_eth)
    most = runtime.policy.sign_in.watchfloor.service_token_days
    if asked.days is not None and asked.days > most:
        raise WatchfloorError(ErrorCode.INVALID_REQUEST, f"A token works for at most {most} days.")
    row = await _locked(session, asked.name)
    if row is not None and state_of(row, runtime.clock.now()) is ServiceTokenState.ACTIVE:
        raise WatchfloorError(
            ErrorCode.CONFLICT, f"{asked.name!r} has a token that works.", hint="Rotate it, or revoke it first."
        )
    await fresh_key.require(session, runtime, caller, HardwareAct.ISSUE_TOKEN, asked.about())
    return await _store(session, runtime, caller, asked.name, row, scope, days=asked.days)


async def rotate(session: AsyncSession, runtime: Runtime, caller: Caller, name: str, asked: RotateRequest) -> Issued:
    """Give a machine another secret for the same scope, with a whole life ahead.

    The one before works until the new one is first used or the policy's overlap is over, or, with `now`, no longer. A
    secret that was never used while the one before still works is dropped: that one is what the machines have.

    Raises:
        WatchfloorError: NOT_FOUND; CONFLICT if it is revoked or has expired; CONFIRMATION_REQUIRED without a fresh
            touch of the hardware key.
    """
    row = await _working(session, runtime, name)
    await fresh_key.require(session, runtime, caller, HardwareAct.ROTATE_TOKEN, asked.about(row.name))
    at = runtime.clock.now()
    if asked.now:
        row.previous_hash, row.previous_until = None, None
    elif not _waits_for_use(row, at):
        overlap = timedelta(hours=runtime.policy.service_tokens.overlap_hours)
        row.previous_hash, row.previous_until = row.token_hash, min(at + overlap, row.expires_at)
    secret = tokens.new_service_token(runtime)
    row.token_hash, row.taken_up_at = tokens.service_token_hash(secret), None
    row.expires_at = at + timedelta(days=runtime.policy.sign_in.watchfloor.service_token_days)
    told = {"expires_at": row.expires_at.isoformat()}
    told |= {"overlap_until": row.previous_until.isoformat()} if row.previous_until else {"ended_at_once": "yes"}
    await _recorded(session, runtime, caller, ROTATED, name, told)
    return Issued(row, secret)


async def revoke(session: AsyncSession, runtime: Runtime, caller: Caller, name: str) -> ServiceToken:
    """End a machine's token, both of its secrets, on every backend.

    Raises:
        WatchfloorError: NOT_FOUND; CONFLICT if it is revoked or has expired.
    """
    row = await _working(session, runtime, name)
    row.disabled, row.previous_hash, row.previous_until = True, None, None
    await _recorded(session, runtime, caller, REVOKED, name, {"disabled": True})
    return row


async def page_of(
    session: AsyncSession, runtime: Runtime, *, ended: bool, cursor: str | None, limit: int
) -> Page[Wire]:
    """Tokens by name; the cursor is the last name of the page before. Only those that work unless asked."""
    now = runtime.clock.now()
    wanted = select(ServiceToken).order_by(ServiceToken.name).limit(limit + 1)
    if cursor is not None:
        wanted = wanted.where(ServiceToken.name > cursor)
    if not ended:
        wanted = wanted.where(ServiceToken.disabled.is_(False), ServiceToken.expires_at > now)
    rows = (await session.scalars(wanted)).all()
    more = rows[limit - 1].name if len(rows) > limit else None
    return Page(items=[wire(row, now) for row in rows[:limit]], next_cursor=more)


def wire(row: ServiceToken, now: datetime) -> Wire:
    """A token as it is told of."""
    return Wire(
        name=row.name,
        subject=machine_rows.subject_of(row.name, row.permissions),
        state=state_of(row, now),
        permissions=row.permissions,
        executors=row.executors,
        certificate=row.client_certificate,
        max_trade_eth=row.max_trade_eth.normalize() if row.max_trade_eth is not None else None,
        created_at=row.created_at,
        expires_at=row.expires_at,
        last_used_at=row.last_used_at,
        overlap_until=row.previous_until if _waits_for_use(row, now) else None,
    )


def _waits_for_use(row: ServiceToken, now: datetime) -> bool:
    """Whether the secret is new and unused, and the one before lets in meanwhile."""
    return row.taken_up_at is None and row.previous_until is not None and now < row.previous_until


def state_of(row: ServiceToken, now: datetime) -> ServiceTokenState:
    """Whether a token works."""
    if row.disabled:
        return ServiceTokenState.REVOKED
    return ServiceTokenState.ACTIVE if now < row.expires_at else ServiceTokenState.EXPIRED


def refuse_both(permissions: Iterable[Permission]) -> None:
    """Refuse a token that would vouch for itself.

    Raises:
        WatchfloorError: INVALID_REQUEST.
    """
    if {Permission.OBSERVE_HALTS, Permission.RENEW_PERMIT} <= set(permissions):
        raise WatchfloorError(
            ErrorCode.INVALID_REQUEST,
            "Who renews permits cannot be a second source.",
            hint="Give the watcher a token of its own.",
        )


def _check_grantable(runtime: Runtime, permissions: Iterable[Permission]) -> None:
    refuse_both(wanted := set(permissions))
    never = sorted(wanted - set(runtime.policy.service_tokens.grantable))
    if never:
        known = ", ".join(runtime.policy.service_tokens.grantable)
        raise WatchfloorError(
            ErrorCode.INVALID_REQUEST, f"No machine may be granted {', '.join(never)}.", hint=f"The policy has {known}."
        )


def _scope(
    runtime: Runtime,
    permissions: Iterable[Permission],
    executors: Iterable[str],
    certificate: str | None,
    max_trade_eth: Decimal | None,
) -> Scope:
    wanted = set(permissions)
    limit = _trade_limit(runtime, max_trade_eth) if Permission.RENEW_PERMIT in wanted else None
    names = tuple(sorted(permission.value for permission in wanted))
    return Scope(names, tuple(sorted(set(executors))), certificate, limit)


def _is_as_wanted(row: ServiceToken, digest: str | None, scope: Scope, now: datetime) -> bool:
    held = Scope(tuple(row.permissions), tuple(row.executors), row.client_certificate, row.max_trade_eth)
    return (row.token_hash, held) == (digest, scope) and state_of(row, now) is ServiceTokenState.ACTIVE


async def _store(  # noqa: PLR0917  what a token is made of
    session: AsyncSession,
    runtime: Runtime,
    caller: Caller,
    name: str,
    row: ServiceToken | None,
    scope: Scope,
    *,
    secret: str | None = None,
    days: int | None = None,
) -> Issued:
    now, secret = runtime.clock.now(), secret or tokens.new_service_token(runtime)
    if row is None:
        row = ServiceToken(id=runtime.clock.new_id(), name=name)
        session.add(row)
    row.created_at, row.disabled, row.last_used_at = now, False, None
    row.token_hash, row.previous_hash, row.previous_until = tokens.service_token_hash(secret), None, None
    row.taken_up_at = None
    row.permissions, row.executors = list(scope.permissions), list(scope.executors)
    row.client_certificate, row.max_trade_eth = scope.certificate, scope.max_trade_eth
    row.expires_at = now + timedelta(days=days or runtime.policy.sign_in.watchfloor.service_token_days)
    await _recorded(session, runtime, caller, ISSUED, name, scope.facts() | {"expires_at": row.expires_at.isoformat()})
    return Issued(row, secret)


async def _locked(session: AsyncSession, name: str) -> ServiceToken | None:
    return await session.scalar(select(ServiceToken).where(ServiceToken.name == name).with_for_update())


async def _working(session: AsyncSession, runtime: Runtime, name: str) -> ServiceToken:
    row = await _locked(session, name)
    if row is None:
        raise not_found("service token", name)
    state = state_of(row, runtime.clock.now())
    if state is not ServiceTokenState.ACTIVE:
        raise WatchfloorError(ErrorCode.CONFLICT, f"The token of {name!r} is {state.value}.", hint="Issue another one.")
    return row


async def _recorded(  # noqa: PLR0917  what an entry says
    session: AsyncSession, runtime: Runtime, caller: Caller, event: str, name: str, told: dict[str, Any]
) -> None:
    await session.flush()
    after_commit(session, runtime.callers.stale.set)
    await audit.record(
        session, runtime, caller, AuditDraft(event, _ACTIONS[event], "service_token", name, new_value=told)
    )


def _trade_limit(runtime: Runtime, wanted: Decimal | None) -> Decimal | None:
    """What executors may trade at once (ETH): the policy's limit of the role they trade in the name of, or less."""
    most = runtime.policy.executor_max_trade_eth
    if wanted is None:
        return most
    if not wanted.is_finite() or wanted <= 0 or (most is not None and wanted > most):
        raise WatchfloorError(
            ErrorCode.INVALID_REQUEST,
            f"A limit of {wanted} ETH cannot be.",
            hint="It is above 0" + (f" and at most the policy's {most} ETH." if most is not None else "."),
        )
    return wanted
