"""HTTP routes that take trades in. The list of stored trades is the transactions area's."""

from typing import Annotated

from fastapi import APIRouter, Query

from backend.context import CurrentRuntime
from backend.db import Tx
from backend.guard import CurrentCaller, needs
from backend.intake import service
from backend.transactions import service as transactions
from contract.permissions import Permission
from contract.transactions import BatchRequest, ImportOpened, ImportResult, ImportStart, StageRequest

router = APIRouter(tags=["transactions"])

_IMPORT = needs(Permission.IMPORT_TRANSACTIONS)


@router.post("/v1/transactions", **_IMPORT)
async def store_batch(body: BatchRequest, session: Tx, runtime: CurrentRuntime, caller: CurrentCaller) -> ImportResult:
    """Store a batch of trades: all or none. Refused lines are numbered from 1 in the order sent."""
    return await service.store_batch(session, runtime, caller, body)


@router.post("/v1/imports", status_code=201, **_IMPORT)
async def open_import(body: ImportStart, session: Tx, runtime: CurrentRuntime, caller: CurrentCaller) -> ImportOpened:
    """Begin the import of a file."""
    return await transactions.open_import(session, runtime, caller, body)


@router.post("/v1/imports/{import_id}/rows", **_IMPORT)
async def stage_rows(
    import_id: str, body: StageRequest, session: Tx, runtime: CurrentRuntime, caller: CurrentCaller
) -> ImportResult:
    """Send a chunk of the file's lines; nothing is stored before the commit. The answer names refused lines early."""
    return await transactions.stage_rows(session, runtime, caller, import_id, body)


@router.post("/v1/imports/{import_id}/commit", **_IMPORT)
async def commit_import(
    import_id: str,
    *,
    session: Tx,
    runtime: CurrentRuntime,
    caller: CurrentCaller,
    skip_bad: Annotated[bool, Query(description="Store the good lines although others are refused")] = False,
) -> ImportResult:
    """Store the staged file whole; with `skip_bad`, without its refused lines."""
    return await service.commit_import(session, runtime, caller, import_id, skip_bad=skip_bad)
