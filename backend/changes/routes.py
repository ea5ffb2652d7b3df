"""HTTP routes of deploys."""

from typing import Annotated

from fastapi import APIRouter, Query
from pydantic import AfterValidator, AwareDatetime

from backend.changes import service
from backend.changes.service import DeployFilter
from backend.context import CurrentRuntime
from backend.db import Tx
from backend.guard import CurrentCaller, needs
from backend.paging import DEFAULT_PAGE_ROWS, MAX_PAGE_ROWS
from contract.base import Page, storable
from contract.changes import Deploy, DeployRequest
from contract.permissions import Permission

router = APIRouter(prefix="/v1/changes", tags=["changes"])

_Words = Annotated[str | None, Query(max_length=100), AfterValidator(lambda text: text and storable(text))]


@router.post("/deploys", status_code=201, **needs(Permission.RECORD_DEPLOYS))
async def record_deploy(session: Tx, runtime: CurrentRuntime, caller: CurrentCaller, request: DeployRequest) -> Deploy:
    """Say that a version of a service was brought out; the same key again answers with the same deploy."""
    return await service.record(session, runtime, caller, request)


@router.get("/deploys", **needs(Permission.VIEW_ALERTS))
async def list_deploys(
    *,
    session: Tx,
    runtime: CurrentRuntime,
    service_name: Annotated[_Words, Query(alias="service")] = None,
    environment: _Words = None,
    since: Annotated[AwareDatetime | None, Query(alias="from")] = None,
    until: Annotated[AwareDatetime | None, Query(alias="to")] = None,
    cursor: str | None = None,
    limit: Annotated[int, Query(ge=1, le=MAX_PAGE_ROWS)] = DEFAULT_PAGE_ROWS,
) -> Page[Deploy]:
    """Deploys, the one that was started last first; `from` is included, `to` is not."""
    wanted = DeployFilter(service_name, environment, since, until)
    return await service.deploys(session, wanted, cursor=cursor, limit=limit, as_of=runtime.clock.now())
