"""Wire types of incidents: the record, its timeline, its steps and roles, its evidence and what is left to do."""

import re
from datetime import date
from enum import StrEnum
from typing import Annotated, Final

from pydantic import AfterValidator, AwareDatetime, Field, field_validator

from contract.alerts import Link
from contract.base import Money, UtcDatetime, Wire, WireRequest, storable
from contract.reasons import MAX_REASON_CHARS, has_words
from contract.scope import Scope
from contract.states import IncidentStatus as IncidentStatus  # noqa: PLC0414  part of what this module offers
from contract.states import MilestoneName as MilestoneName  # noqa: PLC0414  part of what this module offers
from contract.states import PostmortemState as PostmortemState  # noqa: PLC0414  part of what this module offers
from contract.states import Severity as Severity  # noqa: PLC0414  part of what this module offers

INCIDENT_ID: Final = re.compile(r"^INC-\d{4}-\d{3,6}$")
MAX_TITLE_CHARS: Final = 200
MAX_NOTE_CHARS: Final = 10_000
MAX_NAME_CHARS: Final = 100
MAX_DECLARED_ALERTS: Final = 200
"""Alerts that one incident is declared from: as many as one act takes; others are linked to it later."""
MAX_SERVICES: Final = 50
"""More than anybody lists one by one."""
MAX_EVIDENCE_BYTES: Final = 10 * 1024 * 1024
"""A log excerpt or a picture; whole disks are evidence of another kind."""

Title = Annotated[str, Field(min_length=1, max_length=MAX_TITLE_CHARS), AfterValidator(storable)]
Name = Annotated[str, Field(min_length=1, max_length=MAX_NAME_CHARS), AfterValidator(storable)]
Note = Annotated[str, Field(min_length=1, max_length=MAX_NOTE_CHARS), AfterValidator(has_words)]
Words = Annotated[str, Field(max_length=MAX_NOTE_CHARS), AfterValidator(storable)]
Why = Annotated[str, Field(max_length=MAX_REASON_CHARS), AfterValidator(has_words)]
Key = Annotated[str, Field(max_length=64), AfterValidator(storable)]


class Milestone(Wire):
    """When an incident reached a point; a correction is a new one, the old one stays in the timeline."""

    name: MilestoneName
    occurred_at: UtcDatetime
    recorded_at: UtcDatetime
    recorded_by: str
    auto: bool
    """Stamped by Watchfloor; False: somebody said so."""


class Role(Wire):
    """Who holds a role, since when."""

    role: str
    """commander, or another of the policy's list."""
    person: str
    since: UtcDatetime


class StepAction(Wire):
    """One action of a step of the procedure."""

    number: int
    """1 for the first of its step."""
    text: str
    done_at: UtcDatetime | None = None
    done_by: str | None = None
    note: str = ""


class Step(Wire):
    """One step of the policy's procedure, as it was when the incident was declared."""

    name: str
    actions: list[StepAction]
    begun_at: UtcDatetime | None = None
    done_at: UtcDatetime | None = None


class Impact(Wire):
    """What it cost; what nobody has said is None, never 0."""

    services: list[str] = []
    loss_usd: Money | None = None
    loss_eth: Money | None = None
    users: int | None = None
    description: str = ""


class Clock(Wire):
    """A time by which something must have been done."""

    name: str
    """response, or a report to an authority: initial, intermediate, final."""
    due_at: UtcDatetime
    done_at: UtcDatetime | None = None
    to: str = ""
    """To whom a report was sent, as far as somebody has said."""
    reference: str = ""
    """Under which the report is known there."""


class Incident(Wire):
    """One incident as it stands."""

    id: str
    """INC-2026-001: numbered by year, without gaps."""
    title: str
    type: str
    severity: Severity
    status: IncidentStatus
    step: str
    """The step of the procedure that is being worked on."""
    commander: str | None = None
    roles: list[Role] = []
    scopes: list[Scope] = []
    drill: bool = False
    declared_by: str
    declared_at: UtcDatetime
    updated_at: UtcDatetime
    milestones: list[Milestone] = []
    steps: list[Step] = []
    impact: Impact = Impact()
    links: list[Link] = []
    clocks: list[Clock] = []
    follow_ups_open: int = 0
    postmortem: PostmortemState | None = None
    postmortem_required: bool = False
    version: int = 1

    def at(self, name: MilestoneName) -> UtcDatetime | None:
        """When it reached a milestone, as far as anybody has said."""
        return next((one.occurred_at for one in self.milestones if one.name is name), None)


class IncidentChanged(Wire):
    """The incident after a change, and how far its timeline goes."""

    incident: Incident
    entries: int


class DeclareRequest(WireRequest):
    """Declare an incident: from an alert, from a freeze, or from nothing."""

    title: Title
    type: Name = "other"
    severity: Severity
    commander: Name | None = None
    """None: whoever declares it."""
    alerts: list[str] = Field(default=[], max_length=MAX_DECLARED_ALERTS)
    freezes: list[str] = Field(default=[], max_length=50)
    scopes: list[Scope] = Field(default=[], max_length=20)
    """Besides those of its alerts and freezes."""
    started_at: AwareDatetime | None = None
    drill: bool = False
    idempotency_key: Key = ""


class LinkRequest(WireRequest):
    """Make an alert or a freeze part of an incident."""

    kind: str = Field(pattern="^(alert|freeze)$")
    id: str = Field(min_length=1, max_length=100)


class UnlinkRequest(WireRequest):
    """Make an alert part of no incident."""

    alert: str = Field(min_length=1, max_length=100)
    why: Why


class TimelineEntry(Wire):
    """One line of an incident's timeline; never changed, only corrected by a later one."""

    id: str
    number: int
    """In the order of recording, from 1, without gaps: breaks ties of `occurred_at`, so that the order is total."""
    occurred_at: UtcDatetime
    recorded_at: UtcDatetime
    actor: str
    auto: bool
    kind: str
    """note, alert, acknowledged, freeze, halt_proven, thaw, milestone, role, step, severity, evidence, follow_up,
    postmortem, audit, drill, link, correction."""
    text: str
    link: Link | None = None
    corrects: str | None = None
    corrected_by: str | None = None
    withheld: bool = False
    """It tells of an entry of the audit log, which the caller may not see: text, link and who did it are left out."""


class NoteRequest(WireRequest):
    """Write a line into the timeline."""

    text: Note
    occurred_at: AwareDatetime | None = None
    """Absent: now."""
    idempotency_key: Key = ""


class CorrectionRequest(WireRequest):
    """Put a later line in the place of an earlier one, which stays readable."""

    text: Note
    occurred_at: AwareDatetime | None = None
    """Absent: as the corrected one."""


class MilestoneRequest(WireRequest):
    """Say when a milestone was reached."""

    name: MilestoneName
    occurred_at: AwareDatetime
    why: Why


class RoleRequest(WireRequest):
    """Take a role, or hand it over."""

    role: Name
    person: Name | None
    """None renounces it."""
    note: Words = ""
    """What the next one has to know."""


class StepActionRequest(WireRequest):
    """Tick an action of the procedure off, or take the tick back."""

    step: Name
    number: int = Field(ge=1, le=100)
    done: bool = True
    note: Words = ""


class AdvanceRequest(WireRequest):
    """Go on to a step of the procedure; None: the next."""

    step: Name | None = None
    note: Words = ""


class IncidentChange(WireRequest):
    """Change what is said of an incident; what is None stays."""

    title: Title | None = None
    type: Name | None = None
    severity: Severity | None = None
    services: list[Name] | None = Field(default=None, max_length=MAX_SERVICES)
    loss_usd: Money | None = None
    loss_eth: Money | None = None
    users: int | None = Field(default=None, ge=0)
    description: Words | None = None
    version: int | None = Field(default=None, ge=1)
    """The version that was on the screen: refused if the same fact was changed since."""


class ResolveRequest(WireRequest):
    """Say that it is over."""

    note: Note
    occurred_at: AwareDatetime | None = None


class ReopenRequest(WireRequest):
    """Say that it is not over after all."""

    why: Why


class CloseRequest(WireRequest):
    """Put the record away; refused without an approved post-mortem where the policy wants one."""

    note: Words = ""


class Evidence(Wire):
    """Something kept with an incident, as it was when it was attached."""

    id: str
    name: str
    media_type: str
    size_bytes: int
    sha256: str
    """Also in the audit ledger."""
    description: str = ""
    kind: str
    """file or query."""
    query: str | None = None
    """What was asked, for the result of a query."""
    added_by: str
    added_at: UtcDatetime


class EvidenceQueryRequest(WireRequest):
    """Attach what Watchfloor answers to a question, as it is now."""

    kind: str = Field(pattern="^(alert|freeze|executors|risk|audit)$")
    query: str = Field(default="", max_length=1_000)
    """The id of an alert or freeze; the words of a search of the audit log."""
    description: str = Field(default="", max_length=MAX_REASON_CHARS)

    _texts = field_validator("query", "description")(storable)


class FollowUp(Wire):
    """Something to be done so that it does not happen again."""

    id: str
    incident: str
    number: int
    text: str
    owner: str | None = None
    due_on: date | None = None
    created_by: str
    created_at: UtcDatetime
    done_at: UtcDatetime | None = None
    done_by: str | None = None
    note: str = ""
    age_days: int = 0
    overdue: bool = False
    version: int = 1


class FollowUpRequest(WireRequest):
    """Write down something to be done."""

    text: Title
    owner: Name | None = None
    due_on: date | None = None


class FollowUpChange(WireRequest):
    """Change a follow-up action; what is not given stays."""

    text: Title | None = None
    owner: Name | None = None
    due_on: date | None = None
    done: bool | None = None
    note: Words | None = None
    version: int | None = Field(default=None, ge=1)
    """The version that was on the screen: refused if somebody has changed the action since."""


class Interval(StrEnum):
    """The four intervals of an incident; see docs/incidents.md for what each runs from and to."""

    TTD = "ttd"
    TTA = "tta"
    TTM = "ttm"
    TTR = "ttr"


class IntervalStat(Wire):
    """One interval over a group. Answered by whoever saw it first and declared it: `unmeasured`, no part of `n`."""

    interval: Interval
    n: int
    missing: int
    """Incidents of the group that lack one of the two milestones, or have them in the wrong order; never 0."""
    unmeasured: int = 0
    median_s: float | None = None
    p90_s: float | None = None
    max_s: float | None = None


class StatGroup(Wire):
    """Incidents of one month and severity; `None` stands for all."""

    month: str | None
    """2026-11, by the UTC date of its declaration."""
    severity: Severity | None
    incidents: int
    intervals: list[IntervalStat]


class ResponseCompliance(Wire):
    """How many incidents of a severity were answered within the policy's response time; `unmeasured` ones are apart."""

    severity: Severity
    target_minutes: int
    in_time: int
    late: int
    unanswered: int
    """Nobody has acknowledged them: open ones whose time runs still are not counted."""
    unmeasured: int = 0


class IncidentStats(Wire):
    """The numbers of a span of time; drills apart."""

    since: UtcDatetime
    until: UtcDatetime
    drills: bool
    """Whether these are the numbers of drills."""
    groups: list[StatGroup]
    compliance: list[ResponseCompliance]
