"""HTTP routes of what is kept with incidents and what is left to do after them."""

from typing import Annotated
from urllib.parse import quote

from fastapi import APIRouter, Depends, Path, Query, Request, Response
from pydantic import AfterValidator

from backend.context import CurrentRuntime
from backend.db import Tx
from backend.guard import CurrentCaller, needs
from backend.incidents import service
from backend.incidents.evidence import Named
from backend.incidents.followups import MAX_FOLLOW_UPS, Which
from backend.incidents.numbering import parse_incident_id
from backend.paging import DEFAULT_PAGE_ROWS, MAX_PAGE_ROWS
from contract.base import Page, storable
from contract.incidents import Evidence, EvidenceQueryRequest, FollowUp, FollowUpChange, FollowUpRequest
from contract.permissions import Permission

router = APIRouter(tags=["incidents"])

_SEES, _HANDLES = needs(Permission.VIEW_INCIDENTS), needs(Permission.HANDLE_INCIDENTS)
_BYTES = "application/octet-stream"
_Said = AfterValidator(storable)
_BODY = {"requestBody": {"required": True, "content": {_BYTES: {"schema": {"type": "string", "format": "binary"}}}}}
_TAKES_BYTES = {**_HANDLES, "openapi_extra": {**_HANDLES["openapi_extra"], **_BODY}}


async def _raw(request: Request) -> bytes:
    return await request.body()


_Content = Annotated[bytes, Depends(_raw)]
"""The body, whatever its sender calls it."""


@router.post("/v1/incidents/{ident}/evidence", status_code=201, **_TAKES_BYTES)
async def attach(
    *,
    session: Tx,
    runtime: CurrentRuntime,
    caller: CurrentCaller,
    ident: str,
    content: _Content,
    name: Annotated[str, Query(min_length=1, max_length=200), _Said],
    media_type: Annotated[str, Query(min_length=3, max_length=100), _Said] = _BYTES,
    description: Annotated[str, Query(max_length=2_000), _Said] = "",
) -> Evidence:
    """Keep a file with an incident, as it is: the body is the file, up to 10 MiB."""
    return await service.attach(session, runtime, caller, ident, content, Named(name, media_type, description))


@router.post("/v1/incidents/{ident}/evidence/query", status_code=201, **_HANDLES)
async def attach_answer(
    session: Tx, runtime: CurrentRuntime, caller: CurrentCaller, ident: str, request: EvidenceQueryRequest
) -> Evidence:
    """Keep what Watchfloor answers to a question now."""
    return await service.attach_answer(session, runtime, caller, ident, request)


@router.get("/v1/incidents/{ident}/evidence", **_SEES)
async def list_evidence(session: Tx, ident: str) -> Page[Evidence]:
    """What is kept with an incident, oldest first."""
    return await service.pieces(session, ident)


@router.get(
    "/v1/incidents/{ident}/evidence/{piece}/content",
    response_class=Response,
    responses={200: {"content": {_BYTES: {}}, "description": "The bytes as they were attached"}},
    **needs(Permission.VIEW_INCIDENTS, exports=True),
)
async def get_content(session: Tx, runtime: CurrentRuntime, caller: CurrentCaller, ident: str, piece: str) -> Response:
    """A piece of evidence for download, as it was attached; recorded."""
    found = await service.content_of(session, runtime, caller, ident, piece)
    headers = {
        "content-disposition": f"attachment; filename*=UTF-8''{quote(found.name, safe='')}",
        "x-content-sha256": found.sha256,
    }
    return Response(found.content, media_type=_BYTES, headers=headers)


@router.post("/v1/incidents/{ident}/follow-ups", status_code=201, **_HANDLES)
async def add_follow_up(
    session: Tx, runtime: CurrentRuntime, caller: CurrentCaller, ident: str, request: FollowUpRequest
) -> FollowUp:
    """Write down something to be done."""
    return await service.add_follow_up(session, runtime, caller, ident, request)


@router.patch("/v1/incidents/{ident}/follow-ups/{number}", **_HANDLES)
async def change_follow_up(  # noqa: PLR0917  FastAPI hands these in by name
    session: Tx,
    runtime: CurrentRuntime,
    caller: CurrentCaller,
    ident: str,
    number: Annotated[int, Path(ge=1, le=MAX_FOLLOW_UPS)],
    request: FollowUpChange,
) -> FollowUp:
    """Change something to be done, or say that it is done."""
    return await service.change_follow_up(session, runtime, caller, ident, number, request)


@router.get("/v1/follow-ups", **_SEES)
async def list_follow_ups(
    *,
    session: Tx,
    runtime: CurrentRuntime,
    state: Which = "open",
    owner: Annotated[str | None, Query(max_length=100), AfterValidator(lambda text: text and storable(text))] = None,
    incident: Annotated[str | None, Query(max_length=20)] = None,
    cursor: str | None = None,
    limit: Annotated[int, Query(ge=1, le=MAX_PAGE_ROWS)] = DEFAULT_PAGE_ROWS,
) -> Page[FollowUp]:
    """What is to be done after incidents: the longest overdue first, what has no due date last."""
    of = None if incident is None else parse_incident_id(incident) or ""
    return await service.follow_ups(session, runtime, which=state, owner=owner, incident=of, cursor=cursor, limit=limit)
