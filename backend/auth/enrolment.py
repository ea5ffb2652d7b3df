"""A signed-in person's own factors: another password, another authenticator, new recovery codes."""

from dataclasses import dataclass
from datetime import timedelta
from typing import Final
from uuid import UUID

from sqlalchemy import select, update
from sqlalchemy.ext.asyncio import AsyncSession

from backend.audit import service as audit
from backend.audit.service import AuditDraft
from backend.auth import passwords, recovery, totp
from backend.auth.login_factors import Shown, judge
from backend.auth.password_rules import refuse_length, refuse_weak
from backend.auth.tables import Session, User
from backend.context import Caller, Runtime
from backend.db import after_commit, let_go
from backend.errors import WatchfloorError
from contract.audit import AuditResult
from contract.auth import (
    AuthenticatorCode,
    AuthenticatorSecret,
    Ended,
    NewAuthenticator,
    PasswordChange,
    RecoveryCodes,
)
from contract.errors import ErrorCode

PENDING_FOR: Final = timedelta(minutes=10)
"""Time to fetch a telephone; a secret that nobody took into use soon no longer counts."""
PENDING_FAILURES: Final = 5
"""Nobody mistypes more often, and so many guesses succeed once in some ten thousand times."""


@dataclass(frozen=True, slots=True)
class WrongCode:
    """Why a new authenticator does not count yet."""

    message: str
    hint: str


async def change_password(
    session: AsyncSession, runtime: Runtime, caller: Caller, change: PasswordChange
) -> Ended | None:
    """Give the caller a new password and end their other sessions; None when the old one or the code is wrong.

    The code is used up also if the new password is then refused: only whoever showed both hears what is wrong with it.

    Raises:
        WatchfloorError: INVALID_REQUEST for a password that is too short or too easily guessed; NOT_ALLOWED for whoever
            has none of their own; RATE_LIMITED as at sign-in; CONFLICT if the account changed meanwhile.
    """
    _only_people(runtime, caller)
    refuse_length(runtime.policy, change.new)
    await let_go(session)
    shown = Shown(caller.subject, change.old, change.totp)
    async with runtime.database.transaction() as proving:
        proved = await judge(proving, runtime, caller, shown, act="change password", enrolling=True)
    if proved is None:
        return None
    fresh = await _strong(runtime, caller, change.new)
    user = await _locked(session, caller)
    if user.disabled or user.password_hash != proved.user.password_hash:
        raise WatchfloorError(ErrorCode.CONFLICT, "Your account was changed meanwhile.", hint="Sign in again.")
    user.password_hash = fresh
    ended = await _end_other_sessions(session, runtime, caller, user)
    draft = AuditDraft(
        "auth.user.password_changed", "change password", "user", caller.subject, new_value={"sessions_ended": ended}
    )
    await audit.record(session, runtime, caller, draft)
    return Ended(sessions_ended=ended)


async def new_authenticator(
    session: AsyncSession, runtime: Runtime, caller: Caller, wish: NewAuthenticator
) -> AuthenticatorSecret | None:
    """Give the caller a secret that counts once a code of it is shown; None when password or code is wrong.

    Raises:
        WatchfloorError: NOT_ALLOWED for whoever has none of their own; RATE_LIMITED as at sign-in.
    """
    _only_people(runtime, caller)
    proved = await judge(
        session,
        runtime,
        caller,
        Shown(caller.subject, wish.password, wish.totp),
        act="ask for authenticator",
        enrolling=True,
    )
    if proved is None:
        return None
    secret = totp.new_secret(runtime.clock.random_bytes(totp.SECRET_BYTES))
    proved.user.totp_pending, proved.user.totp_pending_since = secret, runtime.clock.now()
    proved.user.totp_pending_failures = 0
    return AuthenticatorSecret(totp_secret=secret, provisioning_uri=totp.provisioning_uri(secret, caller.subject))


async def confirm_authenticator(
    session: AsyncSession, runtime: Runtime, caller: Caller, shown: AuthenticatorCode
) -> RecoveryCodes | WrongCode:
    """Let the new authenticator count from its first code on, and make new recovery codes; other sessions end.

    A wrong code is an answer, so that it is counted and recorded: after a few the secret no longer counts.

    Raises:
        WatchfloorError: INVALID_REQUEST, no authenticator was asked for lately.
    """
    user = await _locked(session, caller)
    now, since = runtime.clock.now(), user.totp_pending_since
    if user.totp_pending is None or since is None or now > since + PENDING_FOR:
        raise WatchfloorError(ErrorCode.INVALID_REQUEST, "Ask for a new authenticator first.")
    step = totp.matching_step(
        user.totp_pending,
        shown.totp,
        now=now,
        tolerance=runtime.policy.sign_in.watchfloor.totp_steps_of_tolerance,
        after=0,
    )
    if step is None:
        return await _wrong(session, runtime, caller, user)
    user.totp_secret, user.totp_pending, user.last_totp_step, user.must_enrol = user.totp_pending, None, step, False
    codes = await recovery.replace_all(session, runtime, user.id)
    ended = await _end_other_sessions(session, runtime, caller, user)
    draft = AuditDraft(
        "auth.user.authenticator_enrolled", "enrol authenticator", "user", caller.subject,
        new_value={"recovery_codes": len(codes), "sessions_ended": ended},
    )  # fmt: skip
    await audit.record(session, runtime, caller, draft)
    return RecoveryCodes(recovery_codes=codes, sessions_ended=ended)


async def _wrong(session: AsyncSession, runtime: Runtime, caller: Caller, user: User) -> WrongCode:
    user.totp_pending_failures += 1
    ends = user.totp_pending_failures >= PENDING_FAILURES
    if ends:
        user.totp_pending = None
    draft = AuditDraft(
        "auth.login.failed", "enrol authenticator", "user", caller.subject,
        result=AuditResult.FAILURE, error_message="code of the new authenticator",
        metadata={"failures": user.totp_pending_failures} | caller.connection_facts(),
    )  # fmt: skip
    await audit.record(session, runtime, caller, draft)
    hint = "Ask for a new authenticator." if ends else "See that its clock is right, and type the next code."
    return WrongCode("That code does not fit the new authenticator.", hint)


async def _strong(runtime: Runtime, caller: Caller, password: str) -> str:
    """The hash of a password that withstands guessing; both take long, so that no connection is held."""
    try:
        await refuse_weak(runtime.policy, password, own_words=[caller.subject, caller.role])
    except WatchfloorError as error:
        error.hint = f"{error.hint} The code is used up: type the next one."
        raise
    return await passwords.hashed(password)


def _only_people(runtime: Runtime, caller: Caller) -> None:
    if caller.session_id is None or caller.role == runtime.policy.identity.break_glass_role:
        raise WatchfloorError(
            ErrorCode.NOT_ALLOWED,
            "Only a person changes factors of their own.",
            hint="The break-glass account is sealed again instead: watchfloor user break-glass",
        )


async def _locked(session: AsyncSession, caller: Caller) -> User:
    user = await session.scalar(select(User).where(User.username == caller.subject).with_for_update())
    if user is None or caller.session_id is None:
        raise WatchfloorError(ErrorCode.NOT_ALLOWED, "Only a person has factors of their own.")
    return user


async def _end_other_sessions(session: AsyncSession, runtime: Runtime, caller: Caller, user: User) -> int:
    now = runtime.clock.now()
    ended = await session.scalars(
        update(Session)
        .where(
            Session.user_id == user.id,
            Session.id != UUID(caller.session_id or ""),
            Session.ended_at.is_(None),
            Session.expires_at > now,
        )
        .values(ended_at=now)
        .returning(Session.id)
    )
    after_commit(session, runtime.callers.stale.set)
    return len(ended.all())
