"""What the policy makes Watchfloor do about a new crossing: hold a scope, ask for a review, or only tell.

It acts once for an alert: a hold as soon as enough assessments have confirmed the crossing, everything else when the
alert is raised. A hold that two people lift while the figure is still over its limit stays lifted: the alert goes on,
and only a new crossing acts again.
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
from backend.risk.wording import crossing_message
from contract.alerts import Alert, Link
from contract.freeze import Freeze, FreezeMode, FreezeStatus
from contract.risk import RiskRule
from contract.scope import GLOBAL, Scope

_HOLDS = {RiskAction.ENFORCE_POSITION_LIMIT: FreezeMode.REDUCE_ONLY, RiskAction.PAUSE_TRADING: FreezeMode.HALT}


def mode_of(runtime: Runtime, rule: RiskRule) -> FreezeMode | None:
    """In which mode a crossing of the rule freezes; None for one that freezes nothing."""
    return _HOLDS.get(runtime.policy.risk.rules[rule].action)


async def tell(session: AsyncSession, runtime: Runtime, caller: Caller, crossing: Crossing, alert: Alert) -> None:
    """Do at once what needs no confirmation, because it stops nobody: request a review."""
    if runtime.policy.risk.rules[crossing.rule].action is RiskAction.REQUEST_STRATEGY_REVIEW:
        await _request_review(session, runtime, caller, crossing.scope, alert)


async def held_already(
    session: AsyncSession, runtime: Runtime, crossing: Crossing, alert: Alert, *, in_force: Sequence[Freeze]
) -> bool:
    """Whether a hold in force already does what a new one would; then that is written into the alert."""
    mode = mode_of(runtime, crossing.rule)
    found = next((one for one in in_force if mode is not None and _suffices(one, alert.scope, mode)), None)
    if found is None:
        return False
    done = f"none needed: {found.ref} ({found.mode.value}) already holds {found.scope}"
    await alerts.note_action(session, alert.id, done, link=Link(kind="freeze", id=found.id, label=found.ref))
    return True


async def hold(
    session: AsyncSession,
    runtime: Runtime,
    crossing: Crossing,
    alert: Alert,
    *,
    in_force: Sequence[Freeze],
    confirmed: str,
) -> None:
    """Put the rule's hold on the scope, and write it into the alert. `confirmed` says by what, or is empty."""
    mode = mode_of(runtime, crossing.rule)
    if mode is None or await held_already(session, runtime, crossing, alert, in_force=in_force):
        return
    reason = crossing_message(crossing) + (f" {confirmed[:1].upper()}{confirmed[1:]}." if confirmed else "")
    made = await freeze.freeze_automatically(
        session, runtime, scope=alert.scope, mode=mode, rule=alert.rule, reason=reason, alert_id=alert.id
    )
    done = f"{made.ref} ({mode.value}) placed on {alert.scope}" + (f", {confirmed}" if confirmed else "")
    await alerts.note_action(session, alert.id, done, link=Link(kind="freeze", id=made.id, label=made.ref))


def _suffices(hold: Freeze, scope: Scope, mode: FreezeMode) -> bool:
    """Whether a hold in force already stops what a new one would; a drill's, or one being lifted, does not."""
    lasts = hold.status is not FreezeStatus.THAWING and not hold.drill
    return lasts and hold.scope in (GLOBAL, scope) and (hold.mode.stops or hold.mode is mode)


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
