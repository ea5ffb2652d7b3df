"""HTTP routes of sessions: one's own, other people's, and unlocking."""

from typing import Annotated

from fastapi import APIRouter, Query, Request, status
from fastapi.responses import JSONResponse

from backend.auth import sessions, unlocking
from backend.auth.login_factors import NoChallenge
from backend.auth.origins import origin_of
from backend.auth.routes import refused_factors
from backend.context import CurrentRuntime
from backend.db import Tx
from backend.demand import Effect
from backend.guard import CurrentCaller, needs
from backend.http import envelope
from backend.openapi import refusals
from backend.paging import DEFAULT_PAGE_ROWS, MAX_PAGE_ROWS
from contract.auth import MAX_NAME_CHARS, NO_NUL
from contract.base import Page
from contract.errors import ErrorCode
from contract.hardware import HardwareAnswer, HardwareChallenge
from contract.permissions import Permission
from contract.sessions import SessionInfo, SessionsEnded, Unlocked, UnlockRequest

router = APIRouter(tags=["sessions"])
_OWN = needs(Permission.OWN_SESSION, effect=Effect.SESSION)
_UNLOCKS = needs(Permission.OWN_SESSION, effect=Effect.UNLOCKS)
_OTHERS = needs(Permission.MANAGE_USERS)
_Limit = Annotated[int, Query(ge=1, le=MAX_PAGE_ROWS)]
_Account = Annotated[str, Query(max_length=MAX_NAME_CHARS, pattern=NO_NUL, description="Whose")]


@router.post(
    "/v1/auth/unlock",
    response_model=Unlocked,
    responses={
        status.HTTP_202_ACCEPTED: {"model": HardwareChallenge, "description": "The hardware key has to answer"},
        **refusals(ErrorCode.LOGIN_FAILED),
    },
    **_UNLOCKS,
)
async def unlock(
    request: Request, body: UnlockRequest, session: Tx, runtime: CurrentRuntime, caller: CurrentCaller
) -> Unlocked | JSONResponse:
    """Unlock one's session with password and code. 202: a hardware key of the account has to answer the challenge."""

    def origin() -> str:
        return origin_of(request, body.origin, runtime.settings)

    answer = await unlocking.unlock(session, runtime, caller, body, origin)
    if isinstance(answer, Unlocked):
        return answer
    if isinstance(answer, NoChallenge):
        return envelope(request, ErrorCode.NOT_ALLOWED, answer.message, hint=answer.hint)
    if answer is not None:
        return JSONResponse(answer.model_dump(mode="json"), status_code=status.HTTP_202_ACCEPTED)
    return refused_factors(request, runtime)


@router.post(
    "/v1/auth/unlock/hardware",
    response_model=Unlocked,
    responses=refusals(ErrorCode.LOGIN_FAILED),
    **_UNLOCKS,
)
async def answer_key(
    request: Request, body: HardwareAnswer, session: Tx, runtime: CurrentRuntime, caller: CurrentCaller
) -> Unlocked | JSONResponse:
    """Finish unlocking with what the hardware key signed."""
    answer = await unlocking.answer_key(session, runtime, caller, body)
    if isinstance(answer, Unlocked):
        return answer
    return envelope(request, ErrorCode.LOGIN_FAILED, answer, hint="Unlock again from the start.")


@router.get("/v1/sessions", **_OWN)
async def list_own(session: Tx, runtime: CurrentRuntime, caller: CurrentCaller) -> Page[SessionInfo]:
    """One's own sessions that have not ended, newest first."""
    return await sessions.own(session, runtime, caller)


@router.delete("/v1/sessions", **_OWN)
async def end_own_others(session: Tx, runtime: CurrentRuntime, caller: CurrentCaller) -> SessionsEnded:
    """End all of one's own sessions but the one that asks."""
    return await sessions.end_own_others(session, runtime, caller)


@router.delete("/v1/sessions/{ident}", **_OWN)
async def end_own(session: Tx, runtime: CurrentRuntime, caller: CurrentCaller, ident: str) -> SessionsEnded:
    """End one of one's own sessions."""
    return await sessions.end_own(session, runtime, caller, ident)


@router.get("/v1/access/sessions", **_OTHERS)
async def list_everybodys(
    session: Tx, runtime: CurrentRuntime, caller: CurrentCaller, *, account: _Account | None = None,
    cursor: str | None = None, limit: _Limit = DEFAULT_PAGE_ROWS,
) -> Page[SessionInfo]:  # fmt: skip
    """Everybody's sessions that have not ended, or one account's, newest first."""
    return await sessions.everybodys(session, runtime, caller, account=account, cursor=cursor, limit=limit)


@router.delete("/v1/access/sessions", responses=refusals(ErrorCode.NOT_FOUND), **_OTHERS)
async def end_all_of(session: Tx, runtime: CurrentRuntime, caller: CurrentCaller, account: _Account) -> SessionsEnded:
    """End every session of an account."""
    return await sessions.end_all_of(session, runtime, caller, account)


@router.delete("/v1/access/sessions/{ident}", **_OTHERS)
async def end_anybodys(session: Tx, runtime: CurrentRuntime, caller: CurrentCaller, ident: str) -> SessionsEnded:
    """End one session of anybody."""
    return await sessions.end_anybodys(session, runtime, caller, ident)
