"""Tables of signed heads: checkpoints, who witnessed them, the keys they are signed with, and what was found wrong.

They make the evidence easy to find; it counts only because signer and witnesses hold it too. Old heads are thinned
(`backend.audit.heads.thinning`): each covers everything before it.
"""

from datetime import datetime
from uuid import UUID

from sqlalchemy import BigInteger, DateTime, Index, LargeBinary, String, Text, text
from sqlalchemy.orm import Mapped, mapped_column

from backend.db import Base, IdColumn, UtcTime


class SignedHead(Base):
    """One checkpoint as the signer signed it."""

    __tablename__ = "audit_checkpoints"

    origin: Mapped[str] = mapped_column(String(120), primary_key=True)
    size: Mapped[int] = mapped_column(BigInteger, primary_key=True, autoincrement=False)
    log: Mapped[str] = mapped_column(String(40))
    root: Mapped[bytes] = mapped_column(LargeBinary)
    epoch: Mapped[int]
    note: Mapped[bytes] = mapped_column(LargeBinary)
    signed_at: Mapped[UtcTime]

    __table_args__ = (Index("ix_audit_checkpoints_time", "origin", "signed_at", "size"),)


class Cosignature(Base):
    """That one witness holds one checkpoint. `receipt` is what it gave: a cosignature line, or nothing but its word."""

    __tablename__ = "audit_cosignatures"

    origin: Mapped[str] = mapped_column(String(120), primary_key=True)
    size: Mapped[int] = mapped_column(BigInteger, primary_key=True, autoincrement=False)
    witness: Mapped[str] = mapped_column(String(200), primary_key=True)
    receipt: Mapped[bytes] = mapped_column(LargeBinary)
    witnessed_at: Mapped[UtcTime]

    __table_args__ = (
        Index("ix_audit_cosignatures_held", "origin", "witness", "size"),
        Index("ix_audit_cosignatures_signed", "origin", "size", postgresql_where=text("length(receipt) > 0")),
    )


class EpochKey(Base):
    """The key of one day; the first has no certificate, every other one is certified by the one before."""

    __tablename__ = "audit_epochs"

    epoch: Mapped[int] = mapped_column(primary_key=True, autoincrement=False)
    vkey: Mapped[str] = mapped_column(Text)
    certificate: Mapped[bytes | None] = mapped_column(LargeBinary)
    learned_at: Mapped[UtcTime]


class Keeper(Base):
    """How the signer or one witness does, as the process that talks to it last found."""

    __tablename__ = "audit_keepers"

    name: Mapped[str] = mapped_column(String(200), primary_key=True)
    kind: Mapped[str] = mapped_column(String(20))
    """`signer` or `witness`."""
    problem: Mapped[str | None] = mapped_column(Text)
    """What keeps it from its work; NULL when nothing does."""
    since: Mapped[UtcTime]
    """When `problem` last became, or ceased to be, NULL."""
    seen_at: Mapped[UtcTime]
    """When it was last talked to, with whatever result."""


class LedgerFault(Base):
    """A log that is smaller or other than what somebody holds, or of another generation. While one is open nothing is
    appended.
    """

    __tablename__ = "audit_faults"

    id: Mapped[IdColumn]
    log: Mapped[str] = mapped_column(String(40))
    origin: Mapped[str] = mapped_column(String(120))
    kind: Mapped[str] = mapped_column(String(20))
    """`smaller`; `other`: the log's tree is not a continuation; `generation`: no approved restore led to it."""
    source: Mapped[str] = mapped_column(String(200))
    """Who holds the evidence."""
    witnessed_size: Mapped[int] = mapped_column(BigInteger)
    own_size: Mapped[int] = mapped_column(BigInteger)
    evidence: Mapped[bytes] = mapped_column(LargeBinary)
    """The signed checkpoint, byte for byte; nothing where the ledger contradicts itself."""
    found_at: Mapped[UtcTime]
    resolved_at: Mapped[datetime | None] = mapped_column(DateTime(timezone=True))

    __table_args__ = (
        Index("uq_audit_faults_open", "origin", unique=True, postgresql_where=text("resolved_at IS NULL")),
    )


class Restore(Base):
    """That two people let a ledger continue under a new generation after a fault."""

    __tablename__ = "audit_restores"

    generation: Mapped[int] = mapped_column(primary_key=True, autoincrement=False)
    reason: Mapped[str] = mapped_column(Text)
    requested_by: Mapped[str] = mapped_column(String(100))
    approved_by: Mapped[str] = mapped_column(String(100))
    restored_at: Mapped[UtcTime]
    entry_id: Mapped[UUID]
    """The first entry of the new generation's `meta` log."""
