"""The table of deploys: what was reported, never changed afterwards."""

from datetime import datetime

from sqlalchemy import DateTime, Index, String, Text
from sqlalchemy import text as sql
from sqlalchemy.orm import Mapped, mapped_column

from backend.db import Base, IdColumn, Name, UtcTime
from contract.scope import MAX_STORED_CHARS


class DeployRow(Base):
    """A version of a service that was brought out."""

    __tablename__ = "deploys"

    id: Mapped[IdColumn]
    service: Mapped[Name]
    version: Mapped[Name]
    environment: Mapped[Name]
    """Empty: nobody has said."""
    url: Mapped[str | None] = mapped_column(Text)
    scope: Mapped[str | None] = mapped_column(String(MAX_STORED_CHARS))
    started_at: Mapped[UtcTime]
    finished_at: Mapped[datetime | None] = mapped_column(DateTime(timezone=True))
    recorded_by: Mapped[Name]
    recorded_at: Mapped[UtcTime]
    idempotency_key: Mapped[str | None] = mapped_column(String(64))

    __table_args__ = (
        Index("ix_deploys_started", "started_at", "id"),
        Index("ix_deploys_service", "service", "started_at", "id"),
        Index(
            "uq_deploys_idempotency",
            "recorded_by",
            "idempotency_key",
            unique=True,
            postgresql_where=sql("idempotency_key IS NOT NULL"),
        ),
    )
