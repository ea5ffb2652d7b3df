"""Owns how the backup matrix is drawn: state, age, last restore; what was found of each."""

from datetime import datetime

from console.state.freshness import coarse_age, seconds_between
from console.state.recovery import span
from console.widgets import recovery_words as words
from console.widgets.lines import Line, cut, left, line, outside, right, wrap
from console.widgets.view import View
from contract.recovery import BackupCheck, BackupMatrix, BackupState

_STATE, _DATA, _AGE, _RESTORED, _KEPT = 14, 26, 9, 14, 10
"""Widths of the columns, in cells."""
_INDENT = 4


def said(matrix: BackupMatrix) -> tuple[str, str]:
    """Line 2: the worst of all rows."""
    if not matrix.rows:
        return "unknown", "The policy names no backups."
    bad = [one for one in matrix.rows if one.state in {BackupState.FAILED, BackupState.MISSING}]
    if bad:
        return "bad", f"{_many(len(bad), matrix)} missing or failed, {outside(bad[0].data, 40)} first."
    stale = [one for one in matrix.rows if one.state is BackupState.STALE]
    if stale:
        return "near", f"{_many(len(stale), matrix)} older than allowed."
    unchecked = [one for one in matrix.rows if one.state is BackupState.NOT_CHECKED]
    if unchecked:
        return (
            "near",
            f"{_many(len(unchecked), matrix)} looked at by nobody here: neither good nor bad.",
        )
    return "ok", f"All {len(matrix.rows)} are there and fresh."


def _many(count: int, matrix: BackupMatrix) -> str:
    return f"{count} of {len(matrix.rows)} backups {'is' if count == 1 else 'are'}"


def head(view: View) -> Line:
    """The names of the columns."""
    g = view.glyphs
    text = left("", _STATE, g) + left("data", _DATA, g) + right("newest", _AGE, g)
    text += right("restored", _RESTORED, g) + right("checked", _KEPT, g)
    return line((left(text, view.width, g), "head"))


def row_lines(one: BackupCheck, now: datetime, view: View) -> list[Line]:
    """A row of the matrix, and what was found."""
    g = view.glyphs
    sign = words.backup(one.state, g)
    restored, style = _restored(one, now)
    first = line(
        (left(f"{sign.glyph} {sign.word}", _STATE, g), sign.style),
        (left(outside(one.data, 60), _DATA - 1, g) + " ", "bold"),
        right(_age(one.newest_at, now), _AGE, g),
        (right(restored, _RESTORED, g), style),
        (right(_age(one.checked_at, now), _KEPT, g), "dim"),
    )
    found = cut(outside(one.found, 200), view.width - _INDENT, g)
    return [first, *([line(" " * _INDENT, (found, "dim"))] if one.found else [])]


def _age(at: datetime | None, now: datetime) -> str:
    age_s = seconds_between(at, now)
    return "--" if age_s is None else coarse_age(age_s)


def _restored(one: BackupCheck, now: datetime) -> tuple[str, str]:
    if one.restored_at is None:
        return "never", "near"
    return (
        (f"{_age(one.restored_at, now)} ok", "ok") if one.restore_ok else (f"{_age(one.restored_at, now)} BAD", "bad")
    )


def detail_lines(one: BackupCheck, view: View) -> list[Line]:
    """Everything that is known of one row."""
    g = view.glyphs
    sign = words.backup(one.state, g)
    keep = f"{one.retention_days} days" if isinstance(one.retention_days, int) else outside(one.retention_days, 40)
    facts = [
        ("state", f"{sign.glyph} {sign.word}"),
        ("found", one.found),
        ("every", one.frequency),
        ("kept", keep),
        ("stored", one.storage),
        ("restored by", one.recovery_method),
        ("looked in", one.source or "nowhere"),
        ("size", f"{one.size_bytes:,} bytes" if one.size_bytes is not None else "--"),
        ("newest", _instant(one.newest_at)),
        ("checked", _instant(one.checked_at)),
        ("restored", f"{_instant(one.restored_at)}, took {span(one.restore_ms)}" if one.restored_at else "never"),
        ("compared", one.restore_found or "--"),
        *((name, str(value)) for name, value in sorted(one.facts.items())),
    ]
    rows = []
    for name, value in facts:
        for at, part in enumerate(wrap(outside(value, 500), max(view.width - 14, 20))):
            rows.append(line((left(outside(name, 30) if at == 0 else "", 14, g), "dim"), part))
    return rows


def _instant(at: datetime | None) -> str:
    return "--" if at is None else f"{at:%Y-%m-%d %H:%M:%S} UTC"
