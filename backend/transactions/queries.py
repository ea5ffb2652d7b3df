"""Reading trades: the keyset-paged list, and the sums the risk rules are computed from. Changes nothing."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta
from decimal import Decimal
from typing import Any

from sqlalchemy import BigInteger, Date, Select, String, cast, func, literal, select, true
from sqlalchemy.dialects.postgresql import ARRAY
from sqlalchemy.ext.asyncio import AsyncSession
from sqlalchemy.sql.expression import ColumnElement

from backend.paging import count_capped, cut_page, newest_first
from backend.transactions.rows import CANARY_SOURCE, hexadecimal_in_lower_case
from backend.transactions.sums import SUMMED, Sums
from backend.transactions.tables import TransactionHour, TransactionRow
from contract.base import Page
from contract.scope import Scope, ScopeKind
from contract.transactions import Outcome, Transaction

_HOURS = TransactionHour.__table__.c
_ROWS = TransactionRow.__table__.c
_NEWEST_TRADES = 1_000
"""Trades among which the last delivery is looked for: an index's end, however many there are."""


@dataclass(frozen=True, slots=True)
class TransactionFilter:
    """What a page of trades is narrowed to; None leaves a field open. `since` is included, `until` is not."""

    chain: str | None = None
    strategy: str | None = None
    wallet: str | None = None
    outcome: Outcome | None = None
    since: datetime | None = None
    until: datetime | None = None

    def conditions(self) -> list[ColumnElement[bool]]:
        """The filter as SQL conditions."""
        found: list[ColumnElement[bool]] = []
        if self.chain is not None:
            found.append(_ROWS.chain == self.chain.strip().lower())
        if self.strategy is not None:
            found.append(_ROWS.strategy == self.strategy)
        if self.wallet is not None:
            found.append(_ROWS.wallet == hexadecimal_in_lower_case(self.wallet.strip()))
        if self.outcome is not None:
            found.append(_ROWS.outcome == self.outcome.value)
        if self.since is not None:
            found.append(_ROWS.block_time >= self.since)
        if self.until is not None:
            found.append(_ROWS.block_time < self.until)
        return found


async def list_transactions(
    session: AsyncSession, wanted: TransactionFilter, *, cursor: str | None, limit: int, as_of: datetime
) -> Page[Transaction]:
    """One page of trades, newest block first, with the count of matches up to the cap on the first page.

    Raises:
        WatchfloorError: INVALID_REQUEST for a cursor that is not ours.
    """
    conditions = wanted.conditions()
    query = newest_first(select(TransactionRow).where(*conditions), _ROWS.block_time, _ROWS.id, cursor, limit)
    rows = (await session.scalars(query)).all()
    total = await count_capped(session, TransactionRow, conditions) if cursor is None else None
    page, more = cut_page(rows, limit, lambda row: (row.block_time, row.id))
    return Page(items=[_wire(row) for row in page], next_cursor=more, total=total, as_of=as_of)


def _wire(row: TransactionRow) -> Transaction:
    values = {name: getattr(row, name) for name in Transaction.model_fields}
    return Transaction.model_validate({**values, "id": str(row.id)})


@dataclass(frozen=True, slots=True)
class TradeSums(Sums):
    """Sums over the trades of one chain, strategy and wallet."""

    reportable: int
    chain: str
    strategy: str
    wallet: str


@dataclass(frozen=True, slots=True)
class RecentSums:
    """One chain, strategy and wallet over the three periods an assessment needs."""

    today: TradeSums
    window_succeeded: int
    window_failed: int
    pace_profit_eth: Decimal
    """Net profit of about the last 60 minutes: this hour's, and the last hour's share that lies within them."""
    pace_gas_eth: Decimal


@dataclass(frozen=True, slots=True)
class HourSums(Sums):
    """All trades of one hour."""

    hour: datetime


def midnight(day: date) -> datetime:
    """The instant a UTC day begins."""
    return datetime.combine(day, time(), UTC)


def hour_of(instant: datetime) -> datetime:
    """The instant its hour began."""
    return instant.astimezone(UTC).replace(minute=0, second=0, microsecond=0)


_SUMMED = (*SUMMED, "reportable")


def _sums(condition: ColumnElement[bool] | None = None, names: Sequence[str] = _SUMMED) -> list[ColumnElement[Any]]:
    def total(name: str) -> ColumnElement[Any]:
        plain = func.sum(_HOURS[name])
        summed = func.coalesce(plain if condition is None else plain.filter(condition), 0)
        return summed if name.endswith("_eth") else cast(summed, BigInteger)

    return [total(name) for name in names]


async def recent_sums(session: AsyncSession, now: datetime, *, window_since: datetime) -> list[RecentSums]:
    """Everything traded today or since the window began, one row a chain, strategy and wallet."""
    today = midnight(now.astimezone(UTC).date())
    this_hour = hour_of(now)
    last_hour = this_hour - timedelta(hours=1)
    share = Decimal(3600 - int((now - this_hour).total_seconds())) / 3600
    key = (_HOURS.chain, _HOURS.strategy, _HOURS.wallet)
    paced = ("profit_eth", "gas_eth")
    query = (
        select(
            *_sums(_HOURS.hour >= today),
            *key,
            *_sums(_HOURS.hour >= window_since, ("succeeded", "failed")),
            *_sums(_HOURS.hour >= this_hour, paced),
            *_sums(_HOURS.hour == last_hour, paced),
        )
        .where(_HOURS.hour >= min(today, window_since, last_hour))
        .group_by(*key)
    )
    found = (await session.execute(query)).all()
    width = len(key) + len(_SUMMED)
    return [
        RecentSums(TradeSums(*row[:width]), won, lost, profit + share * profit_before, gas + share * gas_before)
        for row in found
        for won, lost, profit, gas, profit_before, gas_before in [row[width:]]
    ]


async def hourly_sums(session: AsyncSession, since: datetime) -> list[HourSums]:
    """All trades hour by hour, oldest first; hours without trades are absent."""
    query: Select[Any] = select(*_sums(names=SUMMED), _HOURS.hour).where(_HOURS.hour >= since)
    found = await session.execute(query.group_by(_HOURS.hour).order_by(_HOURS.hour))
    return [HourSums(*row) for row in found]


async def day_sums(session: AsyncSession, days: Sequence[date]) -> list[tuple[date, TradeSums]]:
    """The sums of whole UTC days, one row a day, chain, strategy and wallet."""
    if not days:
        return []
    day = cast(func.timezone("UTC", _HOURS.hour), Date)
    key = (_HOURS.chain, _HOURS.strategy, _HOURS.wallet)
    query = (
        select(day, *_sums(), *key)
        .where(_HOURS.hour >= midnight(min(days)), _HOURS.hour < midnight(max(days) + timedelta(days=1)))
        .where(day.in_(set(days)))
        .group_by(day, *key)
    )
    return [(row[0], TradeSums(*row[1:])) for row in await session.execute(query)]


@dataclass(frozen=True, slots=True)
class OutcomeSums:
    """Outcomes of one chain, strategy and wallet within a scope's window."""

    chain: str
    strategy: str
    wallet: str
    succeeded: int
    failed: int


def _windows(kind: ScopeKind, names: Sequence[str], *, size: int, since: datetime, by_place: bool) -> Select[Any]:
    """The newest decided trades of every named scope of one kind: one index scan a scope, one statement for all."""
    parameter = cast(literal(list(names), ARRAY(String)), ARRAY(String))
    wanted = func.unnest(parameter).table_valued("name").render_derived(name="wanted")
    newest = select(_ROWS.chain, _ROWS.strategy, _ROWS.wallet, _ROWS.outcome).where(
        _ROWS.block_time >= since, _ROWS.outcome != Outcome.UNKNOWN.value, _ROWS.source != CANARY_SOURCE
    )
    if kind is not ScopeKind.GLOBAL:
        newest = newest.where(_ROWS[kind.value] == wanted.c.name)
    rows = newest.order_by(_ROWS.block_time.desc(), _ROWS.id.desc()).limit(size).lateral("newest")
    won = func.count().filter(rows.c.outcome == Outcome.SUCCESS.value)
    lost = func.count().filter(rows.c.outcome == Outcome.FAILED.value)
    place = (rows.c.chain, rows.c.strategy, rows.c.wallet) if by_place else ()
    return select(wanted.c.name, *place, won, lost).join_from(wanted, rows, true()).group_by(wanted.c.name, *place)


async def outcome_windows(
    session: AsyncSession, scopes: Sequence[Scope], *, size: int, since: datetime
) -> dict[Scope, list[OutcomeSums]]:
    """For each scope, its last `size` trades with a known outcome by block time, none older than `since`."""
    windows: dict[Scope, list[OutcomeSums]] = {scope: [] for scope in scopes}
    for scope, *sums in await _of_scopes(session, scopes, size=size, since=since, by_place=True):
        windows[scope].append(OutcomeSums(*sums))
    return windows


async def outcome_totals(
    session: AsyncSession, scopes: Sequence[Scope], *, size: int, since: datetime
) -> dict[Scope, tuple[int, int]]:
    """For each scope, how many of the trades of `outcome_windows` succeeded and failed, wherever that was."""
    found = await _of_scopes(session, scopes, size=size, since=since, by_place=False)
    return dict.fromkeys(scopes, (0, 0)) | {scope: (succeeded, failed) for scope, succeeded, failed in found}


async def _of_scopes(
    session: AsyncSession, scopes: Sequence[Scope], *, size: int, since: datetime, by_place: bool
) -> list[tuple[Any, ...]]:
    found: list[tuple[Any, ...]] = []
    for kind in ScopeKind:
        of_kind = {scope.name: scope for scope in scopes if scope.kind is kind}
        if of_kind:
            query = _windows(kind, list(of_kind), size=size, since=since, by_place=by_place)
            found += [(of_kind[name], *rest) for name, *rest in (await session.execute(query)).all()]
    return found


async def last_delivery_at(session: AsyncSession) -> datetime | None:
    """When a trade last came by itself, not in a file; None if none has among the newest."""
    newest = (
        select(_ROWS.recorded_at, _ROWS.import_id)
        .where(_ROWS.source != CANARY_SOURCE)
        .order_by(_ROWS.block_time.desc(), _ROWS.id.desc())
        .limit(_NEWEST_TRADES)
        .subquery()
    )
    query = select(func.max(newest.c.recorded_at)).where(newest.c.import_id.is_(None))
    last: datetime | None = (await session.execute(query)).scalar_one()
    return last
