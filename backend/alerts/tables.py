"""Tables of alerts, of their history, of silences, and of the Alertmanagers and rules that alerts come from."""

from datetime import datetime
from typing import Any
from uuid import UUID

from sqlalchemy import BigInteger, DateTime, ForeignKey, Identity, Index, Integer, String, Text, UniqueConstraint, text
from sqlalchemy.dialects.postgresql import JSONB
from sqlalchemy.orm import Mapped, mapped_column

from backend.db import Base, IdColumn, Json, UtcTime
from contract.alerts import MAX_FINGERPRINT_CHARS
from contract.scope import MAX_STORED_CHARS

OWN_SOURCE = "watchfloor"
"""Source of the alerts that Watchfloor's own rules raise, and of silences made here."""
_LIVE = text("status <> 'cleared'")
_OBJECT = text("'{}'")
_ARRAY = text("'[]'")


class AlertRow(Base):
    """One crossing of one rule in one scope."""

    __tablename__ = "alerts"

    id: Mapped[IdColumn]
    fingerprint: Mapped[str] = mapped_column(String(MAX_FINGERPRINT_CHARS))
    """rule|scope|period: at most one alert with it is not cleared."""
    rule: Mapped[str] = mapped_column(String(200))
    severity: Mapped[str] = mapped_column(String(20))
    status: Mapped[str] = mapped_column(String(20))
    scope_kind: Mapped[str] = mapped_column(String(20))
    scope_name: Mapped[str] = mapped_column(String(MAX_STORED_CHARS), default="")
    message: Mapped[str] = mapped_column(Text)
    facts: Mapped[Json]
    links: Mapped[list[dict[str, Any]]] = mapped_column(JSONB)
    raised_at: Mapped[UtcTime]
    updated_at: Mapped[UtcTime]
    due_at: Mapped[datetime | None] = mapped_column(DateTime(timezone=True))
    acknowledged_by: Mapped[str | None] = mapped_column(String(100))
    acknowledged_at: Mapped[datetime | None] = mapped_column(DateTime(timezone=True))
    acknowledge_comment: Mapped[str | None] = mapped_column(Text)
    cleared_at: Mapped[datetime | None] = mapped_column(DateTime(timezone=True))
    action_taken: Mapped[str | None] = mapped_column(Text)
    source: Mapped[str] = mapped_column(String(150), server_default=OWN_SOURCE)
    """watchfloor, or alertmanager:NAME."""
    occurrence: Mapped[str | None] = mapped_column(String(300))
    """Of an alert from elsewhere: its source, its fingerprint there, and when it began. NULL for Watchfloor's own."""
    source_fingerprint: Mapped[str | None] = mapped_column(String(100))
    category: Mapped[str] = mapped_column(String(20), server_default="risk")
    labels: Mapped[dict[str, str]] = mapped_column(JSONB, server_default=_OBJECT)
    annotations: Mapped[dict[str, str]] = mapped_column(JSONB, server_default=_OBJECT)
    starts_at: Mapped[datetime | None] = mapped_column(DateTime(timezone=True))
    ends_at: Mapped[datetime | None] = mapped_column(DateTime(timezone=True))
    """What the source said last about its end."""
    group_key: Mapped[str] = mapped_column(Text, server_default="")
    assigned_to: Mapped[str | None] = mapped_column(String(100))
    assigned_at: Mapped[datetime | None] = mapped_column(DateTime(timezone=True))
    escalation_level: Mapped[int] = mapped_column(Integer, server_default=text("0"))
    escalation_to: Mapped[str | None] = mapped_column(String(200))
    """Who has it, and below who is next: as the policy said when it was passed on."""
    escalation_people: Mapped[list[str]] = mapped_column(JSONB, server_default=_ARRAY)
    """Who has it by name, at the same time."""
    escalation_next_to: Mapped[str | None] = mapped_column(String(200))
    escalates_at: Mapped[datetime | None] = mapped_column(DateTime(timezone=True))
    """When it goes on to the next; NULL at the top, while muted, and once acknowledged or cleared."""
    muted_by: Mapped[list[dict[str, Any]]] = mapped_column(JSONB, server_default=_ARRAY)
    """contract.alerts.Muting, one for each silence, inhibition or mute time over it."""
    runbook_url: Mapped[str | None] = mapped_column(Text)
    incident: Mapped[str | None] = mapped_column(String(30))
    times_raised: Mapped[int] = mapped_column(Integer, server_default=text("1"))
    seen_at: Mapped[datetime | None] = mapped_column(DateTime(timezone=True))
    """When its source last spoke of it."""

    __table_args__ = (
        Index("uq_alerts_live", "fingerprint", unique=True, postgresql_where=_LIVE),
        Index("ix_alerts_time", "raised_at", "id"),
        Index("ix_alerts_group", text(r"sha256(decode(replace(group_key, '\', '\\'), 'escape'))"), "raised_at", "id"),
        Index("ix_alerts_live", "severity", "raised_at", "id", postgresql_where=_LIVE),
        Index("ix_alerts_escalates", "escalates_at", postgresql_where=_LIVE),
        Index("ix_alerts_source", "source", "seen_at", postgresql_where=_LIVE),
        Index("ix_alerts_incident", "incident", postgresql_where=text("incident IS NOT NULL")),
        Index(
            "ix_alerts_fingerprint",
            "source_fingerprint",
            "starts_at",
            postgresql_where=text("source_fingerprint IS NOT NULL"),
        ),
        UniqueConstraint("occurrence"),
    )


class AlertEventRow(Base):
    """One line of an alert's history. The database refuses to change or delete one, except for an erased name.

    Written by `backend.alerts.history` as a last statement of its transaction, so that ids are in order of commits.
    """

    __tablename__ = "alert_events"
    __table_args__ = (Index("ix_alert_events_alert_id_id", "alert_id", "id"),)

    id: Mapped[int] = mapped_column(BigInteger, Identity(always=True), primary_key=True)
    alert_id: Mapped[UUID] = mapped_column(ForeignKey("alerts.id", ondelete="RESTRICT"))
    kind: Mapped[str] = mapped_column(String(30))
    at: Mapped[UtcTime]
    """When it happened, by the clock of whoever knows."""
    recorded_at: Mapped[UtcTime]
    actor: Mapped[str] = mapped_column(String(100))
    person: Mapped[str | None] = mapped_column(String(100))
    """Whom it was assigned to; apart from the facts, so that an erased name can be replaced."""
    text: Mapped[str] = mapped_column(Text, server_default="")
    facts: Mapped[dict[str, str]] = mapped_column(JSONB, server_default=_OBJECT)


class SilenceRow(Base):
    """A time in which the alerts that its matchers match are not told about; made here, or known of an Alertmanager."""

    __tablename__ = "alert_silences"
    __table_args__ = (
        UniqueConstraint("source", "source_id"),
        Index("ix_alert_silences_time", "created_at", "id"),
        Index("ix_alert_silences_standing", "starts_at", "ends_at", postgresql_where=text("lifted_at IS NULL")),
        Index(
            "uq_alert_silences_idempotency",
            "created_by",
            "idempotency_key",
            unique=True,
            postgresql_where=text("idempotency_key IS NOT NULL"),
        ),
    )

    id: Mapped[IdColumn]
    source: Mapped[str] = mapped_column(String(150), server_default=OWN_SOURCE)
    source_id: Mapped[str | None] = mapped_column(String(100))
    """Its id where it was made; NULL for one made here."""
    matchers: Mapped[list[dict[str, str]]] = mapped_column(JSONB)
    starts_at: Mapped[UtcTime]
    ends_at: Mapped[UtcTime]
    """Ending it early moves this to that instant."""
    comment: Mapped[str] = mapped_column(Text)
    created_by: Mapped[str] = mapped_column(String(100))
    created_at: Mapped[UtcTime]
    ended_by: Mapped[str | None] = mapped_column(String(100))
    begun_at: Mapped[datetime | None] = mapped_column(DateTime(timezone=True))
    """When its beginning was carried out."""
    lifted_at: Mapped[datetime | None] = mapped_column(DateTime(timezone=True))
    """When its end was carried out: nothing is muted by it any more."""
    set_aside_at: Mapped[datetime | None] = mapped_column(DateTime(timezone=True))
    """When its regular expressions turned out to take too long: from then on it mutes nothing more."""
    idempotency_key: Mapped[str | None] = mapped_column(String(64))
    copies: Mapped[list[dict[str, Any]]] = mapped_column(JSONB, server_default=_ARRAY)
    """contract.alert_work.SilenceCopy, one for each Alertmanager it is to be created in."""


class AlertmanagerSource(Base):
    """An Alertmanager that delivers here, and when it last did."""

    __tablename__ = "alertmanager_sources"

    name: Mapped[str] = mapped_column(String(100), primary_key=True)
    url: Mapped[str | None] = mapped_column(Text)
    """Where its API v2 is; NULL: it only delivers."""
    last_delivery_at: Mapped[datetime | None] = mapped_column(DateTime(timezone=True))
    last_poll_at: Mapped[datetime | None] = mapped_column(DateTime(timezone=True))
    """When it last answered a poll in full."""
    last_error: Mapped[str | None] = mapped_column(Text)
    last_error_at: Mapped[datetime | None] = mapped_column(DateTime(timezone=True))
    cluster: Mapped[str | None] = mapped_column(String(200))


class AlertRule(Base):
    """One alerting rule of an imported Prometheus rule file."""

    __tablename__ = "alert_rules"
    __table_args__ = (
        UniqueConstraint("source", "group_name", "name", "number", name="uq_alert_rules_source_group_name_number"),
        Index("ix_alert_rules_name", "name"),
    )

    id: Mapped[IdColumn]
    source: Mapped[str] = mapped_column(String(150))
    group_name: Mapped[str] = mapped_column(String(200))
    name: Mapped[str] = mapped_column(String(200))
    number: Mapped[int] = mapped_column(Integer)
    """Which one of this name it is in its group, from 1: Prometheus lets several have the same."""
    labels: Mapped[dict[str, str]] = mapped_column(JSONB, server_default=_OBJECT)
    annotations: Mapped[dict[str, str]] = mapped_column(JSONB, server_default=_OBJECT)
    expr: Mapped[str] = mapped_column(Text)
    runbook_url: Mapped[str | None] = mapped_column(Text)
    imported_at: Mapped[UtcTime]
    imported_by: Mapped[str] = mapped_column(String(100))
