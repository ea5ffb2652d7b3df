"""Who is signed in: one's own sessions, or everybody's; any of them can be ended."""

from datetime import datetime
from typing import ClassVar

from console.actions import Context
from console.asking import Call, Question
from console.client import sessions
from console.screens.reading.screen import Row
from console.screens.reading.watched import PAGE_ROWS, WatchedScreen
from console.widgets import sessions as draw
from console.widgets.lines import EMPTY, line
from console.widgets.view import View
from contract.alerts import Link
from contract.sessions import SessionInfo, SessionsEnded, SessionState


class SessionsScreen(WatchedScreen):
    """The newest sign-ins first."""

    CONTEXTS: ClassVar[tuple[Context, ...]] = (Context.SESSIONS, Context.READING)
    ASKING = "Asking who is signed in."

    def __init__(self) -> None:
        super().__init__("Sessions")
        self._known: list[SessionInfo] = []
        self._everybodys = False

    def list_call(self) -> Call:
        """One's own, or everybody's."""
        if self._everybodys:
            return lambda api: sessions.everybodys(api, limit=PAGE_ROWS)
        return sessions.own

    def take(self, items: list[SessionInfo]) -> None:
        """Keep them."""
        self._known = items

    def said(self) -> tuple[str, str]:
        """How many there are, and of how many people."""
        number = len(self._known)
        locked = sum(one.state is SessionState.LOCKED for one in self._known)
        whose = f" of {len({one.account for one in self._known}):,} people" if self._everybodys else " of yours"
        told = f"{number:,} session{'' if number == 1 else 's'}{whose}"
        return "ok", f"{told}, {locked:,} locked." if locked else f"{told}."

    def listed(self, now: datetime, view: View) -> list[Row]:
        """Each with its facts."""
        if not self._known:
            return [(line(("Nobody is signed in.", "dim")), None)]
        rows: list[Row] = []
        for one in self._known:
            link = Link(kind="session", id=one.id, label="")
            rows += [(row, link) for row in draw.session_rows(one, now, view)]
            rows.append((EMPTY, None))
        return rows[:-1]

    def answered(self, question: Question, value: object) -> None:
        """The list, or a session that was ended."""
        if isinstance(value, SessionsEnded):
            self.desk.say("done", "The session is ended: it is refused everywhere from now on.")
            self.look()
        else:
            super().answered(question, value)

    # actions

    async def follow(self, link: Link) -> None:
        """Nothing to go to: everything about a session stands in its row."""

    def do_session_all(self, _: str) -> None:
        """Show everybody's sessions, or only one's own again."""
        self._everybodys = not self._everybodys
        self.questions.forget("list")
        self.look()

    def do_session_end(self, _: str) -> None:
        """End the selected session."""
        selected = next((one for one in self._known if self.followed(one.id)), None)
        if selected is None:
            self.desk.say("refused", "Select the session that is to end.")
        elif selected.own:
            self.desk.say("refused", "That is this session: F12 ends it.")
        else:
            end = sessions.end_own if selected.account == self.desk.who.name else sessions.end_anybodys
            self.ask("end", lambda api: end(api, selected.id), selected.id)
