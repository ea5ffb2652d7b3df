"""HTTP routes of retention."""

from fastapi import APIRouter

from backend.audit.retention.report import report
from backend.context import CurrentRuntime
from backend.db import Tx
from backend.guard import needs
from contract.permissions import Permission
from contract.retention import RetentionReport

router = APIRouter(tags=["ledger"])


@router.get("/v1/ledger/retention", **needs(Permission.VIEW_AUDIT_LOGS))
async def read_retention(session: Tx, runtime: CurrentRuntime) -> RetentionReport:
    """What each log keeps, what is due to be dropped, what holds it back, and how its copies elsewhere are."""
    return await report(session, runtime)
