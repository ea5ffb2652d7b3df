"""HTTP routes of signing in and out, of confirming acts, and of the caller's own factors."""

from fastapi import APIRouter, Request, Response, status
from fastapi.responses import JSONResponse

from backend.auth import enrolment, fresh_key, login, service
from backend.auth.login_factors import NoChallenge
from backend.auth.origins import origin_of
from backend.context import CurrentRuntime, Runtime
from backend.db import Tx
from backend.demand import Effect
from backend.guard import CurrentCaller, needs, public
from backend.http import caller_of, envelope
from backend.openapi import refusals
from contract.auth import (
    AuthenticatorCode,
    AuthenticatorSecret,
    Ended,
    LoginAnswer,
    LoginRequest,
    NewAuthenticator,
    PasswordChange,
    RecoveryCodes,
    WhoAmI,
)
from contract.confirming import ConfirmationRequest, Confirmed
from contract.errors import ErrorCode
from contract.hardware import HardwareAnswer, HardwareChallenge
from contract.permissions import Permission

router = APIRouter(tags=["auth"])
_SESSION = needs(Permission.OWN_SESSION, effect=Effect.SESSION)
_ENROLS = needs(Permission.OWN_SESSION, effect=Effect.ENROLS)
_UNLOCKS = needs(Permission.OWN_SESSION, effect=Effect.UNLOCKS)


@router.post(
    "/v1/auth/login",
    response_model=LoginAnswer,
    responses={
        status.HTTP_202_ACCEPTED: {"model": HardwareChallenge, "description": "The hardware key has to answer"},
        **refusals(ErrorCode.LOGIN_FAILED),
    },
    **public(),
)
async def log_in(
    request: Request, body: LoginRequest, session: Tx, runtime: CurrentRuntime
) -> LoginAnswer | JSONResponse:
    """Sign in with password and one-time code. 202: a hardware key of the account has to answer the challenge."""

    def origin() -> str:
        return origin_of(request, body.origin, runtime.settings)

    answer = await login.log_in(session, runtime, caller_of(request), body, origin)
    if isinstance(answer, LoginAnswer):
        return answer
    if isinstance(answer, NoChallenge):
        return envelope(request, ErrorCode.NOT_ALLOWED, answer.message, hint=answer.hint)
    if answer is not None:
        return JSONResponse(answer.model_dump(mode="json"), status_code=status.HTTP_202_ACCEPTED)
    return refused_factors(request, runtime)


@router.post(
    "/v1/auth/login/hardware",
    response_model=LoginAnswer,
    responses=refusals(ErrorCode.LOGIN_FAILED),
    **public(),
)
async def answer_key(
    request: Request, body: HardwareAnswer, session: Tx, runtime: CurrentRuntime
) -> LoginAnswer | JSONResponse:
    """Finish a sign-in with what the hardware key signed."""
    answer = await login.answer_key(session, runtime, caller_of(request), body)
    if isinstance(answer, LoginAnswer):
        return answer
    return envelope(request, ErrorCode.LOGIN_FAILED, answer, hint="Sign in again from the start.")


@router.post("/v1/auth/confirm/challenge", **_SESSION)
async def confirmation_challenge(
    request: Request, body: ConfirmationRequest, session: Tx, runtime: CurrentRuntime, caller: CurrentCaller
) -> HardwareChallenge:
    """What the caller's hardware key has to sign to confirm one act on one object."""
    origin = origin_of(request, body.origin, runtime.settings)
    return await fresh_key.challenge(session, runtime, caller, body, origin)


@router.post("/v1/auth/confirm", response_model=Confirmed, **_SESSION)
async def confirm(
    request: Request, body: HardwareAnswer, session: Tx, runtime: CurrentRuntime, caller: CurrentCaller
) -> Confirmed | JSONResponse:
    """Confirm an act with what the hardware key signed."""
    answer = await fresh_key.confirm(session, runtime, caller, body)
    if isinstance(answer, Confirmed):
        return answer
    return envelope(request, ErrorCode.CONFIRMATION_REQUIRED, answer, hint="Try again.")


@router.post("/v1/auth/password", response_model=Ended, **_SESSION)
async def change_password(
    request: Request, body: PasswordChange, session: Tx, runtime: CurrentRuntime, caller: CurrentCaller
) -> Ended | JSONResponse:
    """Choose another password; the caller's other sessions end."""
    changed = await enrolment.change_password(session, runtime, caller, body)
    return refused_factors(request, runtime) if changed is None else changed


@router.post("/v1/auth/authenticator", response_model=AuthenticatorSecret, **_ENROLS)
async def new_authenticator(
    request: Request, body: NewAuthenticator, session: Tx, runtime: CurrentRuntime, caller: CurrentCaller
) -> AuthenticatorSecret | JSONResponse:
    """Ask for another authenticator; it counts once a code of it was shown."""
    made = await enrolment.new_authenticator(session, runtime, caller, body)
    return refused_factors(request, runtime) if made is None else made


@router.post("/v1/auth/authenticator/confirm", response_model=RecoveryCodes, **_ENROLS)
async def confirm_authenticator(
    request: Request, body: AuthenticatorCode, session: Tx, runtime: CurrentRuntime, caller: CurrentCaller
) -> RecoveryCodes | JSONResponse:
    """Take the new authenticator into use by its first code; gives new recovery codes, once."""
    answer = await enrolment.confirm_authenticator(session, runtime, caller, body)
    if isinstance(answer, RecoveryCodes):
        return answer
    return envelope(request, ErrorCode.INVALID_REQUEST, answer.message, hint=answer.hint)


def refused_factors(request: Request, runtime: Runtime) -> JSONResponse:
    """Answered, not raised: the failure's count and audit entry commit with the request's transaction."""
    return envelope(
        request,
        ErrorCode.LOGIN_FAILED,
        "Name, password or code is wrong, or the account or your address has to wait.",
        hint="A code works once. After several failures an account waits for up to "
        f"{runtime.policy.sign_in.watchfloor.longest_wait_seconds // 60} minutes; a recovery code does not.",
    )


@router.post("/v1/auth/logout", status_code=status.HTTP_204_NO_CONTENT, **_UNLOCKS)
async def log_out(session: Tx, runtime: CurrentRuntime, caller: CurrentCaller) -> Response:
    """End one's own session."""
    await login.log_out(session, runtime, caller)
    return Response(status_code=status.HTTP_204_NO_CONTENT)


@router.get("/v1/auth/whoami", **_UNLOCKS)
async def who_am_i(session: Tx, runtime: CurrentRuntime, caller: CurrentCaller) -> WhoAmI:
    """Who the bearer of the token is and what they may do."""
    return await service.who_am_i(session, runtime, caller)
