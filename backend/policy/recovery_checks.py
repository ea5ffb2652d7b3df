"""Checks of recovery plans against the rest of a policy. Works on raw data, so that it always runs."""

from collections.abc import Iterator
from typing import Any, Final

from backend.policy.lookup import list_of, no_such, table_of
from backend.policy.mistakes import Path
from backend.policy.recovery import RecoveryRules

Finding = tuple[Path, str]
_AT: Final = ("watchfloor", "recovery")
_CLUSTER_CHECKS: Final = frozenset({"cluster_reachable", "standby_healthy", "standby_lag"})
"""What a plan that touches the cluster has to look at first, and again afterwards."""
_TAKES_AWAY: Final = frozenset({"kill_primary", "fail_over", "switch_over"})
"""After these another node leads, or none."""
_ASKS_FIRST: Final = frozenset({"kill_primary", "switch_over", "fail_back"})
"""Before these somebody types the cluster's name, wherever they stand."""


def wrong_names(data: dict[str, Any]) -> Iterator[Finding]:
    """What does not fit together, in data that need not be valid otherwise."""
    recovery = table_of(data, *_AT)
    scheduled = {one.get("name") for one in list_of(data, "audit_schedule") if isinstance(one, dict)}
    named = recovery.get("scheduled_as")
    if isinstance(named, str) and named not in scheduled:
        yield (*_AT, "scheduled_as"), no_such("scheduled audit", named, scheduled)
    rows = {one.get("data") for one in list_of(data, "backups") if isinstance(one, dict)}
    for index, source in enumerate(list_of(recovery, "backups")):
        row = source.get("data") if isinstance(source, dict) else None
        if isinstance(row, str) and row not in rows:
            yield (*_AT, "backups", index, "data"), no_such("row of the backup matrix", row, rows)
    for index, plan in enumerate(list_of(recovery, "plans")):
        if isinstance(plan, dict):
            at = (*_AT, "plans", index)
            yield from _objectives(data, plan, at)
            yield from _steps(data, plan, at, rows)
            yield from _whole(plan, at)


def doubts(rules: RecoveryRules) -> Iterator[Finding]:
    """What is allowed and probably not meant."""
    for index, plan in enumerate(rules.plans):
        if not (plan.practice or plan.measures):
            told = (
                "is not set, yet no step begins an outage that another one ends: nothing is measured, and a drill of it"
            )
            yield (*_AT, "plans", index, "practice"), f"{told} does not count as the test of the audit schedule"


def _objectives(data: dict[str, Any], plan: dict[str, Any], at: Path) -> Iterator[Finding]:
    classes = table_of(data, "continuity", "rto_minutes")
    protects = plan.get("protects")
    if isinstance(protects, str) and protects not in classes:
        yield (*at, "protects"), no_such("class of continuity.rto_minutes", protects, classes)
    kinds = table_of(data, "continuity", "rpo_minutes")
    for index, kind in enumerate(list_of(plan, "data")):
        if isinstance(kind, str) and kind not in kinds:
            yield (*at, "data", index), no_such("kind of data of continuity.rpo_minutes", kind, kinds)


def _steps(data: dict[str, Any], plan: dict[str, Any], at: Path, rows: set[Any]) -> Iterator[Finding]:
    roles = table_of(data, "roles")
    for number, step in enumerate(list_of(plan, "steps")):
        if not isinstance(step, dict):
            continue
        for index, role in enumerate(list_of(step, "roles")):
            if isinstance(role, str) and role not in roles:
                yield (*at, "steps", number, "roles", index), no_such("role", role, roles)
        row = step.get("data")
        if step.get("kind") == "backup" and isinstance(row, str) and row not in rows:
            yield (*at, "steps", number, "data"), no_such("row of the backup matrix", row, rows)


def _whole(plan: dict[str, Any], at: Path) -> Iterator[Finding]:
    """A plan that touches the cluster asks first, looks at what it left, and brings it back."""
    steps = [step if isinstance(step, dict) else {} for step in list_of(plan, "steps")]
    acts = [(number, step.get("action")) for number, step in enumerate(steps) if step.get("kind") == "cluster"]
    if not acts:
        return
    lacks = sorted(_CLUSTER_CHECKS - {name for name in list_of(plan, "preconditions") if isinstance(name, str)})
    if lacks:
        yield (*at, "preconditions"), f"the plan touches the cluster, but does not look at {', '.join(lacks)}"
    first = acts[0]
    # what kills the primary may be no act of the cluster's, and somebody is asked before that one then
    asked = any(step.get("destructive") is True for step in steps[: first[0]])
    for number, action in acts:
        typed = steps[number].get("destructive") is True
        # promoting another after its primary was killed takes nothing away that the step before has left
        begins = (number, action) == first and not asked
        if not typed and (action in _ASKS_FIRST or (begins and action in _TAKES_AWAY)):
            yield (*at, "steps", number, "destructive"), f"must be true: {action} changes who leads the cluster"
    last = acts[-1][1]
    if last in _TAKES_AWAY:
        yield (*at, "steps"), f"the plan ends with another node leading: nothing fails back after {last}"
