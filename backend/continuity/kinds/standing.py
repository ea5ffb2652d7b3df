"""How the cluster stands, for steps that change it: who is primary, who follows, and whether a write is taken."""

import asyncio
from collections.abc import Callable
from typing import Final

from backend.continuity.cluster.port import Cluster
from backend.continuity.kinds.base import At
from backend.continuity.writable import took_write
from contract.recovery import NodeRole, Topology

LOOK_EVERY_S: Final = 0.25
FOLLOWING: Final = frozenset({"", "streaming", "in archive recovery", "running"})
"""States of a standby that gets what is written."""


def names_primary(topology: Topology) -> str | None:
    """The primary's name; None while there is none, or more than one."""
    return None if topology.primary is None else topology.primary.name


def follows(topology: Topology, name: str) -> bool:
    """Whether a node is a standby that gets what is written."""
    return any(
        node.name == name
        and node.role is NodeRole.STANDBY
        and node.state in FOLLOWING
        and node.lag_bytes is not None
        and (node.synchronous or not topology.synchronous_mode or _others_synchronous(topology, name))
        for node in topology.nodes
    )


def _others_synchronous(topology: Topology, name: str) -> bool:
    return any(node.synchronous and node.name != name for node in topology.nodes)


def is_whole(topology: Topology, primary: str) -> bool:
    """Whether a node is primary and all others follow it."""
    others = [node.name for node in topology.nodes if node.name != primary]
    return names_primary(topology) == primary and all(follows(topology, name) for name in others)


def in_words(topology: Topology) -> str:
    """Who is what, in one line."""
    told = [f"{node.name} {node.role.value}{f' ({node.state})' if node.state else ''}" for node in topology.nodes]
    return ", ".join(told) or topology.problem or "no node is known"


async def until(at: At, cluster: Cluster, holds: Callable[[Topology], bool], what: str) -> Topology:
    """Look until something is so; the engine ends it when time is over. Says in the log what is so instead."""
    said = ""
    while not holds(seen := await cluster.topology()):
        if (now := in_words(seen)) != said:
            at.log(f"Waits until {what}: {now}.")
            said = now
        await asyncio.sleep(LOOK_EVERY_S)
    return seen


async def until_at_rest(at: At) -> Topology:
    """Wait until nothing is being done to the cluster: an act whose asker is gone may be, and changes who is what."""
    told = False
    while (seen := await at.cluster.topology()).under_way:
        if not told:
            at.log(f"Waits until the cluster is done with {seen.under_way}.")
            told = True
        await asyncio.sleep(LOOK_EVERY_S)
    return seen


async def until_written(at: At) -> str:
    """Write until a write is taken; where it was."""
    told = False
    while (found := await took_write(at.runtime.settings.database_url, at.drill, at.runtime.clock.now())) is None:
        if not told:
            at.log("No write is taken yet.")
            told = True
        await asyncio.sleep(LOOK_EVERY_S)
    return f"a write was taken (timeline {found.timeline})"


async def until_markers(at: At) -> None:
    """Wait until the markers of the drill have been taken over a connection made since."""
    told = False
    while not at.markers_back():
        if not told:
            at.log("No marker is acknowledged yet.")
            told = True
        await asyncio.sleep(LOOK_EVERY_S)
