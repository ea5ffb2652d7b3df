"""The audit log: who did what to which resource."""

from typing import TYPE_CHECKING

from textual import on

from console.actions import Context
from console.asking import Question
from console.screens.entry.screen import EntryScreen
from console.screens.lists import ListScreen
from console.screens.reading.screen import ReadingScreen, Row
from console.state.audit_search import PAGE_ROWS, Found, SearchError, narrowed, parse_search, saved_words
from console.state.floor import Floor
from console.state.sealed import related
from console.state.verification import SHOWN_RUNS, Runs, of_judged
from console.widgets import audit as draw
from console.widgets.command_line import CommandLine
from console.widgets.entry import follow_rows
from console.widgets.lines import Line, line, outside
from console.widgets.panel import Panel
from console.widgets.view import View
from contract.alerts import Link
from contract.audit import AuditEntry, AuditPage, RelatedBy, SavedSearch, SavedSearches
from contract.base import Page

if TYPE_CHECKING:
    from console.client.api import Api
    from console.client.errors import ClientError


class AuditScreen(ListScreen):
    """Search results, newest first; each search is itself an audit entry."""

    TITLE_TEXT = "Audit"
    CONTEXTS = (Context.AUDIT,)

    def __init__(self) -> None:
        super().__init__()
        self._found = Found()
        self._entries: dict[str, AuditEntry] = {}
        self._ids: list[str] = []
        self._runs = Runs()
        self._saved: dict[str, dict[str, str]] = {}

    def on_screen_resume(self) -> None:
        """Show the newest entries when the screen is first shown, and how the last verification ended."""
        if self.desk.api is not None and not self.questions.is_waiting("verified"):
            self.ask("verified", lambda api: api.verifications(limit=SHOWN_RUNS))
            self.ask("saved", lambda api: api.saved_searches())
        if self._found.searched_at is None and not self.questions.is_waiting("audit"):
            self.search(self._found.text)

    def sentence(self, view: View) -> Line:
        """How to search, or what is being searched."""
        g = view.glyphs
        back = f"Searched back to {self._found.back_to:%Y-%m-%d %H:%M} UTC" if self._found.back_to is not None else ""
        if self.questions.is_waiting("audit"):
            text = f"{back}, looking further{g.ellipsis} " if back else f"Searching{g.ellipsis} "
            return line(
                (f" {g.partial if back else g.unknown} ", "dim"), (text, "dim"), ("Esc", "key"), (" stops.", "dim")
            )
        judged = self._runs.judged
        if judged is not None:
            mood, text = of_judged(judged, (self.desk.latest or Floor()).now(view.desk_now))
            if mood == "bad":
                return line((f" {g.bad} ", "bad"), (text, "bad"))
        if back:
            return line((f" {g.partial} ", "near"), f"{back}; older entries wait: ", ("m", "key"), " goes on.")
        return line(
            (f" {g.idle} ", "dim"),
            ("s", "key"),
            " searches: words, ",
            ("user: event: action: resource: result: ip: since: until:", "bold"),
        )

    def list_title(self, view: View) -> Line:
        """The search and how many it found."""
        return draw.list_title(self._found, view.desk_now, view, self.filter_text)

    def load_rows(self, view: View) -> None:
        """Show what was found and passes the filter."""
        self._ids = narrowed(self._found.entries, self.filter_text)
        self.rows.load(
            self._ids, lambda ident, width: draw.entry_row(self._entries[ident], view.sized(width)), [self._empty(view)]
        )

    def _empty(self, view: View) -> Line:
        if self.questions.is_waiting("audit"):
            return line((f"Searching{view.glyphs.ellipsis}", "dim"))
        if self._found.searched_at is None:
            return line(("Not searched yet: s searches.", "dim"))
        if self._found.entries:
            return line(("None of the loaded entries contains that; Esc clears the filter.", "dim"))
        if self._found.back_to is not None:
            return line(("Nothing found yet: ", ""), ("m", "key"), (" looks further back.", "dim"))
        return line(
            ("No entry matches. ", ""), ("s", "key"), (" changes the search; since:7d looks further back.", "dim")
        )

    def detail_lines(self, view: View) -> list[Line]:
        """The selected entry."""
        entry = self._selected()
        return draw.detail_rows(entry, view, self.place) if entry else []

    def _selected(self) -> AuditEntry | None:
        return self._entries.get(self.rows.selected or "")

    # searching

    def search(self, text: str) -> None:
        """Search anew; the entries of the search before are dropped when the new ones are there."""
        now = (self.desk.latest or Floor()).now(self.desk.now())
        try:
            where = parse_search(text, now, self._saved)
        except SearchError as error:
            self.desk.say("refused", str(error))
            return
        self._begin(Found(text=text, where=where))

    def relate(self, by: RelatedBy, ident: str) -> None:
        """Follow an entry: show what shares something with it."""
        entry = self._entries.get(ident)
        shared = dict(related(entry)).get(by, "") if entry is not None else ""
        self._begin(Found(related=(by, ident), label=f"{by.value} {shared or 'of the entry'}"))

    def _begin(self, found: Found) -> None:
        self._found = found.looking_on(self.desk.now())
        self._entries = {}
        self.filter_text = ""
        if self.is_attached:
            self.rows.follow_top()
        self._ask(None)

    def _ask(self, cursor: str | None) -> None:
        found = self._found
        if self.desk.api is None:
            return
        count = {} if cursor else {"count": "true"}  # counted once: the pages after the first do not change it
        where = {**found.where, **count}

        async def page(api: "Api") -> AuditPage:
            if found.related is None:
                return await api.audit(limit=PAGE_ROWS, cursor=cursor, **where)
            by, ident = found.related
            return await api.audit_related(ident, by, limit=PAGE_ROWS, cursor=cursor, **where)

        self.ask("audit", page, found.about)
        self.redraw()

    def load_more(self) -> None:
        """Load older entries when the end of the list comes into sight."""
        if self._found.cursor is not None and not self.questions.is_waiting("audit"):
            self._found = self._found.looking_on(self.desk.now())
            self._ask(self._found.cursor)

    async def do_back(self, argument: str) -> None:
        """Stop a search that is under way, or do what Esc does everywhere."""
        if not self.questions.is_waiting("audit"):
            await super().do_back(argument)
            return
        self.questions.forget("audit")
        self.workers.cancel_group(self, "audit")
        self._found = self._found.stopped()
        self.redraw()

    def answered(self, question: Question, value: object) -> None:
        """Take in a page."""
        if question.topic == "verified" and isinstance(value, Page):
            self._runs = self._runs.with_all(value.items, self.desk.now())
        elif isinstance(value, SavedSearches):
            self._saved = {one.name: one.filters for one in value.items}
            if question.about:
                self.desk.say("done", f"Deleted the saved search {question.about}.")
        elif isinstance(value, SavedSearch):
            self._saved = {**self._saved, value.name: value.filters}
            self.desk.say("done", f"Saved: s saved:{value.name} finds it again. Times are kept as they were.")
        elif isinstance(value, AuditPage) and question.about == self._found.about:
            self._found = self._found.with_page(value, self.desk.now())
            self._entries = {entry.id: entry for entry in self._found.entries}
            if self._found.goes_on(self.desk.now()):
                self._ask(self._found.cursor)
        elif isinstance(value, AuditEntry):
            self._entries.setdefault(value.id, value)
            self.desk.call_later(self.desk.push_screen, EntryScreen(value))

    def refused(self, question: Question, error: "ClientError") -> bool:
        """Without the last verification and the saved searches the log is as readable as before."""
        from console.state.problems import ends_session

        return question.topic in {"verified", "saved"} and not ends_session(error)

    def reveal(self, ident: str) -> None:
        """Show one entry that a link points at."""
        self.ask("entry", lambda api: api.audit_entry(ident), ident)

    @on(CommandLine.Entered)
    def _search_entered(self, event: CommandLine.Entered) -> None:
        if event.mode == SEARCH:
            self.search(event.text.strip())

    # actions

    def do_audit_search(self, argument: str) -> None:
        """Search for what was typed, or ask what to search for."""
        if argument:
            self.search(argument)
        else:
            self._open_search()

    def _open_search(self) -> None:
        self.query_one("#keys", Panel).display = False
        self.query_one(CommandLine).open(SEARCH, self._found.text, self._candidates)

    def _candidates(self, text: str) -> list[str]:
        """Filters and saved searches that the last word could become."""
        before, _, last = text.rpartition(" ")
        start = f"{before} " if before else ""
        known = [*saved_words(self._saved), *self.desk.arguments("search")]
        return [start + one for one in known if one.startswith(last) and one != last]

    def do_audit_more(self, _: str) -> None:
        """Load older entries."""
        if self._found.cursor is None:
            self.desk.say("done", "These are all entries of this search.")
        self.load_more()

    async def do_audit_export(self, _: str) -> None:
        """Take the entries of the search out into a file."""
        from console.screens.export.screen import ExportScreen

        if self._found.related is not None:
            self.desk.say("refused", "An export takes a search, not what was followed: s searches.")
            return
        await self.desk.push_screen(ExportScreen(self._found))

    def do_search_save(self, argument: str) -> None:
        """Keep the search that is shown under a name."""
        name, where = argument.strip(), self._found.where
        if not where:
            self.desk.say("refused", "There is nothing to save: search for something first.")
        elif not name:
            self.do_command("save ")
        else:
            self.ask("save", lambda api: api.save_search(name, where), name)

    def do_search_forget(self, argument: str) -> None:
        """Delete a saved search."""
        name = argument.strip()
        if not name and self._saved:
            self.do_command("forget ")
            return
        if name not in self._saved:
            self.desk.say("refused", f"There is no saved search {outside(name, 60) or 'without a name'}.")
            return

        async def forget(api: "Api") -> SavedSearches:
            await api.forget_search(name)
            return await api.saved_searches()

        self.ask("saved", forget, name)

    def arguments(self, command: str) -> list[str]:
        """Names of saved searches, or what the application knows."""
        return sorted(self._saved) if command in {"save", "forget"} else super().arguments(command)

    async def do_open(self, _: str) -> None:
        """Show everything about the selected entry."""
        entry = self._selected()
        if entry is not None:
            await self.desk.push_screen(EntryScreen(entry))

    async def do_follow(self, _: str) -> None:
        """Choose what to follow from the selected entry: its actor, request, resource or incident."""
        entry = self._selected()
        if entry is None:
            self.desk.say("refused", "Nothing is selected to follow.")
            return
        said = line(
            " ", ("Follow from ", ""), (outside(entry.event_type, 60), "bold"), (": Enter searches for it.", "dim")
        )

        def rows(view: View) -> list[Row]:
            return [
                (row, Link(kind="related", id=f"{by.value}:{entry.id}", label=""))
                for row, by in follow_rows(entry, view)
            ]

        await self.desk.push_screen(ReadingScreen("Follow", rows, said))

    def copy_text(self) -> str:
        """The selected entry as the backend sent it."""
        entry = self._selected()
        return entry.model_dump_json(indent=1) if entry else ""


SEARCH = "?"
"""The sign of the search prompt."""
