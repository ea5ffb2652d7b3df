"""Raising, acknowledging, clearing and finding alerts. An alert is cleared by the rule that raised it, not by a person.

Texts of an alert may come from outside (names of wallets and strategies): they are stored as given and made harmless
where they are shown. The one exception is NUL, which no text column can hold.
"""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import bindparam, case, func, select
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.ext.asyncio import AsyncSession
from sqlalchemy.sql.expression import ColumnElement

from backend.alerts.tables import AlertRow
from backend.audit import service as audit
from backend.audit.service import AuditDraft
from backend.context import Caller, Runtime
from backend.errors import WatchfloorError
from backend.events import publish
from backend.lookup import row_named
from backend.paging import count_capped, cut_page, newest_first
from backend.standins import replace_name
from contract.alerts import AcknowledgeRequest, Alert, AlertCounts, AlertStatus, Link, Severity
from contract.base import Page
from contract.errors import ErrorCode
from contract.scope import Scope, ScopeKind
from contract.stream import Topic

UPDATE_GAP = timedelta(seconds=10)
"""Shortest time between two changes of a live alert's wording: a value that moves with every trade is not news."""
MAX_COMMENT_CHARS = 2_000
"""Room for a paragraph."""
MAX_LIVE_OF_RULE = 500
"""Live alerts of one rule that are looked at in one go; bounds a monitor's tick."""
CLEARS_ON = "clears_on"
"""Fact that names what clears an alert, where it is not its measure."""
ACKNOWLEDGEMENT = "acknowledgement"
_LIVE = AlertRow.status != AlertStatus.CLEARED.value
_GRAVITY = case({severity.value: place for place, severity in enumerate(Severity)}, value=AlertRow.severity)
_SEEN = case((AlertRow.status == AlertStatus.OPEN.value, 0), else_=1)
_MOST_URGENT = (
    select(AlertRow)
    .where(_LIVE)
    .order_by(_GRAVITY, _SEEN, AlertRow.raised_at.desc(), AlertRow.id.desc())
    .limit(bindparam("most"))
)


@dataclass(frozen=True, slots=True)
class AlertDraft:
    """What a rule has to say. `fingerprint` names the crossing: while an alert with it is live there is no second."""

    fingerprint: str
    rule: str
    severity: Severity
    scope: Scope
    message: str
    facts: Mapping[str, str] = field(default_factory=dict)
    links: Sequence[Link] = ()
    moves: bool = True
    """Its value moves all the time, so that its wording is brought up to date only now and then."""


@dataclass(frozen=True, slots=True)
class AlertFilter:
    """What a page of alerts is narrowed to; empty leaves a field open."""

    status: Collection[AlertStatus] = ()
    severity: Collection[Severity] = ()
    rule: str | None = None
    scope: Scope | None = None

    def conditions(self) -> list[ColumnElement[bool]]:
        """The filter as SQL conditions."""
        found: list[ColumnElement[bool]] = []
        if self.status:
            found.append(AlertRow.status.in_([status.value for status in self.status]))
        if self.severity:
            found.append(AlertRow.severity.in_([severity.value for severity in self.severity]))
        if self.rule is not None:
            found.append(AlertRow.rule == self.rule)
        if self.scope is not None:
            found += [AlertRow.scope_kind == self.scope.kind.value, AlertRow.scope_name == self.scope.name]
        return found


def _wire(row: AlertRow) -> Alert:
    return Alert(
        id=str(row.id),
        rule=row.rule,
        severity=Severity(row.severity),
        status=AlertStatus(row.status),
        scope=Scope(kind=ScopeKind(row.scope_kind), name=row.scope_name),
        message=row.message,
        facts=row.facts,
        links=[Link.model_validate(link) for link in row.links],
        raised_at=row.raised_at,
        updated_at=row.updated_at,
        due_at=row.due_at,
        acknowledged_by=row.acknowledged_by,
        acknowledged_at=row.acknowledged_at,
        cleared_at=row.cleared_at,
        action_taken=row.action_taken,
    )


def _without_nul(draft: AlertDraft) -> None:
    texts = [draft.fingerprint, draft.rule, draft.message, *draft.facts, *draft.facts.values()]
    texts += [text for link in draft.links for text in (link.kind, link.id, link.label)]
    if any("\x00" in text for text in texts):
        raise WatchfloorError(ErrorCode.INVALID_REQUEST, "An alert's text cannot contain NUL.")


def _note(row: AlertRow, act: str, **more: Any) -> AuditDraft:
    return AuditDraft(
        event_type=f"alerts.alert.{act}",
        action=f"alert {act}",
        resource_type="alert",
        resource_id=str(row.id),
        new_value={"rule": row.rule, "scope": str(_wire(row).scope), "severity": row.severity, **more},
    )


async def raise_alert(session: AsyncSession, runtime: Runtime, caller: Caller, draft: AlertDraft) -> tuple[Alert, bool]:
    """Raise an alert, or bring the live one with the same fingerprint up to date. True: it is new.

    Raises:
        WatchfloorError: INVALID_REQUEST for a text with NUL.
    """
    _without_nul(draft)
    now = runtime.clock.now()
    respond_in = timedelta(minutes=runtime.policy.severities[draft.severity].response_time_minutes)
    values = {
        "id": runtime.clock.new_id(),
        "fingerprint": draft.fingerprint,
        "rule": draft.rule,
        "severity": draft.severity.value,
        "status": AlertStatus.OPEN.value,
        "scope_kind": draft.scope.kind.value,
        "scope_name": draft.scope.name,
        "message": draft.message,
        "facts": dict(draft.facts),
        "links": [link.model_dump() for link in draft.links],
        "raised_at": now,
        "updated_at": now,
        "due_at": now + respond_in,
    }
    added = await session.execute(
        insert(AlertRow)
        .values(**values)
        .on_conflict_do_nothing(index_elements=["fingerprint"], index_where=_LIVE)
        .returning(AlertRow)
    )
    row = added.scalar_one_or_none()
    if row is None:
        live = await _live_one(session, draft.fingerprint)
        if live is None:  # it was cleared between the two statements
            return await raise_alert(session, runtime, caller, draft)
        return await _updated(session, live, draft, now), False
    await audit.record(session, runtime, caller, _note(row, "raised", message=row.message, facts=row.facts))
    alert = _wire(row)
    publish(session, Topic.ALERT, alert)
    return alert, True


async def _live_one(session: AsyncSession, fingerprint: str) -> AlertRow | None:
    found = await session.execute(select(AlertRow).where(AlertRow.fingerprint == fingerprint, _LIVE).with_for_update())
    return found.scalar_one_or_none()


async def _updated(session: AsyncSession, row: AlertRow, draft: AlertDraft, now: datetime) -> Alert:
    due = not draft.moves or now - row.updated_at >= UPDATE_GAP
    if row.message != draft.message and due:
        links = [link.model_dump() for link in draft.links]
        row.message, row.facts, row.updated_at = draft.message, dict(draft.facts), now
        row.links = [*links, *(link for link in row.links if link not in links and link["kind"] == "freeze")]
        await session.flush()
        publish(session, Topic.ALERT, _wire(row))
    return _wire(row)


async def note_action(session: AsyncSession, alert_id: str, action_taken: str, *, link: Link | None = None) -> Alert:
    """Write down what an alert made Watchfloor do, and point to it. The act itself is audited by who does it."""
    row = await row_named(session, AlertRow, "alert", alert_id, lock=True)
    row.action_taken = action_taken
    if link is not None:
        row.links = [*row.links, link.model_dump()]
    await session.flush()
    alert = _wire(row)
    publish(session, Topic.ALERT, alert)
    return alert


async def clear_alert(session: AsyncSession, runtime: Runtime, caller: Caller, alert_id: str, *, why: str) -> Alert:
    """End an alert because its rule no longer holds; clearing it twice changes nothing."""
    row = await row_named(session, AlertRow, "alert", alert_id, lock=True)
    if row.status != AlertStatus.CLEARED.value:
        await _clear(session, runtime, caller, row, why)
    return _wire(row)


async def _clear(session: AsyncSession, runtime: Runtime, caller: Caller, row: AlertRow, why: str) -> None:
    row.status = AlertStatus.CLEARED.value
    row.cleared_at = row.updated_at = runtime.clock.now()
    await session.flush()
    await audit.record(session, runtime, caller, _note(row, "cleared", why=why))
    publish(session, Topic.ALERT, _wire(row))


async def acknowledge(
    session: AsyncSession, runtime: Runtime, caller: Caller, alert_id: str, request: AcknowledgeRequest
) -> Alert:
    """Note that a person has seen an alert; the first one counts. An alert that cleared meanwhile stays cleared.

    Raises:
        WatchfloorError: NOT_FOUND; INVALID_REQUEST for a comment that is too long or contains NUL.
    """
    if "\x00" in request.comment or len(request.comment) > MAX_COMMENT_CHARS:
        raise WatchfloorError(
            ErrorCode.INVALID_REQUEST, f"A comment has at most {MAX_COMMENT_CHARS:,} characters and no NUL."
        )
    row = await row_named(session, AlertRow, "alert", alert_id, lock=True)
    if row.acknowledged_at is not None:
        return _wire(row)
    row.acknowledged_by, row.acknowledged_at = caller.subject, runtime.clock.now()
    row.acknowledge_comment = request.comment.strip() or None
    row.updated_at = row.acknowledged_at
    if row.status == AlertStatus.OPEN.value:
        row.status = AlertStatus.ACKNOWLEDGED.value
    await session.flush()
    await audit.record(session, runtime, caller, _note(row, "acknowledged", comment=row.acknowledge_comment))
    if row.status == AlertStatus.ACKNOWLEDGED.value and row.facts.get(CLEARS_ON) == ACKNOWLEDGEMENT:
        await _clear(session, runtime, caller, row, "acknowledged")
    else:
        publish(session, Topic.ALERT, _wire(row))
    return _wire(row)


async def get_alert(session: AsyncSession, alert_id: str) -> Alert:
    """One alert.

    Raises:
        WatchfloorError: NOT_FOUND.
    """
    return _wire(await row_named(session, AlertRow, "alert", alert_id))


async def list_alerts(
    session: AsyncSession, wanted: AlertFilter, *, cursor: str | None, limit: int, as_of: datetime
) -> Page[Alert]:
    """One page of alerts, newest first, with the count of matches up to the cap on the first page.

    Raises:
        WatchfloorError: INVALID_REQUEST for a cursor that is not ours.
    """
    conditions = wanted.conditions()
    query = newest_first(select(AlertRow).where(*conditions), AlertRow.raised_at, AlertRow.id, cursor, limit)
    rows = (await session.scalars(query)).all()
    total = await count_capped(session, AlertRow, conditions) if cursor is None else None
    page, more = cut_page(rows, limit, lambda row: (row.raised_at, row.id))
    return Page(items=[_wire(row) for row in page], next_cursor=more, total=total, as_of=as_of)


async def live_of_rules(session: AsyncSession, rules: Collection[str]) -> list[tuple[str, Alert]]:
    """Alerts of some rules that are not cleared, with their fingerprints, oldest first."""
    found = await session.execute(
        select(AlertRow)
        .where(_LIVE, AlertRow.rule.in_(rules))
        .order_by(AlertRow.raised_at, AlertRow.id)
        .limit(MAX_LIVE_OF_RULE)
    )
    return [(row.fingerprint, _wire(row)) for row in found.scalars()]


async def counts(session: AsyncSession) -> AlertCounts:
    """Alerts that are not cleared, by severity."""
    found = await session.execute(
        select(AlertRow.severity, func.count().label("number")).where(_LIVE).group_by(AlertRow.severity)
    )
    return AlertCounts.model_validate({row.severity: row.number for row in found})


async def overdue(session: AsyncSession, now: datetime, limit: int) -> list[Alert]:
    """Alerts nobody has acknowledged within the response time of their severity, longest overdue first."""
    found = await session.execute(
        select(AlertRow)
        .where(AlertRow.status == AlertStatus.OPEN.value, AlertRow.due_at < now)
        .order_by(AlertRow.due_at, AlertRow.id)
        .limit(limit)
    )
    return [_wire(row) for row in found.scalars()]


async def most_urgent(session: AsyncSession, limit: int) -> list[Alert]:
    """Alerts that are not cleared: the gravest first, those nobody has seen before the seen, then the newest."""
    found = await session.execute(_MOST_URGENT, {"most": limit})
    return [_wire(row) for row in found.scalars()]


async def forget_person(session: AsyncSession, name: str, *, stand_in: str) -> None:
    """Have a stand-in where the name of an erased person stood."""
    await replace_name(session, (AlertRow.acknowledged_by,), name, stand_in)
