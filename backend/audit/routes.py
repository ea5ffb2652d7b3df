"""HTTP routes of the audit area."""

from typing import Annotated

from fastapi import APIRouter, Query

from backend.audit import search
from backend.audit.search import AuditQuery
from backend.context import CurrentRuntime
from backend.db import Tx
from backend.guard import CurrentCaller, needs
from contract.audit import AuditEntry
from contract.base import Page
from contract.permissions import Permission

router = APIRouter(tags=["audit"])


@router.get("/v1/audit", **needs(Permission.VIEW_AUDIT_LOGS))
async def search_audit(
    query: Annotated[AuditQuery, Query()], session: Tx, runtime: CurrentRuntime, caller: CurrentCaller
) -> Page[AuditEntry]:
    """Search the audit log, newest first. The search is recorded in it."""
    return await search.search(session, runtime, caller, query)


@router.get("/v1/audit/{entry_id}", **needs(Permission.VIEW_AUDIT_LOGS))
async def read_audit_entry(entry_id: str, session: Tx, runtime: CurrentRuntime, caller: CurrentCaller) -> AuditEntry:
    """One entry of the audit log. That it was read is recorded."""
    return await search.entry(session, runtime, caller, entry_id)
