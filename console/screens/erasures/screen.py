"""Requests to erase people: who asked, who decided, what became of it. Two people erase; nothing takes it back."""

from datetime import datetime
from typing import ClassVar

from console.actions import Context
from console.asking import Call, Question
from console.client import privacy
from console.screens.reading.screen import Row
from console.screens.reading.watched import PAGE_ROWS, WatchedScreen
from console.widgets import erasures as draw
from console.widgets.lines import EMPTY, line
from console.widgets.view import View
from contract.alerts import Link
from contract.privacy import Erasure, ErasureStatus


class ErasuresScreen(WatchedScreen):
    """The newest requests first; those that wait for a second person above all others."""

    CONTEXTS: ClassVar[tuple[Context, ...]] = (Context.ERASURES, Context.READING)
    ASKING = "Asking which erasures were requested."

    def __init__(self) -> None:
        super().__init__("Erasures")
        self._known: list[Erasure] = []

    def list_call(self) -> Call:
        """The newest requests."""
        return lambda api: privacy.erasures(api, limit=PAGE_ROWS)

    def take(self, items: list[Erasure]) -> None:
        """Keep them."""
        self._known = items

    def said(self) -> tuple[str, str]:
        """How many wait for a second person."""
        waiting = sum(one.status is ErasureStatus.REQUESTED for one in self._known)
        if not waiting:
            return "ok", "No erasure waits for a second person."
        said = "erasure waits" if waiting == 1 else "erasures wait"
        return "near", f"{waiting:,} {said} for a second person."

    def listed(self, now: datetime, view: View) -> list[Row]:
        """Those that wait first."""
        if not self._known:
            return [(line(("Nobody has asked for a person to be erased.", "dim")), None)]
        rows: list[Row] = []
        for one in sorted(self._known, key=lambda one: one.status is not ErasureStatus.REQUESTED):
            link = Link(kind="erasure", id=one.id, label="")
            rows += [(row, link) for row in draw.request_rows(one, now, view)]
            rows.append((EMPTY, None))
        return rows[:-1]

    def _waiting(self) -> Erasure | None:
        selected = next((one for one in self._known if self.followed(one.id)), None)
        if selected is None or selected.status is not ErasureStatus.REQUESTED:
            self.desk.say("refused", "Select a request that waits for a second person.")
            return None
        return selected

    def answered(self, question: Question, value: object) -> None:
        """The list, or a request that was taken back."""
        if isinstance(value, Erasure):
            self.desk.say("done", f"The request to erase {value.subject} is withdrawn.")
            self.look()
        else:
            super().answered(question, value)

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
