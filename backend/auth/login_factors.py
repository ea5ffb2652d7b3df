"""Judges password and code of one sign-in: who has to wait, what fits, what is used up. Opens no session.

Whatever is wrong, the answer is the same and takes as long; the audit log says which it was.
"""

from collections.abc import Callable
from dataclasses import dataclass, replace
from uuid import UUID

from sqlalchemy import select
from sqlalchemy.ext.asyncio import AsyncSession

from backend.audit import service as audit
from backend.audit.service import AuditDraft
from backend.auth import breakglass, loud, passwords, recovery, totp, waits, windows
from backend.auth.challenges import issue
from backend.auth.identity_tables import BreakGlass, RecoveryCode
from backend.auth.tables import User
from backend.auth.waits import Standing
from backend.context import Caller, Runtime
from backend.db import let_go
from backend.errors import WatchfloorError
from backend.policy.access import may_come_from
from contract.alerts import Severity
from contract.audit import AuditResult
from contract.auth import Factor
from contract.errors import ErrorCode
from contract.hardware import HardwareAct, HardwareChallenge

WAITING = "waiting after failures"
FOREIGN_ADDRESS = "not an address of this backend"
RULE_RECOVERY = "recovery_code_used"


@dataclass(frozen=True, slots=True, repr=False)
class Shown:
    """What somebody typed."""

    username: str
    password: str
    code: str


@dataclass(frozen=True, slots=True)
class Proved:
    """An account whose holder has shown password and code; the code is used up."""

    user: User
    standing: Standing
    factors: tuple[Factor, ...]


@dataclass(frozen=True, slots=True)
class _Second:
    """What was typed beside the password and fits."""

    factor: Factor
    step: int = 0
    code: RecoveryCode | None = None
    sealed: BreakGlass | None = None

    @property
    def unguessable(self) -> bool:
        """So long that nobody has to be kept from trying: it holds also while the account waits."""
        return self.code is not None or self.sealed is not None


async def judge(
    session: AsyncSession,
    runtime: Runtime,
    anonymous: Caller,
    shown: Shown,
    *,
    act: str = "log in",
    enrolling: bool = False,
) -> Proved | None:
    """Judge one try; None when refused.

    `enrolling`: whoever lost the authenticator and was let in by a recovery code has no code to show.

    A refusal is an answer, not an exception: its count and its audit entry are committed with this transaction, which
    must not have written anything before: while the hash is computed it holds no connection.

    Raises:
        WatchfloorError: RATE_LIMITED when too many sign-ins are in hand.
    """
    await let_go(session)  # whoever is signed in was looked up with it
    username = shown.username.strip().lower()
    # a transaction of its own: no connection is held while the hash is computed, or a burst starves the floor
    async with runtime.database.transaction() as before:
        if await waits.turned_away(before, runtime, username, anonymous.ip):
            return None
        stored = await before.scalar(select(User.password_hash).where(User.username == username))
    fits = await passwords.matches(stored, shown.password, signed_in=anonymous.session_id is not None)
    # whether it fits or not: how long this takes tells nothing
    fresh = await passwords.hashed(shown.password) if stored and passwords.is_outdated(stored) else None
    user = await session.scalar(select(User).where(User.username == username).with_for_update())
    found = await waits.standing(session, runtime, user, anonymous.ip)
    if user is None:
        await refuse(session, runtime, anonymous, found, "unknown account", act=act)
        return None
    lost = enrolling and user.must_enrol
    second = _Second(Factor.RECOVERY_CODE) if lost else await _second(session, runtime, user, shown.code)
    reason = _reason(runtime, found, user, second, anonymous.ip, fits=fits and stored == user.password_hash)
    if reason is None and not await windows.is_let_in(session, runtime, user):
        reason = "no access window is open"
    if reason is not None or second is None:
        await refuse(session, runtime, anonymous, found, reason or "code", act=act)
        return None
    await _use_up(session, runtime, anonymous, user, second)
    if fresh is not None:
        user.password_hash = fresh
    return Proved(user, found, (Factor.PASSWORD, second.factor))


@dataclass(frozen=True, slots=True)
class NoChallenge:
    """Why no hardware key is asked for, as whoever showed the other factors reads it."""

    message: str
    hint: str | None


async def ask_for_key(
    session: AsyncSession,
    runtime: Runtime,
    anonymous: Caller,
    proved: Proved,
    *,
    act: HardwareAct,
    origin: Callable[[], str],
    session_id: UUID | None = None,
) -> HardwareChallenge | NoChallenge:
    """What the account's hardware key has to sign.

    A refusal is an answer here too: else the code would not be used up, and whoever names an address that is not this
    backend's could test factors without a trace.
    """
    user = proved.user
    try:
        return await issue(
            session, runtime, user, act=act, origin=origin(), session_id=session_id, factors=proved.factors
        )
    except WatchfloorError as error:
        if error.code is not ErrorCode.NOT_ALLOWED:
            raise
        draft = error.audit or AuditDraft(
            "auth.login.failed", "ask for hardware key", "user", user.username,
            result=AuditResult.FAILURE, error_message=FOREIGN_ADDRESS, metadata=anonymous.connection_facts(),
        )  # fmt: skip
        await audit.record(session, runtime, anonymous, draft)
        return NoChallenge(error.message, error.hint)


async def refuse(
    session: AsyncSession, runtime: Runtime, anonymous: Caller, found: Standing, reason: str, *, act: str = "log in"
) -> None:
    """Count and record a try that was refused."""
    waits.failed(runtime, found)
    metadata: dict[str, int] = {}
    if found.user is not None:
        metadata["failures"] = found.known.failures if found.known is not None else found.user.failed_logins
    if found.address is not None and found.address.refused:
        metadata["turned_away_from_there"], found.address.refused = found.address.refused, 0
    draft = AuditDraft(
        event_type="auth.login.failed",
        action=act,
        resource_type="user",
        # a name without an account may be a password typed into the wrong field: it is not kept
        resource_id=found.user.username if found.user else None,
        result=AuditResult.FAILURE,
        error_message=reason,
        metadata=metadata | anonymous.connection_facts(),
    )
    await audit.record(session, runtime, anonymous, draft)


async def _second(session: AsyncSession, runtime: Runtime, user: User, typed: str) -> _Second | None:
    if user.role == runtime.policy.identity.break_glass_role:
        sealed = await breakglass.fitting(session, runtime, user, typed)
        return _Second(Factor.SEALED_CODE, sealed=sealed) if sealed else None
    if recovery.looks_like_one(typed):
        code = await recovery.unused(session, user.id, typed)
        return _Second(Factor.RECOVERY_CODE, code=code) if code else None
    step = totp.matching_step(
        user.totp_secret,
        typed,
        now=runtime.clock.now(),
        tolerance=runtime.policy.sign_in.watchfloor.totp_steps_of_tolerance,
        after=user.last_totp_step,
    )
    return None if step is None or user.must_enrol else _Second(Factor.TOTP, step=step)


def _reason(
    runtime: Runtime, found: Standing, user: User, second: _Second | None, ip: str | None, *, fits: bool
) -> str | None:
    role = runtime.policy.roles.get(user.role)
    rules = runtime.policy.sign_in.watchfloor
    holds_always = second is not None and second.unguessable
    refusals = {
        WAITING: found.waits(runtime.clock.now()) and not holds_always,
        "password": not fits,
        "code": second is None,
        "disabled account": user.disabled,
        "role not in the policy": role is None,
        "address": role is not None and not may_come_from(role, rules, ip),
    }
    return next((reason for reason, holds in refusals.items() if holds), None)


async def _use_up(session: AsyncSession, runtime: Runtime, anonymous: Caller, user: User, second: _Second) -> None:
    if second.factor is Factor.TOTP:
        user.last_totp_step = second.step
    if second.sealed is not None:
        await breakglass.opened(session, runtime, anonymous, user, second.sealed)
    if second.code is not None:
        second.code.used_at = runtime.clock.now()
        await _lose_authenticator(session, runtime, anonymous, user)


async def _lose_authenticator(session: AsyncSession, runtime: Runtime, anonymous: Caller, user: User) -> None:
    """Void the old authenticator: whoever needed a recovery code does not hold it, and somebody else may."""
    void = totp.new_secret(runtime.clock.random_bytes(totp.SECRET_BYTES))
    user.must_enrol, user.totp_secret, user.totp_pending = True, void, None
    draft = AuditDraft("auth.recovery.used", "use recovery code", "user", user.username)
    await audit.record(session, runtime, replace(anonymous, subject=user.username, kind="user", role=user.role), draft)
    message = f"{user.username} used a recovery code instead of the authenticator, which no longer counts"
    await loud.say(session, runtime, rule=RULE_RECOVERY, account=user.username, severity=Severity.HIGH, message=message)
