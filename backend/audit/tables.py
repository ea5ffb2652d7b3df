"""Tables of the audit log: the outbox, the ledger and what hangs on it, and the read-only view the auditors know.

`audit_entries` is partitioned by log and sequence number; `audit_add_partition` in the database makes its partitions.
Nothing here is ever updated but heads, spans and the outbox, which the sequencer alone writes.
"""

from datetime import datetime
from typing import Any
from uuid import UUID

from sqlalchemy import (
    BigInteger,
    CheckConstraint,
    Computed,
    DateTime,
    ForeignKey,
    Identity,
    Index,
    LargeBinary,
    String,
    Table,
    Text,
    text,
)
from sqlalchemy.dialects.postgresql import INET, JSONB, TSVECTOR
from sqlalchemy.dialects.postgresql import UUID as PG_UUID
from sqlalchemy.orm import Mapped, mapped_column

from backend.db import Base, IdColumn, UtcTime

IS_VIEW = {"is_view": True}
"""Marks what migrations make with SQL of their own and the drift check leaves alone."""


class Ledger(Base):
    """Which ledger this database holds; one row. Its name begins the origin of every checkpoint."""

    __tablename__ = "audit_ledger"

    name: Mapped[str] = mapped_column(String(60), primary_key=True)
    generation: Mapped[int]
    """1, and one more for each restore that was approved."""
    master_key_id: Mapped[str] = mapped_column(String(40))
    created_at: Mapped[UtcTime]


class AuditOutbox(Base):
    """Entries committed with their acts and not yet in the ledger; a row lives for milliseconds."""

    __tablename__ = "audit_outbox"

    id: Mapped[IdColumn]
    log: Mapped[str] = mapped_column(String(40))
    canon: Mapped[bytes] = mapped_column(LargeBinary)
    """The canonical bytes: the truth, never rebuilt from anything."""
    mac: Mapped[bytes] = mapped_column(LargeBinary)
    """Made with a key the database does not hold: protects the entry until it is in the tree."""
    sealed: Mapped[bytes | None] = mapped_column(LargeBinary)
    """Encrypted personal fields, as `backend.audit.sealing` writes them."""
    emitted_at: Mapped[UtcTime]
    filed_at: Mapped[datetime] = mapped_column(DateTime(timezone=True), server_default=text("clock_timestamp()"))
    """By the database's clock, so that the age of what waits has one clock whoever wrote it."""

    __table_args__ = (
        # the sequencer holds a thousand rows at a time: none may be large
        CheckConstraint(
            "octet_length(canon) + octet_length(mac) + coalesce(octet_length(sealed), 0) <= 131072", "size"
        ),
    )


class LedgerEntry(Base):
    """One entry of one log. `canon` is the truth; every other column is a projection that verification re-derives."""

    __tablename__ = "audit_entries"

    log: Mapped[str] = mapped_column(String(40), primary_key=True)
    seq: Mapped[int] = mapped_column(BigInteger, primary_key=True, autoincrement=False)
    id: Mapped[UUID] = mapped_column(PG_UUID(as_uuid=True))
    occurred_at: Mapped[UtcTime]
    sequenced_at: Mapped[UtcTime]
    category: Mapped[str] = mapped_column(Text)
    event_type: Mapped[str] = mapped_column(Text)
    action: Mapped[str] = mapped_column(Text)
    actor: Mapped[str | None] = mapped_column(Text)
    actor_type: Mapped[str | None] = mapped_column(Text)
    outcome: Mapped[str] = mapped_column(Text)
    resource_type: Mapped[str | None] = mapped_column(Text)
    resource_id: Mapped[str | None] = mapped_column(Text)
    request_id: Mapped[str | None] = mapped_column(Text)
    incident: Mapped[str | None] = mapped_column(Text)
    leaf: Mapped[bytes] = mapped_column(LargeBinary)
    canon: Mapped[bytes] = mapped_column(LargeBinary, deferred=True)
    words: Mapped[Any] = mapped_column(TSVECTOR, Computed("audit_words(canon)", persisted=True), deferred=True)

    __table_args__ = (
        Index("ix_audit_entries_id", "id"),
        Index("ix_audit_entries_time", "occurred_at", "seq"),
        Index("ix_audit_entries_actor", "actor", "occurred_at", "seq"),
        Index("ix_audit_entries_event", "event_type", "occurred_at", "seq"),
        Index("ix_audit_entries_resource", "resource_type", "resource_id", "occurred_at", "seq"),
        Index("ix_audit_entries_request", "request_id"),
        Index(
            "ix_audit_entries_words", "words", postgresql_using="gin", postgresql_with={"gin_pending_list_limit": 512}
        ),
        {"postgresql_partition_by": "LIST (log)", "info": IS_VIEW},
    )


class LedgerHead(Base):
    """Where each log stands. Changed only by the sequencer, only from the size it read."""

    __tablename__ = "audit_heads"

    log: Mapped[str] = mapped_column(String(40), primary_key=True)
    size: Mapped[int] = mapped_column(BigInteger)
    frontier: Mapped[bytes] = mapped_column(LargeBinary)
    """The right edge of the tree (`ledger.merkle.CompactRange`)."""
    root: Mapped[bytes] = mapped_column(LargeBinary)
    sequenced_at: Mapped[UtcTime]
    mac: Mapped[bytes | None] = mapped_column(LargeBinary)
    """See `backend.audit.authentic.head_mac`; none while the log is empty."""


class LedgerNode(Base):
    """Hashes of perfect subtrees at levels 8, 16 and 24, so that a proof reads a few hundred hashes at most."""

    __tablename__ = "audit_nodes"

    log: Mapped[str] = mapped_column(String(40), primary_key=True)
    level: Mapped[int] = mapped_column(primary_key=True, autoincrement=False)
    position: Mapped[int] = mapped_column(BigInteger, primary_key=True, autoincrement=False)
    hash: Mapped[bytes] = mapped_column(LargeBinary)


class LedgerSpan(Base):
    """One partition of a log: which entries it may hold and from when to when they are."""

    __tablename__ = "audit_spans"

    log: Mapped[str] = mapped_column(String(40), primary_key=True)
    seq_from: Mapped[int] = mapped_column(BigInteger, primary_key=True, autoincrement=False)
    seq_until: Mapped[int] = mapped_column(BigInteger)
    """The first sequence number after the partition."""
    table_name: Mapped[str] = mapped_column(Text)
    time_min: Mapped[datetime | None] = mapped_column(DateTime(timezone=True))
    time_max: Mapped[datetime | None] = mapped_column(DateTime(timezone=True))


class QuarantinedEntry(Base):
    """What the sequencer could not take as an entry: kept as it came, and announced in the `meta` log."""

    __tablename__ = "audit_quarantine"

    number: Mapped[int] = mapped_column(BigInteger, Identity(always=True), primary_key=True)
    id: Mapped[UUID] = mapped_column(PG_UUID(as_uuid=True))
    """The one the row came with; several may have come with the same."""
    log: Mapped[str] = mapped_column(String(40))
    canon: Mapped[bytes] = mapped_column(LargeBinary)
    mac: Mapped[bytes] = mapped_column(LargeBinary)
    sealed: Mapped[bytes | None] = mapped_column(LargeBinary)
    """As in the outbox, until the person is erased or the values' time is over."""
    emitted_at: Mapped[UtcTime]
    quarantined_at: Mapped[UtcTime]
    reason: Mapped[str] = mapped_column(Text)

    __table_args__ = (
        Index("ix_audit_quarantine_id", "id"),
        Index("ix_audit_quarantine_sealed", "log", "emitted_at", postgresql_where=text("sealed IS NOT NULL")),
    )


class Subject(Base):
    """A person as the ledger knows them: a random surrogate, and the name until it is erased."""

    __tablename__ = "audit_subjects"

    pid: Mapped[str] = mapped_column(String(60), primary_key=True)
    name: Mapped[str | None] = mapped_column(String(100), unique=True)
    created_at: Mapped[UtcTime]
    erased_at: Mapped[datetime | None] = mapped_column(DateTime(timezone=True))


class SubjectKey(Base):
    """A subject's data key, wrapped by the master key; the wrapped bytes are gone once the subject is erased."""

    __tablename__ = "audit_subject_keys"

    id: Mapped[IdColumn]
    subject: Mapped[str] = mapped_column(String(60), unique=True)
    master_key_id: Mapped[str] = mapped_column(String(40))
    wrapped: Mapped[bytes | None] = mapped_column(LargeBinary)
    created_at: Mapped[UtcTime]
    destroyed_at: Mapped[datetime | None] = mapped_column(DateTime(timezone=True))


class SealedField(Base):
    """The encrypted value of one personal field of one entry; the entry itself holds only the commitment."""

    __tablename__ = "audit_sealed"

    entry_id: Mapped[UUID] = mapped_column(PG_UUID(as_uuid=True), primary_key=True)
    field: Mapped[str] = mapped_column(String(64), primary_key=True)
    log: Mapped[str] = mapped_column(String(40))
    occurred_at: Mapped[UtcTime]
    subject: Mapped[str] = mapped_column(String(60))
    key_id: Mapped[UUID] = mapped_column(ForeignKey(SubjectKey.id))
    nonce: Mapped[bytes] = mapped_column(LargeBinary)
    ciphertext: Mapped[bytes] = mapped_column(LargeBinary)
    blind: Mapped[bytes | None] = mapped_column(LargeBinary)
    """Keyed hash of the normalised value, for a search for equality."""

    __table_args__ = (
        Index("ix_audit_sealed_subject", "subject"),
        Index("ix_audit_sealed_blind", "blind", "occurred_at", "entry_id"),
        Index("ix_audit_sealed_age", "occurred_at", postgresql_using="brin"),
    )


class AuditLog(Base):
    """The audit log as the compliance document draws it: a view of the ledger and of what is about to enter it."""

    __tablename__ = "audit_logs"
    __table_args__ = {"info": IS_VIEW}

    id: Mapped[IdColumn]
    log: Mapped[str]
    seq: Mapped[int | None]
    timestamp: Mapped[UtcTime]
    category: Mapped[str]
    event_type: Mapped[str]
    user_id: Mapped[str | None]
    ip_address: Mapped[str | None] = mapped_column(INET)
    """Always NULL: addresses are sealed; who may see one reveals it through the API."""
    user_agent: Mapped[str | None]
    action: Mapped[str]
    resource_type: Mapped[str | None]
    resource_id: Mapped[str | None]
    old_value: Mapped[dict[str, Any] | None] = mapped_column(JSONB)
    new_value: Mapped[dict[str, Any] | None] = mapped_column(JSONB)
    result: Mapped[str]
    error_message: Mapped[str | None]
    entry_metadata: Mapped[dict[str, Any]] = mapped_column("metadata", JSONB)
    hash: Mapped[str]


def is_made_by_hand(table: Table) -> bool:
    """Whether a migration makes the table with SQL of its own."""
    return bool(table.info.get("is_view"))
