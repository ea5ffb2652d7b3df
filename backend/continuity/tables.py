"""Tables of recovery drills: what the journal of the backend that runs one says, as soon as the database takes it."""

from typing import Any

from sqlalchemy import Boolean, ForeignKey, Index, Integer, String, Text, false, text
from sqlalchemy.dialects.postgresql import JSONB
from sqlalchemy.orm import Mapped, mapped_column

from backend.db import Base, IdColumn, Json, Name, UtcTime

REF_CHARS = 40
DATA_CHARS = 200


class RecoveryDrillRow(Base):
    """One run of a plan."""

    __tablename__ = "recovery_drills"

    id: Mapped[IdColumn]
    ref: Mapped[str] = mapped_column(String(REF_CHARS), unique=True)
    plan: Mapped[Name]
    state: Mapped[str] = mapped_column(String(20))
    practice: Mapped[bool] = mapped_column(Boolean, server_default=false())
    """It counts as no test: its plan said so when it was started, or measures nothing."""
    started_by: Mapped[Name]
    started_at: Mapped[UtcTime]
    ended_at: Mapped[UtcTime | None]
    running: Mapped[bool | None] = mapped_column(Boolean)
    """True until it has ended, then NULL: no two are true."""
    backend: Mapped[Name]
    heard_at: Mapped[UtcTime]
    idempotency_key: Mapped[str | None] = mapped_column(String(64))
    shown: Mapped[Json]
    """contract.recovery.RecoveryDrill without outputs and log, as the backend that runs it last said."""
    incident: Mapped[str | None] = mapped_column(String(20))
    signed_by: Mapped[str | None] = mapped_column(String(100))
    signed_at: Mapped[UtcTime | None]
    statement: Mapped[str | None] = mapped_column(Text)
    report_sha256: Mapped[str | None] = mapped_column(String(64))
    report: Mapped[dict[str, Any] | None] = mapped_column(JSONB)
    """The facts that were signed."""
    findings: Mapped[int] = mapped_column(Integer, server_default=text("0"))
    finding_keys: Mapped[Json] = mapped_column(JSONB, server_default=text("'{}'::jsonb"))
    """The numbers of follow-up actions by the keys with which they were asked for."""

    __table_args__ = (
        Index("uq_recovery_drills_running", "running", unique=True),
        Index("ix_recovery_drills_started", "started_at", "id"),
        Index("uq_recovery_drills_key", "started_by", "idempotency_key", unique=True),
    )


class RecoveryLineRow(Base):
    """A line of a drill's journal."""

    __tablename__ = "recovery_lines"

    drill: Mapped[str] = mapped_column(ForeignKey("recovery_drills.ref", ondelete="RESTRICT"), primary_key=True)
    n: Mapped[int] = mapped_column(Integer, primary_key=True, autoincrement=False)
    data: Mapped[Json]


class RecoveryAskRow(Base):
    """What somebody asked at another backend than the one that runs the drill."""

    __tablename__ = "recovery_asks"

    id: Mapped[IdColumn]
    drill: Mapped[str] = mapped_column(ForeignKey("recovery_drills.ref", ondelete="RESTRICT"))
    what: Mapped[str] = mapped_column(String(10))
    """step or abort."""
    request: Mapped[dict[str, Any]] = mapped_column(JSONB)
    caller: Mapped[dict[str, Any]] = mapped_column(JSONB)
    asked_at: Mapped[UtcTime]
    taken_at: Mapped[UtcTime | None]
    answer: Mapped[str | None] = mapped_column(Text)
    """Why it was refused; empty: it was done."""

    __table_args__ = (Index("ix_recovery_asks_waiting", "drill", postgresql_where=text("taken_at IS NULL")),)


class BackupCheckRow(Base):
    """How a row of the policy's backup matrix stood when it was last looked at."""

    __tablename__ = "recovery_backup_checks"

    data: Mapped[str] = mapped_column(String(DATA_CHARS), primary_key=True)
    """The row's name."""
    checked_at: Mapped[UtcTime]
    shown: Mapped[Json]
    """contract.recovery.BackupCheck; what the policy says of the row is taken from the policy when it is shown."""
