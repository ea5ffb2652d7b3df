"""Table of alerts."""

from datetime import datetime
from typing import Any

from sqlalchemy import DateTime, Index, String, Text, text
from sqlalchemy.dialects.postgresql import JSONB
from sqlalchemy.orm import Mapped, mapped_column

from backend.db import Base, IdColumn, Json, UtcTime
from contract.alerts import MAX_FINGERPRINT_CHARS
from contract.scope import MAX_STORED_CHARS


class AlertRow(Base):
    """One crossing of one rule in one scope."""

    __tablename__ = "alerts"

    id: Mapped[IdColumn]
    fingerprint: Mapped[str] = mapped_column(String(MAX_FINGERPRINT_CHARS))
    """rule|scope|period: at most one alert with it is not cleared."""
    rule: Mapped[str] = mapped_column(String(50))
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

    __table_args__ = (
        Index("uq_alerts_live", "fingerprint", unique=True, postgresql_where=text("status <> 'cleared'")),
        Index("ix_alerts_time", "raised_at", "id"),
        Index("ix_alerts_live", "severity", "raised_at", "id", postgresql_where=text("status <> 'cleared'")),
    )
