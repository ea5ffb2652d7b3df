"""Whether this process is still the one that runs a drill, asked before each thing that a step does or undoes.

Only the database knows: whoever gives a drill up says it there. Must never let anything be begun once it has said so.
"""

from typing import Final

from backend.context import system_caller
from backend.continuity import lines
from backend.continuity.keeping import Keeping
from backend.continuity.lines import stored
from backend.continuity.telling import Telling

ASK_S: Final = 1.0
"""The database is asked every half second; longer, the recovery time would be what this waits."""
HOLD_S: Final = 60.0
"""For a database that is away although no step of the drill explains it; past it there is something to look at."""
_CALLER: Final = system_caller("recovery")
_UNKNOWN: Final = "the database does not answer, so that nobody knows whether the drill was given up elsewhere"


class Charge:
    """Of one drill. One event loop uses it."""

    def __init__(self, telling: Telling, keeping: Keeping) -> None:
        self._telling, self._keeping = telling, keeping

    async def holds(self, number: int, *, undoing: bool) -> bool:
        """Whether a step may be begun, or undone; False: what to do next has to be decided anew.

        Where the database cannot say: a drill that may have it down itself goes on, because nobody else brings it back;
        any other one waits a while, and then begins nothing more. What it has begun it undoes.
        """
        if await self._keeping.is_ours(ASK_S):
            return True
        if self._telling.given_up.is_set():
            return False
        what = f"{'undoing ' if undoing else ''}step {number}"
        if self._telling.run.reached:
            self._log(number, f"Goes on with {what} although {_UNKNOWN}: a step of this drill may have it down.")
            return True
        self._log(number, f"Waits before {what}: {_UNKNOWN}.")
        if await self._known_in_time(undoing=undoing):
            return True
        if not self._is_over(undoing=undoing):
            if undoing:
                self._log(number, f"Goes on with {what} although {_UNKNOWN}: nothing that ran can have it down.")
                return True
            await self._turn_back(number)
        return False

    async def _known_in_time(self, *, undoing: bool) -> bool:
        waited_s = ASK_S
        while waited_s < HOLD_S and not self._is_over(undoing=undoing):
            if await self._keeping.is_ours(ASK_S):
                return True
            waited_s += ASK_S
        return False

    def _is_over(self, *, undoing: bool) -> bool:
        telling = self._telling
        return telling.given_up.is_set() or not (undoing or telling.may_begin)

    async def _turn_back(self, number: int) -> None:
        telling = self._telling
        reason = f"step {number} was not begun: for {HOLD_S:.0f} s {_UNKNOWN}"
        telling.abort_asked.set()
        await telling.say(lines.AbortAsked(at=telling.clock.now(), caller=stored(_CALLER), reason=reason))

    def _log(self, number: int, text: str) -> None:
        self._telling.tell(lines.Logged(at=self._telling.clock.now(), step=number, text=text))
