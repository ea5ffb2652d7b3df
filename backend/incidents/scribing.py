"""How what happened elsewhere reads on a timeline. Pure: lines in words, each with a key so that it is written once.

Texts from outside are passed on as they are: screens make them harmless.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Final

from contract.alert_work import AlertEvent
from contract.alerts import Alert, Link
from contract.freeze import Freeze
from contract.incidents import MilestoneName
from contract.states import FreezeStatus

_MAX_QUOTED_CHARS: Final = 2_000


@dataclass(frozen=True, slots=True)
class Line:
    """A line that Watchfloor writes, and the milestone that it reaches if what it is about is part of the incident."""

    kind: str
    text: str
    occurred_at: datetime
    actor: str
    source_key: str
    link: Link | None = None
    reaches: MilestoneName | None = None


_REACHED: Final[Mapping[str, MilestoneName]] = {
    "raised": MilestoneName.DETECTED,
    "notified": MilestoneName.NOTIFIED,
    "acknowledged": MilestoneName.ACKNOWLEDGED,
}
_WORDS: Final[Mapping[str, str]] = {
    "raised": "{rule} was raised: {message}",
    "raised_again": "{rule} was raised again: {message}",
    "acknowledged": "{actor} acknowledged {rule}{text}",
    "acknowledgement_ended": "{rule} is no longer acknowledged{text}",
    "assigned": "{actor} assigned {rule}{text}",
    "noted": "{actor} on {rule}{text}",
    "escalated": "{rule} was escalated{text}",
    "silenced": "{actor} silenced {rule}{text}",
    "silence_ended": "a silence of {rule} ended{text}",
    "notified": "{rule} was sent out{text}",
    "cleared": "{rule} cleared{text}",
}
"""What is not named here, such as a value that moved, is on the alert's own page only."""
FROM_AUDIT: Final = "audit:"
"""Beginning of the keys of lines that say what an entry of the audit log says."""
TOLD_BY_SCOPE: Final = frozenset({"raised", "raised_again", "acknowledged", "escalated", "cleared"})
"""Of alerts that nobody made part of the incident."""


def alert_link(alert: Alert) -> Link:
    """The pointer to an alert."""
    return Link(kind="alert", id=alert.id, label=alert.rule)


def alert_line(alert: Alert, event: AlertEvent) -> Line | None:
    """A line about an event of an alert; None for what is no news to an incident."""
    words = _WORDS.get(event.kind)
    if words is None:
        return None
    said = f": {event.text[:_MAX_QUOTED_CHARS]}" if event.text else ""
    place = f"{alert.rule} ({alert.scope})"
    filled = {"rule": place, "message": alert.message[:_MAX_QUOTED_CHARS], "actor": event.actor, "text": said}
    return Line(
        kind="acknowledged" if event.kind == "acknowledged" else "alert",
        text=words.format_map(filled),
        occurred_at=alert.raised_at if event.kind == "raised" else event.at,
        actor=event.actor,
        source_key=f"alert-event:{event.id}",
        link=alert_link(alert),
        reaches=_REACHED.get(event.kind),
    )


def freeze_link(freeze: Freeze) -> Link:
    """The pointer to a freeze."""
    return Link(kind="freeze", id=freeze.id, label=freeze.ref)


def freeze_lines(freeze: Freeze, now: datetime) -> list[Line]:
    """Everything that a hold has to say so far, oldest first; it needs the executors' proofs for when they halted."""
    if freeze.status is FreezeStatus.LATCHED:
        return []
    placed = "drill" if freeze.drill else "freeze"
    by_rule = f" by the rule {freeze.automatic_rule}" if freeze.automatic_rule else ""
    text = f"{freeze.ref} froze {freeze.scope} ({freeze.mode}){by_rule}: {freeze.reason[:_MAX_QUOTED_CHARS]}"
    lines = [_of_freeze(freeze, placed, text, freeze.created_at, freeze.created_by, "placed")]
    lines += _halted(freeze, now)
    if freeze.thaw_requested_at is not None:
        why = f": {freeze.thaw_reason[:_MAX_QUOTED_CHARS]}" if freeze.thaw_reason else ""
        key = f"thaw-requested:{freeze.thaw_requested_at.isoformat()}"
        text = f"{freeze.thaw_requested_by} asked to lift {freeze.ref}{why}"
        lines.append(_of_freeze(freeze, "thaw", text, freeze.thaw_requested_at, freeze.thaw_requested_by, key))
    if freeze.thawed_at is not None and freeze.status is FreezeStatus.THAWED:
        text = f"{freeze.ref} was lifted"
        lines.append(_of_freeze(freeze, "thaw", text, freeze.thawed_at, freeze.thawed_by, "thawed"))
    return lines


def _halted(freeze: Freeze, now: datetime) -> list[Line]:
    system, found = "system:freeze-watch", []
    if freeze.covered and freeze.halted == freeze.covered:
        acked = [one.acked_at for one in freeze.proofs if one.acked_at is not None]
        text = f"{freeze.ref}: all {freeze.covered} executors have halted, {freeze.verified} of them confirmed"
        line = _of_freeze(
            freeze, "halt_proven", text, max(acked, default=now), system, "halted", reaches=not freeze.drill
        )
        found.append(line)
    if freeze.covered and freeze.verified == freeze.covered:
        text = f"{freeze.ref}: a second source confirmed that all {freeze.covered} executors have halted"
        found.append(_of_freeze(freeze, "halt_proven", text, now, system, "verified"))
    if freeze.violations:
        text = f"{freeze.ref}: {freeze.violations} executors did more than they acknowledged"
        found.append(_of_freeze(freeze, "halt_proven", text, now, system, "violated"))
    return found


def _of_freeze(  # noqa: PLR0917  a line has as many parts
    freeze: Freeze, kind: str, text: str, at: datetime, actor: str | None, key: str, *, reaches: bool = False
) -> Line:
    return Line(
        kind=kind,
        text=text,
        occurred_at=at,
        actor=actor or "",
        source_key=f"freeze:{freeze.id}:{key}",
        link=freeze_link(freeze),
        reaches=MilestoneName.CONTAINED if reaches else None,
    )


def audit_line(  # what an entry of the ledger tells
    *, ident: str, event_type: str, action: str, actor: str, about: str, outcome: str, occurred_at: datetime
) -> Line:
    """A line about an entry of the audit ledger."""
    ended = "" if outcome == "success" else f" ({outcome})"
    return Line(
        kind="drill" if event_type.startswith("freeze.drill.") else "audit",
        text=f"{action}{f': {about}' if about else ''}{ended}",
        occurred_at=occurred_at,
        actor=actor,
        source_key=f"{FROM_AUDIT}{ident}",
        link=Link(kind="audit", id=ident, label=event_type),
    )
