"""What other areas and the routes may use of incidents."""

from sqlalchemy.ext.asyncio import AsyncSession

from backend.incidents.declaring import declare
from backend.incidents.evidence import Named, attach, attach_answer, content_of, pieces
from backend.incidents.followups import add as add_follow_up
from backend.incidents.followups import change as change_follow_up
from backend.incidents.followups import counts as follow_up_counts
from backend.incidents.followups import one as follow_up
from backend.incidents.followups import page as follow_ups
from backend.incidents.listing import IncidentFilter, declared_around, open_ones, stats
from backend.incidents.listing import page as incidents
from backend.incidents.parting import unlink
from backend.incidents.postmortem.tables import ImportedReportRow, PostmortemEdit, PostmortemRow
from backend.incidents.record import Record, get_incident, incident_timeline, record_of
from backend.incidents.snapshots import snapshot
from backend.incidents.steps import advance, close, reopen, resolve, tick
from backend.incidents.tables import (
    IncidentAction,
    IncidentEntry,
    IncidentEvidence,
    IncidentFollowUp,
    IncidentLink,
    IncidentMilestone,
    IncidentRole,
    IncidentRow,
)
from backend.incidents.working import change, correct, link, note, report_sent, set_milestone, set_role
from backend.standins import replace_name

__all__ = [
    "IncidentFilter", "Named", "Record", "add_follow_up", "advance", "attach", "attach_answer", "change",
    "change_follow_up", "close", "content_of", "correct", "declare", "declared_around", "follow_up", "follow_up_counts",
    "follow_ups", "forget_person", "get_incident", "incident_timeline", "incidents", "link", "note", "open_ones",
    "pieces", "record_of", "reopen", "report_sent", "resolve", "set_milestone", "set_role", "snapshot", "stats", "tick",
    "unlink",
]  # fmt: skip


async def forget_person(session: AsyncSession, name: str, *, stand_in: str) -> None:
    """Have a stand-in where the name of an erased person stood; what people wrote is left as they wrote it."""
    who = (
        (IncidentRow.declared_by,),
        (IncidentMilestone.recorded_by,),
        (IncidentRole.person,),
        (IncidentAction.done_by,),
        (IncidentLink.linked_by,),
        (IncidentEntry.actor,),
        (IncidentEvidence.added_by,),
        (IncidentFollowUp.owner, IncidentFollowUp.created_by, IncidentFollowUp.done_by),
        (PostmortemRow.created_by, PostmortemRow.submitted_by, PostmortemRow.approved_by),
        (PostmortemEdit.edited_by,),
        (ImportedReportRow.imported_by,),
    )
    for columns in who:
        await replace_name(session, columns, name, stand_in)
