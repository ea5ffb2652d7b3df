"""HTTP routes of alerts: finding them, their history, and acknowledging one; acts on many: `backend.alert_acts`."""

from typing import Annotated

from fastapi import APIRouter, Depends, Query
from pydantic import AwareDatetime

from backend.alerts import grouping, history, listing, service
from backend.alerts.listing import AlertFilter
from backend.context import CurrentRuntime
from backend.db import Tx
from backend.errors import WatchfloorError
from backend.guard import CurrentCaller, needs
from backend.paging import DEFAULT_PAGE_ROWS, MAX_PAGE_ROWS
from contract.alert_work import AlertEvent, AlertGroups
from contract.alerts import AcknowledgeRequest, Alert, AlertCategory, AlertStatus, Severity
from contract.base import Page, storable
from contract.errors import ErrorCode
from contract.permissions import Permission
from contract.scope import Scope

router = APIRouter(tags=["alerts"])
_MAX_LABELS = 10
_Limit = Annotated[int, Query(ge=1, le=MAX_PAGE_ROWS)]
_Name = Annotated[str | None, Query(max_length=200)]


def _scope(text: str | None) -> Scope | None:
    try:
        return None if text is None else Scope.parse(text)
    except ValueError as error:
        raise WatchfloorError(ErrorCode.INVALID_REQUEST, str(error)) from error


def _label(text: str) -> tuple[str, str]:
    name, equals, value = text.partition("=")
    if not name or not equals:
        raise WatchfloorError(ErrorCode.INVALID_REQUEST, "Write a label as name=value.")
    return name, value


def _filter(
    *,
    status: Annotated[list[AlertStatus] | None, Query()] = None,
    severity: Annotated[list[Severity] | None, Query()] = None,
    category: Annotated[list[AlertCategory] | None, Query()] = None,
    rule: _Name = None,
    scope: str | None = None,
    q: Annotated[
        str | None, Query(min_length=1, max_length=200, description="Words of message, rule or labels")
    ] = None,
    source: _Name = None,
    label: Annotated[list[str] | None, Query(max_length=_MAX_LABELS, description="name=value")] = None,
    assigned: Annotated[str | None, Query(max_length=100, description="A person; - is nobody")] = None,
    muted: bool | None = None,
    incident: Annotated[str | None, Query(max_length=30)] = None,
    group: Annotated[str | None, Query(pattern="^[0-9a-f]{64}$", description="The id of a group of alerts")] = None,
    since: Annotated[AwareDatetime | None, Query(description="Raised from then on")] = None,
    until: Annotated[AwareDatetime | None, Query(description="Raised before then")] = None,
) -> AlertFilter:
    try:
        for text in (rule, q, source, assigned, incident, *(label or ())):
            storable(text or "")
    except ValueError as error:
        raise WatchfloorError(ErrorCode.INVALID_REQUEST, f"{error}.") from error
    return AlertFilter(
        status=status or (),
        severity=severity or (),
        category=category or (),
        rule=rule,
        scope=_scope(scope),
        words=q,
        source=source,
        labels=[_label(one) for one in label or ()],
        assigned=assigned,
        muted=muted,
        incident=incident,
        group=group,
        since=since,
        until=until,
    )


@router.get("/v1/alerts", **needs(Permission.VIEW_ALERTS))
async def list_alerts(
    *,
    session: Tx,
    runtime: CurrentRuntime,
    wanted: Annotated[AlertFilter, Depends(_filter)],
    cursor: str | None = None,
    limit: _Limit = DEFAULT_PAGE_ROWS,
) -> Page[Alert]:
    """Alerts, newest first; `status`, `severity`, `category` and `label` may be given several times."""
    return await listing.list_alerts(session, wanted, cursor=cursor, limit=limit, as_of=runtime.clock.now())


@router.get("/v1/alerts/groups", **needs(Permission.VIEW_ALERTS))
async def list_groups(
    *,
    session: Tx,
    runtime: CurrentRuntime,
    wanted: Annotated[AlertFilter, Depends(_filter)],
    cursor: str | None = None,
    limit: _Limit = DEFAULT_PAGE_ROWS,
) -> AlertGroups:
    """Alerts by group, the gravest group first, then the newest; without `status` of those that have not cleared.

    Where cleared ones are among them, at most the newest 20,000 alerts are grouped; `grouped_since` says so.
    """
    return await grouping.list_groups(session, wanted, cursor=cursor, limit=limit, as_of=runtime.clock.now())


@router.get("/v1/alerts/{alert_id}", **needs(Permission.VIEW_ALERTS))
async def get_alert(alert_id: str, session: Tx) -> Alert:
    """One alert with its facts and links."""
    return await service.get_alert(session, alert_id)


@router.get("/v1/alerts/{alert_id}/events", **needs(Permission.VIEW_ALERTS))
async def alert_history(
    alert_id: str, session: Tx, cursor: str | None = None, limit: _Limit = DEFAULT_PAGE_ROWS
) -> Page[AlertEvent]:
    """The history of one alert, newest first."""
    return await history.history(session, alert_id, cursor=cursor, limit=limit)


@router.post("/v1/alerts/{alert_id}/acknowledge", **needs(Permission.ACKNOWLEDGE_ALERTS))
async def acknowledge(
    alert_id: str, body: AcknowledgeRequest, session: Tx, runtime: CurrentRuntime, caller: CurrentCaller
) -> Alert:
    """Say that a person has seen the alert; repeating it changes nothing."""
    return await service.acknowledge(session, runtime, caller, alert_id, body)
