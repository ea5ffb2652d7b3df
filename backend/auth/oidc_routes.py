"""HTTP routes of signing in through the provider of SSO; without one they load nothing that SSO needs."""

from typing import TYPE_CHECKING

from fastapi import APIRouter, Request
from fastapi.responses import JSONResponse

from backend.auth.origins import origin_of
from backend.context import CurrentRuntime
from backend.db import Tx
from backend.errors import WatchfloorError
from backend.guard import public
from backend.http import caller_of, envelope
from backend.openapi import refusals
from contract.errors import ErrorCode
from contract.sso import SsoAsk, SsoStart, SsoStarted, SsoStep

if TYPE_CHECKING:
    from backend.auth.oidc_provider import Provider

router = APIRouter(tags=["auth"])


@router.post("/v1/auth/login/sso", responses=refusals(ErrorCode.NOT_FOUND), **public())
async def start(request: Request, _: SsoStart, runtime: CurrentRuntime) -> SsoStarted:
    """Begin a sign-in through the organisation's own: the code to enter there, and where."""
    provider = _provider(request)
    from backend.auth import oidc

    return await oidc.start(runtime, provider, caller_of(request))


@router.post(
    "/v1/auth/sso/ask",
    response_model=SsoStep,
    responses=refusals(ErrorCode.LOGIN_FAILED, ErrorCode.NOT_FOUND),
    **public(),
)
async def ask(request: Request, body: SsoAsk, session: Tx, runtime: CurrentRuntime) -> SsoStep | JSONResponse:
    """Whether the person has signed in there by now; the token, once they have."""
    provider = _provider(request)
    from backend.auth import oidc

    def origin() -> str:
        return origin_of(request, body.origin, runtime.settings)

    step = await oidc.ask(session, runtime, provider, caller_of(request), ticket=body.ticket, origin=origin)
    if isinstance(step, SsoStep):
        return step
    return envelope(request, ErrorCode.LOGIN_FAILED, step.message, hint=step.hint)


def _provider(request: Request) -> "Provider":
    found: Provider | None = request.app.state.sso
    if found is None:
        raise WatchfloorError(
            ErrorCode.NOT_FOUND, "This backend has no SSO.", hint="Sign in with name, password and one-time code."
        )
    return found
