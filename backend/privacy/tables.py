"""Tables of erasures asked for and of legal holds. People stand in them under their surrogates."""

from datetime import datetime

from sqlalchemy import BigInteger, CheckConstraint, DateTime, Index, String, Text, text
from sqlalchemy.orm import Mapped, mapped_column

from backend.db import Base, IdColumn, UtcTime


class ErasureRow(Base):
    """One request to erase a person, and what became of it."""

    __tablename__ = "erasures"

    id: Mapped[IdColumn]
    subject: Mapped[str] = mapped_column(String(60))
    reason: Mapped[str] = mapped_column(Text)
    status: Mapped[str] = mapped_column(String(20))
    requested_by: Mapped[str] = mapped_column(String(60))
    requested_at: Mapped[UtcTime]
    decided_by: Mapped[str | None] = mapped_column(String(60))
    decided_at: Mapped[datetime | None] = mapped_column(DateTime(timezone=True))
    values_erased: Mapped[int | None] = mapped_column(BigInteger)

    __table_args__ = (
        Index("uq_erasures_open", "subject", unique=True, postgresql_where=text("status = 'requested'")),
        Index("ix_erasures_time", "requested_at", "id"),
    )


class LegalHoldRow(Base):
    """What must be kept although its time has come or its person asks: a person's data, or a part of a log."""

    __tablename__ = "legal_holds"

    id: Mapped[IdColumn]
    subject: Mapped[str | None] = mapped_column(String(60))
    log: Mapped[str | None] = mapped_column(String(40))
    since: Mapped[datetime | None] = mapped_column(DateTime(timezone=True))
    """Entries from then on; None: from the first."""
    until: Mapped[datetime | None] = mapped_column(DateTime(timezone=True))
    """Entries before then; None: also those to come."""
    reason: Mapped[str] = mapped_column(Text)
    placed_by: Mapped[str] = mapped_column(String(60))
    placed_at: Mapped[UtcTime]
    lift_reason: Mapped[str | None] = mapped_column(Text)
    lift_requested_by: Mapped[str | None] = mapped_column(String(60))
    lift_requested_at: Mapped[datetime | None] = mapped_column(DateTime(timezone=True))
    lifted_by: Mapped[str | None] = mapped_column(String(60))
    lifted_at: Mapped[datetime | None] = mapped_column(DateTime(timezone=True))

    __table_args__ = (
        CheckConstraint("subject IS NOT NULL OR log IS NOT NULL", "something"),
        Index("ix_legal_holds_time", "placed_at", "id"),
        Index("ix_legal_holds_subject", "subject", postgresql_where=text("lifted_at IS NULL")),
    )
