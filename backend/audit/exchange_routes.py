"""HTTP routes by which entries leave and foreign ones come in, and of saved searches."""

from typing import Annotated, Final

from fastapi import APIRouter, Path, Query
from fastapi.responses import StreamingResponse

from backend.audit import exporting, importing, saved
from backend.audit.query import AuditFilter, ExportQuery
from backend.context import CurrentRuntime
from backend.db import Tx
from backend.demand import Effect
from backend.guard import CurrentCaller, needs
from contract.audit import ExportFormat, ForeignChunk, ForeignResult, SavedSearch, SavedSearches
from contract.permissions import Permission

router = APIRouter(tags=["audit"])

_SavedName = Annotated[str, Path(min_length=1, max_length=60, pattern=r"^[\w .:-]+$")]
_EXTENSIONS: Final = {
    ExportFormat.JSONL: "jsonl",
    ExportFormat.CSV: "csv",
    ExportFormat.PARQUET: "parquet",
    ExportFormat.OCSF: "ocsf.jsonl",
    ExportFormat.SYSLOG: "log",
}


@router.get("/v1/audit/export", **needs(Permission.EXPORT_AUDIT_LOGS, exports=True))
async def export_audit(
    query: Annotated[ExportQuery, Query()], session: Tx, runtime: CurrentRuntime, caller: CurrentCaller
) -> StreamingResponse:
    """Every entry that matches, newest first. Refused to roles whose data export is disabled. Recorded."""
    export = await exporting.begin(session, runtime, caller, query)
    name = f"audit-{runtime.clock.now():%Y%m%dT%H%M%SZ}.{_EXTENSIONS[query.format]}"
    headers = {"content-disposition": f'attachment; filename="{name}"'}
    return StreamingResponse(export.stream(), media_type=export.writer.media_type, headers=headers)


@router.post("/v1/audit/import/{name}", **needs(Permission.IMPORT_AUDIT_LOGS))
async def import_audit(
    name: str, chunk: ForeignChunk, session: Tx, runtime: CurrentRuntime, caller: CurrentCaller
) -> ForeignResult:
    """Take records of a foreign audit log into the log `import:NAME`; those already there are left as they are."""
    return await importing.take_in(session, runtime, caller, name, chunk)


@router.get("/v1/audit/saved", **needs(Permission.VIEW_AUDIT_LOGS))
async def list_saved_searches(session: Tx, caller: CurrentCaller) -> SavedSearches:
    """The caller's saved searches."""
    return SavedSearches(items=await saved.saved_searches(session, caller))


@router.put("/v1/audit/saved/{name}", **needs(Permission.VIEW_AUDIT_LOGS, effect=Effect.OWN))
async def save_search(
    name: _SavedName, filters: AuditFilter, session: Tx, runtime: CurrentRuntime, caller: CurrentCaller
) -> SavedSearch:
    """Keep a search under a name; one of the caller's with that name is replaced."""
    return await saved.save(session, runtime, caller, name, filters)


@router.delete("/v1/audit/saved/{name}", status_code=204, **needs(Permission.VIEW_AUDIT_LOGS, effect=Effect.OWN))
async def delete_saved_search(name: _SavedName, session: Tx, runtime: CurrentRuntime, caller: CurrentCaller) -> None:
    """Delete one of the caller's saved searches."""
    await saved.forget(session, runtime, caller, name)
