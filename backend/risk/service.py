"""Assessing risk: measures against the policy, alerts raised and cleared, indicators, and the snapshot of it all.

Only today's figures act. Trades of past days that are stored now raise an alert of their own and never freeze anything.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from sqlalchemy.ext.asyncio import AsyncSession

from backend.alerts import service as alerts
from backend.alerts.service import ACKNOWLEDGEMENT, CLEARS_ON, AlertDraft
from backend.audit import service as audit
from backend.auth import service as auth
from backend.context import Caller, Runtime, system_caller
from backend.events import publish
from backend.executors import service as executors
from backend.freeze import service as freeze
from backend.risk import actions, assessments, confirming, indicators
from backend.risk.crossings import Crossing, unexplained
from backend.risk.gather import Gathered, day_parts, gather, limits_of
from backend.risk.measures import Inputs, displayed, figure, is_back, listed, measure_all
from backend.risk.model import DAILY_RULES, Limits
from backend.risk.past import PastCrossing, past_crossings, together
from backend.risk.wording import crossing_facts, crossing_message, past_facts, past_message, past_of_facts, trades_link
from backend.transactions import service as transactions
from backend.transactions.service import Stored
from contract.alerts import Alert, Link
from contract.executors import Executor
from contract.freeze import Freeze
from contract.risk import Indicator, Measure, RiskRule, RiskSnapshot
from contract.scope import Scope
from contract.stream import Topic

MONITOR_NAME = "risk-monitor"
MAX_LINKED_EXECUTORS = 5
"""Executors an alert points to; its scope names all of them anyway."""
MAX_OVERDUE = 5
"""Overdue alerts the regulatory indicator names."""
NEWEST_ASSESSED_AT = assessments.NEWEST_AT
LOOK_BACK = timedelta(hours=24)
"""Period of the security indicator's counts."""
_NOW, _PAST = "now", "past"


def _fingerprint(rule: RiskRule, scope: Scope, now: datetime) -> str:
    """One live alert a crossing; a daily figure's crossing is over when its UTC day is."""
    period = f"|{now.date()}" if rule in DAILY_RULES else ""
    return f"{_NOW}|{rule.value}|{scope}{period}"


@dataclass(frozen=True, slots=True)
class _Live:
    """Live alerts of the risk rules: about now, by fingerprint, and about past days."""

    now: Mapping[str, Alert]
    past: list[Alert]

    def of(self, rule: RiskRule) -> dict[str, Alert]:
        return {mark: alert for mark, alert in self.now.items() if mark.split("|")[1] == rule.value}


async def _live_alerts(session: AsyncSession, runtime: Runtime) -> _Live:
    found = await alerts.live_of_rules(session, _alert_names(runtime))
    return _Live(
        now={mark: alert for mark, alert in found if mark.startswith(f"{_NOW}|")},
        past=[alert for mark, alert in found if mark.startswith(f"{_PAST}|")],
    )


def _alert_names(runtime: Runtime) -> list[str]:
    return [table.alert for table in runtime.policy.risk.rules.values()]


async def latest(session: AsyncSession, runtime: Runtime) -> RiskSnapshot:
    """The newest assessment as the screens show it; its indicators are UNKNOWN once it is stale."""
    interval = runtime.policy.risk.assessment_interval_seconds
    stored = await assessments.newest(session)
    if stored is None:
        return _before_the_first(runtime, interval)
    snapshot = stored.snapshot
    if snapshot.assessed_at is not None and is_stale(runtime, snapshot.assessed_at):
        age = runtime.clock.now() - snapshot.assessed_at
        why = f"The last assessment is {int(age.total_seconds()):,} s old; one is due every {interval} s."
        snapshot = snapshot.model_copy(update={"indicators": indicators.unknown(why)})
    return snapshot


def is_stale(runtime: Runtime, assessed_at: datetime) -> bool:
    """Whether an assessment is too old to be believed: a second one is overdue."""
    interval = timedelta(seconds=runtime.policy.risk.assessment_interval_seconds)
    return runtime.clock.now() - assessed_at > 2 * interval


async def latest_encoded(session: AsyncSession, runtime: Runtime) -> tuple[dict[str, str], str]:
    """Indicator levels, and the newest assessment as JSON text: what `latest` answers, without decoding it again."""
    encoded = await assessments.newest_encoded(session)
    if encoded is not None and not is_stale(runtime, encoded.assessed_at):
        return encoded.levels, encoded.snapshot_json
    snapshot = await latest(session, runtime)
    return {one.name: one.level.value for one in snapshot.indicators}, snapshot.model_dump_json()


async def assessed_at(session: AsyncSession) -> datetime | None:
    """When risk was last assessed; None before the first time."""
    return await assessments.newest_at(session)


def _before_the_first(runtime: Runtime, interval: int) -> RiskSnapshot:
    nothing = Inputs(now=runtime.clock.now(), parts={}, paces={}, history={})
    return RiskSnapshot(
        assessed_at=None,
        interval_seconds=interval,
        measures=listed(measure_all(nothing, limits_of(runtime.policy))),
        indicators=indicators.unknown("Risk has not been assessed yet."),
    )


async def assess(session: AsyncSession, runtime: Runtime) -> RiskSnapshot:
    """One round of the monitor: measure, settle alerts, judge the indicators, keep and publish what changed."""
    now = runtime.clock.now()
    limits = limits_of(runtime.policy)
    before = await assessments.newest(session)
    live = await _live_alerts(session, runtime)
    gathered = await gather(
        session,
        runtime.policy,
        now,
        executors=await executors.list_executors(session, runtime),
        previous=before.snapshot if before else None,
        watched=[alert.scope for alert in live.of(RiskRule.SUCCESS_RATE).values()],
    )
    measures = measure_all(gathered.inputs, limits)
    await _settle(session, runtime, gathered, limits, live)
    shown = listed(measures)
    snapshot = RiskSnapshot(
        assessed_at=now,
        interval_seconds=runtime.policy.risk.assessment_interval_seconds,
        measures=shown,
        indicators=await _indicators(session, runtime, gathered, shown, live),
    )
    news = before is None or _is_news(before, snapshot)
    if news:
        publish(session, Topic.RISK, snapshot)
    published_at = now if news or before is None else before.published_at
    await assessments.keep(session, runtime.clock, snapshot, published_at=published_at)
    return snapshot


def _is_news(before: assessments.Stored, snapshot: RiskSnapshot) -> bool:
    """Whether a person could see a difference, or consoles have not been told for a whole interval that all is well."""
    now = snapshot.assessed_at
    due = timedelta(seconds=snapshot.interval_seconds)
    if before.published_at is None or now is None or now - before.published_at >= due:
        return True
    return _shown(before.snapshot) != _shown(snapshot)


def _shown(snapshot: RiskSnapshot) -> object:
    levels = [
        (one.name, one.level, [(reason.level, reason.link and reason.link.id) for reason in one.reasons])
        for one in snapshot.indicators
    ]
    return displayed(snapshot.measures), levels


async def _settle(session: AsyncSession, runtime: Runtime, gathered: Gathered, limits: Limits, live: _Live) -> None:
    """Clear alerts whose rule holds no longer, raise one for each new crossing, and act on the new ones."""
    caller = system_caller(MONITOR_NAME)
    for rule in RiskRule:
        going_on: set[Scope] = set()
        for mark, alert in live.of(rule).items():
            why = _over(rule, mark, alert.scope, gathered.inputs, limits)
            if why is None:
                going_on.add(alert.scope)
            else:
                await confirming.lapse(session, alert)
                await alerts.clear_alert(session, runtime, caller, alert.id, why=why)
        found: dict[str, confirming.Found] = {}
        for crossing in unexplained(rule, gathered.inputs.parts[rule], limits, alerted=going_on):
            draft = _draft(runtime, crossing, gathered)
            alert, is_new = await alerts.raise_alert(session, runtime, caller, draft)
            if is_new:
                await actions.tell(session, runtime, caller, crossing, alert)
            found[draft.fingerprint] = confirming.Found(crossing, alert, is_new)
        marks = {_fingerprint(rule, scope, gathered.inputs.now) for scope in going_on}
        await confirming.look(session, runtime, rule, found, going_on=marks, gathered=gathered, limits=limits)


def _over(rule: RiskRule, mark: str, scope: Scope, inputs: Inputs, limits: Limits) -> str | None:
    """Why a live alert is over, or None while it goes on. What is unknown is not back under its limit."""
    if mark != _fingerprint(rule, scope, inputs.now):
        return "the UTC day ended"
    found = figure(rule, inputs.parts[rule].get(scope, ()), limits)
    if not found.known and not found.unknown:
        return "nothing is left to judge"
    if is_back(rule, found.value, limits.of(rule, scope), limits.clear_margin):
        return "back within the limit"
    return None


def _draft(runtime: Runtime, crossing: Crossing, gathered: Gathered) -> AlertDraft:
    table = runtime.policy.risk.rules[crossing.rule]
    now = gathered.inputs.now
    links = [
        Link(kind="executor", id=one.name, label=one.name)
        for one in _under(crossing.scope, gathered.executors)[:MAX_LINKED_EXECUTORS]
    ]
    if crossing.rule is not RiskRule.POSITION:
        links.append(trades_link(crossing.scope, now.date(), now.date()))
    return AlertDraft(
        fingerprint=_fingerprint(crossing.rule, crossing.scope, now),
        rule=table.alert,
        severity=table.severity,
        scope=crossing.scope,
        message=crossing_message(crossing),
        facts=crossing_facts(crossing, now.date()),
        links=links,
    )


def _under(scope: Scope, known: Sequence[Executor]) -> list[Executor]:
    return [
        one
        for one in known
        if scope.covers(chain=one.chain, strategy=one.strategy, wallet=one.wallet, executor=one.name)
    ]


async def _indicators(
    session: AsyncSession, runtime: Runtime, gathered: Gathered, measures: list[Measure], live: _Live
) -> list[Indicator]:
    now = gathered.inputs.now
    freezes: list[Freeze] = await freeze.list_in_force(session, runtime)
    facts = indicators.Facts(
        now=now,
        steps=runtime.policy.watchfloor.indicators,
        severity_of={rule: table.severity for rule, table in runtime.policy.risk.rules.items()},
        measures=measures,
        executors=gathered.executors,
        freezes=freezes,
        overdue=await alerts.overdue(session, now, MAX_OVERDUE),
        past_days=live.past,
        trades_today=gathered.today.trades,
        profit_unknown_today=gathered.today.profit_unknown,
        reportable_today=gathered.today.reportable,
        failed_sign_ins=await audit.count_since(session, "auth.login.failed", now - LOOK_BACK),
        accounts_waiting=await auth.accounts_waiting(session, now),
        denied_requests=await audit.count_since(session, "auth.permission.denied", now - LOOK_BACK),
    )
    return indicators.assess(facts)


async def judge_past_days(session: AsyncSession, runtime: Runtime, caller: Caller, stored: Stored) -> list[Alert]:
    """Raise an alert for every rule and scope that newly stored trades pushed over its limit on past days.

    One alert an import, rule and scope; a batch has no import, so all batches share one until it is acknowledged. The
    same transaction stores the trades, so an import and its alerts appear together. These alerts clear when a person
    acknowledges them: the past does not come back under its limit.
    """
    today = runtime.clock.now().date()
    past = [one for one in stored.added if one.day < today]
    if not past:
        return []
    limits = limits_of(runtime.policy)
    added = day_parts((one.day, one) for one in past)
    now = day_parts(await transactions.day_sums(session, sorted(added)))
    system = system_caller(MONITOR_NAME, caller.request_id)
    live = dict(await alerts.live_of_rules(session, _alert_names(runtime)))
    raised = []
    for new in past_crossings(now, added, limits):
        earlier = live.get(_past_fingerprint(new, stored))
        known = None if earlier is None else past_of_facts(new.rule, new.scope, earlier.facts)
        draft = _past_draft(runtime, new if known is None else together(new, known), stored)
        alert, _ = await alerts.raise_alert(session, runtime, system, draft)
        raised.append(alert)
    return raised


def _past_fingerprint(crossing: PastCrossing, stored: Stored) -> str:
    source = f"import:{stored.import_id}" if stored.import_id else "batches"
    return f"{_PAST}|{crossing.rule.value}|{crossing.scope}|{source}"


def _past_draft(runtime: Runtime, crossing: PastCrossing, stored: Stored) -> AlertDraft:
    table = runtime.policy.risk.rules[crossing.rule]
    links = [trades_link(crossing.scope, crossing.worst_day, crossing.worst_day)]
    if stored.import_id:
        links.append(Link(kind="import", id=str(stored.import_id), label="the import"))
    return AlertDraft(
        fingerprint=_past_fingerprint(crossing, stored),
        rule=table.alert,
        severity=table.severity,
        scope=crossing.scope,
        message=past_message(crossing),
        facts=past_facts(crossing) | {CLEARS_ON: ACKNOWLEDGEMENT},
        links=links,
        moves=False,
    )
