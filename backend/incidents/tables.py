"""Tables of incidents. Rows are never deleted, but for links that were wrong; timeline lines and evidence are never
changed either (triggers).
"""

from datetime import date, datetime
from decimal import Decimal
from typing import Any
from uuid import UUID

from sqlalchemy import (
    BigInteger,
    Boolean,
    Date,
    DateTime,
    ForeignKey,
    ForeignKeyConstraint,
    Identity,
    Index,
    Integer,
    LargeBinary,
    String,
    Text,
    UniqueConstraint,
)
from sqlalchemy import text as sql
from sqlalchemy.dialects.postgresql import JSONB
from sqlalchemy.orm import Mapped, mapped_column

from backend.db import ETH_COLUMN, USD_COLUMN, Base, IdColumn, Json, Name, UtcTime

ID_CHARS = 20
"""INC-2026-001, with room."""
_KEY_CHARS = 64
_ID = String(ID_CHARS)
_INCIDENT = "incidents.id"
_NAME = String(100)
_WORD = String(20)
_TIME = DateTime(timezone=True)


class IncidentRow(Base):
    """One incident as it stands; locked while anything of it changes."""

    __tablename__ = "incidents"

    id: Mapped[str] = mapped_column(_ID, primary_key=True)
    """INC-2026-001."""
    year: Mapped[int] = mapped_column(Integer)
    number: Mapped[int] = mapped_column(Integer)
    title: Mapped[str] = mapped_column(Text)
    type: Mapped[Name]
    severity: Mapped[str] = mapped_column(_WORD)
    status: Mapped[str] = mapped_column(_WORD)
    step: Mapped[str] = mapped_column(Text)
    """Name of the step of the procedure that is being worked on."""
    drill: Mapped[bool] = mapped_column(Boolean)
    scopes: Mapped[list[str]] = mapped_column(JSONB)
    declared_by: Mapped[Name]
    declared_at: Mapped[UtcTime]
    updated_at: Mapped[UtcTime]
    resolved_at: Mapped[datetime | None] = mapped_column(_TIME)
    """When it was last marked as over, by the backend's clock: what happens elsewhere later is not part of it."""
    services: Mapped[list[str]] = mapped_column(JSONB)
    loss_usd: Mapped[Decimal | None] = mapped_column(USD_COLUMN)
    loss_eth: Mapped[Decimal | None] = mapped_column(ETH_COLUMN)
    users: Mapped[int | None] = mapped_column(BigInteger)
    description: Mapped[str] = mapped_column(Text)
    postmortem: Mapped[str | None] = mapped_column(_WORD)
    """State of the newest version of its post-mortem; None: there is none."""
    postmortem_required: Mapped[bool] = mapped_column(Boolean)
    classified_at: Mapped[datetime | None] = mapped_column(_TIME)
    """When it first had a severity that the authority has to hear of."""
    reported: Mapped[dict[str, str]] = mapped_column(JSONB)
    """Report to the authority → when it was sent."""
    reports_told: Mapped[dict[str, dict[str, str]]] = mapped_column(JSONB, server_default=sql("'{}'"))
    """Report to the authority → to whom it was sent, under which reference."""
    version: Mapped[int] = mapped_column(Integer)
    """Rises with every change of the record itself, never with a line of the timeline alone."""
    field_versions: Mapped[dict[str, int]] = mapped_column(JSONB)
    """Fact → the version that changed it last."""
    last_entry: Mapped[int] = mapped_column(Integer)
    """Number of the newest line of the timeline."""
    last_follow_up: Mapped[int] = mapped_column(Integer)
    idempotency_key: Mapped[str | None] = mapped_column(String(_KEY_CHARS))

    __table_args__ = (
        UniqueConstraint("year", "number"),
        Index("ix_incidents_time", "declared_at", "id"),
        Index("ix_incidents_reportable", "classified_at", "id", postgresql_where=sql("classified_at IS NOT NULL")),
        Index("ix_incidents_open", "declared_at", "id", postgresql_where=sql("status <> 'closed'")),
        Index(
            "uq_incidents_idempotency",
            "declared_by",
            "idempotency_key",
            unique=True,
            postgresql_where=sql("idempotency_key IS NOT NULL"),
        ),
    )


class IncidentNumber(Base):
    """The last number of a year, locked while an incident is declared: numbers have no gaps."""

    __tablename__ = "incident_numbers"

    year: Mapped[int] = mapped_column(Integer, primary_key=True, autoincrement=False)
    last: Mapped[int] = mapped_column(Integer)


class IncidentMilestone(Base):
    """What was said of when a milestone was reached; the newest row of a name holds."""

    __tablename__ = "incident_milestones"

    id: Mapped[int] = mapped_column(BigInteger, Identity(always=True), primary_key=True)
    incident: Mapped[str] = mapped_column(_ID, ForeignKey(_INCIDENT, ondelete="RESTRICT"))
    name: Mapped[str] = mapped_column(_WORD)
    occurred_at: Mapped[UtcTime]
    recorded_at: Mapped[UtcTime]
    recorded_by: Mapped[Name]
    auto: Mapped[bool] = mapped_column(Boolean)

    __table_args__ = (Index("ix_incident_milestones_incident_name", "incident", "name", "id"),)


class IncidentRole(Base):
    """Somebody's time in a role; `until` is empty while they hold it."""

    __tablename__ = "incident_roles"

    id: Mapped[int] = mapped_column(BigInteger, Identity(always=True), primary_key=True)
    incident: Mapped[str] = mapped_column(_ID, ForeignKey(_INCIDENT, ondelete="RESTRICT"))
    role: Mapped[Name]
    person: Mapped[Name]
    since: Mapped[UtcTime]
    until: Mapped[datetime | None] = mapped_column(_TIME)

    __table_args__ = (
        Index("uq_incident_roles_held", "incident", "role", unique=True, postgresql_where=sql("until IS NULL")),
    )


class IncidentStep(Base):
    """One step of the procedure, as the policy had it when the incident was declared."""

    __tablename__ = "incident_steps"

    incident: Mapped[str] = mapped_column(_ID, ForeignKey(_INCIDENT, ondelete="RESTRICT"), primary_key=True)
    number: Mapped[int] = mapped_column(Integer, primary_key=True, autoincrement=False)
    """From 1."""
    name: Mapped[str] = mapped_column(Text)
    begun_at: Mapped[datetime | None] = mapped_column(_TIME)
    done_at: Mapped[datetime | None] = mapped_column(_TIME)


class IncidentAction(Base):
    """One action of a step."""

    __tablename__ = "incident_actions"

    incident: Mapped[str] = mapped_column(_ID, primary_key=True)
    step: Mapped[int] = mapped_column(Integer, primary_key=True, autoincrement=False)
    number: Mapped[int] = mapped_column(Integer, primary_key=True, autoincrement=False)
    text: Mapped[str] = mapped_column(Text)
    done_at: Mapped[datetime | None] = mapped_column(_TIME)
    done_by: Mapped[str | None] = mapped_column(_NAME)
    note: Mapped[str] = mapped_column(Text)

    __table_args__ = (
        ForeignKeyConstraint(
            ["incident", "step"], ["incident_steps.incident", "incident_steps.number"], ondelete="RESTRICT"
        ),
    )


class IncidentLink(Base):
    """An alert, a freeze or a drill that is part of an incident."""

    __tablename__ = "incident_links"

    incident: Mapped[str] = mapped_column(_ID, ForeignKey(_INCIDENT, ondelete="RESTRICT"), primary_key=True)
    kind: Mapped[str] = mapped_column(_WORD, primary_key=True)
    target: Mapped[str] = mapped_column(_NAME, primary_key=True)
    label: Mapped[str] = mapped_column(Text)
    linked_at: Mapped[UtcTime]
    linked_by: Mapped[Name]

    __table_args__ = (Index("ix_incident_links_target", "kind", "target"),)


class IncidentEntry(Base):
    """One line of a timeline: appended, never changed."""

    __tablename__ = "incident_entries"

    id: Mapped[IdColumn]
    incident: Mapped[str] = mapped_column(_ID, ForeignKey(_INCIDENT, ondelete="RESTRICT"))
    number: Mapped[int] = mapped_column(Integer)
    """From 1 without gaps, in the order of recording."""
    occurred_at: Mapped[UtcTime]
    recorded_at: Mapped[UtcTime]
    actor: Mapped[Name]
    auto: Mapped[bool] = mapped_column(Boolean)
    kind: Mapped[str] = mapped_column(_WORD)
    text: Mapped[str] = mapped_column(Text)
    link: Mapped[dict[str, Any] | None] = mapped_column(JSONB(none_as_null=True))
    corrects: Mapped[UUID | None] = mapped_column(ForeignKey("incident_entries.id", ondelete="RESTRICT"))
    source_key: Mapped[str | None] = mapped_column(String(200))
    """What Watchfloor's own line is about, so that it is written once."""
    idempotency_key: Mapped[str | None] = mapped_column(String(_KEY_CHARS))

    __table_args__ = (
        UniqueConstraint("incident", "number"),
        Index("ix_incident_entries_occurred", "incident", "occurred_at", "number"),
        Index("ix_incident_entries_corrects", "corrects", postgresql_where=sql("corrects IS NOT NULL")),
        Index(
            "uq_incident_entries_source",
            "incident",
            "source_key",
            unique=True,
            postgresql_where=sql("source_key IS NOT NULL"),
        ),
        Index(
            "uq_incident_entries_idempotency",
            "incident",
            "actor",
            "idempotency_key",
            unique=True,
            postgresql_where=sql("idempotency_key IS NOT NULL"),
        ),
    )


class IncidentEvidence(Base):
    """A file or an answer kept with an incident: appended, never changed."""

    __tablename__ = "incident_evidence"

    id: Mapped[IdColumn]
    incident: Mapped[str] = mapped_column(_ID, ForeignKey(_INCIDENT, ondelete="RESTRICT"))
    name: Mapped[str] = mapped_column(Text)
    media_type: Mapped[Name]
    size_bytes: Mapped[int] = mapped_column(Integer)
    sha256: Mapped[str] = mapped_column(String(64))
    description: Mapped[str] = mapped_column(Text)
    kind: Mapped[str] = mapped_column(_WORD)
    query: Mapped[str | None] = mapped_column(Text)
    added_by: Mapped[Name]
    added_at: Mapped[UtcTime]
    content: Mapped[bytes] = mapped_column(LargeBinary, deferred=True)
    """Read only when asked for: up to ten mebibytes."""

    __table_args__ = (Index("ix_incident_evidence_incident", "incident", "added_at", "id"),)


class IncidentFollowUp(Base):
    """Something to be done so that it does not happen again."""

    __tablename__ = "incident_follow_ups"

    incident: Mapped[str] = mapped_column(_ID, ForeignKey(_INCIDENT, ondelete="RESTRICT"), primary_key=True)
    number: Mapped[int] = mapped_column(Integer, primary_key=True, autoincrement=False)
    """From 1."""
    text: Mapped[str] = mapped_column(Text)
    owner: Mapped[str | None] = mapped_column(_NAME)
    due_on: Mapped[date | None] = mapped_column(Date)
    created_by: Mapped[Name]
    created_at: Mapped[UtcTime]
    done_at: Mapped[datetime | None] = mapped_column(_TIME)
    done_by: Mapped[str | None] = mapped_column(_NAME)
    note: Mapped[str] = mapped_column(Text)
    version: Mapped[int] = mapped_column(Integer)

    __table_args__ = (Index("ix_incident_follow_ups_open", "due_on", postgresql_where=sql("done_at IS NULL")),)


class IncidentSnapshot(Base):
    """The floor as it was when an incident was declared."""

    __tablename__ = "incident_snapshots"

    incident: Mapped[str] = mapped_column(_ID, ForeignKey(_INCIDENT, ondelete="RESTRICT"), primary_key=True)
    taken_at: Mapped[UtcTime]
    body: Mapped[Json]
    """As `contract.incident_snapshot.IncidentSnapshot` travels."""


class ScribeCursor(Base):
    """How far a source of timeline lines has been read: in all, or for an incident that is behind (`places`)."""

    __tablename__ = "incident_cursors"

    source: Mapped[str] = mapped_column(_NAME, primary_key=True)
    position: Mapped[int] = mapped_column(BigInteger)
