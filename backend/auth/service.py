"""Who is calling and what they may do: sign-in, sessions, machine tokens. Which role may do what is policy data."""

from collections.abc import Iterable
from dataclasses import replace
from datetime import datetime, timedelta
from functools import lru_cache
from uuid import UUID

from fastapi import Request
from sqlalchemy import bindparam, func, select, update
from sqlalchemy.ext.asyncio import AsyncSession

from backend.audit.service import AuditDraft
from backend.auth import tokens
from backend.auth.known import caller_by_token_alone, keeping_known
from backend.auth.tables import ServiceToken, Session, SigningKey, User
from backend.context import Caller, Runtime
from backend.errors import WatchfloorError
from backend.http import caller_of, short_path
from backend.policy.access import may_come_from
from contract.audit import AuditResult
from contract.auth import WhoAmI
from contract.errors import ErrorCode
from contract.permissions import Permission

__all__ = [
    "accounts_waiting", "admit", "admit_by_token_alone", "authenticate", "forget_account", "keeping_known",
    "no_longer_signed_in", "require", "still_signed_in", "user_caller", "who_am_i",
]  # fmt: skip

_MACHINE_PREFIX = "executor:"
_SESSIONS, _USERS, _KEYS = Session.__table__, User.__table__, SigningKey.__table__
_MACHINES = ServiceToken.__table__.c
# Every request asks one of these two: made once, and of plain columns, which spares the mapping to objects.
_SIGNED_IN = (
    select(
        _SESSIONS.c.ended_at,
        _SESSIONS.c.expires_at,
        _USERS.c.username,
        _USERS.c.role,
        _USERS.c.disabled,
        _KEYS.c.private_key,
        _KEYS.c.retired_at,
    )
    .join_from(_SESSIONS, _USERS, _USERS.c.id == _SESSIONS.c.user_id)
    .join(_KEYS, _KEYS.c.kid == bindparam("kid"))
    .where(_SESSIONS.c.id == bindparam("session_id"))
)
MACHINE_COLUMNS = (_MACHINES.name, _MACHINES.permissions, _MACHINES.disabled, _MACHINES.expires_at)
_MACHINE = select(*MACHINE_COLUMNS).where(_MACHINES.token_hash == bindparam("token_hash"))


async def admit(session: AsyncSession, runtime: Runtime, request: Request, permission: Permission) -> Caller:
    """Let a caller pass who is signed in and holds the permission.

    Raises:
        WatchfloorError: NOT_AUTHENTICATED or NOT_ALLOWED, recorded in the audit log.
    """
    caller = await authenticate(session, runtime, request)
    request.state.caller = caller  # before the check: a refusal is recorded in the caller's name
    if permission not in caller.permissions:
        require(caller, permission, route=f"{request.method} {short_path(request)}")
    return caller


def require(caller: Caller, permission: Permission, *, route: str) -> None:
    """Let a caller pass who holds the permission; `route` is what they called, for the audit log.

    Raises:
        WatchfloorError: NOT_ALLOWED, recorded in the audit log.
    """
    if permission in caller.permissions:
        return
    raise WatchfloorError(
        ErrorCode.NOT_ALLOWED,
        f"This needs the permission {permission.value}, which {caller.role} does not hold.",
        audit=AuditDraft(
            event_type="auth.permission.denied",
            action=route,
            resource_type="permission",
            resource_id=permission.value,
            result=AuditResult.DENIED,
            error_message=f"{caller.role} lacks {permission.value}",
        ),
    )


async def authenticate(session: AsyncSession, runtime: Runtime, request: Request) -> Caller:
    """Work out who is calling, with one query.

    The session's row is read each time, so that signing out or disabling an account counts at once on every backend.

    Raises:
        WatchfloorError: NOT_AUTHENTICATED without a valid token; NOT_ALLOWED from an address the role may not use.
    """
    anonymous = caller_of(request)
    token = bearer_of(request)
    if not token:
        raise _not_signed_in(request, "sent no token")
    try:
        if token.startswith(tokens.SERVICE_PREFIX):
            return await _service_caller(session, runtime, token, anonymous)
        caller = await _user_caller(session, runtime, token, anonymous)
    except tokens.BadTokenError as error:
        raise _not_signed_in(request, f"the token {error}") from error
    role = runtime.policy.roles.get(caller.role)
    if role is not None and not may_come_from(role, runtime.policy.sign_in.watchfloor, caller.ip):
        request.state.caller = caller
        raise _from_elsewhere(caller, request)
    return caller


def admit_by_token_alone(
    runtime: Runtime, request: Request, permission: Permission = Permission.FREEZE_OPERATIONS
) -> Caller:
    """Let a caller freeze, or see freezes, while the database is away: by the token's signature and what was known.

    Raises:
        WatchfloorError: UNAVAILABLE if they cannot be told, or do not hold the permission.
    """
    caller = caller_by_token_alone(runtime, request, bearer_of(request), permission)
    request.state.caller = caller
    return caller


async def still_signed_in(session: AsyncSession, runtime: Runtime, caller: Caller) -> bool:
    """Whether a caller let through earlier would still be: for connections that stay open, such as the stream."""
    now = runtime.clock.now()
    if caller.session_id is None:
        name = caller.subject.partition(":")[2]
        found = await session.scalar(
            select(ServiceToken.id).where(
                ServiceToken.name == name, ServiceToken.disabled.is_(False), ServiceToken.expires_at > now
            )
        )
    else:
        found = await session.scalar(
            select(Session.id)
            .join(User, User.id == Session.user_id)
            .where(
                Session.id == UUID(caller.session_id),
                Session.ended_at.is_(None),
                Session.expires_at > now,
                User.disabled.is_(False),
                User.role == caller.role,
            )
        )
    return found is not None


async def no_longer_signed_in(
    session: AsyncSession, runtime: Runtime, callers: Iterable[Caller], permission: Permission
) -> frozenset[tuple[str, str | None]]:
    """Those of many callers, by identity, whose connections end: machines by one query, people one by one."""
    machines, ended = set(), set()
    for caller in callers:
        if caller.session_id is None:
            machines.add(caller.subject)
        elif not await still_signed_in(session, runtime, caller):
            ended.add(caller.identity)
    rows = await session.execute(
        select(ServiceToken.name).where(
            ServiceToken.name.in_([subject.partition(":")[2] for subject in machines]),
            ServiceToken.disabled.is_(False),
            ServiceToken.expires_at > runtime.clock.now(),
            ServiceToken.permissions.contains([permission.value]),
        )
    )
    gone = machines - {f"{_MACHINE_PREFIX}{name}" for (name,) in rows}
    return frozenset(ended | {(subject, None) for subject in gone})


async def accounts_waiting(session: AsyncSession, now: datetime) -> int:
    """How many accounts have to wait before they may try to sign in again, after too many failures."""
    waiting = select(func.count()).where(User.locked_until > now, User.disabled.is_(False))
    return (await session.execute(waiting)).scalar_one()


async def forget_account(session: AsyncSession, runtime: Runtime, name: str, *, stand_in: str) -> None:
    """Shut the account of an erased person for good, under a stand-in, and drop where they signed in from."""
    user = await session.scalar(select(User).where(User.username == name).with_for_update())
    if user is None:
        return
    user.username, user.disabled, user.password_hash, user.totp_secret = stand_in, True, "", ""
    ended = func.coalesce(Session.ended_at, runtime.clock.now())
    gone = update(Session).where(Session.user_id == user.id).values(ip_address=None, user_agent=None, ended_at=ended)
    await session.execute(gone)


async def who_am_i(session: AsyncSession, caller: Caller) -> WhoAmI:
    """The caller as it sees itself."""
    expires_at = None
    if caller.session_id is not None:
        expires_at = await session.scalar(select(Session.expires_at).where(Session.id == UUID(caller.session_id)))
    return WhoAmI(
        username=caller.subject,
        role=caller.role,
        permissions=caller.permissions,
        session_id=caller.session_id,
        expires_at=expires_at,
    )


def bearer_of(request: Request) -> str:
    """The token a request carries; empty for none that could be one."""
    scheme, _, token = request.headers.get("authorization", "").partition(" ")
    token = token.strip()
    return token if scheme.lower() == "bearer" and len(token) <= tokens.MAX_TOKEN_CHARS else ""


async def _user_caller(session: AsyncSession, runtime: Runtime, token: str, anonymous: Caller) -> Caller:
    claimed = tokens.read_unverified(token)
    row = (await session.execute(_SIGNED_IN, {"session_id": claimed.session_id, "kid": claimed.kid})).one_or_none()
    if row is None:
        raise tokens.BadTokenError("names no session of ours")
    now = runtime.clock.now()
    claims = tokens.verify(token, row.private_key, now)
    longest = timedelta(hours=runtime.policy.session_hours)
    if row.retired_at is not None and now > row.retired_at + longest:
        raise tokens.BadTokenError("was signed with a key retired long ago")
    if claims["username"] != row.username:
        raise tokens.BadTokenError("belongs to somebody else's session")
    if row.ended_at is not None or now >= row.expires_at:
        raise tokens.BadTokenError("belongs to a session that has ended")
    if row.disabled:
        raise tokens.BadTokenError("belongs to a disabled account")
    return user_caller(runtime, row.username, row.role, str(claimed.session_id), anonymous)


def user_caller(runtime: Runtime, username: str, role_name: str, session_id: str | None, anonymous: Caller) -> Caller:
    """The caller a person becomes by signing in; what they may do is the policy's word of today, not the token's."""
    role = runtime.policy.roles.get(role_name)
    return replace(
        anonymous,
        subject=username,
        kind="user",
        role=role_name,
        permissions=role.permissions if role else frozenset(),
        session_id=session_id,
    )


async def _service_caller(session: AsyncSession, runtime: Runtime, token: str, anonymous: Caller) -> Caller:
    found = await session.execute(_MACHINE, {"token_hash": tokens.service_token_hash(token)})
    row = found.one_or_none()
    if row is None or row.disabled or runtime.clock.now() >= row.expires_at:
        raise tokens.BadTokenError("is no machine's token, or has ended")
    return machine_caller(row.name, tuple(row.permissions), anonymous)


def machine_caller(name: str, permissions: tuple[str, ...], anonymous: Caller) -> Caller:
    """The caller a machine becomes by its token."""
    return replace(
        anonymous,
        subject=f"{_MACHINE_PREFIX}{name}",
        kind="service",
        role="service",
        permissions=_permissions(permissions),
    )


@lru_cache(maxsize=64)
def _permissions(names: tuple[str, ...]) -> frozenset[Permission]:
    return frozenset(Permission(name) for name in names)


def _not_signed_in(request: Request, why: str) -> WatchfloorError:
    return WatchfloorError(
        ErrorCode.NOT_AUTHENTICATED,
        "You are not signed in, or your session has ended.",
        hint="Sign in again.",
        audit=_refusal(request, why),
    )


def _from_elsewhere(caller: Caller, request: Request) -> WatchfloorError:
    return WatchfloorError(
        ErrorCode.NOT_ALLOWED,
        f"{caller.role} may not be used from {caller.ip}.",
        hint="Connect from a network that the policy names for this role.",
        audit=_refusal(request, f"{caller.role} may not be used from there"),  # the address is sealed
    )


def _refusal(request: Request, why: str) -> AuditDraft:
    return AuditDraft(
        event_type="auth.request.refused",
        action=f"{request.method} {short_path(request)}",
        resource_type="route",
        resource_id=short_path(request),
        result=AuditResult.DENIED,
        error_message=why,
    )
