"""HTTP routes of drafts: one's own only."""

from typing import Annotated

from fastapi import APIRouter, Path, status

from backend.context import CurrentRuntime
from backend.db import Tx
from backend.demand import Effect
from backend.drafts import service
from backend.guard import CurrentCaller, needs
from contract.base import Page
from contract.permissions import Permission
from contract.postmortem import DRAFT_KEY, Draft, DraftRequest

router = APIRouter(prefix="/v1/drafts", tags=["drafts"])

_OWN = needs(Permission.HANDLE_INCIDENTS, effect=Effect.OWN)
_Key = Annotated[str, Path(pattern=DRAFT_KEY)]


@router.get("", **needs(Permission.HANDLE_INCIDENTS))
async def list_drafts(session: Tx, runtime: CurrentRuntime, caller: CurrentCaller) -> Page[Draft]:
    """What the caller had typed and not sent, newest first."""
    return await service.drafts(session, runtime, caller)


@router.get("/{key}", **needs(Permission.HANDLE_INCIDENTS))
async def get_draft(session: Tx, runtime: CurrentRuntime, caller: CurrentCaller, key: _Key) -> Draft:
    """One of the caller's drafts."""
    return await service.draft(session, runtime, caller, key)


@router.put("/{key}", **_OWN)
async def keep_draft(
    session: Tx, runtime: CurrentRuntime, caller: CurrentCaller, key: _Key, request: DraftRequest
) -> Draft:
    """Keep what is being typed."""
    return await service.keep(session, runtime, caller, key, request)


@router.delete("/{key}", status_code=status.HTTP_204_NO_CONTENT, **_OWN)
async def drop_draft(session: Tx, caller: CurrentCaller, key: _Key) -> None:
    """Forget what was typed."""
    await service.drop(session, caller, key)
