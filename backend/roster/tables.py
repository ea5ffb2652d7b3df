"""Tables of the roster: one row a bot, overwritten by its reports, and the processes that ran under its name."""

from datetime import datetime
from decimal import Decimal

from sqlalchemy import BigInteger, Boolean, DateTime, ForeignKey, Index, Integer, String, text
from sqlalchemy.orm import Mapped, mapped_column

from backend.db import ETH_COLUMN, Base, UtcTime
from contract.gate import PUBLIC_KEY_CHARS


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
    seen_epoch: Mapped[int] = mapped_column(BigInteger, server_default=text("0"))
    """The newest hold over it that it says it was told of."""
    idle_ms: Mapped[int | None] = mapped_column(Integer)
    """How long its own code had not asked its gate anything when it reported."""
    bounded: Mapped[bool] = mapped_column(Boolean, server_default=text("true"))
    """Whether what trades asks before each send; false behind an adapter, where a dead permit stops nothing."""
    in_drills: Mapped[bool] = mapped_column(Boolean, server_default=text("true"))
    """Whether it obeys drills' holds."""
    registered_at: Mapped[UtcTime]
    last_seen_at: Mapped[UtcTime]
    changed_at: Mapped[UtcTime]
    """When anything but last_seen_at, permit_until and idle_ms last changed."""
    permit_until: Mapped[datetime | None] = mapped_column(DateTime(timezone=True))
    """No permit this executor was given is alive after this instant, by the database's clock."""

    __table_args__ = (Index("ix_executors_scope", "chain", "strategy", "wallet"),)


class ExecutorShown(Base):
    """What consoles were last told of an executor, so that a change is published once, also across a change of leader.

    Apart from its report, because whoever publishes must never hold up a report, hence a permit.
    """

    __tablename__ = "executors_shown"

    executor: Mapped[str] = mapped_column(ForeignKey("executors.name", ondelete="RESTRICT"), primary_key=True)
    told: Mapped[str] = mapped_column(String(200))


class ExecutorBoot(Base):
    """One process that ran under an executor's name. The newest holds the name; an older one never gets it back."""

    __tablename__ = "executor_boots"

    executor: Mapped[str] = mapped_column(ForeignKey("executors.name", ondelete="RESTRICT"), primary_key=True)
    boot_id: Mapped[str] = mapped_column(String(64), primary_key=True)
    first_seen_at: Mapped[UtcTime]
    public_key: Mapped[str | None] = mapped_column(String(PUBLIC_KEY_CHARS))
    """Verifies what the process signs; base64url. None for one that signs nothing."""
