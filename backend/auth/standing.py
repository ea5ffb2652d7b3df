"""What the database says of signed-in callers, for a request and for connections that stay open. Judges nothing.

Windows and elevations open and end by the clock: they are worked out at every question, so that nothing has to happen
for them to count, on whichever backend.
"""

from collections.abc import Iterable
from datetime import datetime
from typing import Any, Final
from uuid import UUID

from sqlalchemy import ARRAY, BindParameter, String, bindparam, exists, func, select
from sqlalchemy.ext.asyncio import AsyncSession

from backend.auth import machine_rows
from backend.auth.access_tables import AccessWindow, Elevation
from backend.auth.restrictions import Standing, is_standing
from backend.auth.tables import ServiceToken, Session, User
from backend.context import Caller, Runtime
from backend.policy.access import Role
from contract.access import ElevationStatus
from contract.permissions import Permission

Row = Any
"""Of `STANDING`."""
_PERMISSIONS: Final = {permission.value: permission for permission in Permission}
_SESSIONS, _USERS = Session.__table__.c, User.__table__.c
_WINDOWS, _ELEVATIONS = AccessWindow.__table__.c, Elevation.__table__.c
_NOW: Final[BindParameter[datetime]] = bindparam("now")
WINDOW_OPEN: Final = (
    exists().where(_WINDOWS.user_id == _USERS.id, _WINDOWS.starts_at <= _NOW, _WINDOWS.ends_at > _NOW).correlate(User)
)
_ELEVATED: Final = func.array(
    select(func.unnest(_ELEVATIONS.permissions))
    .where(
        _ELEVATIONS.user_id == _USERS.id,
        _ELEVATIONS.ends_at > _NOW,
        _ELEVATIONS.status == ElevationStatus.APPROVED.value,
    )
    .correlate(User)
    .scalar_subquery(),
    type_=ARRAY(String),
)
STANDING: Final = (
    _SESSIONS.ended_at,
    _SESSIONS.end_reason,
    _SESSIONS.expires_at,
    _SESSIONS.last_used_at,
    _SESSIONS.factors,
    _USERS.username,
    _USERS.role,
    _USERS.disabled,
    _USERS.must_enrol,
    WINDOW_OPEN.label("window_open"),
    _ELEVATED.label("elevated"),
)
"""Columns that say all of a session and its account; their statement has the parameter `now`."""
_OPEN = (
    select(_SESSIONS.id, *STANDING)
    .join_from(Session.__table__, User.__table__, _USERS.id == _SESSIONS.user_id)
    .where(_SESSIONS.id.in_(bindparam("ids", expanding=True)))
)


def standing_of(runtime: Runtime, row: Row, ip: str | None) -> Standing | None:
    """What a row says of its person; None if the policy has no such role any more, who then may do nothing."""
    role = runtime.policy.roles.get(row.role)
    if role is None:
        return None
    return Standing(
        role=role,
        ip=ip,
        factors=frozenset(row.factors),
        window_open=row.window_open,
        elevated=elevated_of(role, row.elevated),
        locked=is_locked(runtime, row.last_used_at),
        must_enrol=row.must_enrol,
    )


def is_locked(runtime: Runtime, last_used_at: datetime) -> bool:
    """Whether a session waits for its factors: worked out at every question, so that nothing has to happen for it."""
    return runtime.clock.now() - last_used_at >= runtime.policy.sessions.idle


def elevated_of(role: Role, names: Iterable[str]) -> frozenset[Permission]:
    """Permissions by name that an elevation lends: of those approved, what the policy still lets the role borrow.

    What this version does not know of is nobody's.
    """
    return role.elevatable.intersection(_PERMISSIONS[name] for name in names if name in _PERMISSIONS)


async def still_signed_in(session: AsyncSession, runtime: Runtime, caller: Caller) -> bool:
    """Whether a caller let through earlier would still be, and as the same: for connections that stay open."""
    return caller.identity not in await no_longer_signed_in(session, runtime, [caller])


async def no_longer_signed_in(
    session: AsyncSession, runtime: Runtime, callers: Iterable[Caller], permission: Permission | None = None
) -> frozenset[tuple[str, str | None]]:
    """Those of many callers, by identity, whose connections end: two questions, however many they are.

    Whoever may do something else now than when the connection was opened has to open it again. `permission`: what
    machines need for it.
    """
    some = list(callers)
    people = [caller for caller in some if caller.session_id is not None]
    machines = [caller for caller in some if caller.session_id is None]
    ended: set[tuple[str, str | None]] = set()
    if people:
        ended |= await _people_gone(session, runtime, people)
    if machines:
        ended |= await _machines_gone(session, runtime, machines, permission)
    return frozenset(ended)


async def _people_gone(
    session: AsyncSession, runtime: Runtime, callers: list[Caller]
) -> frozenset[tuple[str, str | None]]:
    now = runtime.clock.now()
    ids = {UUID(caller.session_id) for caller in callers if caller.session_id}
    rows = {str(row.id): row for row in await session.execute(_OPEN, {"ids": list(ids), "now": now})}
    return frozenset(
        caller.identity
        for caller in callers
        if not _is_as_before(runtime, caller, rows.get(caller.session_id or ""), now)
    )


def _is_as_before(runtime: Runtime, caller: Caller, row: Row, now: datetime) -> bool:
    if row is None or row.ended_at is not None or now >= row.expires_at or row.disabled or row.role != caller.role:
        return False
    standing = standing_of(runtime, row, caller.ip)
    if standing is None or standing.locked or standing.must_enrol:
        return False
    if is_standing(standing, runtime.policy.sign_in.watchfloor) is not None:
        return False
    return standing.permissions == caller.permissions


async def _machines_gone(
    session: AsyncSession, runtime: Runtime, callers: list[Caller], permission: Permission | None
) -> frozenset[tuple[str, str | None]]:
    now = runtime.clock.now()
    names = {machine_rows.name_in(caller.subject) for caller in callers}
    wanted = select(*machine_rows.COLUMNS).where(ServiceToken.name.in_(names))
    if permission is not None:
        wanted = wanted.where(ServiceToken.permissions.contains([permission.value]))
    rows = {machine_rows.subject_of(row.name, row.permissions): row for row in await session.execute(wanted)}
    return frozenset(
        caller.identity for caller in callers if not _is_the_same_machine(caller, rows.get(caller.subject), now)
    )


def _is_the_same_machine(caller: Caller, row: Row, now: datetime) -> bool:
    if row is None or not machine_rows.keeps_open(row, caller.credential, now):
        return False
    return bool((caller.max_trade_eth, caller.executors) == (row.max_trade_eth, tuple(row.executors)))
