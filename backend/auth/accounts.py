"""Making, resetting and disabling accounts and machine tokens. Never stores or records a secret in clear."""

import base64
from dataclasses import dataclass, replace
from typing import Any

from sqlalchemy import select, update
from sqlalchemy.ext.asyncio import AsyncSession

from backend.audit import service as audit
from backend.audit.service import AuditDraft
from backend.auth import breakglass, passwords, recovery, totp, waits
from backend.auth.breakglass import Envelopes
from backend.auth.names import check_name
from backend.auth.password_rules import refuse_length, refuse_weak
from backend.auth.service_tokens import ensure_service_token
from backend.auth.tables import Session, User
from backend.context import Caller, Runtime
from backend.errors import WatchfloorError, not_found
from contract.errors import ErrorCode
from contract.permissions import Permission

__all__ = [
    "Authenticator", "Credentials", "Envelopes", "add_user", "change_role", "disable_user", "ensure_service_token",
    "ensure_user", "new_totp_secret", "reset_totp", "seal_break_glass",
]  # fmt: skip

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
    check_name(name)
    fresh = _credentials(runtime, name, role, password, totp_secret)
    if password is not None and checked:
        await refuse_weak(runtime.policy, password, own_words=[name, role])
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


async def add_without_password(
    session: AsyncSession, runtime: Runtime, caller: Caller, *, name: str, role: str
) -> User:
    """Make an account that nobody signs in to with a password or a code: whoever holds it comes through the provider.

    Raises:
        WatchfloorError: INVALID_REQUEST for a name or role that cannot be; CONFLICT for the name of somebody erased.
    """
    check_name(name)
    _check_role(runtime, role)
    if await audit.is_erased(session, runtime, name):
        raise WatchfloorError(ErrorCode.CONFLICT, f"Somebody called {name!r} was erased.")
    user = User(
        id=runtime.clock.new_id(),
        username=name,
        role=role,
        password_hash="",
        totp_secret=new_totp_secret(runtime),
        created_at=runtime.clock.now(),
    )
    session.add(user)
    await session.flush()
    await _record(session, runtime, caller, name, "added", new_value={"role": role, "through": "sso"})
    return user


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


async def disable_user(
    session: AsyncSession, runtime: Runtime, caller: Caller, *, name: str, even_last: bool = False
) -> int:
    """Shut an account and end its sessions; returns how many were open.

    Raises:
        WatchfloorError: NOT_FOUND; REFUSED_BY_POLICY for the last account that may freeze, unless `even_last`.
    """
    user = await _existing(session, name)
    if not even_last:
        await refuse_last_to_freeze(session, runtime, user)
    ended = await _end_sessions(session, runtime, user)
    old = {"disabled": user.disabled}
    user.disabled = True
    new = {"disabled": True, "sessions_ended": ended}
    await _record(session, runtime, caller, name, "disabled", old_value=old, new_value=new)
    return ended


async def refuse_last_to_freeze(session: AsyncSession, runtime: Runtime, user: User, role: str | None = None) -> None:
    """Refuse to take an account away, or to give it a role, if nobody with an account of their own could freeze then.

    Raises:
        WatchfloorError: REFUSED_BY_POLICY.
    """
    freezing = {name for name, one in runtime.policy.roles.items() if Permission.FREEZE_OPERATIONS in one.permissions}
    freezing.discard(runtime.policy.identity.break_glass_role)
    if user.disabled or user.role not in freezing or role in freezing:
        return
    others = select(User.id).where(User.id != user.id, User.disabled.is_(False), User.role.in_(freezing)).limit(1)
    if await session.scalar(others) is None:
        raise WatchfloorError(
            ErrorCode.REFUSED_BY_POLICY,
            f"{user.username!r} is the last account that may freeze.",
            hint="Give somebody else a role that may first.",
        )


async def change_role(session: AsyncSession, runtime: Runtime, caller: Caller, *, name: str, role: str) -> int:
    """Give an account another role and end its sessions; returns how many were open.

    Raises:
        WatchfloorError: NOT_FOUND; INVALID_REQUEST for a role that the policy has not, or that the account has, and for
            the break-glass account, which has no second factor outside its envelopes.
    """
    _check_role(runtime, role)
    user = await _existing(session, name)
    if user.role == runtime.policy.identity.break_glass_role:
        told = f"{name!r} is the break-glass account; it keeps its role."
        raise WatchfloorError(ErrorCode.INVALID_REQUEST, told, hint="Make its reader an account of their own.")
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
    check_name(name)
    user = await session.scalar(select(User).where(User.username == name))
    if user is not None and user.role != runtime.policy.identity.break_glass_role:
        raise WatchfloorError(ErrorCode.CONFLICT, f"{name!r} is somebody's own account.")
    return await breakglass.seal(session, runtime, caller, name=name, password=_new_password(runtime))


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
