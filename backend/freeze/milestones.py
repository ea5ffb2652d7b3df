"""Follows holds in force: writes down when each executor first reached a state, tells of violations, informs consoles.

Run by one leader. Must never decide a state itself: that is `proof`.
"""

from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from sqlalchemy import func
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.ext.asyncio import AsyncSession

from backend.alerts import service as alerts
from backend.alerts.service import ACKNOWLEDGEMENT, CLEARS_ON, AlertDraft
from backend.audit import service as audit
from backend.context import Runtime, system_caller
from backend.freeze import core, drills, store, views
from backend.freeze.evidence import Judged
from backend.freeze.tables import FreezeRow, HaltMilestone
from backend.paging import MAX_PAGE_ROWS
from backend.roster import service as roster
from contract.alerts import Link, Severity
from contract.scope import Scope, ScopeKind
from contract.states import HaltState

VIOLATION_RULE = "HALT_VIOLATION"
"""The alert about an executor that went on; cleared by whoever takes it on."""
MAX_NAMED = 100
"""Executors of one audit entry: within the size limit of an entry, also with long names and proofs."""
MAX_IN_ALERT = 5
_CALLER = system_caller("freeze-watch")
_TOLD_ELSEWHERE = frozenset({HaltState.REQUESTED, HaltState.DELIVERED, HaltState.ACKED})
"""Nothing is proven by the first two, and an acknowledgement is audited where it arrives."""


@dataclass(frozen=True, slots=True)
class _Followed:
    row: FreezeRow
    judged: Sequence[Judged]


async def follow(session: AsyncSession, runtime: Runtime) -> None:
    """Look at every hold in force once, and publish those that no longer look as consoles were last told.

    A hold that somebody is just changing is left out, rather than waited for, until the next time.
    """
    query = store.newest_first(in_force_only=True, after=None, limit=MAX_PAGE_ROWS)
    rows = (await session.execute(query.with_for_update(key_share=True, skip_locked=True))).scalars().all()
    found = await views.judged(session, runtime, rows)
    for row, judged in found:
        await _note(session, runtime, _Followed(row, judged))
        views.publish_if_changed(session, row, judged)
    await drills.end_if_due(session, runtime, found, await roster.database_now(session))


async def _note(session: AsyncSession, runtime: Runtime, followed: _Followed) -> None:
    reached = await _new(session, followed)
    by_state: dict[HaltState, list[Judged]] = defaultdict(list)
    for one in reached:
        by_state[one.verdict.state].append(one)
    for state, some in by_state.items():
        if state not in _TOLD_ELSEWHERE:
            await _audit(session, runtime, followed.row, state=state, reached=some)
    if by_state[HaltState.VIOLATION]:
        gone_on = [one for one in followed.judged if one.verdict.state is HaltState.VIOLATION]
        await alerts.raise_alert(session, runtime, _CALLER, _draft(followed.row, gone_on))


async def _new(session: AsyncSession, followed: _Followed) -> list[Judged]:
    """Those that are in a state for the first time; what they reached is written down."""
    values = [
        {
            "freeze_id": followed.row.id,
            "executor": one.executor,
            "state": one.verdict.state.value,
            "proof": one.verdict.proof,
            "reached_at": func.clock_timestamp(),
        }
        for one in followed.judged
        if one.facts is not None
    ]
    if not values:
        return []
    statement = (
        insert(HaltMilestone)
        .values(values)
        .on_conflict_do_nothing()
        .returning(HaltMilestone.executor, HaltMilestone.state)
    )
    added = {(row.executor, row.state) for row in await session.execute(statement)}
    return [one for one in followed.judged if (one.executor, one.verdict.state.value) in added]


async def _audit(
    session: AsyncSession, runtime: Runtime, row: FreezeRow, *, state: HaltState, reached: Sequence[Judged]
) -> None:
    for start in range(0, len(reached), MAX_NAMED):
        some = reached[start : start + MAX_NAMED]
        draft = audit.AuditDraft(
            event_type=f"freeze.halt.{state.value}",
            action=f"halt {state.value}",
            resource_type="freeze",
            resource_id=core.ref_of(row.number),
            new_value={"executors": {one.executor: one.verdict.proof for one in some}},
        )
        await audit.record(session, runtime, _CALLER, draft)


def _draft(row: FreezeRow, gone_on: Sequence[Judged]) -> AlertDraft:
    ref = core.ref_of(row.number)
    names = _listed(one.executor for one in gone_on)
    return AlertDraft(
        fingerprint=f"{VIOLATION_RULE}:{ref}",
        rule=VIOLATION_RULE,
        severity=Severity.CRITICAL,
        scope=Scope(kind=ScopeKind.EXECUTOR, name=gone_on[0].executor),
        message=f"{names} went on after {ref} ({store.scope_of(row)}): {gone_on[0].verdict.proof}.",
        facts={CLEARS_ON: ACKNOWLEDGEMENT, "freeze": ref, "executors": f"{len(gone_on)}"},
        links=[
            Link(kind="freeze", id=str(row.id), label=ref),
            *(Link(kind="executor", id=one.executor, label=one.executor) for one in gone_on[:MAX_IN_ALERT]),
        ],
        moves=False,
    )


def _listed(names: Iterable[str]) -> str:
    named = list(names)
    more = f" and {len(named) - MAX_IN_ALERT} more" if len(named) > MAX_IN_ALERT else ""
    return ", ".join(named[:MAX_IN_ALERT]) + more
