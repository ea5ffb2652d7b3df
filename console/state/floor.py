"""Owns the picture of the trading floor: one frozen value, and the reducers that bring it up to date.

Everything a screen shows of live data is read from a `Floor`. Must never import Textual or read a clock, nor the wire
types other than for type checkers: the first picture is drawn before they are loaded (`console.state.glimpse`).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from enum import StrEnum
from types import MappingProxyType
from typing import TYPE_CHECKING, Final, TypeVar

from console.state.freshness import POLL_S, Freshness, freshness, seconds_between, worst
from contract.states import AlertStatus, ElevationStatus, ExecutorState, FreezeStatus, IncidentStatus, Severity

if TYPE_CHECKING:
    from contract.access import Elevation
    from contract.alerts import Alert, AlertCounts
    from contract.executors import Executor
    from contract.freeze import Freeze, LatchedFreezes
    from contract.incidents import Incident
    from contract.overview import Overview
    from contract.recovery import RecoveryDrill
    from contract.risk import RiskSnapshot

T = TypeVar("T")

SEVERITIES: Final = tuple(Severity)
"""Most urgent first, as the contract lists them."""


TIMELINES_KEPT: Final = 100
"""Incidents of which it is remembered how far their timeline goes."""
CLEARED_KEPT: Final = 1_000
"""Cleared alerts that are remembered, so that longer lists can drop them too."""


class Link(StrEnum):
    """How the console is connected to the backend."""

    CONNECTING = "connecting"
    LIVE = "live"
    """The stream is open."""
    POLLING = "polling"
    """The stream is down, the backend answers: asked every half minute."""
    LOST = "lost"
    """No answer."""


@dataclass(frozen=True)
class Connection:
    """The line to the backend."""

    link: Link = Link.CONNECTING
    heard_at: datetime | None = None
    """When anything last arrived, by the operator's clock."""
    problem: str = ""
    """Why it is not live, in the words of whoever noticed."""


@dataclass(frozen=True)
class Counts:
    """Alerts that are neither cleared nor muted, by severity."""

    critical: int = 0
    high: int = 0
    medium: int = 0
    low: int = 0

    @property
    def total(self) -> int:
        """All alerts that are neither cleared nor muted."""
        return self.critical + self.high + self.medium + self.low


_OPEN_ELEVATIONS: Final = frozenset({ElevationStatus.REQUESTED, ElevationStatus.APPROVED})


def _nothing() -> Mapping[str, T]:
    return MappingProxyType({})


@dataclass(frozen=True)
class Floor:
    """What is known, and since when."""

    connection: Connection = Connection()
    skew: timedelta = timedelta(0)
    """Server's clock minus the operator's: ages must not depend on a wrong clock at the desk."""
    loaded_at: datetime | None = None
    """The server's time of the last snapshot; None before the first."""
    data_at: datetime | None = None
    """When data (not only a sign of life) last arrived, by the operator's clock."""
    risk: RiskSnapshot | None = None
    alerts: Mapping[str, Alert] = field(default_factory=_nothing)
    """Alerts that are not cleared, by id: the most urgent ones and all that changed since."""
    cleared: Mapping[str, Alert] = field(default_factory=_nothing)
    """The last ones that were cleared while this console was watching."""
    counts: Counts = Counts()
    many_changed: int = 0
    """How often so many alerts changed that lists of them have to be read again."""
    incidents: Mapping[str, Incident] = field(default_factory=_nothing)
    """Open incidents, by id."""
    timelines: Mapping[str, int] = field(default_factory=_nothing)
    """How far the timeline of an incident goes, as far as the stream has said."""
    follow_ups_open: int = 0
    follow_ups_overdue: int = 0
    freezes: Mapping[str, Freeze] = field(default_factory=_nothing)
    """Holds in force, by id."""
    journals_elsewhere: int = 0
    """Journals beside the backend's own in which freezes wait for a database."""
    executors: Mapping[str, Executor] = field(default_factory=_nothing)
    executors_total: int = 0
    elevations: Mapping[str, Elevation] = field(default_factory=_nothing)
    """Permissions for a time that somebody holds or asks for, by id."""

    recovery: RecoveryDrill | None = None
    """The recovery drill that the stream last told of, running or over."""

    def now(self, desk_now: datetime) -> datetime:
        """The server's time, as well as it is known."""
        return desk_now + self.skew

    def heard_s(self, desk_now: datetime) -> float | None:
        """Seconds since anything arrived."""
        return seconds_between(self.connection.heard_at, desk_now)

    def feed_freshness(self, desk_now: datetime) -> Freshness:
        """Whether alerts, freezes and executors may be believed: they are as fresh as the line they come by."""
        if self.loaded_at is None:
            return Freshness.NEVER
        if self.connection.link is Link.LIVE:
            return Freshness.LIVE
        return self._no_better_than_stale(freshness(self.heard_s(desk_now), POLL_S))

    def risk_freshness(self, desk_now: datetime) -> Freshness:
        """Whether the measures may be believed: the backend must have assessed within twice the policy's interval."""
        if self.risk is None:
            return Freshness.NEVER
        age_s = seconds_between(self.risk.assessed_at, self.now(desk_now))
        return self._no_better_than_stale(freshness(age_s, max(self.risk.interval_seconds, 1)))

    def _no_better_than_stale(self, by_age: Freshness) -> Freshness:
        """While nobody answers nothing is live: what is shown may have changed a moment after it was sent."""
        return worst(by_age, Freshness.STALE) if self.connection.link is Link.LOST else by_age


def load(floor: Floor, overview: Overview, desk_now: datetime) -> Floor:
    """Replace everything by a snapshot."""
    return replace(
        floor,
        skew=overview.server_time - desk_now,
        loaded_at=overview.server_time,
        data_at=desk_now,
        risk=overview.risk,
        alerts=MappingProxyType({alert.id: alert for alert in overview.alerts}),
        counts=_counts(overview.alert_counts),
        many_changed=floor.many_changed + (floor.loaded_at is not None),
        incidents=MappingProxyType({incident.id: incident for incident in overview.incidents}),
        follow_ups_open=overview.follow_ups_open,
        follow_ups_overdue=overview.follow_ups_overdue,
        freezes=MappingProxyType({freeze.id: freeze for freeze in overview.freezes}),
        executors=MappingProxyType({executor.name: executor for executor in overview.executors}),
        executors_total=overview.executors_total,
        journals_elsewhere=overview.journals_elsewhere,
        elevations=MappingProxyType({one.id: one for one in overview.elevations}),
    )


def with_alert(floor: Floor, alert: Alert, desk_now: datetime) -> Floor:
    """Take in one changed alert. One that is not known but older than the snapshot was counted in it already."""
    counted = floor.loaded_at is not None and alert.raised_at <= floor.loaded_at
    before = floor.alerts.get(alert.id, alert if counted else None)
    gone = alert.status is AlertStatus.CLEARED
    after = None if gone else alert
    return replace(
        floor,
        alerts=_with(floor.alerts, alert.id, after),
        cleared=_last(_with(floor.cleared, alert.id, alert if gone else None), CLEARED_KEPT),
        counts=_recount(floor.counts, before, after),
        data_at=desk_now,
    )


def with_alerts_changed(floor: Floor, desk_now: datetime) -> Floor:
    """Take in that many alerts changed at once: they and their number have to be read again."""
    return replace(floor, many_changed=floor.many_changed + 1, data_at=desk_now)


def with_incident(floor: Floor, incident: Incident, entries: int, desk_now: datetime) -> Floor:
    """Take in one changed incident; one that is not open leaves the board."""
    kept = incident if incident.status is IncidentStatus.OPEN else None
    return replace(
        floor,
        incidents=_with(floor.incidents, incident.id, kept),
        timelines=_last(_with(floor.timelines, incident.id, entries), TIMELINES_KEPT),
        data_at=desk_now,
    )


def with_freeze(floor: Floor, freeze: Freeze, desk_now: datetime) -> Floor:
    """Take in one changed freeze; a thawed one leaves the board."""
    kept = None if freeze.status is FreezeStatus.THAWED else freeze
    return replace(floor, freezes=_with(floor.freezes, freeze.id, kept), data_at=desk_now)


def with_latched(floor: Floor, latched: LatchedFreezes, desk_now: datetime) -> Floor:
    """Take in all that the backend has latched; what it had latched before is in the database, or gone with it."""
    kept = {hold.id: hold for hold in floor.freezes.values() if hold.status is not FreezeStatus.LATCHED}
    new = {hold.id: hold for hold in latched.items if hold.id not in kept}
    freezes = MappingProxyType(kept | new)
    return replace(floor, freezes=freezes, journals_elsewhere=latched.journals_elsewhere, data_at=desk_now)


def with_one_latched(floor: Floor, freeze: Freeze, desk_now: datetime) -> Floor:
    """Take in a freeze as its own answer told it."""
    return replace(floor, freezes=_with(floor.freezes, freeze.id, freeze), data_at=desk_now)


def latched_holds(floor: Floor) -> list[Freeze]:
    """Holds that wait for the database."""
    return [hold for hold in floor.freezes.values() if hold.status is FreezeStatus.LATCHED]


def with_elevation(floor: Floor, elevation: Elevation, desk_now: datetime) -> Floor:
    """Take in one changed elevation; one that is over leaves the board."""
    kept = elevation if elevation.status in _OPEN_ELEVATIONS else None
    return replace(floor, elevations=_with(floor.elevations, elevation.id, kept), data_at=desk_now)


def with_recovery(floor: Floor, drill: RecoveryDrill, desk_now: datetime) -> Floor:
    """Take in one changed recovery drill; what says less than what is known of it changes nothing."""
    known = floor.recovery
    if known is not None and known.ref == drill.ref and known.version > drill.version:
        return floor
    return replace(floor, recovery=drill, data_at=desk_now)


def with_risk(floor: Floor, risk: RiskSnapshot, desk_now: datetime) -> Floor:
    """Take in a new assessment."""
    return replace(floor, risk=risk, data_at=desk_now)


def with_executors(floor: Floor, changed: list[Executor], desk_now: datetime) -> Floor:
    """Take in executors whose state changed; a name not seen before counts as one more."""
    executors = dict(floor.executors)
    new = 0
    for executor in changed:
        new += executor.name not in executors
        executors[executor.name] = executor
    total = max(floor.executors_total, len(executors)) if new else floor.executors_total
    return replace(floor, executors=MappingProxyType(executors), executors_total=total, data_at=desk_now)


def with_beat(floor: Floor, server_now: datetime, desk_now: datetime) -> Floor:
    """Take in the server's clock. Every answer is late by its way here, so whoever was least late is nearest to it."""
    skew = server_now - desk_now
    return replace(floor, skew=skew) if skew > floor.skew else floor


def connected(floor: Floor, link: Link, desk_now: datetime, *, heard: bool, problem: str = "") -> Floor:
    """Take in what is known of the line; `heard` says that something arrived now."""
    heard_at = desk_now if heard else floor.connection.heard_at
    return replace(floor, connection=Connection(link=link, heard_at=heard_at, problem=problem))


def heard(floor: Floor, desk_now: datetime) -> Floor:
    """Take in a sign of life."""
    return replace(floor, connection=replace(floor.connection, heard_at=desk_now))


@dataclass(frozen=True)
class Tally:
    """Executors of one chain, or of all."""

    name: str
    executors: int = 0
    trading: int = 0
    reducing: int = 0
    frozen: int = 0
    freezing: int = 0
    wedged: int = 0
    silent: int = 0


def tally(name: str, executors: list[Executor]) -> Tally:
    """Count executors by state."""
    states = [executor.state for executor in executors]
    return Tally(
        name=name,
        executors=len(states),
        trading=states.count(ExecutorState.TRADING),
        reducing=states.count(ExecutorState.REDUCING),
        frozen=states.count(ExecutorState.FROZEN),
        freezing=states.count(ExecutorState.FREEZING),
        wedged=states.count(ExecutorState.WEDGED),
        silent=states.count(ExecutorState.SILENT),
    )


def chains(floor: Floor) -> list[Tally]:
    """Executors by chain, the largest chain first."""
    by_chain: dict[str, list[Executor]] = {}
    for executor in floor.executors.values():
        by_chain.setdefault(executor.chain, []).append(executor)
    tallies = [tally(chain, executors) for chain, executors in by_chain.items()]
    return sorted(tallies, key=lambda one: (-one.executors, one.name))


def all_executors(floor: Floor) -> Tally:
    """All executors by state."""
    return tally("all", list(floor.executors.values()))


def urgent(alerts: Mapping[str, Alert]) -> list[Alert]:
    """Alerts in the order to look at them: waiting, then seen, then muted ones; severe first, oldest first."""
    return sorted(
        alerts.values(),
        key=lambda alert: (
            bool(alert.muted_by),
            alert.status is not AlertStatus.OPEN,
            SEVERITIES.index(alert.severity),
            alert.raised_at,
            alert.id,
        ),
    )


def waits(alert: Alert) -> bool:
    """Whether somebody has to look at it: nobody has, and it is not muted."""
    return alert.status is AlertStatus.OPEN and not alert.muted_by


def _counts(counts: AlertCounts) -> Counts:
    return Counts(counts.critical, counts.high, counts.medium, counts.low)


def _with(known: Mapping[str, T], ident: str, value: T | None) -> Mapping[str, T]:
    changed = dict(known)
    changed.pop(ident, None)
    if value is not None:
        changed[ident] = value
    return MappingProxyType(changed)


def _last(known: Mapping[str, T], count: int) -> Mapping[str, T]:
    if len(known) <= count:
        return known
    return MappingProxyType(dict(list(known.items())[-count:]))


def _recount(counts: Counts, before: Alert | None, after: Alert | None) -> Counts:
    changed = {severity.value: getattr(counts, severity.value) for severity in Severity}
    if before is not None and not before.muted_by:
        changed[before.severity.value] -= 1
    if after is not None and not after.muted_by:
        changed[after.severity.value] += 1
    return Counts(**{name: max(count, 0) for name, count in changed.items()})
