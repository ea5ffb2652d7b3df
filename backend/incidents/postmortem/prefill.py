"""The sections of a post-mortem as the record alone can write them. Pure; what nobody has recorded is said to be so.

Causes and lessons are for people: their sections begin empty, and a post-mortem is not submitted while they are.
"""

from collections.abc import Callable, Iterator, Mapping
from datetime import UTC, datetime
from typing import Final

from backend.documents.text import NOT_RECORDED, literal, moment
from backend.incidents.postmortem.facts import Facts
from backend.incidents.postmortem.templates import Template
from backend.incidents.postmortem.wording import duration, money, slug
from contract.incidents import FollowUp, MilestoneName, TimelineEntry
from contract.postmortem import MAX_SECTION_CHARS

NEEDS_WORDS: Final = frozenset({"root_cause", "root_causes", "trigger", "lessons_learned"})
"""Sections that no record can write."""
_MAX_TIMELINE_CHARS: Final = MAX_SECTION_CHARS * 4 // 5
"""Leaves room for what people add."""
_MAX_LINE_CHARS: Final = 500
"""Of one line's text in the table; the record has all of it."""
_ITS_OWN: Final = "postmortem"
"""Lines about the writing of the report, which are no part of what happened."""
_EVENTS: Final[Mapping[str, MilestoneName]] = {
    "initial_detection": MilestoneName.DETECTED,
    "incident_confirmed": MilestoneName.ACKNOWLEDGED,
    "containment_measures_applied": MilestoneName.CONTAINED,
    "root_cause_identified": MilestoneName.IDENTIFIED,
    "fix_deployed": MilestoneName.MITIGATED,
    "normal_operations_restored": MilestoneName.RESOLVED,
}
"""The events of the document's template, and what they are in the record."""


def prefilled(template: Template, facts: Facts) -> dict[str, str]:
    """The text of every section of a template."""
    return {section.key: _MADE.get(section.key, _nothing)(template, facts) for section in template.sections}


def head(template: Template, facts: Facts, authors: tuple[str, ...]) -> list[tuple[str, str]]:
    """The fields at the head of a post-mortem."""
    incident = facts.incident
    known = {
        "incident_id": incident.id,
        "title": literal(incident.title),
        "date": f"{facts.began_at.astimezone(UTC):%Y-%m-%d}",
        "severity": incident.severity.value,
        "status": incident.status.value,
        "authors": ", ".join(literal(name) for name in authors) or NOT_RECORDED,
    }
    drill = [("Drill", "yes")] if incident.drill else []
    return [(title, known.get(slug(title), NOT_RECORDED)) for title in template.fields] + drill


def _nothing(_template: Template, _facts: Facts) -> str:
    return ""


def _summary(_template: Template, facts: Facts) -> str:
    incident = facts.incident
    kind = "drill" if incident.drill else "incident"
    article = "an" if kind == "incident" and incident.severity.value[0] in "aeiou" else "a"
    commander = f", commanded by {literal(incident.commander)}" if incident.commander else ""
    what = f"{article} {incident.severity.value} {kind} ({literal(incident.type)})"
    by = f"declared by {literal(incident.declared_by)} at {moment(incident.declared_at)}{commander}"
    lines = [f"{literal(incident.title)}: {what}, {by}."]
    if facts.over_at:
        lines.append(f"It was resolved at {moment(facts.over_at)}, after {duration(facts.over_at - facts.began_at)}.")
    else:
        lines.append("It is not resolved.")
    return "\n".join([*lines, *_described(facts)])


def _described(facts: Facts) -> list[str]:
    description = facts.incident.impact.description
    return ["", *(literal(line) for line in description.splitlines())] if description.strip() else []


def _impact(template: Template, facts: Facts) -> str:
    incident = facts.incident
    services = ", ".join(literal(name) for name in incident.impact.services)
    known = {
        "duration": _lasted(facts),
        "affected_services": services or NOT_RECORDED,
        "financial_impact": money(incident.impact),
        "users_affected": NOT_RECORDED if incident.impact.users is None else f"{incident.impact.users:,}",
    }
    lines = [f"- **{title}:** {known.get(slug(title), NOT_RECORDED)}" for title in template.impact_fields]
    if incident.scopes:
        lines.append(f"- **Scopes:** {', '.join(literal(str(scope)) for scope in incident.scopes)}")
    return "\n".join(lines)


def _lasted(facts: Facts) -> str:
    if facts.over_at is None:
        return f"not over; began {moment(facts.began_at)}"
    return f"{duration(facts.over_at - facts.began_at)} ({moment(facts.began_at)} to {moment(facts.over_at)})"


def _timeline(template: Template, facts: Facts) -> str:
    lines = ["All times are UTC.", ""]
    if template.timeline_events:
        lines += _table("Event", "Time")
        for title in template.timeline_events:
            name = _EVENTS.get(slug(title))
            lines.append(f"| {literal(title)} | {moment(facts.incident.at(name) if name else None)} |")
        lines.append("")
    return "\n".join([*lines, *_record(facts)])


def _record(facts: Facts) -> list[str]:
    told = [entry for entry in facts.timeline if entry.kind != _ITS_OWN]
    if not told:
        return ["The record has no lines."]
    lines, chars, shown = _table("Time", "What", "Who"), 0, 0
    for entry in told:
        line = _line(entry)
        chars += len(line) + 1
        if chars > _MAX_TIMELINE_CHARS:
            break
        lines.append(line)
        shown += 1
    left = facts.entries - shown - (len(facts.timeline) - len(told))
    return [*lines, "", f"{left} more lines are in the record of {facts.incident.id}."] if left > 0 else lines


def _line(entry: TimelineEntry) -> str:
    text = entry.text if len(entry.text) <= _MAX_LINE_CHARS else f"{entry.text[: _MAX_LINE_CHARS - 1]}…"
    said = literal(text) if entry.corrected_by is None else f"~~{literal(text)}~~ (corrected by a later line)"
    return f"| {_time(entry.occurred_at)} | {said} | {'Watchfloor' if entry.auto else literal(entry.actor)} |"


def _time(at: datetime) -> str:
    return f"{at.astimezone(UTC):%Y-%m-%d %H:%M:%S}"


def _table(*titles: str) -> list[str]:
    return [f"| {' | '.join(titles)} |", f"|{' --- |' * len(titles)}"]


def _detection(_template: Template, facts: Facts) -> str:
    alerts = [literal(link.label or link.id) for link in facts.incident.links if link.kind == "alert"]
    lines = [f"Detected at {moment(facts.incident.at(MilestoneName.DETECTED))}."]
    lines += [f"- {label}" for label in alerts] if alerts else ["No alert is part of the record."]
    acknowledged = facts.incident.at(MilestoneName.ACKNOWLEDGED)
    return "\n".join([*lines, "", f"First acknowledged: {moment(acknowledged)}."])


def _resolution(_template: Template, facts: Facts) -> str:
    reached = (MilestoneName.CONTAINED, MilestoneName.MITIGATED, MilestoneName.RESOLVED)
    lines = [f"- **{name.value.capitalize()}:** {moment(facts.incident.at(name))}" for name in reached]
    done = list(_done(facts))
    return "\n".join([*lines, "", "Done:", "", *done] if done else lines)


def _done(facts: Facts) -> Iterator[str]:
    for step in facts.incident.steps:
        for action in step.actions:
            if action.done_at is not None:
                note = f": {literal(action.note)}" if action.note.strip() else ""
                who = literal(action.done_by or "somebody")
                yield f"- {literal(step.name)}: {literal(action.text)} ({who}, {moment(action.done_at)}){note}"


def _lessons(template: Template, _facts: Facts) -> str:
    return "\n\n".join(f"### {title}" for title in template.lessons)


def _follow_ups(template: Template, facts: Facts) -> str:
    if facts.follow_ups:
        return "\n".join(_follow_up(one) for one in facts.follow_ups)
    if not template.follow_up_actions:
        return "None is recorded."
    suggested = ", ".join(title[:1].lower() + title[1:] for title in template.follow_up_actions)
    return f"None is recorded. The template suggests: {suggested}."


def _follow_up(one: FollowUp) -> str:
    owner = literal(one.owner) if one.owner else "nobody yet"
    due = f", due {one.due_on.isoformat()}" if one.due_on else ""
    done = f", done {moment(one.done_at)}" if one.done_at else ""
    return f"- [{'x' if one.done_at else ' '}] {literal(one.text)} ({owner}{due}{done})"


def _supporting(_template: Template, facts: Facts) -> str:
    links = [f"- {literal(link.kind)} {literal(link.id)}: {literal(link.label)}" for link in facts.incident.links]
    evidence = [
        f"- {literal(one.name)} ({one.size_bytes:,} bytes, SHA-256 {one.sha256}), added by {literal(one.added_by)} "
        f"at {moment(one.added_at)}"
        for one in facts.evidence
    ]
    return "\n".join([*links, *evidence]) or "No evidence is recorded."


_MADE: Final[Mapping[str, Callable[[Template, Facts], str]]] = {
    "summary": _summary,
    "timeline": _timeline,
    "impact": _impact,
    "detection": _detection,
    "resolution": _resolution,
    "lessons_learned": _lessons,
    "follow_up_actions": _follow_ups,
    "action_items": _follow_ups,
    "supporting_information": _supporting,
}
