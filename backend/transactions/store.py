"""Moves normalised rows into the table and keeps the hourly sums in step. Owns the SQL of storing; decides nothing.

Keys are inserted in sorted order and sums are updated in sorted order after them, so that two batches with the same
trades wait for one another and never deadlock.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime
from decimal import Decimal
from typing import Any
from uuid import UUID

import orjson
from sqlalchemy import (
    BigInteger,
    Date,
    DateTime,
    Integer,
    Numeric,
    String,
    Subquery,
    TableValuedAlias,
    Uuid,
    bindparam,
    case,
    cast,
    column,
    func,
    literal,
    select,
    true,
)
from sqlalchemy.dialects.postgresql import JSONB, array, insert
from sqlalchemy.ext.asyncio import AsyncSession
from sqlalchemy.sql.dml import ReturningInsert
from sqlalchemy.sql.expression import ColumnElement, Select

from backend.transactions.rows import CONTENT
from backend.transactions.sums import SUMMED, Sums
from backend.transactions.tables import StagedTransaction, TransactionHour, TransactionRow
from contract.transactions import Outcome, RefusedRow

_FIELDS: tuple[Any, ...] = (
    column("id", Uuid),
    column("chain", String),
    column("tx_hash", String),
    column("block_time", DateTime(timezone=True)),
    column("block_number", BigInteger),
    column("chain_id", BigInteger),
    *(column(name, String) for name in ("source", "wallet", "to_address", "strategy", "label", "executor")),
    *(column(name, Numeric(38, 18)) for name in ("profit_usd", "gas_cost_usd", "profit_eth", "gas_cost_eth")),
    *(column(name, Numeric(38, 18)) for name in ("paid_to_builder_eth", "volume_usd", "eth_usd")),
    column("status", String),
    column("outcome", String),
)
_NAMES = tuple(field.name for field in _FIELDS)
_MAX_REFUSALS_REPORTED = 1_000
"""A file that is wrong in every line is told so in its first thousand."""


@dataclass(frozen=True, slots=True)
class Added(Sums):
    """What one store added to one day of one chain, strategy and wallet."""

    day: date
    chain: str
    strategy: str
    wallet: str
    first: datetime
    last: datetime


def _records(rows: Sequence[Any], *fields: Any, name: str) -> TableValuedAlias:
    """Rows as a relation. They travel as one JSON text: an array parameter is escaped value by value, far slower."""
    parameter = cast(literal(orjson.dumps(rows).decode(), String), JSONB)
    return func.jsonb_to_recordset(parameter).table_valued(*fields).render_derived(name=name, with_types=True)


def rows_of_batch(rows: Sequence[dict[str, Any]]) -> Select[Any]:
    """A batch as a relation; amounts travel as exact text."""
    return select(*_records(rows, column("line", Integer), *_FIELDS, name="incoming").c)


def lines_with_bodies(bodies: Mapping[int, dict[str, Any]]) -> TableValuedAlias:
    """Staged lines as a relation of `line` and `body`."""
    rows = [{"line": line, "body": body} for line, body in bodies.items()]
    return _records(rows, column("line", Integer), column("body", JSONB), name="staged")


def rows_of_import(import_id: UUID) -> Select[Any]:
    """The lines of an import that were not refused when they were staged."""
    body = (
        func.jsonb_to_record(StagedTransaction.body)
        .table_valued(*_FIELDS)
        .render_derived(name="incoming", with_types=True)
        .lateral()
    )
    return (
        select(StagedTransaction.line, *body.c)
        .join_from(StagedTransaction, body, true())
        .where(StagedTransaction.import_id == import_id, ~StagedTransaction.body.has_key("refused"))
    )


def _net(eth: ColumnElement[Any], usd: ColumnElement[Any], price: ColumnElement[Any]) -> ColumnElement[Any]:
    return func.coalesce(eth, func.round(usd / func.nullif(price, 0), 18))


def _count(condition: ColumnElement[bool]) -> ColumnElement[Any]:
    return func.count().filter(condition)


def _hourly(fresh: Any, reporting_threshold_usd: Decimal) -> Select[Any]:
    profit = _net(fresh.c.profit_eth, fresh.c.profit_usd, fresh.c.eth_usd)
    gas = _net(fresh.c.gas_cost_eth, fresh.c.gas_cost_usd, fresh.c.eth_usd)
    key = (func.date_trunc("hour", fresh.c.block_time, "UTC"), fresh.c.chain, fresh.c.strategy, fresh.c.wallet)
    return (
        select(
            key[0].label("hour"),
            *key[1:],
            func.count().label("trades"),
            func.coalesce(func.sum(profit), 0).label("profit_eth"),
            _count(profit.is_(None)).label("profit_unknown"),
            func.coalesce(func.sum(gas), 0).label("gas_eth"),
            _count(gas.is_(None)).label("gas_unknown"),
            _count(fresh.c.outcome == Outcome.SUCCESS.value).label("succeeded"),
            _count(fresh.c.outcome == Outcome.FAILED.value).label("failed"),
            _count(fresh.c.volume_usd >= reporting_threshold_usd).label("reportable"),
            func.min(fresh.c.block_time).label("first"),
            func.max(fresh.c.block_time).label("last"),
        )
        .group_by(*key)
        .order_by(*key)
    )


def inserting(incoming: Select[Any], recorded_at: datetime, import_id: UUID | None) -> ReturningInsert[Any]:
    """The statement that inserts the rows whose (chain, tx_hash) is not stored yet and answers with these."""
    lines = incoming.subquery("lines")
    first_come_first = select(
        *(lines.c[name] for name in _NAMES),
        literal(recorded_at, DateTime(timezone=True)),
        literal(import_id, Uuid),
    ).order_by(lines.c.chain, lines.c.tx_hash, lines.c.line)
    return (
        insert(TransactionRow)
        .from_select([*_NAMES, "recorded_at", "import_id"], first_come_first)
        .on_conflict_do_nothing(index_elements=["chain", "tx_hash"])
        .returning(*(getattr(TransactionRow, name) for name in _NAMES))
    )


async def add_new(
    session: AsyncSession,
    incoming: Select[Any],
    *,
    recorded_at: datetime,
    import_id: UUID | None,
    reporting_threshold_usd: Decimal,
) -> list[Added]:
    """Insert the rows whose (chain, tx_hash) is not stored yet and add them to the hourly sums, in one statement.

    The first of several lines with one key wins; what the others say is for `differing` to find.
    """
    fresh = inserting(incoming, recorded_at, import_id).cte("fresh")
    hourly = _hourly(fresh, reporting_threshold_usd).cte("hourly")
    names = [name for name in hourly.c.keys() if name not in {"first", "last"}]  # noqa: SIM118  a column collection
    sums = insert(TransactionHour).from_select(names, select(*(hourly.c[name] for name in names)))
    summed = sums.on_conflict_do_update(
        index_elements=["hour", "chain", "strategy", "wallet"],
        set_={name: TransactionHour.__table__.c[name] + sums.excluded[name] for name in names[4:]},
    ).cte("summed")
    found = await session.execute(_daily(hourly).add_cte(summed))
    return [Added(*row) for row in found]


def _daily(hourly: Any) -> Select[Any]:
    day = cast(func.timezone("UTC", hourly.c.hour), Date)
    key = (day, hourly.c.chain, hourly.c.strategy, hourly.c.wallet)
    sums = [
        func.sum(hourly.c[name]) if name.endswith("_eth") else cast(func.sum(hourly.c[name]), BigInteger)
        for name in SUMMED
    ]
    return select(*sums, *key, func.min(hourly.c.first), func.max(hourly.c.last)).group_by(*key)


async def differing(session: AsyncSession, incoming: Select[Any]) -> list[RefusedRow]:
    """Lines whose (chain, tx_hash) is stored with other values, with the names of the fields that differ."""
    lines: Subquery = incoming.subquery("lines")
    stored = TransactionRow.__table__.c
    names = [case((lines.c[name].is_distinct_from(stored[name]), literal(name, String))) for name in CONTENT]
    differences = func.array_to_string(array(names), ", ")
    query = (
        select(lines.c.line, differences.label("fields"))
        .join(TransactionRow, (stored.chain == lines.c.chain) & (stored.tx_hash == lines.c.tx_hash))
        .where(differences != "")
        .order_by(lines.c.line)
        .limit(bindparam("most", _MAX_REFUSALS_REPORTED))
    )
    found = await session.execute(query)
    return [RefusedRow(line=line, reason=f"already stored with other values ({fields})") for line, fields in found]
