"""HTTP routes of machines' tokens."""

from typing import Annotated

from fastapi import APIRouter, Path, Query
from pydantic import AfterValidator

from backend.auth import service_tokens
from backend.context import CurrentRuntime, Runtime
from backend.db import Tx
from backend.guard import CurrentCaller, needs
from backend.paging import DEFAULT_PAGE_ROWS, MAX_PAGE_ROWS
from contract.base import Page, storable
from contract.gate import MAX_NAME_CHARS
from contract.permissions import Permission
from contract.service_tokens import IssuedToken, RotateRequest, ServiceToken, ServiceTokenRequest

router = APIRouter(tags=["service tokens"])
_MANAGES = needs(Permission.MANAGE_SERVICE_TOKENS)
_Name = Annotated[str, Path(max_length=MAX_NAME_CHARS), AfterValidator(storable)]


@router.post("/v1/service-tokens", status_code=201, **_MANAGES)
async def issue_token(
    session: Tx, runtime: CurrentRuntime, caller: CurrentCaller, request: ServiceTokenRequest
) -> IssuedToken:
    """Make a machine a token; its secret is in this answer and nowhere else."""
    return _issued(runtime, await service_tokens.issue(session, runtime, caller, request))


@router.get("/v1/service-tokens", **_MANAGES)
async def list_tokens(
    session: Tx,
    runtime: CurrentRuntime,
    *,
    ended: bool = False,
    cursor: Annotated[str | None, Query(max_length=MAX_NAME_CHARS, pattern=r"^[^\x00]*$")] = None,
    limit: Annotated[int, Query(ge=1, le=MAX_PAGE_ROWS)] = DEFAULT_PAGE_ROWS,
) -> Page[ServiceToken]:
    """Tokens of machines by name; the cursor is the last name of the page before."""
    return await service_tokens.page_of(session, runtime, ended=ended, cursor=cursor, limit=limit)


@router.post("/v1/service-tokens/{name}/rotate", **_MANAGES)
async def rotate_token(
    session: Tx, runtime: CurrentRuntime, caller: CurrentCaller, name: _Name, request: RotateRequest
) -> IssuedToken:
    """Give a machine another secret; the one before works until the new one is used, or for an overlap."""
    return _issued(runtime, await service_tokens.rotate(session, runtime, caller, name, request))


@router.post("/v1/service-tokens/{name}/revoke", **_MANAGES)
async def revoke_token(session: Tx, runtime: CurrentRuntime, caller: CurrentCaller, name: _Name) -> ServiceToken:
    """End a machine's token at once."""
    return service_tokens.wire(await service_tokens.revoke(session, runtime, caller, name), runtime.clock.now())


def _issued(runtime: Runtime, made: service_tokens.Issued) -> IssuedToken:
    return IssuedToken(token=service_tokens.wire(made.row, runtime.clock.now()), secret=made.secret)
