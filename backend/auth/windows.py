"""Access windows: when somebody whose role has `time_based_access` may come in. Granted by another, never by oneself.

A window opens and closes by the clock: what is written here only says when. Sessions left over when the last window
closes are ended, so that the next one needs a new sign-in.
"""

from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import exists, select, update
from sqlalchemy.ext.asyncio import AsyncSession

from backend.audit import service as audit
from backend.audit.service import AuditDraft
from backend.auth import access_people as people
from backend.auth.access_tables import AccessWindow as WindowRow
from backend.auth.tables import Session, User
from backend.context import Caller, Runtime, system_caller
from backend.db import after_commit
from backend.errors import WatchfloorError
from backend.lookup import row_named
from backend.paging import cut_page, newest_first
from contract.access import AccessWindow, AccessWindowRequest, WindowState
from contract.base import Page
from contract.errors import ErrorCode

LOCAL = "local"
"""Who granted a window at the command line beside the database."""
_WINDOW_CLOSED = "access.window.closed"
_WINDOW_GRANTED = "access.window.granted"
_WINDOW_REVOKED = "access.window.revoked"
_CALLER = system_caller("access-monitor")


async def grant(session: AsyncSession, runtime: Runtime, caller: Caller, asked: AccessWindowRequest) -> AccessWindow:
    """Let somebody in for a time; it counts from the commit on.

    Raises:
        WatchfloorError: NOT_FOUND for an account that is not there; SECOND_PERSON_REQUIRED for one's own;
            INVALID_REQUEST for a time that is over, turned round or longer than the policy allows; REFUSED_BY_POLICY
            for an account whose role needs no window.
    """
    ident, now = runtime.clock.new_id(), runtime.clock.now()
    draft = _draft(_WINDOW_GRANTED, str(ident))
    by = None if caller.kind == "system" else await people.acting(session, caller, draft)
    user = await people.account_named(session, asked.account)
    if user.id == by:
        raise people.refused(
            ErrorCode.SECOND_PERSON_REQUIRED, "Nobody lets themselves in: somebody else has to.", draft
        )
    _check_role(runtime, user)
    starts_at = asked.starts_at or now
    _check_time(runtime, starts_at, asked.ends_at, now)
    row = WindowRow(
        id=ident,
        user_id=user.id,
        starts_at=starts_at,
        ends_at=asked.ends_at,
        reason=await people.kept_reason(session, runtime, asked.reason),
        granted_by=by,
        granted_at=now,
    )
    session.add(row)
    told = {"account": user.username, "from": starts_at, "until": asked.ends_at, "reason": asked.reason}
    await audit.record(session, runtime, caller, _draft(_WINDOW_GRANTED, str(ident), told))
    after_commit(session, runtime.callers.stale.set)
    await session.flush()
    return (await _wire(session, [row], now))[0]


async def ensure_open(session: AsyncSession, runtime: Runtime, caller: Caller, *, name: str, reason: str) -> None:
    """Let an account in for as long as may be granted at once, unless it can come in already. For the demo.

    Raises:
        WatchfloorError: NOT_FOUND for an account that is not there or disabled.
    """
    user = await people.account_named(session, name)
    if not await is_let_in(session, runtime, user):
        until = runtime.clock.now() + timedelta(days=runtime.policy.access.windows.longest_days)
        await grant(session, runtime, caller, AccessWindowRequest(account=name, ends_at=until, reason=reason))


async def revoke(session: AsyncSession, runtime: Runtime, caller: Caller, ident: str, reason: str) -> AccessWindow:
    """Close a window now, or keep it from opening; open sessions end with it.

    Raises:
        WatchfloorError: NOT_FOUND; CONFLICT if it is closed or revoked already; NOT_ALLOWED for anything but a person.
    """
    row = await row_named(session, WindowRow, "access window", ident, lock=True)
    by = await people.acting(session, caller, _draft(_WINDOW_REVOKED, str(row.id)))
    now = runtime.clock.now()
    if row.revoked_at is not None or row.ends_at <= now:
        raise WatchfloorError(ErrorCode.CONFLICT, "That window is closed already.")
    row.revoked_by, row.revoked_at, row.ends_at = by, now, now
    told = {"account": (await people.names_of(session, [row.user_id]))[row.user_id], "reason": reason}
    await audit.record(session, runtime, caller, _draft(_WINDOW_REVOKED, str(row.id), told))
    await session.flush()
    await end_sessions_outside(session, runtime)
    after_commit(session, runtime.callers.stale.set)
    return (await _wire(session, [row], now))[0]


async def list_windows(
    session: AsyncSession, runtime: Runtime, *, closed: bool, cursor: str | None, limit: int
) -> Page[AccessWindow]:
    """Windows, the newest granted first; those that are closed or revoked only if asked for."""
    now = runtime.clock.now()
    query = select(WindowRow) if closed else select(WindowRow).where(WindowRow.ends_at > now)
    query = newest_first(query, WindowRow.granted_at, WindowRow.id, cursor, limit)
    rows, more = cut_page((await session.scalars(query)).all(), limit, lambda row: (row.granted_at, row.id))
    return Page(items=await _wire(session, list(rows), now), next_cursor=more)


async def is_let_in(session: AsyncSession, runtime: Runtime, user: User) -> bool:
    """Whether somebody may sign in now, as far as windows go."""
    role = runtime.policy.roles.get(user.role)
    if role is None or not role.restrictions.time_based_access:
        return True
    return await session.scalar(select(_open_for(user.id, runtime.clock.now()))) or False


async def end_sessions_outside(session: AsyncSession, runtime: Runtime) -> int:
    """End the sessions of accounts that need an open window and have none; returns how many that were."""
    timed = [name for name, role in runtime.policy.roles.items() if role.restrictions.time_based_access]
    now = runtime.clock.now()
    if not timed:
        return 0
    ended = await session.execute(
        update(Session)
        .where(
            Session.ended_at.is_(None),
            Session.expires_at > now,
            User.id == Session.user_id,
            User.role.in_(timed),
            ~_open_for(User.id, now),
        )
        .values(ended_at=now)
        .returning(User.username)
    )
    sessions: dict[str, int] = {}
    for (name,) in ended:
        sessions[name] = sessions.get(name, 0) + 1
    for name, number in sessions.items():
        told = {"sessions_ended": number}
        action = "end sessions outside access windows"
        draft = AuditDraft(_WINDOW_CLOSED, action, "user", name, new_value=told)
        await audit.record(session, runtime, _CALLER, draft)
    if sessions:
        after_commit(session, runtime.callers.stale.set)
    return sum(sessions.values())


def _open_for(user_id: Any, now: datetime) -> Any:
    return exists().where(WindowRow.user_id == user_id, WindowRow.starts_at <= now, WindowRow.ends_at > now)


def _check_role(runtime: Runtime, user: User) -> None:
    role = runtime.policy.roles.get(user.role)
    if role is None or not role.restrictions.time_based_access:
        raise WatchfloorError(
            ErrorCode.REFUSED_BY_POLICY,
            f"{user.role} needs no access window: it is not restricted to one.",
            hint="The policy says which roles are: time_based_access.",
        )


def _check_time(runtime: Runtime, starts_at: datetime, ends_at: datetime, now: datetime) -> None:
    days = runtime.policy.access.windows.longest_days
    if ends_at <= starts_at or ends_at <= now:
        raise WatchfloorError(ErrorCode.INVALID_REQUEST, "A window ends after it starts, and not in the past.")
    if ends_at - starts_at > timedelta(days=days):
        raise WatchfloorError(
            ErrorCode.INVALID_REQUEST, f"A window is at most {days} days long.", hint="Grant another one after it."
        )


def _state(row: WindowRow, now: datetime) -> WindowState:
    if row.revoked_at is not None:
        return WindowState.REVOKED
    if row.ends_at <= now:
        return WindowState.CLOSED
    return WindowState.OPEN if row.starts_at <= now else WindowState.AHEAD


async def _wire(session: AsyncSession, rows: list[WindowRow], now: datetime) -> list[AccessWindow]:
    idents = [ident for row in rows for ident in (row.user_id, row.granted_by, row.revoked_by)]
    named = await people.names_of(session, idents)
    reasons = await people.told_reasons(session, {str(row.id): row.reason for row in rows})
    return [
        AccessWindow(
            id=str(row.id),
            account=named[row.user_id],
            state=_state(row, now),
            starts_at=row.starts_at,
            ends_at=row.ends_at,
            reason=reasons.get(str(row.id), ""),
            granted_by=named.get(row.granted_by, LOCAL),
            granted_at=row.granted_at,
            revoked_by=named.get(row.revoked_by),
            revoked_at=row.revoked_at,
        )
        for row in rows
    ]


def _draft(event: str, ident: str, told: dict[str, Any] | None = None) -> AuditDraft:
    action = "grant an access window" if event is _WINDOW_GRANTED else "revoke an access window"
    plain = {name: value.isoformat() if isinstance(value, datetime) else value for name, value in (told or {}).items()}
    return AuditDraft(event, action, "access_window", ident, new_value=plain or None)
