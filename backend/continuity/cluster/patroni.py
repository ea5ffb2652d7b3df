"""A cluster that Patroni runs, as a drill sees it: everything is read from, and asked of, its nodes' REST API.

Patroni decides who is the primary; this only asks, and waits for what the nodes themselves then say. It must never
promote a standby that may lack what somebody was told is stored.
"""

import asyncio
from collections.abc import Callable, Mapping
from datetime import datetime
from typing import Final, TypeVar

from backend.clock import Clock
from backend.continuity.cluster.patroni_line import AwayError, PatroniLine
from backend.continuity.cluster.patroni_read import (
    AWAY,
    STREAMING,
    Change,
    Member,
    Rules,
    Said,
    View,
    history_of,
    members_of,
    rules_of,
    said_of,
)
from backend.continuity.cluster.patroni_words import problem_of, remarks_of
from backend.continuity.cluster.port import ClusterError, Killed, OnlyThere
from contract.recovery import ClusterNode, NodeRole, Topology

T = TypeVar("T")

PROVIDER: Final = "patroni"
POLL_S: Final = 0.5
"""Half of Patroni's shortest round."""
IN_STEP_LIMIT_S: Final = 60.0
"""A standby that has just come back is made synchronous within a round or two."""
SILENCE_LIMIT_S: Final = 30.0
"""A Patroni that its supervisor starts again answers by then; one that nobody starts never will."""
FOLLOW_LIMIT_S: Final = 1_800.0
"""A node that cannot be rewound is copied anew, which takes as long as a backup; the plan's step ends it earlier."""
START_LIMIT_S: Final = 300.0
"""As long as Patroni itself gives a primary to recover."""
_SLACK_S: Final = 30.0
"""Beyond the lock's life and the rounds of an election: to replay, promote and take the first write."""


class Patroni:
    """See `port.Cluster`."""

    def __init__(self, line: PatroniLine, clock: Clock) -> None:
        self._line = line
        self._clock = clock
        self._names: dict[str, str] = {}
        self._scope = ""
        self._ordered: tuple[float, str] | None = None
        """When a switchover was ordered of which nobody has heard the end, and of whom; monotonic seconds."""

    @property
    def name(self) -> str:
        """The cluster's scope; `patroni` until a node has told it."""
        return self._scope or PROVIDER

    @property
    def provider(self) -> str:
        """See `port.Cluster`."""
        return PROVIDER

    async def topology(self) -> Topology:
        """See `port.Cluster`."""
        return self._told(await self._look())

    async def kill_primary(self, *, before: datetime | None = None) -> Killed:  # noqa: ARG002  the protocol's
        """See `port.Cluster`."""
        raise ClusterError(
            "Patroni cannot end a primary without warning: a plan for this cluster does it by a step of kind command "
            "that runs on, or reaches, the primary's machine."
        )

    async def fail_over(self, to: str | None = None) -> str:
        """See `port.Cluster`. With a primary that answers nothing is done: its name is the answer.

        Patroni replaces a lost primary by itself, once its lock has run out; only while it is paused it has to be told.
        """
        view = await self._look()
        if (primary := _primary(view)) is None and view.paused:
            await self._order("/failover", {"candidate": _heir(view, to)})
        rules = view.rules or Rules()
        limit_s = rules.ttl_s + 5 * rules.loop_s + _SLACK_S
        found = primary or await self._until(_primary, limit_s)
        if found is None:
            raise ClusterError(
                f"No node became the primary within {limit_s:.0f} s; Patroni promotes only a standby that was in step. "
                f"{problem_of(await self._look())}"
            )
        if to not in {None, found.name}:
            raise ClusterError(f"{found.name} is the primary, not {to}: a switchover is what changes that.")
        return found.name

    async def switch_over(self, to: str | None = None) -> str:
        """See `port.Cluster`."""
        view = await self._look()
        primary = _primary(view)
        if primary is None:
            raise ClusterError(f"Without a primary nothing can be switched over. {problem_of(view)}")
        if to == primary.name:
            return to
        heir = await self._until(lambda seen: _in_step(seen, to), IN_STEP_LIMIT_S)
        if heir is None:
            who = "No standby" if to is None else f"{to}, which was asked for,"
            raise ClusterError(f"{who} was in step within {IN_STEP_LIMIT_S:.0f} s. {problem_of(await self._look())}")
        self._ordered = (self._clock.monotonic(), primary.name)
        try:
            await self._order("/switchover", {"leader": primary.name, "candidate": heir.name})
        except ClusterError:
            self._ordered = None
            raise
        rules = view.rules or Rules()
        found = await self._until(lambda seen: _primary(seen, not_this=primary.name), rules.ttl_s + _SLACK_S)
        if found is None or found.name != heir.name:
            seen = "nobody" if found is None else found.name
            raise ClusterError(f"{heir.name} did not become the primary, {seen} did. {problem_of(await self._look())}")
        return found.name

    async def rejoin(self, node: str) -> None:
        """See `port.Cluster`. Patroni rewinds or copies it by itself once it runs there: this waits."""
        if (primary := _primary(await self._look())) is not None and primary.name == node:
            raise ClusterError(f"{node} is the primary: it can follow nobody.")
        await self._waited(node, lambda seen: _follows(seen, node), FOLLOW_LIMIT_S, "does not follow")

    async def restart(self, node: str) -> None:
        """See `port.Cluster`."""

        def back(seen: View) -> ClusterNode | None:
            primary = _primary(seen, not_this=node)
            if primary is not None:
                raise ClusterError(f"{primary.name} is the primary now: {node} can only come back as its standby.")
            return _primary(seen)

        view = await self._look()
        if back(view) is not None:
            return
        address = next((one.address for one in view.answers if one.name == node), None)
        if address is not None:
            await self._try_order("/restart", {}, address)
        await self._waited(node, back, START_LIMIT_S, "did not become the primary again")

    async def only_there(self, node: str) -> OnlyThere | None:
        """See `port.Cluster`. Patroni shows nobody a node's log."""
        del node
        return None

    async def history(self) -> list[Change]:
        """The changes of the primary that the cluster remembers, oldest first; empty where nobody answers."""
        return list((await self._look()).history)

    async def _look(self) -> View:
        asked = await asyncio.gather(*(self._said(address) for address in self._line.addresses))
        said: Mapping[str, Said | str] = dict(zip(self._line.addresses, asked, strict=True))
        for one in asked:
            if isinstance(one, Said):
                self._names[one.address] = one.name
        members: list[Member] | None = None
        rules: Rules | None = None
        history: list[Change] | None = None
        for address in (one.address for one in asked if isinstance(one, Said)):
            members, rules, history = await asyncio.gather(
                self._of(address, "/cluster", members_of),
                self._of(address, "/config", rules_of),
                self._of(address, "/history", history_of),
            )
            if members is not None:
                break
        view = View(said, members, rules, history or (), dict(self._names))
        self._scope = view.scope or self._scope
        return view

    async def _said(self, address: str) -> Said | str:
        try:
            return said_of(address, await self._line.get(address, "/patroni"))
        except AwayError as error:
            return str(error)

    async def _of(self, address: str, path: str, read: Callable[[object], T | None]) -> T | None:
        try:
            return read(await self._line.get(address, path))
        except AwayError:
            return None

    def _told(self, view: View) -> Topology:
        return Topology(
            cluster=self.name,
            provider=PROVIDER,
            synchronous_mode=view.rules is not None and view.rules.synchronous,
            nodes=view.nodes(),
            paused=view.paused,
            as_of=self._now(),
            problem=problem_of(view),
            remarks=remarks_of(view),
            under_way=self._under_way(view),
        )

    def _under_way(self, view: View) -> str:
        """A switchover whose asker went away goes on at the nodes; by then it has shown, or comes no more."""
        if self._ordered is None:
            return ""
        at, of = self._ordered
        primary, limit_s = _primary(view), (view.rules or Rules()).ttl_s + _SLACK_S
        if self._clock.monotonic() - at <= limit_s and (primary is None or primary.name == of):
            return "a switchover"
        self._ordered = None
        return ""

    def _now(self) -> datetime:
        return self._clock.now()

    async def _until(self, look: Callable[[View], ClusterNode | None], limit_s: float) -> ClusterNode | None:
        end = self._clock.monotonic() + limit_s
        while (found := look(await self._look())) is None:
            if self._clock.monotonic() >= end:
                return None
            await asyncio.sleep(POLL_S)
        return found

    async def _waited(self, node: str, look: Callable[[View], ClusterNode | None], limit_s: float, what: str) -> None:
        """Wait for something of a node for as long as its Patroni answers."""
        end = self._clock.monotonic() + limit_s
        heard = self._clock.monotonic()
        while look(view := await self._look()) is None:
            now = self._clock.monotonic()
            if any(one.name == node for one in view.answers):
                heard = now
            if now - heard >= SILENCE_LIMIT_S:
                raise ClusterError(
                    f"The Patroni of {node} {AWAY}: start it on that machine, e.g. with systemctl start patroni."
                )
            if now >= end:
                raise ClusterError(
                    f"{node} {what} within {limit_s:.0f} s. {problem_of(view)} `patronictl reinit {self.name} {node}` "
                    "copies a standby anew."
                )
            await asyncio.sleep(POLL_S)

    async def _order(self, path: str, wanted: dict[str, str]) -> None:
        """Give an order to the first node that answers; whether it was done, is looked at afterwards."""
        view = await self._look()
        leads = [one.address for one in view.answers if one.role is NodeRole.PRIMARY]
        for address in [*leads, *(one.address for one in view.answers if one.address not in leads)]:
            await self._try_order(path, wanted, address)
            return
        raise ClusterError(f"No node could be asked. {problem_of(view)}")

    async def _try_order(self, path: str, wanted: dict[str, str], address: str) -> None:
        try:
            await self._line.order(address, path, wanted)
        except AwayError:  # it may have been done all the same: what the nodes say next tells
            return


def _primary(view: View, *, not_this: str = "") -> ClusterNode | None:
    """The one node that says of itself that it is the primary; what others say of it may be old."""
    found = [node for node in view.nodes() if node.role is NodeRole.PRIMARY]
    return found[0] if len(found) == 1 and found[0].name != not_this else None


def _in_step(view: View, wanted: str | None) -> ClusterNode | None:
    """The standby that may take over without a loss: the one that is wanted, else the one that is least behind."""
    synchronous = view.rules is not None and view.rules.synchronous
    found = [
        node
        for node in view.nodes()
        if node.role is NodeRole.STANDBY
        and (node.synchronous if synchronous else node.state == STREAMING)
        and wanted in {None, node.name}
    ]
    return min(found, key=lambda node: node.lag_bytes or 0, default=None)


def _heir(view: View, wanted: str | None) -> str:
    """Whom a paused cluster is told to promote.

    Raises:
        ClusterError: of nobody is it known that it has everything.
    """
    found = [
        node
        for node in view.nodes()
        if node.role is NodeRole.STANDBY and node.synchronous and wanted in {None, node.name}
    ]
    if not found:
        raise ClusterError(
            "Patroni is paused, and of no standby is it known that it has every commit: a person has to choose, with "
            "patronictl failover."
        )
    return found[0].name


def _follows(view: View, name: str) -> ClusterNode | None:
    """A node once it streams from the primary's timeline, and commits wait for somebody where they are meant to."""
    primary = _primary(view)
    nodes = view.nodes()
    node = next((one for one in nodes if one.name == name), None)
    if primary is None or node is None or node.role is not NodeRole.STANDBY or node.state != STREAMING:
        return None
    if node.timeline not in {None, primary.timeline}:
        return None
    waits = view.rules is not None and view.rules.synchronous
    return node if not waits or any(one.synchronous for one in nodes) else None
