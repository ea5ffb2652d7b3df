"""The dialog that writes a drill's evidence pack into a file: outcomes, holds, and the executors' signed statements."""

from pathlib import Path
from typing import TYPE_CHECKING, ClassVar

from console.asking import Question
from console.client import freeze_drills
from console.client.new_file import write_new
from console.screens.form import SEND, Entry, FormScreen
from console.state.new_file import why_not
from console.widgets.lines import Line, line, outside, wrap
from console.widgets.view import View

if TYPE_CHECKING:
    from console.client.api import Api


async def save(api: "Api", ident: str, target: Path) -> int:
    """Fetch the pack and write it; returns its bytes.

    Raises:
        ClientError: the backend refused, or the file cannot be written.
    """
    pack = await freeze_drills.evidence(api, ident)
    content = pack.model_dump_json(indent=1).encode() + b"\n"
    return await write_new(target, content)


class EvidenceScreen(FormScreen):
    """Where to."""

    FIELDS: ClassVar[tuple[Entry, ...]] = (
        Entry("file", "File", "a new file on the machine where this console runs", 400),
    )
    BUTTON = "Save"

    def __init__(self, ident: str, ref: str) -> None:
        super().__init__("Evidence")
        self._ident = ident
        self._ref = ref

    def sentence(self, view: View) -> Line:
        """What this is."""
        return line((f" {view.glyphs.idle} ", "dim"), "What an auditor needs to judge this drill without this system.")

    def about(self, view: View) -> list[Line]:
        """Which drill, and what is in the file."""
        facts = (
            "One JSON object: the drill, its holds with every proof, each statement as its executor signed it with the "
            "key that verifies it, and the policy's numbers."
        )
        return [
            line(("drill   ", "dim"), (outside(self._ref, 20), "bold")),
            *(line((row, "dim")) for row in wrap(facts, view.width)),
        ]

    def _target(self) -> Path:
        return Path(self.text("file")).expanduser()

    def missing(self) -> str:
        """What is still to be typed, or cannot be written."""
        return why_not(self.text("file"))

    def send(self) -> None:
        """Save it."""
        ident, target = self._ident, self._target()
        self.ask(SEND, lambda api: save(api, ident, target), str(target))

    def answered(self, question: Question, value: object) -> None:
        """Where it is."""
        if isinstance(value, int):
            self.done(f"Wrote {value:,} bytes of evidence to {outside(question.about, 200)}.")
