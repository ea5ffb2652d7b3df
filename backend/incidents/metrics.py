"""What the numbers of incidents mean. Pure: the one place where TTD, TTA, TTM and TTR are defined.

TTD = detected − started. TTA = acknowledged − notified, or − detected where nobody had been sent anything by then.
TTM = mitigated − started. TTR = resolved − started, of incidents that are over.
An interval of which one end is unknown is missing; one that would run backwards is missing too: neither is ever 0.
Where whoever declared it was the first to see it, nobody was waited for: its TTA is not measured, and counted apart.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from itertools import groupby
from typing import Final

from contract.incidents import Interval, IntervalStat, MilestoneName, ResponseCompliance, StatGroup
from contract.states import Severity

_ENDS: Final[Mapping[Interval, MilestoneName]] = {
    Interval.TTD: MilestoneName.DETECTED,
    Interval.TTA: MilestoneName.ACKNOWLEDGED,
    Interval.TTM: MilestoneName.MITIGATED,
    Interval.TTR: MilestoneName.RESOLVED,
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

    @property
    def answered_itself(self) -> bool:
        """Whether its declaration alone stands for both that it was seen and that somebody answered."""
        seen, answered = (self.milestones.get(one) for one in (MilestoneName.DETECTED, MilestoneName.ACKNOWLEDGED))
        return seen == answered == self.declared_at


def interval_s(milestones: Mapping[MilestoneName, datetime], interval: Interval) -> float | None:
    """Seconds of an interval; None if one of its ends is unknown or it runs backwards."""
    begun = _told_at(milestones) if interval is Interval.TTA else milestones.get(MilestoneName.STARTED)
    ended = milestones.get(_ENDS[interval])
    if begun is None or ended is None or ended < begun:
        return None
    return (ended - begun).total_seconds()


def _told_at(milestones: Mapping[MilestoneName, datetime]) -> datetime | None:
    """From when on somebody is waited for: when people were told, or when it was seen if the answer came before."""
    told, answered = milestones.get(MilestoneName.NOTIFIED), milestones.get(MilestoneName.ACKNOWLEDGED)
    if told is None or (answered is not None and answered < told):
        return milestones.get(MilestoneName.DETECTED)
    return told


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
    measured = [one for one in incidents if interval is not Interval.TTA or not one.answered_itself]
    found = [interval_s(one.milestones, interval) for one in measured]
    known = [one for one in found if one is not None]
    return IntervalStat(
        interval=interval,
        n=len(known),
        missing=len(found) - len(known),
        unmeasured=len(incidents) - len(measured),
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
    """From when on somebody is waited for; of what nobody has seen, its declaration."""
    return _told_at(milestones) or declared_at


def compliance(
    incidents: Iterable[Measured], targets_minutes: Mapping[Severity, int], now: datetime
) -> list[ResponseCompliance]:
    """How many were answered within the policy's time. Open ones whose time still runs count nowhere."""
    counted = {severity: {"in_time": 0, "late": 0, "unanswered": 0, "unmeasured": 0} for severity in Severity}
    for one in incidents:
        if one.answered_itself:
            counted[one.severity]["unmeasured"] += 1
            continue
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
