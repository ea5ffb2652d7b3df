"""The policy's part of incidents that no compliance document states: types, roles, timelines, reports."""

from datetime import timedelta
from typing import Final, Literal, Self

from pydantic import model_validator

from backend.policy.base import Flag, PolicyTable, PositiveCount, Text, Texts
from backend.policy.programme import PostMortem
from contract.incidents import MilestoneName
from contract.states import Severity

COMMANDER: Final = "commander"
"""The one role that every incident has."""
_ACTS: Final = frozenset({MilestoneName.RESOLVED, MilestoneName.CLOSED})
"""Milestones that are acts of people: a step that stamped one would say that an open incident is over."""


class ReportRules(PolicyTable):
    """Times by which an authority has to be told."""

    enabled: Flag = False
    severities: tuple[Severity, ...] = (Severity.CRITICAL,)
    """An incident that has one of these counts as classified as major."""
    initial_hours: PositiveCount = 4
    """From the classification."""
    aware_hours: PositiveCount = 24
    """The initial report is due no later than so long after detection, unless it was classified later than that."""
    intermediate_hours: PositiveCount = 72
    """From when the initial report was sent."""
    final_months: PositiveCount = 1
    """From when the intermediate report was sent."""
    warning_hours: dict[Literal["initial", "intermediate", "final"], PositiveCount] = {
        "initial": 1, "intermediate": 24, "final": 168,
    }  # fmt: skip
    """How long before a report is due people are told."""

    def warning(self, report: str) -> timedelta:
        """How long before a report is due people are told."""
        return next(timedelta(hours=hours) for name, hours in self.warning_hours.items() if name == report)

    @model_validator(mode="after")
    def _warns_of_each(self) -> Self:
        absent = {"initial", "intermediate", "final"} - set(self.warning_hours)
        if absent:
            raise ValueError(f"warning_hours lacks {', '.join(sorted(absent))}")
        return self


class IncidentRules(PolicyTable):
    """How incidents are recorded."""

    types: Texts
    roles: Texts
    post_mortem_required: tuple[Severity, ...]
    """Severities that cannot be closed without an approved post-mortem."""
    services: tuple[Text, ...] = ()
    """What may be affected; empty: any name is taken."""
    timeline_events: tuple[Text, ...] = ()
    """Beginnings of audit event types, cut at a dot, that go on the timeline of every incident that is open."""
    begun: dict[str, MilestoneName] = {}
    """Step of the procedure → milestone that beginning it reaches."""
    done: dict[str, MilestoneName] = {}
    """Step of the procedure → milestone that going on from it reaches."""
    reports: ReportRules = ReportRules()
    templates: dict[str, PostMortem] = {}
    """Templates of post-mortems besides the document's own, which is `incidents.post_mortem`."""

    @model_validator(mode="after")
    def _is_ended_by_people(self) -> Self:
        for step, reached in (*self.begun.items(), *self.done.items()):
            if reached in _ACTS:
                raise ValueError(f"{step} cannot reach {reached.value}: somebody says so, by that act")
        return self

    @model_validator(mode="after")
    def _has_a_commander(self) -> Self:
        if COMMANDER not in self.roles:
            raise ValueError(f"roles must name {COMMANDER}")
        return self
