"""Owns how the ledger's state is drawn: heads of every log, signer and witnesses, the way in, what is kept."""

from datetime import datetime

from console.state.freshness import coarse_age, seconds_between
from console.state.ledger_state import SLOW_OUTBOX_S, LedgerState, silent
from console.widgets.lines import EMPTY, Line, column, line, outside, right, titled_rule, wrap
from console.widgets.view import View
from console.widgets.words import Sign
from contract.heads import LedgerHeads, LedgerKeeper, LogHead, Readiness
from contract.retention import LogRetention, RetentionReport

_NAME_COLUMNS = 16
_NUMBER_COLUMNS = 13


def rows(state: LedgerState, now: datetime, view: View) -> list[Line]:
    """The whole page."""
    return [
        *_heads(state.heads, now, view),
        *_keepers(state.heads, now, view),
        *_write_path(state.ready, view),
        *_retention(state.retention, now, view),
    ]


def _waiting(title: str, view: View) -> list[Line]:
    rule = titled_rule(line((title, "head")), view.width, view.glyphs)
    return [rule, line((f"{view.glyphs.unknown} not known yet", "dim")), EMPTY]


def _heads(heads: LedgerHeads | None, now: datetime, view: View) -> list[Line]:
    if heads is None:
        return _waiting("HEADS", view)
    g = view.glyphs
    title = titled_rule(line(("HEADS ", "head"), f"{len(heads.logs)} logs"), view.width, g)
    names = [right(name, _NUMBER_COLUMNS, g) for name in ("entries", "signed", "witnessed")]
    found = [title, line((column("log", _NAME_COLUMNS, g) + "".join(names) + "  last signed", "dim"))]
    return [*found, *(_head(one, now, view) for one in heads.logs), EMPTY]


def _head(one: LogHead, now: datetime, view: View) -> Line:
    g = view.glyphs
    numbers = "".join(right(f"{number:,}", _NUMBER_COLUMNS, g) for number in (one.size, one.signed, one.witnessed))
    age = seconds_between(one.signed_at, now)
    signed = f"{coarse_age(age)} ago" if age is not None else "never"
    return line(
        (column(outside(one.log, 40), _NAME_COLUMNS, g), "bold"),
        numbers,
        f"  {signed:<9}",
        *_head_sign(one, view).spans(),
    )


def _head_sign(one: LogHead, view: View) -> Sign:
    g = view.glyphs
    if one.signed < one.size:
        return Sign(g.partial, "signing", "")
    if one.witnessed < one.signed:
        return Sign(g.partial, "witnessing", "")
    return Sign(g.ok, "held", "ok") if one.size else Sign(g.idle, "empty", "dim")


def _keepers(heads: LedgerHeads | None, now: datetime, view: View) -> list[Line]:
    if heads is None:
        return []
    g = view.glyphs
    working = len(heads.witnesses) - silent(heads)
    said = f"{working} of {len(heads.witnesses)} work, {heads.witnesses_required} needed"
    found = [titled_rule(line(("SIGNER AND WITNESSES ", "head"), said), view.width, g)]
    found += _keeper("signer", heads.signer, now, view)
    for one in heads.witnesses:
        found += _keeper("witness", one, now, view)
    return [*found, EMPTY]


def _keeper(kind: str, one: LedgerKeeper, now: datetime, view: View) -> list[Line]:
    g = view.glyphs
    sign = Sign(g.ok, "works", "ok") if one.problem is None else Sign(g.bad, "SILENT", "bad")
    age = seconds_between(one.since, now)
    since = f" for {coarse_age(age)}" if age is not None else ""
    name = outside(one.name, 200).removeprefix(f"{kind} ")
    head = line((column(kind, _NAME_COLUMNS, g), "dim"), *sign.spans(), (f"{since}  ", "dim"), (name, ""))
    problem = wrap(outside(one.problem, 300), max(view.width - _NAME_COLUMNS, 10)) if one.problem else []
    return [head, *(line(" " * _NAME_COLUMNS, (row, "near")) for row in problem[:2])]


def _write_path(ready: Readiness | None, view: View) -> list[Line]:
    if ready is None:
        return _waiting("WAY INTO THE LEDGER", view)
    g, path = view.glyphs, ready.audit
    slow = path.outbox_age_seconds > SLOW_OUTBOX_S
    outbox = Sign(g.bad, "STANDS STILL", "bad") if slow else Sign(g.ok, "flows", "ok")
    waits = (
        f"{path.outbox_rows:,} wait, the oldest {path.outbox_age_seconds:,.1f} s" if path.outbox_rows else "none waits"
    )
    quarantine = Sign(g.bad, "LOOK", "bad") if path.quarantined else Sign(g.ok, "empty", "ok")
    found = [
        titled_rule(line(("WAY INTO THE LEDGER", "head")), view.width, g),
        _state("outbox", outbox, waits, view),
        _state("quarantine", quarantine, f"{path.quarantined:,} rows set aside" if path.quarantined else "", view),
    ]
    if path.spool_lines or path.spool_problem:
        spool = Sign(g.bad, "LOOK", "bad") if path.spool_problem else Sign(g.partial, "holds", "near")
        text = path.spool_problem or f"{path.spool_lines:,} entries wait for the database"
        found.append(_state("spool", spool, text, view))
    return [*found, EMPTY]


def _state(name: str, sign: Sign, text: str, view: View) -> Line:
    return line((column(name, _NAME_COLUMNS, view.glyphs), "dim"), *sign.spans(), f"  {outside(text, 200)}")


def _retention(report: RetentionReport | None, now: datetime, view: View) -> list[Line]:
    if report is None:
        return _waiting("KEPT", view)
    g = view.glyphs
    copies = f"{report.sound_copies:,} sound copies of full partitions, {report.copies_needed:,} needed of each"
    found = [titled_rule(line(("KEPT ", "head"), copies), view.width, g)]
    for one in report.logs:
        found += _kept(one, now, view)
    for copy in report.failing_copies:
        text = f"{copy.log} from #{copy.seq_from:,} in {copy.place}: {copy.state.value}. {copy.problem or ''}"
        parts = wrap(outside(text, 300), max(view.width - 2, 10))
        found += [line((f"{g.bad if not index else ' '} ", "bad"), part) for index, part in enumerate(parts[:2])]
    return found


def _kept(one: LogRetention, now: datetime, view: View) -> list[Line]:
    g = view.glyphs
    keep = f"{one.keep_days:,} days" if one.keep_days is not None else "for ever"
    oldest = seconds_between(one.oldest, now)
    text = f"oldest {coarse_age(oldest)}" if oldest is not None else "no entry"
    text += f", {one.dropped:,} dropped" if one.dropped else ""
    name = (column(outside(one.log, 40), _NAME_COLUMNS, g), "bold")
    found = [line(name, f"{keep:<12}", (text, "dim"))]
    if one.due_partitions:
        held = one.next.held_back_by if one.next is not None else []
        why = f", held back: {outside('; '.join(held), 300)}" if held else ""
        parts = wrap(f"{one.due_partitions:,} due to be dropped{why}", max(view.width - _NAME_COLUMNS - 2, 10))
        marks = [f"{g.near} ", *["  "] * len(parts)]
        indent = " " * _NAME_COLUMNS
        found += [line(indent, (mark, "near"), part) for mark, part in zip(marks, parts[:3], strict=False)]
    return found
