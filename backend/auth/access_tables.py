"""Tables of access that opens, closes and is looked at again: windows, elevations, reviews. Nothing here is deleted.

People are named by their accounts' ids, so that erasing a person leaves nothing to do here.
"""

from datetime import datetime
from uuid import UUID

from sqlalchemy import DateTime, ForeignKey, Index, Integer, String, Text, UniqueConstraint
from sqlalchemy.dialects.postgresql import ARRAY
from sqlalchemy.orm import Mapped, mapped_column

from backend.db import Base, IdColumn, UtcTime

_ACCOUNT = "users.id"


class AccessWindow(Base):
    """When somebody whose role has `time_based_access` may come in."""

    __tablename__ = "access_windows"
    __table_args__ = (Index("ix_access_windows_user_id_ends_at", "user_id", "ends_at"),)

    id: Mapped[IdColumn]
    user_id: Mapped[UUID] = mapped_column(ForeignKey(_ACCOUNT, ondelete="RESTRICT"))
    starts_at: Mapped[UtcTime]
    ends_at: Mapped[UtcTime]
    """Revoking a window moves this to the instant it was revoked at, if that is earlier."""
    reason: Mapped[str] = mapped_column(Text)
    granted_by: Mapped[UUID | None] = mapped_column(ForeignKey(_ACCOUNT, ondelete="RESTRICT"))
    """NULL: at the command line beside the database."""
    granted_at: Mapped[UtcTime]
    revoked_by: Mapped[UUID | None] = mapped_column(ForeignKey(_ACCOUNT, ondelete="RESTRICT"))
    revoked_at: Mapped[datetime | None] = mapped_column(DateTime(timezone=True))


class Elevation(Base):
    """Permissions that somebody asks for, or holds, for a time."""

    __tablename__ = "elevations"
    __table_args__ = (
        Index("ix_elevations_user_id_ends_at", "user_id", "ends_at"),
        Index("ix_elevations_status", "status"),
    )

    id: Mapped[IdColumn]
    user_id: Mapped[UUID] = mapped_column(ForeignKey(_ACCOUNT, ondelete="RESTRICT"))
    permissions: Mapped[list[str]] = mapped_column(ARRAY(String(50)))
    reason: Mapped[str] = mapped_column(Text)
    minutes: Mapped[int] = mapped_column(Integer)
    status: Mapped[str] = mapped_column(String(20))
    requested_at: Mapped[UtcTime]
    lapses_at: Mapped[UtcTime]
    """When a request that nobody has decided on is over."""
    decided_by: Mapped[UUID | None] = mapped_column(ForeignKey(_ACCOUNT, ondelete="RESTRICT"))
    decided_at: Mapped[datetime | None] = mapped_column(DateTime(timezone=True))
    ends_at: Mapped[datetime | None] = mapped_column(DateTime(timezone=True))
    """NULL unless it was approved. Ending it early moves this to that instant."""
    ended_by: Mapped[UUID | None] = mapped_column(ForeignKey(_ACCOUNT, ondelete="RESTRICT"))


class AccessReview(Base):
    """One look at who has what."""

    __tablename__ = "access_reviews"
    __table_args__ = (UniqueConstraint("period"),)

    id: Mapped[IdColumn]
    period: Mapped[str | None] = mapped_column(String(20))
    """What the schedule opened it for, e.g. 2026-11: one for each. NULL if a person opened it."""
    opened_at: Mapped[UtcTime]
    opened_by: Mapped[UUID | None] = mapped_column(ForeignKey(_ACCOUNT, ondelete="RESTRICT"))
    due_at: Mapped[UtcTime]
    closed_at: Mapped[datetime | None] = mapped_column(DateTime(timezone=True))
    closed_by: Mapped[UUID | None] = mapped_column(ForeignKey(_ACCOUNT, ondelete="RESTRICT"))


class AccessReviewItem(Base):
    """One account or machine's token as it was when its review was opened, and what was decided about it."""

    __tablename__ = "access_review_items"
    __table_args__ = (UniqueConstraint("review_id", "number"),)

    id: Mapped[IdColumn]
    review_id: Mapped[UUID] = mapped_column(ForeignKey("access_reviews.id", ondelete="RESTRICT"))
    number: Mapped[int] = mapped_column(Integer)
    """From 1, in the order of names: what a person types."""
    user_id: Mapped[UUID | None] = mapped_column(ForeignKey(_ACCOUNT, ondelete="RESTRICT"))
    service_token_id: Mapped[UUID | None] = mapped_column(ForeignKey("service_tokens.id", ondelete="RESTRICT"))
    role: Mapped[str] = mapped_column(String(50))
    permissions: Mapped[list[str]] = mapped_column(ARRAY(String(50)))
    since: Mapped[UtcTime]
    last_used_at: Mapped[datetime | None] = mapped_column(DateTime(timezone=True))
    findings: Mapped[list[str]] = mapped_column(ARRAY(String(50)))
    decision: Mapped[str | None] = mapped_column(String(20))
    new_role: Mapped[str | None] = mapped_column(String(50))
    decided_by: Mapped[UUID | None] = mapped_column(ForeignKey(_ACCOUNT, ondelete="RESTRICT"))
    decided_at: Mapped[datetime | None] = mapped_column(DateTime(timezone=True))
    reason: Mapped[str | None] = mapped_column(Text)
