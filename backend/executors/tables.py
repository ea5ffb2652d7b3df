"""Table of executors: one row a bot, overwritten by its reports."""

from datetime import datetime
from decimal import Decimal

from sqlalchemy import BigInteger, DateTime, Index, Integer, String
from sqlalchemy.orm import Mapped, mapped_column

from backend.db import ETH_COLUMN, Base, UtcTime


class ExecutorRow(Base):
    """The last report of one executor."""

    __tablename__ = "executors"

    name: Mapped[str] = mapped_column(String(100), primary_key=True)
    chain: Mapped[str] = mapped_column(String(100))
    strategy: Mapped[str] = mapped_column(String(100))
    wallet: Mapped[str] = mapped_column(String(100))
    boot_id: Mapped[str] = mapped_column(String(64))
    position_eth: Mapped[Decimal | None] = mapped_column(ETH_COLUMN)
    open_orders: Mapped[int | None] = mapped_column(Integer)
    in_flight: Mapped[int | None] = mapped_column(Integer)
    last_order_seq: Mapped[int] = mapped_column(BigInteger, default=0)
    halted_epoch: Mapped[int] = mapped_column(BigInteger, default=0)
    registered_at: Mapped[UtcTime]
    last_seen_at: Mapped[UtcTime]
    changed_at: Mapped[UtcTime]
    """When anything but last_seen_at last changed."""
    permit_until: Mapped[datetime | None] = mapped_column(DateTime(timezone=True))
    """Latest instant at which a permit this executor was given can still be alive, by the database's clock."""

    __table_args__ = (Index("ix_executors_scope", "chain", "strategy", "wallet"),)
