"""HTTP routes of access windows, elevations and access reviews."""

from typing import Annotated

from fastapi import APIRouter, Query
from pydantic import PositiveInt

from backend.auth import elevations, reviews, windows
from backend.context import CurrentRuntime
from backend.db import Tx
from backend.demand import Effect
from backend.guard import CurrentCaller, needs
from backend.openapi import refusals
from backend.paging import DEFAULT_PAGE_ROWS, MAX_PAGE_ROWS
from contract.access import (
    AccessReview,
    AccessReviewExport,
    AccessReviewItem,
    AccessWindow,
    AccessWindowRequest,
    Elevation,
    ElevationRequest,
    ReviewDecisionRequest,
)
from contract.base import Page
from contract.errors import ErrorCode
from contract.permissions import Permission
from contract.privacy import Reasoned

router = APIRouter(tags=["access"])
_Limit = Annotated[int, Query(ge=1, le=MAX_PAGE_ROWS)]
_GRANTS = needs(Permission.GRANT_ACCESS)
_REVIEWS = needs(Permission.REVIEW_ACCESS)
_ASKS = needs(Permission.OWN_SESSION, effect=Effect.OWN)
_DECIDES = needs(Permission.APPROVE_ELEVATION)


@router.post("/v1/access/windows", status_code=201, responses=refusals(ErrorCode.NOT_FOUND), **_GRANTS)
async def grant_window(
    session: Tx, runtime: CurrentRuntime, caller: CurrentCaller, request: AccessWindowRequest
) -> AccessWindow:
    """Let somebody in for a time."""
    return await windows.grant(session, runtime, caller, request)


@router.get("/v1/access/windows", **_GRANTS)
async def list_windows(
    session: Tx, runtime: CurrentRuntime, *, closed: bool = False, cursor: str | None = None,
    limit: _Limit = DEFAULT_PAGE_ROWS,
) -> Page[AccessWindow]:  # fmt: skip
    """Access windows, newest first."""
    return await windows.list_windows(session, runtime, closed=closed, cursor=cursor, limit=limit)


@router.post("/v1/access/windows/{ident}/revoke", **_GRANTS)
async def revoke_window(
    session: Tx, runtime: CurrentRuntime, caller: CurrentCaller, ident: str, request: Reasoned
) -> AccessWindow:
    """Close a window now, or keep it from opening."""
    return await windows.revoke(session, runtime, caller, ident, request.reason)


@router.post("/v1/elevations", status_code=201, **_ASKS)
async def request_elevation(
    session: Tx, runtime: CurrentRuntime, caller: CurrentCaller, request: ElevationRequest
) -> Elevation:
    """Ask for permissions beyond one's role, for a time."""
    return await elevations.request(session, runtime, caller, request)


@router.get("/v1/elevations", **needs(Permission.VIEW_OVERVIEW))
async def list_elevations(
    session: Tx, runtime: CurrentRuntime, *, over: bool = False, cursor: str | None = None,
    limit: _Limit = DEFAULT_PAGE_ROWS,
) -> Page[Elevation]:  # fmt: skip
    """Who holds, or asks for, more than their role; newest first."""
    return await elevations.list_elevations(session, runtime, over=over, cursor=cursor, limit=limit)


@router.post("/v1/elevations/{ident}/approve", **_DECIDES)
async def approve_elevation(session: Tx, runtime: CurrentRuntime, caller: CurrentCaller, ident: str) -> Elevation:
    """Grant what somebody else has asked for."""
    return await elevations.approve(session, runtime, caller, ident)


@router.post("/v1/elevations/{ident}/deny", **_DECIDES)
async def deny_elevation(session: Tx, runtime: CurrentRuntime, caller: CurrentCaller, ident: str) -> Elevation:
    """Turn a request down."""
    return await elevations.deny(session, runtime, caller, ident)


@router.post("/v1/elevations/{ident}/end", **_ASKS)
async def end_elevation(session: Tx, runtime: CurrentRuntime, caller: CurrentCaller, ident: str) -> Elevation:
    """Give an elevation back, or take it away: its holder may, and whoever may approve one."""
    return await elevations.end(session, runtime, caller, ident)


@router.post("/v1/access/reviews", status_code=201, **_REVIEWS)
async def open_review(session: Tx, runtime: CurrentRuntime, caller: CurrentCaller) -> AccessReview:
    """Open an access review out of turn."""
    return await reviews.open_review(session, runtime, caller)


@router.get("/v1/access/reviews", **_REVIEWS)
async def list_reviews(session: Tx, cursor: str | None = None, limit: _Limit = DEFAULT_PAGE_ROWS) -> Page[AccessReview]:
    """Access reviews, newest first."""
    return await reviews.list_reviews(session, cursor=cursor, limit=limit)


@router.get("/v1/access/reviews/{ident}", **_REVIEWS)
async def show_review(session: Tx, ident: str) -> AccessReview:
    """One access review with everything in it."""
    return await reviews.show(session, ident)


@router.post("/v1/access/reviews/{ident}/items/{number}", **_REVIEWS)
async def decide(  # noqa: PLR0917  FastAPI hands these in by name
    session: Tx,
    runtime: CurrentRuntime,
    caller: CurrentCaller,
    ident: str,
    number: PositiveInt,
    request: ReviewDecisionRequest,
) -> AccessReviewItem:
    """Decide what becomes of one account or token; counts at once."""
    return await reviews.decide(session, runtime, caller, ident, number, request)


@router.post("/v1/access/reviews/{ident}/close", **_REVIEWS)
async def close_review(session: Tx, runtime: CurrentRuntime, caller: CurrentCaller, ident: str) -> AccessReview:
    """Finish a review in which everything is decided."""
    return await reviews.close(session, runtime, caller, ident)


@router.get("/v1/access/reviews/{ident}/export", **needs(Permission.REVIEW_ACCESS, exports=True))
async def export_review(session: Tx, runtime: CurrentRuntime, caller: CurrentCaller, ident: str) -> AccessReviewExport:
    """A finished review, to be kept elsewhere."""
    return await reviews.export(session, runtime, caller, ident)
