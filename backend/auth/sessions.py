"""Sessions as people see them: which there are, and ending them. What a token is worth is `service`'s to say.

Ending counts from the commit on: the next request of the session is refused on every backend, and what it has open
there is cut by `watching` within a second.
"""

from collections.abc import Iterable, Sequence
from typing import Any, Final
from uuid import UUID

from sqlalchemy import ColumnElement, select, update
from sqlalchemy.ext.asyncio import AsyncSession

from backend.audit import service as audit
from backend.audit.service import AuditDraft
from backend.auth import presence
from backend.auth.tables import Session, User
from backend.context import Caller, Runtime
from backend.db import after_commit
from backend.errors import known_ident, not_found
from backend.paging import MAX_PAGE_ROWS, cut_page, newest_first
from contract.auth import Factor
from contract.base import Page
from contract.permissions import Permission
from contract.sessions import SessionEnd, SessionInfo, SessionsEnded, SessionState

_EVENT: Final = "auth.session.ended"
_WHAT: Final = "session"
_KNOWN_FACTORS: Final = frozenset(factor.value for factor in Factor)


def why_ended(runtime: Runtime, reason: str | None) -> str:
    """What somebody whose session has ended is told; empty if there is nothing to add."""
    match reason:
        case SessionEnd.REPLACED.value:
            most = runtime.policy.sessions.most_per_person
            return f"Your session was ended: you signed in elsewhere, and nobody has more than {most} at once."
        case SessionEnd.ENDED.value:
            return "Your session was ended: you ended it from another one."
        case SessionEnd.REVOKED.value:
            return "Your session was ended by somebody who may end other people's sessions."
        case SessionEnd.KEY_REPLACED.value:
            return "Your session was ended: the key that signs sessions was replaced."
        case _:
            return ""


async def own(session: AsyncSession, runtime: Runtime, caller: Caller) -> Page[SessionInfo]:
    """The caller's sessions that have not ended, newest first."""
    rows = (await session.execute(_open(runtime, User.username == caller.subject).limit(MAX_PAGE_ROWS))).all()
    return Page(items=[_wire(runtime, caller, row, user) for row, user in rows])


async def everybodys(
    session: AsyncSession, runtime: Runtime, caller: Caller, *, account: str | None, cursor: str | None, limit: int
) -> Page[SessionInfo]:
    """Sessions of everybody, or of one account, that have not ended, newest first.

    Where others came from, and with what, is told only to whoever may reveal personal data.
    """
    whose = [User.username == account.strip().lower()] if account is not None else []
    query = newest_first(_open(runtime, *whose).order_by(None), Session.created_at, Session.id, cursor, limit)
    rows, more = cut_page(
        (await session.execute(query)).all(), limit, lambda row: (row.Session.created_at, row.Session.id)
    )
    return Page(items=[_wire(runtime, caller, row, user) for row, user in rows], next_cursor=more)


async def end_own(session: AsyncSession, runtime: Runtime, caller: Caller, ident: str) -> SessionsEnded:
    """End one of the caller's sessions.

    Raises:
        WatchfloorError: NOT_FOUND for one that has ended or is somebody else's.
    """
    return await _end_one(session, runtime, caller, ident, User.username == caller.subject)


async def end_own_others(session: AsyncSession, runtime: Runtime, caller: Caller) -> SessionsEnded:
    """End all of the caller's sessions but the one that asks."""
    conditions = [User.username == caller.subject]
    if caller.session_id is not None:
        conditions.append(Session.id != UUID(caller.session_id))
    return await _end(session, runtime, caller, SessionEnd.ENDED, *conditions)


async def end_anybodys(session: AsyncSession, runtime: Runtime, caller: Caller, ident: str) -> SessionsEnded:
    """End one session of anybody.

    Raises:
        WatchfloorError: NOT_FOUND for one that has ended or never was.
    """
    return await _end_one(session, runtime, caller, ident)


async def end_all_of(session: AsyncSession, runtime: Runtime, caller: Caller, account: str) -> SessionsEnded:
    """End every session of an account.

    Raises:
        WatchfloorError: NOT_FOUND for an account that is not there.
    """
    name = account.strip().lower()
    if await session.scalar(select(User.id).where(User.username == name)) is None:
        raise not_found("account", account)
    reason = SessionEnd.ENDED if name == caller.subject else SessionEnd.REVOKED
    return await _end(session, runtime, caller, reason, User.username == name)


async def end_beyond(session: AsyncSession, runtime: Runtime, caller: Caller, user: User) -> None:
    """End the oldest sessions of somebody who has just signed in once more than the policy allows."""
    await session.flush()
    beyond = (
        select(Session.id)
        .where(Session.user_id == user.id, *_not_ended(runtime))
        .order_by(Session.created_at.desc(), Session.id.desc())
        .offset(runtime.policy.sessions.most_per_person)
    )
    idents = (await session.scalars(beyond)).all()
    if idents:
        await _end(session, runtime, caller, SessionEnd.REPLACED, Session.id.in_(idents))


async def _end_one(
    session: AsyncSession, runtime: Runtime, caller: Caller, ident: str, *conditions: ColumnElement[bool]
) -> SessionsEnded:
    wanted = known_ident(_WHAT, ident)
    named = (Session.id == wanted, *conditions, *_not_ended(runtime))
    query = select(User.username).join(Session, Session.user_id == User.id).where(*named)
    owner = await session.scalar(query)
    if owner is None:
        raise not_found(_WHAT, ident)
    reason = SessionEnd.ENDED if owner == caller.subject else SessionEnd.REVOKED
    return await _end(session, runtime, caller, reason, *named)


async def _end(
    session: AsyncSession, runtime: Runtime, caller: Caller, reason: SessionEnd, *conditions: ColumnElement[bool]
) -> SessionsEnded:
    ended = await session.execute(
        update(Session)
        .where(User.id == Session.user_id, *_not_ended(runtime), *conditions)
        .values(ended_at=runtime.clock.now(), end_reason=reason.value)
        .returning(Session.id, User.username)
        .execution_options(synchronize_session=False)
    )
    gone = ended.all()
    await _record(session, runtime, caller, reason, gone)
    if gone:
        after_commit(session, runtime.callers.stale.set)
    return SessionsEnded(sessions_ended=len(gone))


async def _record(
    session: AsyncSession, runtime: Runtime, caller: Caller, reason: SessionEnd, gone: Iterable[Any]
) -> None:
    for ident, name in gone:
        told = {"account": name, "reason": reason.value}
        await audit.record(
            session, runtime, caller, AuditDraft(_EVENT, "end session", _WHAT, str(ident), new_value=told)
        )


def _not_ended(runtime: Runtime) -> Sequence[ColumnElement[bool]]:
    return Session.ended_at.is_(None), Session.expires_at > runtime.clock.now()


def _open(runtime: Runtime, *conditions: ColumnElement[bool]) -> Any:
    return (
        select(Session, User)
        .join(User, User.id == Session.user_id)
        .where(*_not_ended(runtime), User.disabled.is_(False), *conditions)
        .order_by(Session.created_at.desc(), Session.id.desc())
    )


def _wire(runtime: Runtime, caller: Caller, row: Session, user: User) -> SessionInfo:
    sealed = user.username != caller.subject and Permission.REVEAL_PERSONAL_DATA not in caller.permissions
    used_at = max(row.last_used_at, runtime.present.get(str(row.id), row.last_used_at))
    return SessionInfo(
        id=str(row.id),
        account=user.username,
        role=user.role,
        state=SessionState.OPEN if presence.seconds_open(runtime, row) else SessionState.LOCKED,
        own=str(row.id) == caller.session_id,
        created_at=row.created_at,
        last_used_at=used_at,
        expires_at=row.expires_at,
        factors=[Factor(one) for one in row.factors if one in _KNOWN_FACTORS],
        ip_address=str(row.ip_address) if row.ip_address is not None and not sealed else None,
        user_agent=None if sealed else row.user_agent,
        sealed=sealed,
    )
