"""Tables of retention: which copies exist, what was dropped, how long imports are kept. The latter two never change."""

from datetime import datetime
from uuid import UUID

from sqlalchemy import BigInteger, CheckConstraint, DateTime, LargeBinary, String, Text
from sqlalchemy.orm import Mapped, mapped_column

from backend.db import Base, UtcTime


class ArchiveCopy(Base):
    """One copy of one closed partition in one place, as it was when somebody last looked."""

    __tablename__ = "audit_archives"

    log: Mapped[str] = mapped_column(String(40), primary_key=True)
    seq_from: Mapped[int] = mapped_column(BigInteger, primary_key=True, autoincrement=False)
    place: Mapped[str] = mapped_column(String(300), primary_key=True)
    """As the setting names it: dir:PATH or s3://BUCKET/PREFIX."""
    seq_until: Mapped[int] = mapped_column(BigInteger)
    manifest: Mapped[str] = mapped_column(Text)
    """Name of the copy's manifest within its place."""
    sha256: Mapped[bytes | None] = mapped_column(LargeBinary)
    """Of the manifest, which names the digests of the rest; NULL until the copy was written and read back."""
    root: Mapped[bytes | None] = mapped_column(LargeBinary)
    """Root of the tree of `seq_until` entries, worked out from the copy's bytes."""
    size_bytes: Mapped[int] = mapped_column(BigInteger)
    written_at: Mapped[datetime | None] = mapped_column(DateTime(timezone=True))
    checked_sound: Mapped[datetime | None] = mapped_column(DateTime(timezone=True))
    """When it was last read back and found sound."""
    last_checked: Mapped[UtcTime]
    """When it was last tried, with whatever result."""
    state: Mapped[str] = mapped_column(String(20))
    """A `contract.retention.CopyState`."""
    problem: Mapped[str | None] = mapped_column(Text)


class ImportedLog(Base):
    """How long an imported log is kept; its row is never changed."""

    __tablename__ = "audit_imported_logs"

    log: Mapped[str] = mapped_column(String(40), primary_key=True)
    retention_days: Mapped[int | None]
    """NULL: for ever."""
    first_imported_at: Mapped[UtcTime]


class Purge(Base):
    """What is left of a dropped prefix: the edge of its tree, so that the rest can be proved and verified."""

    __tablename__ = "audit_purges"

    log: Mapped[str] = mapped_column(String(40), primary_key=True)
    first_kept_seq: Mapped[int] = mapped_column(BigInteger, primary_key=True, autoincrement=False)
    """The tree's size at the cut; everything before it is gone."""
    seq_from: Mapped[int] = mapped_column(BigInteger)
    """The first entry of the partition that was dropped."""
    edge: Mapped[bytes] = mapped_column(LargeBinary)
    """`CompactRange` of everything before the cut."""
    root: Mapped[bytes] = mapped_column(LargeBinary)
    numbers: Mapped[bytes] = mapped_column(LargeBinary)
    """Which numbers of which process the dropped entries had (`verification.purged`): they are not lost."""
    last_sequenced: Mapped[UtcTime]
    """When the last dropped entry was placed."""
    entry_id: Mapped[UUID]
    """The `ledger.partition.purged` entry of the `meta` log."""
    purged_at: Mapped[UtcTime]

    __table_args__ = (CheckConstraint("seq_from < first_kept_seq", name="not_empty"),)
