"""Making, resetting and disabling accounts and machine tokens. Never stores or records a secret in clear."""

import base64
import re
from collections.abc import Iterable
from dataclasses import dataclass, replace
from datetime import timedelta
from decimal import Decimal
from typing import Any

from sqlalchemy import select, update
from sqlalchemy.ext.asyncio import AsyncSession

from backend.audit import service as audit
from backend.audit.service import AuditDraft
from backend.auth import breakglass, passwords, recovery, tokens, totp, waits
from backend.auth.breakglass import Envelopes
from backend.auth.password_rules import refuse_length, refuse_weak
from backend.auth.tables import ServiceToken, Session, User
from backend.context import Caller, Runtime
from backend.errors import WatchfloorError, not_found
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
    recovery_codes: tuple[str, ...] = ()
    """Empty for an account that had them before."""

    @property
    def provisioning_uri(self) -> str:
        """What an authenticator app reads from a QR code."""
        return totp.provisioning_uri(self.totp_secret, self.name)


@dataclass(frozen=True, slots=True, repr=False)
class Authenticator:
    """A new secret for one-time codes and what stands in for it; shown once, kept nowhere."""

    totp_secret: str
    recovery_codes: tuple[str, ...]


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
    checked: bool = True,
) -> Credentials:
    """Make an account; password and secret are generated unless given.

    `checked`: a person chose the password, so that it has to withstand guessing. `again` lets the name of somebody who
    was erased come back, as somebody new.

    Raises:
        WatchfloorError: INVALID_REQUEST for a name, role or password that cannot be; CONFLICT when the name is taken or
            was erased.
    """
    _check_name(name)
    fresh = _credentials(runtime, name, role, password, totp_secret)
    if password is not None and checked:
        refuse_weak(runtime.policy, password, own_words=[name, role])
    if await session.scalar(select(User.id).where(User.username == name)) is not None:
        raise WatchfloorError(ErrorCode.CONFLICT, f"There is already an account {name!r}.")
    back = await audit.readmit(session, runtime, name) if again else await audit.is_erased(session, runtime, name)
    if back and not again:
        raise WatchfloorError(
            ErrorCode.CONFLICT,
            f"Somebody called {name!r} was erased.",
            hint="Say --again if the name is to come back, as somebody new.",
        )
    user = User(
        id=runtime.clock.new_id(),
        username=name,
        role=role,
        password_hash=await passwords.hashed(fresh.password),
        totp_secret=fresh.totp_secret,
        created_at=runtime.clock.now(),
    )
    session.add(user)
    await session.flush()
    codes = await recovery.replace_all(session, runtime, user.id)
    await _record(session, runtime, caller, name, "added", new_value={"role": role} | ({"again": True} if back else {}))
    return replace(fresh, recovery_codes=tuple(codes))


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

    For programs: a password that they hand in is taken to be random, and only its length is looked at.

    Raises:
        WatchfloorError: INVALID_REQUEST for a name, role or password that cannot be.
    """
    user = await session.scalar(select(User).where(User.username == name).with_for_update())
    if user is None:
        return await add_user(
            session, runtime, caller, name=name, role=role, password=password, totp_secret=totp_secret, checked=False
        )
    wanted = _credentials(runtime, name, role, password, totp_secret)
    as_is = (user.role, user.totp_secret, user.disabled) == (role, wanted.totp_secret, False)
    if as_is and password is not None and await passwords.matches(user.password_hash, password):
        return wanted
    old = {"role": user.role, "disabled": user.disabled}
    if user.role != role:
        user.role_since = runtime.clock.now()
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


async def change_role(session: AsyncSession, runtime: Runtime, caller: Caller, *, name: str, role: str) -> int:
    """Give an account another role and end its sessions; returns how many were open.

    Raises:
        WatchfloorError: NOT_FOUND; INVALID_REQUEST for a role that the policy has not, or that the account has.
    """
    _check_role(runtime, role)
    user = await _existing(session, name)
    if user.role == role:
        raise WatchfloorError(ErrorCode.INVALID_REQUEST, f"{name!r} has the role {role!r} already.")
    old = {"role": user.role}
    ended = await _end_sessions(session, runtime, user)
    user.role, user.role_since = role, runtime.clock.now()
    new = {"role": role, "sessions_ended": ended}
    await _record(session, runtime, caller, name, "reset", old_value=old, new_value=new)
    return ended


async def reset_totp(
    session: AsyncSession, runtime: Runtime, caller: Caller, *, name: str, totp_secret: str | None = None
) -> Authenticator:
    """Give an account a new one-time-code secret and recovery codes; end its sessions and its waits.

    `totp_secret`: one of which a code was shown already.

    Raises:
        WatchfloorError: NOT_FOUND; INVALID_REQUEST for a break-glass account, which has none.
    """
    user = await _existing(session, name)
    _check_role(runtime, user.role)
    _replace_totp(user, totp_secret or new_totp_secret(runtime))
    await waits.forget_all(session, user)
    codes = await recovery.replace_all(session, runtime, user.id)
    ended = await _end_sessions(session, runtime, user)
    new = {"sessions_ended": ended, "recovery_codes": len(codes)}
    await _record(session, runtime, caller, name, "totp_reset", new_value=new)
    return Authenticator(user.totp_secret, tuple(codes))


async def seal_break_glass(session: AsyncSession, runtime: Runtime, caller: Caller, *, name: str) -> Envelopes:
    """Make the break-glass account, or seal it again; the contents of its two envelopes are shown once.

    Raises:
        WatchfloorError: INVALID_REQUEST for a name that cannot be; CONFLICT when it is somebody's own account.
    """
    _check_name(name)
    user = await session.scalar(select(User).where(User.username == name))
    if user is not None and user.role != runtime.policy.identity.break_glass_role:
        raise WatchfloorError(ErrorCode.CONFLICT, f"{name!r} is somebody's own account.")
    return await breakglass.seal(session, runtime, caller, name=name, password=_new_password(runtime))


async def ensure_service_token(
    session: AsyncSession,
    runtime: Runtime,
    caller: Caller,
    *,
    name: str,
    permissions: Iterable[Permission],
    token: str | None = None,
    certificate: str | None = None,
    max_trade_eth: Decimal | None = None,
) -> str:
    """Make a machine's token exist with exactly these permissions and return it; a given one that works is left alone.

    With a `certificate`, by its fingerprint, the token works over that certificate only. `max_trade_eth`: less than
    what the policy lets executors trade at once, which it is else.

    Raises:
        WatchfloorError: INVALID_REQUEST for a name that cannot be, a token without the prefix, or a limit that is none.
    """
    _check_name(name)
    limit = (
        _trade_limit(runtime, max_trade_eth) if Permission.RENEW_PERMIT in (permissions := set(permissions)) else None
    )
    if token is not None and not token.startswith(tokens.SERVICE_PREFIX):
        raise WatchfloorError(ErrorCode.INVALID_REQUEST, f"A machine's token starts with {tokens.SERVICE_PREFIX}.")
    wanted = sorted(permission.value for permission in permissions)
    now, digest = runtime.clock.now(), tokens.service_token_hash(token) if token else None
    row = await session.scalar(select(ServiceToken).where(ServiceToken.name == name).with_for_update())
    as_is = row is not None and (
        (row.token_hash, row.permissions, row.disabled, row.client_certificate, row.max_trade_eth)
        == (digest, wanted, False, certificate, limit)
    )
    if token is not None and row is not None and as_is and now < row.expires_at:
        return token
    token = token or tokens.new_service_token(runtime)
    if row is None:
        row = ServiceToken(id=runtime.clock.new_id(), name=name, created_at=now)
        session.add(row)
    row.token_hash, row.permissions, row.disabled = tokens.service_token_hash(token), wanted, False
    row.client_certificate, row.max_trade_eth = certificate, limit
    row.expires_at = now + timedelta(days=runtime.policy.sign_in.watchfloor.service_token_days)
    new = {"permissions": wanted, "expires_at": row.expires_at.isoformat(), "client_certificate": certificate}
    new |= {} if limit is None else {"max_trade_eth": format(limit, "f")}
    draft = AuditDraft("auth.token.issued", "issue token", "service_token", name, new_value=new)
    await audit.record(session, runtime, caller, draft)
    return token


def _trade_limit(runtime: Runtime, wanted: Decimal | None) -> Decimal | None:
    """What executors may trade at once (ETH): the policy's limit of the role they trade in the name of, or less."""
    most = runtime.policy.executor_max_trade_eth
    if wanted is None:
        return most
    if not wanted.is_finite() or wanted <= 0 or (most is not None and wanted > most):
        raise WatchfloorError(
            ErrorCode.INVALID_REQUEST,
            f"A limit of {wanted} ETH cannot be.",
            hint="It is above 0" + (f" and at most the policy's {most} ETH." if most is not None else "."),
        )
    return wanted


def _credentials(runtime: Runtime, name: str, role: str, password: str | None, totp_secret: str | None) -> Credentials:
    """What an account is to have: what was given, if the policy allows it, and generated where nothing was."""
    _check_role(runtime, role)
    if password is not None:
        refuse_length(runtime.policy, password)
    return Credentials(name, role, password or _new_password(runtime), totp_secret or new_totp_secret(runtime))


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
    sealed = runtime.policy.identity.break_glass_role
    if role == sealed:
        raise WatchfloorError(
            ErrorCode.INVALID_REQUEST,
            f"Only the sealed account has the role {sealed}.",
            hint="Make or seal it with: watchfloor user break-glass",
        )
    if role not in runtime.policy.roles:
        known = ", ".join(name for name in runtime.policy.roles if name != sealed)
        raise WatchfloorError(ErrorCode.INVALID_REQUEST, f"The policy has no role {role!r}.", hint=f"It has {known}.")


def _new_password(runtime: Runtime) -> str:
    text = base64.b32encode(runtime.clock.random_bytes(_PASSWORD_BYTES)).decode().lower()
    return "-".join(text[start : start + _GROUP_CHARS] for start in range(0, len(text), _GROUP_CHARS))


def new_totp_secret(runtime: Runtime) -> str:
    """A secret for an account's authenticator."""
    return totp.new_secret(runtime.clock.random_bytes(totp.SECRET_BYTES))


def _replace_totp(user: User, secret: str) -> None:
    user.totp_secret, user.totp_pending, user.last_totp_step, user.must_enrol = secret, None, 0, False
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
