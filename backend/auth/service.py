"""Who is calling and what they may do: sign-in, sessions, machine tokens. Which role may do what is policy data."""

from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from uuid import UUID

from fastapi import Request
from sqlalchemy import bindparam, delete, func, select, update
from sqlalchemy.ext.asyncio import AsyncSession

from backend.audit.service import ROUTE_RESOURCE, AuditDraft, record
from backend.auth import machine_rows, presence, tokens
from backend.auth.access_people import account_named
from backend.auth.elevations_told import open_elevations
from backend.auth.fresh_key import require as require_fresh_key
from backend.auth.identity_tables import HardwareChallengeRow, HardwareKeyRow, KnownAddress, RecoveryCode
from backend.auth.known import caller_by_token_alone, keeping_known
from backend.auth.oidc_tables import SsoIdentity
from backend.auth.restrictions import Barrier, Refusal, Standing, is_watched, judge, lacks
from backend.auth.review_completion import review_completion
from backend.auth.sessions import why_ended
from backend.auth.standing import STANDING, no_longer_signed_in, standing_of, still_signed_in
from backend.auth.tables import Session, SigningKey, User
from backend.auth.watching import Watch
from backend.bearer import bearer_of
from backend.context import Caller, Runtime
from backend.demand import Demand, Effect
from backend.errors import WatchfloorError
from backend.http import caller_of, client_ip, short_path
from backend.limits_core import address_group, class_of
from backend.peer import comes_over
from contract.audit import AuditResult
from contract.auth import WhoAmI
from contract.errors import ErrorCode
from contract.permissions import Permission

__all__ = [
    "Watch", "account_named", "accounts_waiting", "admit", "admit_by_token_alone", "authenticate", "forget_account",
    "keeping_known", "no_longer_signed_in", "open_elevations", "require", "require_fresh_key", "review_completion",
    "still_signed_in", "user_caller", "who_am_i",
]  # fmt: skip

_SESSIONS, _USERS, _KEYS = Session.__table__, User.__table__, SigningKey.__table__
_EXPORT_DENIED = "audit.export.denied"
_ROUTE_READ = "access.route.read"
_FREEZING = Demand(Permission.FREEZE_OPERATIONS, Effect.FREEZES)
# Every request asks one of these two: made once, and of plain columns, which spares the mapping to objects.
_SIGNED_IN = (
    select(
        *STANDING,
        _KEYS.c.private_key,
        _KEYS.c.retired_at,
    )
    .join_from(_SESSIONS, _USERS, _USERS.c.id == _SESSIONS.c.user_id)
    .join(_KEYS, _KEYS.c.kid == bindparam("kid"))
    .where(_SESSIONS.c.id == bindparam("session_id"))
)
_MACHINE = select(*machine_rows.COLUMNS).where(machine_rows.sent_in())


async def admit(session: AsyncSession, runtime: Runtime, request: Request, demand: Demand) -> Caller:
    """Let a caller pass who is signed in, holds the permission, and whom no restriction of their role keeps out.

    The one place where restrictions are enforced while the database answers.

    Raises:
        WatchfloorError: NOT_AUTHENTICATED or NOT_ALLOWED, recorded in the audit log.
    """
    found = await authenticate(session, runtime, request)
    request.state.caller = found.caller  # before the check: a refusal is recorded in the caller's name
    route = f"{request.method} {short_path(request)}"
    if found.standing is None:
        require(found.caller, demand.permission, route=route)
        return found.caller
    refusal = judge(demand, found.standing, runtime.policy.sign_in.watchfloor)
    if refusal is not None:
        raise _refused(refusal, demand, request, route)
    if found.last_used_at is not None and not found.standing.locked:
        presence.note(runtime, request, demand, found.caller, found.last_used_at)
    if is_watched(demand, found.standing.role):
        await record(session, runtime, found.caller, _watched(request, route))
    return found.caller


def require(caller: Caller, permission: Permission, *, route: str) -> None:
    """Let a caller pass who holds the permission; `route` is what they called, for the audit log.

    Raises:
        WatchfloorError: NOT_ALLOWED, recorded in the audit log.
    """
    if permission not in caller.permissions:
        raise _lacking(lacks(permission, caller.role), permission, route)


def _refused(refusal: Refusal, demand: Demand, request: Request, route: str) -> WatchfloorError:
    match refusal.barrier:
        case Barrier.PERMISSION | Barrier.READ_ONLY:
            return _lacking(refusal, demand.permission, route)
        case Barrier.EXPORT:
            draft = AuditDraft(
                _EXPORT_DENIED,
                route,
                resource_type=ROUTE_RESOURCE,
                resource_id=short_path(request),
                result=AuditResult.DENIED,
                error_message=refusal.told,
            )
        case _:
            draft = _refusal(request, refusal.told)
    code = ErrorCode.SESSION_LOCKED if refusal.barrier is Barrier.LOCKED else ErrorCode.NOT_ALLOWED
    return WatchfloorError(code, refusal.message, hint=refusal.hint, audit=draft)


def _lacking(refusal: Refusal, permission: Permission, route: str) -> WatchfloorError:
    draft = AuditDraft(
        event_type="auth.permission.denied",
        action=route,
        resource_type="permission",
        resource_id=permission.value,
        result=AuditResult.DENIED,
        error_message=refusal.told,
    )
    return WatchfloorError(ErrorCode.NOT_ALLOWED, refusal.message, hint=refusal.hint, audit=draft)


def _watched(request: Request, route: str) -> AuditDraft:
    """What a watched role read: the route and what it named, neither the question's details nor the answer."""
    return AuditDraft(_ROUTE_READ, route, resource_type=ROUTE_RESOURCE, resource_id=short_path(request))


@dataclass(frozen=True, slots=True)
class SignedIn:
    """Who calls, and a person's standing; a machine has none, its permissions are all there is."""

    caller: Caller
    standing: Standing | None
    last_used_at: datetime | None = None
    """When a person last used the session."""


class _EndedError(tokens.BadTokenError):
    """The token was good, and its session has ended."""

    def __init__(self, why: str) -> None:
        super().__init__("belongs to a session that has ended")
        self.why = why
        """For its holder; empty if there is nothing to add."""


async def authenticate(session: AsyncSession, runtime: Runtime, request: Request) -> SignedIn:
    """Work out who is calling, with one query.

    The session's row is read each time, so that signing out or disabling an account counts at once on every backend.

    Raises:
        WatchfloorError: NOT_AUTHENTICATED without a valid token.
    """
    anonymous = caller_of(request)
    token = bearer_of(request)
    if not token:
        raise _not_signed_in(request, "sent no token")
    try:
        if token.startswith(tokens.SERVICE_PREFIX):
            return SignedIn(await _service_caller(session, runtime, token, anonymous), None)
        return await _user_caller(session, runtime, token, anonymous)
    except _EndedError as error:
        raise _not_signed_in(request, f"the token {error}", error.why) from error
    except tokens.BadTokenError as error:
        raise _not_signed_in(request, f"the token {error}") from error


def admit_by_token_alone(runtime: Runtime, request: Request, demand: Demand = _FREEZING) -> Caller:
    """Let a caller act while the database is away: by their token's signature and what was last known.

    Raises:
        WatchfloorError: UNAVAILABLE if they cannot be told, or do not hold the permission.
    """
    caller = caller_by_token_alone(runtime, request, bearer_of(request), demand)
    request.state.caller = caller
    return caller


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
    user.totp_pending = None
    for factors in (RecoveryCode, KnownAddress, HardwareChallengeRow, HardwareKeyRow, SsoIdentity):
        await session.execute(delete(factors).where(factors.user_id == user.id))
    ended = func.coalesce(Session.ended_at, runtime.clock.now())
    gone = update(Session).where(Session.user_id == user.id).values(ip_address=None, user_agent=None, ended_at=ended)
    await session.execute(gone)


async def who_am_i(session: AsyncSession, runtime: Runtime, caller: Caller) -> WhoAmI:
    """The caller as it sees itself, with what is left until its session locks."""
    row = None
    if caller.session_id is not None:
        of_session = select(Session, User.must_enrol).join(User, User.id == Session.user_id)
        row = (await session.execute(of_session.where(Session.id == UUID(caller.session_id)))).one_or_none()
    return WhoAmI(
        username=caller.subject,
        role=caller.role,
        permissions=caller.permissions,
        session_id=caller.session_id,
        expires_at=row.Session.expires_at if row else None,
        must_enrol=row.must_enrol if row else False,
        locks_in_seconds=presence.seconds_open(runtime, row.Session) if row else None,
        locks_after_seconds=int(runtime.policy.sessions.idle.total_seconds()) if row else None,
        locked=row is not None and presence.seconds_open(runtime, row.Session) == 0,
    )


async def _user_caller(session: AsyncSession, runtime: Runtime, token: str, anonymous: Caller) -> SignedIn:
    claimed = tokens.read_unverified(token)
    now = runtime.clock.now()
    asked = {"session_id": claimed.session_id, "kid": claimed.kid, "now": now}
    row = (await session.execute(_SIGNED_IN, asked)).one_or_none()
    if row is None:
        raise tokens.BadTokenError("names no session of ours")
    claims = tokens.verify(token, row.private_key, now)
    longest = timedelta(hours=runtime.policy.session_hours)
    if row.retired_at is not None and now > row.retired_at + longest:
        raise tokens.BadTokenError("was signed with a key retired long ago")
    if claims["username"] != row.username:
        raise tokens.BadTokenError("belongs to somebody else's session")
    if row.ended_at is not None or now >= row.expires_at:
        raise _EndedError(why_ended(runtime, row.end_reason))
    if row.disabled:
        raise tokens.BadTokenError("belongs to a disabled account")
    standing = standing_of(runtime, row, anonymous.ip)
    caller = user_caller(runtime, row.username, row.role, str(claimed.session_id), anonymous)
    if standing is None:
        return SignedIn(caller, None)
    if standing.elevated:
        caller = replace(caller, permissions=standing.permissions)
    return SignedIn(caller, standing, row.last_used_at)


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
    digest, now = tokens.service_token_hash(token), runtime.clock.now()
    row = (await session.execute(_MACHINE, {"hashes": [digest]})).first()
    if row is None or not machine_rows.lets_in(row, digest, now):
        raise tokens.BadTokenError("is no machine's token, or has ended")
    if not comes_over(anonymous.peer, row.client_certificate, now):
        raise tokens.BadTokenError("came without the certificate it is bound to")
    machine_rows.note_use(runtime, row, digest, now)
    return machine_rows.caller_of_row(row, digest, anonymous)


def _not_signed_in(request: Request, why: str, told: str = "") -> WatchfloorError:
    return WatchfloorError(
        ErrorCode.NOT_AUTHENTICATED,
        told or "You are not signed in, or your session has ended.",
        hint="Sign in again.",
        audit=_folded(request, why),
    )


def _folded(request: Request, why: str) -> AuditDraft | None:
    """The entry of an unknown caller's refusal; on a route that is never limited one a minute, with their number."""
    draft = _refusal(request, why)
    if class_of(request.method, request.url.path) is not None:
        return draft
    runtime: Runtime = request.app.state.runtime
    reason = f"{request.method} {getattr(request.scope.get('route'), 'path', '')} {why}"  # templates: there are few
    kind = address_group(client_ip(request) or ""), reason
    untold = runtime.unknown_refused.tell(kind, runtime.clock.monotonic())
    if untold is None:
        return None
    return replace(draft, metadata={"refused_since_last_told": untold}) if untold else draft


def _refusal(request: Request, why: str) -> AuditDraft:
    return AuditDraft(
        event_type="auth.request.refused",
        action=f"{request.method} {short_path(request)}",
        resource_type="route",
        resource_id=short_path(request),
        result=AuditResult.DENIED,
        error_message=why,
    )
