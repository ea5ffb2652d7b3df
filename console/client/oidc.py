"""Signing in through the organisation's own sign-in (SSO): what the person has to do there, and waiting for it.

The console sees neither a password nor anything of the provider: the backend speaks to it.
"""

import asyncio
from collections.abc import Awaitable, Callable
from typing import Final

from console.client.api import Api
from console.client.errors import ApiError, NotUnderstood
from console.client.hardware import Intent, answer
from console.client.session import normalise_url
from console.client.touch import Touch
from contract.auth import LoginAnswer
from contract.errors import ErrorCode
from contract.hardware import HardwareAct
from contract.sso import SsoAsk, SsoStart, SsoStarted, SsoStep

_TRIES: Final = 5
"""How often in a row the backend may have no answer of the provider before the person hears of it."""
_LONGEST_WAIT_S: Final = 60
"""Between two questions, whatever the backend says."""


async def log_in(
    api: Api,
    show: Callable[[SsoStarted], None],
    touch: Touch,
    *,
    sleep: Callable[[float], Awaitable[None]] = asyncio.sleep,
) -> tuple[str, LoginAnswer]:
    """Sign in through SSO; `show` tells the person where to enter which code. The account's name and a token.

    Raises:
        ClientError: the backend or the provider refused, could not be asked, or the hardware key did not help.
    """
    started = await api.sign_in("login/sso", SsoStarted, SsoStart())
    show(started)
    origin = normalise_url(api.url)
    wanted = SsoAsk(ticket=started.ticket, origin=origin)
    wait_s, failures = started.ask_every_s, 0
    while True:
        await sleep(min(max(wait_s, 1), _LONGEST_WAIT_S))
        try:
            step = await api.sign_in("sso/ask", SsoStep, wanted)
        except ApiError as error:
            failures += 1
            if error.code is not ErrorCode.UNAVAILABLE or failures >= _TRIES:
                raise
            continue
        failures = 0
        if step.ask_again_s is None:
            return await _finished(api, step, origin, touch)
        wait_s = step.ask_again_s


async def _finished(api: Api, step: SsoStep, origin: str, touch: Touch) -> tuple[str, LoginAnswer]:
    if step.username is None or (step.answer is None) == (step.challenge is None):
        raise NotUnderstood("The backend's answer to the sign-in says neither yes nor no.")
    if step.answer is not None:
        return step.username, step.answer
    assert step.challenge is not None  # noqa: S101  exactly one of the two
    touch.tell(f"You are {step.username} at the provider; the hardware key is asked for as well.")
    signed = await answer(step.challenge, Intent(step.username, origin, HardwareAct.SIGN_IN), touch.agent(), touch.tell)
    return step.username, await api.sign_in("login/hardware", LoginAnswer, signed)


def told(started: SsoStarted) -> str:
    """What the person has to do at the provider, in one line."""
    return f"Open {started.page} and enter {started.user_code}, only if you began this sign-in yourself."
