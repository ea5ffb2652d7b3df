"""What a plan would do here and now: its objectives, its steps in words, what would keep it from being started."""

import asyncio
from typing import Final

from backend.context import Runtime
from backend.continuity.kinds.base import Kind
from backend.continuity.looking import looked
from backend.continuity.measuring import Steady
from backend.continuity.stepping import Parts
from backend.errors import not_found
from backend.policy.recovery import AnyStep, ClusterStep, ManualStep, Plan
from contract.recovery import DryRun, PlannedStep, RecoveryPlan, RecoveryPlans, StepKind, Topology

DESCRIBE_S: Final = 5.0
"""A step that cannot say in this time what it would do says so."""
_MINUTE_S: Final = 60


def plan_named(runtime: Runtime, name: str) -> Plan:
    """A plan of the policy.

    Raises:
        WatchfloorError: NOT_FOUND.
    """
    found = next((plan for plan in runtime.policy.recovery.plans if plan.name == name), None)
    if found is None:
        raise not_found("recovery plan", name)
    return found


def targets_of(runtime: Runtime, plan: Plan) -> tuple[int, int]:
    """Recovery time and recovery point objective in seconds; of several kinds of data the strictest counts."""
    continuity = runtime.policy.continuity
    rpo = min(continuity.rpo_minutes[data] for data in plan.data)
    return continuity.rto_minutes[plan.protects] * _MINUTE_S, rpo * _MINUTE_S


def is_destructive(plan: Plan) -> bool:
    """Whether the cluster's name has to be typed for some step of it."""
    return any(step.destructive for step in plan.steps)


def problems_of(parts: Parts, plan: Plan) -> list[str]:
    """Why a plan could never be run here."""
    return [
        f"Step {number} ({step.title}): {problem}"
        for number, step in enumerate(plan.steps, 1)
        for problem in _problems(parts, step)
    ]


def _problems(parts: Parts, step: AnyStep) -> list[str]:
    kind = parts.kinds.get(step.kind)
    if kind is None:
        return [f"this version cannot run steps of the kind {step.kind}"]
    return kind.problems(parts.runtime, parts.cluster, step)


async def plans(parts: Parts) -> RecoveryPlans:
    """Every plan of the policy."""
    found = [await _wire(parts, plan) for plan in parts.runtime.policy.recovery.plans]
    cluster = parts.cluster
    return RecoveryPlans(items=found, cluster=cluster.name, provider=cluster.provider, as_of=parts.runtime.clock.now())


async def dry_run(parts: Parts, name: str) -> DryRun:
    """What a drill would do now, without doing any of it.

    Raises:
        WatchfloorError: NOT_FOUND.
    """
    plan = plan_named(parts.runtime, name)
    wire = await _wire(parts, plan)
    topology = await parts.cluster.topology()
    checks = await looked(parts, Steady(parts.runtime, parts.cluster, plan))
    return DryRun(
        plan=wire,
        topology=topology,
        preconditions=checks,
        would_start=not wire.problems and all(check.ok or not check.blocking for check in checks),
        blast_radius=_blast_radius(plan, topology),
        as_of=parts.runtime.clock.now(),
    )


def _blast_radius(plan: Plan, topology: Topology) -> list[str]:
    said = []
    primary = topology.primary
    who = "the primary" if primary is None else f"the primary {primary.name}"
    for number, step in enumerate(plan.steps, 1):
        if step.destructive:
            act = step.action.value.replace("_", " ") if isinstance(step, ClusterStep) else step.kind
            said.append(f"Step {number} ({step.title}, {act}) touches {who} of the cluster {topology.cluster}.")
    if any(step.begins_outage for step in plan.steps):
        said.append(
            "From there until the database takes writes again nothing is stored: executors run out of permits and may"
            " only cancel; consoles show what they saw last, marked stale."
        )
        said.append("Freezes stay in force; a freeze in that time is latched and put into the database afterwards.")
        if not topology.synchronous_mode:
            said.append("Replication is asynchronous: what was acknowledged in the last moments may be lost.")
    return said or ["It reads and asks; nothing is stopped."]


async def _wire(parts: Parts, plan: Plan) -> RecoveryPlan:
    rto, rpo = targets_of(parts.runtime, plan)
    steps = [await _step(parts, number, step) for number, step in enumerate(plan.steps, 1)]
    return RecoveryPlan(
        name=plan.name,
        title=plan.title,
        protects=plan.protects,
        rto_seconds=rto,
        rpo_seconds=rpo,
        data=list(plan.data),
        steps=steps,
        destructive=is_destructive(plan),
        practice=plan.practice,
        problems=problems_of(parts, plan),
    )


async def _step(parts: Parts, number: int, step: AnyStep) -> PlannedStep:
    kind = parts.kinds.get(step.kind)
    problems = _problems(parts, step)
    return PlannedStep(
        number=number,
        name=step.name,
        title=step.title,
        kind=StepKind(step.kind),
        does="" if kind is None else await _does(parts, kind, step),
        passes_when=step.passes_when,
        rollback=step.rollback if isinstance(step, ManualStep) else _rollback(step),
        timeout_seconds=step.timeout_seconds,
        destructive=step.destructive,
        roles=list(step.roles),
        problem=problems[0] if problems else "",
    )


def _rollback(step: AnyStep) -> str:
    if step.kind == "cluster":
        return "The first primary is made primary again, without discarding a write that was acknowledged."
    undo = getattr(step, "undo_argv", ())
    return f"Runs {undo[0]}." if undo else ""


async def _does(parts: Parts, kind: Kind, step: AnyStep) -> str:
    try:
        async with asyncio.timeout(DESCRIBE_S):
            return await kind.describe(parts.runtime, parts.cluster, step)
    except TimeoutError:
        return "What it would do could not be found out in time."
