"""What is left to do after incidents: of one, or of all; overdue first."""

from collections.abc import Mapping
from datetime import date, datetime
from typing import Any, ClassVar, Final

from console.actions import Context
from console.asking import Call, Question
from console.client import incidents
from console.client.open_first import OpenFirst, follow_ups_open_first
from console.screens.form import SEND, Entry
from console.screens.incidents.contesting import ContestedForm
from console.screens.reading.screen import Row
from console.screens.reading.watched import PAGE_ROWS, WatchedScreen
from console.widgets.field import Field
from console.widgets.incident_parts import follow_up_rows
from console.widgets.lines import Line, line, outside
from console.widgets.view import View
from contract.alerts import Link
from contract.base import Page
from contract.incidents import MAX_NOTE_CHARS, MAX_TITLE_CHARS, FollowUp, FollowUpChange, FollowUpRequest

_DONE = "done"
_OF_ONE_MAX: Final = 500
"""As many as one incident can have."""
_NEW: Final = {"text": "", "owner": "", "due": ""}


class FollowUpsScreen(WatchedScreen):
    """Those that are open; those that are done only when asked for."""

    CONTEXTS: ClassVar[tuple[Context, ...]] = (Context.FOLLOW_UPS, Context.READING)
    ASKING = "Asking what is left to do."
    SHOWN = f"Only the {PAGE_ROWS} that are due first are shown."
    SAYS_ALL = True

    def __init__(self, ident: str = "") -> None:
        """Of one incident by its id, or of all."""
        super().__init__(f"{outside(ident, 20)} Follow-ups" if ident else "Follow-ups")
        self._ident = ident
        self._known: list[FollowUp] = []
        self._all = False
        self._more_open = False
        """More are left to do than are listed."""

    def list_call(self) -> Call:
        """Open ones, and those that are done behind them."""
        where, done = {"incident": self._ident} if self._ident else {}, self._all
        return lambda api: follow_ups_open_first(api, limit=PAGE_ROWS, done=done, **where)

    def take(self, items: list[FollowUp]) -> None:
        """Keep them."""
        self._known = items

    def said(self) -> tuple[str, str]:
        """How many, and how many are late."""
        going = [one for one in self._known if one.done_at is None]
        late = sum(one.overdue for one in going)
        if not going:
            return "ok", "Nothing is left to do."
        at_least = "At least " if self._more_open else ""
        count = f"{at_least}{len(going):,} thing{' is' if len(going) == 1 else 's are'} left to do"
        overdue = f"{at_least.lower() if late == len(going) else ''}{late:,} overdue"  # they come first
        return ("bad", f"{count}, {overdue}.") if late else ("near", f"{count}; nothing is overdue.")

    def listed(self, now: datetime, view: View) -> list[Row]:  # noqa: ARG002  ages come from the backend
        """Each with its date and owner."""
        if not self._known:
            hint = "n writes one down." if self._ident else "They are written down in an incident: o there."
            return [(line((hint, "dim")), None)]
        rows: list[Row] = []
        for one in self._known:
            link = Link(kind="follow-up", id=one.id, label="")
            rows += [(row, link) for row in follow_up_rows(one, view, names_incident=not self._ident)]
        return rows

    def answered(self, question: Question, value: object) -> None:
        """The list, or one that was changed."""
        if question.topic == _DONE and isinstance(value, FollowUp):
            self.desk.say("done", f"{outside(value.text, 100)} is {'done' if value.done_at else 'open again'}.")
            self.look()
        if isinstance(value, OpenFirst):
            self._more_open = value.more_open
        super().answered(question, value)

    def _selected(self) -> FollowUp | None:
        selected = next((one for one in self._known if self.followed(one.id)), None)
        if selected is None:
            self.desk.say("refused", "Select something to be done.")
        return selected

    # actions

    async def follow(self, link: Link) -> None:
        """Go to its incident."""
        one = next((one for one in self._known if one.id == link.id), None)
        if one is not None and not self._ident:
            await self.desk.show_incident(one.incident)

    async def do_follow_up_new(self, _: str) -> None:
        """Write one down."""
        if self._ident:
            await self.desk.push_screen(FollowUpDialog(self._ident))
        else:
            self.desk.say("refused", "Open an incident first: o there lists what is left to do after it.")

    def do_follow_up_done(self, _: str) -> None:
        """It is done, or is not."""
        one = self._selected()
        if one is not None:
            wanted = FollowUpChange(done=one.done_at is None, version=one.version)
            self.ask(_DONE, lambda api: incidents.change_follow_up(api, one.incident, one.number, wanted))

    async def do_follow_up_change(self, _: str) -> None:
        """Change the selected one."""
        one = self._selected()
        if one is not None:
            await self.desk.push_screen(FollowUpDialog(one.incident, one))

    def do_follow_up_all(self, _: str) -> None:
        """Show those that are done too, or no longer."""
        self._all = not self._all
        self.look()


class FollowUpDialog(ContestedForm):
    """A new one, or another text, owner or date of one."""

    FIELDS: ClassVar[tuple[Entry, ...]] = (
        Entry("text", "What", "to be done so that it does not happen again", MAX_TITLE_CHARS),
        Entry("owner", "Owner", "the name of an account", 100),
        Entry("due", "Until", "a day: 2026-12-01", 10),
        Entry("note", "Note", "what has become of it", MAX_NOTE_CHARS),
    )
    NAMES: ClassVar[Mapping[str, str]] = {"due_on": "Until"}
    BUTTON = "Write down"
    AUTO_FOCUS = "Field"

    def __init__(self, ident: str, one: FollowUp | None = None) -> None:
        self.FIELDS = self.FIELDS if one else self.FIELDS[:3]  # type: ignore[misc]
        self.DRAFTED = ("text", "note") if one else ("text",)  # type: ignore[misc]
        super().__init__("Something to be done")
        self._ident = ident
        self._one = one
        self.begin_with(_texts(one) if one is not None else _NEW)

    def on_mount(self) -> None:
        """Fill in what is known: mostly whoever writes it down does it."""
        if self._one is None:
            self.facts = _NEW | {"owner": self.desk.who.name}
        for field, value in self.facts.items():
            self.query_one(f"#{field}", Field).value = value

    def draft_key(self) -> str:
        """One for each, and one for a new one of each incident."""
        return f"followup:{self._ident}:{self._one.number if self._one is not None else 'new'}"

    def sentence(self, view: View) -> Line:  # noqa: ARG002  it says nothing that depends on the room
        """Of which incident, and which of its."""
        which = f"number {self._one.number:,}" if self._one is not None else "another one"
        return self.headline_line("near", f"{self._ident}: {which} of what is to be done after it.")

    def about(self, view: View) -> list[Line]:
        """Where it will be seen, or what others have written meanwhile."""
        done = self._one is not None and self._one.done_at is not None
        text = "It is done." if done else "It stays on the overview until it is done."
        return [*self.contested_rows(view), line((text, "dim"))]

    def seen_version(self) -> int:
        """Of the one that is changed."""
        return self._one.version if self._one is not None else 0

    def look_again(self) -> Call:
        """Read those of the incident: there is no route to one alone."""
        return lambda api: incidents.follow_ups(api, limit=_OF_ONE_MAX, incident=self._ident, state="all")

    def caught_up(self, value: object) -> Mapping[str, str] | None:
        """The one as it stands now."""
        found = value.items if isinstance(value, Page) else []
        now = next((one for one in found if self._one is not None and one.number == self._one.number), None)
        if now is None:
            return None
        self._one = now
        return _texts(now)

    def shown_as(self, name: str) -> str:
        """As its label."""
        return next(one.label for one in self.FIELDS if one.id == name).lower()

    def _due(self) -> date | None:
        try:
            return date.fromisoformat(self.text("due")) if self.text("due") else None
        except ValueError:
            return None

    def _wanted(self) -> dict[str, Any]:
        changed: dict[str, Any] = self.changed_here()
        if "due" in changed:
            del changed["due"]
            changed["due_on"] = self._due()
        return changed

    def missing(self) -> str:
        """A text, and a date that can be read."""
        if not self.text("text"):
            return "say what is to be done"
        if self.text("due") and self._due() is None:
            return "write the day as 2026-12-01"
        emptied = [name for name in ("owner", "due") if self.facts[name] and not self.text(name) and self._one]
        if emptied:
            return "name an owner" if emptied[0] == "owner" else "give a day"
        return "" if self._one is None or self.changed_here() else "change something"

    def send(self) -> None:
        """Write it down."""
        one = self._one
        if one is not None:
            changed = FollowUpChange(**self._wanted(), version=one.version)
            self.ask(SEND, lambda api: incidents.change_follow_up(api, one.incident, one.number, changed))
            return
        wanted = FollowUpRequest(text=self.text("text"), owner=self.text("owner") or None, due_on=self._due())
        self.ask(SEND, lambda api: incidents.follow_up(api, self._ident, wanted))

    def answered(self, question: Question, value: object) -> None:
        """It is written down, its text is kept, or this is how it stands now."""
        if self.draft_answered(question, value):
            return
        if question.topic == SEND and isinstance(value, FollowUp):
            self.done(f"Written down as number {value.number:,} of {value.incident}.")
        else:
            super().answered(question, value)


def _texts(one: FollowUp) -> dict[str, str]:
    due = one.due_on.isoformat() if one.due_on else ""
    return {"text": one.text, "owner": one.owner or "", "due": due, "note": one.note}
