"""Shows incidents as they travel. Reads only; batches its questions, so that a page costs as many as one incident."""

from collections import defaultdict
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from sqlalchemy import func, select
from sqlalchemy.dialects.postgresql import distinct_on
from sqlalchemy.ext.asyncio import AsyncSession

from backend.context import Runtime
from backend.incidents.clocks import Standing, clocks
from backend.incidents.tables import (
    IncidentAction,
    IncidentFollowUp,
    IncidentLink,
    IncidentMilestone,
    IncidentRole,
    IncidentRow,
    IncidentStep,
)
from backend.policy.incidents import COMMANDER
from contract.alerts import Link
from contract.incidents import Impact, Incident, Milestone, MilestoneName, Role, Step, StepAction
from contract.scope import Scope
from contract.states import IncidentStatus, PostmortemState, Severity

MAX_LINKS_SHOWN = 250
"""As many as may be linked at a declaration; the timeline names all."""
_ORDER = {name: place for place, name in enumerate(MilestoneName)}


@dataclass
class _Parts:
    """What is kept of some incidents in other tables, by incident."""

    milestones: Mapping[str, list[IncidentMilestone]]
    roles: Mapping[str, list[IncidentRole]]
    follow_ups: Mapping[str, int]
    steps: Mapping[str, list[IncidentStep]] = field(default_factory=dict)
    actions: Mapping[str, list[IncidentAction]] = field(default_factory=dict)
    links: Mapping[str, list[IncidentLink]] = field(default_factory=dict)


async def show(session: AsyncSession, runtime: Runtime, row: IncidentRow) -> Incident:
    """One incident, whole."""
    return (await show_all(session, runtime, [row], whole=True))[0]


async def show_all(
    session: AsyncSession, runtime: Runtime, rows: Sequence[IncidentRow], *, whole: bool = False
) -> list[Incident]:
    """Incidents in the order given; steps and links only if they are asked for whole."""
    if not rows:
        return []
    idents = [row.id for row in rows]
    held = IncidentRole.until.is_(None)
    parts = _Parts(
        milestones=_by_incident(await _newest_milestones(session, idents)),
        roles=_by_incident(await _all(session, IncidentRole, idents, held, order=(IncidentRole.id,))),
        follow_ups=await _follow_ups_open(session, idents),
    )
    if whole:
        parts.steps = _by_incident(await _all(session, IncidentStep, idents, order=(IncidentStep.number,)))
        ordered = (IncidentAction.step, IncidentAction.number)
        parts.actions = _by_incident(await _all(session, IncidentAction, idents, order=ordered))
        by_time = (IncidentLink.linked_at, IncidentLink.kind, IncidentLink.target)
        parts.links = _by_incident(await _all(session, IncidentLink, idents, order=by_time))
    return [_wire(runtime, row, parts) for row in rows]


async def _all(
    session: AsyncSession, table: Any, idents: Collection[str], *where: Any, order: Sequence[Any]
) -> list[Any]:
    query = select(table).where(table.incident.in_(idents), *where).order_by(*order)
    return list((await session.scalars(query.execution_options(populate_existing=True))).all())


async def _newest_milestones(session: AsyncSession, idents: Collection[str]) -> list[IncidentMilestone]:
    query = (
        select(IncidentMilestone)
        .ext(distinct_on(IncidentMilestone.incident, IncidentMilestone.name))
        .where(IncidentMilestone.incident.in_(idents))
        .order_by(IncidentMilestone.incident, IncidentMilestone.name, IncidentMilestone.id.desc())
    )
    return list((await session.scalars(query)).all())


async def _follow_ups_open(session: AsyncSession, idents: Collection[str]) -> dict[str, int]:
    query = (
        select(IncidentFollowUp.incident, func.count().label("waiting"))
        .where(IncidentFollowUp.incident.in_(idents), IncidentFollowUp.done_at.is_(None))
        .group_by(IncidentFollowUp.incident)
    )
    return {row.incident: row.waiting for row in await session.execute(query)}


def _by_incident(rows: Sequence[Any]) -> dict[str, list[Any]]:
    found: dict[str, list[Any]] = defaultdict(list)
    for row in rows:
        found[row.incident].append(row)
    return found


def milestones_of(row: IncidentRow, found: Sequence[IncidentMilestone]) -> dict[MilestoneName, datetime]:
    """When it reached what; one that was opened again is not over, and one that is not closed never was."""
    hidden = set() if row.status == IncidentStatus.CLOSED.value else {MilestoneName.CLOSED}
    if row.status == IncidentStatus.OPEN.value:
        hidden.add(MilestoneName.RESOLVED)
    return {name: one.occurred_at for one in found if (name := MilestoneName(one.name)) not in hidden}


async def known_milestones(
    session: AsyncSession, rows: Sequence[IncidentRow]
) -> dict[str, dict[MilestoneName, datetime]]:
    """The milestones of many incidents, for the numbers."""
    found = _by_incident(await _newest_milestones(session, [row.id for row in rows]))
    return {row.id: milestones_of(row, found.get(row.id, [])) for row in rows}


def _wire(runtime: Runtime, row: IncidentRow, parts: _Parts) -> Incident:
    found = parts.milestones.get(row.id, [])
    reached = milestones_of(row, found)
    roles = [Role(role=one.role, person=one.person, since=one.since) for one in parts.roles.get(row.id, [])]
    return Incident(
        id=row.id,
        title=row.title,
        type=row.type,
        severity=Severity(row.severity),
        status=IncidentStatus(row.status),
        step=row.step,
        commander=next((one.person for one in roles if one.role == COMMANDER), None),
        roles=roles,
        scopes=[Scope.parse(text) for text in row.scopes],
        drill=row.drill,
        declared_by=row.declared_by,
        declared_at=row.declared_at,
        updated_at=row.updated_at,
        milestones=sorted(
            (_milestone(one) for one in found if one.name in reached),
            key=lambda one: (one.occurred_at, _ORDER[one.name]),
        ),
        steps=_steps(parts.steps.get(row.id, []), parts.actions.get(row.id, [])),
        impact=Impact(
            services=row.services,
            loss_usd=row.loss_usd,
            loss_eth=row.loss_eth,
            users=row.users,
            description=row.description,
        ),
        links=[Link(kind=one.kind, id=one.target, label=one.label) for one in parts.links.get(row.id, [])][
            :MAX_LINKS_SHOWN
        ],
        clocks=clocks(_standing(runtime, row, reached), runtime.policy.incident_rules.reports),
        follow_ups_open=parts.follow_ups.get(row.id, 0),
        postmortem=None if row.postmortem is None else PostmortemState(row.postmortem),
        postmortem_required=row.postmortem_required,
        version=row.version,
    )


def _milestone(one: IncidentMilestone) -> Milestone:
    return Milestone(
        name=MilestoneName(one.name),
        occurred_at=one.occurred_at,
        recorded_at=one.recorded_at,
        recorded_by=one.recorded_by,
        auto=one.auto,
    )


def _steps(steps: Sequence[IncidentStep], actions: Sequence[IncidentAction]) -> list[Step]:
    of_step: dict[int, list[StepAction]] = defaultdict(list)
    for one in actions:
        action = StepAction(number=one.number, text=one.text, done_at=one.done_at, done_by=one.done_by, note=one.note)
        of_step[one.step].append(action)
    return [
        Step(name=one.name, actions=of_step[one.number], begun_at=one.begun_at, done_at=one.done_at) for one in steps
    ]


def _standing(runtime: Runtime, row: IncidentRow, reached: Mapping[MilestoneName, datetime]) -> Standing:
    return Standing(
        declared_at=row.declared_at,
        milestones=reached,
        response_minutes=runtime.policy.severities[Severity(row.severity)].response_time_minutes,
        classified_at=row.classified_at,
        reported={name: datetime.fromisoformat(at) for name, at in row.reported.items()},
        told=row.reports_told,
    )
