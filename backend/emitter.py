"""Numbers the audit entries of one process, so that one that never reached the ledger shows as a gap. No I/O.

Each entry says up to which number everything of its process is settled: committed, or void because its transaction was
rolled back. A number that is missing although a later entry calls it settled is a lost entry. A number that no entry
calls settled was in flight when the process ended: nobody was told that it had been written. A number whose COMMIT was
left without an answer stays open until the database has been asked (`backend.audit.doubts`): void is never a guess.
A process whose ledger was restored goes on as another one: it cannot know which of its numbers the ledger still has.

Of the last entry of a process no later one says that it was settled. So a process writes a settling entry, which says
nothing else, once it has been quiet for a while (`backend.settling`), and when it ends. That one needs none itself.
"""

from dataclasses import dataclass, field
from uuid import UUID


@dataclass(frozen=True, slots=True)
class Stamp:
    """The number of one entry and what is known of the earlier ones."""

    node: str
    boot: str
    n: int
    settled: int
    """Every number up to this one was committed, or is in a `void` list."""
    void: tuple[int, ...]
    """Numbers whose transactions were rolled back; told once, by the next entry that commits."""


@dataclass(frozen=True, slots=True)
class Doubt:
    """An entry whose COMMIT got no answer, and the server process that was to carry it out."""

    stamp: Stamp
    entry: UUID
    server_pid: int


BOOT_BYTES = 8
"""Names one run of one process; two never meet."""
MAX_VOID = 200
"""Numbers told in one entry; the rest waits for the next, so that an entry keeps its size limit."""


@dataclass
class Emitter:
    """The counter of one process. One event loop uses it; it is not made for threads."""

    node: str
    boot: str
    generation: int | None = None
    """Of the ledger that the entries so far were written to, once there is one."""
    _last: int = 0
    _open: set[int] = field(default_factory=set)
    _void: list[int] = field(default_factory=list)
    _telling: dict[int, tuple[int, ...]] = field(default_factory=dict)
    _doubts: list[Doubt] = field(default_factory=list)
    _settling: dict[int, int] = field(default_factory=dict)
    """Settling entries that are not committed yet, and up to which number they call everything settled."""
    _spoken: int = 0
    """The last committed entry that is no settling one."""
    _told: int = 0
    """Up to which number a committed settling entry calls everything settled."""

    def take(self, *, settling: bool = False) -> Stamp:
        """Number an entry that is about to be committed; `settle` or `withdraw` it afterwards."""
        self._last += 1
        # void numbers count as settled only once an entry that tells of them is committed
        unsettled = self._open | set(self._void) | {n for told in self._telling.values() for n in told}
        telling, self._void = tuple(self._void[:MAX_VOID]), self._void[MAX_VOID:]
        self._open.add(self._last)
        if telling:
            self._telling[self._last] = telling
        floor = min(unsettled - set(telling), default=self._last)
        if settling:
            self._settling[self._last] = floor - 1
        return Stamp(self.node, self.boot, self._last, floor - 1, telling)

    def notice(self, generation: int, boot: str) -> bool:
        """Learn the ledger's generation; under another one than before the process goes on as another, called `boot`.

        The ledger was restored: of the numbers given so far some may be lost with what was restored, so that nothing
        more may be said of them. Whether it is so: what was stamped and is not committed is to be stamped again.
        """
        known, self.generation = self.generation, generation
        if known in (None, generation):
            return False
        self.boot = boot
        self._last = self._spoken = self._told = 0
        for held in (self._open, self._void, self._telling, self._doubts, self._settling):
            held.clear()
        return True

    def settle(self, stamp: Stamp) -> None:
        """The entry is committed."""
        n = stamp.n
        if stamp.boot != self.boot:
            return
        self._open.discard(n)
        self._telling.pop(n, None)
        if n in self._settling:
            self._told = max(self._told, self._settling.pop(n))
        else:
            self._spoken = max(self._spoken, n)

    def withdraw(self, stamp: Stamp) -> None:
        """The entry's transaction was rolled back: its number is void, and what it told of others is told again."""
        n = stamp.n
        if stamp.boot != self.boot:
            return
        self._open.discard(n)
        self._settling.pop(n, None)
        self._void = sorted({*self._void, *self._telling.pop(n, ()), n})

    def doubt(self, doubt: Doubt) -> None:
        """Nobody knows yet whether the entry is committed: its number stays open."""
        if doubt.stamp.boot == self.boot:
            self._doubts.append(doubt)

    def take_doubts(self) -> list[Doubt]:
        """Give what is in doubt to whoever finds out; what he cannot tell he gives back."""
        taken, self._doubts = self._doubts, []
        return taken

    @property
    def in_flight(self) -> int:
        """How many numbers are neither settled nor void."""
        return len(self._open)

    @property
    def last(self) -> int:
        """The last number given."""
        return self._last

    @property
    def has_spoken(self) -> bool:
        """Whether an entry that is no settling one was committed, or may have been."""
        return self._spoken > 0 or bool(self._open)

    @property
    def needs_settling(self) -> bool:
        """Whether a settling entry would now say of a committed one, for the first time, that it is settled."""
        settled = min(self._open, default=self._last + 1) - 1
        return self._spoken > self._told and settled > self._told
