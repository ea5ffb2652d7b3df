"""Raises an alert about an executor that has gone silent outside a freeze, and clears it when it reports again.

Under a hold the freeze itself says who has not confirmed. Who has been silent for as long as the policy says is taken
for retired: nothing stays about it. Must never take a restart of Watchfloor for silence of others.
"""

from collections.abc import Iterable, Mapping
from datetime import timedelta
from typing import Final

from sqlalchemy.ext.asyncio import AsyncSession

from backend.alerts import service as alerts
from backend.alerts.service import AlertDraft
from backend.context import Runtime, system_caller
from backend.freeze import service as freezes
from backend.monitors import Monitor
from backend.policy.alerting import LostExecutors
from backend.roster import service as roster
from backend.roster.service import Facts
from contract.alerts import Alert, Link
from contract.scope import GLOBAL, Scope, ScopeKind

CHECK_EVERY_S: Final = 5.0
"""How late an alert may be beyond the policy's limit."""
LOST: Final = "EXECUTOR_LOST"
MAX_ALERTS: Final = 100
"""Alerts at a time: when more are lost it is a line or a machine, and the feed of executors or theirs tells of that."""
_CALLER = system_caller("executors")
_WATCHED: Final = "lost executors"


def lost_for(silence: timedelta, watched_for: timedelta, rules: LostExecutors) -> bool:
    """Whether an executor counts as lost; what this process did not watch is not held against it. Pure."""
    return min(silence, watched_for) > rules.lost_after and silence <= rules.retired_after


def why_clear(silence: timedelta | None, rules: LostExecutors | None) -> str | None:
    """Why an alert about an executor is over; None: it is not. Pure."""
    if rules is None:
        return "the policy watches them no more"
    if silence is None:
        return "it is no longer known"
    if silence > rules.retired_after:
        return "silent for so long, it counts as retired"
    return "it reports again" if silence <= rules.lost_after else None


async def tick(session: AsyncSession, runtime: Runtime) -> None:
    """Bring the alerts about lost executors in line with when each last reported."""
    rules = runtime.policy.alerts.lost_executors
    now = runtime.clock.now()
    watched_for = now - runtime.watched.setdefault(_WATCHED, now)
    live = dict(await alerts.live_of_rules(session, [LOST]))
    if rules is None and not live:
        return
    people = await roster.everyone(session)
    silences = {facts.name: people.now - facts.last_seen_at for facts in people.executors}
    await _clear(session, runtime, live, silences, rules)
    if rules is not None:
        lost = [one for one in people.executors if lost_for(silences[one.name], watched_for, rules)]
        fresh = [one for one in lost if _mark(one.name) not in live]
        for one in (await _free(session, runtime, fresh))[: max(MAX_ALERTS - len(live), 0)]:
            await alerts.raise_alert(session, runtime, _CALLER, _draft(one, rules))


async def _clear(
    session: AsyncSession,
    runtime: Runtime,
    live: Mapping[str, Alert],
    silences: Mapping[str, timedelta],
    rules: LostExecutors | None,
) -> None:
    for mark, alert in live.items():
        why = why_clear(silences.get(alert.facts.get("executor", "")), rules)
        if why is not None:
            await alerts.clear_alert(session, runtime, _CALLER, alert.id, why=f"{mark.partition('|')[2]}: {why}")


async def _free(session: AsyncSession, runtime: Runtime, lost: Iterable[Facts]) -> list[Facts]:
    """Those of them that no hold covers, whoever spoke last first."""
    found = sorted(lost, key=lambda one: (one.last_seen_at, one.name), reverse=True)
    if not found:
        return []
    holds = await freezes.list_in_force(session, runtime)
    return [one for one in found if not any(freezes.covers(hold.scope, one) for hold in holds)]


def _mark(name: str) -> str:
    return f"{LOST}|{name}"


def _draft(one: Facts, rules: LostExecutors) -> AlertDraft:
    try:
        scope = Scope(kind=ScopeKind.EXECUTOR, name=one.name)
    except ValueError:
        scope = GLOBAL  # a name that no freeze could be typed for
    since = f"{one.last_seen_at:%Y-%m-%d %H:%M:%S} UTC"
    return AlertDraft(
        fingerprint=_mark(one.name),
        rule=LOST,
        severity=rules.severity,
        scope=scope,
        message=f"The executor {one.name} has not reported since {since}, and no freeze covers it.",
        facts={
            "executor": one.name,
            "last_heard": one.last_seen_at.isoformat(),
            "limit_seconds": str(rules.lost_seconds),
            "chain": one.chain,
            "strategy": one.strategy,
        },
        links=[Link(kind="executor", id=one.name, label=one.name)],
        moves=False,
    )


MONITOR = Monitor(name="executorwatch", interval_s=CHECK_EVERY_S, tick=tick)
