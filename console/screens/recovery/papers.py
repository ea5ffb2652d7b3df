"""What a drill leaves behind: read the report, sign it off, write it into a file, make a finding a follow-up action."""

from datetime import date
from pathlib import Path
from typing import TYPE_CHECKING, ClassVar, Final

from console.asking import Question
from console.client import recovery
from console.client.new_file import write_new
from console.screens.form import SEND, Entry, FormScreen
from console.screens.reading.screen import ReadingScreen, Row
from console.state.new_file import why_not
from console.term.sanitize import clean
from console.widgets.lines import Line, line, outside, wrap
from console.widgets.view import View
from contract.incidents import FollowUp
from contract.reasons import MAX_REASON_CHARS
from contract.recovery import (
    DrillReport,
    FindingRequest,
    RecoveryDrill,
    SignRequest,
)

if TYPE_CHECKING:
    from console.client.api import Api

_REPORT: Final = "report"
_MAX_CHARS: Final = 400_000
_MAX_ACTION_CHARS: Final = 200
"""As long as any follow-up action of an incident."""
_FORMS: Final = {".md": "md", ".html": "html", ".json": "json", ".pdf": "pdf"}


class ReportPage(ReadingScreen):
    """The report as Markdown."""

    def __init__(self, ref: str) -> None:
        super().__init__(f"{ref} report", self._page)
        self._ref = ref
        self._report: DrillReport | None = None

    def on_mount(self) -> None:
        """Ask for it."""
        self.ask(_REPORT, lambda api: recovery.report(api, self._ref))

    def answered(self, question: Question, value: object) -> None:  # noqa: ARG002  one topic
        """The report."""
        if isinstance(value, DrillReport):
            self._report = value

    def sentence(self, view: View) -> Line:
        """Whether it is signed, and the hash of its facts."""
        found = self._report
        if found is None:
            return line((f" {view.glyphs.unknown} ", "dim"), ("Asking for the report.", "dim"))
        if found.signed_by:
            return self.headline_line("ok", f"Signed by {outside(found.signed_by, 40)}; facts {found.sha256[:16]}.")
        return self.headline_line("near", f"Not signed. Facts {found.sha256[:16]}: S on the drill signs them.")

    def _page(self, view: View) -> list[Row]:
        if self._report is None:
            return []
        text = clean(self._report.text, limit=_MAX_CHARS, multiline=True)
        return [(line(part), None) for row in text.split("\n") for part in wrap(row, view.width)]


class SignScreen(FormScreen):
    """Signs the report off, as another person than who ran the drill."""

    FIELDS: ClassVar[tuple[Entry, ...]] = (
        Entry("statement", "Statement", "what you vouch for", MAX_REASON_CHARS),
        Entry("ref", "Confirm", "type the drill's name", 40),
    )
    LABEL_COLUMNS: ClassVar[int] = 12
    BUTTON = "Sign"

    def __init__(self, drill: RecoveryDrill) -> None:
        super().__init__(f"Sign {drill.ref}")
        self._drill = drill
        self._report: DrillReport | None = None

    def on_mount(self) -> None:
        """Learn the hash that is signed."""
        self.ask(_REPORT, lambda api: recovery.report(api, self._drill.ref, "json"))

    @property
    def _is_own(self) -> bool:
        return self.desk.who.name == self._drill.started_by

    def sentence(self, view: View) -> Line:
        """Whose signature it is."""
        if self._is_own:
            return self.headline_line("bad", "You ran this drill yourself: another person has to sign its report.")
        return line((f" {view.glyphs.near} ", "near"), "You vouch for what the report says. It cannot be taken back.")

    def about(self, view: View) -> list[Line]:
        """Which report, by its hash."""
        drill = self._drill
        rows = [
            line(("drill   ", "dim"), (outside(drill.ref, 40), "bold"), f"  {drill.state.value}"),
            *(
                line(("        " if at else "found   ", "dim"), part)
                for at, part in enumerate(wrap(outside(drill.sentence, 300), view.width - 8)[:2])
            ),
        ]
        if drill.signed_by:
            rows.append(line(("signed  ", "dim"), (f"already, by {outside(drill.signed_by, 40)}", "near")))
        sha = self._report.sha256 if self._report is not None else "asking"
        return [
            *rows,
            line(("sha256  ", "dim"), ("of the report's facts", "dim")),
            line(" " * 8, (outside(sha, 64), "bold")),
        ]

    def missing(self) -> str:
        """What keeps it from being signed."""
        if self._is_own:
            return "another person signs"
        if self._drill.signed_by:
            return "it is signed already"
        if self._report is None:
            return "the report is not there yet"
        if not self.text("statement"):
            return "say what you vouch for"
        return "" if self.text("ref") == self._drill.ref else f"type {self._drill.ref}"

    def send(self) -> None:
        """Sign what was shown."""
        assert self._report is not None  # noqa: S101  the button is off without it
        request = SignRequest(report_sha256=self._report.sha256, statement=self.text("statement"))
        self.ask(SEND, lambda api: recovery.sign(api, self._drill.ref, request))

    def answered(self, question: Question, value: object) -> None:  # noqa: ARG002  each type has one topic
        """The hash, or the signature."""
        if isinstance(value, DrillReport):
            self._report = value
        elif isinstance(value, RecoveryDrill):
            self.done(f"{value.ref} is signed by {outside(value.signed_by or 'you', 40)}.")


class FindingScreen(FormScreen):
    """Makes a finding a follow-up action of the drill's incident."""

    FIELDS: ClassVar[tuple[Entry, ...]] = (
        Entry("action", "To do", "what has to be done", _MAX_ACTION_CHARS),
        Entry("owner", "By whom", "the name of their account", 100),
        Entry("due", "Until", "2027-01-31", 10),
    )
    BUTTON = "Keep it"

    def __init__(self, drill: RecoveryDrill) -> None:
        from console.client.api import new_idempotency_key

        super().__init__(f"A finding of {drill.ref}")
        self._drill = drill
        self._key = new_idempotency_key()
        """Sent again after an answer that never came, it is kept once."""

    def sentence(self, view: View) -> Line:
        """What becomes of it."""
        return line(
            (f" {view.glyphs.idle} ", "dim"), "It is shown with all other follow-ups until somebody has done it."
        )

    def about(self, view: View) -> list[Line]:
        """What the drill found."""
        return [line(part) for part in wrap(outside(self._drill.sentence, 400), view.width)]

    def _due(self) -> date | None:
        try:
            return date.fromisoformat(self.text("due"))
        except ValueError:
            return None

    def missing(self) -> str:
        """What is still to be typed."""
        if not self.text("action"):
            return "say what has to be done"
        if not self.text("owner"):
            return "say by whom"
        return "" if self._due() is not None else "write the date as 2027-01-31"

    def send(self) -> None:
        """Keep it."""
        due = self._due()
        assert due is not None  # noqa: S101  the button is off without it
        request = FindingRequest(
            action=self.text("action"), owner=self.text("owner"), due=due, idempotency_key=self._key
        )
        self.ask(SEND, lambda api: recovery.finding(api, self._drill.ref, request))

    def answered(self, question: Question, value: object) -> None:  # noqa: ARG002  one topic
        """It is a follow-up action."""
        if isinstance(value, FollowUp):
            self.done(f"Kept as a follow-up action of {outside(value.incident, 40)}, due {value.due_on}.")


async def save(api: "Api", ref: str, target: Path) -> int:
    """Fetch the report in the form that the file's name ends in, and write it; returns its bytes.

    Raises:
        ClientError: the backend refused, or the file cannot be written.
    """
    form = _FORMS[target.suffix.lower()]
    if form == "pdf":
        content = await recovery.report_pdf(api, ref)
    else:
        content = (await recovery.report(api, ref, form)).text.encode()
    return await write_new(target, content)


class ExportScreen(FormScreen):
    """Writes the report into a file; its name says in which form."""

    FIELDS: ClassVar[tuple[Entry, ...]] = (
        Entry("file", "File", "a new file of this machine: .md, .html, .pdf or .json", 400),
    )
    BUTTON = "Save"

    def __init__(self, ref: str) -> None:
        super().__init__(f"Save the report of {ref}")
        self._ref = ref

    def sentence(self, view: View) -> Line:
        """What this is."""
        return line(
            (f" {view.glyphs.idle} ", "dim"), "The report with every figure, the signature and the evidence hashes."
        )

    def about(self, view: View) -> list[Line]:  # noqa: ARG002  one short line
        """Which drill."""
        return [line(("drill   ", "dim"), (outside(self._ref, 40), "bold"))]

    def missing(self) -> str:
        """What is still to be typed, or cannot be written."""
        name = self.text("file")
        if name and Path(name).suffix.lower() not in _FORMS:
            return "end the name in .md, .html, .pdf or .json"
        return why_not(name)

    def send(self) -> None:
        """Save it."""
        ref, target = self._ref, Path(self.text("file")).expanduser()
        self.ask(SEND, lambda api: save(api, ref, target), str(target))

    def answered(self, question: Question, value: object) -> None:
        """Where it is."""
        if isinstance(value, int):
            self.done(f"Wrote {value:,} bytes to {outside(question.about, 200)}.")
