"""What telling people of alerts outside the console needs: several alerts at once, and a line that it was done."""

from collections.abc import Collection, Mapping

from sqlalchemy import select
from sqlalchemy.ext.asyncio import AsyncSession

from backend.alerts.history import Happening, Kind, happened
from backend.alerts.rows import wire
from backend.alerts.tables import AlertRow
from backend.context import Caller, Runtime
from backend.errors import known_ident
from contract.alerts import Alert

CHANNEL = "channel"
"""Fact that names where an alert was told."""


async def alerts_named(session: AsyncSession, idents: Collection[str]) -> Mapping[str, Alert]:
    """Alerts by id; what is no alert's id is left out."""
    wanted = [known_ident("alert", ident) for ident in idents]
    found = await session.scalars(select(AlertRow).where(AlertRow.id.in_(wanted)))
    return {str(row.id): wire(row) for row in found}


def note_notified(session: AsyncSession, runtime: Runtime, caller: Caller, alert_id: str, *, channel: str) -> None:
    """Write into an alert's history that a channel took a notification of it."""
    line = Happening(known_ident("alert", alert_id), Kind.NOTIFIED, text=channel, facts={CHANNEL: channel})
    happened(session, runtime, caller, line)
