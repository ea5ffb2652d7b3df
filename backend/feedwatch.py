"""Raises an alert about a feed of data that has gone silent, and clears it when it speaks again.

What is silent looks like what is quiet: nothing else tells a cut line from a calm market. A feed that has never spoken
is none; the policy says which are watched. Must never take a restart of Watchfloor for silence of others.
"""

from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Final

from sqlalchemy.ext.asyncio import AsyncSession

from backend.alerts import service as alerts
from backend.alerts.service import FEED_SILENT, AlertDraft
from backend.context import Runtime, system_caller
from backend.freeze import service as freezes
from backend.monitors import Monitor
from backend.policy.alerting import Feed
from backend.roster import service as roster
from backend.transactions import service as transactions
from contract.alerts import Severity
from contract.scope import GLOBAL, ScopeKind

CHECK_EVERY_S: Final = 5.0
"""How late an alert may be beyond the feed's own limit."""
_CALLER = system_caller("feeds")
_WATCHED: Final = "feeds"


@dataclass(frozen=True, slots=True)
class Spoke:
    """When a feed last spoke, and what time it is by the same clock."""

    at: datetime
    now: datetime


async def _transactions(session: AsyncSession, runtime: Runtime) -> Spoke | None:
    """Trades that come by themselves; files that somebody imports are no feed."""
    at = await transactions.last_delivery_at(session)
    return None if at is None else Spoke(at, runtime.clock.now())


async def _executors(session: AsyncSession, _runtime: Runtime) -> Spoke | None:
    people = await roster.everyone(session)
    heard = [facts.last_seen_at for facts in people.executors]
    return Spoke(max(heard), people.now) if heard else None


_FEEDS: Final[Mapping[Feed, Callable[[AsyncSession, Runtime], Awaitable[Spoke | None]]]] = {
    Feed.TRANSACTIONS: _transactions,
    Feed.EXECUTORS: _executors,
}


def silent_for(spoke: Spoke | None, watched_for: timedelta, limit: timedelta) -> timedelta | None:
    """How long a feed has been silent, if that is too long; what this process did not watch is not held against it.

    Pure.
    """
    if spoke is None:
        return None
    silence = spoke.now - spoke.at
    return silence if min(silence, watched_for) > limit else None


async def tick(session: AsyncSession, runtime: Runtime) -> None:
    """Bring the alerts about silent feeds in line with when each last spoke."""
    now = runtime.clock.now()
    watched_for = now - runtime.watched.setdefault(_WATCHED, now)
    live = dict(await alerts.live_of_rules(session, [FEED_SILENT]))
    for feed, rules in runtime.policy.alerts.feeds.items():
        mark = f"{FEED_SILENT}:{feed}"
        spoke = await _FEEDS[feed](session, runtime)
        silence = silent_for(spoke, watched_for, rules.silent_after)
        if silence is not None and spoke is not None:
            if mark in live or not await _stands_still(session, runtime, feed):
                await alerts.raise_alert(session, runtime, _CALLER, _draft(feed, mark, spoke, rules.silent_after))
        elif mark in live and _speaks(spoke, rules.silent_after):
            await alerts.clear_alert(session, runtime, _CALLER, live[mark].id, why="it speaks again")
    for feed in set(Feed) - set(runtime.policy.alerts.feeds):
        alert = live.get(f"{FEED_SILENT}:{feed}")
        if alert is not None:
            await alerts.clear_alert(session, runtime, _CALLER, alert.id, why="the policy watches it no more")


def _speaks(spoke: Spoke | None, limit: timedelta) -> bool:
    return spoke is None or spoke.now - spoke.at <= limit


async def _stands_still(session: AsyncSession, runtime: Runtime, feed: Feed) -> bool:
    """Whether nobody may trade: then no trade is no news."""
    if feed is not Feed.TRANSACTIONS:
        return False
    holds = await freezes.list_in_force(session, runtime)
    return any(hold.scope.kind is ScopeKind.GLOBAL and not hold.drill for hold in holds)


def _draft(feed: Feed, mark: str, spoke: Spoke, limit: timedelta) -> AlertDraft:
    return AlertDraft(
        fingerprint=mark,
        rule=FEED_SILENT,
        severity=Severity.HIGH,
        scope=GLOBAL,
        message=f"The feed {feed} is silent since {spoke.at:%Y-%m-%d %H:%M:%S} UTC.",
        facts={"feed": feed, "last_heard": spoke.at.isoformat(), "limit_seconds": f"{limit.total_seconds():.0f}"},
        moves=False,
    )


MONITOR = Monitor(name="feedwatch", interval_s=CHECK_EVERY_S, tick=tick)
