"""The dialog that takes alerts off the incident that they were wrongly made part of; it wants a reason."""

from collections.abc import Sequence
from typing import Final, NamedTuple

from console.asking import Question
from console.client import alert_work
from console.client.alert_work import Joined
from console.screens.form import SEND, Entry
from console.screens.incidents.drafted import DraftedForm
from console.widgets.lines import EMPTY, Line, column, line, outside, wrap
from console.widgets.view import View
from contract.alerts import Alert
from contract.reasons import MAX_REASON_CHARS

_SHOWN: Final = 4
"""Alerts that are listed one by one: the dialog has to fit on a low screen."""
_INCIDENT: Final = 15
_FACTS: Final = (
    "The timeline keeps its lines and says that this one was wrong, and why. What happens from now on is not written "
    "there any more; what a drill has muted is raised again. Milestones stay: m on the incident puts them right."
)


class Linked(NamedTuple):
    """An alert, and the incident that it is part of."""

    alert: str
    text: str
    """What people know it by: its rule, and where."""
    incident: str


def linked(alert: Alert) -> Linked:
    """An alert that is part of an incident."""
    return Linked(alert.id, f"{alert.rule} {alert.scope}", alert.incident or "")


class UnlinkDialog(DraftedForm):
    """The alerts that were meant when it was opened, each with its incident."""

    FIELDS = (Entry("why", "Why", "why it does not belong there", MAX_REASON_CHARS),)
    DRAFTED = ("why",)
    AUTO_FOCUS = "#why"

    def __init__(self, meant: Sequence[Linked]) -> None:
        """Take these off."""
        self.BUTTON = f"Take {_count(len(meant))} off"  # type: ignore[misc]
        super().__init__("Take off an incident")
        self._meant = list(meant)

    def draft_key(self) -> str:
        """One for each alert; of several one, whichever they are: marks are gone after a lost line."""
        return f"unlink:{self._meant[0].alert if len(self._meant) == 1 else 'several'}"

    def sentence(self, view: View) -> Line:  # noqa: ARG002  it says nothing that depends on the room
        """How many, and off which."""
        of = ", ".join(sorted({outside(one.incident, 20) for one in self._meant})[:3])
        return self.headline_line("near", f"Take {_count(len(self._meant))} off {of}.")

    def about(self, view: View) -> list[Line]:
        """Which, and what becomes of them."""
        g = view.glyphs
        kept = self._meant if len(self._meant) <= _SHOWN else self._meant[: _SHOWN - 1]
        rows = [
            line(
                (column(outside(one.incident, 20), _INCIDENT, g), "dim"),
                (column(outside(one.text, 200), max(view.width - _INCIDENT, 10), g), "bold"),
            )
            for one in kept
        ]
        if more := len(self._meant) - len(kept):
            rows.append(line((f"  and {more:,} more", "dim")))
        return [*rows, EMPTY, *(line((row, "dim")) for row in wrap(_FACTS, view.width))]

    def missing(self) -> str:
        """Why."""
        return "" if self.text("why") else "say why"

    def send(self) -> None:
        """Take them off, one after the other; what is off already stays so."""
        pairs, why = [(one.incident, one.alert) for one in self._meant], self.text("why")
        self.ask(SEND, lambda api: alert_work.part(api, pairs, why))

    def answered(self, question: Question, value: object) -> None:
        """Say how many are off, and why others are not."""
        if self.draft_answered(question, value) or not isinstance(value, Joined):
            return
        why = "; ".join(sorted({outside(text, 160) for text in value.refused})[:2])
        if not value.done:
            self._problem = why
            return
        verb = "is" if value.done == 1 else "are"
        more = f"; {len(value.refused):,} refused: {why}" if value.refused else "."
        self.done(f"{_count(value.done)} {verb} part of no incident now{more}")


def _count(number: int) -> str:
    return f"{number:,} alert{'' if number == 1 else 's'}"
