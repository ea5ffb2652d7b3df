"""Tables of the stream and of monitor leadership."""

from datetime import datetime

from sqlalchemy import BigInteger, DateTime, Identity, String, func
from sqlalchemy.orm import Mapped, mapped_column

from backend.db import Base, Json, UtcTime


class StreamEvent(Base):
    """One event of `/v1/stream`, kept for a while so that consoles can resume."""

    __tablename__ = "stream_events"

    id: Mapped[int] = mapped_column(BigInteger, Identity(), primary_key=True)
    topic: Mapped[str] = mapped_column(String(30))
    payload: Mapped[Json]
    created_at: Mapped[datetime] = mapped_column(DateTime(timezone=True), server_default=func.now(), index=True)


class LeaderLease(Base):
    """Who leads a monitor, until when by the database's clock, and under which fencing number."""

    __tablename__ = "leader_leases"

    name: Mapped[str] = mapped_column(String(50), primary_key=True)
    holder: Mapped[str] = mapped_column(String(100))
    fence: Mapped[int] = mapped_column(BigInteger)
    expires_at: Mapped[UtcTime]
