"""Holds as the wire shows them: with what they cover and who has halted. Reads only, apart from what was last shown."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from decimal import Decimal
from typing import Literal

from sqlalchemy.ext.asyncio import AsyncSession

from backend.context import Runtime
from backend.db import after_commit
from backend.events import publish
from backend.freeze import core, evidence, store, thaw_facts
from backend.freeze.evidence import Evidence, Judged
from backend.freeze.tables import FreezeRow
from backend.paging import MAX_PAGE_ROWS, decode_cursor, encode_cursor
from backend.roster import service as roster
from contract.executors import ExecutorState
from contract.freeze import BlastRadius, Freeze, FreezeList, FreezeMode, FreezeStatus, HaltProof, HaltState
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
            wedged_after=timedelta(seconds=runtime.policy.freezes.wedged_after_seconds),
        )
        for facts in people.executors
    )
    return Floor(now=people.now, executors=tuple(zip(people.executors, states, strict=True)))


def _was_covered(row: FreezeRow, scope: Scope, facts: roster.Facts) -> bool:
    """An executor that came after a hold was lifted has nothing to do with it."""
    return core.covers(scope, facts) and (row.thawed_at is None or facts.registered_at < row.thawed_at)


def _proof(one: Judged) -> HaltProof:
    ack, facts, seconds = one.ack, one.facts, one.halted_after
    in_flight = None if ack is None else ack.in_flight
    if ack is not None and facts is not None and facts.in_flight is not None:
        in_flight = facts.in_flight
    return HaltProof(
        executor=one.executor,
        state=one.verdict.state,
        proof=one.verdict.proof,
        acked_at=None if ack is None else ack.acked_at,
        halted_after_seconds=None if seconds is None else core.in_seconds(seconds),
        last_order_seq=None if ack is None else ack.last_order_seq,
        in_flight=in_flight,
        permit_dead_at=one.permit_dead_at,
        open_ids=list(one.verdict.open_ids[:MAX_NAMES_SHOWN]),
        bounded=facts is None or facts.bounded,
        exercised=one.exercised,
    )


def _wire(row: FreezeRow, judged: Sequence[Judged], *, with_proofs: bool) -> Freeze:
    states = [one.verdict.state for one in judged]
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
        thawed_by=None if row.thawed_at is None else row.thawed_by,
        thawed_at=row.thawed_at,
        covered=sum(one.exercised for one in judged),
        halted=sum(state.is_halted for state in states),
        verified=states.count(HaltState.VERIFIED),
        violations=states.count(HaltState.VIOLATION),
        still_open=sum(state is HaltState.ACKED for state in states),
        proofs=[_proof(one) for one in judged] if with_proofs else [],
        version=row.version,
        drill=row.drill_id is not None,
    )


async def judged(
    session: AsyncSession, runtime: Runtime, rows: Sequence[FreezeRow], *, new: bool = False
) -> list[tuple[FreezeRow, list[Judged]]]:
    """Holds, each with every executor it covers and what is known of that one's halt: of new ones nothing."""
    if not rows:
        return []
    people = await roster.everyone(session)
    idents = [row.id for row in rows]
    found = dict.fromkeys(idents, Evidence()) if new else await evidence.read(session, idents)
    return [
        (
            row,
            evidence.judge(
                row,
                {facts.name: facts for facts in people.executors if _was_covered(row, store.scope_of(row), facts)},
                found[row.id],
                now=people.now,
                permit_life=permit_life(runtime),
                verify_blocks=runtime.policy.freezes.verify_blocks,
            ),
        )
        for row in rows
    ]


async def show(
    session: AsyncSession,
    runtime: Runtime,
    rows: Sequence[FreezeRow],
    *,
    with_proofs: bool = False,
    new: bool = False,
) -> list[Freeze]:
    """Holds for the wire, each with how many executors it covers and how many of these have halted."""
    return [_wire(row, found, with_proofs=with_proofs) for row, found in await judged(session, runtime, rows, new=new)]


async def announce(session: AsyncSession, runtime: Runtime, row: FreezeRow, *, new: bool = False) -> Freeze:
    """Publish a hold that has just changed, and answer with what was published.

    Nobody has answered a new one yet: not to ask for what they said is four round trips less before it is in force.
    """
    await session.flush()
    [freeze] = await show(session, runtime, [row], new=new)
    _publish(session, row, freeze)
    after_commit(session, runtime.holds_changed.tell)
    return freeze


def publish_if_changed(session: AsyncSession, row: FreezeRow, found: Sequence[Judged]) -> None:
    """Publish a hold whose counts differ from what consoles were last told."""
    freeze = _wire(row, found, with_proofs=False)
    if row.shown_progress != _progress(freeze):
        _publish(session, row, freeze)


def _publish(session: AsyncSession, row: FreezeRow, freeze: Freeze) -> None:
    row.shown_progress = _progress(freeze)
    publish(session, Topic.FREEZE, freeze)


def _progress(freeze: Freeze) -> str:
    return f"{freeze.covered}/{freeze.halted}/{freeze.verified}/{freeze.violations}/{freeze.still_open}"


def latched(runtime: Runtime, stored: Sequence[Freeze] = ()) -> list[Freeze]:
    """The freezes that this process has latched, newest first, apart from those that were read as stored."""
    known = {one.id for one in stored}
    return [one for one in reversed(runtime.latched.tell()) if one.id not in known]


async def list_in_force(session: AsyncSession, runtime: Runtime) -> list[Freeze]:
    """The holds in force that the database has, newest first."""
    rows = await session.execute(store.newest_first(in_force_only=True, after=None, limit=MAX_PAGE_ROWS))
    return await show(session, runtime, rows.scalars().all())


async def all_in_force(session: AsyncSession, runtime: Runtime) -> list[Freeze]:
    """The holds in force, newest first, after those that this process has latched."""
    stored = await list_in_force(session, runtime)
    return [*latched(runtime, stored), *stored]


async def list_freezes(
    session: AsyncSession, runtime: Runtime, *, status: Literal["in-force", "all"], cursor: str | None, limit: int
) -> FreezeList:
    """One page of holds, newest first; before the first one those that this process has latched.

    Raises:
        WatchfloorError: INVALID_REQUEST for a cursor that is not ours.
    """
    after = decode_cursor(cursor) if cursor else None
    query = store.newest_first(in_force_only=status == "in-force", after=after, limit=limit + 1)
    rows = (await session.execute(query)).scalars().all()
    page = rows[:limit]
    more = encode_cursor(page[-1].created_at, page[-1].id) if len(rows) > limit else None
    stored = await show(session, runtime, page)
    return FreezeList(
        items=[*([] if cursor else latched(runtime, stored)), *stored],
        next_cursor=more,
        as_of=await roster.database_now(session),
        journals_elsewhere=runtime.latched.journals_elsewhere,
    )


def list_latched(runtime: Runtime) -> FreezeList:
    """What can be listed without the database."""
    return FreezeList(
        items=latched(runtime),
        as_of=runtime.clock.now(),
        partial="The database cannot be read: these are the freezes that this backend has latched, there may be more.",
        journals_elsewhere=runtime.latched.journals_elsewhere,
    )


async def get_freeze(session: AsyncSession, runtime: Runtime, ident: str) -> Freeze:
    """One hold by id or ref, with every covered executor's answer and with what lifting it means now.

    Raises:
        WatchfloorError: NOT_FOUND.
    """
    row = await store.row_by_ident(session, ident)
    [freeze] = await show(session, runtime, [row], with_proofs=True)
    return freeze.model_copy(update={"thaw": await thaw_facts.show(session, runtime, row)})


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
