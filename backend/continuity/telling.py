"""What is said of a drill at the process that runs it: in memory at once, on the disk before anything rests on it.

Must never lose the order of what was said, and never hold a rollback up for a disk that is full.
"""

import asyncio
from collections.abc import Sequence
from dataclasses import replace
from typing import Final

import structlog

from backend.clock import Clock
from backend.context import system_caller
from backend.continuity import core, lines
from backend.continuity.core import Run
from backend.continuity.journal import Journal, JournalError
from backend.continuity.lines import Line, stored
from contract.recovery import Topology

log = structlog.get_logger(__name__)

PATIENCE_S: Final = 10.0
"""A disk that takes no line for longer ends the drill: what runs could not be found again after a crash."""
RETRY_S: Final = 0.5
"""Pause between two attempts."""
_CALLER: Final = system_caller("recovery")


class Telling:
    """The lines of one drill and what they add up to. One event loop uses it."""

    def __init__(self, clock: Clock, journal: Journal, told: Sequence[Line]) -> None:
        self.clock = clock
        self.journal = journal
        self.run: Run = core.fold(told)
        self.told: list[Line] = list(told)
        self.changed = asyncio.Event()
        """Set whenever something was said."""
        self.abort_asked = asyncio.Event()
        self.given_up = asyncio.Event()
        """Set once somebody else has ended the drill: whatever is at work here stops, a rollback too."""
        self._turn = asyncio.Lock()

    def tell(self, line: Line) -> None:
        """Say something that nothing rests on."""
        self.told.append(line)
        self.run = core.add(self.run, line)
        if self.run.abort is not None:
            self.abort_asked.set()
        self.changed.set()

    async def say(self, line: Line) -> None:
        """Say something and have it on the disk.

        A disk that refuses ends the drill after a while; once it turns back, nothing waits for the disk any more.
        """
        self.tell(line)
        waited_s = 0.0
        while not await self.flush() and not self.run.turning_back and self.run.ended is None:
            if waited_s >= PATIENCE_S:
                reason = "the journal of the drill cannot be written, so that nothing may be begun"
                self.tell(lines.AbortAsked(at=self.clock.now(), caller=stored(_CALLER), reason=reason))
                return
            await asyncio.sleep(RETRY_S)
            waited_s += RETRY_S

    async def flush(self) -> bool:
        """Put on the disk what is not there yet; whether all of it is."""
        async with self._turn:
            while self.journal.count < len(self.told):
                try:
                    await self.journal.append(self.told[self.journal.count])
                except JournalError as error:
                    log.critical("recovery_line_not_kept", drill=self.run.ref, why=str(error))
                    return False
        return True

    @property
    def may_begin(self) -> bool:
        """Whether a step may do something now: nobody ends the drill, and nothing that it said is missing on disk."""
        ending = self.abort_asked.is_set() or self.given_up.is_set()
        return not (ending or self.run.turning_back or self.run.ended is not None)

    def progress(self, step: int, percent: int) -> None:
        """Note how far a step is; nobody finds that again after a crash."""
        self.run = core.with_progress(self.run, step, percent)
        self.changed.set()

    def saw(self, topology: Topology) -> None:
        """Note how the cluster looks; a line says it when it looks different, not at every byte of lag."""
        if _looks(self.run.topology) != _looks(topology):
            self.tell(lines.Saw(at=self.clock.now(), topology=topology))
        else:
            self.run = replace(self.run, topology=topology)

    @property
    def kept(self) -> Sequence[Line]:
        """What is on the disk; all of it once the drill has ended, whatever the disk does."""
        return self.told if self.run.ended is not None else self.told[: self.journal.count]


def _looks(topology: Topology | None) -> object:
    if topology is None:
        return None
    nodes = [(one.name, one.role, one.state, one.timeline, one.synchronous) for one in topology.nodes]
    return sorted(nodes), topology.problem, topology.paused, topology.synchronous_mode
