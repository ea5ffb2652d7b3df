"""The dialog that starts a freeze drill: the freeze dialog itself, tagged, for one canary or one scope of canaries."""

from console.asking import Call, Question
from console.client import freeze_drills
from console.screens.freeze.screen import FreezeScreen
from console.state.headline import DRILL
from console.widgets.lines import Line, line
from console.widgets.view import View
from contract.freeze import FreezeRequest
from contract.freeze_drills import FreezeDrill, FreezeDrillRequest
from contract.scope import Scope, ScopeKind


class DrillDialog(FreezeScreen):
    """Stops a canary for practice; it ends by itself."""

    CSS_PATH = ["../base.tcss", "../freeze/screen.tcss"]
    TITLE_TEXT = f"{DRILL}: freeze canaries"
    IS_DRILL = True

    def sentence(self, view: View) -> Line:
        """What this is."""
        said = "A canary really stops; its own holds are lifted by themselves."
        return line((f" {view.glyphs.near} ", "near"), (f"{DRILL} ", "near"), (said, ""))

    def label(self, name: str) -> str:
        """What the button says."""
        return f"Drill {name}"

    def choices(self, known: list[Scope]) -> list[Scope]:
        """Single executors are always canaries; which other scopes are, the policy says."""
        return [scope for scope in known if scope.kind is ScopeKind.EXECUTOR]

    def sending(self, request: FreezeRequest) -> Call:
        """Start the drill under the key of this dialog."""
        wanted = FreezeDrillRequest(
            scopes=[request.scope],
            mode=request.mode,
            reason=request.reason,
            idempotency_key=request.idempotency_key,
        )
        return lambda api: freeze_drills.start(api, wanted)

    def answered(self, question: Question, value: object) -> None:
        """What it would stop; or the drill, which is then followed."""
        if isinstance(value, FreezeDrill):
            self.desk.call_later(self.desk.show_drill, value, above=self)
        else:
            super().answered(question, value)
