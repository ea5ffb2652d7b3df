"""One function per route about access: windows, elevations, reviews. Contract models in and out. No rule lives here."""

from typing import Literal
from urllib.parse import quote

from console.client.api import Api
from console.client.signing_in import confirmed
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
from contract.hardware import HardwareAct
from contract.privacy import Reasoned


async def grant_window(api: Api, request: AccessWindowRequest) -> AccessWindow:
    """Let somebody in for a time."""
    return await api.act("access/windows", AccessWindow, request)


async def revoke_window(api: Api, ident: str, request: Reasoned) -> AccessWindow:
    """Close a window now, or keep it from opening."""
    return await api.act(f"access/windows/{_part(ident)}/revoke", AccessWindow, request)


async def windows(api: Api, *, closed: bool, limit: int | None = None, cursor: str | None = None) -> Page[AccessWindow]:
    """Access windows, newest first; only those not over unless asked."""
    query = {"closed": "true" if closed else None, "limit": limit, "cursor": cursor}
    return await api.ask("access/windows", Page[AccessWindow], query)


async def request_elevation(api: Api, request: ElevationRequest) -> Elevation:
    """Ask for permissions for a time."""
    return await api.act("elevations", Elevation, request)


async def decide_elevation(api: Api, ident: str, decision: Literal["approve", "deny", "end"]) -> Elevation:
    """Grant, turn down or end an elevation."""

    async def decide() -> Elevation:
        return await api.act(f"elevations/{_part(ident)}/{decision}", Elevation)

    if decision != "approve":
        return await decide()
    return await confirmed(api, HardwareAct.APPROVE_ELEVATION, ident.strip().lower(), decide)


async def elevations(api: Api, *, over: bool, limit: int | None = None, cursor: str | None = None) -> Page[Elevation]:
    """Elevations, newest first; only those in force or asked for unless asked."""
    query = {"over": "true" if over else None, "limit": limit, "cursor": cursor}
    return await api.ask("elevations", Page[Elevation], query)


async def open_review(api: Api) -> AccessReview:
    """Open an access review out of turn."""
    return await api.act("access/reviews", AccessReview)


async def reviews(api: Api, *, limit: int | None = None, cursor: str | None = None) -> Page[AccessReview]:
    """Access reviews, newest first."""
    return await api.ask("access/reviews", Page[AccessReview], {"limit": limit, "cursor": cursor})


async def review(api: Api, ident: str) -> AccessReview:
    """One access review with everything in it."""
    return await api.ask(f"access/reviews/{_part(ident)}", AccessReview, {})


async def decide_item(api: Api, ident: str, number: int, request: ReviewDecisionRequest) -> AccessReviewItem:
    """Decide what becomes of one account or token."""

    async def decide() -> AccessReviewItem:
        return await api.act(f"access/reviews/{_part(ident)}/items/{number}", AccessReviewItem, request)

    return await confirmed(api, HardwareAct.DECIDE_ACCESS, request.about(ident.strip().lower(), number), decide)


async def close_review(api: Api, ident: str) -> AccessReview:
    """Finish a review."""
    return await api.act(f"access/reviews/{_part(ident)}/close", AccessReview)


async def export_review(api: Api, ident: str) -> AccessReviewExport:
    """A finished review, to be kept elsewhere."""
    return await api.ask(f"access/reviews/{_part(ident)}/export", AccessReviewExport, {})


def _part(ident: str) -> str:
    """One path segment: an id typed by a person must not reach another route."""
    return quote(ident, safe="").replace(".", "%2E")
