"""What the numbers of incidents mean. Pure: the one place where TTD, TTA, TTM and TTR are defined.

TTD = detected − started. TTA = acknowledged − notified, or − detected where nobody was sent anything.
TTM = mitigated − started. TTR = resolved − started, of incidents that are over.
An interval of which one end is unknown is missing; one that would run backwards is missing too: neither is ever 0.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from itertools import groupby
from typing import Final

from contract.incidents import Interval, IntervalStat, MilestoneName, ResponseCompliance, StatGroup
from contract.states import Severity

_ENDS: Final[Mapping[Interval, tuple[tuple[MilestoneName, ...], MilestoneName]]] = {
    Interval.TTD: ((MilestoneName.STARTED,), MilestoneName.DETECTED),
    Interval.TTA: ((MilestoneName.NOTIFIED, MilestoneName.DETECTED), MilestoneName.ACKNOWLEDGED),
    Interval.TTM: ((MilestoneName.STARTED,), MilestoneName.MITIGATED),
    Interval.TTR: ((MilestoneName.STARTED,), MilestoneName.RESOLVED),
}
_P90: Final = 90


@dataclass(frozen=True, slots=True)
class Measured:
    """What the numbers need of one incident."""

    declared_at: datetime
    severity: Severity
    milestones: Mapping[MilestoneName, datetime]

    @property
    def month(self) -> str:
        """Of its declaration, UTC: 2026-11."""
        return f"{self.declared_at:%Y-%m}"


def interval_s(milestones: Mapping[MilestoneName, datetime], interval: Interval) -> float | None:
    """Seconds of an interval; None if one of its ends is unknown or it runs backwards."""
    begins, end = _ENDS[interval]
    begun = next((milestones[one] for one in begins if one in milestones), None)
    ended = milestones.get(end)
    if begun is None or ended is None or ended < begun:
        return None
    return (ended - begun).total_seconds()


def nearest_rank(values: Sequence[float], percent: int) -> float | None:
    """The smallest value that at least so many percent of all are not above; None of nothing. Never interpolates."""
    if not values:
        return None
    ordered = sorted(values)
    return ordered[max(0, -(-percent * len(ordered) // 100) - 1)]


def median(values: Sequence[float]) -> float | None:
    """The middle value; of an even number the mean of the two in the middle. None of nothing."""
    if not values:
        return None
    ordered, half = sorted(values), len(values) // 2
    return ordered[half] if len(ordered) % 2 else (ordered[half - 1] + ordered[half]) / 2


def interval_stat(incidents: Sequence[Measured], interval: Interval) -> IntervalStat:
    """One interval over some incidents."""
    found = [interval_s(one.milestones, interval) for one in incidents]
    known = [one for one in found if one is not None]
    return IntervalStat(
        interval=interval,
        n=len(known),
        missing=len(found) - len(known),
        median_s=median(known),
        p90_s=nearest_rank(known, _P90),
        max_s=max(known, default=None),
    )


def groups(incidents: Iterable[Measured]) -> list[StatGroup]:
    """All of them, then each severity, then each month, then each month and severity that there is."""
    every = sorted(incidents, key=lambda one: (one.month, list(Severity).index(one.severity)))
    found = [_group(None, None, every)]
    found += [_group(None, severity, some) for severity in Severity if (some := _of(every, severity))]
    months = [(month, list(some)) for month, some in groupby(every, key=lambda one: one.month)]
    found += [_group(month, None, some) for month, some in months]
    return found + [
        _group(month, severity, of_both)
        for month, some in months
        for severity in Severity
        if (of_both := _of(some, severity))
    ]


def _of(incidents: Sequence[Measured], severity: Severity) -> list[Measured]:
    return [one for one in incidents if one.severity is severity]


def _group(month: str | None, severity: Severity | None, incidents: Sequence[Measured]) -> StatGroup:
    return StatGroup(
        month=month,
        severity=severity,
        incidents=len(incidents),
        intervals=[interval_stat(incidents, interval) for interval in Interval],
    )


def asked_at(milestones: Mapping[MilestoneName, datetime], declared_at: datetime) -> datetime:
    """When somebody could first have answered: when people were told, else when it was detected, else declared."""
    first = (milestones.get(MilestoneName.NOTIFIED), milestones.get(MilestoneName.DETECTED), declared_at)
    return next(at for at in first if at is not None)


def compliance(
    incidents: Iterable[Measured], targets_minutes: Mapping[Severity, int], now: datetime
) -> list[ResponseCompliance]:
    """How many were answered within the policy's time. Open ones whose time still runs count nowhere."""
    counted = {severity: {"in_time": 0, "late": 0, "unanswered": 0} for severity in Severity}
    for one in incidents:
        due = asked_at(one.milestones, one.declared_at) + timedelta(minutes=targets_minutes[one.severity])
        answered = one.milestones.get(MilestoneName.ACKNOWLEDGED)
        if answered is not None:
            counted[one.severity]["in_time" if answered <= due else "late"] += 1
        elif due < now:
            counted[one.severity]["unanswered"] += 1
    return [
        ResponseCompliance(severity=severity, target_minutes=targets_minutes[severity], **counted[severity])
        for severity in Severity
    ]
