"""HTTP routes of verification."""

from typing import Annotated

from fastapi import APIRouter, Query

from backend.audit.verification import runs
from backend.context import CurrentRuntime
from backend.db import Tx
from backend.guard import CurrentCaller, needs
from contract.base import Page
from contract.permissions import Permission
from contract.verification import Verification, VerificationRequest

router = APIRouter(tags=["ledger"])


@router.post("/v1/ledger/verifications", status_code=202, **needs(Permission.VIEW_AUDIT_LOGS))
async def verify(
    wanted: VerificationRequest, session: Tx, runtime: CurrentRuntime, caller: CurrentCaller
) -> Verification:
    """Verify the ledger, or join the verification that is under way. Recorded, as is its result."""
    return (await runs.shown(session, await runs.request(session, runtime, caller, wanted)))[0]


@router.get("/v1/ledger/verifications", **needs(Permission.VIEW_AUDIT_LOGS))
async def list_verifications(session: Tx, limit: Annotated[int, Query(ge=1, le=100)] = 20) -> Page[Verification]:
    """The newest verifications first."""
    return Page(items=await runs.shown(session, *await runs.latest(session, limit)))


@router.get("/v1/ledger/verifications/{ident}", **needs(Permission.VIEW_AUDIT_LOGS))
async def read_verification(ident: str, session: Tx) -> Verification:
    """One verification: how far it is, or how it ended."""
    return (await runs.shown(session, await runs.find(session, ident)))[0]
