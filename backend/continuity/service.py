"""Recovery drills as routes and other areas use them. What a drill does is conducted by the backend that runs it."""

from datetime import datetime, timedelta
from typing import Final

from sqlalchemy import func, select, text
from sqlalchemy.ext.asyncio import AsyncSession

from backend.context import Caller, Runtime
from backend.continuity import asking, core, lines, planning
from backend.continuity.asking import ABORT, STEP
from backend.continuity.backups import look_at_all as look_at_backups
from backend.continuity.core import Run
from backend.continuity.due import entry_of, schedule_of, trend_of
from backend.continuity.erasing import forget_person
from backend.continuity.kept import row_of, shown, told_of, with_signature
from backend.continuity.lines import Line, stored
from backend.continuity.mirroring import mirror
from backend.continuity.running import Drills, another
from backend.continuity.showing import show
from backend.continuity.tables import RecoveryAskRow, RecoveryDrillRow
from backend.db import if_in_doubt, on_outcome
from backend.errors import WatchfloorError
from backend.paging import cut_page, newest_first
from backend.policy.recovery import Plan
from contract.errors import ErrorCode
from contract.recovery import (
    ENDED,
    AbortRequest,
    DrillHistory,
    DrillRequest,
    DrillState,
    RecoveryDrill,
    Schedule,
    StepRequest,
)

__all__ = ["abort", "forget_person", "get_drill", "list_drills", "look_at_backups", "start", "step", "this_alone"]

_ONE_AT_A_TIME: Final = text("SELECT pg_advisory_xact_lock(:key)")
_LOCK_KEY: Final = 0x5746_0030
"""Two people who start a drill at once come one after the other."""
_KB: Final = 1024


async def start(
    session: AsyncSession, runtime: Runtime, drills: Drills, caller: Caller, request: DrillRequest
) -> RecoveryDrill:
    """Start a drill here. It begins once the database has it, and goes on whatever the database does then.

    Raises:
        WatchfloorError: NOT_FOUND; REFUSED_BY_POLICY for a plan that cannot be run here; NOT_ALLOWED; INVALID_REQUEST
            without the cluster's name; CONFLICT while another one runs; UNAVAILABLE.
    """
    plan = planning.plan_named(runtime, request.plan)
    await drills.settled()
    await drills.parts.cluster.topology()  # its name is known from its answer only, and is compared below
    await session.execute(_ONE_AT_A_TIME, {"key": _LOCK_KEY})
    if request.idempotency_key and (earlier := await _by_key(session, caller, request.idempotency_key)):
        return shown(earlier)
    _refuse_plan(drills, plan, caller, request)
    running = await session.scalar(select(RecoveryDrillRow.ref).where(RecoveryDrillRow.running.is_(True)))
    if running is not None:
        raise another(running)
    now = runtime.clock.now()
    started = _started(runtime, drills, plan, caller, request, ref=await _next_ref(session, now), now=now)
    conductor = await drills.prepare(started)

    async def committed() -> None:
        await conductor.confirm()
        drills.go()

    on_outcome(session, committed, drills.forget)
    if_in_doubt(session, drills.go)
    await mirror(session, runtime, conductor.telling.run, [started], heard_at=now)
    return conductor.shown()


def _refuse_plan(drills: Drills, plan: Plan, caller: Caller, request: DrillRequest) -> None:
    problems = planning.problems_of(drills.parts, plan)
    if problems:
        raise WatchfloorError(ErrorCode.REFUSED_BY_POLICY, f"The plan {plan.name!r} cannot be run here: {problems[0]}")
    if request.hands_off:
        for one in plan.steps:
            asking.refuse_role(one, caller)
        if planning.is_destructive(plan):
            asking.refuse_name(request.cluster, drills.parts.cluster.name)


def _started(
    runtime: Runtime, drills: Drills, plan: Plan, caller: Caller, request: DrillRequest, *, ref: str, now: datetime
) -> lines.Started:
    cluster = drills.parts.cluster
    rto, rpo = planning.targets_of(runtime, plan)
    return lines.Started(
        at=now,
        ref=ref,
        plan=plan,
        cluster=cluster.name,
        provider=cluster.provider,
        hands_off=request.hands_off,
        name_typed=request.cluster == cluster.name,
        reason=request.reason,
        caller=stored(caller),
        idempotency_key=request.idempotency_key,
        backend=runtime.emitter.node,
        rto_target_seconds=rto,
        rpo_target_seconds=rpo,
        keep_output_chars=runtime.policy.recovery.keep_output_kb * _KB,
    )


async def _next_ref(session: AsyncSession, now: datetime) -> str:
    day = f"DR-TEST-{now:%Y%m%d}"
    that_day = RecoveryDrillRow.ref.startswith(day, autoescape=True)
    count = await session.scalar(select(func.count()).select_from(RecoveryDrillRow).where(that_day)) or 0
    return day if not count else f"{day}-{count + 1}"


async def _by_key(session: AsyncSession, caller: Caller, key: str) -> RecoveryDrillRow | None:
    wanted = select(RecoveryDrillRow).where(
        RecoveryDrillRow.started_by == caller.subject, RecoveryDrillRow.idempotency_key == key
    )
    return (await session.execute(wanted)).scalar_one_or_none()


async def list_drills(session: AsyncSession, runtime: Runtime, *, cursor: str | None, limit: int) -> DrillHistory:
    """Drills, newest first, with the trend of what they measured and when the next one is due."""
    query = newest_first(select(RecoveryDrillRow), RecoveryDrillRow.started_at, RecoveryDrillRow.id, cursor, limit)
    rows = (await session.scalars(query)).all()
    page, following = cut_page(rows, limit, lambda row: (row.started_at, row.id))
    running = await session.scalar(select(RecoveryDrillRow.ref).where(RecoveryDrillRow.running.is_(True)))
    return DrillHistory(
        items=[shown(row) for row in page],
        next_cursor=following,
        running=running,
        trend=await trend_of(session),
        schedule=await schedule_of(session, runtime),
        as_of=runtime.clock.now(),
    )


def this_alone(runtime: Runtime, drill: RecoveryDrill) -> DrillHistory:
    """The drill that runs here while nobody can read of any other."""
    entry = entry_of(runtime)
    why = "not known while the database is away"
    return DrillHistory(
        items=[drill],
        running=None if drill.state in ENDED else drill.ref,
        schedule=Schedule(name=entry.name, every=entry.every, why=why, reviewer=entry.reviewer or ""),
        as_of=runtime.clock.now(),
    )


async def get_drill(session: AsyncSession, ref: str) -> RecoveryDrill:
    """A drill with what its steps printed, as the backend that runs it last said.

    Raises:
        WatchfloorError: NOT_FOUND.
    """
    row = await row_of(session, ref)
    run = core.fold(await told_of(session, row.ref))
    return with_signature(show(run, heard_at=row.heard_at, whole=True), row)


# what is asked at another backend than the one that runs the drill


async def step(
    session: AsyncSession, runtime: Runtime, caller: Caller, ref: str, request: StepRequest
) -> RecoveryDrill:
    """Have the backend that runs a drill let a step run.

    Raises:
        WatchfloorError: NOT_FOUND; CONFLICT if the step waits for nobody; NOT_ALLOWED; INVALID_REQUEST.
    """
    row = await row_of(session, ref)
    run = core.fold(await told_of(session, row.ref))
    asking.waiting_step(run, caller, request)
    await _ask(session, runtime, caller, row, STEP, request)
    return show(run, heard_at=row.heard_at, whole=True)


async def abort(
    session: AsyncSession, runtime: Runtime, caller: Caller, ref: str, request: AbortRequest
) -> RecoveryDrill:
    """Have the backend that runs a drill end it; one that has been silent since somebody asked before is given up.

    Raises:
        WatchfloorError: NOT_FOUND; CONFLICT if it has ended, or is being rolled back.
    """
    row = await row_of(session, ref)
    run = core.fold(told := await told_of(session, row.ref))
    now = runtime.clock.now()
    silent = timedelta(seconds=runtime.policy.recovery.heard_within_seconds)
    if now - row.heard_at <= silent or run.ended is not None:
        asking.refuse_abort(run)
    asked_at = await session.scalar(
        select(func.min(RecoveryAskRow.asked_at)).where(
            RecoveryAskRow.drill == row.ref, RecoveryAskRow.what == ABORT, RecoveryAskRow.taken_at.is_(None)
        )
    )
    if asked_at is not None and now - max(asked_at, row.heard_at) > silent:
        return await _give_up(session, runtime, caller, run, told, request)
    await _ask(session, runtime, caller, row, ABORT, request)
    return show(run, heard_at=row.heard_at, whole=True)


async def _ask(  # noqa: PLR0917  one row
    session: AsyncSession,
    runtime: Runtime,
    caller: Caller,
    row: RecoveryDrillRow,
    what: str,
    request: StepRequest | AbortRequest,
) -> None:
    ask = RecoveryAskRow(
        id=runtime.clock.new_id(),
        drill=row.ref,
        what=what,
        request=request.model_dump(mode="json"),
        caller=stored(caller),
        asked_at=runtime.clock.now(),
    )
    session.add(ask)
    await session.flush()


async def _give_up(  # noqa: PLR0917  the drill and who gives it up
    session: AsyncSession, runtime: Runtime, caller: Caller, run: Run, told: list[Line], request: AbortRequest
) -> RecoveryDrill:
    """End a drill whose backend is gone: nothing is undone, and what ran is said."""
    now = runtime.clock.now()
    ran = [one for one in reversed(run.steps) if one.ran and (one.undone is None or not one.undone.passed)]
    left = [f"Step {one.number} ({one.plan.title}) ran on {run.backend} and was not rolled back." for one in ran]
    sentence = f"{caller.subject} gave it up: {run.backend}, which ran it, is silent, and nothing was rolled back."
    said: list[Line] = [
        lines.AbortAsked(at=now, caller=stored(caller), reason=request.reason),
        lines.Ended(at=now, state=DrillState.UNRESOLVED, sentence=sentence, left_to_do=left),
    ]
    for line in said:
        run = core.add(run, line)
    await mirror(session, runtime, run, [*told, *said], heard_at=now)
    return show(run, heard_at=now, whole=True)
