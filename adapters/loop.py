"""The one loop of every adapter, pure: what is wanted and what was seen in, the next step out. Does no I/O.

Stops as soon as a hold wants it, confirms only what a look that began after the hold was known has shown, and lets go
only what this adapter itself has stopped. Every `now` is a reading of one monotonic clock, in seconds.
"""

from dataclasses import dataclass, field
from enum import StrEnum
from typing import Final

from gate.permits import Decision, Mode, strictest

_GROWTH: Final = 2
_MAX_FAILURES: Final = 30
"""Counted; by then the pause has long been the longest."""


class Phase(StrEnum):
    """How far the software has been brought."""

    RUNNING = "running"
    HALTING = "halting"
    CHECKING = "checking"
    HALTED = "halted"
    TOLD = "told"
    """It was told to halt and nobody can look whether it did."""
    RESUMING = "resuming"


class Standing(StrEnum):
    """What a look at the software has shown."""

    RUNS = "runs"
    """It does what the mode forbids, or would: it has to be told again."""
    NOT_YET = "not yet"
    """It was told, and it is not over."""
    RESTING = "orders rest"
    """It has stopped; orders that have to be taken back still rest."""
    OBEYS = "obeys"
    UNKNOWN = "unknown"
    """It did not answer, or not in a way that can be understood."""


@dataclass(frozen=True, slots=True)
class Held:
    """What one executor is told by the holds over it."""

    executor: str
    decision: Decision


@dataclass(frozen=True, slots=True)
class Wanted:
    """What holds want of the software now."""

    mode: Mode | None = None
    """None: it may run."""
    held: tuple[Held, ...] = ()
    """The executors it stands for that are held; a look that shows obedience confirms these."""
    lost: bool = False
    """Whether it is stopped for lack of permits, with no hold to confirm."""

    @property
    def epochs(self) -> tuple[int, ...]:
        """Tells one set of holds from another."""
        return tuple(one.decision.held_epoch for one in self.held)

    @property
    def holds(self) -> tuple[str, ...]:
        """Refs of all holds, sorted."""
        return tuple(sorted({ref for one in self.held for ref in one.decision.holds}))


@dataclass(frozen=True, slots=True)
class Pace:
    """How often and how long."""

    poll_s: float = 0.5
    """Between two looks while it is brought down."""
    look_every_s: float = 2.0
    """Between two looks at software that is halted, or runs freely."""
    retry_s: float = 0.5
    retry_max_s: float = 5.0
    """Pauses after failures double from the one to the other."""
    settle_s: float = 30.0
    """How long it may take to obey before it is told again."""


@dataclass(frozen=True, slots=True)
class Stop:
    """Tell it to obey a mode. `number` stays the same while one order is repeated."""

    mode: Mode
    number: int


@dataclass(frozen=True, slots=True)
class Look:
    """Look how it stands towards a mode; None: whether it runs."""

    mode: Mode | None
    wanted: Wanted


@dataclass(frozen=True, slots=True)
class Cancel:
    """Take back what rests."""


@dataclass(frozen=True, slots=True)
class Resume:
    """The hold is over: give up what holds it, and start it if this adapter had stopped it."""

    start: bool
    number: int


@dataclass(frozen=True, slots=True)
class Wait:
    """Nothing is due."""

    seconds: float


Step = Stop | Look | Cancel | Resume | Wait


@dataclass(slots=True)
class Loop:
    """Where one adapter stands. Ask for a step, do it, hand it back with how it went; `want` may come at any moment."""

    pace: Pace
    checks: bool = True
    """Whether anybody can look."""
    resumes: bool = False
    """Whether software that this adapter stopped is started again when the hold is over."""
    phase: Phase = Phase.RUNNING
    wanted: Wanted = field(default_factory=Wanted)
    stopped_here: bool = False
    """Whether it ran before this adapter stopped it."""
    _told: Mode | None = None
    _delivered: bool = False
    _resting: bool = False
    _confirmed: tuple[int, ...] = ()
    _runs: bool | None = None
    _number: int = 0
    _due_at: float = 0.0
    _settle_until: float = 0.0
    _failures: int = 0
    _left_over: bool = True

    def want(self, now: float, wanted: Wanted) -> None:
        """Take in what holds want now. What is stricter than before is told at once, whatever was under way."""
        self.wanted = wanted
        if wanted.mode is None:
            if self._left_over or self.phase not in {Phase.RUNNING, Phase.RESUMING}:
                self._left_over = False
                self._order(Phase.RESUMING, now)
            return
        free = self.phase in {Phase.RUNNING, Phase.RESUMING}
        before, self._told = self._told, wanted.mode if free else strictest(self._told, wanted.mode)
        if free or self._told is not before:
            self._order(Phase.HALTING, now)
        elif self.phase is Phase.HALTED and wanted.epochs != self._confirmed:
            self._check_from(now, self.pace.settle_s)

    def next(self, now: float) -> Step:
        """Return what is to be done now."""
        if now < self._due_at:
            return Wait(self._due_at - now)
        match self.phase:
            case Phase.HALTING:
                return Stop(self._mode, self._number)
            case Phase.CHECKING | Phase.HALTED:
                return Cancel() if self._resting else Look(self._mode, self.wanted)
            case Phase.RESUMING:
                return Resume(start=self.stopped_here and self.resumes, number=self._number)
        return Look(None, self.wanted) if self.phase is Phase.RUNNING and self.checks else Wait(self.pace.look_every_s)

    def stopped(self, now: float, step: Stop, *, done: bool, ran: bool | None = None) -> None:
        """Say how telling it went; `ran`: whether it did until then, where that is known."""
        if self._runs if ran is None else ran:
            self.stopped_here = True
        if done:
            self._runs = False
        if self.phase is not Phase.HALTING or step != Stop(self._mode, self._number):
            return
        self._delivered = done
        if self.checks:
            self._check_from(now, self.pace.settle_s if done else 0.0)
        elif done:
            self.phase, self._failures = Phase.TOLD, 0
        else:
            self._due_at = now + self._pause()

    def looked(self, now: float, step: Look, standing: Standing) -> tuple[Held, ...]:
        """Say what a look has shown; returns what it confirms."""
        if step.mode is None:
            self._looked_freely(now, standing)
        elif self.phase in {Phase.CHECKING, Phase.HALTED} and step.mode is self._mode:
            match standing:
                case Standing.OBEYS:
                    return self._obeys(now, step)
                case Standing.UNKNOWN if self.phase is Phase.HALTED or now < self._settle_until:
                    self._due_at = now + self._pause()
                case Standing.NOT_YET if self.phase is Phase.CHECKING and now < self._settle_until:
                    self._due_at = now + self.pace.poll_s
                case Standing.RESTING:
                    self._check_from(now, self.pace.settle_s)
                    self._resting = True
                case _:
                    self._tell_again(now)
        return ()

    def cancelled(self, now: float) -> None:
        """Say that what rests was taken back, as far as that went; the next look, after a pause, shows how far."""
        self._resting = False
        self._due_at = max(self._due_at, now + self._pause()) if self.phase is Phase.CHECKING else self._due_at

    def resumed(self, now: float, step: Resume, *, done: bool) -> None:
        """Say how letting go went."""
        if self.phase is not Phase.RESUMING or step.number != self._number:
            return
        if not done:
            self._due_at = now + self._pause()
            return
        self.phase, self._due_at, self._failures = Phase.RUNNING, now + self.pace.look_every_s, 0
        self._told, self._runs, self.stopped_here, self._confirmed = None, None, False, ()

    @property
    def _mode(self) -> Mode:
        return self._told or Mode.HALT

    def _looked_freely(self, now: float, standing: Standing) -> None:
        self._runs = None if standing is Standing.UNKNOWN else standing is not Standing.OBEYS
        if self.phase is Phase.RUNNING:
            self._due_at = now + self.pace.look_every_s

    def _obeys(self, now: float, step: Look) -> tuple[Held, ...]:
        self.phase, self._failures, self._confirmed = Phase.HALTED, 0, step.wanted.epochs
        newer = self.wanted.epochs != self._confirmed
        self._due_at = now if newer else now + self.pace.look_every_s
        return step.wanted.held

    def _tell_again(self, now: float) -> None:
        """It does not obey. One that did and came back is told at once; one that never did, after a pause."""
        came_back = self.phase is Phase.HALTED
        self._runs = True if came_back else self._runs
        self._number += came_back or self._delivered  # an order that arrived is not repeated but given anew
        self._delivered = False
        self.phase, self._due_at = Phase.HALTING, now if came_back else now + self._pause()

    def _check_from(self, now: float, settle_s: float) -> None:
        self.phase, self._due_at, self._settle_until, self._resting = Phase.CHECKING, now, now + settle_s, False

    def _order(self, phase: Phase, now: float) -> None:
        self.phase, self._due_at, self._failures = phase, now, 0
        self._number += 1
        self._delivered = False

    def _pause(self) -> float:
        self._failures = min(self._failures + 1, _MAX_FAILURES)
        return float(min(self.pace.retry_max_s, self.pace.retry_s * _GROWTH ** (self._failures - 1)))
