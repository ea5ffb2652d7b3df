"""A page that shows one list of the backend's and asks for it again and again while it is shown.

An answer that does not come leaves the last one standing, dimmed, and says from when it is.
"""

from datetime import datetime
from typing import TYPE_CHECKING, Any, ClassVar, Final

from console.asking import Call, Question
from console.screens.reading.screen import ReadingScreen, Row
from console.state.floor import Floor
from console.state.freshness import exact_age, seconds_between
from console.widgets.lines import EMPTY, Line, dimmed, line
from console.widgets.rows import Rows
from console.widgets.view import View
from contract.base import Page

if TYPE_CHECKING:
    from console.client.errors import ClientError

LOOK_S: Final = 10.0
"""How often the list is asked for: what waits for a second person should not wait for this page."""
PAGE_ROWS: Final = 100
"""More than anybody decides about at once; that there are more is said."""
_LIST: Final = "list"


class WatchedScreen(ReadingScreen):
    """One list, always with its age."""

    CLOSED = False
    IS_PAGE = True
    ASKING: ClassVar[str] = "Asking."
    SHOWN: ClassVar[str] = f"Only the newest {PAGE_ROWS} are shown."
    """What is said below a list that goes on."""
    SAYS_ALL: ClassVar[bool] = False
    """Whether `said` is right where the list goes on, too; otherwise it counts what is shown, and that is said."""

    def __init__(self, title: str) -> None:
        super().__init__(title, self._page)
        self._heard_at: datetime | None = None
        self._problem = ""
        """Why the last look failed."""
        self._more = False
        """There are more than the page holds."""
        self._begun = False
        """The first line that leads anywhere has been selected once."""

    # what subclasses say

    def list_call(self) -> Call:
        """How the list is asked for."""
        raise NotImplementedError

    def take(self, items: list[Any]) -> None:
        """Keep what the list is now."""
        raise NotImplementedError

    def said(self) -> tuple[str, str]:
        """Mood and sentence of the list as it is known."""
        raise NotImplementedError

    def listed(self, now: datetime, view: View) -> list[Row]:
        """The rows of the list as it is known."""
        raise NotImplementedError

    # looking

    def on_mount(self) -> None:
        """Look at once, then again and again."""
        self.look()
        self.set_interval(LOOK_S, self._look_again)

    def on_screen_resume(self) -> None:
        """Look again: a dialog above may have changed something."""
        self.look()

    def look(self) -> None:
        """Ask for the list."""
        if self.desk.api is not None:
            self.ask(_LIST, self.list_call())

    def _look_again(self) -> None:
        if self.is_current and not self.questions.is_waiting(_LIST):
            self.look()

    def answered(self, question: Question, value: object) -> None:
        """Take the list in."""
        if question.topic == _LIST and isinstance(value, Page):
            self._heard_at, self._problem, self._more = self.desk.now(), "", value.next_cursor is not None
            self.take(value.items)

    def refused(self, question: Question, error: "ClientError") -> bool:
        """A missed look is followed by another; the sentence says so meanwhile."""
        from console.state.problems import describe, ends_session

        if question.topic != _LIST or ends_session(error):
            return False
        self._problem = describe(error)
        return True

    # drawing

    def draw(self, view: View) -> None:
        """Draw it, and begin at the first line that leads anywhere: keys are about that, not about the heading."""
        super().draw(view)
        leads = next((ident for ident, place in self._places.items() if self._rows[place][1] is not None), None)
        if leads is not None and not self._begun:
            self._begun = True
            self.query_one("#page", Rows).select(leads)

    def sentence(self, view: View) -> Line:
        """What the list says, or how old it is."""
        age_s = seconds_between(self._heard_at, view.desk_now)
        if self._problem and age_s is None:
            return self.headline_line("near", f"Nothing is known: {self._problem}")
        if self._problem and age_s is not None:
            text = f"Nothing heard for {exact_age(age_s)}; what you see is from then. {self._problem}"
            return self.headline_line("near", text)
        if age_s is None:
            return line((f" {view.glyphs.unknown} ", "dim"), (self.ASKING, "dim"))
        mood, text = self.said()
        if self._more and not self.SAYS_ALL:  # nothing unknown is green
            mood, text = "unknown" if mood == "ok" else mood, f"Of the {PAGE_ROWS} shown: {text}"
        return self.headline_line(mood, text)

    def _page(self, view: View) -> list[Row]:
        if self._heard_at is None:
            return []
        rows = self.listed(self._now(view), view)
        if self._more:
            rows += [(EMPTY, None), (line((self.SHOWN, "near")), None)]
        if self._problem:
            return [(row, link) for row, (_, link) in zip(dimmed(row for row, _ in rows), rows, strict=True)]
        return rows

    def _now(self, view: View) -> datetime:
        return (self.desk.latest or Floor()).now(view.desk_now)

    def end_line(self) -> Line:
        """The place in the list, and from when it is."""
        if self._heard_at is None:
            return line(("not known yet", "dim"))
        at = (self.desk.latest or Floor()).now(self._heard_at)
        return (*super().end_line(), (f", as of {at:%H:%M} UTC", "near" if self._problem else "dim"))

    # actions

    def followed(self, item_id: str) -> bool:
        """Whether the selected line belongs to this item."""
        link = self.chosen
        return link is not None and link.id == item_id
