"""HTTP routes of silences."""

from typing import Annotated

from fastapi import APIRouter, Query

from backend.alerts import silences
from backend.context import CurrentRuntime
from backend.db import Tx
from backend.demand import Effect
from backend.guard import CurrentCaller, needs
from backend.paging import DEFAULT_PAGE_ROWS, MAX_PAGE_ROWS
from contract.alert_work import Silence, SilencePreview, SilencePreviewRequest, SilenceRequest, SilenceState
from contract.base import Page
from contract.permissions import Permission

router = APIRouter(tags=["silences"])


@router.get("/v1/silences", **needs(Permission.VIEW_ALERTS))
async def list_silences(
    session: Tx,
    runtime: CurrentRuntime,
    state: Annotated[list[SilenceState] | None, Query()] = None,
    cursor: str | None = None,
    limit: Annotated[int, Query(ge=1, le=MAX_PAGE_ROWS)] = DEFAULT_PAGE_ROWS,
) -> Page[Silence]:
    """Silences, newest first; `state` may be given several times."""
    return await silences.list_silences(session, runtime, state or (), cursor=cursor, limit=limit)


@router.post("/v1/silences/preview", **needs(Permission.SILENCE_ALERTS, effect=Effect.READS))
async def preview_silence(body: SilencePreviewRequest, session: Tx) -> SilencePreview:
    """What a silence would mute now."""
    return await silences.preview(session, body.matchers)


@router.post("/v1/silences", **needs(Permission.SILENCE_ALERTS))
async def create_silence(body: SilenceRequest, session: Tx, runtime: CurrentRuntime, caller: CurrentCaller) -> Silence:
    """Mute alerts until a time; what goes on then is raised again."""
    return await silences.create(session, runtime, caller, body)


@router.get("/v1/silences/{silence_id}", **needs(Permission.VIEW_ALERTS))
async def get_silence(silence_id: str, session: Tx, runtime: CurrentRuntime) -> Silence:
    """One silence."""
    return await silences.get(session, runtime, silence_id)


@router.post("/v1/silences/{silence_id}/end", **needs(Permission.SILENCE_ALERTS))
async def end_silence(silence_id: str, session: Tx, runtime: CurrentRuntime, caller: CurrentCaller) -> Silence:
    """End a silence early: what it muted and goes on is raised again at once."""
    return await silences.end(session, runtime, caller, silence_id)
