"""The break-glass account: sealed in two envelopes, opened when a key is lost, and then good for freezing alone.

What its holder may do is its role in the policy. Opening it is loud, and after some hours it has to be sealed again.
"""

import hmac
from dataclasses import dataclass, replace
from datetime import datetime, timedelta

from sqlalchemy import select, update
from sqlalchemy.ext.asyncio import AsyncSession

from backend.audit import service as audit
from backend.audit.service import AuditDraft
from backend.auth import loud, passwords, recovery
from backend.auth.identity_tables import BreakGlass
from backend.auth.tables import Session, User
from backend.context import Caller, Runtime
from contract.alerts import Severity

RULE_OPENED = "break_glass_opened"


@dataclass(frozen=True, slots=True, repr=False)
class Envelopes:
    """What is printed and sealed, each half apart; shown once, kept nowhere."""

    name: str
    password: str
    code: str
    hours: int


async def seal(session: AsyncSession, runtime: Runtime, caller: Caller, *, name: str, password: str) -> Envelopes:
    """Make the account, or seal it again with new contents; its sessions end.

    Raises:
        WatchfloorError: CONFLICT when the name is somebody's own account.
    """
    now, rules = runtime.clock.now(), runtime.policy.identity
    user = await session.scalar(select(User).where(User.username == name).with_for_update())
    if user is None:
        user = User(id=runtime.clock.new_id(), username=name, role=rules.break_glass_role, created_at=now)
        session.add(user)
    made = Envelopes(name, password, recovery.new_code(runtime), rules.break_glass_hours)
    user.password_hash, user.totp_secret, user.disabled = await passwords.hashed(password), "", False
    user.last_totp_step, user.failed_logins, user.locked_until = 0, 0, None
    await session.flush()
    sealed = await session.get(BreakGlass, user.id)
    if sealed is None:
        sealed = BreakGlass(user_id=user.id)
        session.add(sealed)
    sealed.second_hash, sealed.sealed_at, sealed.opened_at = recovery.hash_of(made.code), now, None
    await session.execute(
        update(Session).where(Session.user_id == user.id, Session.ended_at.is_(None)).values(ended_at=now)
    )
    draft = AuditDraft("auth.break_glass.sealed", "seal break-glass account", "user", name)
    await audit.record(session, runtime, caller, draft)
    return made


async def fitting(session: AsyncSession, runtime: Runtime, user: User, typed: str) -> BreakGlass | None:
    """The account's seal if the second envelope was typed and its hours are not over."""
    sealed = await session.get(BreakGlass, user.id)
    if sealed is None or not hmac.compare_digest(sealed.second_hash, recovery.hash_of(typed)):
        return None
    ends = ends_at(runtime, sealed)
    return None if ends is not None and runtime.clock.now() >= ends else sealed


def ends_at(runtime: Runtime, sealed: BreakGlass) -> datetime | None:
    """When the account stops working; None while it is sealed."""
    hours = timedelta(hours=runtime.policy.identity.break_glass_hours)
    return None if sealed.opened_at is None else sealed.opened_at + hours


async def opened(session: AsyncSession, runtime: Runtime, anonymous: Caller, user: User, sealed: BreakGlass) -> None:
    """Say loudly that the envelopes were opened; from the first time on the hours run."""
    now = runtime.clock.now()
    first = sealed.opened_at is None
    sealed.opened_at = sealed.opened_at or now
    who = replace(anonymous, subject=user.username, kind="user", role=user.role)
    draft = AuditDraft("auth.break_glass.opened", "open break-glass account", "user", user.username)
    await audit.record(session, runtime, who, draft)
    hours = runtime.policy.identity.break_glass_hours
    told = f"it works for {hours} hours" if first else f"it works until {ends_at(runtime, sealed):%Y-%m-%d %H:%M} UTC"
    message = f"The break-glass account {user.username} was used: {told} and has to be sealed again"
    await loud.say(
        session, runtime, rule=RULE_OPENED, account=user.username, severity=Severity.CRITICAL, message=message
    )
