"""Signing in and out. A refused sign-in never says which factor was wrong; the audit log does."""

from dataclasses import dataclass
from datetime import timedelta
from uuid import UUID

from sqlalchemy import select, update
from sqlalchemy.ext.asyncio import AsyncSession

from backend.audit import service as audit
from backend.audit.service import AuditDraft
from backend.auth import passwords, tokens, totp
from backend.auth.service import user_caller
from backend.auth.tables import Session, User
from backend.context import Caller, Runtime
from backend.db import after_commit
from backend.errors import WatchfloorError
from backend.policy.access import may_come_from
from contract.audit import AuditResult
from contract.auth import LoginAnswer, LoginRequest
from contract.errors import ErrorCode


@dataclass(frozen=True, slots=True)
class _Checked:
    """What the slow part found, before the account's row is locked."""

    username: str
    stored_hash: str | None
    password_fits: bool


async def log_in(
    session: AsyncSession, runtime: Runtime, anonymous: Caller, request: LoginRequest
) -> LoginAnswer | None:
    """Sign in with password and code; None when refused.

    A refusal is an answer, not an exception: its count and its audit entry are committed with this transaction.

    Raises:
        WatchfloorError: RATE_LIMITED when too many sign-ins are in hand.
    """
    checked = await _check_password(runtime, request)
    user = await session.scalar(select(User).where(User.username == checked.username).with_for_update())
    if user is None:
        await _record_failure(session, runtime, anonymous, None, "unknown account")
        return None
    step = totp.matching_step(
        user.totp_secret,
        request.totp,
        now=runtime.clock.now(),
        tolerance=runtime.policy.sign_in.watchfloor.totp_steps_of_tolerance,
        after=user.last_totp_step,
    )
    reason = _reason_to_refuse(runtime, user, checked, step, anonymous.ip)
    if reason is not None or step is None:
        await _record_failure(session, runtime, anonymous, user, reason or "code")
        return None
    user.last_totp_step, user.failed_logins, user.locked_until = step, 0, None
    if passwords.is_outdated(user.password_hash):
        user.password_hash = await passwords.hashed(request.password)
    return await open_session(session, runtime, anonymous, user)


async def _check_password(runtime: Runtime, request: LoginRequest) -> _Checked:
    username = request.username.strip().lower()
    # a read of its own: no connection is held while the hash is computed, or a burst of sign-ins starves the floor
    async with runtime.database.read() as reading:
        stored = await reading.scalar(select(User.password_hash).where(User.username == username))
    return _Checked(username, stored, await passwords.matches(stored, request.password))


def _reason_to_refuse(runtime: Runtime, user: User, checked: _Checked, step: int | None, ip: str | None) -> str | None:
    role = runtime.policy.roles.get(user.role)
    rules = runtime.policy.sign_in.watchfloor
    refusals = {
        "waiting after failures": user.locked_until is not None and runtime.clock.now() < user.locked_until,
        "password": not checked.password_fits or checked.stored_hash != user.password_hash,
        "code": step is None,
        "disabled account": user.disabled,
        "role not in the policy": role is None,
        "address": role is not None and not may_come_from(role, rules, ip),
    }
    return next((reason for reason, holds in refusals.items() if holds), None)


async def _record_failure(
    session: AsyncSession, runtime: Runtime, anonymous: Caller, user: User | None, reason: str
) -> None:
    now = runtime.clock.now()
    waiting = user is not None and user.locked_until is not None and now < user.locked_until
    if user is not None and not waiting:  # failures while waiting do not prolong the wait
        user.failed_logins += 1
        wait_s = runtime.policy.sign_in.watchfloor.wait_seconds(user.failed_logins)
        user.locked_until = now + timedelta(seconds=wait_s) if wait_s else None
    draft = AuditDraft(
        event_type="auth.login.failed",
        action="log in",
        resource_type="user",
        # a name without an account may be a password typed into the wrong field: it is not kept
        resource_id=user.username if user else None,
        result=AuditResult.FAILURE,
        error_message=reason,
        metadata={"failures": user.failed_logins} if user else {},
    )
    await audit.record(session, runtime, anonymous, draft)


async def open_session(session: AsyncSession, runtime: Runtime, anonymous: Caller, user: User) -> LoginAnswer:
    """Start a session for somebody whose identity is established, and record it."""
    now = runtime.clock.now()
    row = Session(
        id=runtime.clock.new_id(),
        user_id=user.id,
        created_at=now,
        expires_at=now + timedelta(hours=runtime.policy.session_hours),
        ip_address=anonymous.ip,
        user_agent=anonymous.user_agent,
    )
    session.add(row)
    caller = user_caller(runtime, user.username, user.role, str(row.id), anonymous)
    claims = {
        "user_id": str(user.id),
        "username": user.username,
        "role": user.role,
        "permissions": sorted(permission.value for permission in caller.permissions),
        "exp": int(row.expires_at.timestamp()),
        "iat": int(now.timestamp()),
        "session_id": str(row.id),
    }
    token = tokens.sign(claims, await tokens.current_key(session, runtime))
    draft = AuditDraft(
        event_type="auth.login.succeeded", action="log in", resource_type="session", resource_id=str(row.id)
    )
    await audit.record(session, runtime, caller, draft)
    after_commit(session, runtime.callers.stale.set)
    return LoginAnswer(token=token, expires_at=row.expires_at)


async def log_out(session: AsyncSession, runtime: Runtime, caller: Caller) -> None:
    """End the caller's session; its token is worthless from the commit on.

    Raises:
        WatchfloorError: INVALID_REQUEST for a machine's token, which has no session.
    """
    if caller.session_id is None:
        raise WatchfloorError(ErrorCode.INVALID_REQUEST, "A machine's token has no session to end.")
    await session.execute(
        update(Session)
        .where(Session.id == UUID(caller.session_id), Session.ended_at.is_(None))
        .values(ended_at=runtime.clock.now())
    )
    draft = AuditDraft(
        event_type="auth.logout.done", action="log out", resource_type="session", resource_id=caller.session_id
    )
    await audit.record(session, runtime, caller, draft)
    after_commit(session, runtime.callers.stale.set)
