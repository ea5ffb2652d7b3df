"""HTTP routes of signing in and out."""

from fastapi import APIRouter, Request, Response, status
from fastapi.responses import JSONResponse

from backend.auth import login, service
from backend.context import CurrentRuntime
from backend.db import Tx
from backend.guard import CurrentCaller, needs, public
from backend.http import caller_of, envelope
from contract.auth import LoginAnswer, LoginRequest, WhoAmI
from contract.errors import ErrorCode
from contract.permissions import Permission

router = APIRouter(tags=["auth"])


@router.post("/v1/auth/login", response_model=LoginAnswer, **public())
async def log_in(
    request: Request, body: LoginRequest, session: Tx, runtime: CurrentRuntime
) -> LoginAnswer | JSONResponse:
    """Sign in with password and one-time code."""
    answer = await login.log_in(session, runtime, caller_of(request), body)
    if answer is not None:
        return answer
    # answered, not raised: the failure's count and audit entry commit with this transaction
    return envelope(
        request,
        ErrorCode.LOGIN_FAILED,
        "Name, password or code is wrong, or the account has to wait.",
        hint="A code works once. After several failures an account waits for up to "
        f"{runtime.policy.sign_in.watchfloor.longest_wait_seconds // 60} minutes.",
    )


@router.post("/v1/auth/logout", status_code=status.HTTP_204_NO_CONTENT, **needs(Permission.OWN_SESSION))
async def log_out(session: Tx, runtime: CurrentRuntime, caller: CurrentCaller) -> Response:
    """End one's own session."""
    await login.log_out(session, runtime, caller)
    return Response(status_code=status.HTTP_204_NO_CONTENT)


@router.get("/v1/auth/whoami", **needs(Permission.OWN_SESSION))
async def who_am_i(session: Tx, caller: CurrentCaller) -> WhoAmI:
    """Who the bearer of the token is and what they may do."""
    return await service.who_am_i(session, caller)
