"""Puts what a drill's journal says into the database, each line once, with its audit entry. Never commits.

Safe to repeat, also after a failover that has lost some of it: what is not there is written again.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from types import MappingProxyType
from typing import Any, Final
from uuid import UUID

from sqlalchemy import func, select, update
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.ext.asyncio import AsyncSession

from backend import events
from backend.audit import service as audit
from backend.audit.service import AuditDraft
from backend.context import Caller, Runtime, system_caller
from backend.continuity import lines
from backend.continuity.asking import STEP
from backend.continuity.core import Run
from backend.continuity.deciding import measured
from backend.continuity.lines import LINES, Line, caller_of
from backend.continuity.showing import show
from backend.continuity.tables import RecoveryAskRow, RecoveryDrillRow, RecoveryLineRow
from contract.audit import AuditResult
from contract.recovery import DrillState, RecoveryDrill, StepState
from contract.stream import Topic

CALLER: Final = system_caller("recovery")
"""In whose name a drill's steps are recorded; who let them run is said in the entry."""
RESOURCE: Final = "recovery_drill"
MAX_ASKS: Final = 50
"""Asks that are taken at once."""
_CLOCKS: Final = frozenset({"heard_at", "topology", "version"})
"""What changes although nothing has happened."""
_SHA: Final = "evidence_sha256"


@dataclass(frozen=True, slots=True)
class Mirrored:
    """What the database said."""

    asks: Sequence[RecoveryAskRow]
    """What was asked at other backends and waits for an answer."""
    given_up: RecoveryDrill | None = None
    """As somebody has ended it elsewhere, because this process was silent."""


async def mirror(
    session: AsyncSession,
    runtime: Runtime,
    run: Run,
    told: Sequence[Line],
    *,
    heard_at: datetime,
    answers: Mapping[UUID, str] = MappingProxyType({}),
    publish: bool = True,
) -> Mirrored:
    """Write what is new, with the audit entries of it, and say what is asked.

    Consoles hear of it if it is something that they show, and if `publish` says so.
    """
    row = await session.scalar(select(RecoveryDrillRow).where(RecoveryDrillRow.ref == run.ref).with_for_update())
    if row is not None and row.ended_at is not None and (run.ended is None or run.ended.at != row.ended_at):
        return Mirrored((), RecoveryDrill.model_validate(row.shown))
    shown = show(run, heard_at=heard_at)
    if row is None:
        row = _row(runtime, run, told[0])
        session.add(row)
    row.state, row.ended_at, row.running = shown.state.value, shown.ended_at, None if run.ended else True
    row.backend, row.heard_at, row.incident = shown.backend, heard_at, run.incident
    before, row.shown = row.shown, shown.model_dump(mode="json")
    await session.flush()
    await _add_lines(session, runtime, run, told)
    if publish or _differs(before, row.shown):
        events.publish(session, Topic.RECOVERY, shown)
    for ident, answer in answers.items():
        taken = update(RecoveryAskRow).where(RecoveryAskRow.id == ident).values(taken_at=heard_at, answer=answer)
        await session.execute(taken)
    await _expire(session, runtime, run, heard_at)
    asks = await session.scalars(
        select(RecoveryAskRow)
        .where(RecoveryAskRow.drill == run.ref, RecoveryAskRow.taken_at.is_(None))
        .order_by(RecoveryAskRow.id)
        .limit(MAX_ASKS)
    )
    return Mirrored(asks.all())


async def _expire(session: AsyncSession, runtime: Runtime, run: Run, now: datetime) -> None:
    """Answer what nobody will do any more: a step that was asked for long ago, and everything once the drill is over.

    Ending the drill is done however late it is found.
    """
    waiting = update(RecoveryAskRow).where(RecoveryAskRow.drill == run.ref, RecoveryAskRow.taken_at.is_(None))
    if run.ended is not None:
        await session.execute(waiting.values(taken_at=now, answer="The drill had ended."))
        return
    limit_s = runtime.policy.recovery.ask_within_seconds
    late = waiting.where(RecoveryAskRow.what == STEP, RecoveryAskRow.asked_at < now - timedelta(seconds=limit_s))
    await session.execute(late.values(taken_at=now, answer=f"It was not found within {limit_s} s: ask again."))


def _differs(before: Mapping[str, Any] | None, now: Mapping[str, Any]) -> bool:
    return before is None or any(before.get(name) != value for name, value in now.items() if name not in _CLOCKS)


def _row(runtime: Runtime, run: Run, first: Line) -> RecoveryDrillRow:
    started = run.started
    return RecoveryDrillRow(
        id=runtime.clock.new_id(),
        ref=started.ref,
        plan=started.plan.name,
        practice=started.plan.practice or not started.plan.measures,
        started_by=str(started.caller["subject"]),
        started_at=first.at,
        idempotency_key=started.idempotency_key or None,
    )


async def _add_lines(session: AsyncSession, runtime: Runtime, run: Run, told: Sequence[Line]) -> None:
    there = await session.scalar(select(func.max(RecoveryLineRow.n)).where(RecoveryLineRow.drill == run.ref)) or 0
    new = list(enumerate(told, 1))[there:]
    if not new:
        return
    rows = [{"drill": run.ref, "n": n, "data": LINES.dump_python(line, mode="json")} for n, line in new]
    await session.execute(insert(RecoveryLineRow), rows)
    for n, line in new:
        entry = _entry(run, line)
        if entry is not None:
            caller, draft = entry
            told_of = {**(draft.new_value or {}), "line": n, "at": line.at.isoformat()}
            await audit.record(session, runtime, caller, _with(draft, run, told_of))


def _with(draft: AuditDraft, run: Run, value: dict[str, Any]) -> AuditDraft:
    return AuditDraft(
        draft.event_type, draft.action, RESOURCE, run.ref, new_value=value, result=draft.result,
        error_message=draft.error_message, incident=run.incident,
    )  # fmt: skip


def _entry(run: Run, line: Line) -> tuple[Caller, AuditDraft] | None:
    """The audit entry of a line, if it has one."""
    tell = _TELLERS.get(type(line))
    return None if tell is None else tell(run, line)


def _started(_run: Run, line: lines.Started) -> tuple[Caller, AuditDraft]:
    told = {
        "plan": line.plan.name, "cluster": line.cluster, "provider": line.provider, "hands_off": line.hands_off,
        "reason": line.reason, "backend": line.backend,
    }  # fmt: skip
    draft = AuditDraft("recovery.drill.started", "start recovery drill", new_value=told)
    return caller_of(line.caller), draft


def _stepped(run: Run, line: lines.Stepped) -> tuple[Caller, AuditDraft]:
    step = run.step(line.step)
    told = {
        "step": line.step, "name": step.plan.name, "kind": step.plan.kind, "state": line.state.value, "by": step.by,
        _SHA: line.evidence_sha256,
    }  # fmt: skip
    passed = line.state is StepState.PASSED
    return CALLER if line.caller is None else caller_of(line.caller), AuditDraft(
        "recovery.step.ended",
        "end step of recovery drill",
        new_value=told,
        result=AuditResult.SUCCESS if passed else AuditResult.FAILURE,
        error_message=None if passed else line.summary,
    )


def _undone(run: Run, line: lines.Undone) -> tuple[Caller, AuditDraft]:
    told = {"step": line.step, "name": run.step(line.step).plan.name, _SHA: line.evidence_sha256}
    return CALLER, AuditDraft(
        "recovery.step.undone",
        "undo step of recovery drill",
        new_value=told,
        result=AuditResult.SUCCESS if line.passed else AuditResult.FAILURE,
        error_message=None if line.passed else line.summary,
    )


def _aborted(_run: Run, line: lines.AbortAsked) -> tuple[Caller, AuditDraft]:
    told = {"reason": line.reason, "by_token_alone": line.by_token_alone}
    draft = AuditDraft("recovery.drill.aborted", "abort recovery drill", new_value=told)
    return caller_of(line.caller), draft


def _ended(run: Run, line: lines.Ended) -> tuple[Caller, AuditDraft]:
    passed = line.state is DrillState.PASSED
    told = {
        "state": line.state.value,
        "measured": measured(run).model_dump(mode="json"),
        "before": [_check(check.name, ok=check.ok, found=check.found) for check in run.before or ()],
        "after": [_check(check.name, ok=check.ok, found=check.found) for check in run.after or ()],
        "left_to_do": list(line.left_to_do),
    }
    return CALLER, AuditDraft(
        "recovery.drill.ended",
        "end recovery drill",
        new_value=told,
        result=AuditResult.SUCCESS if passed else AuditResult.FAILURE,
        error_message=None if passed else line.sentence,
    )


def _check(name: str, *, ok: bool, found: str) -> dict[str, Any]:
    return {"name": name, "ok": ok, "found": found}


_TELLERS: Final[dict[type, Callable[..., tuple[Caller, AuditDraft]]]] = {
    lines.Started: _started,
    lines.Stepped: _stepped,
    lines.Undone: _undone,
    lines.AbortAsked: _aborted,
    lines.Ended: _ended,
}
