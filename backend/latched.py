"""What a process knows of freezes that the database has not taken yet: they hold here all the same.

Filled by `backend.freeze.latch`, asked by whoever gives permits. Owns no I/O.
"""

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Final
from uuid import UUID

from contract.freeze import Freeze
from contract.scope import Scope
from contract.states import FreezeMode

JOURNAL_DIRECTORY: Final = "freeze-journal"
"""Below the data directory: in it one directory a database, in that one file a process run."""


@dataclass(frozen=True, slots=True)
class LatchedHold:
    """A freeze that is in force at this process alone."""

    id: UUID
    """The hold will have it in the database too."""
    scope: Scope
    mode: FreezeMode


Revoke = Callable[[LatchedHold], int]
"""Takes the permits of what a latched freeze covers away at once; returns how many executors were told."""


@dataclass
class Latched:
    """The freezes of one process that wait for the database. One event loop uses it; it is not made for threads."""

    unread: str | None = None
    """Why it is not known what earlier processes have left: then there may be a freeze as well."""
    refused_lines: int = 0
    """Lines of journals that no process of ours had written, since this one started."""
    journal_problem: str | None = None
    """Why the next freeze could not be kept on the disk, as far as is known."""
    journals_elsewhere: int = 0
    """Journals of other processes or databases in the same data directory in which freezes wait, as last looked."""
    tell: Callable[[], list[Freeze]] = list
    """The freezes that wait, oldest first, as the wire shows them; set by whoever keeps them."""
    _waiting: dict[UUID, LatchedHold] = field(default_factory=dict)
    _revokers: list[Revoke] = field(default_factory=list)

    def pending(self) -> bool:
        """Whether a freeze waits, or may: no permit that allows sending is given meanwhile, to nobody.

        Ask before the holds are read from the database and once more before the permit goes out: a freeze that was
        put into the database in between is in neither otherwise.
        """
        return bool(self._waiting) or self.unread is not None

    def sentence(self) -> str | None:
        """What waits here, for whoever finds the database away; None when nothing does."""
        if not (count := len(self._waiting)):
            return None
        what = "1 latched freeze waits" if count == 1 else f"{count} latched freezes wait"
        return f"{what} for the database; no permit is given meanwhile."

    def latched_holds(self) -> tuple[LatchedHold, ...]:
        """The freezes that are not in the database yet, oldest first."""
        return tuple(self._waiting.values())

    def mode_over(self, *, chain: str, strategy: str, wallet: str, executor: str) -> FreezeMode | None:
        """What waits does to an executor: while anything does nobody may send, not even who is not covered.

        The holds that the database tells of are not all there are then. None once nothing waits.
        """
        if not self.pending():
            return None
        place = {"chain": chain, "strategy": strategy, "wallet": wallet, "executor": executor}
        over = {hold.mode for hold in self._waiting.values() if hold.scope.covers(**place)}
        return FreezeMode.CANCEL_ALL if FreezeMode.CANCEL_ALL in over else FreezeMode.HALT

    def on_latch(self, revoke: Revoke) -> None:
        """Have permits revoked whenever a freeze is latched. It must not fail or wait."""
        self._revokers.append(revoke)

    def latch(self, hold: LatchedHold) -> int:
        """Put a freeze in force here, at once; returns how many connected executors were told."""
        self._waiting[hold.id] = hold
        return sum(revoke(hold) for revoke in self._revokers)

    def let_go(self, ident: UUID) -> None:
        """The database has the freeze: from here on it is a hold like any other."""
        self._waiting.pop(ident, None)
