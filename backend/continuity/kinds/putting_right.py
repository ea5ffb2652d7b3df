"""Has the first primary of a cluster lead again, whatever became of it meanwhile. Discards no acknowledged write.

A primary that was killed and not replaced is started again; one that was replaced rejoins as a standby, catches up, and
only then they change places.
"""

import asyncio
from typing import Final

from backend.continuity.cluster.port import ClusterError
from backend.continuity.kinds import standing, ways_back
from backend.continuity.kinds.base import At, Outcome
from contract.recovery import Topology

SETTLE_S: Final = 15.0
"""How long a cluster may take to get whole by itself before a rollback lends a hand."""
BACK_LIMIT_S: Final = 120.0
"""After so long without a write or a standby a person has to look."""
CATCH_UP_LIMIT_S: Final = 3_000.0
"""A node that is copied whole takes its time; less than the engine gives a rollback."""


async def lead_again(at: At, first: str, what: str, seen: Topology) -> Outcome:
    """Bring the cluster to where a node leads and all others follow it; `what` is undone by that, in words."""
    primary, done = standing.names_primary(seen), f"{first} is the primary and all others follow it."
    if primary is None:
        # whoever was promoted and is down has what the first primary lacks: that one first
        started = await _restarted(at, seen.leads or first, first)
        if not started.passed:
            return started
        primary, done = standing.names_primary(await at.cluster.topology()), started.summary
    if primary == first and await _becomes_whole(at, first):
        return Outcome(passed=True, summary=done)
    return await _brought_back(at, first, what)


async def rejoin_and_lead(at: At, first: str) -> None:
    """Bring a node back as a standby, and have it take over once it has everything.

    Raises:
        ClusterError: it cannot follow, or does not take over.
    """
    seen = await at.cluster.topology()
    if not standing.follows(seen, first):
        at.log(f"{first} rejoins as a standby.")
        await at.cluster.rejoin(first)
    await standing.until(at, at.cluster, lambda now: standing.follows(now, first), f"{first} follows")
    await at.cluster.switch_over(first)
    at.log(f"{first} leads again.")


async def _becomes_whole(at: At, first: str) -> bool:
    """Whether all others follow a primary, or soon do by themselves."""
    try:
        async with asyncio.timeout(SETTLE_S):
            await standing.until(
                at, at.cluster, lambda now: standing.is_whole(now, first), f"all others follow {first}"
            )
    except TimeoutError:
        return False
    return True


async def _restarted(at: At, node: str, first: str) -> Outcome:
    """The way back while nobody leads: whoever did last is started again."""
    try:
        await at.cluster.restart(node)
        async with asyncio.timeout(BACK_LIMIT_S):
            taken = await standing.until_written(at)
    except (ClusterError, TimeoutError) as error:
        seen = await at.cluster.topology()
        if standing.names_primary(seen) not in {None, node}:  # promoted meanwhile
            return Outcome(passed=True, summary=str(error))
        summary = str(error) or f"{node} was started again and takes no write."
        return Outcome(passed=False, summary=summary, left_to_do=ways_back.back(at.cluster, first, seen))
    return Outcome(passed=True, summary=f"{node} was started again as the primary; {taken}.")


async def _brought_back(at: At, first: str, what: str) -> Outcome:
    """The way back once another was promoted, or a standby was lost on the way."""
    try:
        await _bring_back(at, first)
        async with asyncio.timeout(BACK_LIMIT_S):
            await standing.until(
                at, at.cluster, lambda now: standing.is_whole(now, first), f"all others follow {first}"
            )
            taken = await standing.until_written(at)
    except (ClusterError, TimeoutError) as error:
        seen = await at.cluster.topology()
        so = str(error) or f"it is not as before: {standing.in_words(seen)}."
        summary = f"{what.capitalize()} could not be undone: {so}"
        return Outcome(passed=False, summary=summary, left_to_do=ways_back.back(at.cluster, first, seen))
    return Outcome(passed=True, summary=f"{first} is the primary again and all others follow it; {taken}.")


async def _bring_back(at: At, first: str) -> None:
    seen = await at.cluster.topology()
    if standing.names_primary(seen) != first:
        async with asyncio.timeout(CATCH_UP_LIMIT_S):
            await rejoin_and_lead(at, first)
        return
    for node in seen.nodes:
        if node.name != first and not standing.follows(seen, node.name):
            at.log(f"{node.name} rejoins as a standby.")
            await at.cluster.rejoin(node.name)
