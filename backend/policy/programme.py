"""The policy's compliance programme: registers, KPIs, schedules, continuity, changes, criteria. Holds no rule."""

from enum import StrEnum
from functools import cached_property
from itertools import pairwise
from typing import Annotated, Literal

from pydantic import AfterValidator, Field

from backend.policy.base import Count, Exact, Flag, Percent, PolicyTable, PositiveCount, Retention, Text, Texts

Likelihood = Literal["low", "medium", "high"]
Impact = Literal["low", "medium", "high", "critical"]


class Direction(StrEnum):
    """Which way a KPI is good."""

    HIGHER_IS_BETTER = "higher_is_better"
    LOWER_IS_BETTER = "lower_is_better"


class Document(PolicyTable):
    """The compliance document a policy file carries."""

    title: Text
    version: Text
    last_updated: Text
    classification: Text
    standards: Texts


class Standard(PolicyTable):
    """A standard and where its certification stands."""

    name: Text
    scope: Text
    certification_status: Text
    last_audit: Text | None = None


class SecurityControl(PolicyTable):
    """A row of the security controls matrix."""

    control: Text
    implementation: Text
    monitoring: Text
    testing_frequency: Text


class NamedText(PolicyTable):
    """A point of a list: its name and what it says."""

    name: Text
    text: Text


class DataClass(PolicyTable):
    """A class of data and how it is protected."""

    description: Text
    examples: Texts
    controls: Texts


class PersonalFields(PolicyTable):
    """Watchfloor's own reading of the data classes: what an audit entry keeps sealed."""

    need_to_know: Texts
    """Classes whose values are sealed, and shown only to who may reveal them."""
    fields: dict[str, Text]
    """The class of each named value that an audit entry may tell."""


class Privacy(PolicyTable):
    """Personal data: how long each kind is kept and what people may ask for."""

    retention_days: dict[str, PositiveCount]
    request_types: Texts
    anonymised_fields: Texts
    watchfloor: PersonalFields

    @property
    def log_data_days(self) -> int | None:
        """How long personal data in logs may be kept; None where the document states nothing about it."""
        return self.retention_days.get("log_data")

    @cached_property
    def sealed_fields(self) -> frozenset[str]:
        """Names of the values that leave only a commitment in an audit entry."""
        secret = set(self.watchfloor.need_to_know)
        return frozenset(name for name, of_class in self.watchfloor.fields.items() if of_class in secret)


class RegisteredRisk(PolicyTable):
    """A row of the risk register."""

    id: Text | None = None
    category: Text
    description: Text | None = None
    likelihood: Likelihood
    impact: Impact
    level: Impact | None = None
    mitigation: Text


class Dashboard(PolicyTable):
    """What the compliance dashboard shows and how often."""

    refresh_seconds: PositiveCount
    indicators: Texts
    transaction_summary_days: PositiveCount
    access_summary_days: PositiveCount
    configuration_changes_days: PositiveCount
    views: tuple[NamedText, ...] = ()


class MonthlyMetric(PolicyTable):
    """A line of the monthly compliance report."""

    metric: Text
    notes: Text
    passes_when: Text


class ProcedureStep(PolicyTable):
    """A step of the incident procedure."""

    step: Text
    actions: Texts


class PostMortem(PolicyTable):
    """The incident report's template."""

    fields: Texts
    sections: Texts
    impact_fields: Texts
    lessons: Texts
    follow_up_actions: Texts
    timeline_events: Texts


class Incidents(PolicyTable):
    """How incidents are handled."""

    procedure: Annotated[tuple[ProcedureStep, ...], Field(min_length=1)]
    post_mortem: PostMortem


class RecoveryStep(PolicyTable):
    """A step of the disaster recovery test."""

    action: Text
    title: Text


class Continuity(PolicyTable):
    """Recovery objectives and the recovery test."""

    rto_minutes: dict[str, PositiveCount]
    """Recovery time objective by criticality."""
    rpo_minutes: dict[str, PositiveCount]
    """Recovery point objective by kind of data."""
    test_every: Text
    test_steps: Annotated[tuple[RecoveryStep, ...], Field(min_length=1)]


class Backup(PolicyTable):
    """A row of the backup and recovery matrix."""

    data: Text
    frequency: Text
    retention_days: Retention
    storage: Text
    recovery_method: Text


class ScheduledAudit(PolicyTable):
    """An entry of the internal audit schedule."""

    every: Literal["day", "week", "month", "quarter", "year"]
    name: Text
    scope: Text
    automated: Flag
    reviewer: Text | None = None


class Kpi(PolicyTable):
    """A key indicator: its target and which way is good."""

    title: Text
    target: Annotated[Exact, Field(ge=0)]
    unit: Text
    direction: Direction
    strict: Flag = False
    """The target itself is already a miss (`< 200 ms`)."""
    calculation: Text | None = None
    window_days: PositiveCount | None = None


class Rating(PolicyTable):
    """A band of the overall score."""

    minimum_percent: Percent
    rating: Text


def _falling_to_zero(bands: tuple[Rating, ...]) -> tuple[Rating, ...]:
    minima = [band.minimum_percent for band in bands]
    if not minima or minima[-1] != 0 or any(upper <= lower for upper, lower in pairwise(minima)):
        raise ValueError("minimum_percent must fall from band to band and end at 0, so that every score has a rating")
    return bands


Ratings = Annotated[tuple[Rating, ...], AfterValidator(_falling_to_zero)]


class Attestation(PolicyTable):
    """The statement that a person signs."""

    statement: Text
    requirements: Texts
    effectiveness: Text
    certified_by: Text
    date: Text
    next_review: Text


class OrganisationUnit(PolicyTable):
    """A team and the posts in it."""

    name: Text
    posts: Texts


class Organisation(PolicyTable):
    """Who runs the system."""

    name: Text
    units: tuple[OrganisationUnit, ...]
    stakeholders: dict[str, Text]
    system: tuple[NamedText, ...]


class ChangeType(PolicyTable):
    """Who approves a kind of change, how it is tested and how fast it can be undone."""

    approvers: Texts
    testing: Text
    rollback: Text
    rollback_hours: Count
    """0: immediately."""


class ChangeChecklist(PolicyTable):
    """What is ticked before, during and after a change."""

    before: Texts
    during: Texts
    after: Texts


class Changes(PolicyTable):
    """Change management."""

    process: Annotated[tuple[NamedText, ...], Field(min_length=1)]
    types: Annotated[dict[str, ChangeType], Field(min_length=1)]
    checklist: ChangeChecklist


class Monitoring(PolicyTable):
    """What is monitored, how it is logged, who is alerted."""

    system: tuple[NamedText, ...]
    logging: tuple[NamedText, ...]
    alerting: tuple[NamedText, ...]


class Models(PolicyTable):
    """Governance of trading models."""

    governance: tuple[NamedText, ...]
    lifecycle: tuple[NamedText, ...]
    evidence: tuple[NamedText, ...]


class LogType(PolicyTable):
    """A row of the log retention schedule."""

    retention_days: PositiveCount
    storage: Text
    encrypted: Flag
    requirement: Text


class Logs(PolicyTable):
    """Log retention."""

    types: dict[str, LogType]
    operational_retention_days: PositiveCount
    compliance_retention_days: PositiveCount
    management: tuple[NamedText, ...]


class CheckedItem(PolicyTable):
    """A ticked or open line of a checklist."""

    text: Text
    done: Flag


class Criterion(PolicyTable):
    """A group of the criteria checklist under the document's own label, and the criteria it really belongs to."""

    document_label: Text
    items: Annotated[tuple[CheckedItem, ...], Field(min_length=1)]
    trust_services_criteria: Texts
    """References into the 2017 Trust Services Criteria."""


class Status(PolicyTable):
    """What the document says has been reached, and what comes next."""

    reached: tuple[NamedText, ...]
    next_steps: Texts
