"""Freeze drills: the same path as a freeze in earnest, on canaries, measured, lifted by itself once nothing is new.

A drill's hold is in force like any other and never stands in the way of one: what else is frozen stays frozen.
"""

from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta
from uuid import UUID

from sqlalchemy import func, select
from sqlalchemy.ext.asyncio import AsyncSession

from backend.audit import service as audit
from backend.context import Caller, Runtime, system_caller
from backend.errors import WatchfloorError, not_found
from backend.freeze import core, drill_core, evidence, holds, store, views
from backend.freeze import thaw_steps as steps
from backend.freeze.evidence import Judged
from backend.freeze.tables import FreezeDrillRow, FreezeRow, HaltAck
from backend.paging import cut_page, newest_first
from backend.roster import service as roster
from contract.errors import ErrorCode
from contract.freeze import FreezeMode, FreezeStatus
from contract.freeze_drills import (
    CanaryOutcome,
    DrillEvidence,
    DrillHistory,
    FreezeDrill,
    FreezeDrillRequest,
    HaltTimes,
    SignedHalt,
)
from contract.scope import Scope

CALLER = system_caller("freeze-drill")
"""In whose name a drill's holds are lifted."""


async def start(session: AsyncSession, runtime: Runtime, caller: Caller, request: FreezeDrillRequest) -> FreezeDrill:
    """Freeze canaries, now. The drill ends when nothing new is to be learned, at the latest after the policy's time.

    Raises:
        WatchfloorError: REFUSED_BY_POLICY for a scope that is no canary; INVALID_REQUEST without any.
    """
    rules = runtime.policy.freeze_drills
    scopes = _canaries(request, rules.canaries)
    counters = await store.lock_counters(session)
    if request.idempotency_key and (earlier := await _by_key(session, caller, request.idempotency_key)):
        return await _wire(session, runtime, earlier)
    people = await roster.everyone(session)
    newest = await session.scalar(select(func.coalesce(func.max(FreezeDrillRow.number), 0)))
    row = FreezeDrillRow(
        id=runtime.clock.new_id(),
        number=(newest or 0) + 1,
        scopes=[str(scope) for scope in scopes],
        mode=request.mode.value,
        reason=request.reason,
        started_by=caller.subject,
        started_at=counters.now,
        ends_at=counters.now + timedelta(seconds=rules.longest_seconds),
        reported_before={
            facts.name: facts.last_order_seq
            for facts in people.executors
            if any(core.covers(scope, facts) for scope in scopes)
        },
        idempotency_key=request.idempotency_key or None,
    )
    session.add(row)
    await session.flush()
    for scope in scopes:
        await holds.create_for_drill(session, runtime, caller, scope=scope, mode=request.mode, drill=row)
    started = {"scopes": row.scopes, "mode": row.mode, "reason": row.reason}
    await audit.record(session, runtime, caller, _draft(row, "freeze.drill.started", started))
    return await _wire(session, runtime, row)


def _canaries(request: FreezeDrillRequest, canaries: Sequence[str]) -> list[Scope]:
    scopes = [core.normalised(scope) for scope in request.scopes] or [Scope.parse(text) for text in canaries]
    if not scopes:
        raise WatchfloorError(
            ErrorCode.INVALID_REQUEST,
            "The drill names nothing to freeze, and the policy names no canaries.",
            hint="Name executors, or set watchfloor.freeze_drills.canaries in the policy.",
        )
    if strangers := [scope for scope in scopes if not drill_core.is_canary(scope, canaries)]:
        raise WatchfloorError(
            ErrorCode.REFUSED_BY_POLICY,
            f"{strangers[0]} is no canary: a drill may not stop it.",
            hint="Name single executors, or a scope that watchfloor.freeze_drills.canaries lists.",
        )
    return list(dict.fromkeys(scopes))


async def _by_key(session: AsyncSession, caller: Caller, key: str) -> FreezeDrillRow | None:
    wanted = select(FreezeDrillRow).where(
        FreezeDrillRow.started_by == caller.subject, FreezeDrillRow.idempotency_key == key
    )
    return (await session.execute(wanted)).scalar_one_or_none()


async def end_if_due(
    session: AsyncSession, runtime: Runtime, followed: Sequence[tuple[FreezeRow, Sequence[Judged]]], now: datetime
) -> None:
    """End the drills that have shown enough or have run for long enough, given the holds in force.

    Called by one leader. A drill with a hold that somebody is just changing is left for the next time; one whose holds
    people have lifted is over.
    """
    still = select(FreezeDrillRow).where(FreezeDrillRow.ended_at.is_(None)).with_for_update(skip_locked=True)
    for drill in (await session.scalars(still)).all():
        rows = await _holds(session, drill.id)
        in_force = [row for row in rows if row.status != FreezeStatus.THAWED.value]
        mine = [judged for row, judged in followed if row.drill_id == drill.id]
        settled = len(mine) == len(in_force) and all(map(drill_core.is_settled, mine))
        if (settled or drill.ends_at <= now) and await _locked(session, in_force) == {row.id for row in in_force}:
            await _end(session, runtime, drill, await views.judged(session, runtime, rows), now)


async def _locked(session: AsyncSession, rows: Sequence[FreezeRow]) -> set[UUID]:
    """Those of the rows that could be locked at once, read anew."""
    wanted = select(FreezeRow).where(FreezeRow.id.in_([row.id for row in rows]))
    found = await session.scalars(
        wanted.with_for_update(key_share=True, skip_locked=True).execution_options(populate_existing=True)
    )
    return {row.id for row in found if row.status != FreezeStatus.THAWED.value}


async def _end(
    session: AsyncSession,
    runtime: Runtime,
    drill: FreezeDrillRow,
    mine: Sequence[tuple[FreezeRow, Sequence[Judged]]],
    now: datetime,
) -> None:
    worst: dict[str, CanaryOutcome] = {}
    for _, judged in mine:
        for one in judged:
            worst.setdefault(one.executor, drill_core.outcome(one, drill.reported_before))
    outcomes = sorted(worst.values(), key=lambda one: one.executor)
    drill.ended_at = now
    drill.outcomes = [one.model_dump(mode="json") for one in outcomes]
    for row in [row for row, _ in mine if row.status != FreezeStatus.THAWED.value]:
        await steps.end_drill(session, runtime, CALLER, row, now=now)
    told = {
        "executors": len(outcomes),
        "missed": drill_core.missed(outcomes),
        "orders_after_halt": drill_core.orders_after_halt(outcomes),
        "times": drill_core.halt_times(outcomes).model_dump(mode="json"),
    }
    await audit.record(session, runtime, CALLER, _draft(drill, "freeze.drill.ended", told))


def _draft(drill: FreezeDrillRow, event_type: str, told: Mapping[str, object]) -> audit.AuditDraft:
    return audit.AuditDraft(
        event_type=event_type,
        action="start freeze drill" if event_type.endswith("started") else "end freeze drill",
        resource_type="freeze_drill",
        resource_id=drill_core.ref_of(drill.number),
        new_value=dict(told),
    )


async def list_drills(session: AsyncSession, runtime: Runtime, *, cursor: str | None, limit: int) -> DrillHistory:
    """One page of drills, newest first, and the figures over those of the page that have ended.

    Raises:
        WatchfloorError: INVALID_REQUEST for a cursor that is not ours.
    """
    query = newest_first(select(FreezeDrillRow), FreezeDrillRow.started_at, FreezeDrillRow.id, cursor, limit)
    page, more = cut_page((await session.scalars(query)).all(), limit, lambda row: (row.started_at, row.id))
    outcomes = [one for row in page for one in _outcomes(row)]
    return DrillHistory(
        items=[await _wire(session, runtime, row) for row in page],
        next_cursor=more,
        ended=sum(row.ended_at is not None for row in page),
        times=drill_core.halt_times(outcomes),
        missed=drill_core.missed(outcomes),
        orders_after_halt=drill_core.orders_after_halt(outcomes),
        as_of=await roster.database_now(session),
    )


async def get_drill(session: AsyncSession, runtime: Runtime, ident: str) -> FreezeDrill:
    """One drill by id or ref, with every canary's outcome once it has ended.

    Raises:
        WatchfloorError: NOT_FOUND.
    """
    row = await _row(session, ident)
    drill = await _wire(session, runtime, row)
    return drill.model_copy(update={"outcomes": _outcomes(row)})


async def evidence_of(session: AsyncSession, runtime: Runtime, ident: str) -> DrillEvidence:
    """What an auditor needs of a drill: outcomes, holds with proofs, and the executors' signed statements.

    Raises:
        WatchfloorError: NOT_FOUND.
    """
    row = await _row(session, ident)
    rows = await _holds(session, row.id)
    refs = {one.id: core.ref_of(one.number) for one in rows}
    acks = await session.scalars(select(HaltAck).where(HaltAck.freeze_id.in_(refs), HaltAck.statement.is_not(None)))
    keys = await roster.process_keys(session, sorted(row.reported_before))
    permits, freezes = runtime.policy.permits, runtime.policy.freezes
    return DrillEvidence(
        drill=await get_drill(session, runtime, ident),
        holds=await views.show(session, runtime, rows, with_proofs=True),
        signed=[
            SignedHalt(
                executor=ack.executor,
                freeze_ref=refs[ack.freeze_id],
                statement=ack.statement or "",
                public_key=keys.get((ack.executor, drill_core.signer_of(ack.statement or "") or "")),
            )
            for ack in acks
        ],
        policy={
            "permits.ttl_ms": str(permits.ttl_ms),
            "permits.renew_ms": str(permits.renew_ms),
            "freezes.verify_blocks": str(freezes.verify_blocks),
            "clock_rate_error": str(evidence.CLOCK_RATE_ERROR),
        },
        made_at=await roster.database_now(session),
    )


async def _row(session: AsyncSession, ident: str) -> FreezeDrillRow:
    text = ident.strip().upper().removeprefix("FD-")
    wanted = FreezeDrillRow.number == int(text) if text.isdecimal() and len(text) < 10 else None  # noqa: PLR2004  int4
    if wanted is None:
        parsed = core.parse_ident(ident)
        if not isinstance(parsed, UUID):
            raise not_found("freeze drill", ident)
        wanted = FreezeDrillRow.id == parsed
    row = (await session.execute(select(FreezeDrillRow).where(wanted))).scalar_one_or_none()
    if row is None:
        raise not_found("freeze drill", ident)
    return row


async def _holds(session: AsyncSession, drill: UUID) -> Sequence[FreezeRow]:
    found = await session.scalars(select(FreezeRow).where(FreezeRow.drill_id == drill).order_by(FreezeRow.number))
    return found.all()


def _outcomes(row: FreezeDrillRow) -> list[CanaryOutcome]:
    return [CanaryOutcome.model_validate(one) for one in row.outcomes or ()]


async def _wire(session: AsyncSession, runtime: Runtime, row: FreezeDrillRow) -> FreezeDrill:
    rows, outcomes = await _holds(session, row.id), _outcomes(row)
    times = drill_core.halt_times(outcomes)
    covered = len(outcomes)
    if row.ended_at is None:
        judged = await views.judged(session, runtime, rows)
        covered = len({one.executor for _, some in judged for one in some})
        times = HaltTimes(count=0)
    return FreezeDrill(
        id=str(row.id),
        ref=drill_core.ref_of(row.number),
        scopes=[Scope.parse(text) for text in row.scopes],
        mode=FreezeMode(row.mode),
        reason=row.reason,
        started_by=row.started_by,
        started_at=row.started_at,
        ends_at=row.ends_at,
        ended_at=row.ended_at,
        holds=[core.ref_of(one.number) for one in rows],
        covered=covered,
        missed=drill_core.missed(outcomes),
        orders_after_halt=drill_core.orders_after_halt(outcomes),
        times=times,
    )
