"""HTTP routes of the transactions area. Storing trades lets the risk area judge the past days they touched."""

from typing import Annotated

from fastapi import APIRouter, Query
from pydantic import AwareDatetime

from backend.context import CurrentRuntime
from backend.db import Tx
from backend.guard import CurrentCaller, needs
from backend.paging import DEFAULT_PAGE_ROWS, MAX_PAGE_ROWS
from backend.risk import service as risk
from backend.transactions import service
from backend.transactions.service import TransactionFilter
from contract.base import Page
from contract.permissions import Permission
from contract.transactions import (
    BatchRequest,
    ImportOpened,
    ImportResult,
    ImportStart,
    Outcome,
    StageRequest,
    Transaction,
)

router = APIRouter(tags=["transactions"])

_IMPORT = needs(Permission.IMPORT_TRANSACTIONS)


@router.post("/v1/transactions", **_IMPORT)
async def store_batch(body: BatchRequest, session: Tx, runtime: CurrentRuntime, caller: CurrentCaller) -> ImportResult:
    """Store a batch of trades: all or none. Refused lines are numbered from 1 in the order sent."""
    stored = await service.store_batch(session, runtime, caller, body)
    await risk.judge_past_days(session, runtime, caller, stored)
    return stored.result


@router.post("/v1/imports", status_code=201, **_IMPORT)
async def open_import(body: ImportStart, session: Tx, runtime: CurrentRuntime, caller: CurrentCaller) -> ImportOpened:
    """Begin the import of a file."""
    return await service.open_import(session, runtime, caller, body)


@router.post("/v1/imports/{import_id}/rows", **_IMPORT)
async def stage_rows(
    import_id: str, body: StageRequest, session: Tx, runtime: CurrentRuntime, caller: CurrentCaller
) -> ImportResult:
    """Send a chunk of the file's lines; nothing is stored before the commit. The answer names refused lines early."""
    return await service.stage_rows(session, runtime, caller, import_id, body)


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
    stored = await service.commit_import(session, runtime, caller, import_id, skip_bad=skip_bad)
    await risk.judge_past_days(session, runtime, caller, stored)
    return stored.result


@router.get("/v1/transactions", **needs(Permission.VIEW_TRANSACTIONS))
async def list_transactions(
    *,
    session: Tx,
    runtime: CurrentRuntime,
    chain: str | None = None,
    strategy: str | None = None,
    wallet: str | None = None,
    outcome: Outcome | None = None,
    since: Annotated[AwareDatetime | None, Query(alias="from")] = None,
    until: Annotated[AwareDatetime | None, Query(alias="to")] = None,
    cursor: str | None = None,
    limit: Annotated[int, Query(ge=1, le=MAX_PAGE_ROWS)] = DEFAULT_PAGE_ROWS,
) -> Page[Transaction]:
    """Stored trades, newest block first; `from` is included, `to` is not."""
    wanted = TransactionFilter(chain, strategy, wallet, outcome, since, until)
    return await service.list_transactions(session, wanted, cursor=cursor, limit=limit, as_of=runtime.clock.now())
