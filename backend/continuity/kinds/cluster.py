"""Cluster steps: kill the primary, fail over, switch over, fail back, and the way back from each.

What was noted before an act tells `undo` and `look` what may have happened; what is so the cluster tells.
"""

from datetime import timedelta
from typing import Final

from backend.context import Runtime
from backend.continuity.cluster.port import Cluster
from backend.continuity.kinds import putting_right, standing, ways_back
from backend.continuity.kinds.base import At, Facts, Outcome, of_kind
from backend.policy.recovery import AnyStep, ClusterStep
from contract.recovery import ClusterAction, NodeRole, Topology

NO_PROVIDER: Final = "none"
_BEFORE: Final = "primary_before"
_KILLED: Final = "killed"
_BEGAN: Final = "outage_began_at"
_DOES: Final = {
    ClusterAction.KILL_PRIMARY: "Ends the primary {primary} of {cluster} without warning, as a crash would.",
    ClusterAction.FAIL_OVER: "Makes a standby of {cluster} the primary in place of {primary}; that one is out.",
    ClusterAction.SWITCH_OVER: "Has a standby of {cluster} change places with {primary}, in order.",
    ClusterAction.FAIL_BACK: "Brings the first primary of {cluster} back as a standby, then has it lead again.",
}


class ClusterKind:
    """See `Kind`."""

    def problems(self, runtime: Runtime, cluster: Cluster, step: AnyStep) -> list[str]:  # noqa: ARG002  the protocol's
        """No cluster, or one that cannot do it."""
        if cluster.provider == NO_PROVIDER:
            return ["No cluster is configured: set WATCHFLOOR_CLUSTER."]
        if cluster.provider == ways_back.PATRONI and _own(step).action is ClusterAction.KILL_PRIMARY:
            return ["Patroni cannot kill a primary: let a command step end the processes of its node."]
        return []

    async def describe(self, runtime: Runtime, cluster: Cluster, step: AnyStep) -> str:  # noqa: ARG002  the protocol's
        """What it would do to which node."""
        primary = standing.names_primary(await cluster.topology())
        return _DOES[_own(step).action].format(primary=primary or "(there is none now)", cluster=cluster.name)

    async def run(self, at: At) -> Outcome:
        """Do it, and wait until it shows."""
        acts = {
            ClusterAction.KILL_PRIMARY: _kill,
            ClusterAction.FAIL_OVER: _fail_over,
            ClusterAction.SWITCH_OVER: _switch_over,
            ClusterAction.FAIL_BACK: _fail_back,
        }
        return await acts[_own(at.step).action](at)

    async def undo(self, at: At, facts: Facts) -> Outcome:
        """Bring the cluster to where its first primary leads again, without losing a write."""
        action = _own(at.step).action
        if not facts.get(_BEFORE):
            return Outcome(passed=True, summary="Nothing had been done to the cluster.")
        first = at.first_primary or str(facts[_BEFORE])
        seen = await standing.until_at_rest(at)
        if at.put_right_by is not None and not _is_up(seen, first):
            return Outcome(
                passed=True, summary=f"{first} is out until step {at.put_right_by} is undone, which goes on."
            )
        # of a promotion that never came the kill before it is undone next; undone here, it is done already then
        return await putting_right.lead_again(at, first, action.value.replace("_", " "), seen)

    async def look(self, at: At, facts: Facts) -> Outcome | None:
        """By who is what now."""
        before, action = facts.get(_BEFORE), _own(at.step).action
        if not before:
            return None
        seen = await at.cluster.topology()
        primary = standing.names_primary(seen)
        if action is ClusterAction.KILL_PRIMARY:
            gone = _is_down(seen, str(before))
            return Outcome(passed=True, summary=f"{before} was ended.", facts={_KILLED: before}) if gone else None
        if action is ClusterAction.FAIL_BACK:
            done = at.first_primary is not None and standing.is_whole(seen, at.first_primary)
        else:
            done = primary is not None and primary != before
        if not done:
            return None
        taken = await standing.until_written(at)
        return Outcome(passed=True, summary=f"{primary} is the primary; {taken}.")


def _own(step: AnyStep) -> ClusterStep:
    return of_kind(step, ClusterStep)


def _is_down(topology: Topology, name: str) -> bool:
    return any(node.name == name and node.role in {NodeRole.STOPPED, NodeRole.UNKNOWN} for node in topology.nodes)


def _is_up(topology: Topology, name: str) -> bool:
    return any(node.name == name and node.role in {NodeRole.PRIMARY, NodeRole.STANDBY} for node in topology.nodes)


async def _kill(at: At) -> Outcome:
    primary = standing.names_primary(await at.cluster.topology())
    if primary is None:
        return Outcome(passed=False, summary="There is no primary that could be ended.")
    before = at.runtime.clock.now() + timedelta(seconds=at.step.timeout_seconds)
    await at.note({_BEFORE: primary})
    killed = await at.cluster.kill_primary(before=before)
    await at.note({_KILLED: killed.node, _BEGAN: killed.at.isoformat()})
    at.log(f"{killed.node} was ended at {killed.at:%H:%M:%S.%f} UTC.")
    seen = await standing.until(at, at.cluster, lambda now: _is_down(now, killed.node), f"{killed.node} is gone")
    count = f"{len(killed.pids)} processes" if killed.pids else "its processes"
    return Outcome(
        passed=True,
        summary=f"{killed.node} is gone: {count} ended without warning.",
        output=standing.in_words(seen),
        facts={_KILLED: killed.node, _BEGAN: killed.at.isoformat()},
    )


async def _fail_over(at: At) -> Outcome:
    before = at.first_primary or standing.names_primary(await at.cluster.topology())
    if before is None:
        return Outcome(passed=False, summary="Nobody knows which node was the primary.")
    await at.note({_BEFORE: before})
    promoted = await at.cluster.fail_over()
    at.log(f"{promoted} is the primary.")
    if promoted == before:
        return Outcome(passed=False, summary=f"{before} is still the primary: nothing failed over.")
    await standing.until_markers(at)
    taken = await standing.until_written(at)
    seen = await at.cluster.topology()
    return Outcome(
        passed=True,
        summary=f"{promoted} is the primary in place of {before}; {taken}.",
        output=standing.in_words(seen),
        facts={"promoted": promoted},
    )


async def _switch_over(at: At) -> Outcome:
    before = standing.names_primary(await at.cluster.topology())
    if before is None:
        return Outcome(passed=False, summary="There is no primary that could change places with anybody.")
    await at.note({_BEFORE: before})
    promoted = await at.cluster.switch_over()
    at.log(f"{promoted} is the primary.")
    await standing.until_markers(at)
    taken = await standing.until_written(at)
    seen = await standing.until(
        at, at.cluster, lambda now: standing.is_whole(now, promoted), f"all others follow {promoted}"
    )
    return Outcome(
        passed=promoted != before,
        summary=f"{promoted} is the primary in place of {before}; {taken}.",
        output=standing.in_words(seen),
        facts={"promoted": promoted},
    )


async def _fail_back(at: At) -> Outcome:
    first = at.first_primary
    if first is None:
        return Outcome(passed=False, summary="Nobody knows which node was the primary when the drill began.")
    before = standing.names_primary(await at.cluster.topology())
    await at.note({_BEFORE: before or first})
    if before != first:
        await putting_right.rejoin_and_lead(at, first)
        await standing.until_markers(at)
    taken = await standing.until_written(at)
    seen = await standing.until(at, at.cluster, lambda now: standing.is_whole(now, first), f"all others follow {first}")
    return Outcome(
        passed=True,
        summary=f"{first} is the primary again and all others follow it; {taken}.",
        output=standing.in_words(seen),
    )
