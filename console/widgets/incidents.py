"""Owns how incidents are drawn: the list, the record with its steps, the timeline."""

from datetime import datetime
from typing import Final

from console.state.floor import Floor
from console.state.freshness import coarse_age, due_text, exact_age, seconds_between
from console.state.incident_record import Record, current_step, left_behind
from console.widgets import words
from console.widgets.glyphs import Glyphs
from console.widgets.lines import EMPTY, Line, column, crop, cut, left, line, outside, right, titled_rule, wrap
from console.widgets.overview import scope_text
from console.widgets.view import View
from console.widgets.words import Sign
from contract.alerts import Link
from contract.incident_records import REPORTS
from contract.incidents import (
    Clock,
    Incident,
    IncidentStatus,
    MilestoneName,
    PostmortemState,
    Step,
    StepAction,
    TimelineEntry,
)

Row = tuple[Line, Link | None]

_ID, _SIGN, _STATUS, _AGE = 14, 7, 11, 7
"""Widths of the list's columns, in cells."""
_COMMANDER: Final = 14
_COMMANDER_FROM: Final = 90
"""From here on the list names the commander."""
_TIME: Final = 10
_ACTOR: Final = 12
_TEXT_ROWS: Final = 3
"""Rows of one line of the timeline; Enter shows all of it."""
_LEFT_ROWS: Final = 2
"""Actions of earlier steps that are shown: the timeline has to be seen below them."""
_LATE_S: Final = 60.0
"""Recorded later than this after it happened, a line says so."""
_COUNTED: Final = (
    (MilestoneName.ACKNOWLEDGED, "acknowledged"),
    (MilestoneName.CONTAINED, "contained"),
    (MilestoneName.MITIGATED, "mitigated"),
    (MilestoneName.RESOLVED, "resolved"),
)


def status(value: IncidentStatus, g: Glyphs) -> Sign:
    """Where an incident stands."""
    match value:
        case IncidentStatus.OPEN:
            return Sign(g.near, "open", "near")
        case IncidentStatus.RESOLVED:
            return Sign(g.partial, "resolved", "")
        case IncidentStatus.CLOSED:
            return Sign(g.done, "closed", "dim")


def postmortem(value: PostmortemState | None, g: Glyphs, *, required: bool) -> Sign:
    """Where its post-mortem stands."""
    match value:
        case PostmortemState.DRAFT:
            return Sign(g.partial, "draft", "")
        case PostmortemState.REVIEW:
            return Sign(g.near, "in review", "near")
        case PostmortemState.APPROVED:
            return Sign(g.ok, "approved", "ok")
        case _:
            return Sign(g.near, "missing", "near") if required else Sign(g.idle, "none", "dim")


def list_head(view: View) -> Line:
    """The headings of the list."""
    who = left("commander", _COMMANDER, view.glyphs) if view.width >= _COMMANDER_FROM else ""
    room = max(view.width - _ID - _SIGN - _STATUS - _AGE - len(who), 0)
    texts = left("id", _ID, view.glyphs) + left("", _SIGN, view.glyphs) + left("status", _STATUS, view.glyphs)
    return line((texts + left("title", room, view.glyphs) + who + right("age", _AGE, view.glyphs), "head"))


def list_row(one: Incident, now: datetime, view: View) -> Line:
    """One incident of the list."""
    g = view.glyphs
    sign, state = words.severity(one.severity, g), status(one.status, g)
    who = column(outside(one.commander or "nobody", 40), _COMMANDER, g) if view.width >= _COMMANDER_FROM else ""
    drill = (*words.drill(g).spans(), (" ", "")) if one.drill else ()
    taken = len(who) + sum(len(text) for text, _ in drill)
    room = max(view.width - _ID - _SIGN - _STATUS - _AGE - taken, 0)
    age = coarse_age(seconds_between(one.declared_at, now) or 0.0)
    return line(
        (left(one.id, _ID, g), "bold"),
        (left(f"{sign.glyph} {sign.word}", _SIGN, g), sign.style),
        (left(f"{state.glyph} {state.word}", _STATUS, g), state.style),
        *drill,
        column(outside(one.title, 200), room, g),
        (who, "dim"),
        (right(age, _AGE, g), "dim"),
    )


def milestones_sentence(one: Incident, now: datetime, g: Glyphs) -> tuple[str, str]:
    """Mood and sentence: when it was seen, and how long each step took since."""
    start = one.at(MilestoneName.DETECTED) or one.declared_at
    parts = [f"{'Detected' if one.at(MilestoneName.DETECTED) else 'Declared'} {start:%H:%M}"]
    for name, word in _COUNTED:
        if (at := one.at(name)) is not None:
            after_s = (at - start).total_seconds()
            parts.append(f"{word} {'-' if after_s < 0 else '+'}{exact_age(abs(after_s))}")
    late = [clock for clock in one.clocks if clock.done_at is None and clock.due_at < now]
    if one.status is IncidentStatus.OPEN:
        parts.append(f"open for {coarse_age(seconds_between(start, now) or 0.0)}")
    text = f" {g.middot} ".join(parts)
    if late:
        return "bad", f"{text} {g.middot} {clock_name(late[0])} is overdue"
    return ("near" if one.status is IncidentStatus.OPEN else "ok"), text


def record_rows(known: Record, floor: Floor, view: View) -> list[Row]:
    """The whole record: what it is, who handles it, the procedure, the timeline."""
    one, now = known.incident, floor.now(view.desk_now)
    rows: list[Row] = [(_head(one, view), None), *((row, None) for row in _people(one, view))]
    rows += [(row, None) for clock in one.clocks for row in clock_rows(clock, now, view)]
    rows += [(row, None) for row in _impact(one, view)]
    rows += [(_after(one, view), None), (EMPTY, None), *_steps(one, view), *timeline_rows(known, view)]
    return rows


def _head(one: Incident, view: View) -> Line:
    sign, state = words.severity(one.severity, view.glyphs), status(one.status, view.glyphs)
    tag = (*words.drill(view.glyphs).spans(), ("  ", "")) if one.drill else ()
    head = line(
        *tag, *sign.spans(), "  ", *state.spans(), ("  ", ""), (outside(one.title, 200), "bold"),
    )  # fmt: skip
    return crop(head, view.width, view.glyphs)


def _people(one: Incident, view: View) -> list[Line]:
    g = view.glyphs
    held = [(outside(role.role, 40), outside(role.person, 60)) for role in one.roles]
    if one.commander and not any(role == "commander" for role, _ in held):
        held.insert(0, ("commander", outside(one.commander, 60)))
    said = [f"{role} {person}" for role, person in held] or ["nobody commands it: r takes the role"]
    where = [scope_text(scope, 40, view) for scope in one.scopes]
    kind = [f"type {outside(one.type, 40)}"]
    return [line((row, "dim")) for row in wrap(f" {g.middot} ".join([*said, *kind, *where]), view.width)[:2]]


def clock_rows(clock: Clock, now: datetime, view: View) -> list[Line]:
    """Until when something has to be done; of a report also that it was sent."""
    if clock.done_at is None:
        return [_clock_row(clock, now, view)]
    return [_sent_row(clock, view)] if clock.name in REPORTS else []


def _clock_row(clock: Clock, now: datetime, view: View) -> Line:
    text, over = due_text(clock.due_at, now)
    mark, style = (view.glyphs.bad, "bad") if over else (view.glyphs.partial, "")
    return line((f"{mark} ", style), f"{clock_name(clock)} due {clock.due_at:%Y-%m-%d %H:%M} UTC", (f"  {text}", style))


def clock_name(clock: Clock) -> str:
    """What has to be done by then."""
    return f"{clock.name} report" if clock.name in REPORTS else outside(clock.name, 40)


def _sent_row(clock: Clock, view: View) -> Line:
    to = f" to {outside(clock.to, 100)}" if clock.to else ""
    reference = f", {outside(clock.reference, 100)}" if clock.reference else ""
    text = f"{clock_name(clock)} sent {clock.done_at:%Y-%m-%d %H:%M} UTC{to}{reference}"
    return line((f"{view.glyphs.done} ", "ok"), (cut(text, view.width - 2, view.glyphs), "dim"))


def _impact(one: Incident, view: View) -> list[Line]:
    said = one.impact
    parts = [
        *([f"{', '.join(outside(name, 40) for name in said.services)}"] if said.services else []),
        *([f"loss {said.loss_eth:,f} ETH"] if said.loss_eth is not None else []),
        *([f"loss {said.loss_usd:,f} USD"] if said.loss_usd is not None else []),
        *([f"{said.users:,} users"] if said.users is not None else []),
    ]
    return (
        [line(("affected ", "dim"), cut(f" {view.glyphs.middot} ".join(parts), view.width - 9, view.glyphs))]
        if parts
        else []
    )


def _after(one: Incident, view: View) -> Line:
    g = view.glyphs
    sign = postmortem(one.postmortem, g, required=one.postmortem_required)
    count = one.follow_ups_open
    due = f"{count:,} follow-up{'' if count == 1 else 's'} open" if count else "no follow-up open"
    linked = f"{len(one.links):,} linked"
    return line(("post-mortem ", "dim"), *sign.spans(), (f" {g.middot} {due} {g.middot} {linked}", "dim"))


def _steps(one: Incident, view: View) -> list[Row]:
    """The procedure as one line, and the actions of the step that is being worked on."""
    if not one.steps:
        return []
    g = view.glyphs
    names = [span for index, step in enumerate(one.steps) for span in _step_name(one, step, g, gap=bool(index))]
    rows: list[Row] = (
        [(line(*names), None)]
        if sum(len(text) for text, _ in names) <= view.width
        else [
            (
                line(
                    (f"{g.arrow} {outside(one.step, 60)}", "bold"), (f"  step {_place(one)} of {len(one.steps)}", "dim")
                ),
                None,
            )
        ]
    )
    step = current_step(one)
    actions = step.actions if step else []
    rows += [
        (_action(action, view), Link(kind="action", id=f"{one.step}/{action.number}", label="")) for action in actions
    ]
    return rows + _left_behind(one, view)


def _left_behind(one: Incident, view: View) -> list[Row]:
    """What is not done in earlier steps: it does not go out of sight because somebody went on."""
    g, left = view.glyphs, left_behind(one)
    rows: list[Row] = []
    for step, action in left[:_LEFT_ROWS]:
        text = cut(f"{outside(step.name, 40)}: {outside(action.text, 200)}", view.width - 14, g)
        link = Link(kind="action", id=f"{step.name}/{action.number}", label="")
        rows.append((line((f"  {g.near} not done ", "near"), text), link))
    more = len(left) - _LEFT_ROWS
    if more > 0:
        rows.append((line((f"    and {more:,} more of earlier steps: V lists them", "near")), None))
    return rows


def _place(one: Incident) -> int:
    return next((index for index, step in enumerate(one.steps, 1) if step.name == one.step), 0)


def _step_name(one: Incident, step: Step, g: Glyphs, *, gap: bool) -> Line:
    name, before = outside(step.name, 40), "  " if gap else ""
    if step.name == one.step:
        return ((f"{before}{g.arrow} {name}", "bold"),)
    if step.done_at is not None:
        return ((f"{before}{g.done} ", "ok"), (name, ""))
    return ((f"{before}{g.idle} {name}", "dim"),)


def _action(action: StepAction, view: View) -> Line:
    g = view.glyphs
    text = outside(action.text, 200)
    if action.done_at is None:
        return line((f"  {g.empty} ", "dim"), cut(text, view.width - 4, g))
    by = f"  {outside(action.done_by or '', 40)} {action.done_at:%H:%M}"
    return line((f"  {g.done} ", "ok"), cut(text, max(view.width - 4 - len(by), 8), g), (by, "dim"))


def timeline_rows(known: Record, view: View) -> list[Row]:
    """The timeline, newest first, a rule at each change of the day."""
    lines, corrections = known.lines, known.corrections
    title = line(("TIMELINE ", "head"), ("newest first", "dim"))
    day = f"{lines[0].occurred_at:%Y-%m-%d} UTC" if lines else "UTC"
    rows: list[Row] = [(titled_rule(title, view.width, view.glyphs, ((day, "head"),)), None)]
    if not lines:
        return [*rows, (line(("Nothing has been written yet: n writes a line.", "dim")), None)]
    before = lines[0].occurred_at.date()
    for entry in lines:
        if entry.occurred_at.date() != before:
            before = entry.occurred_at.date()
            rows.append((titled_rule((), view.width, view.glyphs, ((f"{before} UTC", "head"),)), None))
        rows += entry_rows(entry, view, corrected=entry.id in corrections)
    if known.older is not None:
        rows.append((line((f"Older lines follow{view.glyphs.ellipsis}", "dim")), None))
    return rows


def entry_rows(entry: TimelineEntry, view: View, *, corrected: bool) -> list[Row]:
    """One line of the timeline in at most three rows, the selected one of which shows all of it on Enter."""
    g = view.glyphs
    link = Link(kind="entry", id=entry.id, label="")
    actor = "auto" if entry.auto else outside(entry.actor, 40)
    style = "dim" if corrected or entry.auto else ""
    room = max(view.width - _TIME - _ACTOR, 10)
    texts = wrap(_said(entry, corrected=corrected), room)
    if len(texts) > _TEXT_ROWS:
        texts = [*texts[: _TEXT_ROWS - 1], cut(texts[_TEXT_ROWS - 1] + g.ellipsis, room, g)]
    head = line(
        (left(f"{entry.occurred_at:%H:%M:%S}", _TIME, g), "dim" if corrected else ""),
        (column(actor, _ACTOR, g), "dim" if entry.auto else "bold"),
        (texts[0], style),
    )
    return [(head, link), *((line(" " * (_TIME + _ACTOR), (text, style)), link) for text in texts[1:])]


def _said(entry: TimelineEntry, *, corrected: bool) -> str:
    text = outside(entry.text, 1_000)
    if corrected:
        text = f"(corrected) {text}"
    if not entry.auto and (entry.recorded_at - entry.occurred_at).total_seconds() > _LATE_S:
        text += f" (recorded {entry.recorded_at:%H:%M})"
    return text


def entry_page(entry: TimelineEntry, view: View) -> list[Row]:
    """All of one line of the timeline."""
    facts = [
        ("happened", f"{entry.occurred_at:%Y-%m-%d %H:%M:%S} UTC"),
        ("recorded", f"{entry.recorded_at:%Y-%m-%d %H:%M:%S} UTC"),
        ("by", f"{outside(entry.actor, 60)}{', by itself' if entry.auto else ''}"),
        ("kind", outside(entry.kind, 40).replace("_", " ")),
        ("number", f"{entry.number:,}"),
    ]
    rows: list[Row] = [(line((left(name, 12, view.glyphs), "dim"), value), None) for name, value in facts]
    if entry.link is not None:
        text = f"{outside(entry.link.kind, 20)} {outside(entry.link.label or entry.link.id, 80)}"
        rows.append((line((left("link", 12, view.glyphs), "dim"), (text, "link")), entry.link))
    rows.append((EMPTY, None))
    paragraphs = [row for part in entry.text.split("\n") for row in wrap(outside(part, 10_000), view.width)]
    return rows + [(line(row), None) for row in paragraphs]
