"""HTTP routes of post-mortems, of exports, and of reports written elsewhere."""

from typing import Annotated

from fastapi import APIRouter, Query, Request, Response
from pydantic import AfterValidator

from backend.context import CurrentRuntime
from backend.db import Tx
from backend.guard import CurrentCaller, needs
from backend.incidents.postmortem import acts, exporting, imports, keeping
from backend.paging import DEFAULT_PAGE_ROWS, MAX_PAGE_ROWS
from contract.base import Page, storable
from contract.permissions import Permission
from contract.postmortem import (
    ApprovePostmortemRequest,
    ExportFormat,
    ImportedReport,
    OpenPostmortemRequest,
    Postmortem,
    PostmortemTemplates,
    ReportImportRequest,
    ReportText,
    SectionAnswer,
    SectionEdit,
    SendBackRequest,
)

router = APIRouter(prefix="/v1/incidents", tags=["incidents"])

_SEES, _HANDLES = needs(Permission.VIEW_INCIDENTS), needs(Permission.HANDLE_INCIDENTS)
_APPROVES = needs(Permission.APPROVE_POSTMORTEMS)
_MOST_VERSIONS = 100_000
_Words = Annotated[str | None, Query(max_length=200), AfterValidator(lambda text: text and storable(text))]
_Version = Annotated[int | None, Query(ge=1, le=_MOST_VERSIONS)]
_Limit = Annotated[int, Query(ge=1, le=MAX_PAGE_ROWS)]
_FILES: dict[str, dict[str, str]] = {media.partition(";")[0]: {} for media in exporting.MEDIA_TYPES.values()}


@router.post("/reports", status_code=201, **needs(Permission.IMPORT_INCIDENTS))
async def import_report(
    session: Tx, runtime: CurrentRuntime, caller: CurrentCaller, request: ReportImportRequest
) -> ImportedReport:
    """Take in a report in Markdown that was written elsewhere, as it is."""
    return await imports.import_report(session, runtime, caller, request)


@router.get("/reports", **_SEES)
async def list_reports(
    session: Tx,
    *,
    q: _Words = None,
    collection: _Words = None,
    cursor: str | None = None,
    limit: _Limit = DEFAULT_PAGE_ROWS,
) -> Page[ImportedReport]:
    """Reports written elsewhere, newest import first; `q` searches names, titles and texts."""
    return await imports.reports(session, q=q, collection=collection, cursor=cursor, limit=limit)


@router.get("/reports/{ident}", **_SEES)
async def get_report(session: Tx, ident: str) -> ReportText:
    """A report written elsewhere, with its text."""
    return await imports.report(session, ident)


@router.get("/templates", **_SEES)
async def list_templates(runtime: CurrentRuntime) -> PostmortemTemplates:
    """The templates that a post-mortem can be opened from: the policy's, all of them."""
    return keeping.offered(runtime)


@router.post("/{ident}/postmortem", **_HANDLES)
async def open_postmortem(
    session: Tx, runtime: CurrentRuntime, caller: CurrentCaller, ident: str, request: OpenPostmortemRequest
) -> Postmortem:
    """Open the post-mortem of an incident, prefilled from its record; of an approved one, the next version."""
    return await acts.open_postmortem(session, runtime, caller, ident, request)


@router.get("/{ident}/postmortem", **_SEES)
async def get_postmortem(session: Tx, ident: str, version: _Version = None) -> Postmortem:
    """The post-mortem of an incident: its newest version, or another."""
    return await acts.postmortem(session, ident, version)


@router.put("/{ident}/postmortem/sections/{key}", **_HANDLES)
async def edit_section(  # noqa: PLR0917  FastAPI hands these in by name
    session: Tx, runtime: CurrentRuntime, caller: CurrentCaller, ident: str, key: str, request: SectionEdit
) -> SectionAnswer:
    """Put a section's text in place; what others have written since in other lines stays, else both are shown."""
    return await acts.edit(session, runtime, caller, ident, key, request)


@router.post("/{ident}/postmortem/submit", **_HANDLES)
async def submit(session: Tx, runtime: CurrentRuntime, caller: CurrentCaller, ident: str) -> Postmortem:
    """Ask for a post-mortem to be approved."""
    return await acts.submit(session, runtime, caller, ident)


@router.post("/{ident}/postmortem/send-back", **_APPROVES)
async def send_back(
    session: Tx, runtime: CurrentRuntime, caller: CurrentCaller, ident: str, request: SendBackRequest
) -> Postmortem:
    """Turn a submitted post-mortem down: it is a draft again."""
    return await acts.send_back(session, runtime, caller, ident, request)


@router.post("/{ident}/postmortem/approve", **_APPROVES)
async def approve(
    session: Tx, runtime: CurrentRuntime, caller: CurrentCaller, ident: str, request: ApprovePostmortemRequest
) -> Postmortem:
    """Approve the Markdown that was read, named by its SHA-256; not by whoever wrote or submitted it."""
    return await acts.approve(session, runtime, caller, ident, request)


@router.get(
    "/{ident}/export",
    response_class=Response,
    responses={200: {"content": _FILES, "description": "The file"}},
    **needs(Permission.VIEW_INCIDENTS, exports=True, recorded=True),
)
async def export(
    *,
    session: Tx,
    runtime: CurrentRuntime,
    caller: CurrentCaller,
    request: Request,
    ident: str,
    form: Annotated[ExportFormat, Query(alias="format")] = ExportFormat.MARKDOWN,
    version: _Version = None,
) -> Response:
    """An incident with its post-mortem as a file; recorded."""
    found = await exporting.export(session, runtime, request.app.state.presses, caller, ident, form, version)
    headers = {"content-disposition": f'attachment; filename="{found.name}"', "x-content-sha256": found.sha256}
    return Response(found.content, media_type=found.media_type, headers=headers)
