"""Takes an alert out of an incident that it was wrongly made part of. What its timeline says of it stays, corrected."""

from typing import Final

from sqlalchemy import delete, select
from sqlalchemy.ext.asyncio import AsyncSession

from backend.alerts import service as alerts
from backend.context import Caller, Runtime
from backend.errors import WatchfloorError, not_found
from backend.incidents import views
from backend.incidents.filling import ALERT
from backend.incidents.scribing import alert_link
from backend.incidents.tables import IncidentEntry, IncidentLink
from backend.incidents.writing import Writing, writing
from contract.errors import ErrorCode
from contract.incidents import Incident, UnlinkRequest

_LINK: Final = "link"
"""Kind of the line that says what is part of an incident."""


async def unlink(
    session: AsyncSession, runtime: Runtime, caller: Caller, ident: str, request: UnlinkRequest
) -> Incident:
    """Make an alert part of no incident; doing it twice changes nothing. One that a drill muted is raised again.

    Raises:
        WatchfloorError: NOT_FOUND, also for an alert that never was part of it; CONFLICT once it is closed, and for an
            alert that is part of another one meanwhile.
    """
    work = await writing(session, runtime, caller, ident)
    work.refuse_closed()
    alert = await alerts.get_alert(session, request.alert)
    linked = await _line_about(work, alert.id)
    if linked is None:
        raise not_found(f"alert of {work.row.id}", request.alert)
    if alert.incident is None:
        return await views.show(session, runtime, work.row)
    if alert.incident != work.row.id:
        raise WatchfloorError(ErrorCode.CONFLICT, f"The alert is part of {alert.incident} meanwhile.")
    alert = await alerts.link_incident(session, runtime, caller, alert.id, None)
    gone = (IncidentLink.incident == work.row.id, IncidentLink.kind == ALERT, IncidentLink.target == alert.id)
    await session.execute(delete(IncidentLink).where(*gone))
    text = f"alert {alert.rule} is not part of this incident: {request.why}"
    await work.entry("correction", text, corrects=linked.id, link=alert_link(alert))
    work.changed()
    told = {"kind": ALERT, "id": alert.id, "why": request.why, "corrects": linked.number}
    return await work.finish("incidents.record.unlinked", "unlink from incident", told)


async def _line_about(work: Writing, alert_id: str) -> IncidentEntry | None:
    """The newest line that says that an alert is part of the incident."""
    query = (
        select(IncidentEntry)
        .where(IncidentEntry.incident == work.row.id, IncidentEntry.kind == _LINK)
        .where(IncidentEntry.link["kind"].astext == ALERT, IncidentEntry.link["id"].astext == alert_id)
        .order_by(IncidentEntry.number.desc())
        .limit(1)
    )
    return await work.session.scalar(query)
