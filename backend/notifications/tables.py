"""Tables of notifications: what waits and what was sent, what a channel may take, and what has been looked at.

No table holds a channel's address.
"""

from datetime import datetime
from uuid import UUID

from sqlalchemy import BigInteger, DateTime, Index, Integer, SmallInteger, String, Text, UniqueConstraint, text
from sqlalchemy.orm import Mapped, mapped_column

from backend.db import Base, IdColumn, UtcTime

MAX_EVENT_CHARS = 100
MAX_SUBJECT_CHARS = 100


class NotificationRow(Base):
    """One notification to one channel."""

    __tablename__ = "notifications"
    __table_args__ = (
        UniqueConstraint("channel", "subject_kind", "subject_id", "event", name="uq_notifications_once"),
        Index(
            "ix_notifications_waiting",
            "channel",
            "gravity",
            "queued_at",
            postgresql_where=text("state IN ('queued', 'failed')"),
        ),
        Index("ix_notifications_uncounted", "channel", postgresql_where=text("rate_spent AND counted_in IS NULL")),
        Index("ix_notifications_time", "queued_at", "id"),
        Index("ix_notifications_subject", "subject_kind", "subject_id"),
    )

    id: Mapped[IdColumn]
    channel: Mapped[str] = mapped_column(String(100))
    subject_kind: Mapped[str] = mapped_column(String(20))
    subject_id: Mapped[str] = mapped_column(String(MAX_SUBJECT_CHARS))
    event: Mapped[str] = mapped_column(String(MAX_EVENT_CHARS))
    """What happened to the subject: told to a channel at most once."""
    severity: Mapped[str] = mapped_column(String(20))
    gravity: Mapped[int] = mapped_column(SmallInteger)
    """Lower goes first: the place of the severity, or before them all."""
    title: Mapped[str] = mapped_column(Text)
    body: Mapped[str] = mapped_column(Text)
    """Kept until it has left or will not any more."""
    state: Mapped[str] = mapped_column(String(20))
    attempts: Mapped[int] = mapped_column(Integer, server_default=text("0"))
    queued_at: Mapped[UtcTime]
    sent_at: Mapped[datetime | None] = mapped_column(DateTime(timezone=True))
    next_at: Mapped[datetime | None] = mapped_column(DateTime(timezone=True))
    """When it is tried next; while one is trying, when that one is taken for dead. NULL once it is over."""
    reason: Mapped[str | None] = mapped_column(Text)
    rate_spent: Mapped[bool] = mapped_column(server_default=text("false"))
    """It was held back because its channel's rate was spent."""
    counted_in: Mapped[UUID | None]
    """The digest that told how many were held back, this one among them."""


class NotificationRate(Base):
    """What a channel has taken, as the instant at which its allowance is whole again."""

    __tablename__ = "notification_rates"

    channel: Mapped[str] = mapped_column(String(100), primary_key=True)
    whole_at: Mapped[UtcTime]


class NotificationCursor(Base):
    """How far the history of alerts has been looked at; one row."""

    __tablename__ = "notification_cursor"

    id: Mapped[int] = mapped_column(Integer, primary_key=True, autoincrement=False)
    alert_event: Mapped[int] = mapped_column(BigInteger, server_default=text("0"))
