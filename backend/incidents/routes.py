"""HTTP routes of incidents: declaring, finding, working on them."""

from datetime import datetime
from typing import Annotated

from fastapi import APIRouter, Query
from pydantic import AfterValidator, AwareDatetime

from backend.context import CurrentRuntime
from backend.db import Tx
from backend.guard import CurrentCaller, needs
from backend.incidents import checking, service
from backend.incidents.service import IncidentFilter
from backend.incidents.timeline import Order
from backend.openapi import refusals
from backend.paging import DEFAULT_PAGE_ROWS, MAX_PAGE_ROWS
from contract.base import Page, storable
from contract.errors import ErrorCode
from contract.incident_records import IncidentSnapshot, ReportSentRequest
from contract.incidents import (
    AdvanceRequest,
    CloseRequest,
    CorrectionRequest,
    DeclareRequest,
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
from contract.permissions import Permission
from contract.states import IncidentStatus, Severity

router = APIRouter(prefix="/v1/incidents", tags=["incidents"])

_SEES, _HANDLES = needs(Permission.VIEW_INCIDENTS), needs(Permission.HANDLE_INCIDENTS)
Limit = Annotated[int, Query(ge=1, le=MAX_PAGE_ROWS)]
Words = Annotated[str | None, Query(max_length=200), AfterValidator(lambda text: text and storable(text))]


def _since(at: datetime | None, runtime: CurrentRuntime) -> datetime | None:
    return None if at is None else checking.instant(at, runtime.clock.now())


@router.post("", status_code=201, responses=refusals(ErrorCode.NOT_FOUND), **_HANDLES)
async def declare(session: Tx, runtime: CurrentRuntime, caller: CurrentCaller, request: DeclareRequest) -> Incident:
    """Declare an incident: from alerts, from freezes, or from nothing."""
    return await service.declare(session, runtime, caller, request)


@router.get("", **_SEES)
async def list_incidents(
    *,
    session: Tx,
    runtime: CurrentRuntime,
    status: Annotated[list[IncidentStatus] | None, Query()] = None,
    severity: Annotated[list[Severity] | None, Query()] = None,
    type: Words = None,  # noqa: A002  the name of the field
    q: Words = None,
    drill: bool | None = None,
    since: AwareDatetime | None = None,
    cursor: str | None = None,
    limit: Limit = DEFAULT_PAGE_ROWS,
) -> Page[Incident]:
    """Incidents, newest first; `status` and `severity` may be given several times."""
    wanted = IncidentFilter(status or (), severity or (), type, q, drill, _since(since, runtime))
    return await service.incidents(session, runtime, wanted, cursor=cursor, limit=limit)


@router.get("/stats", **_SEES)
async def get_stats(
    *,
    session: Tx,
    runtime: CurrentRuntime,
    since: AwareDatetime | None = None,
    until: AwareDatetime | None = None,
    drills: bool = False,
) -> IncidentStats:
    """How long things took, by month and severity, and how many were answered in time; drills apart."""
    return await service.stats(session, runtime, since=since, until=until, drills=drills)


@router.get("/{ident}", **_SEES)
async def get_incident(session: Tx, runtime: CurrentRuntime, ident: str) -> Incident:
    """One incident, whole."""
    return await service.get_incident(session, runtime, ident)


@router.patch("/{ident}", **_HANDLES)
async def change(
    session: Tx, runtime: CurrentRuntime, caller: CurrentCaller, ident: str, request: IncidentChange
) -> Incident:
    """Change what is said of it; a fact that somebody else has changed since `version` is refused."""
    return await service.change(session, runtime, caller, ident, request)


@router.get("/{ident}/timeline", **_SEES)
async def get_timeline(
    *,
    session: Tx,
    runtime: CurrentRuntime,
    caller: CurrentCaller,
    ident: str,
    order: Order = "desc",
    cursor: str | None = None,
    limit: Limit = DEFAULT_PAGE_ROWS,
) -> Page[TimelineEntry]:
    """Its timeline, in either order; what lines from the audit log say is for whoever may see that log."""
    return await service.incident_timeline(session, runtime, caller, ident, order=order, cursor=cursor, limit=limit)


@router.post("/{ident}/timeline", status_code=201, **_HANDLES)
async def note(
    session: Tx, runtime: CurrentRuntime, caller: CurrentCaller, ident: str, request: NoteRequest
) -> TimelineEntry:
    """Write a line."""
    return await service.note(session, runtime, caller, ident, request)


@router.post("/{ident}/timeline/{entry}/correct", status_code=201, **_HANDLES)
async def correct(  # noqa: PLR0917  FastAPI hands these in by name
    session: Tx, runtime: CurrentRuntime, caller: CurrentCaller, ident: str, entry: str, request: CorrectionRequest
) -> TimelineEntry:
    """Put a later line in the place of an earlier one, which stays."""
    return await service.correct(session, runtime, caller, ident, entry, request)


@router.post("/{ident}/milestones", **_HANDLES)
async def set_milestone(
    session: Tx, runtime: CurrentRuntime, caller: CurrentCaller, ident: str, request: MilestoneRequest
) -> Incident:
    """Say when it reached a milestone."""
    return await service.set_milestone(session, runtime, caller, ident, request)


@router.post("/{ident}/roles", **_HANDLES)
async def set_role(
    session: Tx, runtime: CurrentRuntime, caller: CurrentCaller, ident: str, request: RoleRequest
) -> Incident:
    """Give a role to somebody, hand it over, or renounce it."""
    return await service.set_role(session, runtime, caller, ident, request)


@router.post("/{ident}/steps/advance", **_HANDLES)
async def advance(
    session: Tx, runtime: CurrentRuntime, caller: CurrentCaller, ident: str, request: AdvanceRequest | None = None
) -> Incident:
    """Go on to a step of the procedure, or back to one."""
    return await service.advance(session, runtime, caller, ident, request or AdvanceRequest())


@router.post("/{ident}/steps/action", **_HANDLES)
async def tick(
    session: Tx, runtime: CurrentRuntime, caller: CurrentCaller, ident: str, request: StepActionRequest
) -> Incident:
    """Tick an action off, or take the tick back."""
    return await service.tick(session, runtime, caller, ident, request)


@router.post("/{ident}/links", **_HANDLES)
async def link(
    session: Tx, runtime: CurrentRuntime, caller: CurrentCaller, ident: str, request: LinkRequest
) -> Incident:
    """Make an alert or a freeze part of it."""
    return await service.link(session, runtime, caller, ident, request)


@router.post("/{ident}/unlink", **_HANDLES)
async def unlink(
    session: Tx, runtime: CurrentRuntime, caller: CurrentCaller, ident: str, request: UnlinkRequest
) -> Incident:
    """Make an alert that was wrongly made part of it part of no incident; the timeline says so, and why."""
    return await service.unlink(session, runtime, caller, ident, request)


@router.post("/{ident}/resolve", **_HANDLES)
async def resolve(
    session: Tx, runtime: CurrentRuntime, caller: CurrentCaller, ident: str, request: ResolveRequest
) -> Incident:
    """Say that it is over."""
    return await service.resolve(session, runtime, caller, ident, request)


@router.post("/{ident}/reopen", **_HANDLES)
async def reopen(
    session: Tx, runtime: CurrentRuntime, caller: CurrentCaller, ident: str, request: ReopenRequest
) -> Incident:
    """Say that it is not over after all."""
    return await service.reopen(session, runtime, caller, ident, request)


@router.post("/{ident}/close", **_HANDLES)
async def close(
    session: Tx, runtime: CurrentRuntime, caller: CurrentCaller, ident: str, request: CloseRequest | None = None
) -> Incident:
    """Put the record away; refused without an approved post-mortem where the policy wants one."""
    return await service.close(session, runtime, caller, ident, request or CloseRequest())


@router.post("/{ident}/reports-sent", **_HANDLES)
async def report_sent(
    session: Tx, runtime: CurrentRuntime, caller: CurrentCaller, ident: str, request: ReportSentRequest
) -> Incident:
    """Say that a report went to the authority."""
    return await service.report_sent(session, runtime, caller, ident, request)


@router.get("/{ident}/snapshot", **_SEES)
async def get_snapshot(session: Tx, ident: str) -> IncidentSnapshot:
    """The assessment of risk and the floor as they were when it was declared."""
    return await service.snapshot(session, ident)
