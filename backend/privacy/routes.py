"""HTTP routes of erasures and legal holds. Names of people stand in bodies only, never in an address."""

from typing import Annotated

from fastapi import APIRouter, Query

from backend.context import CurrentRuntime
from backend.db import Tx
from backend.demand import Effect
from backend.guard import CurrentCaller, needs
from backend.openapi import refusals
from backend.paging import DEFAULT_PAGE_ROWS, MAX_PAGE_ROWS
from backend.privacy import service
from contract.base import Page
from contract.errors import ErrorCode
from contract.permissions import Permission
from contract.privacy import Erasure, ErasurePreview, ErasureRequest, LegalHold, LegalHoldRequest, Reasoned, Whose

router = APIRouter(prefix="/v1/privacy", tags=["privacy"])
_Limit = Annotated[int, Query(ge=1, le=MAX_PAGE_ROWS)]
_ALLOWED = needs(Permission.ERASE_PERSONAL_DATA)


@router.post("/erasures", status_code=201, responses=refusals(ErrorCode.NOT_FOUND), **_ALLOWED)
async def request_erasure(
    session: Tx, runtime: CurrentRuntime, caller: CurrentCaller, request: ErasureRequest
) -> Erasure:
    """Ask for a person to be erased."""
    return await service.request(session, runtime, caller, request)


@router.post(
    "/erasures/preview",
    responses=refusals(ErrorCode.NOT_FOUND),
    **needs(Permission.ERASE_PERSONAL_DATA, effect=Effect.READS),
)
async def preview_erasure(session: Tx, request: Whose) -> ErasurePreview:
    """What erasing a person would destroy; does nothing. A body and not an address, because it holds a name."""
    return await service.preview(session, request)


@router.get("/erasures", **_ALLOWED)
async def list_erasures(session: Tx, cursor: str | None = None, limit: _Limit = DEFAULT_PAGE_ROWS) -> Page[Erasure]:
    """Requests to erase people, newest first."""
    return await service.list_erasures(session, cursor=cursor, limit=limit)


@router.post("/erasures/{ident}/approve", **_ALLOWED)
async def approve_erasure(session: Tx, runtime: CurrentRuntime, caller: CurrentCaller, ident: str) -> Erasure:
    """Erase a person as the second one who wants it. Cannot be taken back."""
    return await service.approve(session, runtime, caller, ident)


@router.post("/erasures/{ident}/withdraw", **_ALLOWED)
async def withdraw_erasure(session: Tx, runtime: CurrentRuntime, caller: CurrentCaller, ident: str) -> Erasure:
    """Take back or turn down a request to erase a person."""
    return await service.withdraw(session, runtime, caller, ident)


@router.post("/legal-holds", status_code=201, responses=refusals(ErrorCode.NOT_FOUND), **_ALLOWED)
async def place_legal_hold(
    session: Tx, runtime: CurrentRuntime, caller: CurrentCaller, request: LegalHoldRequest
) -> LegalHold:
    """Keep a person's data or a part of a log."""
    return await service.place(session, runtime, caller, request)


@router.get("/legal-holds", **_ALLOWED)
async def list_legal_holds(
    session: Tx, *, lifted: bool = False, cursor: str | None = None, limit: _Limit = DEFAULT_PAGE_ROWS
) -> Page[LegalHold]:
    """Legal holds, newest first."""
    return await service.list_holds(session, lifted=lifted, cursor=cursor, limit=limit)


@router.get("/legal-holds/{ident}", **_ALLOWED)
async def show_legal_hold(session: Tx, ident: str) -> LegalHold:
    """One legal hold, with how much it keeps."""
    return await service.show(session, ident)


@router.post("/legal-holds/{ident}/lift", **_ALLOWED)
async def request_lift(
    session: Tx, runtime: CurrentRuntime, caller: CurrentCaller, ident: str, request: Reasoned
) -> LegalHold:
    """Ask for a legal hold to be lifted."""
    return await service.request_lift(session, runtime, caller, ident, request.reason)


@router.post("/legal-holds/{ident}/lift/approve", **_ALLOWED)
async def approve_lift(session: Tx, runtime: CurrentRuntime, caller: CurrentCaller, ident: str) -> LegalHold:
    """Lift a legal hold as the second person."""
    return await service.approve_lift(session, runtime, caller, ident)
