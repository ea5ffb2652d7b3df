"""What is known of each executor from its own reports. Must never judge whether one may trade: that is `freeze`."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from decimal import Decimal
from typing import Any

from sqlalchemy import Row, bindparam, func, select, text
from sqlalchemy.dialects.postgresql import insert as pg_insert
from sqlalchemy.ext.asyncio import AsyncSession

from backend.errors import WatchfloorError
from backend.roster.tables import ExecutorBoot, ExecutorRow
from contract.errors import ErrorCode
from contract.gate import RenewRequest

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
    _EXECUTORS.shown,
)
_NOW = select(func.clock_timestamp())
_ONE = select(*_COLUMNS).where(_EXECUTORS.name == bindparam("name"))
_EVERYONE = select(*_COLUMNS).order_by(_EXECUTORS.name)

_MARK_SHOWN = text(
    "UPDATE executors SET shown = said.told"
    " FROM unnest(CAST(:names AS text[]), CAST(:told AS text[])) AS said(name, told) WHERE executors.name = said.name"
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


async def find(session: AsyncSession, name: str) -> Facts | None:
    """The executor of this name, if it ever reported."""
    row = (await session.execute(_ONE, {"name": name})).one_or_none()
    return None if row is None else _facts(row)


async def everyone(session: AsyncSession) -> Roster:
    """The whole roster; `MAX_EXECUTORS` bounds it."""
    rows = (await session.execute(_EVERYONE)).all()
    return Roster(now=await database_now(session), executors=tuple(_facts(row) for row in rows))


async def store_report(
    session: AsyncSession, request: RenewRequest, *, changed: bool, takes_over: bool, permit_bound: timedelta | None
) -> bool:
    """Overwrite an executor's report; False if another process took its name in the meantime.

    `permit_bound` is how long a permit given with this report can be alive, counted from now; None gives none.
    """
    now = func.clock_timestamp()
    report = request.model_dump(exclude={"executor", "request_no"})
    row = pg_insert(ExecutorRow).values(
        name=request.executor,
        **report,
        registered_at=now,
        last_seen_at=now,
        changed_at=now,
        permit_until=None if permit_bound is None else now + permit_bound,
    )
    overwritten: dict[str, Any] = {column: row.excluded[column] for column in (*report, "last_seen_at")}
    overwritten["permit_until"] = func.greatest(ExecutorRow.permit_until, row.excluded.permit_until)
    if changed:
        overwritten["changed_at"] = row.excluded.changed_at
    statement = row.on_conflict_do_update(
        index_elements=[ExecutorRow.name],
        set_=overwritten,
        where=None if takes_over else ExecutorRow.boot_id == row.excluded.boot_id,
    ).returning(ExecutorRow.name)
    return (await session.execute(statement)).one_or_none() is not None


async def has_run_before(session: AsyncSession, name: str, boot_id: str) -> bool:
    """Whether this process once held the executor's name."""
    found = select(ExecutorBoot.boot_id).where(ExecutorBoot.executor == name, ExecutorBoot.boot_id == boot_id)
    return (await session.execute(found)).one_or_none() is not None


async def remember_process(session: AsyncSession, name: str, boot_id: str) -> None:
    """Note that a process took over an executor's name, for good."""
    await session.execute(
        pg_insert(ExecutorBoot)
        .values(executor=name, boot_id=boot_id, first_seen_at=func.clock_timestamp())
        .on_conflict_do_nothing()
    )


async def refuse_when_full(session: AsyncSession) -> None:
    """Refuse one more executor once the roster is full.

    Raises:
        WatchfloorError: CONFLICT.
    """
    known = (await session.execute(select(func.count()).select_from(ExecutorRow))).scalar_one()
    if known >= MAX_EXECUTORS:
        raise WatchfloorError(
            ErrorCode.CONFLICT,
            f"The roster is full: {MAX_EXECUTORS:,} executors are registered.",
            hint="Reuse the name of an executor that no longer runs.",
        )


async def mark_shown(session: AsyncSession, shown: Mapping[str, str]) -> None:
    """Remember what consoles are being told of these executors."""
    if shown:
        await session.execute(_MARK_SHOWN, {"names": list(shown), "told": list(shown.values())})
