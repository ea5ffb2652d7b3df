"""Raising, acknowledging, clearing and finding alerts. An alert is cleared by the rule that raised it, not by a person.

Texts of an alert may come from outside (names of wallets and strategies): they are stored as given and made harmless
where they are shown. The one exception is NUL, which no text column can hold.
"""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta

from sqlalchemy import select
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.ext.asyncio import AsyncSession

from backend.alerts import practising
from backend.alerts.erasing import forget_person
from backend.alerts.history import (
    BREACHED,
    KEY,
    MUTED,
    Asked,
    Happening,
    Kind,
    Told,
    acts_under,
    events_after,
    events_of,
    happened,
    is_done,
    newest_event,
)
from backend.alerts.muting import mutes_over, set_mutes, standing
from backend.alerts.outside import alerts_named, note_notified
from backend.alerts.practising import drill_again, drill_over
from backend.alerts.rows import (
    LIVE,
    UNMUTED,
    announce,
    clock_values,
    counts,
    note,
    own_labels,
    wire,
)
from backend.alerts.tables import OWN_SOURCE, AlertRow
from backend.alerts.urgent import most_urgent, most_urgent_of
from backend.audit import service as audit
from backend.context import Caller, Runtime
from backend.errors import WatchfloorError, known_ident
from backend.events import publish
from backend.lookup import row_named
from backend.nearest import Span, nearest_rows
from backend.paging import count_capped
from contract.alert_work import MAX_COMMENT_CHARS
from contract.alerts import AcknowledgeRequest, Alert, AlertStatus, Link, Severity
from contract.errors import ErrorCode
from contract.scope import Scope
from contract.stream import Topic

__all__ = [
    "ACKNOWLEDGEMENT", "BREACHED", "CLEARS_ON", "FEED_SILENT", "MAX_LIVE_OF_RULE", "AlertDraft", "Happening", "Kind",
    "Told", "acknowledge", "acknowledge_row", "alerts_named", "announce", "clear_alert", "counts", "drill_again",
    "drill_over",
    "events_after", "events_of", "forget_person", "get_alert", "happened", "link_incident", "live_of_rules",
    "most_urgent", "most_urgent_of", "newest_event", "note_action", "note_notified", "overdue", "raise_alert",
    "raised_around",
]  # fmt: skip

UPDATE_GAP = timedelta(seconds=10)
"""Shortest time between two changes of a live alert's wording: a value that moves with every trade is not news."""
MAX_LIVE_OF_RULE = 500
"""Live alerts of one rule that are looked at in one go; bounds a monitor's tick."""
CLEARS_ON = "clears_on"
"""Fact that names what clears an alert, where it is not its measure."""
ACKNOWLEDGEMENT = "acknowledgement"
FEED_SILENT = "FEED_SILENT"
"""Rule of the alerts about a feed that has gone silent; the fingerprint names the feed."""


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


def _without_nul(draft: AlertDraft) -> None:
    texts = [draft.fingerprint, draft.rule, draft.message, *draft.facts, *draft.facts.values()]
    texts += [text for link in draft.links for text in (link.kind, link.id, link.label)]
    if any("\x00" in text for text in texts):
        raise WatchfloorError(ErrorCode.INVALID_REQUEST, "An alert's text cannot contain NUL.")


async def raise_alert(session: AsyncSession, runtime: Runtime, caller: Caller, draft: AlertDraft) -> tuple[Alert, bool]:
    """Raise an alert, or bring the live one with the same fingerprint up to date. True: it is new.

    Raises:
        WatchfloorError: INVALID_REQUEST for a text with NUL.
    """
    _without_nul(draft)
    now = runtime.clock.now()
    rules = runtime.policy.alerts
    category = rules.category_of(draft.rule, draft.severity, {})
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
        "category": category.value,
        "labels": own_labels(draft.rule, draft.severity, category, draft.scope),
        "group_key": draft.rule,
        "runbook_url": rules.runbooks.get(draft.rule),
        **clock_values(runtime, draft.severity, now, muted=False),
    }
    added = await session.execute(
        insert(AlertRow)
        .values(**values)
        .on_conflict_do_nothing(index_elements=["fingerprint"], index_where=LIVE)
        .returning(AlertRow)
    )
    row = added.scalar_one_or_none()
    if row is None:
        live = await _live_one(session, draft.fingerprint)
        if live is None:  # it was cleared between the two statements
            return await raise_alert(session, runtime, caller, draft)
        return await _updated(session, runtime, caller, live, draft), False
    [mutes] = await mutes_over(session, runtime, await standing(session, now), [row.labels])
    told = {"severity": row.severity, **({MUTED: "yes"} if mutes else {})}
    happened(session, runtime, caller, Happening(row.id, Kind.RAISED, row.message, told))
    await audit.record(session, runtime, caller, note(row, "raised", message=row.message, facts=row.facts))
    if mutes:
        await set_mutes(session, runtime, caller, row, mutes)
        await session.flush()
    alert = wire(row)
    publish(session, Topic.ALERT, alert)
    return alert, True


async def _live_one(session: AsyncSession, fingerprint: str) -> AlertRow | None:
    found = await session.execute(select(AlertRow).where(AlertRow.fingerprint == fingerprint, LIVE).with_for_update())
    return found.scalar_one_or_none()


async def _updated(session: AsyncSession, runtime: Runtime, caller: Caller, row: AlertRow, draft: AlertDraft) -> Alert:
    now = runtime.clock.now()
    due = not draft.moves or now - row.updated_at >= UPDATE_GAP
    if row.message != draft.message and due:
        links = [link.model_dump() for link in draft.links]
        row.message, row.facts, row.updated_at = draft.message, dict(draft.facts), now
        row.links = [*links, *(link for link in row.links if link not in links and link["kind"] == "freeze")]
        if not draft.moves:
            happened(session, runtime, caller, Happening(row.id, Kind.CHANGED, row.message))
        await session.flush()
        publish(session, Topic.ALERT, wire(row))
    return wire(row)


async def note_action(session: AsyncSession, alert_id: str, action_taken: str, *, link: Link | None = None) -> Alert:
    """Write down what an alert made Watchfloor do, and point to it. The act itself is audited by who does it."""
    row = await row_named(session, AlertRow, "alert", alert_id, lock=True)
    row.action_taken = action_taken
    if link is not None:
        row.links = [*row.links, link.model_dump()]
    await session.flush()
    alert = wire(row)
    publish(session, Topic.ALERT, alert)
    return alert


async def clear_alert(session: AsyncSession, runtime: Runtime, caller: Caller, alert_id: str, *, why: str) -> Alert:
    """End an alert because its rule no longer holds; clearing it twice changes nothing."""
    row = await row_named(session, AlertRow, "alert", alert_id, lock=True)
    if row.status != AlertStatus.CLEARED.value:
        await _clear(session, runtime, caller, row, why)
    return wire(row)


async def _clear(session: AsyncSession, runtime: Runtime, caller: Caller, row: AlertRow, why: str) -> None:
    await _end(session, runtime, caller, row, why)
    await announce(session, runtime, [row])


async def _end(session: AsyncSession, runtime: Runtime, caller: Caller, row: AlertRow, why: str) -> None:
    row.status = AlertStatus.CLEARED.value
    row.cleared_at = row.updated_at = runtime.clock.now()
    row.escalates_at = None
    happened(session, runtime, caller, Happening(row.id, Kind.CLEARED, why))
    await session.flush()
    await audit.record(session, runtime, caller, note(row, "cleared", why=why))


async def acknowledge(
    session: AsyncSession, runtime: Runtime, caller: Caller, alert_id: str, request: AcknowledgeRequest
) -> Alert:
    """Note that a person has seen an alert; the first one counts. An alert that cleared meanwhile stays cleared.

    The same key of the same person again changes nothing, also if the alert was raised again since.

    Raises:
        WatchfloorError: NOT_FOUND; INVALID_REQUEST for a comment that is too long or contains NUL; CONFLICT for a key
            of another act.
    """
    if "\x00" in request.comment or len(request.comment) > MAX_COMMENT_CHARS:
        raise WatchfloorError(
            ErrorCode.INVALID_REQUEST, f"A comment has at most {MAX_COMMENT_CHARS:,} characters and no NUL."
        )
    row = await row_named(session, AlertRow, "alert", alert_id, lock=True)
    before = await acts_under(session, caller, request.idempotency_key, [row.id])
    if is_done(Asked(Kind.ACKNOWLEDGED, request.comment.strip()), before.get(row.id)):
        return wire(row)
    if await acknowledge_row(session, runtime, caller, row, request.comment, key=request.idempotency_key):
        await announce(session, runtime, [row])
    return wire(row)


async def acknowledge_row(
    session: AsyncSession, runtime: Runtime, caller: Caller, row: AlertRow, comment: str, *, key: str = ""
) -> bool:
    """Acknowledge a locked alert; False if somebody has already. Telling the consoles is left to the caller."""
    if row.acknowledged_at is not None:
        return False
    row.acknowledged_by, row.acknowledged_at = caller.subject, runtime.clock.now()
    row.acknowledge_comment = comment.strip() or None
    row.updated_at = row.acknowledged_at
    row.escalates_at = None
    if row.status == AlertStatus.OPEN.value:
        row.status = AlertStatus.ACKNOWLEDGED.value
    facts = {KEY: key} if key else {}
    happened(session, runtime, caller, Happening(row.id, Kind.ACKNOWLEDGED, row.acknowledge_comment or "", facts))
    await audit.record(session, runtime, caller, note(row, "acknowledged", comment=row.acknowledge_comment))
    if row.status == AlertStatus.ACKNOWLEDGED.value and row.facts.get(CLEARS_ON) == ACKNOWLEDGEMENT:
        await _end(session, runtime, caller, row, "acknowledged")
    return True


async def get_alert(session: AsyncSession, alert_id: str) -> Alert:
    """One alert.

    Raises:
        WatchfloorError: NOT_FOUND.
    """
    return wire(await row_named(session, AlertRow, "alert", alert_id))


async def live_of_rules(session: AsyncSession, rules: Collection[str]) -> list[tuple[str, Alert]]:
    """Alerts of some of our own rules that are not cleared, with their fingerprints, oldest first."""
    found = await session.execute(
        select(AlertRow)
        .where(LIVE, AlertRow.rule.in_(rules), AlertRow.source == OWN_SOURCE)  # others may name theirs like ours
        .order_by(AlertRow.raised_at, AlertRow.id)
        .limit(MAX_LIVE_OF_RULE)
    )
    return [(row.fingerprint, wire(row)) for row in found.scalars()]


async def overdue(session: AsyncSession, now: datetime, limit: int) -> list[Alert]:
    """Alerts nobody has acknowledged within the response time of their severity, longest overdue first; none muted."""
    found = await session.execute(
        select(AlertRow)
        .where(AlertRow.status == AlertStatus.OPEN.value, AlertRow.due_at < now, UNMUTED)
        .order_by(AlertRow.due_at, AlertRow.id)
        .limit(limit)
    )
    return [wire(row) for row in found.scalars()]


async def raised_around(
    session: AsyncSession, span: Span, *, limit: int, without: str | None = None
) -> tuple[list[Alert], int]:
    """Alerts that were raised in a time, nearest to its instant first, and how many there are up to the cap."""
    wanted = [AlertRow.raised_at >= span.since, AlertRow.raised_at <= span.until]
    if without is not None:
        wanted.append(AlertRow.id != known_ident("alert", without))
    query = select(AlertRow).where(*wanted)
    rows = await nearest_rows(session, query, AlertRow.raised_at, AlertRow.id, span.at, limit)
    return [wire(row) for row in rows], await count_capped(session, AlertRow, wanted)


async def link_incident(
    session: AsyncSession,
    runtime: Runtime,
    caller: Caller,
    alert_id: str,
    incident: str | None,
    *,
    drill: bool = False,
) -> Alert:
    """Make an alert part of an incident, or of none; the incident's own record is kept by who calls.

    That of a drill mutes it.

    Raises:
        WatchfloorError: NOT_FOUND; CONFLICT: it is part of another one.
    """
    row = await row_named(session, AlertRow, "alert", alert_id, lock=True)
    if row.incident == incident:
        return wire(row)
    if incident is not None and row.incident is not None:
        raise WatchfloorError(ErrorCode.CONFLICT, f"The alert is part of {row.incident} already.")
    named = incident or row.incident or ""
    row.incident = incident
    told = Happening(row.id, Kind.LINKED, facts={"incident": named, **({} if incident else {"removed": "yes"})})
    happened(session, runtime, caller, told)
    await audit.record(session, runtime, caller, note(row, "linked", incident=incident))
    if incident is None:
        await practising.loud_again(session, runtime, caller, row, named)
    elif drill:
        await practising.quieten(session, runtime, caller, row, incident)
    await announce(session, runtime, [row])
    return wire(row)
