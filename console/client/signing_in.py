"""Signing in, and confirming single acts, with whatever factors the backend wants: one function each, no rule.

What a hardware key is asked to sign is what the person is doing by this console's own knowledge, never what a backend
says that they do.
"""

from collections.abc import Awaitable, Callable
from typing import TypeVar

from pydantic import RootModel

from console.client.api import Api
from console.client.errors import ApiError
from console.client.hardware import Intent, answer
from console.client.session import normalise_url
from console.client.touch import Touch
from contract.auth import (
    AuthenticatorCode,
    AuthenticatorSecret,
    Ended,
    LoginAnswer,
    LoginRequest,
    NewAuthenticator,
    PasswordChange,
    RecoveryCodes,
)
from contract.confirming import ConfirmationRequest, Confirmed
from contract.errors import ErrorCode
from contract.freeze import Freeze
from contract.hardware import HardwareAct, HardwareChallenge

T = TypeVar("T")


class _Step(RootModel[LoginAnswer | HardwareChallenge]):
    """What password and code lead to."""


async def log_in(api: Api, username: str, password: str, code: str, touch: Touch) -> LoginAnswer:
    """Exchange password, code and, where the role needs it, a touch for a token; the client itself stays as it is.

    Raises:
        ClientError: the backend refused, could not be asked, or the key or its agent did not help.
    """
    origin = normalise_url(api.url)
    body = LoginRequest(username=username, password=password, totp=code, origin=origin)
    step = (await api.sign_in("login", _Step, body)).root
    if isinstance(step, LoginAnswer):
        return step
    intent = Intent(username.strip().lower(), origin, HardwareAct.SIGN_IN)
    signed = await answer(step, intent, touch.agent(), touch.tell)
    return await api.sign_in("login/hardware", LoginAnswer, signed)


async def confirmed(api: Api, act: HardwareAct, about: str, do: Callable[[], Awaitable[T]]) -> T:
    """Do an act; if the backend wants it confirmed by a fresh touch, have it confirmed and do it again.

    Raises:
        ClientError: the backend refused, could not be asked, or the key or its agent did not help.
    """
    try:
        return await do()
    except ApiError as error:
        touch = api.touch
        if error.code is not ErrorCode.CONFIRMATION_REQUIRED or touch is None:
            raise
    origin, me = normalise_url(api.url), await api.whoami()
    asked = ConfirmationRequest(act=act, about=about, origin=origin)
    challenge = await api.sign_in("confirm/challenge", HardwareChallenge, asked)
    signed = await answer(challenge, Intent(me.username, origin, act, about), touch.agent(), touch.tell)
    await api.sign_in("confirm", Confirmed, signed)
    return await do()


async def approve_thaw(api: Api, ident: str, *, digest: str, version: int | None = None) -> Freeze:
    """Lift a freeze as the second person, confirmed by a touch; `ident` is its id, not its reference."""
    return await confirmed(
        api,
        HardwareAct.APPROVE_THAW,
        f"{ident} {digest}",
        lambda: api.approve_thaw(ident, digest=digest, version=version),
    )


async def change_password(api: Api, old: str, new: str, code: str) -> Ended:
    """Choose another password; other sessions of the caller end."""
    return await api.sign_in("password", Ended, PasswordChange(old=old, new=new, totp=code))


async def new_authenticator(api: Api, password: str, code: str) -> AuthenticatorSecret:
    """Ask for a new authenticator's secret."""
    return await api.sign_in("authenticator", AuthenticatorSecret, NewAuthenticator(password=password, totp=code))


async def confirm_authenticator(api: Api, code: str) -> RecoveryCodes:
    """Take the new authenticator into use by its first code."""
    return await api.sign_in("authenticator/confirm", RecoveryCodes, AuthenticatorCode(totp=code))
