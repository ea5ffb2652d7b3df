"""Table of what callers may still ask, shared by all backends of a database. Holds no name, address or token."""

from sqlalchemy import BigInteger, String
from sqlalchemy.orm import Mapped, mapped_column

from backend.db import Base


class RequestAllowance(Base):
    """One caller's account for one class of requests; a row that is full again says as much as none."""

    __tablename__ = "request_allowances"
    __table_args__ = {"prefixes": ["UNLOGGED"]}

    key: Mapped[str] = mapped_column(String(80), primary_key=True)
    interval_us: Mapped[int] = mapped_column(BigInteger)
    """Time in which one more request is allowed (µs)."""
    burst: Mapped[int] = mapped_column(BigInteger)
    granted: Mapped[int] = mapped_column(BigInteger)
    """What the last asking got."""
    asked_at_us: Mapped[int] = mapped_column(BigInteger)
    full_at_us: Mapped[int] = mapped_column(BigInteger)
    """When the whole burst is there again, if nobody asks (µs since 1970, by the database's clock)."""
