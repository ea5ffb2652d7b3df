"""Runs one adapter: reads the gates, does the steps of the loop, confirms through the gates. Owns its only thread.

Holds no rule of its own about when to stop or to confirm: those are in `adapters.loop`. Nothing is confirmed but what a
look has shown.
"""

import threading
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Final, Protocol

from adapters.journal import Journal
from adapters.loop import Cancel, Held, Look, Loop, Phase, Resume, Standing, Step, Stop, Wait, Wanted
from gate import Gate, Mode
from gate.line import monotonic_s
from gate.permits import strictest

LONGEST_WAIT_S: Final = 0.25
"""Between two looks at the gates: a hold also wakes the adapter at once, a lost permit does not."""
LOST_AFTER_S: Final = 10.0
"""No permit lives longer, so this is as long as a gate in the software itself could have let it send."""


@dataclass(frozen=True, slots=True)
class Told:
    """How telling the software went."""

    done: bool
    note: str
    ran: bool | None = None
    """Whether it ran until then; None where that cannot be known."""


@dataclass(frozen=True, slots=True)
class OrderNews:
    """What a look has shown of the software's orders since the look before."""

    sent: tuple[str, ...] = ()
    settled: tuple[tuple[str, str], ...] = ()
    """Ids that are no longer open, and their fates."""
    open_count: int = 0


@dataclass(frozen=True, slots=True)
class Seen:
    """What one look has shown."""

    standing: Standing
    note: str
    orders: OrderNews | None = None


class Software(Protocol):
    """Something that can be told to stop. Every method comes back within bounds of its own and raises nothing."""

    name: str
    sees_orders: bool
    """Whether its looks show its orders."""

    def stop(self, step: Stop, wanted: Wanted) -> Told:
        """Tell it to obey a mode; said again until it does."""

    def look(self, mode: Mode | None) -> Seen:
        """See how it stands towards a mode; None: whether it runs."""

    def cancel(self) -> Told:
        """Take back what rests."""

    def resume(self, step: Resume) -> Told:
        """Give up what holds it, and start it if the step says so."""


class Adapter:
    """One adapter: the gates of the executors it stands for, the loop, and the software."""

    def __init__(
        self,
        software: Software,
        loop: Loop,
        gates: Mapping[str, Gate],
        journal: Journal,
        *,
        lost_after_s: float = LOST_AFTER_S,
        clock: Callable[[], float] = monotonic_s,
    ) -> None:
        self._software = software
        self._loop = loop
        self._gates = gates
        self._journal = journal
        self._lost_after_s = lost_after_s
        self._clock = clock
        self._permitted_at = clock()
        self._shown: Phase | None = None
        self._spared: tuple[str, ...] = ()

    def run(self, over: threading.Event, woken: threading.Event) -> None:
        """Go on until `over` is set. `woken` is set by whoever hears of a hold."""
        while not over.is_set():
            woken.clear()
            wait_s = self.turn()
            if wait_s > 0:
                woken.wait(min(wait_s, LONGEST_WAIT_S))

    def turn(self) -> float:
        """Do one step; returns how long nothing is due."""
        now = self._clock()
        wanted = self._wanted(now)
        if wanted is None:
            return LONGEST_WAIT_S
        self._loop.want(now, wanted)
        step = self._loop.next(now)
        if isinstance(step, Wait):
            if not self._loop.checks:
                self._beat()
            return step.seconds
        self._do(step)
        self._show()
        return 0.0

    def _wanted(self, now: float) -> Wanted | None:
        """Read the gates; None while nothing has been heard yet, or permits have been missing for a moment only."""
        told = [Held(name, gate.look()) for name, gate in self._gates.items()]
        self._note_drills(told)
        mode = strictest(*(one.decision.mode for one in told))
        if mode is not None or all(self._is_heard(one) for one in told):
            self._permitted_at = now
            return Wanted(mode, tuple(one for one in told if one.decision.mode is not None))
        return Wanted(Mode.HALT, lost=True) if now - self._permitted_at > self._lost_after_s else None

    def _is_heard(self, one: Held) -> bool:
        """Whether a hold would be known: by a living permit or, under a drill that is spared, by a line that stands."""
        stands = self._gates[one.executor].last_error is None
        return one.decision.remaining_s > 0 or (bool(one.decision.spared) and stands)

    def _note_drills(self, told: Sequence[Held]) -> None:
        spared = tuple(sorted({ref for one in told for ref in one.decision.spared}))
        if spared and spared != self._spared:
            self._journal.write("drill", "left alone: it takes no part in drills", holds=spared)
        self._spared = spared

    def _do(self, step: Step) -> None:
        match step:
            case Stop():
                told = self._software.stop(step, self._loop.wanted)
                self._loop.stopped(self._clock(), step, done=told.done, ran=told.ran)
                self._write("stop", told.note, done=told.done, mode=step.mode.value)
                if told.done and not self._loop.checks:
                    self._beat()
            case Look():
                self._look(step)
            case Cancel():
                told = self._software.cancel()
                self._loop.cancelled(self._clock())
                self._write("cancel", told.note, done=told.done)
            case Resume():
                told = self._software.resume(step)
                self._loop.resumed(self._clock(), step, done=told.done)
                self._write("resume" if step.start else "release", told.note, done=told.done)

    def _look(self, step: Look) -> None:
        seen = self._software.look(step.mode)
        if seen.standing is not Standing.UNKNOWN:
            self._beat()
        if seen.orders is not None:
            self._report(seen.orders)
        phase = self._loop.phase
        confirmed = self._loop.looked(self._clock(), step, seen.standing)
        for held in confirmed:
            self._gates[held.executor].confirm_halted(held.decision)
        if step.mode is not None and (phase is not self._loop.phase or phase is not Phase.HALTED):
            self._write("look", seen.note, standing=seen.standing.value)

    def _report(self, news: OrderNews) -> None:
        for gate in self._gates.values():
            for order_id in news.sent:
                gate.sent(order_id)
            for order_id, fate in news.settled:
                gate.settled(order_id, fate)
            gate.report(open_orders=news.open_count)

    def _beat(self) -> None:
        for gate in self._gates.values():
            gate.beat()

    def _show(self) -> None:
        if self._loop.phase is not self._shown:
            self._shown = self._loop.phase
            lost = {"lost": True} if self._loop.wanted.lost else {}
            self._write("phase", self._shown.value, **lost)

    def _write(self, what: str, note: str, **more: object) -> None:
        self._journal.write(what, note, holds=self._loop.wanted.holds, **more)
