"""Reading and locking of holds and acknowledgements. Owns the SQL of the area; decides nothing."""

from collections import defaultdict
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any
from uuid import UUID

from sqlalchemy import Interval, Select, bindparam, delete, func, literal, or_, select, tuple_, update
from sqlalchemy.dialects.postgresql import insert as pg_insert
from sqlalchemy.ext.asyncio import AsyncSession

from backend.errors import not_found
from backend.freeze import core
from backend.freeze.tables import FreezeRow, FreezeState, HaltAck, HaltFate, HaltMilestone, HaltObservation
from contract.freeze import FreezeMode, FreezeStatus
from contract.scope import GLOBAL, Scope, ScopeKind

_STALLED_FREEZER_MS = 3_500
"""The server ends a process that stops between taking the lock and committing, before others give up waiting."""
_STATE_ID = 1
"""`freeze_state` has one row."""
_LIMIT_STALL = func.set_config("idle_in_transaction_session_timeout", str(_STALLED_FREEZER_MS), literal(value=True))
_IN_FORCE = FreezeRow.status != FreezeStatus.THAWED.value


@dataclass(frozen=True, slots=True)
class Counters:
    """The last epoch and number given out, and the database's clock once they were locked."""

    epoch: int
    number: int
    now: datetime


def scope_of(row: FreezeRow) -> Scope:
    """The scope a stored hold is about."""
    return Scope(kind=ScopeKind(row.scope_kind), name=row.scope_name)


async def lock_counters(session: AsyncSession) -> Counters:
    """Take the lock under which epochs and numbers rise; held until the transaction ends."""
    statement = (
        pg_insert(FreezeState)
        .values(id=_STATE_ID, epoch=0, last_number=0)
        .on_conflict_do_update(index_elements=[FreezeState.id], set_={"epoch": FreezeState.epoch})
        .returning(FreezeState.epoch, FreezeState.last_number, func.clock_timestamp(), _LIMIT_STALL)
    )
    epoch, number, now, _ = (await session.execute(statement)).one()
    return Counters(epoch=epoch, number=number, now=now)


async def raise_counters(session: AsyncSession, *, epoch: int, number: int) -> None:
    """Give out an epoch and a number; the caller holds the lock."""
    statement = update(FreezeState).where(FreezeState.id == _STATE_ID).values(epoch=epoch, last_number=number)
    await session.execute(statement)


_FREEZES, _ACKS = FreezeRow.__table__.c, HaltAck.__table__.c
# Plain columns and statements made once: these are asked at every renewal.
_HOLD_COLUMNS = (
    _FREEZES.id,
    _FREEZES.number,
    _FREEZES.epoch,
    _FREEZES.scope_kind,
    _FREEZES.scope_name,
    _FREEZES.mode,
    _FREEZES.held_since,
    _FREEZES.thaw_released,
    _FREEZES.drill_id,
)
_HOLDS_IN_FORCE = select(*_HOLD_COLUMNS).where(_FREEZES.status != FreezeStatus.THAWED.value).order_by(_FREEZES.epoch)


def _hold(row: Sequence[Any]) -> core.Hold:
    ident, number, epoch, kind, name, mode, created_at, released, drill = row
    return core.Hold(
        id=ident,
        number=number,
        epoch=epoch,
        scope=Scope(kind=ScopeKind(kind), name=name),
        mode=FreezeMode(mode),
        created_at=created_at,
        released=frozenset(released or ()),
        drill=drill is not None,
    )


async def holds_in_force(session: AsyncSession) -> tuple[core.Hold, ...]:
    """Every hold that is in force. Without a limit: a hold left out would let somebody trade."""
    rows = (await session.execute(_HOLDS_IN_FORCE)).all()
    return tuple(_hold(row) for row in rows)


LONGEST_PERMIT = timedelta(seconds=10)
"""No gate lets a permit live longer, whatever it says: what is older has ended without a fence."""


async def fence(session: AsyncSession) -> dict[str, Any] | None:
    """What a choke point has to know, in one statement: the epoch, the holds, and what was frozen a moment ago.

    None if a standby answers: it may not have the newest freeze yet.

    Permits older than `LONGEST_PERMIT` are dead. So one floor over everything stands for all freezes before that,
    and a freeze since then is named with its scope, also if it was lifted again.
    """
    rows = (await session.execute(_FENCE, {"longest": LONGEST_PERMIT})).all()
    first = rows[0]
    if first.in_recovery:
        return None
    holds, lifted = [], [{"scope": str(GLOBAL), "epoch": first.floor}] if first.floor else []
    for row in rows:
        if row.number is None:
            continue
        scope = str(Scope(kind=ScopeKind(row.scope_kind), name=row.scope_name))
        if row.status == FreezeStatus.THAWED.value:
            lifted.append({"scope": scope, "epoch": row.epoch})
        else:
            holds.append({"freeze_ref": core.ref_of(row.number), "epoch": row.epoch, "mode": row.mode, "scope": scope})
    return {"v": 1, "epoch": first.last, "holds": holds, "lifted": lifted}


_LONG_AGO = func.clock_timestamp() - bindparam("longest", type_=Interval())
_STATE = select(
    func.pg_is_in_recovery().label("in_recovery"),
    func.coalesce(select(func.max(FreezeState.__table__.c.epoch)).scalar_subquery(), 0).label("last"),
    func.coalesce(
        select(func.max(_FREEZES.epoch))
        .where(_FREEZES.held_since < _LONG_AGO, _FREEZES.status == FreezeStatus.THAWED.value)
        .scalar_subquery(),
        0,
    ).label("floor"),
).subquery("state")
_FENCE = (
    select(
        _STATE.c.in_recovery, _STATE.c.last, _STATE.c.floor, _FREEZES.number, _FREEZES.epoch, _FREEZES.scope_kind,
        _FREEZES.scope_name, _FREEZES.mode, _FREEZES.status,
    )
    .select_from(_STATE)
    .outerjoin(
        FreezeRow.__table__,
        or_(_FREEZES.status != FreezeStatus.THAWED.value, _FREEZES.held_since >= _LONG_AGO),
    )
    .order_by(_FREEZES.epoch)
)  # fmt: skip


async def row_by_ident(session: AsyncSession, ident: str, *, lock: bool = False) -> FreezeRow:
    """The hold of an id or a ref, locked against other changes of status if asked.

    Raises:
        WatchfloorError: NOT_FOUND.
    """
    parsed = core.parse_ident(ident)
    if parsed is None:
        raise not_found("freeze", ident)
    wanted = FreezeRow.number == parsed if isinstance(parsed, int) else FreezeRow.id == parsed
    statement = select(FreezeRow).where(wanted)
    if lock:
        # leaves the key alone, so that acknowledgements, which refer to it, do not wait for a thaw
        statement = statement.with_for_update(key_share=True).execution_options(populate_existing=True)
    row = (await session.execute(statement)).scalar_one_or_none()
    if row is None:
        raise not_found("freeze", ident)
    return row


async def row_by_key(session: AsyncSession, created_by: str, idempotency_key: str) -> FreezeRow | None:
    """The hold that a request with this key created before."""
    statement = select(FreezeRow).where(
        FreezeRow.created_by == created_by, FreezeRow.idempotency_key == idempotency_key
    )
    return (await session.execute(statement)).scalar_one_or_none()


async def rows_on_their_way(session: AsyncSession) -> Sequence[FreezeRow]:
    """The holds whose thaw is asked for or taking effect, locked; those that somebody else has locked are left out."""
    on_their_way = (FreezeStatus.THAW_REQUESTED.value, FreezeStatus.THAWING.value)
    statement = (
        select(FreezeRow)
        .where(_IN_FORCE, FreezeRow.status.in_(on_their_way))
        .order_by(FreezeRow.number)
        .with_for_update(key_share=True, skip_locked=True)
        .execution_options(populate_existing=True)
    )
    return (await session.execute(statement)).scalars().all()


async def automatic_rows(session: AsyncSession, rule: str, scope: Scope) -> Sequence[FreezeRow]:
    """The holds in force that a rule has put on a scope; not one that is being lifted and covers only part of it."""
    statement = select(FreezeRow).where(
        _IN_FORCE,
        FreezeRow.status != FreezeStatus.THAWING.value,
        FreezeRow.automatic_rule == rule,
        FreezeRow.scope_kind == scope.kind.value,
        FreezeRow.scope_name == scope.name,
    )
    return (await session.execute(statement)).scalars().all()


def newest_first(*, in_force_only: bool, after: tuple[datetime, UUID] | None, limit: int) -> Select[FreezeRow]:
    """The query of one page of holds."""
    statement = select(FreezeRow).order_by(FreezeRow.created_at.desc(), FreezeRow.id.desc()).limit(limit)
    if in_force_only:
        statement = statement.where(_IN_FORCE)
    if after is not None:
        statement = statement.where(tuple_(FreezeRow.created_at, FreezeRow.id) < tuple_(*map(literal, after)))
    return statement


async def acknowledgements(session: AsyncSession, freezes: Collection[UUID]) -> Mapping[UUID, Mapping[str, HaltAck]]:
    """The executors' answers to these holds, by hold and executor."""
    found: dict[UUID, dict[str, HaltAck]] = defaultdict(dict)
    if freezes:
        rows = await session.execute(select(HaltAck).where(HaltAck.freeze_id.in_(freezes)))
        for ack in rows.scalars():
            found[ack.freeze_id][ack.executor] = ack
    return found


async def forget_answers(session: AsyncSession, freeze_id: UUID, executors: Collection[str]) -> None:
    """Drop what executors had said under a hold before it let them go for a while; the audit log keeps it."""
    for table in (HaltFate, HaltMilestone, HaltAck):
        gone = delete(table).where(table.freeze_id == freeze_id, table.executor.in_(executors))
        await session.execute(gone.execution_options(synchronize_session=False))
    # what was seen of their wallets as well: second sources look again anyhow
    seen = delete(HaltObservation).where(HaltObservation.freeze_id == freeze_id)
    await session.execute(seen.execution_options(synchronize_session=False))
