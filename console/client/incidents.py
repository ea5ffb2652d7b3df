"""One function per route about incidents: typed arguments in, contract models out. No rule lives here."""

from typing import Final
from urllib.parse import quote

from console.client.api import Api
from contract.alert_work import Around
from contract.base import Page
from contract.incident_records import IncidentSnapshot, ReportSentRequest
from contract.incidents import (
    AdvanceRequest,
    CloseRequest,
    CorrectionRequest,
    DeclareRequest,
    Evidence,
    EvidenceQueryRequest,
    FollowUp,
    FollowUpChange,
    FollowUpRequest,
    Incident,
    IncidentChange,
    IncidentStats,
    LinkRequest,
    MilestoneRequest,
    NoteRequest,
    ReopenRequest,
    ResolveRequest,
    RoleRequest,
    StepActionRequest,
    TimelineEntry,
    UnlinkRequest,
)

_INCIDENTS: Final = "incidents"


def of(ident: str, *rest: str) -> str:
    """The path of something about one incident."""
    return "/".join([_INCIDENTS, *(quote(part, safe="") for part in (ident, *rest))])


async def declare(api: Api, wanted: DeclareRequest) -> Incident:
    """Declare an incident."""
    return await api.act(_INCIDENTS, Incident, wanted)


async def incidents(api: Api, *, limit: int | None = None, cursor: str | None = None, **where: str) -> Page[Incident]:
    """Incidents, newest first; `where` names status, severity, type, q, drill and since."""
    return await api.ask(_INCIDENTS, Page[Incident], {"limit": limit, "cursor": cursor, **where})


async def incident(api: Api, ident: str) -> Incident:
    """One incident."""
    return await api.ask(of(ident), Incident)


async def change(api: Api, ident: str, wanted: IncidentChange) -> Incident:
    """Change what is said of an incident."""
    return await api.change(of(ident), Incident, wanted)


async def timeline(
    api: Api, ident: str, *, limit: int | None = None, cursor: str | None = None, newest_first: bool = True
) -> Page[TimelineEntry]:
    """The lines of an incident's timeline."""
    query = {"limit": limit, "cursor": cursor, "order": "desc" if newest_first else "asc"}
    return await api.ask(of(ident, "timeline"), Page[TimelineEntry], query)


async def note(api: Api, ident: str, wanted: NoteRequest) -> TimelineEntry:
    """Write a line into the timeline."""
    return await api.act(of(ident, "timeline"), TimelineEntry, wanted)


async def correct(api: Api, ident: str, entry: str, wanted: CorrectionRequest) -> TimelineEntry:
    """Put a later line in the place of an earlier one."""
    return await api.act(of(ident, "timeline", entry, "correct"), TimelineEntry, wanted)


async def milestone(api: Api, ident: str, wanted: MilestoneRequest) -> Incident:
    """Say when a milestone was reached."""
    return await api.act(of(ident, "milestones"), Incident, wanted)


async def role(api: Api, ident: str, wanted: RoleRequest) -> Incident:
    """Take a role, hand it over, or renounce it."""
    return await api.act(of(ident, "roles"), Incident, wanted)


async def advance(api: Api, ident: str, wanted: AdvanceRequest) -> Incident:
    """Go on to a step of the procedure."""
    return await api.act(of(ident, "steps", "advance"), Incident, wanted)


async def tick(api: Api, ident: str, wanted: StepActionRequest) -> Incident:
    """Tick an action of the procedure off, or take the tick back."""
    return await api.act(of(ident, "steps", "action"), Incident, wanted)


async def link(api: Api, ident: str, wanted: LinkRequest) -> Incident:
    """Make an alert or a freeze part of an incident."""
    return await api.act(of(ident, "links"), Incident, wanted)


async def unlink(api: Api, ident: str, alert: str, why: str) -> Incident:
    """Make an alert part of no incident; one that is part of none already stays so."""
    return await api.act(of(ident, "unlink"), Incident, UnlinkRequest(alert=alert, why=why))


async def resolve(api: Api, ident: str, wanted: ResolveRequest) -> Incident:
    """Say that it is over."""
    return await api.act(of(ident, "resolve"), Incident, wanted)


async def reopen(api: Api, ident: str, wanted: ReopenRequest) -> Incident:
    """Say that it is not over after all."""
    return await api.act(of(ident, "reopen"), Incident, wanted)


async def close(api: Api, ident: str, wanted: CloseRequest) -> Incident:
    """Put the record away."""
    return await api.act(of(ident, "close"), Incident, wanted)


async def report_sent(api: Api, ident: str, wanted: ReportSentRequest) -> Incident:
    """Say that a report went to the authority."""
    return await api.act(of(ident, "reports-sent"), Incident, wanted)


async def around(api: Api, ident: str, *, minutes: int | None = None) -> Around:
    """What changed around the time at which an incident began; without `minutes` as far as the policy says."""
    return await api.ask(of(ident, "around"), Around, {"minutes": minutes})


async def snapshot(api: Api, ident: str) -> IncidentSnapshot:
    """What the risk indicators and the floor said when it was declared."""
    return await api.ask(of(ident, "snapshot"), IncidentSnapshot)


async def evidence(api: Api, ident: str) -> Page[Evidence]:
    """What is kept with an incident."""
    return await api.ask(of(ident, "evidence"), Page[Evidence])


async def attach(api: Api, ident: str, content: bytes, *, name: str, media_type: str, description: str) -> Evidence:
    """Keep a file with an incident."""
    query = {"name": name, "media_type": media_type, "description": description}
    return await api.attach(of(ident, "evidence"), Evidence, content, query)


async def attach_query(api: Api, ident: str, wanted: EvidenceQueryRequest) -> Evidence:
    """Keep what Watchfloor answers to a question, as it is now."""
    return await api.act(of(ident, "evidence", "query"), Evidence, wanted)


async def content(api: Api, ident: str, evidence_id: str) -> bytes:
    """A piece of evidence as it was attached."""
    return await api.fetch(of(ident, "evidence", evidence_id, "content"))


async def follow_up(api: Api, ident: str, wanted: FollowUpRequest) -> FollowUp:
    """Write down something to be done."""
    return await api.act(of(ident, "follow-ups"), FollowUp, wanted)


async def change_follow_up(api: Api, ident: str, number: int, wanted: FollowUpChange) -> FollowUp:
    """Change something to be done, or say that it is done."""
    return await api.change(of(ident, "follow-ups", str(number)), FollowUp, wanted)


async def follow_ups(api: Api, *, limit: int | None = None, **where: str) -> Page[FollowUp]:
    """What is to be done after incidents, overdue first."""
    return await api.ask("follow-ups", Page[FollowUp], {"limit": limit, **where})


async def stats(api: Api, *, drills: bool = False, **span: str) -> IncidentStats:
    """The intervals of a span of time; `span` names since and until."""
    return await api.ask("incidents/stats", IncidentStats, {"drills": "true" if drills else None, **span})
