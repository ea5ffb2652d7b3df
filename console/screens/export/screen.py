"""The dialog that takes the entries of a search out into a file. The backend decides who may, and records it."""

from pathlib import Path
from typing import ClassVar

from console.asking import Call, Question
from console.client.exporting import export_to
from console.screens.form import SEND, Entry, FormScreen
from console.state.audit_search import Found
from console.state.new_file import why_not
from console.widgets.field import Field
from console.widgets.lines import EMPTY, Line, line, outside, wrap
from console.widgets.view import View
from contract.audit import ExportFormat

_FORMS = ", ".join(ExportFormat)


class ExportScreen(FormScreen):
    """Every entry that matches, not only those that are loaded."""

    FIELDS: ClassVar[tuple[Entry, ...]] = (
        Entry("format", "Format", _FORMS, 10),
        Entry("file", "File", "a new file on the machine where this console runs", 400),
    )
    BUTTON = "Export"

    def __init__(self, found: Found) -> None:
        super().__init__("Export")
        self._found = found

    def on_mount(self) -> None:
        """Start with the form that loses nothing."""
        self.query_one("#format", Field).value = ExportFormat.JSONL.value

    def sentence(self, view: View) -> Line:
        """That it is recorded."""
        return line(
            (f" {view.glyphs.near} ", "near"), "Beginning and end of an export become audit entries themselves."
        )

    def about(self, view: View) -> list[Line]:
        """Which entries, and how values leave."""
        search = outside(self._found.text, 200)
        said = "entry" if self._found.count == "1" else "entries"
        facts = f"Sealed values leave as {view.glyphs.hidden * 3}. The file takes its name only when it is whole."
        return [
            line(("takes   ", "dim"), (self._found.count, "bold"), f" {said} now, newest first"),
            line(("search  ", "dim"), (search, "near") if search else ("every entry of every log", "near")),
            EMPTY,
            *(line((row, "dim")) for row in wrap(facts, view.width)),
        ]

    def _target(self) -> Path:
        return Path(self.text("file")).expanduser()

    def missing(self) -> str:
        """What is still to be typed, or cannot be written."""
        if self.text("format") not in set(ExportFormat):
            return f"choose one of {_FORMS}"
        return why_not(self.text("file"))

    def send(self) -> None:
        """Take them out."""
        form, where, target = self.text("format"), self._found.where, self._target()
        self.ask(SEND, self._call(form, where, target), str(target))

    def _call(self, form: str, where: dict[str, str], target: Path) -> Call:
        async def export(api: object) -> int:
            from console.client.api import Api
            from console.client.errors import ClientError

            assert isinstance(api, Api)  # noqa: S101  `Call` is given the signed-in client
            try:
                return await export_to(api, form, where, target)
            except OSError as error:
                raise ClientError(f"The file cannot be written: {error.strerror or error}.") from error

        return export

    def answered(self, question: Question, value: object) -> None:
        """Where they are."""
        if isinstance(value, int):
            self.done(f"Exported {value:,} bytes to {outside(question.about, 200)}.")
