"""HTTP routes of retention."""

from typing import Annotated

from fastapi import APIRouter, Query

from backend.audit.retention.listing import archived
from backend.audit.retention.report import report
from backend.context import CurrentRuntime
from backend.db import Tx
from backend.guard import needs
from backend.paging import DEFAULT_PAGE_ROWS, MAX_PAGE_ROWS
from contract.base import Page
from contract.permissions import Permission
from contract.retention import ArchivedPartition, RetentionReport

router = APIRouter(tags=["ledger"])


@router.get("/v1/ledger/retention", **needs(Permission.VIEW_AUDIT_LOGS))
async def read_retention(session: Tx, runtime: CurrentRuntime) -> RetentionReport:
    """What each log keeps, what is due to be dropped, what holds it back, and how its copies elsewhere are."""
    return await report(session, runtime)


@router.get("/v1/ledger/archives", **needs(Permission.VIEW_AUDIT_LOGS))
async def list_archives(
    session: Tx,
    log: Annotated[str | None, Query(max_length=40)] = None,
    cursor: Annotated[str | None, Query(max_length=200)] = None,
    limit: Annotated[int, Query(ge=1, le=MAX_PAGE_ROWS)] = DEFAULT_PAGE_ROWS,
) -> Page[ArchivedPartition]:
    """Every partition of which there are copies, by log and number, with where they are and how they were found."""
    return await archived(session, log=log, cursor=cursor, limit=limit)
