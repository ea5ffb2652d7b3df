"""Making, resetting and disabling accounts and machine tokens. Never stores or records a secret in clear."""

import base64
import re
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

from sqlalchemy import select, update
from sqlalchemy.ext.asyncio import AsyncSession

from backend.audit import service as audit
from backend.audit.service import AuditDraft
from backend.auth import passwords, tokens, totp
from backend.auth.tables import ServiceToken, Session, User
from backend.context import Caller, Runtime
from backend.errors import WatchfloorError, not_found
from contract.auth import MAX_PASSWORD_CHARS
from contract.errors import ErrorCode
from contract.permissions import Permission

_NAME = re.compile(r"[a-z0-9][a-z0-9._@-]{0,99}")
_RESERVED = frozenset({"anonymous"})
_PASSWORD_BYTES = 15
"""120 bits, 24 letters and digits: beyond guessing, short enough to type once."""
_GROUP_CHARS = 6


@dataclass(frozen=True, slots=True, repr=False)
class Credentials:
    """What a person needs to sign in; shown once, kept nowhere."""

    name: str
    role: str
    password: str
    totp_secret: str

    @property
    def provisioning_uri(self) -> str:
        """What an authenticator app reads from a QR code."""
        return totp.provisioning_uri(self.totp_secret, self.name)


async def add_user(
    session: AsyncSession,
    runtime: Runtime,
    caller: Caller,
    *,
    name: str,
    role: str,
    password: str | None = None,
    totp_secret: str | None = None,
    again: bool = False,
) -> Credentials:
    """Make an account; password and secret are generated unless given.

    `again` lets the name of somebody who was erased come back, as somebody new.

    Raises:
        WatchfloorError: INVALID_REQUEST for a name, role or password that cannot be; CONFLICT when the name is taken or
            was erased.
    """
    _check_name(name)
    fresh = _credentials(runtime, name, role, password, totp_secret)
    if await session.scalar(select(User.id).where(User.username == name)) is not None:
        raise WatchfloorError(ErrorCode.CONFLICT, f"There is already an account {name!r}.")
    back = await audit.readmit(session, runtime, name) if again else await audit.is_erased(session, runtime, name)
    if back and not again:
        raise WatchfloorError(
            ErrorCode.CONFLICT,
            f"Somebody called {name!r} was erased.",
            hint="Say --again if the name is to come back, as somebody new.",
        )
    session.add(
        User(
            id=runtime.clock.new_id(),
            username=name,
            role=role,
            password_hash=await passwords.hashed(fresh.password),
            totp_secret=fresh.totp_secret,
            created_at=runtime.clock.now(),
        )
    )
    await _record(session, runtime, caller, name, "added", new_value={"role": role} | ({"again": True} if back else {}))
    return fresh


async def ensure_user(
    session: AsyncSession,
    runtime: Runtime,
    caller: Caller,
    *,
    name: str,
    role: str,
    password: str | None = None,
    totp_secret: str | None = None,
) -> Credentials:
    """Make an account exist with working credentials; given ones that already work are left alone.

    Raises:
        WatchfloorError: INVALID_REQUEST for a name, role or password that cannot be.
    """
    user = await session.scalar(select(User).where(User.username == name).with_for_update())
    if user is None:
        return await add_user(
            session, runtime, caller, name=name, role=role, password=password, totp_secret=totp_secret
        )
    wanted = _credentials(runtime, name, role, password, totp_secret)
    as_is = (user.role, user.totp_secret, user.disabled) == (role, wanted.totp_secret, False)
    if as_is and password is not None and await passwords.matches(user.password_hash, password):
        return wanted
    old = {"role": user.role, "disabled": user.disabled}
    user.role, user.disabled = role, False
    user.password_hash = await passwords.hashed(wanted.password)
    _replace_totp(user, wanted.totp_secret)
    await _end_sessions(session, runtime, user)
    new = {"role": role, "disabled": False}
    await _record(session, runtime, caller, name, "reset", old_value=old, new_value=new)
    return wanted


async def disable_user(session: AsyncSession, runtime: Runtime, caller: Caller, *, name: str) -> int:
    """Shut an account and end its sessions; returns how many were open.

    Raises:
        WatchfloorError: NOT_FOUND.
    """
    user = await _existing(session, name)
    ended = await _end_sessions(session, runtime, user)
    old = {"disabled": user.disabled}
    user.disabled = True
    new = {"disabled": True, "sessions_ended": ended}
    await _record(session, runtime, caller, name, "disabled", old_value=old, new_value=new)
    return ended


async def reset_totp(session: AsyncSession, runtime: Runtime, caller: Caller, *, name: str) -> str:
    """Give an account a new one-time-code secret, end its sessions and its wait; returns the secret.

    Raises:
        WatchfloorError: NOT_FOUND.
    """
    user = await _existing(session, name)
    _replace_totp(user, _new_totp_secret(runtime))
    ended = await _end_sessions(session, runtime, user)
    new = {"sessions_ended": ended}
    await _record(session, runtime, caller, name, "totp_reset", new_value=new)
    return user.totp_secret


async def ensure_service_token(
    session: AsyncSession,
    runtime: Runtime,
    caller: Caller,
    *,
    name: str,
    permissions: Iterable[Permission],
    token: str | None = None,
) -> str:
    """Make a machine's token exist with exactly these permissions and return it; a given one that works is left alone.

    Raises:
        WatchfloorError: INVALID_REQUEST for a name that cannot be or a token without the prefix.
    """
    _check_name(name)
    if token is not None and not token.startswith(tokens.SERVICE_PREFIX):
        raise WatchfloorError(ErrorCode.INVALID_REQUEST, f"A machine's token starts with {tokens.SERVICE_PREFIX}.")
    wanted = sorted(permission.value for permission in permissions)
    now, digest = runtime.clock.now(), tokens.service_token_hash(token) if token else None
    row = await session.scalar(select(ServiceToken).where(ServiceToken.name == name).with_for_update())
    as_is = row is not None and (row.token_hash, row.permissions, row.disabled) == (digest, wanted, False)
    if token is not None and row is not None and as_is and now < row.expires_at:
        return token
    token = token or tokens.new_service_token(runtime)
    if row is None:
        row = ServiceToken(id=runtime.clock.new_id(), name=name, created_at=now)
        session.add(row)
    row.token_hash, row.permissions, row.disabled = tokens.service_token_hash(token), wanted, False
    row.expires_at = now + timedelta(days=runtime.policy.sign_in.watchfloor.service_token_days)
    new = {"permissions": wanted, "expires_at": row.expires_at.isoformat()}
    draft = AuditDraft("auth.token.issued", "issue token", "service_token", name, new_value=new)
    await audit.record(session, runtime, caller, draft)
    return token


def _credentials(runtime: Runtime, name: str, role: str, password: str | None, totp_secret: str | None) -> Credentials:
    """What an account is to have: what was given, if the policy allows it, and generated where nothing was."""
    _check_role(runtime, role)
    _check_password(runtime, password)
    return Credentials(name, role, password or _new_password(runtime), totp_secret or _new_totp_secret(runtime))


async def _existing(session: AsyncSession, name: str) -> User:
    user = await session.scalar(select(User).where(User.username == name).with_for_update())
    if user is None:
        raise not_found("account", name)
    return user


def _check_name(name: str) -> None:
    if not _NAME.fullmatch(name) or name in _RESERVED:
        raise WatchfloorError(
            ErrorCode.INVALID_REQUEST,
            f"{name!r} cannot be an account's name.",
            hint="Use up to 100 of a-z, 0-9 and . _ @ -, starting with a letter or digit.",
        )


def _check_role(runtime: Runtime, role: str) -> None:
    if role not in runtime.policy.roles:
        known = ", ".join(runtime.policy.roles)
        raise WatchfloorError(ErrorCode.INVALID_REQUEST, f"The policy has no role {role!r}.", hint=f"It has {known}.")


def _check_password(runtime: Runtime, password: str | None) -> None:
    least = runtime.policy.sign_in.watchfloor.min_password_chars
    if password is not None and not least <= len(password) <= MAX_PASSWORD_CHARS:
        raise WatchfloorError(
            ErrorCode.INVALID_REQUEST, f"A password has {least} to {MAX_PASSWORD_CHARS:,} characters."
        )


def _new_password(runtime: Runtime) -> str:
    text = base64.b32encode(runtime.clock.random_bytes(_PASSWORD_BYTES)).decode().lower()
    return "-".join(text[start : start + _GROUP_CHARS] for start in range(0, len(text), _GROUP_CHARS))


def _new_totp_secret(runtime: Runtime) -> str:
    return base64.b32encode(runtime.clock.random_bytes(totp.SECRET_BYTES)).decode()


def _replace_totp(user: User, secret: str) -> None:
    user.totp_secret, user.last_totp_step = secret, 0
    user.failed_logins, user.locked_until = 0, None


async def _end_sessions(session: AsyncSession, runtime: Runtime, user: User) -> int:
    now = runtime.clock.now()
    ended = await session.scalars(
        update(Session)
        .where(Session.user_id == user.id, Session.ended_at.is_(None), Session.expires_at > now)
        .values(ended_at=now)
        .returning(Session.id)
    )
    return len(ended.all())


async def _record(
    session: AsyncSession,
    runtime: Runtime,
    caller: Caller,
    name: str,
    act: str,
    *,
    old_value: dict[str, Any] | None = None,
    new_value: dict[str, Any],
) -> None:
    action = f"{act.replace('_', ' ')} account"
    draft = AuditDraft(f"auth.user.{act}", action, "user", name, old_value=old_value, new_value=new_value)
    await audit.record(session, runtime, caller, draft)
