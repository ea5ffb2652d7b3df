"""Tables of trades, of their hourly sums, and of file imports under way."""

from datetime import datetime
from decimal import Decimal
from uuid import UUID

from sqlalchemy import BigInteger, DateTime, ForeignKey, Index, Integer, Numeric, String, UniqueConstraint, text
from sqlalchemy.orm import Mapped, mapped_column

from backend.db import ETH_COLUMN, USD_COLUMN, Base, IdColumn, Json, UtcTime


class TransactionRow(Base):
    """One trade; NULL means the source did not say."""

    __tablename__ = "mev_transactions"

    id: Mapped[IdColumn]
    chain: Mapped[str] = mapped_column(String(100))
    tx_hash: Mapped[str] = mapped_column(String(100))
    block_time: Mapped[UtcTime]
    block_number: Mapped[int | None] = mapped_column(BigInteger)
    chain_id: Mapped[int | None] = mapped_column(BigInteger)
    source: Mapped[str] = mapped_column(String(100))
    wallet: Mapped[str] = mapped_column(String(100))
    to_address: Mapped[str] = mapped_column(String(100))
    strategy: Mapped[str] = mapped_column(String(100))
    label: Mapped[str] = mapped_column(String(500))
    executor: Mapped[str] = mapped_column(String(100))
    profit_usd: Mapped[Decimal | None] = mapped_column(USD_COLUMN)
    gas_cost_usd: Mapped[Decimal | None] = mapped_column(USD_COLUMN)
    profit_eth: Mapped[Decimal | None] = mapped_column(ETH_COLUMN)
    gas_cost_eth: Mapped[Decimal | None] = mapped_column(ETH_COLUMN)
    paid_to_builder_eth: Mapped[Decimal | None] = mapped_column(ETH_COLUMN)
    volume_usd: Mapped[Decimal | None] = mapped_column(USD_COLUMN)
    eth_usd: Mapped[Decimal | None] = mapped_column(USD_COLUMN)
    status: Mapped[str] = mapped_column(String(50))
    outcome: Mapped[str] = mapped_column(String(10))
    recorded_at: Mapped[UtcTime]
    import_id: Mapped[UUID | None] = mapped_column(ForeignKey("imports.id", ondelete="RESTRICT"))

    __table_args__ = (
        UniqueConstraint("chain", "tx_hash"),
        Index("ix_mev_transactions_time", "block_time", "id"),
        Index("ix_mev_transactions_chain_time", "chain", "block_time"),
        Index("ix_mev_transactions_strategy_time", "strategy", "block_time"),
        Index("ix_mev_transactions_wallet_time", "wallet", "block_time"),
        Index("ix_mev_transactions_import", "import_id", postgresql_where=text("import_id IS NOT NULL")),
    )


class TransactionHour(Base):
    """Sums of the trades of one hour, chain, strategy and wallet, kept in step by the statement that stores trades.

    A day is at most 24 of these a wallet, so that an assessment costs the same with a hundred or a million trades.
    """

    __tablename__ = "transaction_hours"

    hour: Mapped[UtcTime] = mapped_column(primary_key=True)
    chain: Mapped[str] = mapped_column(String(100), primary_key=True)
    strategy: Mapped[str] = mapped_column(String(100), primary_key=True)
    wallet: Mapped[str] = mapped_column(String(100), primary_key=True)
    trades: Mapped[int] = mapped_column(Integer)
    profit_eth: Mapped[Decimal] = mapped_column(Numeric)
    """Net; over the trades whose profit is known."""
    profit_unknown: Mapped[int] = mapped_column(Integer)
    gas_eth: Mapped[Decimal] = mapped_column(Numeric)
    gas_unknown: Mapped[int] = mapped_column(Integer)
    succeeded: Mapped[int] = mapped_column(Integer)
    failed: Mapped[int] = mapped_column(Integer)
    reportable: Mapped[int] = mapped_column(Integer)
    """Trades at or above the policy's reporting threshold when they were stored."""


class Import(Base):
    """One file import: staged rows become transactions at commit, all together."""

    __tablename__ = "imports"

    id: Mapped[IdColumn]
    filename: Mapped[str] = mapped_column(String(500))
    sha256: Mapped[str] = mapped_column(String(64))
    started_by: Mapped[str] = mapped_column(String(100))
    started_at: Mapped[UtcTime]
    committed_at: Mapped[datetime | None] = mapped_column(DateTime(timezone=True))
    imported: Mapped[int] = mapped_column(Integer, default=0)
    unchanged: Mapped[int] = mapped_column(Integer, default=0)

    __table_args__ = (Index("ix_imports_open", "started_at", postgresql_where=text("committed_at IS NULL")),)


class StagedTransaction(Base):
    """One parsed line of an import that is not committed yet."""

    __tablename__ = "staged_transactions"

    import_id: Mapped[UUID] = mapped_column(ForeignKey("imports.id", ondelete="CASCADE"), primary_key=True)
    line: Mapped[int] = mapped_column(Integer, primary_key=True)
    body: Mapped[Json]
