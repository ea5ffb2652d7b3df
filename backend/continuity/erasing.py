"""Puts a stand-in where the name of an erased person stood in the tables of recovery drills. What they wrote stays."""

from typing import Any

from sqlalchemy import String, cast, or_, select
from sqlalchemy.ext.asyncio import AsyncSession

from backend.continuity.tables import RecoveryAskRow, RecoveryDrillRow, RecoveryLineRow
from backend.standins import replace_name

_NAMED = frozenset({"started_by", "by", "signed_by", "subject"})
"""Where the name of whoever acted stands in what is stored whole."""
_OF_CALLER = ("ip", "user_agent")
"""What goes with the name."""


async def forget_person(session: AsyncSession, name: str, *, stand_in: str) -> None:
    """Replace a name wherever it says who acted; their addresses go."""
    await replace_name(session, (RecoveryDrillRow.started_by, RecoveryDrillRow.signed_by), name, stand_in)
    for column in (RecoveryDrillRow.shown, RecoveryDrillRow.report, RecoveryLineRow.data, RecoveryAskRow.caller):
        table = column.class_
        quoted = f'"{name}"'
        found = await session.scalars(select(table).where(or_(cast(column, String).contains(quoted, autoescape=True))))
        for row in found:
            setattr(row, column.key, replaced(getattr(row, column.key), name, stand_in))


def replaced(value: Any, name: str, stand_in: str) -> Any:
    """A stored value with the stand-in; of a caller only the name's replacement and the role stay."""
    if isinstance(value, list):
        return [replaced(one, name, stand_in) for one in value]
    if not isinstance(value, dict):
        return value
    theirs = value.get("subject") == name
    return {
        key: stand_in
        if key in _NAMED and one == name
        else None
        if theirs and key in _OF_CALLER
        else replaced(one, name, stand_in)
        for key, one in value.items()
    }
