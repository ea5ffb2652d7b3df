"""One incident: what it is, the procedure, the timeline as it grows; a line is written with one key."""

import asyncio
from typing import TYPE_CHECKING, ClassVar, Final

from textual.app import ComposeResult

from console.actions import Context
from console.asking import Call, Question
from console.client import incidents
from console.client.api import new_idempotency_key
from console.screens.incidents.drafting import DraftingScreen
from console.screens.incidents.opening import IncidentDoing
from console.screens.reading.screen import ReadingScreen, Row
from console.state import incident_record
from console.state.floor import Floor
from console.state.incident_record import LINES_AT_ONCE, Record
from console.widgets import incidents as draw
from console.widgets.incident_parts import snapshot_rows
from console.widgets.lines import Line, line, outside, spread
from console.widgets.panel import Box, Panel
from console.widgets.rows import Rows
from console.widgets.sheet import Sheet
from console.widgets.view import View
from contract.alerts import Link
from contract.base import Page
from contract.incident_records import IncidentSnapshot
from contract.incidents import Incident, NoteRequest, TimelineEntry
from contract.postmortem import Draft

if TYPE_CHECKING:
    from console.client.api import Api
    from console.client.errors import ClientError

LOOK_S: Final = 15.0
"""How often it is asked for besides whenever the stream says that it changed."""
_LOOK: Final = "incident"
_OLDER: Final = "older"
_ACT: Final = "act"
_NOTE: Final = "note"
_SNAPSHOT: Final = "snapshot"
_UNLOADED: Final = "Asking for the incident."


async def look(api: "Api", ident: str) -> tuple[Incident, Page[TimelineEntry]]:
    """The record and the newest lines of its timeline."""
    record, page = await asyncio.gather(
        incidents.incident(api, ident), incidents.timeline(api, ident, limit=LINES_AT_ONCE)
    )
    return record, page


class IncidentScreen(ReadingScreen, IncidentDoing, DraftingScreen):
    """The record of one incident, live."""

    CSS_PATH: ClassVar = [*ReadingScreen.CSS_PATH, "record.tcss"]
    CONTEXTS: ClassVar[tuple[Context, ...]] = (Context.INCIDENT, Context.READING)
    CLOSED = False
    IS_PAGE = True

    def __init__(self, ident: str) -> None:
        super().__init__(outside(ident, 20), self._page)
        self.ident = ident
        self._record: Record | None = None
        self._mark: object = None
        """What the stream had said of it when it was last asked for."""
        self._problem = ""
        self._noting = False
        self._note_key = ("", "")
        """The text that was sent last, and the key that it was sent with: the same text again is the same line."""

    # what is known

    @property
    def record(self) -> Record | None:
        """The record as far as it is known."""
        return self._record

    def on_mount(self) -> None:
        """Look at once, then whenever it changes, and now and then."""
        self.look()
        self.set_interval(LOOK_S, self._look_again)

    def on_screen_resume(self) -> None:
        """A dialog above may have changed it."""
        self.look()

    def look(self) -> None:
        """Ask for it."""
        if self.desk.api is not None:
            self._mark = self._heard()
            self.ask(_LOOK, lambda api: look(api, self.ident), self.ident)

    def _look_again(self) -> None:
        if self.is_current and not self.questions.is_waiting(_LOOK):
            self.look()

    def _heard(self) -> object:
        floor = self.desk.latest or Floor()
        known = floor.incidents.get(self.ident)
        return (floor.timelines.get(self.ident), known.updated_at if known else None, known.version if known else None)

    def draw(self, view: View) -> None:
        """Draw what is known, and ask again if the stream has said that there is more."""
        if self.desk.paused_at is None and self._mark != self._heard() and not self.questions.is_waiting(_LOOK):
            self.look()
        super().draw(view)
        self._draw_note(view)

    def answered(self, question: Question, value: object) -> None:
        """The record, older lines, what became of an act, or of a draft."""
        if self.draft_answered(question, value):
            return
        if question.topic == _LOOK and isinstance(value, tuple):
            self._record, self._problem = incident_record.looked(self._record, *value), ""
        elif question.topic == _OLDER and isinstance(value, Page) and self._record is not None:
            self._record = incident_record.with_older(self._record, value)
        elif isinstance(value, IncidentSnapshot):
            page = ReadingScreen("As it was", lambda view: snapshot_rows(value, view))
            self.desk.call_later(self.desk.push_screen, page)
        elif question.topic == _NOTE:
            self._note_taken()
        elif question.topic == _ACT and isinstance(value, Incident):
            self.desk.say("done", question.about)
            self.look()

    def refused(self, question: Question, error: "ClientError") -> bool:
        """A missed look is followed by another; the sentence says so meanwhile."""
        from console.state.problems import describe, ends_session

        if question.topic == _NOTE:
            self._sheet.read_only = False
        if self.draft_refused(question, error):
            return True
        if question.topic != _LOOK or ends_session(error):
            return False
        self._problem = describe(error)
        return True

    def died(self, question: Question) -> None:
        """What was typed is still here."""
        self._sheet.read_only = False
        self.draft_died(question)

    def act(self, call: Call, told: str) -> None:
        """Ask for a change, and say what it was once it is made; the next one waits until that is known."""
        if self.questions.is_waiting(_ACT):
            self.desk.say("refused", "What you asked for before is still under way: press again when it is done.")
        else:
            self.ask(_ACT, call, told)

    # drawing

    def sentence(self, view: View) -> Line:
        """When it was seen, answered and ended."""
        if self._problem:
            return self.headline_line(
                "near", f"What you see may be old: {self._problem}" if self._record else self._problem
            )
        if self._record is None:
            return self.headline_line("unknown", _UNLOADED)
        now = (self.desk.latest or Floor()).now(view.desk_now)
        return self.headline_line(*draw.milestones_sentence(self._record.incident, now, view.glyphs))

    def _page(self, view: View) -> list[Row]:
        if self._record is None:
            return []
        return draw.record_rows(self._record, self.desk.latest or Floor(), view)

    def _draw_end(self) -> None:
        super()._draw_end()
        known = self._record
        if known is None or known.older is None or self.questions.is_waiting(_OLDER):
            return
        if self.query_one("#page", Rows).at_end and self.desk.api is not None:
            cursor = known.older
            self.ask(
                _OLDER, lambda api: incidents.timeline(api, self.ident, limit=LINES_AT_ONCE, cursor=cursor), self.ident
            )

    async def follow(self, link: Link) -> None:
        """All of a line of the timeline; a selected action is ticked off."""
        entry = self._record.entries.get(link.id) if self._record and link.kind == "entry" else None
        if entry is not None:
            await self.desk.push_screen(ReadingScreen("Timeline", lambda view: draw.entry_page(entry, view)))
        elif link.kind == "action":
            self.do_incident_tick("")
        else:
            await super().follow(link)

    def do_incident_snapshot(self, _: str) -> None:
        """What was known when it was declared."""
        self.ask(_SNAPSHOT, lambda api: incidents.snapshot(api, self.ident))

    # the note

    def compose_body(self) -> ComposeResult:
        """The page, and where a line is typed."""
        yield from super().compose_body()
        with Box(id="note-bar"):
            yield Panel(id="note-head", grows=False)
            yield Sheet(id="note")

    @property
    def _sheet(self) -> Sheet:
        return self.query_one("#note", Sheet)

    def reach(self) -> tuple[Context, ...]:
        """While a line is typed, keys belong to it."""
        return (Context.NOTE, Context.ALWAYS) if self._noting else super().reach()

    def _draw_note(self, view: View) -> None:
        if self._noting:
            sending = self.questions.is_waiting(_NOTE)
            head = line(
                (" NOTE ", "head"), (f"sending{view.glyphs.ellipsis}" if sending else "goes into the timeline", "dim")
            )
            self.query_one("#note-head", Panel).show(
                [spread(head, (*self.draft_note(), (" ", "")), view.width, view.glyphs)]
            )

    def typed(self) -> str:
        """The line as it is typed."""
        return self._sheet.text

    def draft_found(self, draft: Draft) -> None:
        """Go on where somebody was cut off; what they have typed meanwhile stands below it."""
        typed = self._sheet.text
        if not typed.startswith(draft.text):
            self._sheet.put(f"{draft.text}\n{typed}" if typed else draft.text)

    def not_kept(self, why: str) -> None:
        """The line stays open: closing it would throw away what is typed."""
        self.desk.say("refused", f"NOT kept, so it stays here; Esc tries again, F8 drops it: {outside(why, 200)}")

    def do_incident_note(self, argument: str) -> None:
        """Open the line."""
        self._noting = True
        self.query_one("#note-bar", Box).display = True
        if argument:
            self._sheet.put(argument)
        self.set_focus(self._sheet)
        self.begin_draft(f"note:{self.ident}")
        self.redraw()

    async def do_note_send(self, _: str) -> None:
        """Write it into the timeline."""
        text = self._sheet.text.strip()
        if not text:
            self.do_note_close("")
        elif not self.questions.is_waiting(_NOTE):
            if text != self._note_key[0]:
                self._note_key = (text, new_idempotency_key())
            wanted = NoteRequest(text=text, idempotency_key=self._note_key[1])
            self.ask(_NOTE, lambda api: incidents.note(api, self.ident, wanted), self.ident)
            self._sheet.read_only = self.questions.is_waiting(_NOTE)
            self.redraw()

    def _note_taken(self) -> None:
        self._note_key = ("", "")
        self._sheet.read_only = False
        self.end_draft()
        self._sheet.load_text("")
        self._close_note()
        self.look()

    def do_note_line(self, _: str) -> None:
        """Begin a new line."""
        self._sheet.insert("\n")

    def do_note_close(self, _: str) -> None:
        """Back to the record once what was typed is kept; until then it stays."""
        if self._sheet.text.strip():
            self.leave_draft(lambda: self._close_note("What you have typed is kept as a draft: n goes on with it."))
        else:
            self.close_draft(self._close_note)
        self.redraw()

    async def do_note_drop(self, _: str) -> None:
        """Throw the line away, once it is said what goes with it."""
        from console.screens.incidents.dropping import DropDialog

        if self._sheet.text.strip():
            await self.desk.push_screen(DropDialog(self._sheet.text, self._drop_note))
        else:
            self.do_note_close("")

    def _drop_note(self) -> None:
        self._sheet.load_text("")
        self.end_draft()
        self._close_note()

    def _close_note(self, told: str = "") -> None:
        self._noting = False
        self.query_one("#note-bar", Box).display = False
        self.set_focus(self.query_one("#page", Rows))
        if told:
            self.desk.say("done", told)
        self.redraw()

    def copy_text(self) -> str:
        """The selected line of the timeline, or the whole page."""
        link = self.chosen
        entry = self._record.entries.get(link.id) if self._record and link and link.kind == "entry" else None
        return (
            f"{entry.occurred_at:%Y-%m-%d %H:%M:%S} UTC {entry.actor}: {entry.text}" if entry else super().copy_text()
        )
