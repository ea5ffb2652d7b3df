"""Follows the history of alerts and queues what people are to be told. One backend at a time; sends nothing itself."""

from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import timedelta
from typing import Final

from sqlalchemy import delete, select
from sqlalchemy.ext.asyncio import AsyncSession

from backend.alerts import service as alerts
from backend.context import Runtime
from backend.freeze import service as freeze
from backend.monitors import Monitor
from backend.notifications import waiting, wording
from backend.notifications.absent import CHANNEL_FACT, FAILING
from backend.notifications.channels import Channels, channels_now
from backend.notifications.tables import NotificationCursor, NotificationRow
from backend.notifications.waiting import Notice
from backend.policy import Policy
from backend.policy.notifying import EVERY_CHANNEL
from contract.alerts import Alert, AlertStatus, Severity
from contract.stream import Topic

INTERVAL_S: Final = 2.0
"""How late an alert is looked at of whose event nobody was woken."""
MIN_GAP_S: Final = 0.25
LINES_AT_ONCE: Final = 100
"""Bounds a tick: in a storm, whoever waits for an answer of this process waits for no more than these."""
MORE_AT_ONCE_S: Final = 0.05
"""When the next tick comes while there is more to read."""
SUBJECT: Final = "alert"
_CLEARED: Final = "cleared"
_ESCALATED: Final = "escalated"
_ACKNOWLEDGED: Final = "acknowledged"
KINDS: Final = ("raised", "raised_again", _ESCALATED, _CLEARED, _ACKNOWLEDGED)
"""Lines of an alert's history that somebody is told of, or that spare somebody being told."""
_NO_NEWS: Final = frozenset({_CLEARED, _ACKNOWLEDGED})
_SEEN: Final = "acknowledged before it was sent"
_CLOCKS_APART: Final = timedelta(seconds=5)
"""Two backends may have written the two instants: one message too many is better than one that nobody gets."""
_OVER: Final = "over before it was sent"
_PRUNED_AT_ONCE: Final = 1_000


@dataclass(frozen=True, slots=True)
class Practice:
    """What of the floor is a drill's."""

    holds: frozenset[str]
    scopes: frozenset[str]

    def concerns(self, alert: Alert) -> bool:
        """Whether an alert was caused by a drill: it names a hold of one, or is about what one has frozen."""
        named = {link.id for link in alert.links if link.kind == "freeze"}
        return not self.holds.isdisjoint(named) or str(alert.scope) in self.scopes


def channels_for(policy: Policy, channels: Channels, alert: Alert) -> frozenset[str]:
    """Who is told of an alert: the channels of its severity, and those of the step that it has been escalated to
    and of its people.

    A channel that the policy names and the file does not have is among them, so that its absence shows.
    """
    rules = policy.notifications
    unknown = {name for name in rules.severities[alert.severity] if name != EVERY_CHANNEL and name not in channels}
    told = {name for name, entry in channels.items() if rules.told(alert.severity, name, entry.severities)}
    steps = policy.escalation[alert.severity]
    level = alert.escalation.level if alert.escalation else 0
    stepped = set(policy.step_channels(steps[min(level, len(steps) - 1)]))
    if EVERY_CHANNEL in stepped:
        stepped = stepped - {EVERY_CHANNEL} | set(channels)
    failing = {alert.facts.get(CHANNEL_FACT)} if alert.rule == FAILING else set()
    return frozenset((unknown | told | stepped) - failing)


def quiet_because(policy: Policy, alert: Alert, practice: Practice, *, muted: bool) -> str | None:
    """Why nobody is woken by something new about an alert; None: somebody is."""
    if alert.status is AlertStatus.CLEARED:
        return _OVER
    if muted or alert.muted_by:
        return f"muted by a {alert.muted_by[0].kind.replace('_', ' ')}" if alert.muted_by else "muted"
    if policy.notifications.quiet_in_drills and practice.concerns(alert):
        return "part of a drill"
    return None


async def tick(session: AsyncSession, runtime: Runtime) -> float | None:
    """Look at what has happened to alerts since the last time."""
    cursor = (await session.scalars(select(NotificationCursor).with_for_update())).one()
    newest = await alerts.newest_event(session)
    if not _anybody(runtime.policy, channels_now(runtime.settings)):
        cursor.alert_event = newest
        return None
    lines = await alerts.events_after(session, cursor.alert_event, LINES_AT_ONCE, kinds=KINDS)
    if lines:
        known = await alerts.alerts_named(session, {line.alert_id for line in lines})
        await _queue(session, runtime, lines, known)
    full = len(lines) == LINES_AT_ONCE
    # lines of other kinds are gone over as well, so that they are not read again and again
    cursor.alert_event = lines[-1].number if full else max(newest, cursor.alert_event, *(one.number for one in lines))
    await _prune(session, runtime)
    return MORE_AT_ONCE_S if full else None


def _anybody(policy: Policy, channels: Channels) -> bool:
    """Whether there is a channel at all, or one that the policy names and the file does not have."""
    return bool(channels) or bool(policy.named_channels)


async def _queue(
    session: AsyncSession, runtime: Runtime, lines: Sequence[alerts.Told], known: Mapping[str, Alert]
) -> None:
    channels = channels_now(runtime.settings)
    ended = [line for line in lines if line.event.kind == _CLEARED]
    holds = {link.id for alert in known.values() for link in alert.links if link.kind == "freeze"}
    practice = Practice(await freeze.holds_of_drills(session, holds), await freeze.scopes_in_drills(session))
    new = list(_news(runtime.policy, channels, practice, lines, known))
    seen = {line.alert_id for line in lines if line.event.kind == _ACKNOWLEDGED}
    if seen := {ident for ident in seen if known[ident].status is AlertStatus.ACKNOWLEDGED}:
        await waiting.over(session, SUBJECT, seen, _SEEN)
    if ended := [line for line in ended if known[line.alert_id].status is AlertStatus.CLEARED]:  # not raised again
        idents = {line.alert_id for line in ended}
        await waiting.over(session, SUBJECT, idents, _OVER)
        if runtime.policy.notifications.cleared:
            told = await waiting.reached(session, SUBJECT, idents)
            await waiting.put(session, runtime.clock, _ends(ended, known, told))
    await waiting.put(session, runtime.clock, new)


def _news(
    policy: Policy,
    channels: Channels,
    practice: Practice,
    lines: Sequence[alerts.Told],
    known: Mapping[str, Alert],
) -> Iterator[tuple[Notice, Collection[str]]]:
    for line in lines:
        alert = known[line.alert_id]
        told = () if line.event.kind in _NO_NEWS else channels_for(policy, channels, alert)
        if not told:
            continue
        to = alert.escalation.to if alert.escalation else None
        title, body = wording.of_alert(alert, line.event.kind, to=to)
        quiet = quiet_because(policy, alert, practice, muted=line.muted)
        if quiet is None and _is_seen(alert, line):
            quiet = _SEEN
        yield _notice(line, alert.severity, title, body, quiet), told


def _is_seen(alert: Alert, line: alerts.Told) -> bool:
    """Whether somebody took the alert on after this happened to it: passed on by whoever has it, it is for the next."""
    if alert.status is not AlertStatus.ACKNOWLEDGED or alert.acknowledged_at is None:
        return False
    by_hand = line.event.kind == _ESCALATED and alerts.BREACHED not in line.event.facts
    return not by_hand or line.event.recorded_at < alert.acknowledged_at - _CLOCKS_APART


def _ends(
    ended: Sequence[alerts.Told], known: Mapping[str, Alert], told: Mapping[str, Collection[str]]
) -> Iterator[tuple[Notice, Collection[str]]]:
    for line in ended:
        alert = known[line.alert_id]
        title, body = wording.of_alert(alert, _CLEARED, to=None)
        yield _notice(line, alert.severity, title, body, None), told.get(line.alert_id, ())


def _notice(line: alerts.Told, severity: Severity, title: str, body: str, quiet: str | None) -> Notice:
    return Notice(SUBJECT, line.alert_id, f"{line.event.kind}:{line.number}", severity, title, body, quiet)


async def _prune(session: AsyncSession, runtime: Runtime) -> None:
    """Forget deliveries that are older than the log of them reaches."""
    before = runtime.clock.now() - runtime.policy.notifications.kept
    old = (
        select(NotificationRow.id)
        .where(NotificationRow.queued_at < before, NotificationRow.next_at.is_(None))
        .order_by(NotificationRow.queued_at)
        .limit(_PRUNED_AT_ONCE)
    )
    await session.execute(delete(NotificationRow).where(NotificationRow.id.in_(old)))


MONITOR: Final = Monitor(
    name="notifications",
    interval_s=INTERVAL_S,
    tick=tick,
    wake_on=frozenset({Topic.ALERT, Topic.ALERTS}),
    min_gap_s=MIN_GAP_S,
)
