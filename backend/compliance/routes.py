"""HTTP routes of the compliance area."""

from fastapi import APIRouter, Response

from backend.compliance import service
from backend.context import CurrentRuntime
from backend.db import Tx
from backend.guard import needs
from contract.overview import ComplianceMetrics, Overview, Status
from contract.permissions import Permission

router = APIRouter(tags=["compliance"])


@router.get("/v1/overview", **needs(Permission.VIEW_OVERVIEW))
async def overview(session: Tx, runtime: CurrentRuntime) -> Overview:
    """Everything the first screen shows, and the event to resume the stream after."""
    return await service.overview(session, runtime)


@router.get("/v1/status", **needs(Permission.VIEW_OVERVIEW))
async def status(session: Tx, runtime: CurrentRuntime) -> Status:
    """Is the floor up, is anything frozen or burning."""
    return await service.status(session, runtime)


@router.get("/api/compliance/metrics", response_model=ComplianceMetrics, **needs(Permission.VIEW_RISK))
async def metrics(session: Tx, runtime: CurrentRuntime) -> Response:
    """The body of the compliance document's dashboard: `{risks, metrics, alerts}`."""
    return Response(await service.metrics_json(session, runtime), media_type="application/json")
