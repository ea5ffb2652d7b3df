"""Counts the assessments that confirm a crossing, and acts once there are enough. Kept in the database, not in memory.

A crossing that flickers keeps its count although its alert clears in between: it is counted by rule, scope and day.
"""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from datetime import timedelta
from uuid import UUID

from sqlalchemy import exists, select
from sqlalchemy.ext.asyncio import AsyncSession

from backend.alerts import service as alerts
from backend.context import Runtime
from backend.freeze import service as freeze
from backend.risk import actions, confirmations
from backend.risk.confirmations import Look
from backend.risk.crossings import Crossing
from backend.risk.gather import Gathered
from backend.risk.measures import figure
from backend.risk.model import DAILY_RULES, Limits
from backend.risk.tables import Confirmation
from contract.alerts import Alert
from contract.executors import Executor
from contract.risk import RiskRule
from contract.scope import Scope, ScopeKind


@dataclass(frozen=True, slots=True)
class Found:
    """A limit that this assessment finds crossed, with its alert."""

    crossing: Crossing
    alert: Alert
    is_new: bool


async def is_outstanding(session: AsyncSession, runtime: Runtime) -> bool:
    """Whether a crossing waits to be confirmed: the next assessment is wanted soon."""
    waiting = exists().where(
        Confirmation.acted_at.is_(None),
        Confirmation.looks.contains([{"crossed": True}]),
        Confirmation.rule.in_([rule.value for rule in RiskRule if actions.mode_of(runtime, rule) is not None]),
    )
    return bool(await session.scalar(select(waiting)))


async def lapse(session: AsyncSession, alert: Alert) -> None:
    """Write into an alert that is about to clear that it froze nothing, if it waited to be confirmed."""
    waiting = exists().where(Confirmation.alert_id == UUID(alert.id), Confirmation.acted_at.is_(None))
    if await session.scalar(select(waiting)):
        await alerts.note_action(session, alert.id, "nothing was frozen: it was not confirmed")


async def look(
    session: AsyncSession,
    runtime: Runtime,
    rule: RiskRule,
    found: Mapping[str, Found],
    *,
    going_on: Collection[str],
    gathered: Gathered,
    limits: Limits,
) -> None:
    """Count this assessment of one rule, and freeze what it confirms.

    `found` has the crossings by the fingerprints of their alerts; `going_on` those of every alert that has not cleared.
    """
    if actions.mode_of(runtime, rule) is None:
        return
    rows = await _rows(session, rule)
    for mark, one in found.items():
        if one.is_new and mark not in rows:
            rows[mark] = _begin(session, rule, mark, one)
    for mark, row in rows.items():
        scope = Scope(kind=ScopeKind(row.scope_kind), name=row.scope_name)
        here = found.get(mark)
        is_live = here is not None or mark in going_on
        seen = Look(gathered.inputs.now, here is not None, _data(rule, scope, gathered, limits))
        if not is_live and (row.acted_at is not None or not _may_return(runtime, rule, row, seen)):
            await session.delete(row)
        elif row.acted_at is None:
            await _count(session, runtime, rule, row, seen=seen, here=here)


def _begin(session: AsyncSession, rule: RiskRule, mark: str, one: Found) -> Confirmation:
    scope = one.crossing.scope
    row = Confirmation(
        fingerprint=mark,
        rule=rule.value,
        scope_kind=scope.kind.value,
        scope_name=scope.name,
        alert_id=UUID(one.alert.id),
        looks=[],
    )
    session.add(row)
    return row


async def _rows(session: AsyncSession, rule: RiskRule) -> dict[str, Confirmation]:
    statement = select(Confirmation).where(Confirmation.rule == rule.value).order_by(Confirmation.fingerprint)
    rows = (await session.execute(statement.with_for_update())).scalars()
    return {row.fingerprint: row for row in rows}


def _looks(row: Confirmation) -> list[Look]:
    return [Look.of_plain(one) for one in row.looks]


def _after(runtime: Runtime, rule: RiskRule, row: Confirmation, seen: Look) -> tuple[Look, ...]:
    rules = runtime.policy.automatic_freezes
    within = timedelta(seconds=rules.confirm_within_seconds)
    return confirmations.after(_looks(row), seen, rules.of(rule), within=within)


def _may_return(runtime: Runtime, rule: RiskRule, row: Confirmation, seen: Look) -> bool:
    """Whether a crossing whose alert has cleared could still be one of those that confirm the next one."""
    same_day = rule not in DAILY_RULES or row.fingerprint.endswith(f"|{seen.at.date()}")
    return same_day and not confirmations.is_over(_after(runtime, rule, row, seen))


async def _count(
    session: AsyncSession, runtime: Runtime, rule: RiskRule, row: Confirmation, *, seen: Look, here: Found | None
) -> None:
    wanted = runtime.policy.automatic_freezes.of(rule)
    looks = _after(runtime, rule, row, seen)
    counted = list(looks) != _looks(row)
    row.looks = [one.plain() for one in looks]
    if here is None:
        return
    row.alert_id = UUID(here.alert.id)
    in_force = await freeze.list_in_force(session, runtime)
    times = confirmations.crossed(looks)
    if confirmations.is_confirmed(looks, wanted):
        by = f"confirmed by {times} of {len(looks)} assessments" if wanted.confirmations > 1 else ""
        await actions.hold(session, runtime, here.crossing, here.alert, in_force=in_force, confirmed=by)
        row.acted_at = seen.at
    elif await actions.held_already(session, runtime, here.crossing, here.alert, in_force=in_force):
        row.acted_at = seen.at
    elif counted or here.is_new:
        text = f"freezes if confirmed: {times} of {wanted.confirmations}"
        await alerts.note_action(session, here.alert.id, text)


def _data(rule: RiskRule, scope: Scope, gathered: Gathered, limits: Limits) -> str:
    """What an assessment of a scope looked at, in short.

    Trades change their sums or counts. A position may be the same in the next report and is measured anew all the same,
    once every executor under the scope has reported again.
    """
    sums = figure(rule, gathered.inputs.parts[rule].get(scope, ()), limits)
    told = f"{sums.value} {sums.known} {sums.unknown}"
    return f"{told} {_oldest_report(scope, gathered.executors)}" if rule is RiskRule.POSITION else told


def _oldest_report(scope: Scope, executors: Sequence[Executor]) -> str:
    reports = [
        one.last_seen_at
        for one in executors
        if one.last_seen_at is not None
        and scope.covers(chain=one.chain, strategy=one.strategy, wallet=one.wallet, executor=one.name)
    ]
    return min(reports).isoformat() if reports else "-"
