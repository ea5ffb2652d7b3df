"""Tables of verification: sealed periods, finished runs, the run under way. Periods and finished runs are never
changed; who verified a period last is a view of the runs (`audit_period_records`).
"""

from datetime import datetime
from typing import Any
from uuid import UUID

from sqlalchemy import BigInteger, CheckConstraint, DateTime, Index, LargeBinary, String, Text
from sqlalchemy.dialects.postgresql import JSONB
from sqlalchemy.dialects.postgresql import UUID as PG_UUID
from sqlalchemy.orm import Mapped, mapped_column

from backend.audit.tables import IS_VIEW
from backend.db import Base, IdColumn, UtcTime


class SealedPeriod(Base):
    """One period of one log, empty ones too: which entries the sequencer placed in it and the tree's root after them.

    Bounds are times of the sequencer, which never run backwards, not of the processes that wrote the entries.
    """

    __tablename__ = "audit_periods"

    log: Mapped[str] = mapped_column(String(40), primary_key=True)
    n: Mapped[int] = mapped_column(BigInteger, primary_key=True, autoincrement=False)
    """Counted from 0 in each log."""
    period_start: Mapped[UtcTime]
    period_end: Mapped[UtcTime]
    seq_start: Mapped[int] = mapped_column(BigInteger)
    seq_end: Mapped[int] = mapped_column(BigInteger)
    """The first entry after the period, and the tree's size at its end."""
    record_count: Mapped[int] = mapped_column(BigInteger)
    hash_chain: Mapped[bytes] = mapped_column(LargeBinary)
    """Root of the tree of `seq_end` entries."""
    prev_period_hash: Mapped[bytes | None] = mapped_column(LargeBinary)
    """Hash of the record before (`periods.record_hash`); none before the first."""
    sealed_at: Mapped[UtcTime]

    __table_args__ = (CheckConstraint("record_count = seq_end - seq_start", name="record_count"),)


class VerificationRun(Base):
    """One finished verification."""

    __tablename__ = "audit_verifications"

    id: Mapped[IdColumn]
    started: Mapped[UtcTime]
    verified_at: Mapped[UtcTime]
    verified_by: Mapped[str] = mapped_column(String(100))
    """Who asked for it: a person's surrogate, or the name of a machine."""
    tool_version: Mapped[str] = mapped_column(String(40))
    full: Mapped[bool]
    """From the first entry on; else from the heads that the run before trusted."""
    passed: Mapped[bool]
    entries: Mapped[int] = mapped_column(BigInteger)
    verdicts: Mapped[dict[str, Any]] = mapped_column(JSONB)
    from_heads: Mapped[dict[str, Any]] = mapped_column(JSONB)
    """Size of each log where reading began."""
    to_heads: Mapped[dict[str, Any]] = mapped_column(JSONB)
    """Size and root (hex) of each log where it ended."""

    __table_args__ = (Index("ix_audit_verifications_verified_at", "verified_at"),)


class VerificationJob(Base):
    """A verification that was asked for: how far it is, and how it ended. Changed by the process that runs it."""

    __tablename__ = "audit_verification_jobs"

    id: Mapped[UUID] = mapped_column(PG_UUID(as_uuid=True), primary_key=True)
    state: Mapped[str] = mapped_column(String(20))
    """running, done or broken."""
    full: Mapped[bool]
    logs: Mapped[list[str] | None] = mapped_column(JSONB)
    requested_by: Mapped[str] = mapped_column(String(100))
    started: Mapped[UtcTime]
    seen_at: Mapped[UtcTime]
    """When the process that runs it was last heard of."""
    entries_done: Mapped[int] = mapped_column(BigInteger)
    entries_total: Mapped[int] = mapped_column(BigInteger)
    error: Mapped[str | None] = mapped_column(Text)
    report: Mapped[dict[str, Any] | None] = mapped_column(JSONB)


class VerificationState(Base):
    """How far the last good verification came, and the one under way: bytes with a MAC (`verification.state`)."""

    __tablename__ = "audit_verification_state"

    name: Mapped[str] = mapped_column(String(60), primary_key=True)
    """`trusted`, or `job:` and the id of the one under way."""
    packed: Mapped[bytes] = mapped_column(LargeBinary)
    saved_at: Mapped[UtcTime]


class PeriodRecord(Base):
    """A view: the sealed period and who verified it last."""

    __tablename__ = "audit_period_records"
    __table_args__ = {"info": IS_VIEW}

    log: Mapped[str] = mapped_column(primary_key=True)
    n: Mapped[int] = mapped_column(primary_key=True)
    period_start: Mapped[UtcTime]
    period_end: Mapped[UtcTime]
    seq_start: Mapped[int]
    seq_end: Mapped[int]
    record_count: Mapped[int]
    hash_chain: Mapped[bytes]
    prev_period_hash: Mapped[bytes | None]
    sealed_at: Mapped[UtcTime]
    verified_at: Mapped[datetime | None] = mapped_column(DateTime(timezone=True))
    verified_by: Mapped[str | None]
