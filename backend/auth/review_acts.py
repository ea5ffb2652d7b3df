"""Carries out what an access review decides: another role, a disabled account, a token that no longer works."""

from sqlalchemy import select
from sqlalchemy.ext.asyncio import AsyncSession

from backend.auth import accounts, fresh_key, service_tokens
from backend.auth.access_tables import AccessReviewItem
from backend.auth.tables import ServiceToken, User
from backend.context import Caller, Runtime
from backend.db import after_commit
from backend.errors import WatchfloorError
from contract.access import ReviewDecision, ReviewDecisionRequest
from contract.errors import ErrorCode
from contract.hardware import HardwareAct
from contract.service_tokens import ServiceTokenState


async def carry_out(
    session: AsyncSession, runtime: Runtime, caller: Caller, item: AccessReviewItem, asked: ReviewDecisionRequest
) -> None:
    """Make a decision true.

    Raises:
        WatchfloorError: INVALID_REQUEST for a role where none belongs, a missing one, or one that the policy has not;
            CONFLICT if what was reviewed is something else by now; REFUSED_BY_POLICY for the break-glass account, which
            a review only keeps, and for the last one that may freeze; CONFIRMATION_REQUIRED without a fresh touch.
    """
    if (asked.role is not None) != (asked.decision is ReviewDecision.CHANGE):
        raise WatchfloorError(ErrorCode.INVALID_REQUEST, "A role belongs to the decision change, and to no other.")
    after_commit(session, runtime.callers.stale.set)
    if item.service_token_id is not None:
        await _of_token(session, runtime, caller, item, asked)
        return
    user = await session.scalar(select(User).where(User.id == item.user_id).with_for_update())
    assert user is not None  # noqa: S101  accounts are never deleted
    if asked.decision is not ReviewDecision.KEEP:
        await _refuse_what_nobody_could_mend(session, runtime, user, asked.role)
        about = asked.about(str(item.review_id), item.number)
        await fresh_key.require(session, runtime, caller, HardwareAct.DECIDE_ACCESS, about)
    if asked.decision is ReviewDecision.REVOKE:
        if not user.disabled:
            await accounts.disable_user(session, runtime, caller, name=user.username, even_last=True)  # judged above
        return
    if user.disabled or user.role != item.role:
        raise WatchfloorError(
            ErrorCode.CONFLICT,
            "The account is something else by now than what is reviewed here.",
            hint="It can be revoked all the same; else review it anew.",
        )
    if asked.role is not None:
        await accounts.change_role(session, runtime, caller, name=user.username, role=asked.role)


async def _refuse_what_nobody_could_mend(session: AsyncSession, runtime: Runtime, user: User, role: str | None) -> None:
    """Refuse to take its role from the sealed account, and freezing from the last other one that may freeze."""
    sealed = runtime.policy.identity.break_glass_role
    if user.role == sealed:
        raise WatchfloorError(
            ErrorCode.REFUSED_BY_POLICY,
            f"{user.username!r} is the break-glass account: it is sealed for the day when a key is lost.",
            hint="Keep it here. To do without it: watchfloor user disable, beside the database.",
        )
    await accounts.refuse_last_to_freeze(session, runtime, user, role)


async def _of_token(
    session: AsyncSession, runtime: Runtime, caller: Caller, item: AccessReviewItem, asked: ReviewDecisionRequest
) -> None:
    if asked.decision is ReviewDecision.CHANGE:
        told = "A machine's token has no role to change."
        raise WatchfloorError(ErrorCode.INVALID_REQUEST, told, hint="Revoke it and issue another one.")
    token = await session.scalar(select(ServiceToken).where(ServiceToken.id == item.service_token_id))
    assert token is not None  # noqa: S101  tokens are never deleted
    works = service_tokens.state_of(token, runtime.clock.now()) is ServiceTokenState.ACTIVE
    if asked.decision is ReviewDecision.REVOKE and works:
        await service_tokens.revoke(session, runtime, caller, token.name)
