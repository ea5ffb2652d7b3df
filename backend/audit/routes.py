"""HTTP routes of the audit area."""

from typing import Annotated

from fastapi import APIRouter, Query

from backend.audit import revealing, search
from backend.audit.query import AuditQuery, FollowQuery
from backend.context import CurrentRuntime
from backend.db import Tx
from backend.demand import Effect
from backend.guard import CurrentCaller, needs
from contract.audit import AuditEntry, AuditPage
from contract.permissions import Permission
from contract.privacy import Revealed, RevealRequest

router = APIRouter(tags=["audit"])


@router.get("/v1/audit", **needs(Permission.VIEW_AUDIT_LOGS, recorded=True))
async def search_audit(
    query: Annotated[AuditQuery, Query()], session: Tx, runtime: CurrentRuntime, caller: CurrentCaller
) -> AuditPage:
    """Search the audit log, newest first. The search is recorded in it."""
    return await search.search(session, runtime, caller, query)


@router.get("/v1/audit/{entry_id}", **needs(Permission.VIEW_AUDIT_LOGS, recorded=True))
async def read_audit_entry(entry_id: str, session: Tx, runtime: CurrentRuntime, caller: CurrentCaller) -> AuditEntry:
    """One entry of the audit log. That it was read is recorded."""
    return await search.entry(session, runtime, caller, entry_id)


@router.post(
    "/v1/audit/{entry_id}/reveal", **needs(Permission.REVEAL_PERSONAL_DATA, effect=Effect.READS, recorded=True)
)
async def reveal_audit_entry(
    entry_id: str, request: RevealRequest, session: Tx, runtime: CurrentRuntime, caller: CurrentCaller
) -> Revealed:
    """Open the sealed values of one entry, for a reason. That it was done is recorded with it or it is not done."""
    return await revealing.reveal(session, runtime, caller, entry_id, request.reason)


@router.get("/v1/audit/{entry_id}/related", **needs(Permission.VIEW_AUDIT_LOGS, recorded=True))
async def related_audit_entries(
    entry_id: str,
    query: Annotated[FollowQuery, Query()],
    session: Tx,
    runtime: CurrentRuntime,
    caller: CurrentCaller,
) -> AuditPage:
    """The entries that share actor, request, resource or incident with one, newest first. Recorded like a search."""
    return await search.related(session, runtime, caller, entry_id, query)
