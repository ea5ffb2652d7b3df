"""One freeze drill: followed while it runs, then what it measured of every canary and what each has signed."""

import asyncio
from typing import TYPE_CHECKING, ClassVar, Final

from console.actions import Context
from console.asking import Question
from console.client import freeze_drills
from console.screens.reading.screen import ReadingScreen, Row
from console.state import drills
from console.state.drills import Watched
from console.state.floor import Floor
from console.state.freezing import POLL_S
from console.state.headline import DRILL
from console.widgets import drills as draw
from console.widgets.lines import Line
from console.widgets.view import View
from contract.freeze_drills import FreezeDrill

if TYPE_CHECKING:
    from console.client.api import Api
    from console.client.errors import ClientError

_LOOK: Final = "drill"


async def look(api: "Api", ident: str) -> Watched:
    """All that can be known of a drill now."""
    one = await freeze_drills.drill(api, ident)
    if one.ended_at is not None:
        return drills.over(await freeze_drills.evidence(api, ident))
    return drills.running(one, await asyncio.gather(*(api.freeze_detail(ref) for ref in one.holds)))


class DrillScreen(ReadingScreen):
    """Asks again until the drill is over."""

    CONTEXTS: ClassVar[tuple[Context, ...]] = (Context.DRILLS, Context.READING)

    def __init__(self, drill: FreezeDrill) -> None:
        super().__init__(f"{DRILL} {drill.ref}", self._page)
        self._watched = Watched(drill)
        self._is_loaded = False
        self._problem = ""

    def on_mount(self) -> None:
        """Look at once, then again and again until it is over."""
        self._look()
        self.set_interval(POLL_S, self._look_again)

    def _look_again(self) -> None:
        if not self._is_loaded or self._watched.drill.ended_at is None:
            self._look()

    def _look(self) -> None:
        ident = self._watched.drill.id
        if not self.questions.is_waiting(_LOOK) and self.desk.api is not None:
            self.ask(_LOOK, lambda api: look(api, ident), ident)

    def answered(self, question: Question, value: object) -> None:
        """The drill as it stands now."""
        if question.topic == _LOOK and isinstance(value, Watched):
            self._watched, self._is_loaded, self._problem = value, True, ""

    def refused(self, question: Question, error: "ClientError") -> bool:
        """A missed look is followed by another; the sentence says so meanwhile."""
        from console.state.problems import describe, ends_session

        if question.topic != _LOOK or ends_session(error):
            return False
        self._problem = describe(error)
        return True

    def sentence(self, view: View) -> Line:  # noqa: ARG002  it says nothing that depends on the room
        """How far it is, or how it went."""
        if self._problem:
            return self.headline_line("near", f"What you see may be old: {self._problem}")
        if not self._is_loaded:
            return self.headline_line("unknown", "Asking for the drill.")
        return self.headline_line(*draw.drill_sentence(self._watched))

    def _page(self, view: View) -> list[Row]:
        now = (self.desk.latest or Floor()).now(view.desk_now)
        rows = draw.drill_facts(self._watched.drill, now, view)
        if self._is_loaded:
            rows += draw.canary_rows(self._watched, view)
        return [(row, None) for row in rows]

    async def do_drill_evidence(self, _: str) -> None:
        """Save everything an auditor needs."""
        from console.screens.drills.evidence import EvidenceScreen

        one = self._watched.drill
        await self.desk.push_screen(EvidenceScreen(one.id, one.ref))
