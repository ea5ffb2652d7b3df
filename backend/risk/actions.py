"""What the policy makes Watchfloor do about a new crossing: hold a scope, ask for a review, or only tell.

It acts once, when the alert is raised. A hold that two people lift while the figure is still over its limit stays
lifted: the alert goes on, and only a new crossing acts again.
"""

from collections.abc import Sequence

from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.ext.asyncio import AsyncSession

from backend.alerts import service as alerts
from backend.audit import service as audit
from backend.audit.service import AuditDraft
from backend.context import Caller, Runtime
from backend.freeze import service as freeze
from backend.policy.operations import RiskAction
from backend.risk.crossings import Crossing
from backend.risk.tables import StrategyReview
from contract.alerts import Alert, Link
from contract.freeze import Freeze, FreezeMode
from contract.scope import GLOBAL, Scope

_HOLDS = {RiskAction.ENFORCE_POSITION_LIMIT: FreezeMode.REDUCE_ONLY, RiskAction.PAUSE_TRADING: FreezeMode.HALT}


async def take(
    session: AsyncSession,
    runtime: Runtime,
    caller: Caller,
    crossing: Crossing,
    alert: Alert,
    *,
    in_force: Sequence[Freeze],
) -> None:
    """Do what the policy says about a crossing, and write it into its alert."""
    action = runtime.policy.risk.rules[crossing.rule].action
    mode = _HOLDS.get(action)
    if mode is not None:
        await _hold(session, runtime, mode, alert, in_force)
    elif action is RiskAction.REQUEST_STRATEGY_REVIEW:
        await _request_review(session, runtime, caller, crossing.scope, alert)


async def _hold(
    session: AsyncSession, runtime: Runtime, mode: FreezeMode, alert: Alert, in_force: Sequence[Freeze]
) -> None:
    scope = alert.scope
    already = next((one for one in in_force if _suffices(one, scope, mode)), None)
    if already is None:
        made = await freeze.freeze_automatically(
            session, runtime, scope=scope, mode=mode, rule=alert.rule, reason=alert.message, alert_id=alert.id
        )
        done = f"{made.ref} ({mode.value}) placed on {scope}"
    else:
        made, done = already, f"none needed: {already.ref} ({already.mode.value}) already holds {already.scope}"
    link = Link(kind="freeze", id=made.id, label=made.ref)
    await alerts.note_action(session, alert.id, done, link=link)


def _suffices(hold: Freeze, scope: Scope, mode: FreezeMode) -> bool:
    """Whether a hold in force already stops what a new one would; a thaw that is asked for does not weaken it yet."""
    return hold.scope in (GLOBAL, scope) and (hold.mode.stops or hold.mode is mode)


async def _request_review(session: AsyncSession, runtime: Runtime, caller: Caller, scope: Scope, alert: Alert) -> None:
    added = await session.execute(
        insert(StrategyReview)
        .values(
            id=runtime.clock.new_id(),
            scope_kind=scope.kind.value,
            scope_name=scope.name,
            alert_id=alert.id,
            requested_at=runtime.clock.now(),
        )
        .on_conflict_do_nothing()
        .returning(StrategyReview.id)
    )
    review = added.scalar_one_or_none()
    if review is None:
        await alerts.note_action(session, alert.id, f"a review of {scope} is already requested")
        return
    draft = AuditDraft(
        event_type="risk.review.requested",
        action="request strategy review",
        resource_type="strategy_review",
        resource_id=str(review),
        new_value={"scope": str(scope), "alert": alert.id, "rule": alert.rule},
    )
    await audit.record(session, runtime, caller, draft)
    await alerts.note_action(session, alert.id, f"review of {scope} requested")
