"""The layer that counts requests before anything else is done with them. Decides nothing: see `backend.limits`."""

import math
from collections.abc import Callable, Iterator, Mapping
from typing import Final

import structlog
from starlette.requests import Request
from starlette.types import ASGIApp, Receive, Scope, Send

from backend.answers import envelope
from backend.bearer import bearer_of
from backend.limits import Limiter
from backend.limits_core import account_key, address_group, class_of
from backend.metrics import Metrics
from backend.peer import STATE_KEY, Peer
from backend.policy.transport import Allowance, Limits, RequestClass
from contract.errors import ErrorCode

log = structlog.get_logger(__name__)

_LOG_AGAIN_S: Final = 60.0
"""A flood is one line a minute in the log."""
_MESSAGE: Final = {
    "address": "Too many requests came from this address; this one was not looked at.",
    "token": "Too many requests came with this token; this one was not looked at.",
}
_HINT: Final = "Wait {seconds} s. Freezing is never limited."


class RequestLimits:
    """Refuses what goes beyond the policy's limits, by the caller's address and then by their token."""

    def __init__(
        self,
        app: ASGIApp,
        *,
        limiter: Limiter,
        limits: Mapping[RequestClass, Limits],
        secret: bytes,
        address_of: Callable[[Request], str | None],
        metrics: Metrics,
        monotonic: Callable[[], float],
    ) -> None:
        self._app = app
        self._limiter = limiter
        self._limits = limits
        self._secret = secret
        self._address_of = address_of
        self._metrics = metrics
        self._monotonic = monotonic
        self._log_again_at = 0.0

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:  # noqa: D102  the ASGI interface
        kind = class_of(scope["method"], scope["path"]) if scope["type"] == "http" else None
        if kind is None:  # a WebSocket is an executor's or a checker's
            await self._app(scope, receive, send)
            return
        request = Request(scope)
        for what, allowance, value in self._accounts(request, self._limits[kind]):
            wait_s = await self._limiter.refused_for_s(account_key(self._secret, kind, what, value), allowance)
            if wait_s is not None:
                await self._refusal(request, kind, what, wait_s)(scope, receive, send)
                return
        await self._app(scope, receive, send)

    def _accounts(self, request: Request, limits: Limits) -> Iterator[tuple[str, Allowance, str]]:
        """The accounts that a request is taken from: the address first, so that made-up tokens cost no row each."""
        yield "address", limits.address, self._whence(request)
        token = bearer_of(request)  # not the header: however it is written, it is one account
        if token and limits.token is not None:
            yield "token", limits.token, token

    def _whence(self, request: Request) -> str:
        address = self._address_of(request)
        if address is not None:
            return address_group(address)
        peer: Peer | None = getattr(request.state, STATE_KEY, None)
        return f"uid {peer.uid}" if peer is not None else "local"

    def _refusal(self, request: Request, kind: RequestClass, what: str, wait_s: float) -> ASGIApp:
        self._metrics.requests_limited.labels(kind.value, what).inc()
        now = self._monotonic()
        if now >= self._log_again_at:
            self._log_again_at = now + _LOG_AGAIN_S
            log.warning("requests_limited", kind=kind.value, of=what)
        seconds = max(math.ceil(wait_s), 1)
        answer = envelope(request, ErrorCode.RATE_LIMITED, _MESSAGE[what], hint=_HINT.format(seconds=seconds))
        answer.headers["retry-after"] = str(seconds)
        return answer
