"""The dialogs of one incident's course: roles, milestones, links, and its end."""

from collections.abc import Mapping
from datetime import datetime
from typing import ClassVar, Final

from console.asking import Call, Question
from console.client import incidents
from console.screens.form import SEND, Entry
from console.screens.incidents.drafted import DraftedForm
from console.state.floor import Floor
from console.state.incident_record import parse_time
from console.widgets.alert_page import DRILL_MUTES
from console.widgets.field import Field
from console.widgets.incidents import clock_rows, postmortem
from console.widgets.lines import Line, cut, line, outside, wrap
from console.widgets.view import View
from contract.incident_records import REPORTS, ReportSentRequest
from contract.incidents import (
    MAX_NOTE_CHARS,
    CloseRequest,
    Incident,
    LinkRequest,
    MilestoneName,
    MilestoneRequest,
    ReopenRequest,
    ResolveRequest,
    RoleRequest,
)
from contract.reasons import MAX_REASON_CHARS

_TIME_HINT: Final = "03:08, 5m (ago), or 2026-03-09T20:42 (UTC)"
_TIME_CHARS: Final = 40


class IncidentForm(DraftedForm):
    """A dialog about one incident; nothing in it stops trading, so the first field has the focus."""

    AUTO_FOCUS = "Field"
    NAMES: ClassVar[Mapping[str, str]] = {"occurred_at": "When", "sent_at": "When"}
    LABEL_COLUMNS: ClassVar[int] = 12
    FACTS: ClassVar[str] = ""
    """What it does, in a sentence or two."""
    ACT: ClassVar[str] = ""
    """Under which name a draft of its text is kept."""

    def __init__(self, title: str, known: Incident) -> None:
        super().__init__(title)
        self.known = known

    def prefilled(self) -> Mapping[str, str]:
        """What the fields hold at first."""
        return {}

    def call(self) -> Call:
        """How it is asked for."""
        raise NotImplementedError

    def told(self) -> str:
        """What is said once it is done."""
        raise NotImplementedError

    def draft_key(self) -> str:
        """One of each kind for each incident."""
        return f"{self.ACT}:{self.known.id}"

    def on_mount(self) -> None:
        """Fill in what is known."""
        for field, value in self.prefilled().items():
            self.query_one(f"#{field}", Field).value = value

    def sentence(self, view: View) -> Line:  # noqa: ARG002  it says nothing that depends on the room
        """Which incident it is about."""
        return self.headline_line("near", f"{self.known.id}: {outside(self.known.title, 200)}")

    def about(self, view: View) -> list[Line]:
        """What it does."""
        return [line((row, "dim")) for row in wrap(self.FACTS, view.width)]

    def send(self) -> None:
        """Ask for it."""
        self.ask(SEND, self.call(), self.told())

    def answered(self, question: Question, value: object) -> None:
        """It is done, or its text is kept."""
        if not self.draft_answered(question, value) and question.topic == SEND:
            self.done(question.about)

    def now(self) -> datetime:
        """The server's time."""
        return (self.desk.latest or Floor()).now(self.desk.now())

    def instant(self, field: str) -> datetime | None:
        """The time that a field holds; None for none, and for one that cannot be read."""
        try:
            return parse_time(self.text(field), self.now()) if self.text(field) else None
        except (ValueError, OverflowError):
            return None

    def time_missing(self, field: str) -> str:
        """What is wrong with a time, if anything."""
        return "write the time as 03:08 or 2026-03-09T20:42" if self.text(field) and not self.instant(field) else ""


class ResolveDialog(IncidentForm):
    """It is over."""

    FIELDS = (
        Entry("note", "How", "how it ended, for the timeline", MAX_NOTE_CHARS),
        Entry("at", "When", f"empty: now; else {_TIME_HINT}", _TIME_CHARS),
    )
    BUTTON = "Resolve"
    ACT, DRAFTED = "resolve", ("note",)
    FACTS = (
        "The clock of the incident stops. What happens afterwards is no longer written down by itself; U reopens it."
    )

    def __init__(self, known: Incident) -> None:
        super().__init__("Resolve the incident", known)

    def missing(self) -> str:
        """How it ended."""
        return "say how it ended" if not self.text("note") else self.time_missing("at")

    def call(self) -> Call:
        """Resolve it."""
        wanted = ResolveRequest(note=self.text("note"), occurred_at=self.instant("at"))
        return lambda api: incidents.resolve(api, self.known.id, wanted)

    def told(self) -> str:
        """What was done."""
        required = " Its post-mortem comes next (P)." if self.known.postmortem_required else ""
        return f"{self.known.id} is resolved.{required}"


class ReopenDialog(IncidentForm):
    """It is not over after all."""

    FIELDS = (Entry("why", "Why", "what shows that it goes on", MAX_REASON_CHARS),)
    BUTTON = "Reopen"
    ACT, DRAFTED = "reopen", ("why",)
    FACTS = "It is open again; the time at which it was first detected stays."

    def __init__(self, known: Incident) -> None:
        super().__init__("Reopen the incident", known)

    def missing(self) -> str:
        """Why."""
        return "" if self.text("why") else "say why"

    def call(self) -> Call:
        """Reopen it."""
        wanted = ReopenRequest(why=self.text("why"))
        return lambda api: incidents.reopen(api, self.known.id, wanted)

    def told(self) -> str:
        """What was done."""
        return f"{self.known.id} is open again."


class CloseDialog(IncidentForm):
    """The record is put away."""

    FIELDS = (Entry("note", "Note", "a last word for the timeline, or nothing", MAX_NOTE_CHARS),)
    BUTTON = "Close"
    ACT, DRAFTED = "close", ("note",)
    AUTO_FOCUS = "#cancel"

    def __init__(self, known: Incident) -> None:
        super().__init__("Close the incident", known)

    def about(self, view: View) -> list[Line]:
        """That it cannot be taken back, and whether its post-mortem is ready."""
        sign = postmortem(self.known.postmortem, view.glyphs, required=self.known.postmortem_required)
        facts = "A closed incident is never opened again. Follow-ups stay on the overview until they are done."
        return [
            *(line((row, "dim")) for row in wrap(facts, view.width)),
            line(("post-mortem  ", "dim"), *sign.spans()),
        ]

    def missing(self) -> str:
        """Nothing: the backend says what stands against it."""
        return ""

    def call(self) -> Call:
        """Close it."""
        wanted = CloseRequest(note=self.text("note"))
        return lambda api: incidents.close(api, self.known.id, wanted)

    def told(self) -> str:
        """What was done."""
        return f"{self.known.id} is closed."


class MilestoneDialog(IncidentForm):
    """When a milestone was reached."""

    FIELDS = (
        Entry("name", "Milestone", "one of those above: the first letters do", 20),
        Entry("at", "When", _TIME_HINT, _TIME_CHARS),
        Entry("why", "Why", "how that is known", MAX_REASON_CHARS),
    )
    BUTTON = "Record"
    ACT, DRAFTED = "milestone", ("why",)

    def __init__(self, known: Incident) -> None:
        super().__init__("Milestone", known)

    def about(self, view: View) -> list[Line]:
        """The milestones there are, and what is known of them."""
        names = wrap(", ".join(one.value for one in MilestoneName), view.width)
        known = [
            f"{one.name.value} {one.occurred_at:%H:%M:%S}{'' if one.auto else '*'}" for one in self.known.milestones
        ]
        facts = f" {view.glyphs.middot} ".join(known) or "No milestone is known yet."
        rows = [line(row) for row in wrap(facts, view.width)]
        return [
            *(line((row, "dim")) for row in names),
            *rows,
            line(
                (cut("* said by somebody. What was said before stays in the timeline.", view.width, view.glyphs), "dim")
            ),
        ]

    def _wanted_milestone(self) -> MilestoneName | None:
        typed = self.text("name").lower()
        found = [one for one in MilestoneName if typed and one.value.startswith(typed)]
        return found[0] if len(found) == 1 else None

    def missing(self) -> str:
        """Name, time and reason."""
        if self._wanted_milestone() is None:
            return "name one: the first letters do"
        if not self.text("at"):
            return "say when"
        return self.time_missing("at") or ("" if self.text("why") else "say how that is known")

    def call(self) -> Call:
        """Record it."""
        name, at = self._wanted_milestone(), self.instant("at")
        wanted = MilestoneRequest(
            name=name or MilestoneName.STARTED, occurred_at=at or self.now(), why=self.text("why")
        )
        return lambda api: incidents.milestone(api, self.known.id, wanted)

    def told(self) -> str:
        """What was done."""
        name, at = self._wanted_milestone(), self.instant("at")
        return f"{name.value if name else ''} at {at or self.now():%Y-%m-%d %H:%M:%S} UTC."


class RoleDialog(IncidentForm):
    """Who holds a role from now on."""

    FIELDS = (
        Entry("role", "Role", "commander, communications, scribe, operations", 100),
        Entry("person", "Person", "empty: nobody holds it any more", 100),
        Entry("note", "Note", "what the next one has to know", MAX_NOTE_CHARS),
    )
    BUTTON = "Hand over"
    ACT, DRAFTED = "role", ("note",)
    FACTS = "The hand-over stands in the timeline with its note."

    def __init__(self, known: Incident) -> None:
        super().__init__("Roles", known)

    def prefilled(self) -> Mapping[str, str]:
        """You take command, unless you have it."""
        return {"role": "commander", "person": self.desk.who.name}

    def about(self, view: View) -> list[Line]:
        """Who holds which role now."""
        held = [f"{outside(one.role, 40)} {outside(one.person, 60)}" for one in self.known.roles] or [
            "Nobody holds a role."
        ]
        rows = [line(row) for row in wrap(f" {view.glyphs.middot} ".join(held), view.width)]
        return [*rows, *super().about(view)]

    def missing(self) -> str:
        """Which role."""
        return "" if self.text("role") else "name the role"

    def call(self) -> Call:
        """Hand it over."""
        wanted = RoleRequest(role=self.text("role"), person=self.text("person") or None, note=self.text("note"))
        return lambda api: incidents.role(api, self.known.id, wanted)

    def told(self) -> str:
        """What was done."""
        role = outside(self.text("role"), 100)
        return f"{role}: {outside(self.text('person'), 100)}." if self.text("person") else f"Nobody is {role} any more."


class LinkDialog(IncidentForm):
    """Another alert or freeze is part of it."""

    FIELDS = (Entry("id", "Id", "of an alert, or a freeze: FRZ-0031", 100),)
    BUTTON = "Link"
    FACTS = "From now on everything that becomes of it stands in the timeline."

    def __init__(self, known: Incident) -> None:
        super().__init__("Link an alert or a freeze", known)

    def missing(self) -> str:
        """Which."""
        return "" if self.text("id") else "give its id"

    def about(self, view: View) -> list[Line]:
        """What it does; of a drill that it mutes."""
        mutes = [line((row, "near")) for row in wrap(DRILL_MUTES, view.width)] if self.known.drill else []
        return [*super().about(view), *mutes]

    def _kind(self) -> str:
        floor, ident = self.desk.latest or Floor(), self.text("id")
        is_freeze = ident.upper().startswith("FRZ-") or any(ident == hold.id for hold in floor.freezes.values())
        return "freeze" if is_freeze else "alert"

    def call(self) -> Call:
        """Link it."""
        wanted = LinkRequest(kind=self._kind(), id=self.text("id"))
        return lambda api: incidents.link(api, self.known.id, wanted)

    def told(self) -> str:
        """What was done."""
        return f"{self._kind()} {outside(self.text('id'), 100)} is part of {self.known.id} now."


class ReportSentDialog(IncidentForm):
    """A report went to the authority: its clock stops, the next begins."""

    FIELDS = (
        Entry("report", "Report", ", ".join(REPORTS), 20),
        Entry("to", "To", "the authority, or whoever took it there", 200),
        Entry("reference", "Reference", "under which it is known there, or nothing", 200),
        Entry("at", "When", f"empty: now; else {_TIME_HINT}", _TIME_CHARS),
    )
    BUTTON = "Record"
    FACTS = "Nothing is sent from here. Its clock stops and the next begins; recorded again, it is put right."

    def __init__(self, known: Incident) -> None:
        super().__init__("Report sent to an authority", known)

    def prefilled(self) -> Mapping[str, str]:
        """The one that is due next."""
        due = [one.name for one in self.known.clocks if one.name in REPORTS and one.done_at is None]
        return {"report": due[0] if due else REPORTS[-1]}

    def about(self, view: View) -> list[Line]:
        """Which are due until when, and which went out."""
        now = self.now()
        rows = [row for one in self.known.clocks if one.name in REPORTS for row in clock_rows(one, now, view)]
        return [*rows, *super().about(view)]

    def _report(self) -> str | None:
        typed = self.text("report").lower()
        found = [one for one in REPORTS if typed and one.startswith(typed)]
        return typed if typed in REPORTS else found[0] if len(found) == 1 else None

    def missing(self) -> str:
        """Which, to whom, and a time that can be read."""
        if self._report() is None:
            return f"write one of {', '.join(REPORTS)}"
        return self.time_missing("at") if self.text("to") else "say to whom it was sent"

    def call(self) -> Call:
        """Record it."""
        wanted = ReportSentRequest(
            report=self._report() or REPORTS[0],
            to=self.text("to"),
            reference=self.text("reference"),
            sent_at=self.instant("at"),
        )
        return lambda api: incidents.report_sent(api, self.known.id, wanted)

    def told(self) -> str:
        """What was done."""
        return f"Recorded: the {self._report()} report went to {outside(self.text('to'), 100)}."
