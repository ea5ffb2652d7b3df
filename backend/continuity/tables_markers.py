"""The table of marker rows: one row a write of a drill, so that what a failover lost can be counted."""

from sqlalchemy import BigInteger, String
from sqlalchemy.orm import Mapped, mapped_column

from backend.db import Base, UtcTime


class RecoveryMarker(Base):
    """One write of a drill; it is there if, and only if, the primary of now has it."""

    __tablename__ = "recovery_markers"

    drill: Mapped[str] = mapped_column(String(40), primary_key=True)
    seq: Mapped[int] = mapped_column(BigInteger, primary_key=True, autoincrement=False)
    written_at: Mapped[UtcTime]
    """By the clock of the backend that wrote it."""
