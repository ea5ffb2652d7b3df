"""Fresh confirmation: some acts need a touch of the hardware key minutes before, about exactly that act on that object.

Never asked for freezing. Which roles confirm is the policy's word, as is how long a touch counts.
"""

from datetime import timedelta
from uuid import UUID

from sqlalchemy import select
from sqlalchemy.ext.asyncio import AsyncSession

from backend.audit import service as audit
from backend.audit.service import AuditDraft
from backend.auth.challenges import answered, issue, needs_key
from backend.auth.identity_tables import HardwareChallengeRow
from backend.auth.tables import User
from backend.context import Caller, Runtime
from backend.errors import WatchfloorError
from contract.audit import AuditResult
from contract.confirming import ConfirmationRequest, Confirmed
from contract.errors import ConfirmationWanted, ErrorCode
from contract.hardware import HardwareAct, HardwareAnswer, HardwareChallenge

_SIGN_IN_ACTS = frozenset({HardwareAct.SIGN_IN, HardwareAct.UNLOCK})
"""Asked for behind a password and a code alone: here they would be had without."""


async def require(session: AsyncSession, runtime: Runtime, caller: Caller, act: HardwareAct, about: str) -> None:
    """Let an act pass that its doer has confirmed, or need not confirm.

    Raises:
        WatchfloorError: CONFIRMATION_REQUIRED, saying what the touch has to be about.
    """
    if caller.session_id is None or not needs_key(runtime, caller.role):
        return
    since = runtime.clock.now() - timedelta(minutes=runtime.policy.identity.confirmation_minutes)
    found = await session.scalar(
        select(HardwareChallengeRow.id)
        .where(
            HardwareChallengeRow.session_id == UUID(caller.session_id),
            HardwareChallengeRow.act == act.value,
            HardwareChallengeRow.about == about,
            HardwareChallengeRow.confirmed_at > since,
        )
        .limit(1)
    )
    if found is None:
        raise WatchfloorError(
            ErrorCode.CONFIRMATION_REQUIRED,
            "This has to be confirmed by a touch of your hardware key.",
            hint="The console and the command line ask your SSH agent for it.",
            confirm=ConfirmationWanted(act=act.value, about=about),
        )


async def challenge(
    session: AsyncSession, runtime: Runtime, caller: Caller, asked: ConfirmationRequest, origin: str
) -> HardwareChallenge:
    """What the caller's key has to sign for one act on one object.

    Raises:
        WatchfloorError: INVALID_REQUEST for a sign-in, which is no act of a session; NOT_ALLOWED without a key, and for
            a machine.
    """
    if asked.act in _SIGN_IN_ACTS:
        raise WatchfloorError(ErrorCode.INVALID_REQUEST, "A sign-in is confirmed by signing in.")
    user = await session.scalar(select(User).where(User.username == caller.subject))
    if user is None or caller.session_id is None:
        raise WatchfloorError(ErrorCode.NOT_ALLOWED, "Only a signed-in person has a hardware key.")
    session_id = UUID(caller.session_id)
    return await issue(session, runtime, user, act=asked.act, about=asked.about, origin=origin, session_id=session_id)


async def confirm(session: AsyncSession, runtime: Runtime, caller: Caller, answer: HardwareAnswer) -> Confirmed | str:
    """Take the answer to a challenge of the caller's session; the sentence that says why not when refused.

    A refusal is an answer, not an exception: what was spent and counted is committed with this transaction.

    Raises:
        WatchfloorError: NOT_ALLOWED for a machine.
    """
    if caller.session_id is None:
        raise WatchfloorError(ErrorCode.NOT_ALLOWED, "Only a signed-in person has a hardware key.")
    found = await answered(session, runtime, caller, answer, session_id=UUID(caller.session_id))
    if found.row is None:
        return str(found.refusal)
    told = {"act": found.row.act, "about": found.row.about}
    if found.refusal is not None:
        draft = AuditDraft(
            "auth.confirmation.refused", "confirm with hardware key", "session", caller.session_id,
            result=AuditResult.FAILURE, error_message=str(found.refusal), new_value=told,
        )  # fmt: skip
        await audit.record(session, runtime, caller, draft)
        return str(found.refusal)
    now = runtime.clock.now()
    found.row.confirmed_at = now
    draft = AuditDraft(
        "auth.confirmation.given", "confirm with hardware key", "session", caller.session_id, new_value=told
    )
    await audit.record(session, runtime, caller, draft)
    return Confirmed(until=now + timedelta(minutes=runtime.policy.identity.confirmation_minutes))
