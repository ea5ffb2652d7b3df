"""HTTP routes of the backup matrix."""

from fastapi import APIRouter

from backend.context import CurrentRuntime
from backend.continuity import backups
from backend.continuity.backups import CurrentChecks
from backend.db import Tx
from backend.guard import CurrentCaller, needs
from backend.openapi import refusals
from contract.errors import ErrorCode
from contract.permissions import Permission
from contract.recovery import BackupCheck, BackupCheckRequest, BackupMatrix

router = APIRouter(prefix="/v1/recovery", tags=["recovery"])


@router.get("/backups", **needs(Permission.VIEW_RECOVERY))
async def list_backups(session: Tx, runtime: CurrentRuntime, checks: CurrentChecks) -> BackupMatrix:
    """Every row of the policy's backup matrix, as it was last found to be."""
    return checks.marked(await backups.matrix(session, runtime))


@router.post(
    "/backups/check",
    status_code=202,
    responses=refusals(ErrorCode.NOT_FOUND),
    **needs(Permission.RUN_RECOVERY_DRILLS),
)
async def check_backup(
    session: Tx, checks: CurrentChecks, caller: CurrentCaller, request: BackupCheckRequest
) -> BackupCheck:
    """Look at one row now; a restore goes on in the background, one at a time."""
    return await checks.begin(session, caller, request.data, restored=request.restore)
