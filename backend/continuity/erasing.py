"""Puts a stand-in where the name of an erased person stood in the tables of recovery drills. What they wrote stays."""

import re
from typing import Any, Final

from sqlalchemy import String, cast, select
from sqlalchemy.ext.asyncio import AsyncSession

from backend.continuity.tables import RecoveryAskRow, RecoveryDrillRow, RecoveryLineRow
from backend.standins import replace_name

_NAMED = frozenset({"started_by", "by", "signed_by", "subject"})
"""Where the name of whoever acted stands in what is stored whole."""
_OF_CALLER = ("ip", "user_agent")
"""What goes with the name."""
_SAID: Final = r"(?:(?<=^)|(?<=; )|(?<=Z )){name}(?= ended it| ends the drill| gave it up|: )"
"""Where the product's own sentences and log lines name whoever acted."""


async def forget_person(session: AsyncSession, name: str, *, stand_in: str) -> None:
    """Replace a name wherever it says who acted; their addresses go."""
    await replace_name(session, (RecoveryDrillRow.started_by, RecoveryDrillRow.signed_by), name, stand_in)
    for column in (RecoveryDrillRow.shown, RecoveryDrillRow.report, RecoveryLineRow.data, RecoveryAskRow.caller):
        table = column.class_
        found = await session.scalars(select(table).where(cast(column, String).contains(name, autoescape=True)))
        for row in found:
            setattr(row, column.key, replaced(getattr(row, column.key), name, stand_in))


def replaced(value: Any, name: str, stand_in: str) -> Any:
    """A stored value with the stand-in; of a caller only the name's replacement and the role stay."""
    if isinstance(value, list):
        return [replaced(one, name, stand_in) for one in value]
    if isinstance(value, str):
        return re.sub(_SAID.format(name=re.escape(name)), lambda _: stand_in, value)
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
