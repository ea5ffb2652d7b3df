"""Tables of assessments, of what awaits confirmation, and of requested strategy reviews."""

from datetime import datetime
from typing import Any
from uuid import UUID

from sqlalchemy import DateTime, ForeignKey, Index, String, text
from sqlalchemy.dialects.postgresql import JSONB
from sqlalchemy.orm import Mapped, mapped_column

from backend.db import Base, IdColumn, Json, UtcTime
from contract.alerts import MAX_FINGERPRINT_CHARS
from contract.scope import MAX_STORED_CHARS


class Assessment(Base):
    """One assessment: the snapshot the screens show, kept for sparklines and for the record."""

    __tablename__ = "risk_assessments"

    id: Mapped[IdColumn]
    assessed_at: Mapped[UtcTime] = mapped_column(index=True)
    snapshot: Mapped[Json]


class Confirmation(Base):
    """The assessments that count towards one automatic freeze; kept while its alert is live or one of them crossed."""

    __tablename__ = "risk_confirmations"

    fingerprint: Mapped[str] = mapped_column(String(MAX_FINGERPRINT_CHARS), primary_key=True)
    """That of the alert: rule, scope and, for daily figures, day."""
    rule: Mapped[str] = mapped_column(String(50))
    scope_kind: Mapped[str] = mapped_column(String(20))
    scope_name: Mapped[str] = mapped_column(String(MAX_STORED_CHARS))
    alert_id: Mapped[UUID] = mapped_column(ForeignKey("alerts.id", ondelete="RESTRICT"))
    """The newest alert of that fingerprint."""
    looks: Mapped[list[dict[str, Any]]] = mapped_column(JSONB)
    """The last assessments that counted, oldest first."""
    acted_at: Mapped[datetime | None] = mapped_column(DateTime(timezone=True))
    """When it was confirmed; nothing acts a second time while the alert goes on."""


class StrategyReview(Base):
    """A review of a strategy that the policy requested after a low success rate."""

    __tablename__ = "strategy_reviews"

    id: Mapped[IdColumn]
    scope_kind: Mapped[str] = mapped_column(String(20))
    scope_name: Mapped[str] = mapped_column(String(MAX_STORED_CHARS))
    alert_id: Mapped[UUID] = mapped_column(ForeignKey("alerts.id", ondelete="RESTRICT"))
    requested_at: Mapped[UtcTime]
    closed_at: Mapped[datetime | None] = mapped_column(DateTime(timezone=True))

    __table_args__ = (
        Index(
            "uq_strategy_reviews_open",
            "scope_kind",
            "scope_name",
            unique=True,
            postgresql_where=text("closed_at IS NULL"),
        ),
    )
