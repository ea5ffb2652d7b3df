"""Requests to erase people: who asked, who decided, what became of it. Two people erase; nothing takes it back."""

from typing import ClassVar

from console.actions import Context
from console.asking import Question
from console.client import privacy
from console.screens.reading.screen import ReadingScreen, Row
from console.state.floor import Floor
from console.widgets import erasures as draw
from console.widgets.lines import EMPTY, Line, line
from console.widgets.rows import Rows
from console.widgets.view import View
from contract.alerts import Link
from contract.base import Page
from contract.privacy import Erasure, ErasureStatus

PAGE_ROWS = 100


class ErasuresScreen(ReadingScreen):
    """The newest requests first; those that wait for a second person above all others."""

    CONTEXTS: ClassVar[tuple[Context, ...]] = (Context.ERASURES, Context.READING)

    def __init__(self) -> None:
        super().__init__("Erasures", self._page)
        self._known: list[Erasure] | None = None

    def on_screen_resume(self) -> None:
        """Look again: a dialog above may have changed something."""
        self._look()

    def _look(self) -> None:
        if self.desk.api is not None:
            self.ask("erasures", lambda api: privacy.erasures(api, limit=PAGE_ROWS))

    def sentence(self, view: View) -> Line:
        """How many wait for a second person."""
        if self._known is None:
            return line((f" {view.glyphs.unknown} ", "dim"), ("Asking which erasures were requested.", "dim"))
        waiting = sum(one.status is ErasureStatus.REQUESTED for one in self._known)
        if not waiting:
            return self.headline_line("ok", "No erasure waits for a second person.")
        said = "erasure waits" if waiting == 1 else "erasures wait"
        return self.headline_line("near", f"{waiting:,} {said} for a second person.")

    def _page(self, view: View) -> list[Row]:
        if self._known is None:
            return []
        if not self._known:
            return [(line(("Nobody has asked for a person to be erased.", "dim")), None)]
        now = (self.desk.latest or Floor()).now(view.desk_now)
        rows: list[Row] = []
        for one in sorted(self._known, key=lambda one: one.status is not ErasureStatus.REQUESTED):
            link = Link(kind="erasure", id=one.id, label="")
            rows += [(row, link) for row in draw.request_rows(one, now, view)]
            rows.append((EMPTY, None))
        return rows[:-1]

    def _selected(self) -> Erasure | None:
        place = self.query_one("#page", Rows).selected
        link = self._rows[int(place)][1] if place is not None and int(place) < len(self._rows) else None
        found = (one for one in self._known or [] if link is not None and one.id == link.id)
        return next(found, None)

    def _waiting(self) -> Erasure | None:
        selected = self._selected()
        if selected is None or selected.status is not ErasureStatus.REQUESTED:
            self.desk.say("refused", "Select a request that waits for a second person.")
            return None
        return selected

    def answered(self, question: Question, value: object) -> None:  # noqa: ARG002  the value says which
        """The list, or a request that was taken back."""
        if isinstance(value, Page):
            self._known = value.items
        elif isinstance(value, Erasure):
            self.desk.say("done", f"The request to erase {value.subject} is withdrawn.")
            self._look()

    # actions

    async def follow(self, link: Link) -> None:
        """Nothing to go to: everything about a request stands in its row."""

    async def do_erasure_request(self, argument: str) -> None:
        """Ask for a person to be erased."""
        from console.screens.erasures.dialog import EraseScreen

        await self.desk.push_screen(EraseScreen(argument.strip()))

    async def do_erasure_approve(self, _: str) -> None:
        """Erase the person of the selected request, as the second one who wants it."""
        from console.screens.erasures.dialog import EraseScreen

        if (selected := self._waiting()) is not None:
            await self.desk.push_screen(EraseScreen(selected.subject, selected))

    def do_erasure_withdraw(self, _: str) -> None:
        """Take back or turn down the selected request."""
        if (selected := self._waiting()) is not None:
            self.ask("withdraw", lambda api: privacy.decide_erasure(api, selected.id, "withdraw"), selected.id)
