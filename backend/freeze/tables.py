"""Tables of holds and of the executors' answers to them."""

from datetime import datetime
from typing import Any
from uuid import UUID

from sqlalchemy import (
    BigInteger,
    DateTime,
    ForeignKey,
    ForeignKeyConstraint,
    Identity,
    Index,
    Integer,
    String,
    Text,
    func,
    text,
)
from sqlalchemy.dialects.postgresql import JSONB
from sqlalchemy.orm import Mapped, mapped_column

from backend.db import Base, IdColumn, Json, UtcTime
from contract.observing import MAX_ID_CHARS
from contract.scope import MAX_STORED_CHARS


class FreezeRow(Base):
    """One hold. Rows are never deleted; a lifted hold keeps its history."""

    __tablename__ = "freezes"

    id: Mapped[IdColumn]
    number: Mapped[int] = mapped_column(Integer, unique=True)
    """Printed as FRZ-0001; handed out without gaps under a lock."""
    epoch: Mapped[int] = mapped_column(BigInteger, unique=True)
    scope_kind: Mapped[str] = mapped_column(String(20))
    scope_name: Mapped[str] = mapped_column(String(MAX_STORED_CHARS), default="")
    mode: Mapped[str] = mapped_column(String(20))
    status: Mapped[str] = mapped_column(String(20))
    reason: Mapped[str] = mapped_column(Text)
    created_by: Mapped[str] = mapped_column(String(100))
    created_at: Mapped[UtcTime]
    automatic_rule: Mapped[str | None] = mapped_column(String(50))
    idempotency_key: Mapped[str | None] = mapped_column(String(64))
    version: Mapped[int] = mapped_column(Integer, default=1)
    thaw_requested_by: Mapped[str | None] = mapped_column(String(100))
    thaw_requested_at: Mapped[datetime | None] = mapped_column(DateTime(timezone=True))
    thaw_reason: Mapped[str | None] = mapped_column(Text)
    thawed_by: Mapped[str | None] = mapped_column(String(100))
    thawed_at: Mapped[datetime | None] = mapped_column(DateTime(timezone=True))
    held_since: Mapped[UtcTime] = mapped_column(server_default=func.clock_timestamp())
    """Its creation, or the break-off of a thaw that had begun to take effect."""
    thaw_expires_at: Mapped[datetime | None] = mapped_column(DateTime(timezone=True))
    thaw_subject: Mapped[dict[str, Any] | None] = mapped_column(JSONB(none_as_null=True))
    """What the request is about, as it stood when it was made."""
    thaw_digest: Mapped[str | None] = mapped_column(String(64))
    """SHA-256 of that, in hex."""
    thaw_released: Mapped[list[str] | None] = mapped_column(JSONB(none_as_null=True))
    """Executors that the first stage of a thaw under way has let go."""
    thaw_watch_until: Mapped[datetime | None] = mapped_column(DateTime(timezone=True))
    thaw_looked_at: Mapped[datetime | None] = mapped_column(DateTime(timezone=True))
    """When a backend last looked at the executors that were let go."""
    drill_id: Mapped[UUID | None] = mapped_column(ForeignKey("freeze_drills.id", ondelete="RESTRICT"))
    """The drill that put it on; None for a hold in earnest."""
    shown_progress: Mapped[str | None] = mapped_column(String(40))
    """Halted and covered as consoles were last told, so that a change is published once."""

    __table_args__ = (
        Index("ix_freezes_in_force", "scope_kind", "scope_name", postgresql_where=text("status <> 'thawed'")),
        Index("ix_freezes_time", "created_at", "id"),
        Index("ix_freezes_drill", "drill_id", postgresql_where=text("drill_id IS NOT NULL")),
        Index(
            "uq_freezes_idempotency",
            "created_by",
            "idempotency_key",
            unique=True,
            postgresql_where=text("idempotency_key IS NOT NULL"),
        ),
    )


class FreezeDrillRow(Base):
    """One drill: a freeze of canaries that is measured and ends by itself."""

    __tablename__ = "freeze_drills"

    id: Mapped[IdColumn]
    number: Mapped[int] = mapped_column(Integer, unique=True)
    scopes: Mapped[list[str]] = mapped_column(JSONB)
    mode: Mapped[str] = mapped_column(String(20))
    reason: Mapped[str] = mapped_column(Text)
    started_by: Mapped[str] = mapped_column(String(100))
    started_at: Mapped[UtcTime]
    ends_at: Mapped[UtcTime]
    ended_at: Mapped[datetime | None] = mapped_column(DateTime(timezone=True))
    reported_before: Mapped[dict[str, int]] = mapped_column(JSONB)
    """The last order sequence that each canary had reported when the drill began."""
    outcomes: Mapped[list[dict[str, Any]] | None] = mapped_column(JSONB(none_as_null=True))
    """What was measured, as the wire shows it; written once, at the end."""
    idempotency_key: Mapped[str | None] = mapped_column(String(64))

    __table_args__ = (Index("ix_freeze_drills_time", "started_at", "id"),)


class BackendCheckin(Base):
    """When a backend last said that it keeps no freeze from the database: see `backend.freeze.rollcall`."""

    __tablename__ = "backend_checkins"

    boot: Mapped[str] = mapped_column(String(64), primary_key=True)
    place: Mapped[str] = mapped_column(String(64))
    """Machine and data directory: a process that is started there again speaks for the ones before it."""
    checked_in_at: Mapped[UtcTime]
    silent: Mapped[bool] = mapped_column(server_default=text("false"))
    """Went without a goodbye so long ago that permits no longer wait for it; it may still keep a freeze back."""


class FreezeState(Base):
    """One row: the last epoch and the last freeze number, locked while either rises."""

    __tablename__ = "freeze_state"

    id: Mapped[int] = mapped_column(Integer, Identity(), primary_key=True)
    epoch: Mapped[int] = mapped_column(BigInteger, default=0)
    last_number: Mapped[int] = mapped_column(Integer, default=0)


class HaltAck(Base):
    """One executor's acknowledgement of one hold."""

    __tablename__ = "halt_acks"

    freeze_id: Mapped[UUID] = mapped_column(ForeignKey("freezes.id", ondelete="RESTRICT"), primary_key=True)
    executor: Mapped[str] = mapped_column(String(100), primary_key=True)
    acked_at: Mapped[UtcTime]
    last_order_seq: Mapped[int] = mapped_column(BigInteger)
    in_flight: Mapped[int | None] = mapped_column(Integer)
    open_orders: Mapped[int | None] = mapped_column(Integer)
    nonces: Mapped[Json] = mapped_column(server_default=text("'{}'"))
    """The last nonce of each wallet, by address in lower case."""
    in_flight_ids: Mapped[list[str]] = mapped_column(JSONB, server_default=text("'[]'"))
    statement: Mapped[str | None] = mapped_column(Text)
    """What the executor signed, as it came."""
    paused: Mapped[Json] = mapped_column(server_default=text("'{}'"))
    """Contracts it has read back as paused, by address in lower case; at which block."""

    __table_args__ = (
        Index("ix_halt_acks_in_flight", "executor", postgresql_where=text("in_flight_ids <> '[]'::jsonb")),
    )


class HaltFate(Base):
    """How something that was in flight when an executor halted has ended."""

    __tablename__ = "halt_fates"

    freeze_id: Mapped[UUID] = mapped_column(primary_key=True)
    executor: Mapped[str] = mapped_column(String(100), primary_key=True)
    in_flight_id: Mapped[str] = mapped_column(String(MAX_ID_CHARS), primary_key=True)
    fate: Mapped[str] = mapped_column(String(20))
    source: Mapped[str] = mapped_column(String(120))
    """Who says so: the executor itself, or a second source."""
    told_at: Mapped[UtcTime]

    __table_args__ = (
        ForeignKeyConstraint(
            ["freeze_id", "executor"], ["halt_acks.freeze_id", "halt_acks.executor"], ondelete="RESTRICT"
        ),
    )


class HaltObservation(Base):
    """What a second source saw last of one wallet or executor under one hold."""

    __tablename__ = "halt_observations"

    freeze_id: Mapped[UUID] = mapped_column(ForeignKey("freezes.id", ondelete="RESTRICT"), primary_key=True)
    source: Mapped[str] = mapped_column(String(120), primary_key=True)
    looked_at: Mapped[str] = mapped_column(String(20), primary_key=True)
    chain: Mapped[str] = mapped_column(String(100), primary_key=True)
    subject: Mapped[str] = mapped_column(String(100), primary_key=True)
    """In lower case."""
    value: Mapped[int] = mapped_column(BigInteger)
    pending: Mapped[int | None] = mapped_column(BigInteger)
    unchanged_blocks: Mapped[int | None] = mapped_column(Integer)
    block: Mapped[int | None] = mapped_column(BigInteger)
    """At which it was seen."""
    seen_at: Mapped[UtcTime]
    ceiling: Mapped[int | None] = mapped_column(BigInteger)
    """The most used or pending at the first look after every permit was dead."""


class HaltMilestone(Base):
    """When an executor first reached a state under a hold; written once, with what proved it then."""

    __tablename__ = "halt_milestones"

    freeze_id: Mapped[UUID] = mapped_column(ForeignKey("freezes.id", ondelete="RESTRICT"), primary_key=True)
    executor: Mapped[str] = mapped_column(String(100), primary_key=True)
    state: Mapped[str] = mapped_column(String(20), primary_key=True)
    reached_at: Mapped[UtcTime]
    proof: Mapped[str] = mapped_column(Text)
