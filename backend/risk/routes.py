"""HTTP routes of the risk area."""

from fastapi import APIRouter

from backend.context import CurrentRuntime
from backend.db import Tx
from backend.guard import needs
from backend.risk import service
from contract.permissions import Permission
from contract.risk import RiskSnapshot

router = APIRouter(tags=["risk"])


@router.get("/v1/risk", **needs(Permission.VIEW_RISK))
async def latest(session: Tx, runtime: CurrentRuntime) -> RiskSnapshot:
    """The newest assessment: four measures in every scope that matters, three indicators with their reasons."""
    return await service.latest(session, runtime)
