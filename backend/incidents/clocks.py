"""Times by which something must have been done about an incident. Pure; never says that anything was done in time."""

import calendar
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Final

from backend.incidents.metrics import asked_at
from backend.policy.incidents import ReportRules
from contract.incidents import Clock, MilestoneName

RESPONSE: Final = "response"
INITIAL, INTERMEDIATE, FINAL = "initial", "intermediate", "final"
REPORTS: Final = (INITIAL, INTERMEDIATE, FINAL)
"""To an authority, in the order in which they are due."""
_MONTHS_OF_YEAR: Final = 12


@dataclass(frozen=True, slots=True)
class Standing:
    """What the clocks of one incident run from."""

    declared_at: datetime
    milestones: Mapping[MilestoneName, datetime]
    response_minutes: int
    classified_at: datetime | None
    """When it first had a severity that has to be reported."""
    reported: Mapping[str, datetime]
    """Reports that were sent."""
    told: Mapping[str, Mapping[str, str]] = field(default_factory=dict)
    """Of reports that were sent: to whom, under which reference."""


def clocks(standing: Standing, rules: ReportRules) -> list[Clock]:
    """The response clock, and those of reports as far as what they run from has happened."""
    asked = asked_at(standing.milestones, standing.declared_at)
    response = Clock(
        name=RESPONSE,
        due_at=asked + timedelta(minutes=standing.response_minutes),
        done_at=standing.milestones.get(MilestoneName.ACKNOWLEDGED),
    )
    if not rules.enabled or standing.classified_at is None:
        return [response]
    return [response, *_reports(standing, standing.classified_at, rules)]


def _reports(standing: Standing, classified_at: datetime, rules: ReportRules) -> list[Clock]:
    sent = standing.reported
    aware_at = standing.milestones.get(MilestoneName.DETECTED, standing.declared_at)
    found = [_report(standing, INITIAL, _initial_due(aware_at, classified_at, rules))]
    if INITIAL in sent:
        due = sent[INITIAL] + timedelta(hours=rules.intermediate_hours)
        found.append(_report(standing, INTERMEDIATE, due))
    if INTERMEDIATE in sent:
        due = months_after(sent[INTERMEDIATE], rules.final_months)
        found.append(_report(standing, FINAL, due))
    return found


def _report(standing: Standing, name: str, due_at: datetime) -> Clock:
    told = standing.told.get(name, {})
    to, reference = told.get("to", ""), told.get("reference", "")
    return Clock(name=name, due_at=due_at, done_at=standing.reported.get(name), to=to, reference=reference)


def _initial_due(aware_at: datetime, classified_at: datetime, rules: ReportRules) -> datetime:
    """From the classification, and no later than so long after awareness, unless it was classified after that."""
    after_classification = classified_at + timedelta(hours=rules.initial_hours)
    latest = aware_at + timedelta(hours=rules.aware_hours)
    return after_classification if classified_at > latest else min(after_classification, latest)


def months_after(at: datetime, months: int) -> datetime:
    """The same day so many months later, or the last of that month if it has no such day."""
    month = at.month - 1 + months
    year, month = at.year + month // _MONTHS_OF_YEAR, month % _MONTHS_OF_YEAR + 1
    return at.replace(year=year, month=month, day=min(at.day, calendar.monthrange(year, month)[1]))
