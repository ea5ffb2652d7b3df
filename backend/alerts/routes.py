"""HTTP routes of the alerts area."""

from typing import Annotated

from fastapi import APIRouter, Query

from backend.alerts import listing, service
from backend.alerts.listing import AlertFilter
from backend.context import CurrentRuntime
from backend.db import Tx
from backend.errors import WatchfloorError
from backend.guard import CurrentCaller, needs
from backend.paging import DEFAULT_PAGE_ROWS, MAX_PAGE_ROWS
from contract.alerts import AcknowledgeRequest, Alert, AlertStatus, Severity
from contract.base import Page
from contract.errors import ErrorCode
from contract.permissions import Permission
from contract.scope import Scope

router = APIRouter(tags=["alerts"])


def _scope(text: str | None) -> Scope | None:
    try:
        return None if text is None else Scope.parse(text)
    except ValueError as error:
        raise WatchfloorError(ErrorCode.INVALID_REQUEST, str(error)) from error


@router.get("/v1/alerts", **needs(Permission.VIEW_ALERTS))
async def list_alerts(
    *,
    session: Tx,
    runtime: CurrentRuntime,
    status: Annotated[list[AlertStatus] | None, Query()] = None,
    severity: Annotated[list[Severity] | None, Query()] = None,
    rule: str | None = None,
    scope: str | None = None,
    cursor: str | None = None,
    limit: Annotated[int, Query(ge=1, le=MAX_PAGE_ROWS)] = DEFAULT_PAGE_ROWS,
) -> Page[Alert]:
    """Alerts, newest first; `status` and `severity` may be given several times."""
    wanted = AlertFilter(status or (), severity or (), rule, _scope(scope))
    return await listing.list_alerts(session, wanted, cursor=cursor, limit=limit, as_of=runtime.clock.now())


@router.get("/v1/alerts/{alert_id}", **needs(Permission.VIEW_ALERTS))
async def get_alert(alert_id: str, session: Tx) -> Alert:
    """One alert with its facts and links."""
    return await service.get_alert(session, alert_id)


@router.post("/v1/alerts/{alert_id}/acknowledge", **needs(Permission.ACKNOWLEDGE_ALERTS))
async def acknowledge(
    alert_id: str, body: AcknowledgeRequest, session: Tx, runtime: CurrentRuntime, caller: CurrentCaller
) -> Alert:
    """Say that a person has seen the alert; repeating it changes nothing."""
    return await service.acknowledge(session, runtime, caller, alert_id, body)
