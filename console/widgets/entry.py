"""Owns how the page of one audit entry is drawn: what, who, where in the ledger, and what can be followed."""

import json
from collections.abc import Mapping
from datetime import datetime

from console.state.audit_search import changes
from console.state.freshness import coarse_age, seconds_between
from console.state.sealed import SEALED, place_of, related
from console.widgets import words
from console.widgets.lines import EMPTY, Line, column, label_text, line, outside, titled_rule, wrap
from console.widgets.view import View
from contract.audit import MASK, AuditEntry, RelatedBy
from contract.verification import EntryProof

_LABEL_COLUMNS = 14
_VALUE_ROWS_MAX = 12
"""Enough for any value that a person reads; the whole entry is in the copy."""
_FOLLOWED = {
    RelatedBy.ACTOR: "everything by",
    RelatedBy.REQUEST: "everything in request",
    RelatedBy.RESOURCE: "everything about",
    RelatedBy.INCIDENT: "everything in incident",
}

Opened = Mapping[str, str | None]
"""Revealed values by field; None for one that was erased."""


def sentence_parts(entry: AuditEntry, now: datetime) -> tuple[str, str]:
    """Mood and the sentence that says what happened."""
    mood = {"success": "ok", "denied": "near", "failure": "bad"}[entry.result.value]
    ended = {"success": "", "denied": ", which was denied", "failure": ", which failed"}[entry.result.value]
    age = coarse_age(seconds_between(entry.timestamp, now) or 0.0)
    return mood, f"{entry.user_id or 'system'}: {entry.action}{ended}, {age} ago."


def what_rows(entry: AuditEntry, view: View) -> list[Line]:
    """What happened, to what, when; what changed comes first."""
    g = view.glyphs
    sign = words.result(entry.result, g)
    head = line(
        ("WHAT ", "head"), (outside(entry.event_type, 60), "bold"), "  ", (f"{sign.glyph} {sign.word}", sign.style)
    )
    rows = [titled_rule(head, view.width, g)]
    for name, old, new in changes(entry):
        rows += _fact(name, f"{old} {g.arrow} {new}" if old else new, view)
    if entry.error_message:
        rows += _fact("error", entry.error_message, view, "near")
    what = "/".join(part for part in (entry.resource_type, entry.resource_id) if part)
    if what:
        rows += _fact("resource", what, view)
    rows += _fact("at", f"{entry.timestamp:%Y-%m-%d %H:%M:%S.%f} UTC", view)
    for name, value in entry.metadata.items():
        if name not in {SEALED, "role", "request_id"} and value is not None:
            rows += _fact(name, value if isinstance(value, str) else json.dumps(value), view)
    return rows


def who_rows(entry: AuditEntry, opened: Opened, view: View) -> list[Line]:
    """Who did it and from where; what is sealed says so."""
    g = view.glyphs
    role = entry.metadata.get("role")
    rows = [titled_rule(line(("WHO", "head")), view.width, g)]
    rows += _fact("actor", f"{entry.user_id or 'system'}{f' ({role})' if role else ''}", view, "bold")
    for field, label in (("ip_address", "from"), ("user_agent", "with")):
        value = getattr(entry, field)
        if value is not None:
            rows += _sealed(label, field, opened, view) if value == MASK else _fact(label, value, view)
    further = entry.metadata.get(SEALED)
    for field in further if isinstance(further, dict) else {}:
        rows += _sealed(str(field), str(field), opened, view)
    return rows


def _sealed(label: str, field: str, opened: Opened, view: View) -> list[Line]:
    g = view.glyphs
    if field not in opened:
        return [line((column(label_text(label), _LABEL_COLUMNS, g), "dim"), g.hidden * 3, ("  sealed", "dim"))]
    value = opened[field]
    return _fact(label, "erased: nobody can read it any more" if value is None else value, view, "near")


def ledger_rows(entry: AuditEntry, proof: EntryProof | None, view: View, *, asking: bool) -> list[Line]:
    """Where it stands in the ledger, its leaf, and the head that covers it as far as that was asked."""
    g = view.glyphs
    rows = [titled_rule(line(("LEDGER ", "head"), place_of(entry)), view.width, g)]
    rows += _fact("leaf", entry.hash, view)
    room = max(view.width - _LABEL_COLUMNS, 10)
    texts = _head_line(entry, proof, view, asking=asking)
    parts = wrap(texts[1], room - 2)
    for index, part in enumerate(parts):
        label = "head" if not index else ""
        mark = f"{texts[0]} " if not index else "  "
        rows.append(
            line((column(label, _LABEL_COLUMNS, g), "dim"), (mark, texts[2]), (part, texts[2] if not proof else ""))
        )
    rows += _fact("category", entry.category, view)
    rows += _fact("id", entry.id, view)
    return rows


def _head_line(entry: AuditEntry, proof: EntryProof | None, view: View, *, asking: bool) -> tuple[str, str, str]:
    g = view.glyphs
    if asking:
        return g.unknown, f"Asking for the proof{g.ellipsis}", "dim"
    if entry.seq is None:
        return g.partial, "The entry waits for its place: search again in a moment.", "near"
    if proof is None:
        return g.unknown, "Not asked: p takes the proof, which is recorded.", "dim"
    if proof.checkpoint is None:
        return (
            g.near,
            f"No signed head covers it yet. The log has {proof.size:,} entries, root {proof.root[:16]}.",
            "near",
        )
    text = f"In the signed head of {proof.size:,} entries, root {proof.root[:16]}; {len(proof.path)} hashes lead there."
    return g.ok, text, "ok"


def follow_rows(entry: AuditEntry, view: View) -> list[tuple[Line, RelatedBy]]:
    """What can be followed, each with what the others share."""
    arrow = view.glyphs.arrow
    return [
        (line((f"{arrow} ", "key"), (outside(f"{_FOLLOWED[by]} {value}", 200), "link")), by)
        for by, value in related(entry)
    ]


def _fact(name: str, value: str, view: View, style: str = "") -> list[Line]:
    g = view.glyphs
    parts = wrap(outside(value, 4000), max(view.width - _LABEL_COLUMNS, 10))
    if len(parts) > _VALUE_ROWS_MAX:
        parts = [*parts[:_VALUE_ROWS_MAX], g.ellipsis]
    labels = [label_text(name), *[""] * len(parts)]
    return [
        line((column(label, _LABEL_COLUMNS, g), "dim"), (part, style))
        for label, part in zip(labels, parts, strict=False)
    ] or [EMPTY]
