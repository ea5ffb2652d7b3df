"""Holds as the wire shows them: with what they cover and who has halted. Reads only, apart from what was last shown."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from decimal import Decimal
from typing import Literal

from sqlalchemy.ext.asyncio import AsyncSession

from backend.context import Runtime
from backend.events import publish
from backend.freeze import core, store
from backend.freeze.tables import FreezeRow, HaltAck
from backend.paging import MAX_PAGE_ROWS, decode_cursor, encode_cursor
from backend.roster import service as roster
from contract.base import Page
from contract.executors import ExecutorState
from contract.freeze import BlastRadius, Freeze, FreezeMode, FreezeStatus, HaltProof, HaltState
from contract.scope import Scope
from contract.stream import Topic

MAX_NAMES_SHOWN = 50
"""As many executors as a dialog can list."""


@dataclass(frozen=True, slots=True)
class Floor:
    """Every executor and how it stands under the holds in force, at one instant of the database's clock."""

    now: datetime
    executors: tuple[tuple[roster.Facts, ExecutorState], ...]


def permit_life(runtime: Runtime) -> timedelta:
    """How long one permit lives."""
    return timedelta(milliseconds=runtime.policy.permits.ttl_ms)


async def floor(session: AsyncSession, runtime: Runtime) -> Floor:
    """The state of every executor."""
    holds = await store.holds_in_force(session)
    acks = await store.acknowledgements(session, [hold.id for hold in holds])
    people = await roster.everyone(session)
    life = permit_life(runtime)
    states = (
        core.executor_state(
            facts,
            holds=holds,
            acknowledged=frozenset(hold.id for hold in holds if facts.name in acks.get(hold.id, {})),
            now=people.now,
            permit_life=life,
        )
        for facts in people.executors
    )
    return Floor(now=people.now, executors=tuple(zip(people.executors, states, strict=True)))


def _proof(
    name: str, *, facts: roster.Facts | None, ack: HaltAck | None, frozen_at: datetime, state: HaltState
) -> HaltProof:
    if ack is None:
        return HaltProof(executor=name, state=state)
    return HaltProof(
        executor=name,
        state=state,
        acked_at=ack.acked_at,
        halted_after_seconds=core.seconds_between(frozen_at, ack.acked_at),
        last_order_seq=ack.last_order_seq,
        in_flight=ack.in_flight if facts is None or facts.in_flight is None else facts.in_flight,
    )


def _proofs(row: FreezeRow, people: roster.Roster, acks: Mapping[str, HaltAck], life: timedelta) -> Iterable[HaltProof]:
    scope = store.scope_of(row)
    covered = {facts.name: facts for facts in people.executors if _was_covered(row, scope, facts)}
    for name in sorted({*covered, *acks}):
        facts, ack = covered.get(name), acks.get(name)
        state = core.halt_state(
            facts, acknowledged=ack is not None, frozen_at=row.created_at, now=people.now, permit_life=life
        )
        yield _proof(name, facts=facts, ack=ack, frozen_at=row.created_at, state=state)


def _was_covered(row: FreezeRow, scope: Scope, facts: roster.Facts) -> bool:
    """An executor that came after a hold was lifted has nothing to do with it."""
    return core.covers(scope, facts) and (row.thawed_at is None or facts.registered_at < row.thawed_at)


def _wire(row: FreezeRow, proofs: Sequence[HaltProof], *, with_proofs: bool) -> Freeze:
    return Freeze(
        id=str(row.id),
        ref=core.ref_of(row.number),
        epoch=row.epoch,
        scope=store.scope_of(row),
        mode=FreezeMode(row.mode),
        status=FreezeStatus(row.status),
        reason=row.reason,
        created_by=row.created_by,
        created_at=row.created_at,
        automatic_rule=row.automatic_rule,
        thaw_requested_by=row.thaw_requested_by,
        thaw_requested_at=row.thaw_requested_at,
        thaw_reason=row.thaw_reason,
        thawed_by=row.thawed_by,
        thawed_at=row.thawed_at,
        covered=len(proofs),
        halted=sum(proof.state.is_halted for proof in proofs),
        proofs=list(proofs) if with_proofs else [],
        version=row.version,
    )


async def show(
    session: AsyncSession, runtime: Runtime, rows: Sequence[FreezeRow], *, with_proofs: bool = False
) -> list[Freeze]:
    """Holds for the wire, each with how many executors it covers and how many of these have halted."""
    if not rows:
        return []
    people = await roster.everyone(session)
    acks = await store.acknowledgements(session, [row.id for row in rows])
    life = permit_life(runtime)
    return [_wire(row, list(_proofs(row, people, acks.get(row.id, {}), life)), with_proofs=with_proofs) for row in rows]


async def announce(session: AsyncSession, runtime: Runtime, row: FreezeRow) -> Freeze:
    """Publish a hold that has just changed, and answer with what was published."""
    await session.flush()
    [freeze] = await show(session, runtime, [row])
    _publish(session, row, freeze)
    return freeze


def _publish(session: AsyncSession, row: FreezeRow, freeze: Freeze) -> None:
    row.shown_progress = _progress(freeze)
    publish(session, Topic.FREEZE, freeze)


def _progress(freeze: Freeze) -> str:
    return f"{freeze.halted}/{freeze.covered}"


async def publish_progress(session: AsyncSession, runtime: Runtime) -> None:
    """Publish the holds in force whose count of halted executors differs from what consoles were last told.

    A hold that somebody is just changing is left out, rather than waited for, until the next time.
    """
    query = store.newest_first(in_force_only=True, after=None, limit=MAX_PAGE_ROWS)
    rows = (await session.execute(query.with_for_update(key_share=True, skip_locked=True))).scalars()
    free = list(rows)
    for row, freeze in zip(free, await show(session, runtime, free), strict=True):
        if row.shown_progress != _progress(freeze):
            _publish(session, row, freeze)


async def list_in_force(session: AsyncSession, runtime: Runtime) -> list[Freeze]:
    """The holds in force, newest first."""
    rows = await session.execute(store.newest_first(in_force_only=True, after=None, limit=MAX_PAGE_ROWS))
    return await show(session, runtime, rows.scalars().all())


async def list_freezes(
    session: AsyncSession, runtime: Runtime, *, status: Literal["in-force", "all"], cursor: str | None, limit: int
) -> Page[Freeze]:
    """One page of holds, newest first.

    Raises:
        WatchfloorError: INVALID_REQUEST for a cursor that is not ours.
    """
    after = decode_cursor(cursor) if cursor else None
    query = store.newest_first(in_force_only=status == "in-force", after=after, limit=limit + 1)
    rows = (await session.execute(query)).scalars().all()
    page = rows[:limit]
    more = encode_cursor(page[-1].created_at, page[-1].id) if len(rows) > limit else None
    items = await show(session, runtime, page)
    return Page[Freeze](items=items, next_cursor=more, as_of=await roster.database_now(session))


async def get_freeze(session: AsyncSession, runtime: Runtime, ident: str) -> Freeze:
    """One hold by id or ref, with every covered executor's answer.

    Raises:
        WatchfloorError: NOT_FOUND.
    """
    row = await store.row_by_ident(session, ident)
    [freeze] = await show(session, runtime, [row], with_proofs=True)
    return freeze


async def blast_radius(session: AsyncSession, runtime: Runtime, scope: Scope) -> BlastRadius:
    """What a freeze of this scope would stop. Amounts an executor does not report are left out, not guessed."""
    scope = core.normalised(scope)
    now_on_floor = await floor(session, runtime)
    hit = [(facts, state) for facts, state in now_on_floor.executors if core.covers(scope, facts)]
    frozen = {ExecutorState.FROZEN, ExecutorState.FREEZING, ExecutorState.WEDGED}
    moving = {ExecutorState.TRADING, ExecutorState.REDUCING}
    return BlastRadius(
        scope=scope,
        executors=len(hit),
        trading=sum(state in moving for _, state in hit),
        open_orders=sum(facts.open_orders or 0 for facts, _ in hit),
        in_flight=sum(facts.in_flight or 0 for facts, _ in hit),
        position_eth=sum((facts.position_eth or Decimal(0) for facts, _ in hit), Decimal(0)),
        already_frozen=sum(state in frozen for _, state in hit),
        executor_names=[facts.name for facts, _ in hit[:MAX_NAMES_SHOWN]],
        computed_at=now_on_floor.now,
    )
