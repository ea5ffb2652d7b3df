"""What can be done with a pair: kill, fail over, switch over, rejoin, restart. One act at a time.

Each act first writes down what would be true if it broke off at its worst moment, so that whoever comes next neither
starts two primaries nor promotes a standby that lacks something.
"""

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from datetime import datetime
from pathlib import Path
from typing import Final

from watchfloor.embedded import ConfigurationError
from watchfloor.embedded import cluster as clusters
from watchfloor.pair import counting, places, promoting, rewinding
from watchfloor.pair.asked import Asked
from watchfloor.pair.errors import PairError
from watchfloor.pair.following import Following
from watchfloor.pair.lagging import LIMITS, Lag, Limits
from watchfloor.pair.node import Node
from watchfloor.pair.state import NODES, SIGNAL_FILE, Kept, Kill, Loss, home_of, state_file

BUSY_S: Final = 60.0
"""How long an act waits for another one to end."""
STREAM_S: Final = 60.0
"""A standby that was rewound or copied replays a few seconds' worth of log."""
CHECKPOINT_S: Final = 120.0
LOOKING_AFTER: Final = "looking after both"
"""What is done all the time, and makes nobody the primary."""


class Pair:
    """Two servers and the state that says what they are."""

    def __init__(
        self, data_dir: Path, *, synchronous: bool, now: Callable[[], datetime], limits: Limits = LIMITS
    ) -> None:
        self.data_dir = data_dir
        self.synchronous = synchronous
        self.kept = Kept(state_file(data_dir))
        self.doing = ""
        self.now = now
        self.lag = Lag(self.kept, limits, now)
        self._acting = asyncio.Lock()
        sockets = places.sockets(self.kept)
        self.nodes = {
            name: Node(name, home_of(data_dir, name), sockets, peer)
            for name, peer in zip(NODES, reversed(NODES), strict=True)
        }
        self.following = Following(self)

    @property
    def primary(self) -> Node:
        """The node that is the primary by the state, whether or not it runs."""
        return self.nodes[self.kept.now.primary]

    @property
    def standby(self) -> Node:
        """The other one."""
        return self.nodes[self.kept.now.standby]

    @property
    def is_busy(self) -> bool:
        """Whether an act is under way."""
        return self._acting.locked()

    @property
    def under_way(self) -> str:
        """The act at work that may change who is what; empty while there is none."""
        return "" if self.doing == LOOKING_AFTER else self.doing

    @asynccontextmanager
    async def acting(self, what: str, asked: Asked | None = None) -> AsyncIterator[None]:
        """Do one thing at a time.

        Raises:
            PairError: another one does not end, or it is too late for what was asked.
        """
        try:
            async with asyncio.timeout(BUSY_S):
                await self._acting.acquire()
        except TimeoutError as error:
            raise PairError(f"the pair is still at it: {self.doing}") from error
        self.doing = what
        try:
            if asked is not None:
                asked.begin(self.now())
            yield
        finally:
            self.doing = ""
            self._acting.release()

    def node(self, name: str) -> Node:
        """A node by its name.

        Raises:
            PairError: there is none.
        """
        try:
            return self.nodes[name]
        except KeyError:
            raise PairError(f"the pair has no node {name}: there are {' and '.join(self.nodes)}") from None

    async def begin(self) -> None:
        """Find binaries and places, start the primary unless it was killed on demand, and the standby if it has data.

        Raises:
            ConfigurationError: something here has to be changed by a person first.
        """
        for node in (self.primary, self.standby):
            await asyncio.to_thread(node.prepare, self.primary)
        if not self.synchronous:
            self.kept.change(in_step=False)
        async with self.acting("starting"):
            try:
                if not self.kept.now.held_down:
                    await self.start_primary()
                    if not self.kept.now.in_step:  # a server that outlived its agent may still wait for nobody
                        await self.following.do_without()
            except PairError as error:
                raise ConfigurationError(str(error)) from error

    async def end(self) -> None:
        """Stop both, the primary first, so that the standby gets all of it."""
        async with self._acting:
            for node in (self.primary, self.standby):
                await node.leave()
        places.leave(self.kept)

    async def start_primary(self) -> None:
        """Start the primary as what the state says; what was to be promoted when somebody died is promoted now.

        Raises:
            PairError: it does not take writes.
        """
        node = self.primary
        if self.kept.now.broken == node.name:
            raise PairError(f"the data of {node.name} are incomplete, and {self.standby.name} is not the primary")
        waits_for = self.standby.name if self.synchronous and self.kept.now.in_step else ""
        await node.start(waits_for=waits_for)
        if node.is_standby_on_disk:
            await promoting.promote(node)
        await promoting.takes_writes(node)

    async def kill_primary(self, asked: Asked | None = None) -> Kill:
        """Kill the primary and keep it down."""
        async with self.acting("killing the primary", asked):
            state, node = self.kept.now, self.primary
            if state.held_down and state.killed is not None and not node.runs:
                return state.killed
            if not node.runs:
                raise PairError(f"there is no primary to kill: {node.name} is down")
            await self.following.note_lag()
            self.kept.change(held_down=True, killed=Kill(node.name, self.now().isoformat()))
            at = self.now()
            killed = Kill(node.name, at.isoformat(), await node.kill())
            self.kept.change(killed=killed)
            return killed

    async def fail_over(self, to: str | None, asked: Asked | None = None) -> str:
        """Promote the standby after the primary was lost."""
        async with self.acting("failing over", asked):
            if self.kept.now.diverged is not None and to in (None, self.primary.name):
                await self.start_primary()
                return self.primary.name
            await self._may_fail_over(to)
            old, new, before = self.primary, self.standby, self.kept.now
            await old.kill()  # what hangs must not come back as a second primary
            self.kept.change(
                primary=new.name, in_step=False, held_down=False, diverged=old.name, waited=before.in_step,
                lost=None, lost_of=None,
            )  # fmt: skip
            try:
                await promoting.promote(new)
                await promoting.takes_writes(new)
            except PairError as error:
                former = await self._unpromoted(new, error, in_step=before.in_step, held_down=True)
                raise PairError(f"{error}; nothing was promoted: start {former} again") from error
            return new.name

    async def switch_over(self, to: str | None, asked: Asked | None = None) -> str:
        """Have the two change places without losing anything."""
        async with self.acting("switching over", asked):
            if to is not None and self.node(to) is self.primary:
                await self.start_primary()
                return to
            await self.following.in_step_or_refuse()
            old, new = self.primary, self.standby
            async with old.ask(seconds=CHECKPOINT_S) as connection:
                await connection.execute("CHECKPOINT")  # the one at the shutdown has little left to write
            try:
                await old.stop()
                await promoting.has_received(new, await promoting.ended_at(old))
            except PairError as error:
                await self.start_primary()
                raise PairError(f"nothing has changed, {old.name} is primary as before: {error}") from error
            await old.as_standby()
            self.kept.change(primary=new.name, in_step=False, held_down=False, diverged=None, lost=None, lost_of=None)
            try:
                await promoting.promote(new)
                await promoting.takes_writes(new)
            except PairError as error:
                await self._unpromoted(new, error)
                await self.start_primary()
                raise PairError(f"nothing has changed, {old.name} is primary as before: {error}") from error
            try:
                await old.start()
                await self.following.until_it_follows(STREAM_S)
            except PairError as error:
                raise PairError(f"{new.name} is the primary now, but nobody follows it: {error}") from error
            return new.name

    async def rejoin(self, name: str, asked: Asked | None = None) -> str:
        """Bring a node back as a standby; says how."""
        async with self.acting(f"bringing {name} back", asked):
            node = self.node(name)
            if node is self.primary:
                raise PairError(f"{name} is the primary")
            how = "it follows"
            if self.lacks_data(node):
                how = await self.copy_anew(node)
            elif self.kept.now.diverged == name:
                how = await rewinding.rewind(self, node)
            elif not node.runs:
                await node.as_standby()
            try:
                await node.start()
                await self.following.until_it_follows(STREAM_S)
            except PairError as error:
                if how.startswith("copied"):
                    raise
                how = f"{await self.copy_anew(node)}, since {error}"
                await node.start()
                await self.following.until_it_follows(STREAM_S)
            return how

    async def restart(self, name: str, asked: Asked | None = None) -> None:
        """Start a node that was killed, as what it was."""
        async with self.acting(f"starting {name}", asked):
            node = self.node(name)
            if self.kept.now.diverged == name:
                raise PairError(f"{self.primary.name} has become the primary meanwhile: bring {name} back as a standby")
            if node is self.primary:
                self.kept.change(held_down=False)
                await self.start_primary()
            elif self.lacks_data(node):
                raise PairError(f"the data of {name} are incomplete: bring it back as a standby")
            else:
                await node.as_standby()
                await node.start()

    async def only_there(self, name: str) -> Loss | None:
        """What a former primary had committed and the primary does not have; None where that cannot be said."""
        node, state = self.node(name), self.kept.now
        if state.diverged == name and not node.runs and state.broken != name:
            return await counting.loss(node, self.primary, waited=state.waited)
        return state.lost if state.lost_of == name else None

    async def _may_fail_over(self, to: str | None) -> None:
        old, new, state = self.primary, self.standby, self.kept.now
        if to is not None and self.node(to) is not new:
            raise PairError(f"{to} is the node that was lost: {new.name} is the standby")
        if old.runs and not state.held_down and await promoting.answers(old):
            raise PairError(f"the primary {old.name} is up: have them switch over instead")
        if self.lacks_data(new):
            raise PairError(f"the standby {new.name} has no data that could be used: start {old.name} again")
        if state.diverged == new.name:
            raise PairError(
                f"{new.name} was primary before {old.name} and was not brought back: start {old.name} again"
            )
        if self.synchronous and not state.in_step:
            raise PairError(
                f"the standby {new.name} was not in step when the primary was lost, and what was acknowledged since"
                f" would be lost: start {old.name} again"
            )
        if not self.synchronous and (too_much := self.lag.too_much(new.name, still_runs=old.runs)):
            raise PairError(f"{too_much}: start {old.name} again")

    async def _unpromoted(self, node: Node, error: PairError, **also: bool) -> str:
        """Undo a promotion that failed, if it has not happened after all: while the signal is there, nobody wrote.

        Answers with the name of the former primary, which is it again.
        """
        await node.kill()
        if not (node.cluster / SIGNAL_FILE).exists():
            raise PairError(f"{error}; it is the primary by its own files all the same: start it again") from error
        former = self.standby.name
        self.kept.change(primary=former, diverged=None, **also)
        return former

    def lacks_data(self, node: Node) -> bool:
        """Whether a node has no data, or only some."""
        return self.kept.now.broken == node.name or not node.has_data

    async def copy_anew(self, node: Node) -> str:
        """Replace a node's data by a copy of the primary's, while an act of the caller's is under way.

        Raises:
            PairError: that failed; the node is of no use until it succeeds.
        """
        await node.kill()
        self.kept.change(broken=node.name)
        await asyncio.to_thread(node.make_empty)
        await node.tools.copy(self.primary.socket_dir, clusters.SUPERUSER, node.cluster)
        await node.as_standby()
        self.kept.change(broken=None, diverged=None)
        return "copied anew"
