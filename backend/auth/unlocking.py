"""Unlocking a session that nobody had used for a while: with every factor of a sign-in, and the session stays the same.

Never lengthens a session: it ends when it would have ended.
"""

from collections.abc import Callable, Sequence
from datetime import datetime
from typing import Final
from uuid import UUID

from sqlalchemy import update
from sqlalchemy.ext.asyncio import AsyncSession

from backend.audit import service as audit
from backend.audit.service import AuditDraft
from backend.auth import waits
from backend.auth.challenges import answered, needs_key
from backend.auth.login_factors import NoChallenge, Shown, ask_for_key, judge, refuse
from backend.auth.tables import Session
from backend.context import Caller, Runtime
from backend.errors import WatchfloorError
from contract.auth import Factor
from contract.errors import ErrorCode
from contract.hardware import HardwareAct, HardwareAnswer, HardwareChallenge
from contract.sessions import Unlocked, UnlockRequest

_ACT: Final = "unlock session"


async def unlock(
    session: AsyncSession, runtime: Runtime, caller: Caller, request: UnlockRequest, origin: Callable[[], str]
) -> Unlocked | HardwareChallenge | NoChallenge | None:
    """Judge password and code: the session is open, or the hardware key of the account has to sign; None when refused.

    As at sign-in a refusal is an answer, so that its count and its audit entry are committed.

    Raises:
        WatchfloorError: NOT_ALLOWED for a machine; RATE_LIMITED as at sign-in.
    """
    ident = _session_of(caller)
    proved = await judge(session, runtime, caller, Shown(caller.subject, request.password, request.totp), act=_ACT)
    if proved is None:
        return None
    if needs_key(runtime, proved.user.role):
        return await ask_for_key(
            session, runtime, caller, proved, act=HardwareAct.UNLOCK, origin=origin, session_id=ident
        )
    await waits.succeeded(session, runtime, proved.standing, caller.ip)
    return await _open(session, runtime, caller, proved.factors)


async def answer_key(session: AsyncSession, runtime: Runtime, caller: Caller, answer: HardwareAnswer) -> Unlocked | str:
    """Unlock with the answer to a challenge that `unlock` gave; the sentence that says why not when refused.

    Raises:
        WatchfloorError: NOT_ALLOWED for a machine.
    """
    found = await answered(session, runtime, caller, answer, session_id=_session_of(caller))
    if found.user is None or found.row is None:
        return str(found.refusal)
    standing = await waits.standing(session, runtime, found.user, caller.ip)
    why = str(found.refusal) if found.refusal is not None else ""
    if not why and found.row.act != HardwareAct.UNLOCK.value:  # a touch for another act shows no password
        why = "The challenge was about something else."
    if why:
        await refuse(session, runtime, caller, standing, f"hardware key: {why}", act=_ACT)
        return why
    await waits.succeeded(session, runtime, standing, caller.ip)
    return await _open(session, runtime, caller, (*(Factor(one) for one in found.row.factors), Factor.HARDWARE_KEY))


async def _open(session: AsyncSession, runtime: Runtime, caller: Caller, factors: Sequence[Factor]) -> Unlocked:
    now, shown = runtime.clock.now(), [factor.value for factor in factors]
    expires_at: datetime | None = await session.scalar(
        update(Session)
        .where(Session.id == _session_of(caller), Session.ended_at.is_(None), Session.expires_at > now)
        .values(last_used_at=now, factors=shown)
        .returning(Session.expires_at)
    )
    if expires_at is None:
        raise WatchfloorError(ErrorCode.NOT_AUTHENTICATED, "Your session has ended meanwhile.", hint="Sign in again.")
    draft = AuditDraft(
        "auth.session.unlocked", _ACT, "session", caller.session_id,
        metadata={"factors": shown, **caller.connection_facts()},
    )  # fmt: skip
    await audit.record(session, runtime, caller, draft)
    locks_in = min(runtime.policy.sessions.idle, expires_at - now)
    return Unlocked(locks_in_seconds=int(locks_in.total_seconds()), expires_at=expires_at)


def _session_of(caller: Caller) -> UUID:
    if caller.session_id is None:
        raise WatchfloorError(ErrorCode.NOT_ALLOWED, "A machine's token has no session to unlock.")
    return UUID(caller.session_id)
