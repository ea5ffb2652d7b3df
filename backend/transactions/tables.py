"""Tables of trades and of file imports under way."""

from datetime import datetime
from decimal import Decimal
from uuid import UUID

from sqlalchemy import BigInteger, DateTime, ForeignKey, Index, Integer, String, UniqueConstraint
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
    )


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


class StagedTransaction(Base):
    """One parsed line of an import that is not committed yet."""

    __tablename__ = "staged_transactions"

    import_id: Mapped[UUID] = mapped_column(ForeignKey("imports.id", ondelete="CASCADE"), primary_key=True)
    line: Mapped[int] = mapped_column(Integer, primary_key=True)
    body: Mapped[Json]
