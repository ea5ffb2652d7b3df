"""Owns how a session begins: the overview that was asked for ahead of time, then the client and its feed.

Imported late: the client costs half of the start and is not needed for the first picture.
"""

from collections.abc import Callable, Mapping
from datetime import datetime
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import httpx

    from console.client.api import Api
    from console.client.stream import Feed
    from console.client.touch import Touch
    from contract.auth import LoginAnswer
    from contract.overview import Overview

PREFETCH_WAIT_S = 0.25
"""How long the first picture waits for an answer that is already on its way."""

KEEP_LIMIT_S = 2.0
"""How long a sign-in waits for its session to be stored: no disk and no keyring may keep anybody from freezing."""

PAINT_LIMIT_S = 0.2
"""How long the imports wait for the first picture, which they would hold up."""


class FirstAnswer:
    """The overview asked for before Textual was loaded: as plain values for the first picture, then as a wire type."""

    def __init__(self, url: str) -> None:
        from console.term.prefetch import take_prefetched

        self._body = take_prefetched(url, PREFETCH_WAIT_S)

    def seen(self) -> "Overview | None":
        """What the first picture needs of it, if it has come and is as expected."""
        from console.state.glimpse import glimpse

        return glimpse(self._body) if self._body is not None else None

    def read(self) -> "Overview | None":
        """All of it, if it has come and can be read; loads the wire types."""
        if self._body is None:
            return None
        from contract import building

        building.DEFERRED = True
        from pydantic import ValidationError

        from contract.overview import Overview

        try:
            return Overview.model_validate_json(self._body)
        except ValidationError:
            return None  # the feed asks again and says what is wrong


def open_feed(
    url: str,
    token: str,
    first: "Overview | None",
    transport: "httpx.AsyncBaseTransport | None",
    now: Callable[[], datetime],
    *,
    environ: Mapping[str, str],
) -> "tuple[Api, Feed]":
    """The client of a session and its live feed."""
    from console.client.api import Api
    from console.client.session import state_dir
    from console.client.stream import Feed
    from console.client.unanswered import Notes

    options: dict[str, Any] = {"first": first, "now": now}
    api = Api(url, token, transport=transport)
    api.notes = Notes(state_dir(environ), url, token, now=now)
    return api, Feed(api, **options)


def touch_of(environ: Mapping[str, str], name: Callable[[], str], tell: Callable[[str], None]) -> "Touch":
    """The way to the hardware key of whoever is at this console."""
    from console.client.touch import Touch, signer
    from console.demo_users import agent_environment

    return Touch(lambda: signer(agent_environment(environ, name()), None), tell)


async def log_in(
    url: str,
    transport: "httpx.AsyncBaseTransport | None",
    environ: Mapping[str, str],
    credentials: tuple[str, str, str],
    tell: Callable[[str], None],
) -> tuple[str, str]:
    """Sign in with name, password, code and, where the role needs it, a touch; keep the token for the next start.

    `tell` takes one line, right before the hardware key has to be touched.

    Returns the token, and why it could not be kept (empty if it was).
    """
    from console.client import signing_in
    from console.client.api import Api

    username, password, code = credentials
    async with Api(url, None, transport=transport) as api:
        answer = await signing_in.log_in(api, username, password, code, touch_of(environ, lambda: username, tell))
    return await _kept(url, environ, username, answer)


async def log_in_with_sso(
    url: str, transport: "httpx.AsyncBaseTransport | None", environ: Mapping[str, str], tell: Callable[[str], None]
) -> tuple[str, str]:
    """Sign in through the organisation's own sign-in; `tell` takes what the person has to do there.

    Returns the token, and why it could not be kept (empty if it was).
    """
    from console.client import oidc
    from console.client.api import Api

    async with Api(url, None, transport=transport) as api:
        name, answer = await oidc.log_in(
            api, lambda started: tell(oidc.told(started)), touch_of(environ, lambda: "", tell)
        )
    return await _kept(url, environ, name, answer)


async def _kept(url: str, environ: Mapping[str, str], username: str, answer: "LoginAnswer") -> tuple[str, str]:
    from console.client import disk
    from console.client.session import Session, SessionError, save

    session = Session(url=url, username=username, token=answer.token, expires_at=answer.expires_at.isoformat())
    try:
        await disk.within(KEEP_LIMIT_S, lambda: save(environ, session))
    except SessionError as error:
        return answer.token, f"Signed in for this run only: {error.message}"
    except TimeoutError:
        return answer.token, "Signed in for this run only: where sessions are kept does not answer."
    return answer.token, ""
