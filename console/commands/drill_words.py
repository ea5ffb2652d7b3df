"""How recovery drills read in text: plans, a dry run, one drill, the list, the cluster. At most 80 columns."""

from datetime import datetime
from typing import Final

from console.commands.base import cell, glyph_set, sign
from console.commands.output import Cell, age, instant, now_of, outside, table, wrapped
from console.state.recovery import due_text, lag_text, span, topology_text, waiting_step
from console.widgets import recovery_words as words
from contract.lengths import target
from contract.recovery import (
    DrillHistory,
    DrillStep,
    DryRun,
    Precondition,
    RecoveryDrill,
    RecoveryPlan,
    RecoveryPlans,
    Schedule,
    Topology,
)
from contract.recovery_states import DrillState

_SHOWN_LOG_LINES: Final = 20


def plans(found: RecoveryPlans) -> list[str]:
    """Every plan with its steps."""
    on = (
        f"on the cluster {outside(found.cluster, 60)} ({outside(found.provider, 20)})"
        if found.cluster
        else "no cluster is known"
    )
    return [f"Recovery plans, {on}.", *(row for plan in found.items for row in ["", *one_plan(plan)])]


def one_plan(plan: RecoveryPlan) -> list[str]:
    """One plan: its objectives, what each step would do, why it cannot be run."""
    head = f"{outside(plan.name, 40)}: {outside(plan.title, 100)}"
    rows = wrapped(head + (" (destructive)" if plan.destructive else ""), 0)
    data = ", ".join(outside(one, 40) for one in plan.data)
    aims = f"RTO {target(plan.rto_seconds)} ({outside(plan.protects, 40)}), RPO {target(plan.rpo_seconds)} ({data})"
    rows += wrapped(aims, 2)
    for step in plan.steps:
        mark = "!" if step.destructive else " "
        rows += wrapped(f"{step.number:>2}{mark} {outside(step.title, 100)}, at most {target(step.timeout_seconds)}", 2)
        rows += wrapped(outside(step.does, 300), 6) if step.does else []
        rows += wrapped(f"undone: {outside(step.rollback, 300)}", 6) if step.rollback else []
    return rows + [row for problem in plan.problems for row in wrapped(f"CANNOT RUN HERE: {outside(problem, 300)}", 2)]


def dry_run(found: DryRun) -> list[str]:
    """What would happen, on what, and what would keep it from being started."""
    rows = [*one_plan(found.plan), "", *topology(found.topology), "", "What it would do:"]
    rows += [row for said in found.blast_radius for row in wrapped(outside(said, 400), 2)]
    rows += ["", "Preconditions:", *checks(found.preconditions), ""]
    verdict = "It would start." if found.would_start else "It would NOT start: nothing would be touched."
    return [*rows, f"{verdict} Nothing was done. As of {instant(found.as_of)}."]


def checks(found: list[Precondition]) -> list[str]:
    """Each condition with what was found."""
    rows = []
    for one in found:
        head, *rest = wrapped(f"{outside(one.title, 80)}: {outside(one.found, 300)}", 12)
        rows += [f"  {sign(words.check(one, glyph_set()), 9)} {head.strip()}", *rest]
    return rows


def topology(found: Topology) -> list[str]:
    """Who is primary and who follows."""
    rows = wrapped(
        f"Cluster {outside(found.cluster, 60)} ({outside(found.provider, 20)}): {outside(topology_text(found), 300)}", 0
    )
    for node in found.nodes:
        role = words.node(node.role, glyph_set())
        facts = [outside(node.state, 40)] if node.state else []
        facts += [f"timeline {node.timeline}"] if node.timeline is not None else []
        facts += [lag_text(node)] if role.word == "standby" else []
        facts += ["synchronous"] if node.synchronous else []
        rows.append(f"  {sign(role, 10)} {outside(node.name, 30)}  {', '.join(facts)}")
    rows.append(f"  commits {'wait' if found.synchronous_mode else 'do not wait'} for a standby")
    rows += ["  the cluster's own failover is switched off"] if found.paused else []
    rows += wrapped(f"PROBLEM: {outside(found.problem, 300)}", 2) if found.problem and found.nodes else []
    return rows


def history(found: DrillHistory) -> list[str]:
    """Drills, newest first, and when the next is due."""
    now = now_of(found.as_of)
    due = wrapped(schedule(found.schedule, now), 0)
    if not found.items:
        return ["No recovery drill has been run.", *due]
    rows: list[tuple[Cell, ...]] = [
        (
            cell(words.drill(one.state, glyph_set())),
            outside(one.ref, 24),
            outside(one.plan, 24),
            span(one.measured.rto_ms),
            span(one.measured.rpo_ms),
            f"{age(one.started_at, now)} ago",
            outside(one.started_by, 20) + (" signed" if one.signed_by else ""),
        )
        for one in found.items
    ]
    return [*table(("state", "drill", "plan", "RTO", "RPO", "started", "by"), rows, right=(3, 4)), *due]


def schedule(found: Schedule, now: datetime) -> str:
    """When the next one is due."""
    text, _ = due_text(found, now.date())
    last = f"the last that passed was on {found.last_passed}" if found.last_passed else "none has ever passed"
    if not text:
        return f"The policy schedules none; {last}."
    return f"{outside(found.name, 60)} {text} ({outside(found.every, 40)}, due {found.due}); {last}."


def drill(one: RecoveryDrill, now: datetime) -> list[str]:
    """One drill, whole."""
    rows = [f"{sign(words.drill(one.state, glyph_set()))} {outside(one.ref, 24)}  {outside(one.title, 100)}"]
    rows += wrapped(outside(one.sentence, 500), 0)
    how = "hands-off" if one.hands_off else "step by step"
    rows.append(
        f"  on {outside(one.cluster, 40)} ({outside(one.provider, 20)}), {how}, by {outside(one.started_by, 40)}"
    )
    rows += wrapped(f"reason {outside(one.reason, 300)}", 2)
    ended = f", ended {instant(one.ended_at)}" if one.ended_at else f", heard {age(one.heard_at, now)} ago"
    rows += [f"  started {instant(one.started_at)}{ended}", *measured(one)]
    rows += [row for left in one.left_to_do for row in wrapped(f"LEFT TO DO: {outside(left, 500)}", 0)]
    rows += [row for step in one.steps for row in step_rows(step)]
    if not all(check.ok for check in one.before):
        rows += ["Before:", *checks(one.before)]
    rows += ["After:", *checks(one.after)] if one.after else []
    rows += ["Log:", *(row for said in one.log[-_SHOWN_LOG_LINES:] for row in wrapped(outside(said, 300), 2))]
    if one.signed_by:
        rows.append(f"Signed by {outside(one.signed_by, 40)}, {instant(one.signed_at)}")
    return rows + next_act(one)


def measured(one: RecoveryDrill) -> list[str]:
    """Recovery time and recovery point against their targets."""
    found, g = one.measured, glyph_set()
    lost = (
        ""
        if found.markers_lost is None
        else f", {found.markers_lost:,} of {found.markers_acknowledged or 0:,} markers lost"
    )
    if found.transactions_lost is not None:
        lost += f", {found.transactions_lost:,} transactions lost"
    return [
        f"  RTO {span(found.rto_ms)} of {target(found.rto_target_seconds)}  {sign(words.met(found.rto_met, g))}",
        f"  RPO {span(found.rpo_ms)} of {target(found.rpo_target_seconds)}  {sign(words.met(found.rpo_met, g))}{lost}",
    ]


def step_rows(step: DrillStep) -> list[str]:
    """A step: its state, how long it took, what came of it."""
    state = sign(words.step(step.state, glyph_set()), 11)
    took = f"  {span(step.duration_ms)}" if step.duration_ms is not None else ""
    rows = [f"{state} {step.number} {outside(step.title, 80)}{took}"]
    rows += wrapped(outside(step.summary, 400), 14) if step.summary else []
    rows += wrapped(f"evidence sha256 {step.evidence_sha256}", 14) if step.evidence_sha256 else []
    if step.undone_at is not None:
        rows += wrapped(f"rolled back: {outside(step.undo_summary, 300)}", 14)
    return rows


def next_act(one: RecoveryDrill) -> list[str]:
    """What a person has to do now."""
    step = waiting_step(one)
    if one.state is not DrillState.WAITING or step is None:
        return []
    asks = {"cluster_name": f" --cluster {outside(one.cluster, 60)}", "evidence": " --evidence TEXT"}
    wants = asks.get(step.waits_for, "")
    rows = wrapped(f"To do: {outside(step.instructions, 1000)}", 0) if step.instructions else []
    return [*rows, f"Step {step.number} waits: watchfloor drill step {outside(one.ref)}{wants}"]
