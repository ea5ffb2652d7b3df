"""HTTP routes of the executors area."""

from typing import Annotated

from fastapi import APIRouter, Query, Request

from backend.context import CurrentRuntime
from backend.db import Tx
from backend.executors import service
from backend.guard import CurrentCaller, needs
from backend.paging import DEFAULT_PAGE_ROWS, MAX_PAGE_ROWS
from contract.base import Page
from contract.executors import Executor, ExecutorState
from contract.gate import MAX_NAME_CHARS, Permit, RenewRequest
from contract.permissions import Permission

router = APIRouter(tags=["executors"])


@router.post("/v1/gate/renew", **needs(Permission.RENEW_PERMIT))
async def renew(http: Request, caller: CurrentCaller, request: RenewRequest) -> Permit:
    """Ask for the next permit."""
    desk: service.Desk = http.app.state.desk
    return (await desk.renew(caller, request)).spelled_out()


@router.get("/v1/executors", **needs(Permission.VIEW_EXECUTORS))
async def list_executors(  # noqa: PLR0917  FastAPI reads the query string from these
    session: Tx,
    runtime: CurrentRuntime,
    chain: str | None = None,
    strategy: str | None = None,
    state: ExecutorState | None = None,
    cursor: Annotated[str | None, Query(max_length=MAX_NAME_CHARS)] = None,
    limit: Annotated[int, Query(ge=1, le=MAX_PAGE_ROWS)] = DEFAULT_PAGE_ROWS,
) -> Page[Executor]:
    """Executors by name; the cursor is the last name of the page before."""
    return await service.page_of_executors(
        session, runtime, chain=chain, strategy=strategy, state=state, cursor=cursor, limit=limit
    )
