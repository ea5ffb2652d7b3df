"""The dialog that goes to another step of the procedure: forward over some, or back, which wants a reason."""

from collections.abc import Mapping
from typing import Final

from console.asking import Call
from console.client import incidents
from console.screens.form import Entry
from console.screens.incidents.dialogs import IncidentForm
from console.state import incident_record
from console.widgets.lines import EMPTY, Line, cut, line, outside, wrap
from console.widgets.view import View
from contract.incidents import MAX_NOTE_CHARS, AdvanceRequest, Incident, Step

_ROWS: Final = 6
"""Actions that are listed on a low screen; the record shows the others as those are ticked off."""
_FRAME_ROWS: Final = 15
"""Of the screen that everything else of the dialog takes."""


class StepDialog(IncidentForm):
    """Which step it is at from now on."""

    FIELDS = (
        Entry("step", "Step", "the first letters do", 100),
        Entry("note", "Why", "what shows that; going back needs it", MAX_NOTE_CHARS),
    )
    BUTTON = "Go there"
    ACT, DRAFTED = "step", ("note",)

    def __init__(self, known: Incident) -> None:
        super().__init__("Go to a step", known)

    def prefilled(self) -> Mapping[str, str]:
        """Back by one: the key `v` goes on by one."""
        step = incident_record.previous_step(self.known) or incident_record.next_step(self.known)
        return {"step": step.name if step else ""}

    def about(self, view: View) -> list[Line]:
        """The steps, and what is not done in those so far."""
        g = view.glyphs
        here = {self.known.step: f"{g.arrow} "}
        names = [f"{here.get(one.name, '')}{outside(one.name, 40)}" for one in self.known.steps]
        rows = [line((row, "dim")) for row in wrap(f" {g.middot} ".join(names), view.width)]
        left = incident_record.left_behind(self.known)
        if not left:
            return [*rows, line(("Everything of the steps before is done.", "dim"))]
        room = max(view.height - _FRAME_ROWS, _ROWS)
        listed = [
            line(
                (f"{g.near} not done ", "near"),
                cut(f"{outside(step.name, 40)}: {outside(action.text, 200)}", view.width - 11, g),
            )
            for step, action in left[:room]
        ]
        more = line((f"and {len(left) - room:,} more", "near")) if len(left) > room else EMPTY
        return [*rows, *listed, more]

    def _wanted(self) -> Step | None:
        typed = self.text("step").casefold()
        exact = [one for one in self.known.steps if one.name.casefold() == typed]
        found = exact or [one for one in self.known.steps if typed and one.name.casefold().startswith(typed)]
        return found[0] if len(found) == 1 else None

    def _goes_back(self, step: Step) -> bool:
        names = [one.name for one in self.known.steps]
        return self.known.step in names and names.index(step.name) < names.index(self.known.step)

    def missing(self) -> str:
        """Another step, and a reason for going back."""
        step = self._wanted()
        if step is None:
            return "name one of the steps"
        if step.name == self.known.step:
            return "name another step: it is there already"
        return "say why it goes back" if self._goes_back(step) and not self.text("note") else ""

    def call(self) -> Call:
        """Go there."""
        step = self._wanted()
        wanted = AdvanceRequest(step=step.name if step else self.known.step, note=self.text("note"))
        return lambda api: incidents.advance(api, self.known.id, wanted)

    def told(self) -> str:
        """What was done."""
        step = self._wanted()
        return f"The step is {outside(step.name, 60)} now." if step else ""
