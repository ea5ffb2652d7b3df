"""HTTP routes that read trades; those that take them in are in `backend.intake`."""

from typing import Annotated

from fastapi import APIRouter, Query
from pydantic import AwareDatetime

from backend.context import CurrentRuntime
from backend.db import Tx
from backend.guard import needs
from backend.paging import DEFAULT_PAGE_ROWS, MAX_PAGE_ROWS
from backend.transactions import service
from backend.transactions.service import TransactionFilter
from contract.base import Page
from contract.permissions import Permission
from contract.transactions import Outcome, Transaction

router = APIRouter(tags=["transactions"])


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
