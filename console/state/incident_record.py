"""Owns what a screen knows of one incident: its record and as much of its timeline as was loaded. Pure."""

import re
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from types import MappingProxyType
from typing import Final

from console.state.instants import parse_instant
from contract.base import Page
from contract.incidents import Incident, Step, StepAction, TimelineEntry

LINES_AT_ONCE: Final = 100
"""Lines of a timeline that are asked for at once: four screens full."""
_CLOCK: Final = re.compile(r"([01]?[0-9]|2[0-3]):([0-5][0-9])(?::([0-5][0-9]))?")


@dataclass(frozen=True)
class Record:
    """One incident as far as it is known here."""

    incident: Incident
    entries: Mapping[str, TimelineEntry] = field(default_factory=lambda: MappingProxyType({}))
    """By id."""
    older: str | None = None
    """Where the timeline goes on into the past."""

    @property
    def lines(self) -> list[TimelineEntry]:
        """The timeline, newest first; the number decides between lines of the same instant."""
        return sorted(self.entries.values(), key=lambda one: (one.occurred_at, one.number), reverse=True)

    @property
    def corrections(self) -> dict[str, str]:
        """Corrected line → the line that took its place."""
        told = {one.id: one.corrected_by for one in self.entries.values() if one.corrected_by}
        return told | {one.corrects: one.id for one in self.entries.values() if one.corrects}


def looked(known: Record | None, incident: Incident, page: Page[TimelineEntry]) -> Record:
    """Take in the newest page; older lines stay unless some between them may be missing."""
    new = {one.id: one for one in page.items}
    if known is None or known.incident.id != incident.id or not new.keys() & known.entries.keys():
        return Record(incident, MappingProxyType(new), page.next_cursor)
    if incident.version < known.incident.version:
        incident = known.incident
    return Record(incident, MappingProxyType({**known.entries, **new}), known.older)


def with_older(known: Record, page: Page[TimelineEntry]) -> Record:
    """Take in a page of the past."""
    entries = {**{one.id: one for one in page.items}, **known.entries}
    return replace(known, entries=MappingProxyType(entries), older=page.next_cursor)


def current_step(incident: Incident) -> Step | None:
    """The step of the procedure that is being worked on."""
    return next((one for one in incident.steps if one.name == incident.step), None)


def next_step(incident: Incident) -> Step | None:
    """The step after it; None after the last."""
    names = [one.name for one in incident.steps]
    index = names.index(incident.step) + 1 if incident.step in names else 0
    return incident.steps[index] if index < len(names) else None


def previous_step(incident: Incident) -> Step | None:
    """The step before it; None before the first."""
    names = [one.name for one in incident.steps]
    index = names.index(incident.step) - 1 if incident.step in names else -1
    return incident.steps[index] if index >= 0 else None


def left_behind(incident: Incident) -> list[tuple[Step, StepAction]]:
    """What nobody has ticked off in the steps before the current one."""
    found: list[tuple[Step, StepAction]] = []
    for step in incident.steps:
        if step.name == incident.step:
            break
        found += [(step, action) for action in step.actions if action.done_at is None]
    return found


def open_action(incident: Incident) -> tuple[Step, StepAction] | None:
    """The first action of the current step that nobody has ticked off; then those of the steps before it."""
    step = current_step(incident)
    here = [(step, one) for one in step.actions if one.done_at is None] if step else []
    return next(iter([*here, *left_behind(incident)]), None)


def named_action(incident: Incident, ident: str) -> tuple[Step, StepAction] | None:
    """The action of a link: its step and number."""
    return next(
        ((step, one) for step in incident.steps for one in step.actions if ident == f"{step.name}/{one.number}"), None
    )


def parse_time(text: str, now: datetime) -> datetime:
    """An instant that is over: `03:08` is the last such time (UTC), else as `parse_instant` has it.

    Raises:
        ValueError: none of the forms.
    """
    found = _CLOCK.fullmatch(text.strip())
    if found is None:
        return parse_instant(text, now)
    hour, minute, second = (int(part or 0) for part in found.groups())
    meant = now.astimezone(UTC).replace(hour=hour, minute=minute, second=second, microsecond=0)
    return meant if meant <= now else meant - timedelta(days=1)
