"""Has a stand-in where the name of an erased person stood in alerts, their history and silences. Owns no table."""

from typing import Final

from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncSession

from backend.alerts.tables import AlertEventRow, AlertRow, AlertRule, SilenceRow
from backend.standins import replace_name

_NAMES: Final = (
    AlertRow.acknowledged_by,
    AlertRow.assigned_to,
    AlertEventRow.actor,
    AlertEventRow.person,
    SilenceRow.created_by,
    SilenceRow.ended_by,
    AlertRule.imported_by,
)
_MUTES: Final = text(
    "UPDATE alerts SET muted_by = (SELECT jsonb_agg(CASE WHEN mute ->> 'by' = :name"
    " THEN jsonb_set(mute, '{by}', to_jsonb(CAST(:stand_in AS text))) ELSE mute END ORDER BY place)"
    " FROM jsonb_array_elements(muted_by) WITH ORDINALITY AS q(mute, place))"
    " WHERE muted_by @> jsonb_build_array(jsonb_build_object('by', CAST(:name AS text)))"
)
_PEOPLE: Final = text(
    "UPDATE alerts SET escalation_people = (SELECT jsonb_agg(CASE WHEN person = :name"
    " THEN CAST(:stand_in AS text) ELSE person END"
    " ORDER BY place) FROM jsonb_array_elements_text(escalation_people) WITH ORDINALITY AS q(person, place))"
    " WHERE escalation_people @> jsonb_build_array(CAST(:name AS text))"
)


async def forget_person(session: AsyncSession, name: str, *, stand_in: str) -> None:
    """Have a stand-in where the name of an erased person stood. The history lets nothing else of it be changed."""
    await replace_name(session, _NAMES, name, stand_in)
    for statement in (_MUTES, _PEOPLE):
        await session.execute(statement, {"name": name, "stand_in": stand_in})
