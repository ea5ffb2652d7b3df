"""Legal holds: what is kept from being erased and dropped, by whom and why. One person places, two people lift."""

from datetime import datetime
from typing import ClassVar

from console.actions import Context
from console.asking import Call
from console.client import privacy
from console.screens.reading.screen import Row
from console.screens.reading.watched import PAGE_ROWS, WatchedScreen
from console.widgets import legal_holds as draw
from console.widgets.lines import EMPTY, line
from console.widgets.view import View
from contract.alerts import Link
from contract.privacy import LegalHold, LegalHoldState


class LegalHoldsScreen(WatchedScreen):
    """Those that somebody wants lifted first, then those in force; lifted ones only when asked for."""

    CONTEXTS: ClassVar[tuple[Context, ...]] = (Context.LEGAL_HOLDS, Context.READING)
    ASKING = "Asking which legal holds are in force."

    def __init__(self) -> None:
        super().__init__("Legal holds")
        self._known: list[LegalHold] = []
        self._lifted = False
        """Whether lifted ones are shown too."""

    def list_call(self) -> Call:
        """The newest ones."""
        lifted = self._lifted
        return lambda api: privacy.legal_holds(api, lifted=lifted, limit=PAGE_ROWS)

    def take(self, items: list[LegalHold]) -> None:
        """Keep them."""
        self._known = items

    def said(self) -> tuple[str, str]:
        """How many are in force, and whether one waits for a second person."""
        waiting = sum(one.state is LegalHoldState.LIFT_REQUESTED for one in self._known)
        in_force = sum(one.state is not LegalHoldState.LIFTED for one in self._known)
        kept = f"{in_force:,} legal {'hold is' if in_force == 1 else 'holds are'} in force"
        if waiting:
            return "near", f"{kept}; {waiting:,} {'waits' if waiting == 1 else 'wait'} for a second person to lift."
        return ("ok", f"{kept}.") if in_force else ("", "No legal hold is in force.")

    def listed(self, now: datetime, view: View) -> list[Row]:
        """Those that wait for a second person first, lifted ones last."""
        if not self._known:
            nothing = "Nothing is kept beyond its time. n places a legal hold"
            more = "." if self._lifted else ", a shows lifted ones."
            return [(line((nothing + more, "dim")), None)]
        order = (LegalHoldState.LIFT_REQUESTED, LegalHoldState.IN_FORCE, LegalHoldState.LIFTED)
        rows: list[Row] = []
        for one in sorted(self._known, key=lambda one: order.index(one.state)):
            link = Link(kind="legal hold", id=one.id, label="")
            rows += [(row, link) for row in draw.hold_rows(one, now, view)]
            rows.append((EMPTY, None))
        return rows[:-1]

    def _selected(self, wanted: LegalHoldState, otherwise: str) -> LegalHold | None:
        selected = next((one for one in self._known if self.followed(one.id)), None)
        if selected is not None and selected.state is wanted:
            return selected
        self.desk.say("refused", otherwise)
        return None

    # actions

    async def follow(self, link: Link) -> None:
        """Nothing to go to: everything about a legal hold stands in its rows."""

    async def do_legal_hold_place(self, argument: str) -> None:
        """Place a legal hold."""
        from console.screens.legal_holds.dialogs import PlaceScreen

        await self.desk.push_screen(PlaceScreen(argument.strip()))

    async def do_legal_hold_lift(self, _: str) -> None:
        """Ask for the selected legal hold to be lifted."""
        from console.screens.legal_holds.dialogs import LiftScreen

        selected = self._selected(LegalHoldState.IN_FORCE, "Select a legal hold in force that nobody wants lifted yet.")
        if selected is not None:
            await self.desk.push_screen(LiftScreen(selected))

    async def do_legal_hold_approve(self, _: str) -> None:
        """Lift the selected legal hold as the second person."""
        from console.screens.legal_holds.dialogs import LiftScreen

        selected = self._selected(LegalHoldState.LIFT_REQUESTED, "Select a legal hold that somebody wants lifted.")
        if selected is not None:
            await self.desk.push_screen(LiftScreen(selected))

    def do_legal_hold_all(self, _: str) -> None:
        """Show lifted ones too, or no longer."""
        self._lifted = not self._lifted
        self.look()
