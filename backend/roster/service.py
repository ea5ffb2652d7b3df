"""What is known of each executor from its own reports. Must never judge whether one may trade: that is `freeze`."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from typing import Any

from sqlalchemy import Row, func, select, text
from sqlalchemy.ext.asyncio import AsyncSession

from backend.errors import WatchfloorError
from backend.roster.batches import ODD_SQL, Odd, Report, asking, read_odd, register, write_reports
from backend.roster.tables import ExecutorBoot, ExecutorRow, ExecutorShown
from contract.errors import ErrorCode

__all__ = [
    "MAX_EXECUTORS", "ODD_SQL", "Facts", "Odd", "Report", "Roster", "asking", "database_now", "everyone", "mark_shown",
    "read_odd", "refuse_when_full", "register", "write_reports",
]  # fmt: skip

MAX_EXECUTORS = 5_000
"""Bounds the roster against a client that invents names; five times the largest floor we plan for."""

_EXECUTORS = ExecutorRow.__table__.c
_COLUMNS = (  # in the order of the fields of `Facts`
    _EXECUTORS.name,
    _EXECUTORS.chain,
    _EXECUTORS.strategy,
    _EXECUTORS.wallet,
    _EXECUTORS.boot_id,
    _EXECUTORS.position_eth,
    _EXECUTORS.open_orders,
    _EXECUTORS.in_flight,
    _EXECUTORS.last_order_seq,
    _EXECUTORS.halted_epoch,
    _EXECUTORS.registered_at,
    _EXECUTORS.last_seen_at,
    _EXECUTORS.permit_until,
    _EXECUTORS.seen_epoch,
    _EXECUTORS.idle_ms,
    _EXECUTORS.bounded,
    _EXECUTORS.in_drills,
    ExecutorShown.__table__.c.told,
)
_NOW = select(func.clock_timestamp())
_EVERYONE = (
    select(*_COLUMNS)
    .select_from(ExecutorRow.__table__)
    .outerjoin(ExecutorShown.__table__, ExecutorShown.__table__.c.executor == _EXECUTORS.name)
    .order_by(_EXECUTORS.name)
)

_MARK_SHOWN = text(
    "INSERT INTO executors_shown (executor, told)"
    " SELECT name, told FROM unnest(CAST(:names AS text[]), CAST(:told AS text[])) AS said(name, told) ORDER BY name"
    " ON CONFLICT (executor) DO UPDATE SET told = excluded.told"
)


@dataclass(frozen=True, slots=True)
class Facts:
    """One executor's last report. Times are the database's."""

    name: str
    chain: str
    strategy: str
    wallet: str
    boot_id: str
    position_eth: Decimal | None
    open_orders: int | None
    in_flight: int | None
    last_order_seq: int
    halted_epoch: int
    registered_at: datetime
    last_seen_at: datetime
    permit_until: datetime | None
    """No permit it was given is alive after this instant."""
    seen_epoch: int
    """The newest hold over it that it says it was told of."""
    idle_ms: int | None
    """How long its own code had not asked its gate anything when it reported; None where nothing measures it."""
    bounded: bool
    """Whether what trades asks before each send; a dead permit stops nothing else."""
    in_drills: bool
    """Whether it obeys drills' holds."""
    shown: str | None


@dataclass(frozen=True, slots=True)
class Roster:
    """Every executor at one instant of the database's clock, by name."""

    now: datetime
    executors: tuple[Facts, ...]


def _facts(row: Row[*tuple[Any, ...]]) -> Facts:
    return Facts(*row)


async def database_now(session: AsyncSession) -> datetime:
    """The database's clock: the one clock that all backends share."""
    now: datetime = (await session.execute(_NOW)).scalar_one()
    return now


async def everyone(session: AsyncSession) -> Roster:
    """The whole roster; `MAX_EXECUTORS` bounds it."""
    rows = (await session.execute(_EVERYONE)).all()
    return Roster(now=await database_now(session), executors=tuple(_facts(row) for row in rows))


async def refuse_when_full(session: AsyncSession, *, newcomers: int = 1) -> None:
    """Refuse further executors once the roster is full.

    Raises:
        WatchfloorError: CONFLICT.
    """
    known = (await session.execute(select(func.count()).select_from(ExecutorRow))).scalar_one()
    if known + newcomers > MAX_EXECUTORS:
        raise WatchfloorError(
            ErrorCode.CONFLICT,
            f"The roster is full: {MAX_EXECUTORS:,} executors are registered.",
            hint="Reuse the name of an executor that no longer runs.",
        )


async def mark_shown(session: AsyncSession, shown: Mapping[str, str]) -> None:
    """Remember what consoles are being told of these executors."""
    if shown:
        await session.execute(_MARK_SHOWN, {"names": list(shown), "told": list(shown.values())})


async def process_keys(session: AsyncSession, executors: Sequence[str]) -> dict[tuple[str, str], str]:
    """The public keys that processes of some executors registered, by executor and boot id."""
    boots = ExecutorBoot.__table__.c
    found = select(boots.executor, boots.boot_id, boots.public_key).where(
        boots.executor.in_(executors), boots.public_key.is_not(None)
    )
    return {(row.executor, row.boot_id): row.public_key for row in await session.execute(found)}
