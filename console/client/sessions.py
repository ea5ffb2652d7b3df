"""One function per route about sessions: who is signed in, ending that, and unlocking. No rule lives here."""

from urllib.parse import quote

from pydantic import RootModel

from console.client.api import Api
from console.client.hardware import Intent, answer
from console.client.session import normalise_url
from console.client.touch import Touch
from contract.base import Page
from contract.hardware import HardwareAct, HardwareChallenge
from contract.sessions import SessionInfo, SessionsEnded, Unlocked, UnlockRequest


class _Step(RootModel[Unlocked | HardwareChallenge]):
    """What password and code lead to."""


async def unlock(api: Api, password: str, code: str, touch: Touch) -> Unlocked:
    """Unlock the session of the client's token with password, code and, where the role needs it, a touch.

    Raises:
        ClientError: the backend refused, could not be asked, or the key or its agent did not help.
    """
    origin, me = normalise_url(api.url), await api.whoami()
    step = (await api.sign_in("unlock", _Step, UnlockRequest(password=password, totp=code, origin=origin))).root
    if isinstance(step, Unlocked):
        return step
    signed = await answer(step, Intent(me.username, origin, HardwareAct.UNLOCK), touch.agent(), touch.tell)
    return await api.sign_in("unlock/hardware", Unlocked, signed)


async def own(api: Api) -> Page[SessionInfo]:
    """One's own sessions."""
    return await api.ask("sessions", Page[SessionInfo], {})


async def everybodys(
    api: Api, *, account: str | None = None, limit: int | None = None, cursor: str | None = None
) -> Page[SessionInfo]:
    """Everybody's sessions, or one account's."""
    query = {"account": account, "limit": limit, "cursor": cursor}
    return await api.ask("access/sessions", Page[SessionInfo], query)


async def end_own(api: Api, ident: str) -> SessionsEnded:
    """End one of one's own sessions."""
    return await api.take_away(f"sessions/{_part(ident)}", SessionsEnded)


async def end_own_others(api: Api) -> SessionsEnded:
    """End all of one's own sessions but this one."""
    return await api.take_away("sessions", SessionsEnded)


async def end_anybodys(api: Api, ident: str) -> SessionsEnded:
    """End one session of anybody."""
    return await api.take_away(f"access/sessions/{_part(ident)}", SessionsEnded)


async def end_all_of(api: Api, account: str) -> SessionsEnded:
    """End every session of an account."""
    return await api.take_away("access/sessions", SessionsEnded, {"account": account})


def _part(ident: str) -> str:
    """One path segment: an id typed by a person must not reach another route."""
    return quote(ident, safe="").replace(".", "%2E")
