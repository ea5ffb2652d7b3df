"""Says how a pair stands, in the words of the contract. Asks both servers; must never change or wait for anything."""

import asyncio
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Final

from contract.recovery import ClusterNode, NodeRole, Topology
from watchfloor.pair.agent import Pair
from watchfloor.pair.errors import PairError
from watchfloor.pair.following import Standing
from watchfloor.pair.keeping import Keeper
from watchfloor.pair.node import Node

PROVIDER: Final = "pair"
ASK_S: Final = 2.0
_SEEN: Final = """
SELECT pg_is_in_recovery(),
    CASE WHEN pg_is_in_recovery()
        THEN coalesce((SELECT received_tli FROM pg_stat_wal_receiver), (pg_control_checkpoint()).timeline_id)
        ELSE ('x' || substr(pg_walfile_name(pg_current_wal_lsn()), 1, 8))::bit(32)::int END
"""


@dataclass(frozen=True, slots=True)
class Showing:
    """Shows one pair."""

    pair: Pair
    keeper: Keeper
    name: str
    now: Callable[[], datetime]

    async def topology(self) -> Topology:
        """How it stands now. Never raises: what cannot be found out is said in `problem`."""
        pair = self.pair
        under_way = pair.under_way  # both before it is asked and after: what ends in between has changed what was seen
        seen = await asyncio.gather(*(self._seen(node) for node in pair.nodes.values()))
        try:
            standing = await pair.following.standing() if pair.primary.runs else Standing()
        except PairError:
            standing = Standing()
        nodes = [self._shown(node, role, timeline, standing) for node, (role, timeline) in zip(
            pair.nodes.values(), seen, strict=True)]  # fmt: skip
        return Topology(
            cluster=self.name, provider=PROVIDER, synchronous_mode=pair.synchronous, nodes=nodes,
            as_of=self.now(), problem=self._problem(nodes, standing), remarks=self._remarks(),
            leads=pair.primary.name, under_way=under_way or pair.under_way,
        )  # fmt: skip

    def _remarks(self) -> list[str]:
        pair, state, said = self.pair, self.pair.kept.now, []
        if not pair.synchronous:
            said.append(
                f"Commits wait for nobody: a standby that lacks more than {pair.lag.limits.in_words()} does not become"
                " primary."
            )
        if state.kept_log and Path(state.kept_log).exists():
            said.append(f"What only a former primary had could not be counted: its log is kept in {state.kept_log}.")
        return said

    async def _seen(self, node: Node) -> tuple[NodeRole, int | None]:
        if not node.runs:
            return NodeRole.STOPPED, None
        try:
            follows, timeline = await node.one(_SEEN, seconds=ASK_S)
        except PairError:
            return NodeRole.UNKNOWN, None
        return NodeRole.STANDBY if follows else NodeRole.PRIMARY, timeline

    def _shown(self, node: Node, role: NodeRole, timeline: int | None, standing: Standing) -> ClusterNode:
        state, is_standby = self.pair.kept.now, node is self.pair.standby
        return ClusterNode(
            name=node.name, role=role, state=self._word(node, role, standing), timeline=timeline,
            lag_bytes=standing.lag_bytes if is_standby and role is NodeRole.STANDBY else None,
            synchronous=is_standby and role is NodeRole.STANDBY and state.in_step, address=str(node.socket_dir),
        )  # fmt: skip

    def _word(self, node: Node, role: NodeRole, standing: Standing) -> str:
        state = self.pair.kept.now
        if role is NodeRole.STANDBY:
            return "streaming" if standing.streams else standing.state or "not following"
        if role is not NodeRole.STOPPED:
            return "running" if role is NodeRole.PRIMARY else "not answering"
        if state.broken == node.name:
            return "data incomplete"
        if state.diverged == node.name:
            return "left behind"
        return "killed" if state.held_down and node is self.pair.primary else "stopped"

    def _problem(self, nodes: list[ClusterNode], standing: Standing) -> str:
        pair, said = self.pair, []
        roles = {node.name: node.role for node in nodes}
        if roles[pair.primary.name] is not NodeRole.PRIMARY:
            said.append(f"there is no primary: {pair.primary.name} {self._why(pair.primary)}")
        elif roles[pair.standby.name] is NodeRole.STOPPED:
            said.append(f"there is no standby: {pair.standby.name} {self._why(pair.standby)}")
        elif not standing.streams:
            said.append(f"the standby {pair.standby.name} does not follow: {pair.standby.trouble() or 'it is silent'}")
        if pair.synchronous and not pair.kept.now.in_step:
            said.append(f"commits do not wait for {pair.standby.name}, which may not become primary")
        if not pair.synchronous and (too_much := pair.lag.too_much(pair.standby.name, still_runs=False)):
            said.append(too_much)
        return "; ".join(said)

    def _why(self, node: Node) -> str:
        state = self.pair.kept.now
        if state.diverged == node.name:
            return "was left behind and has to be brought back"
        if state.held_down and node is self.pair.primary:
            return "was killed on demand"
        if node.runs:
            return "does not answer"
        return f"is down: {self.keeper.problem or node.trouble() or 'it is being started'}"
