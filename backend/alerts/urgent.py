"""Finds the alerts that are not cleared by how urgent they are, of all scopes or of some. Reads only."""

from collections.abc import Callable, Sequence
from typing import Final

from sqlalchemy import ARRAY, Text, bindparam, case, literal, select, tuple_
from sqlalchemy.ext.asyncio import AsyncSession

from backend.alerts.rows import GRAVITY, LIVE, UNMUTED, wire
from backend.alerts.tables import AlertRow
from contract.alerts import Alert, AlertStatus
from contract.scope import Scope, ScopeKind

_SCOPES_AT_ONCE: Final = 5_000
"""Of one question; there are as many questions as it takes, so that none is left out."""
_SEEN = case((AlertRow.status == AlertStatus.OPEN.value, 0), else_=1)
_MUTED_LAST = case((UNMUTED, 0), else_=1)
_MOST_URGENT = select(AlertRow).where(LIVE).limit(bindparam("most"))
_BY_URGENCY = (GRAVITY, _SEEN, AlertRow.raised_at.desc(), AlertRow.id.desc())
_UNMUTED_FIRST = _MOST_URGENT.order_by(_MUTED_LAST, *_BY_URGENCY)
_OF_SCOPES = _MOST_URGENT.where(
    (AlertRow.scope_kind + ":" + AlertRow.scope_name) == bindparam("scopes", type_=ARRAY(Text)).any_()
).order_by(*_BY_URGENCY)

_PLACE = (AlertRow.scope_kind, AlertRow.scope_name)
_LIVE_SCOPES = select(*_PLACE).where(LIVE).distinct().order_by(*_PLACE)


async def most_urgent(session: AsyncSession, limit: int) -> list[Alert]:
    """Alerts that are not cleared: the gravest first, those nobody has seen before the seen, then the newest.

    Muted ones come after all others.
    """
    found = await session.execute(_UNMUTED_FIRST, {"most": limit})
    return [wire(row) for row in found.scalars()]


async def most_urgent_of(session: AsyncSession, limit: int, concerns: Callable[[Scope], bool]) -> list[Alert]:
    """Alerts whose scope concerns somebody, as `most_urgent` puts them; muted ones among the others.

    However many alerts of other scopes there are and however grave they are, they take none of these places.
    """
    scopes = [f"{scope.kind.value}:{scope.name}" for scope in await _live_scopes(session) if concerns(scope)]
    if not scopes:
        return []
    found = await session.execute(_OF_SCOPES, {"most": limit, "scopes": scopes})
    return [wire(row) for row in found.scalars()]


async def _live_scopes(session: AsyncSession) -> Sequence[Scope]:
    """Every scope of which there is an alert that is not cleared."""
    query = _LIVE_SCOPES.limit(_SCOPES_AT_ONCE)
    found: list[Scope] = []
    rows = (await session.execute(query)).all()
    while rows:
        found += [Scope(kind=ScopeKind(row.scope_kind), name=row.scope_name) for row in rows]
        if len(rows) < _SCOPES_AT_ONCE:
            break
        rows = (await session.execute(query.where(tuple_(*_PLACE) > tuple_(*map(literal, rows[-1]))))).all()
    return found
