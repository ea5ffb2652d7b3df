"""HTTP routes of the Alertmanager webhook and of Prometheus's rules."""

from typing import Annotated, Any, Final

from fastapi import APIRouter, Depends, Query, Request

from backend.alerts.alertmanager import rules
from backend.alerts.alertmanager.asking import Asking
from backend.alerts.alertmanager.configured import DEFAULT_SOURCE
from backend.alerts.alertmanager.receiving import Deliveries, in_line, read
from backend.context import Caller, CurrentRuntime
from backend.db import Tx
from backend.guard import CurrentCaller, needs, states
from backend.paging import DEFAULT_PAGE_ROWS, MAX_PAGE_ROWS
from contract.alerts import AlertsTaken
from contract.base import Page
from contract.permissions import Permission
from contract.prometheus_rules import AlertRule, RulesAnswer, RulesRequest

router = APIRouter(tags=["alerts"])


_DELIVERING: Final[dict[str, Any]] = {
    "dependencies": [Depends(in_line, scope="function")],
    **states(Permission.RECEIVE_ALERTS),
}
"""In line, which lets callers pass by itself: see `receiving.in_line`."""


@router.post("/v1/hooks/alertmanager", **_DELIVERING)
async def deliver(request: Request, caller: CurrentCaller) -> AlertsTaken:
    """Take a delivery of the only Alertmanager there is: its `webhook_configs` name this address."""
    return await _deliver(request, caller, DEFAULT_SOURCE)


@router.post("/v1/hooks/alertmanager/{source}", **_DELIVERING)
async def deliver_of(source: str, request: Request, caller: CurrentCaller) -> AlertsTaken:
    """Take a delivery of one of several Alertmanagers."""
    return await _deliver(request, caller, source)


async def _deliver(request: Request, caller: Caller, source: str) -> AlertsTaken:
    deliveries: Deliveries = request.app.state.deliveries
    delivery = read(await request.body())
    answer = await deliveries.taken(caller, source, delivery, request.state.place)
    if delivery.truncated:
        asking: Asking = request.app.state.alertmanagers
        asking.look_soon(source)
    return answer


@router.post("/v1/alerts/rules", **needs(Permission.CONFIGURE_SYSTEM))
async def import_rules(body: RulesRequest, session: Tx, runtime: CurrentRuntime, caller: CurrentCaller) -> RulesAnswer:
    """Take in alerting rules of Prometheus; each group that they name becomes what they say of it."""
    return await rules.import_rules(session, runtime, caller, body)


@router.get("/v1/alerts/rules", **needs(Permission.VIEW_ALERTS))
async def list_rules(
    *,
    session: Tx,
    runtime: CurrentRuntime,
    name: Annotated[str | None, Query(max_length=200)] = None,
    cursor: str | None = None,
    limit: Annotated[int, Query(ge=1, le=MAX_PAGE_ROWS)] = DEFAULT_PAGE_ROWS,
) -> Page[AlertRule]:
    """Alerting rules that were taken in, the last first."""
    return await rules.list_rules(session, runtime, name, cursor=cursor, limit=limit)
