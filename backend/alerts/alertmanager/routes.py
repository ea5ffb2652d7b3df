"""HTTP routes of the Alertmanager webhook and of Prometheus's rules."""

from typing import Any, Final

from fastapi import APIRouter, Depends, Request
from sqlalchemy.ext.asyncio import AsyncSession

from backend.alerts.alertmanager.asking import Asking
from backend.alerts.alertmanager.configured import DEFAULT_SOURCE
from backend.alerts.alertmanager.receiving import in_line, received
from backend.context import Caller, CurrentRuntime, Runtime
from backend.db import Tx, after_commit
from backend.guard import CurrentCaller, needs
from contract.alerts import AlertsTaken
from contract.permissions import Permission

router = APIRouter(tags=["alerts"])


def _delivering() -> dict[str, Any]:
    """As `needs`, in line: see `receiving.in_line`."""
    demands = needs(Permission.RECEIVE_ALERTS)
    return {**demands, "dependencies": [Depends(in_line, scope="function"), *demands["dependencies"]]}


_DELIVERING: Final = _delivering()


@router.post("/v1/hooks/alertmanager", **_DELIVERING)
async def deliver(request: Request, session: Tx, runtime: CurrentRuntime, caller: CurrentCaller) -> AlertsTaken:
    """Take a delivery of the only Alertmanager there is: its `webhook_configs` name this address."""
    return await _deliver(request, session, runtime, caller, DEFAULT_SOURCE)


@router.post("/v1/hooks/alertmanager/{source}", **_DELIVERING)
async def deliver_of(
    source: str, request: Request, session: Tx, runtime: CurrentRuntime, caller: CurrentCaller
) -> AlertsTaken:
    """Take a delivery of one of several Alertmanagers."""
    return await _deliver(request, session, runtime, caller, source)


async def _deliver(
    request: Request, session: AsyncSession, runtime: Runtime, caller: Caller, source: str
) -> AlertsTaken:
    answer, truncated = await received(session, runtime, caller, source, await request.body())
    if truncated:
        asking: Asking = request.app.state.alertmanagers
        after_commit(session, lambda: asking.look_soon(source))
    return answer
