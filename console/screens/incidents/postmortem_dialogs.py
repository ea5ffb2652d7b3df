"""The dialogs of a post-mortem: opening, approving, sending back, amending, writing it into a file."""

from pathlib import Path
from typing import TYPE_CHECKING, Final

from textual import on

from console.asking import Question
from console.client import postmortems
from console.client.new_file import write_new
from console.screens.form import SEND, Entry, FormScreen
from console.screens.incidents.drafted import DraftedForm
from console.state.new_file import why_not
from console.widgets.field import Field
from console.widgets.lines import Line, left, line, outside, wrap
from console.widgets.view import View
from contract.postmortem import (
    ApprovePostmortemRequest,
    ExportFormat,
    Postmortem,
    PostmortemTemplate,
    PostmortemTemplates,
    SendBackRequest,
)
from contract.reasons import MAX_REASON_CHARS

if TYPE_CHECKING:
    from console.client.api import Api

_OWN: Final = "incident"
"""The compliance document's own template."""
_TEMPLATES: Final = "templates"
_SUFFIXES = {
    ".md": ExportFormat.MARKDOWN,
    ".html": ExportFormat.HTML,
    ".pdf": ExportFormat.PDF,
    ".json": ExportFormat.JSON,
    ".ocsf": ExportFormat.OCSF,
}


async def export(api: "Api", ident: str, form: ExportFormat, version: int | None, target: Path) -> int:
    """Fetch an export and write it; returns its bytes.

    Raises:
        ClientError: the backend refused, or the file cannot be written.
    """
    content = await postmortems.export(api, ident, form, version)
    return await write_new(target, content)


class OpenDialog(FormScreen):
    """From which template; Enter opens it."""

    FIELDS = (Entry("template", "Template", "one of those above", 50),)
    BUTTON = "Open"
    LABEL_COLUMNS = 12
    AUTO_FOCUS = "Field"

    def __init__(self, ident: str) -> None:
        super().__init__("Open the post-mortem")
        self._ident = ident
        self._known: list[PostmortemTemplate] | None = None

    def on_mount(self) -> None:
        """The compliance document's own, unless another one is named."""
        field = self.query_one("#template", Field)
        field.value = _OWN
        field.cursor_position = len(_OWN)
        self.ask(_TEMPLATES, postmortems.templates)

    def sentence(self, view: View) -> Line:  # noqa: ARG002  it says nothing that depends on the room
        """Of which incident."""
        return self.headline_line("near", f"{self._ident}: its post-mortem begins with what the record says.")

    def about(self, view: View) -> list[Line]:
        """The templates with their sections."""
        facts = "It is filled in from the record; the template says which sections it has, and stays."
        rows = [line((row, "dim")) for row in wrap(facts, view.width)]
        if self._known is None:
            return [*rows, line(("Asking for the templates.", "dim"))]
        for one in self._known:
            sections = wrap(outside(", ".join(one.sections), 400), max(view.width - 12, 20))
            heads = [outside(one.name, 10), *[""] * len(sections)]
            rows += [
                line((left(head, 12, view.glyphs), "bold"), row) for head, row in zip(heads, sections, strict=False)
            ]
        return rows

    def missing(self) -> str:
        """One of the templates, as far as they are known."""
        if not self.text("template"):
            return "name a template"
        names = [one.name for one in self._known or []]
        return f"name one of {', '.join(names)}" if names and self.text("template") not in names else ""

    @on(Field.Submitted)
    def _entered(self, event: Field.Submitted) -> None:
        """Open it: nobody should have to look for the button."""
        event.stop()
        event.prevent_default()
        self._send()

    def send(self) -> None:
        """Open it."""
        template = self.text("template")
        self.ask(SEND, lambda api: postmortems.open_one(api, self._ident, template))

    def answered(self, question: Question, value: object) -> None:  # noqa: ARG002  told apart by what they are
        """The templates, or that it is open."""
        if isinstance(value, PostmortemTemplates):
            self._known = value.items
        elif isinstance(value, Postmortem):
            self.done("The post-mortem is open.")


class ApproveDialog(FormScreen):
    """The second person signs the text that was read."""

    BUTTON = "Approve"

    def __init__(self, ident: str, known: Postmortem, digest: str) -> None:
        super().__init__("Approve the post-mortem")
        self._ident, self._known, self._digest = ident, known, digest

    def sentence(self, view: View) -> Line:  # noqa: ARG002  it says nothing that depends on the room
        """What approving means."""
        return self.headline_line("near", "You sign what you have read; it never changes again.")

    def about(self, view: View) -> list[Line]:
        """Which text."""
        facts = "Your approval is of the text with this hash alone: if somebody has changed it since, it is refused."
        return [
            line(("version     ", "dim"), (f"{self._known.version}", "bold")),
            line(("written by  ", "dim"), outside(", ".join(writers(self._known)), 200)),
            line(("sha256      ", "dim"), self._digest),
            *(line((row, "dim")) for row in wrap(facts, view.width)),
        ]

    def missing(self) -> str:
        """Nobody approves their own text; the backend says so too."""
        return "leave it to another person" if self.desk.who.name in writers(self._known) else ""

    def send(self) -> None:
        """Approve it."""
        wanted = ApprovePostmortemRequest(sha256=self._digest)
        self.ask(SEND, lambda api: postmortems.approve(api, self._ident, wanted))

    def answered(self, question: Question, value: object) -> None:  # noqa: ARG002  one topic
        """It is approved."""
        if isinstance(value, Postmortem):
            self.done(f"Approved: {self._ident}, version {value.version}, sha256 {(value.sha256 or '')[:16]}.")


def writers(known: Postmortem) -> list[str]:
    """Who has written or submitted it, as far as its sections say: the backend knows of earlier texts, too."""
    edited = {part.edited_by for part in known.sections if part.edited_by}
    return sorted(edited | {name for name in (known.submitted_by,) if name})


class SendBackDialog(DraftedForm):
    """It is not good enough yet."""

    DRAFTED = ("why",)

    FIELDS = (Entry("why", "Why", "what is missing or wrong", MAX_REASON_CHARS),)
    BUTTON = "Send back"
    AUTO_FOCUS = "Field"

    def __init__(self, ident: str, known: Postmortem) -> None:
        super().__init__("Send the post-mortem back")
        self._ident, self._known = ident, known

    def draft_key(self) -> str:
        """One for each incident."""
        return f"sendback:{self._ident}"

    def sentence(self, view: View) -> Line:  # noqa: ARG002  it says nothing that depends on the room
        """Of which incident."""
        return self.headline_line("near", f"{self._ident}: its post-mortem is not good enough yet.")

    def about(self, view: View) -> list[Line]:
        """What happens to it."""
        return [
            line((row, "dim"))
            for row in wrap("It is a draft again. Whoever wrote it reads what you say here.", view.width)
        ]

    def missing(self) -> str:
        """Why."""
        return "" if self.text("why") else "say why"

    def send(self) -> None:
        """Send it back."""
        wanted = SendBackRequest(why=self.text("why"))
        self.ask(SEND, lambda api: postmortems.send_back(api, self._ident, wanted))

    def answered(self, question: Question, value: object) -> None:
        """It is a draft again, or what is typed is kept."""
        if not self.draft_answered(question, value) and isinstance(value, Postmortem):
            self.done("Sent back: it is a draft again.")


class AmendDialog(FormScreen):
    """An approved one stays as it is; the amendment is another version, with an approval of its own."""

    BUTTON = "Amend"

    def __init__(self, ident: str, known: Postmortem) -> None:
        super().__init__("Amend the post-mortem")
        self._ident, self._known = ident, known

    def sentence(self, view: View) -> Line:  # noqa: ARG002  it says nothing that depends on the room
        """Of which incident."""
        return self.headline_line("near", f"{self._ident}: what is approved stays, an amendment is another version.")

    def about(self, view: View) -> list[Line]:
        """What an amendment is."""
        facts = f"Version {self._known.version} stays approved as it is. The amendment begins with its text."
        return [line((row, "dim")) for row in wrap(facts, view.width)]

    def missing(self) -> str:
        """Nothing."""
        return ""

    def send(self) -> None:
        """Open the next version."""
        self.ask(SEND, lambda api: postmortems.open_one(api, self._ident, self._known.template))

    def answered(self, question: Question, value: object) -> None:  # noqa: ARG002  one topic
        """It is open."""
        if isinstance(value, Postmortem):
            self.done(f"Version {value.version} is open.")


class ExportDialog(FormScreen):
    """Into a file of this machine; the end of its name says which format."""

    FIELDS = (Entry("file", "File", "a new file: NAME.md, .html, .pdf, .json or .ocsf", 400),)
    BUTTON = "Export"
    AUTO_FOCUS = "Field"

    def __init__(self, ident: str, known: Postmortem | None) -> None:
        super().__init__("Export the incident")
        self._ident = ident
        self._version = known.version if known is not None else None

    def sentence(self, view: View) -> Line:  # noqa: ARG002  it says nothing that depends on the room
        """Of which incident."""
        return self.headline_line("near", f"{self._ident}: a file on the machine where this console runs.")

    def about(self, view: View) -> list[Line]:
        """What is in it."""
        facts = "Markdown, HTML and PDF hold the post-mortem; JSON and OCSF the whole record."
        return [line((row, "dim")) for row in wrap(facts, view.width)]

    def _target(self) -> Path:
        return Path(self.text("file")).expanduser()

    def missing(self) -> str:
        """A name that says the format."""
        if self.text("file") and self._target().suffix.lower() not in _SUFFIXES:
            return f"let the name end in {', '.join(_SUFFIXES)}"
        return why_not(self.text("file"))

    def send(self) -> None:
        """Export it."""
        target, form, version = self._target(), _SUFFIXES[self._target().suffix.lower()], self._version
        self.ask(SEND, lambda api: export(api, self._ident, form, version, target), str(target))

    def answered(self, question: Question, value: object) -> None:
        """Where it is."""
        if isinstance(value, int):
            self.done(f"Wrote {value:,} bytes to {outside(question.about, 200)}.")
