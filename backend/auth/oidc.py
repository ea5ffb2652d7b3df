"""Signing in through the provider of SSO: begun, asked for, finished. Judges no token and owns no account.

The provider is asked while no database connection is held. Who is refused has shown the provider who they are, and
hears why.
"""

import base64
import hashlib
from collections.abc import Callable
from dataclasses import dataclass
from datetime import timedelta
from typing import Final

from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from sqlalchemy import delete, select, update
from sqlalchemy.ext.asyncio import AsyncSession

from backend.audit import service as audit
from backend.audit.service import AuditDraft
from backend.auth import oidc_waiting, waits, windows
from backend.auth.challenges import issue, needs_key
from backend.auth.login import may_no_longer, open_session
from backend.auth.login_factors import FOREIGN_ADDRESS
from backend.auth.oidc_accounts import NoAccount, account_of
from backend.auth.oidc_claims import Expected, TokenRefusedError
from backend.auth.oidc_identity import Identity
from backend.auth.oidc_line import ProviderAwayError, ProviderError, ProviderSaysNoError
from backend.auth.oidc_provider import SLOW_DOWN_S, Provider, Waiting
from backend.auth.oidc_tables import SsoSignIn
from backend.auth.tables import User
from backend.context import Caller, Runtime
from backend.errors import WatchfloorError
from backend.policy.sso import SsoRules
from contract.audit import AuditResult
from contract.auth import Factor
from contract.errors import ErrorCode
from contract.hardware import HardwareAct
from contract.sso import SsoStarted, SsoStep

_TICKET_BYTES: Final = 32
"""256 bits, which nobody guesses."""
_ACT: Final = "log in with SSO"
_NONCE_ONCE: Final = bytes(12)
"""Each ticket's key seals one code, so that this is used once with it."""
_ENDED: Final = {
    "access_denied": "The sign-in was refused at the provider.",
    "expired_token": "The code was not entered in time.",
    "invalid_grant": "The provider no longer knows of this sign-in.",
}
"""Ends of a sign-in by RFC 8628, 3.5, as a person reads them."""


@dataclass(frozen=True, slots=True)
class Refused:
    """Why nobody is signed in, as the person reads it."""

    message: str
    hint: str = "Sign in again from the start."


@dataclass(frozen=True, slots=True, repr=False)
class _Due:
    """A sign-in that the provider is to be asked about now."""

    device_code: str
    expected: Expected


async def start(runtime: Runtime, provider: Provider, anonymous: Caller) -> SsoStarted:
    """Begin a sign-in; where too many wait, the oldest of the most crowded address ends.

    Raises:
        WatchfloorError: UNAVAILABLE while the provider does not help.
    """
    ticket = _text(runtime.clock.random_bytes(_TICKET_BYTES))
    nonce = _text(runtime.clock.random_bytes(_TICKET_BYTES))
    try:
        started = await provider.start(nonce)
    except ProviderError as error:
        raise _unhelpful(error) from error
    now = runtime.clock.now()
    row = SsoSignIn(
        ticket_hash=_hash(ticket),
        sealed_code=AESGCM(_key(ticket)).encrypt(_NONCE_ONCE, started.device_code.encode(), None),
        nonce=nonce,
        created_at=now,
        expires_at=now + timedelta(seconds=started.lasts_s),
        ask_every_s=started.ask_every_s,
        asked_at=now,
        whence=oidc_waiting.whence(runtime, anonymous.ip),
    )
    async with runtime.database.transaction() as session:
        await oidc_waiting.make_room(session, runtime, provider.rules, anonymous.ip)
        session.add(row)
        return SsoStarted(
            ticket=ticket,
            user_code=started.user_code,
            page=started.page,
            page_with_code=started.page_with_code,
            expires_at=row.expires_at,
            ask_every_s=row.ask_every_s,
        )


async def ask(
    session: AsyncSession,
    runtime: Runtime,
    provider: Provider,
    anonymous: Caller,
    *,
    ticket: str,
    origin: Callable[[], str],
) -> SsoStep | Refused:
    """How far a sign-in is; finishes it once the person has signed in at the provider. A refusal is committed.

    `origin` tells, or refuses, the backend's address as the client knows it; only a hardware key asks for it.

    Raises:
        WatchfloorError: UNAVAILABLE while the provider does not help, and the sign-in goes on.
    """
    due = await _due(runtime, provider, ticket)
    if not isinstance(due, _Due):
        return due
    try:
        identity = await provider.ask(due.device_code, due.expected)
    except ProviderSaysNoError as error:
        return await _end(session, runtime, anonymous, ticket, _ENDED.get(error.code), told=f"provider: {error.code}")
    except ProviderError as error:
        raise _unhelpful(error) from error
    except TokenRefusedError as error:
        return await _end(session, runtime, anonymous, ticket, None, told=f"the ID token {error}")
    if isinstance(identity, Waiting):
        return SsoStep(ask_again_s=await _slower(session, ticket, slower=identity.slower))
    if await _spent(session, ticket):
        return await _finish(session, runtime, anonymous, identity, origin)
    return Refused("This sign-in has ended.")


async def _finish(
    session: AsyncSession, runtime: Runtime, anonymous: Caller, identity: Identity, origin: Callable[[], str]
) -> SsoStep | Refused:
    user = await account_of(session, runtime, anonymous, identity)
    if isinstance(user, NoAccount):
        await _refuse(session, runtime, anonymous, None, user.told)
        return Refused(user.message, user.hint)
    why = may_no_longer(runtime, user, anonymous.ip)
    if not why and not await windows.is_let_in(session, runtime, user):
        why = "No access window is open."
    if why:
        await _refuse(session, runtime, anonymous, user, why)
        return Refused(why, "Ask whoever runs Watchfloor.")
    factors = _factors(runtime.policy.sso, identity)
    if needs_key(runtime, user.role) and Factor.HARDWARE_KEY not in factors:
        return await _key_asked_for(session, runtime, anonymous, user, origin=origin, factors=factors)
    await waits.succeeded(session, runtime, await waits.standing(session, runtime, user, anonymous.ip), anonymous.ip)
    answer = await open_session(session, runtime, anonymous, user, factors)
    return SsoStep(username=user.username, answer=answer)


async def _key_asked_for(
    session: AsyncSession,
    runtime: Runtime,
    anonymous: Caller,
    user: User,
    *,
    origin: Callable[[], str],
    factors: tuple[Factor, ...],
) -> SsoStep | Refused:
    """A challenge; an account without a key is kept, so that whoever runs the backend can give it one."""
    try:
        challenge = await issue(session, runtime, user, act=HardwareAct.SIGN_IN, origin=origin(), factors=factors)
    except WatchfloorError as error:
        if error.code is not ErrorCode.NOT_ALLOWED:
            raise
        told = "no hardware key enrolled" if error.audit else FOREIGN_ADDRESS
        await _refuse(session, runtime, anonymous, user, told)
        return Refused(error.message, error.hint or "")
    return SsoStep(username=user.username, challenge=challenge)


def _factors(rules: SsoRules, identity: Identity) -> tuple[Factor, ...]:
    """What a sign-in at the provider counts as: one factor, unless the policy believes its word for more."""
    found = [Factor.SSO]
    if identity.contexts.intersection(rules.two_factor_values):
        found.append(Factor.SSO_SECOND)
    if identity.contexts.intersection(rules.hardware_key_values):
        found.append(Factor.HARDWARE_KEY)
    return tuple(found)


async def _due(runtime: Runtime, provider: Provider, ticket: str) -> _Due | SsoStep | Refused:
    """Take the right to ask the provider once now; whoever asks too early waits, on whichever backend."""
    now, rules = runtime.clock.now(), provider.rules
    of_ticket = SsoSignIn.ticket_hash == _hash(ticket)
    async with runtime.database.transaction() as session:
        row = await session.scalar(select(SsoSignIn).where(of_ticket).with_for_update())
        if row is None or now >= row.expires_at:
            return Refused("The code was not entered in time, or this sign-in has ended.")
        early_s = row.ask_every_s - (now - row.asked_at).total_seconds()
        if early_s > 0:
            return SsoStep(ask_again_s=int(early_s) + 1)
        row.asked_at = now
        expected = Expected(
            issuer=provider.issuer,
            client_id=provider.client_id,
            nonce=row.nonce,
            started_at=row.created_at,
            now=now,
            leeway=timedelta(seconds=rules.leeway_seconds),
        )
        return _Due(AESGCM(_key(ticket)).decrypt(_NONCE_ONCE, row.sealed_code, None).decode(), expected)


async def _slower(session: AsyncSession, ticket: str, *, slower: bool) -> int:
    by = SLOW_DOWN_S if slower else 0
    found: int | None = await session.scalar(
        update(SsoSignIn)
        .where(SsoSignIn.ticket_hash == _hash(ticket))
        .values(ask_every_s=SsoSignIn.ask_every_s + by)
        .returning(SsoSignIn.ask_every_s)
    )
    return found or SLOW_DOWN_S


async def _spent(session: AsyncSession, ticket: str) -> bool:
    """End a sign-in; False if it had ended already, whoever ended it."""
    gone = delete(SsoSignIn).where(SsoSignIn.ticket_hash == _hash(ticket)).returning(SsoSignIn.ticket_hash)
    return await session.scalar(gone) is not None


async def _end(
    session: AsyncSession, runtime: Runtime, anonymous: Caller, ticket: str, message: str | None, *, told: str
) -> Refused:
    await _spent(session, ticket)
    await _refuse(session, runtime, anonymous, None, told)
    return Refused(message or "What the provider gave proves nothing; the audit log says why.")


async def _refuse(session: AsyncSession, runtime: Runtime, anonymous: Caller, user: User | None, told: str) -> None:
    """Record a refusal. Nobody has to wait after it: there is nothing here that could be guessed."""
    draft = AuditDraft(
        event_type="auth.login.failed",
        action=_ACT,
        resource_type="user",
        resource_id=user.username if user else None,
        result=AuditResult.FAILURE,
        error_message=told,
        metadata=anonymous.connection_facts(),
    )
    await audit.record(session, runtime, anonymous, draft)


def _unhelpful(error: ProviderError) -> WatchfloorError:
    away = "does not help now" if isinstance(error, ProviderAwayError) else "does not answer as it should"
    return WatchfloorError(
        ErrorCode.UNAVAILABLE,
        f"The provider of SSO {away}: {error}.",
        hint="Try again, or sign in with a local account; sessions that are open go on.",
    )


def _text(raw: bytes) -> str:
    return base64.urlsafe_b64encode(raw).decode().rstrip("=")


def _hash(ticket: str) -> str:
    return hashlib.sha256(f"ticket {ticket}".encode()).hexdigest()


def _key(ticket: str) -> bytes:
    return hashlib.sha256(f"device code {ticket}".encode()).digest()
