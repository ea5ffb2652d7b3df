"""Signing in, in one step or with a hardware key in two, and out. Judges no factor itself."""

from collections.abc import Callable, Sequence
from datetime import datetime, timedelta
from uuid import UUID

from sqlalchemy import update
from sqlalchemy.ext.asyncio import AsyncSession

from backend.audit import service as audit
from backend.audit.service import AuditDraft
from backend.auth import breakglass, sessions, tokens, waits
from backend.auth.challenges import answered, needs_key
from backend.auth.identity_tables import BreakGlass
from backend.auth.login_factors import NoChallenge, Shown, ask_for_key, judge, refuse
from backend.auth.service import user_caller
from backend.auth.tables import Session, User
from backend.context import Caller, Runtime
from backend.db import after_commit
from backend.errors import WatchfloorError
from backend.policy.access import may_come_from
from contract.auth import Factor, LoginAnswer, LoginRequest
from contract.errors import ErrorCode
from contract.hardware import HardwareAct, HardwareAnswer, HardwareChallenge


async def log_in(
    session: AsyncSession, runtime: Runtime, anonymous: Caller, request: LoginRequest, origin: Callable[[], str]
) -> LoginAnswer | HardwareChallenge | NoChallenge | None:
    """Sign in with password and code: a token, or what the hardware key of the account has to sign; None when refused.

    `origin` tells, or refuses, the backend's address as the client knows it; only a hardware key asks for it.

    A refusal is an answer, not an exception: its count and its audit entry are committed with this transaction, and so
    is the use of the code where the account has no key, or the address is not this backend's.

    Raises:
        WatchfloorError: RATE_LIMITED when too many sign-ins are in hand.
    """
    proved = await judge(session, runtime, anonymous, Shown(request.username, request.password, request.totp))
    if proved is None:
        return None
    if needs_key(runtime, proved.user.role):
        return await ask_for_key(session, runtime, anonymous, proved, act=HardwareAct.SIGN_IN, origin=origin)
    await waits.succeeded(session, runtime, proved.standing, anonymous.ip)
    return await open_session(session, runtime, anonymous, proved.user, proved.factors)


async def answer_key(
    session: AsyncSession, runtime: Runtime, anonymous: Caller, answer: HardwareAnswer
) -> LoginAnswer | str:
    """Sign in with the answer to a challenge that `log_in` gave; the sentence that says why not when refused.

    Whoever hears why has shown password and code already. As with `log_in`, a refusal is committed.
    """
    found = await answered(session, runtime, anonymous, answer, session_id=None)
    if found.user is None or found.row is None:
        return str(found.refusal)
    standing = await waits.standing(session, runtime, found.user, anonymous.ip)
    why = str(found.refusal) if found.refusal is not None else may_no_longer(runtime, found.user, anonymous.ip)
    if why:
        await refuse(session, runtime, anonymous, standing, f"hardware key: {why}", act="answer with hardware key")
        return why
    await waits.succeeded(session, runtime, standing, anonymous.ip)
    factors = (*(Factor(one) for one in found.row.factors), Factor.HARDWARE_KEY)
    return await open_session(session, runtime, anonymous, found.user, factors)


def may_no_longer(runtime: Runtime, user: User, ip: str | None) -> str:
    """Why an account that had passed the first step may not sign in after all; empty if it may."""
    role = runtime.policy.roles.get(user.role)
    if user.disabled or role is None or not may_come_from(role, runtime.policy.sign_in.watchfloor, ip):
        return "The account may no longer sign in from there."
    return ""


async def open_session(
    session: AsyncSession, runtime: Runtime, anonymous: Caller, user: User, factors: Sequence[Factor]
) -> LoginAnswer:
    """Start a session for somebody whose identity is established by these factors, and record it."""
    now = runtime.clock.now()
    row = Session(
        id=runtime.clock.new_id(),
        user_id=user.id,
        created_at=now,
        expires_at=await _ends_at(session, runtime, user),
        last_used_at=now,
        factors=[factor.value for factor in factors],
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
        event_type="auth.login.succeeded",
        action="log in",
        resource_type="session",
        resource_id=str(row.id),
        metadata={"factors": list(row.factors), **caller.connection_facts()},
    )
    await audit.record(session, runtime, caller, draft)
    await sessions.end_beyond(session, runtime, caller, user)
    after_commit(session, runtime.callers.stale.set)
    return LoginAnswer(token=token, expires_at=row.expires_at)


async def _ends_at(session: AsyncSession, runtime: Runtime, user: User) -> datetime:
    """When a session that begins now ends by itself: that of a break-glass account with its hours."""
    longest = runtime.clock.now() + timedelta(hours=runtime.policy.session_hours)
    if user.role != runtime.policy.identity.break_glass_role:
        return longest
    sealed = await session.get(BreakGlass, user.id)
    ends = breakglass.ends_at(runtime, sealed) if sealed is not None else None
    return min(longest, ends) if ends is not None else longest


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
