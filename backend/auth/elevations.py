"""Elevations: permissions for a time. Asked for with a reason, granted by another, seen by all, over by the clock.

An elevation adds exactly the permissions it names, of those that the policy lets the role borrow. It lifts no
restriction. What is written here only says until when: nothing has to happen for it to be over.
"""

from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import Any
from uuid import UUID

from sqlalchemy import select
from sqlalchemy.ext.asyncio import AsyncSession

from backend.audit import service as audit
from backend.audit.service import AuditDraft
from backend.auth import access_people as people
from backend.auth import fresh_key
from backend.auth.access_tables import Elevation as ElevationRow
from backend.auth.elevations_told import is_open, told
from backend.auth.service import require
from backend.auth.tables import User
from backend.context import Caller, Runtime, system_caller
from backend.db import after_commit
from backend.errors import WatchfloorError
from backend.events import publish
from backend.lookup import row_named
from backend.paging import cut_page, newest_first
from contract.access import Elevation, ElevationRequest, ElevationStatus
from contract.base import Page
from contract.errors import ErrorCode
from contract.hardware import HardwareAct
from contract.permissions import Permission
from contract.stream import Topic

_ELEVATION_APPROVED = "access.elevation.approved"
_ELEVATION_DENIED = "access.elevation.denied"
_ELEVATION_ENDED = "access.elevation.ended"
_ELEVATION_EXPIRED = "access.elevation.expired"
_ELEVATION_REQUESTED = "access.elevation.requested"
_CALLER = system_caller("access-monitor")
_ACTIONS = {
    _ELEVATION_REQUESTED: "ask for an elevation",
    _ELEVATION_APPROVED: "approve an elevation",
    _ELEVATION_DENIED: "deny an elevation",
    _ELEVATION_ENDED: "end an elevation",
    _ELEVATION_EXPIRED: "let an elevation expire",
}
_PENDING = (ElevationStatus.REQUESTED.value, ElevationStatus.APPROVED.value)


async def request(session: AsyncSession, runtime: Runtime, caller: Caller, asked: ElevationRequest) -> Elevation:
    """Ask for permissions for a time; nothing is held until somebody else approves.

    Raises:
        WatchfloorError: NOT_ALLOWED for anything but a person; REFUSED_BY_POLICY for a permission that the role cannot
            borrow, or a longer time than the policy has; CONFLICT for what is held or asked for already.
    """
    ident, now, rules = runtime.clock.new_id(), runtime.clock.now(), runtime.policy.access.elevation
    draft = _draft(_ELEVATION_REQUESTED, str(ident))
    by = await people.acting(session, caller, draft)
    wanted = sorted(set(asked.permissions))
    _check_wanted(runtime, caller, wanted, asked.minutes, draft)
    await session.execute(select(User.id).where(User.id == by).with_for_update(key_share=True))  # one at a time
    open_one = select(ElevationRow.id).where(ElevationRow.user_id == by, is_open(now))
    if await session.scalar(open_one) is not None:
        raise WatchfloorError(
            ErrorCode.CONFLICT, "You have asked for an elevation or hold one already.", hint="End that one first."
        )
    row = ElevationRow(
        id=ident,
        user_id=by,
        permissions=[permission.value for permission in wanted],
        reason=await people.kept_reason(session, runtime, asked.reason),
        minutes=asked.minutes,
        status=ElevationStatus.REQUESTED.value,
        requested_at=now,
        lapses_at=now + timedelta(minutes=rules.request_minutes),
    )
    session.add(row)
    return await _changed(session, runtime, caller, row, _ELEVATION_REQUESTED, reason=asked.reason)


async def approve(session: AsyncSession, runtime: Runtime, caller: Caller, ident: str) -> Elevation:
    """Grant what somebody else has asked for; it counts from the commit on, until its minutes are over.

    Raises:
        WatchfloorError: NOT_FOUND; CONFLICT if it is decided already; SECOND_PERSON_REQUIRED for the one who asked;
            REFUSED_BY_POLICY if the request has lapsed, or the policy or the role has changed since;
            CONFIRMATION_REQUIRED without a fresh touch of the hardware key; NOT_ALLOWED for anything but a person.
    """
    row, user, by = await _deciding(session, runtime, caller, ident, _ELEVATION_APPROVED)
    draft = _draft(_ELEVATION_APPROVED, str(row.id))
    role = runtime.policy.roles.get(user.role)
    if role is None or not role.elevatable.issuperset(row.permissions) or user.disabled:
        raise people.refused(ErrorCode.REFUSED_BY_POLICY, "The account may no longer be granted this.", draft)
    await fresh_key.require(session, runtime, caller, HardwareAct.APPROVE_ELEVATION, str(row.id))
    now = runtime.clock.now()
    minutes = min(row.minutes, runtime.policy.access.elevation.longest_minutes)
    row.status, row.decided_by, row.decided_at = ElevationStatus.APPROVED.value, by, now
    row.ends_at = now + timedelta(minutes=minutes)
    return await _changed(session, runtime, caller, row, _ELEVATION_APPROVED, until=row.ends_at.isoformat())


async def deny(session: AsyncSession, runtime: Runtime, caller: Caller, ident: str) -> Elevation:
    """Turn a request down.

    Raises:
        WatchfloorError: as `approve`, without the key.
    """
    row, _, by = await _deciding(session, runtime, caller, ident, _ELEVATION_DENIED)
    row.status, row.decided_by, row.decided_at = ElevationStatus.DENIED.value, by, runtime.clock.now()
    return await _changed(session, runtime, caller, row, _ELEVATION_DENIED)


async def end(session: AsyncSession, runtime: Runtime, caller: Caller, ident: str) -> Elevation:
    """Give an elevation back, or take it away: its holder may, and whoever may approve one.

    Raises:
        WatchfloorError: NOT_FOUND; CONFLICT if it is over; NOT_ALLOWED for others.
    """
    row = await row_named(session, ElevationRow, "elevation", ident, lock=True)
    by = await people.acting(session, caller, _draft(_ELEVATION_ENDED, str(row.id)))
    if by != row.user_id:
        require(caller, Permission.APPROVE_ELEVATION, route="end an elevation")
    now = runtime.clock.now()
    if not _counts(row, now):
        raise WatchfloorError(ErrorCode.CONFLICT, "That elevation is over.")
    if row.ends_at is not None:
        row.ends_at = now
    row.status, row.ended_by = ElevationStatus.ENDED.value, by
    return await _changed(session, runtime, caller, row, _ELEVATION_ENDED)


async def list_elevations(
    session: AsyncSession, runtime: Runtime, *, over: bool, cursor: str | None, limit: int
) -> Page[Elevation]:
    """Elevations, the newest first; those that are over only if asked for."""
    query = select(ElevationRow) if over else select(ElevationRow).where(is_open(runtime.clock.now()))
    query = newest_first(query, ElevationRow.requested_at, ElevationRow.id, cursor, limit)
    rows, more = cut_page((await session.scalars(query)).all(), limit, lambda row: (row.requested_at, row.id))
    return Page(items=await told(session, rows), next_cursor=more)


async def mark_over(session: AsyncSession, runtime: Runtime) -> None:
    """Write down and tell that elevations are over whose time is up; they have not counted since then."""
    now = runtime.clock.now()
    due = select(ElevationRow).where(ElevationRow.status.in_(_PENDING), ~is_open(now))
    for row in (await session.scalars(due.with_for_update(skip_locked=True))).all():
        lapsed = row.status == ElevationStatus.REQUESTED.value
        row.status = (ElevationStatus.LAPSED if lapsed else ElevationStatus.EXPIRED).value
        await _changed(session, runtime, _CALLER, row, _ELEVATION_EXPIRED, status=row.status)


def _check_wanted(
    runtime: Runtime, caller: Caller, wanted: Sequence[Permission], minutes: int, draft: AuditDraft
) -> None:
    role = runtime.policy.roles.get(caller.role)
    never = sorted(set(wanted) - (role.elevatable if role else frozenset()))
    if role is None or never:
        may = ", ".join(sorted(role.elevatable)) if role and role.elevatable else "nothing"
        raise people.refused(
            ErrorCode.REFUSED_BY_POLICY,
            f"{caller.role} cannot be granted {', '.join(never)} for a time.",
            draft,
            f"The policy lets that role ask for {may}.",
        )
    if role.permissions.issuperset(wanted):
        raise WatchfloorError(ErrorCode.CONFLICT, "Your role holds all of that already.")
    longest = runtime.policy.access.elevation.longest_minutes
    if minutes > longest:
        raise people.refused(ErrorCode.REFUSED_BY_POLICY, f"An elevation lasts at most {longest} minutes.", draft)


async def _deciding(
    session: AsyncSession, runtime: Runtime, caller: Caller, ident: str, event: str
) -> tuple[ElevationRow, User, UUID]:
    row = await row_named(session, ElevationRow, "elevation", ident, lock=True)
    draft = _draft(event, str(row.id))
    by = await people.acting(session, caller, draft)
    if by == row.user_id:
        raise people.refused(ErrorCode.SECOND_PERSON_REQUIRED, "Whoever asked cannot decide on it.", draft)
    if row.status != ElevationStatus.REQUESTED.value:
        raise WatchfloorError(ErrorCode.CONFLICT, f"It is decided already: {row.status}.")
    if row.lapses_at <= runtime.clock.now():
        lapsed = "The request has lapsed."
        raise people.refused(ErrorCode.REFUSED_BY_POLICY, lapsed, draft, "It can be asked for again.")
    user = await session.get_one(User, row.user_id)
    return row, user, by


def _counts(row: ElevationRow, now: datetime) -> bool:
    if row.status == ElevationStatus.REQUESTED.value:
        return row.lapses_at > now
    return row.status == ElevationStatus.APPROVED.value and row.ends_at is not None and row.ends_at > now


async def _changed(
    session: AsyncSession, runtime: Runtime, caller: Caller, row: ElevationRow, event: str, **facts: Any
) -> Elevation:
    await session.flush()
    (shown,) = await told(session, [row])
    known = {"account": shown.account, "permissions": row.permissions, "minutes": row.minutes}
    await audit.record(session, runtime, caller, _draft(event, str(row.id), known | facts))
    publish(session, Topic.ELEVATION, shown)
    after_commit(session, runtime.callers.stale.set)
    return shown


def _draft(event: str, ident: str, facts: dict[str, Any] | None = None) -> AuditDraft:
    return AuditDraft(event, _ACTIONS[event], "elevation", ident, new_value=facts)
