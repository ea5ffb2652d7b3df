"""The history of freeze drills: how soon canaries have halted, drill by drill and together."""

from datetime import datetime
from typing import ClassVar

from console.actions import Context
from console.asking import Call, Question
from console.client import freeze_drills
from console.screens.reading.screen import Row
from console.screens.reading.watched import PAGE_ROWS, WatchedScreen
from console.widgets import drills as draw
from console.widgets.lines import EMPTY
from console.widgets.view import View
from contract.alerts import Link
from contract.base import Page
from contract.freeze_drills import DrillHistory, FreezeDrill


class DrillsScreen(WatchedScreen):
    """The newest drill first, below what all of them say together."""

    CONTEXTS: ClassVar[tuple[Context, ...]] = (Context.DRILLS, Context.READING)
    ASKING = "Asking for freeze drills."
    SAYS_ALL = True

    def __init__(self) -> None:
        super().__init__("Freeze drills")
        self._history: DrillHistory | None = None

    def list_call(self) -> Call:
        """The newest drills."""
        return lambda api: freeze_drills.history(api, limit=PAGE_ROWS)

    def answered(self, question: Question, value: object) -> None:
        """The history is a page with figures."""
        if isinstance(value, DrillHistory):
            self._history = value
            value = Page[FreezeDrill](items=value.items, next_cursor=value.next_cursor)
        super().answered(question, value)

    def take(self, items: list[FreezeDrill]) -> None:
        """Kept already, with its figures."""

    def said(self) -> tuple[str, str]:
        """The last drill that ended, or that there is none."""
        history = self._history
        running = [one for one in history.items if one.ended_at is None] if history else []
        if running:
            return "near", f"DRILL {running[0].ref} runs; Enter shows it."
        if history is None or not history.items:
            return "unknown", "Whether a freeze would hold has never been tried: n starts a drill."
        if history.missed or history.orders_after_halt:
            return "near", "Not every canary has halted in every drill below."
        return "ok", "Every canary that took part has halted, and sent nothing afterwards."

    def listed(self, now: datetime, view: View) -> list[Row]:
        """What all say together, then drill by drill."""
        history = self._history
        if history is None or not history.items:
            return [(row, None) for row in draw.no_drills(view)]
        rows: list[Row] = [(row, None) for row in (*draw.together_lines(history, view), EMPTY, draw.history_head(view))]
        return rows + [
            (draw.history_row(one, now, view), Link(kind="freeze_drill", id=one.id, label=one.ref))
            for one in history.items
        ]

    # actions

    async def follow(self, link: Link) -> None:
        """Show one drill."""
        from console.screens.drills.detail import DrillScreen

        one = next((one for one in self._history.items if one.id == link.id), None) if self._history else None
        if one is not None:
            await self.desk.push_screen(DrillScreen(one))

    async def do_drill_evidence(self, _: str) -> None:
        """Save the evidence of the selected drill."""
        from console.screens.drills.evidence import EvidenceScreen

        link = self.chosen
        if link is None:
            self.desk.say("refused", "Select a drill first.")
            return
        await self.desk.push_screen(EvidenceScreen(link.id, link.label))
