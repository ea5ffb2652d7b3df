"""Finds what a thaw is about at this moment, and shows it. Reads only; the rules are those of `thawing`."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from sqlalchemy.ext.asyncio import AsyncSession

from backend.alerts import service as alerts
from backend.context import Runtime
from backend.freeze import core, store, thawing
from backend.freeze.tables import FreezeRow
from backend.freeze.thawing import AlertMark, Subject
from backend.policy.freezing import ThawRules
from backend.roster import service as roster
from contract.alerts import Alert
from contract.scope import Scope
from contract.states import FreezeStatus
from contract.thaw import Thaw, ThawAlert, ThawStage

MAX_ALERTS = 500
"""Open alerts about a hold, the gravest first; more than anybody reads before approving."""
MAX_NAMES_SHOWN = 50
"""As many executors as a dialog can list."""


@dataclass(frozen=True, slots=True)
class Facts:
    """What lifting a hold means now."""

    now: datetime
    """The database's clock."""
    subject: Subject
    alerts: Sequence[Alert]
    """Those of the subject, the gravest first."""


async def facts_of(session: AsyncSession, row: FreezeRow) -> Facts:
    """What lifting this hold means now."""
    scope = store.scope_of(row)
    people = await roster.everyone(session)
    under = [one for one in people.executors if core.covers(scope, one)]
    others = [hold for hold in await store.holds_in_force(session) if hold.id != row.id]
    held = {one.name: core.covering(others, one) for one in under}
    found = await touching(session, scope, under)
    subject = Subject(
        freeze=str(row.id),
        epoch=row.epoch,
        scope=str(scope),
        mode=row.mode,
        other_holds=frozenset(hold.ref for over in held.values() for hold in over),
        executors=frozenset(name for name, over in held.items() if not over),
        alerts=frozenset(map(mark, found)),
    )
    return Facts(now=people.now, subject=subject, alerts=found)


async def touching(session: AsyncSession, scope: Scope, under: Iterable[core.Place]) -> list[Alert]:
    """Open alerts that have to do with a scope under which these executors are, the gravest first."""
    places = list(under)
    # muted ones too: what is muted is not gone
    return await alerts.most_urgent_of(session, MAX_ALERTS, lambda other: thawing.touches(scope, other, places))


def mark(alert: Alert) -> AlertMark:
    """What a thaw remembers of an alert."""
    return AlertMark(id=alert.id, severity=alert.severity.value, rule=alert.rule)


def asked_about(row: FreezeRow) -> Subject | None:
    """What the request was about; None while nobody asks."""
    return None if row.thaw_subject is None else Subject.of_plain(row.thaw_subject)


def differences(row: FreezeRow, now: Subject) -> list[str]:
    """What is no longer as it was when the thaw was asked for."""
    asked = asked_about(row)
    return [] if asked is None or asked.digest == now.digest else thawing.changes(asked, now)


def earliest_approval(row: FreezeRow, rules: ThawRules) -> datetime:
    """Before this a hold has not stood long enough to be lifted."""
    return row.held_since + timedelta(seconds=rules.min_hold_seconds)


async def show(session: AsyncSession, runtime: Runtime, row: FreezeRow) -> Thaw | None:
    """What lifting a hold means now, for the wire; None once it is lifted."""
    if row.status == FreezeStatus.THAWED.value:
        return None
    facts = await facts_of(session, row)
    rules = runtime.policy.thaw
    asked = row.status == FreezeStatus.THAW_REQUESTED.value
    under_way = row.status == FreezeStatus.THAWING.value
    first = (
        row.thaw_released if under_way else thawing.first_stage(row.id, facts.subject.executors, first_percent(rules))
    )
    return Thaw(
        digest=facts.subject.digest,
        alerts=[
            ThawAlert(id=one.id, rule=one.rule, severity=one.severity, message=one.message) for one in facts.alerts
        ],
        other_holds=sorted(facts.subject.other_holds),
        executors_released=len(facts.subject.executors),
        stages=_stages(facts.subject, first or (), rules),
        changed=differences(row, facts.subject) if asked else [],
        anti_flap_until=earliest_approval(row, rules),
        requested_by=row.thaw_requested_by,
        requested_at=row.thaw_requested_at,
        expires_at=row.thaw_expires_at if asked else None,
        approved_by=row.thawed_by if under_way else None,
        watch_until=row.thaw_watch_until if under_way else None,
    )


def first_percent(rules: ThawRules) -> int:
    """The share that goes first; all of them where nobody watches anyhow."""
    return rules.first_percent if rules.watch_seconds else 100


def _stages(subject: Subject, first: Sequence[str], rules: ThawRules) -> list[ThawStage]:
    found = thawing.stages(sorted(subject.executors), first)
    return [
        ThawStage(
            executors=len(names),
            executor_names=list(names[:MAX_NAMES_SHOWN]),
            watch_seconds=rules.watch_seconds if number == 0 else 0,
        )
        for number, names in enumerate(found)
    ]
