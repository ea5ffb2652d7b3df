"""The dialogs on a drill that runs: let the waiting step run or say what it found, and end the drill."""

from typing import ClassVar, Final

from console.asking import Question
from console.client import recovery
from console.screens.form import SEND, Entry, FormScreen
from console.widgets import recovery_drill as draw
from console.widgets.lines import EMPTY, Line, line, outside, wrap
from console.widgets.view import View
from contract.reasons import MAX_REASON_CHARS
from contract.recovery import (
    MAX_EVIDENCE_CHARS,
    AbortRequest,
    DrillStep,
    RecoveryDrill,
    StepRequest,
)

_SHORT: Final = 34
"""Cells for the name of a cluster on a button."""
_VERDICTS: Final = {"passed": True, "p": True, "failed": False, "f": False}


class StepScreen(FormScreen):
    """Lets the step run that was seen waiting."""

    BUTTON_STYLE: ClassVar[str] = "bad"

    def __init__(self, drill: RecoveryDrill, step: DrillStep) -> None:
        self._drill, self._step = drill, step
        self._is_manual = step.waits_for == "evidence"
        self._wants_name = step.waits_for == "cluster_name"
        self.FIELDS = tuple(self._entries())  # type: ignore[misc]
        self.BUTTON = "Keep it" if self._is_manual else f"Run step {step.number}"  # type: ignore[misc]
        super().__init__(f"{drill.ref} step {step.number}")

    def _entries(self) -> list[Entry]:
        entries = []
        if self._is_manual:
            entries.append(Entry("evidence", "Evidence", "what was done, and what was found", MAX_EVIDENCE_CHARS))
            entries.append(Entry("verdict", "Result", "passed or failed", 10))
        if self._wants_name:
            entries.append(Entry("cluster", "Confirm", f"type {outside(self._drill.cluster, _SHORT)}", 100))
        return entries

    def sentence(self, view: View) -> Line:
        """What this is."""
        if self._is_manual:
            return line((f" {view.glyphs.near} ", "near"), "What you write becomes evidence, under your name.")
        text = "DESTRUCTIVE: it runs as soon as you press the button." if self._wants_name else "It runs at once."
        return line((f" {view.glyphs.near} ", "near"), (text, "bold"))

    def about(self, view: View) -> list[Line]:
        """Which step, on what, and what happens when it fails."""
        step, drill = self._step, self._drill
        title = wrap(f"{step.number} {outside(step.title, 100)}", view.width - 8)
        rows = [line(("step    ", "dim"), (title[0], "bold")), *(line(" " * 8, part) for part in title[1:])]
        rows.append(
            line(("cluster ", "dim"), (outside(drill.cluster, 60), "bold"), f"  ({outside(drill.provider, 20)})")
        )
        rows.append(line(("kind    ", "dim"), step.kind.value, f", at most {step.timeout_seconds:,} s"))
        rows += [line(part) for part in wrap(outside(step.instructions, 600), view.width)] if step.instructions else []
        if self._wants_name:
            said = (
                "This really happens to the database: until it takes writes again nothing is stored, executors run out "
                "of permits and may only cancel. If the step fails, what ran is rolled back."
            )
            rows += [EMPTY, *(line((part, "near")) for part in wrap(said, view.width))]
        return rows

    def missing(self) -> str:
        """What is still to be typed."""
        if self._is_manual:
            if not self.text("evidence"):
                return "say what was found"
            if self.text("verdict").lower() not in _VERDICTS:
                return "say passed or failed"
        if self._wants_name and self.text("cluster") != self._drill.cluster:
            return "type the cluster's name"
        return ""

    def send(self) -> None:
        """Let it run; another step than the one seen is refused by the backend."""
        request = StepRequest(
            number=self._step.number,
            cluster=self.text("cluster") if self._wants_name else "",
            evidence=self.text("evidence") if self._is_manual else "",
            passed=_VERDICTS[self.text("verdict").lower()] if self._is_manual else True,
        )
        ref = self._drill.ref
        self.ask(SEND, lambda api: recovery.step(api, ref, request))

    def answered(self, question: Question, value: object) -> None:  # noqa: ARG002  one topic
        """The screen below follows it."""
        if isinstance(value, RecoveryDrill):
            done = "kept" if self._is_manual else "let run"
            self.done(f"Step {self._step.number} of {value.ref} is {done}.")


class AbortScreen(FormScreen):
    """Ends a drill; what ran is rolled back."""

    FIELDS: ClassVar[tuple[Entry, ...]] = (Entry("reason", "Reason", "why it is ended", MAX_REASON_CHARS),)
    BUTTON = "Abort the drill"
    BUTTON_STYLE: ClassVar[str] = "bad"

    def __init__(self, drill: RecoveryDrill) -> None:
        super().__init__(f"Abort {drill.ref}")
        self._drill = drill

    def sentence(self, view: View) -> Line:
        """What this means."""
        text = "The drill ends, what ran is rolled back, then the cluster is looked at."
        return line((f" {view.glyphs.near} ", "near"), text)

    def about(self, view: View) -> list[Line]:
        """What is rolled back, in order."""
        latest = self.desk.latest.recovery if self.desk.latest is not None else None
        known = latest if latest is not None and latest.ref == self._drill.ref else None
        shown = known if known is not None and known.version > self._drill.version else self._drill
        never = "No acknowledged write is thrown away: a promoted standby is switched back in order."
        return [*draw.undo_lines(shown, view), EMPTY, *(line((part, "dim")) for part in wrap(never, view.width))]

    def missing(self) -> str:
        """What is still to be typed."""
        return "" if self.text("reason") else "say why"

    def send(self) -> None:
        """End it."""
        ref, request = self._drill.ref, AbortRequest(reason=self.text("reason"))
        self.ask(SEND, lambda api: recovery.abort(api, ref, request))

    def answered(self, question: Question, value: object) -> None:  # noqa: ARG002  one topic
        """The screen below follows the rollback."""
        if isinstance(value, RecoveryDrill):
            self.done(f"{value.ref} is being ended; what ran is rolled back.")
