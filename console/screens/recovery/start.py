"""The dialog that starts a recovery drill: what it would do here and now, what it needs, why, and the typed name."""

from pathlib import Path
from typing import TYPE_CHECKING, ClassVar, Final

from textual import on
from textual.app import ComposeResult

from console.asking import Question
from console.client import recovery
from console.screens.form import SEND, Entry, FormScreen
from console.widgets.field import Field
from console.widgets.lines import Line, line, outside
from console.widgets.panel import Panel
from console.widgets.recovery_plan import dry_run_lines, plan_names
from console.widgets.rows import Rows
from console.widgets.view import View
from contract.reasons import MAX_REASON_CHARS
from contract.recovery import (
    DrillRequest,
    DryRun,
    RecoveryDrill,
    RecoveryPlans,
)

if TYPE_CHECKING:
    from console.client.errors import ClientError

_HERE: Final = Path(__file__).parent
_DRY: Final = "dry-run"
_PLANS: Final = "plans"
_DELAY_S: Final = 0.3
"""A dry run is asked for when typing has stopped for this long."""
_HOW: Final = {"": False, "step": False, "step by step": False, "hands-off": True, "hands off": True}


class StartScreen(FormScreen):
    """Runs a plan of the policy."""

    CSS_PATH = [_HERE.parent / "base.tcss", _HERE.parent / "form.tcss", _HERE / "start.tcss"]
    FIELDS: ClassVar[tuple[Entry, ...]] = (
        Entry("plan", "Plan", "the name of a plan", 40),
        Entry("reason", "Reason", "why; it becomes evidence", MAX_REASON_CHARS),
        Entry("how", "How", "step by step, or: hands-off", 12),
        Entry("cluster", "Confirm", "hands-off and destructive: the cluster's name", 100),
    )
    BUTTON = "Start the drill"
    BUTTON_STYLE: ClassVar[str] = "bad"

    def __init__(self, plan: str = "") -> None:
        super().__init__("Start a recovery drill")
        self._plan = plan.strip()
        self._key = ""
        """Made once for this dialog: sending again never starts two."""
        self._plans: RecoveryPlans | None = None
        self._dry: DryRun | None = None
        self._dry_problem = ""
        self._rows: list[Line] = []

    def compose_about(self) -> ComposeResult:
        """Which plans there are, and what the chosen one would do, to be scrolled."""
        yield Panel(id="about")
        yield Rows(id="dry")

    def compose_end(self) -> ComposeResult:
        """The dry run has all the room."""
        yield from ()

    def on_mount(self) -> None:
        """Learn which plans there are."""
        from console.client.api import new_idempotency_key

        self._key = new_idempotency_key()
        self.query_one("#plan", Field).value = self._plan
        self.ask(_PLANS, recovery.plans)

    def sentence(self, view: View) -> Line:
        """What this is."""
        text = "Nothing is touched until you press Start. Tab, PgDn: read what it would do."
        return line((f" {view.glyphs.near} ", "near"), text)

    def about(self, view: View) -> list[Line]:
        """Which plans there are."""
        if self._plans is None:
            return [line(("Asking for the plans.", "dim"))]
        return [plan_names(self._plans, self.text("plan"), view)]

    @property
    def _known(self) -> DryRun | None:
        """The dry run of the plan that stands in the field."""
        return self._dry if self._dry is not None and self._dry.plan.name == self.text("plan") else None

    def draw(self, view: View) -> None:
        """Bring the dry run up to date too."""
        super().draw(view)
        if self._known is not None:
            self._rows = dry_run_lines(self._known, view.sized(view.width - 4))
        else:
            said = self._dry_problem or ("Asking what it would do." if self.text("plan") else "Type a plan's name.")
            self._rows = [line((outside(said, 300), "near" if self._dry_problem else "dim"))]
        self.query_one("#dry", Rows).load([str(at) for at in range(len(self._rows))], lambda at, _: self._row(int(at)))

    def _row(self, at: int) -> Line:
        return self._rows[at] if at < len(self._rows) else ()

    # what is typed

    @on(Field.Changed, "#plan")
    def _plan_typed(self) -> None:
        self._dry_problem = ""
        self.questions.forget(_DRY)
        self.set_timer(_DELAY_S, self._ask_dry_run)

    def _ask_dry_run(self) -> None:
        plan = self.text("plan")
        known = self._plans is not None and any(one.name == plan for one in self._plans.items)
        if known and self._known is None and not self.questions.is_waiting(_DRY) and self.desk.api is not None:
            self.ask(_DRY, lambda api: recovery.dry_run(api, plan), plan)

    @property
    def _hands_off(self) -> bool | None:
        """None: what stands there means neither."""
        return _HOW.get(self.text("how").lower())

    def missing(self) -> str:
        """What is still to be typed, or keeps it from being started."""
        found = self._known
        if found is None:
            return "choose a plan, read what it does"
        if not found.would_start:
            return "it would not start: see above"
        if not self.text("reason"):
            return "say why"
        if self._hands_off is None:
            return "say step by step or hands-off"
        needs_name = self._hands_off and found.plan.destructive
        if needs_name and self.text("cluster") != found.topology.cluster:
            return f"type {outside(found.topology.cluster, 20)}"
        return ""

    def send(self) -> None:
        """Start it, under the key of this dialog."""
        request = DrillRequest(
            plan=self.text("plan"),
            reason=self.text("reason"),
            hands_off=bool(self._hands_off),
            cluster=self.text("cluster") if self._hands_off else "",
            idempotency_key=self._key,
        )
        self.ask(SEND, lambda api: recovery.start(api, request))

    def answered(self, question: Question, value: object) -> None:  # noqa: ARG002  each type has one topic
        """The plans, the dry run, or the drill, which is then followed."""
        match value:
            case RecoveryPlans():
                self._plans = value
                if not self.text("plan") and value.items:
                    self.query_one("#plan", Field).value = value.items[0].name
                self._ask_dry_run()
            case DryRun():
                self._dry = value
            case RecoveryDrill():
                self.desk.call_later(self.desk.show_recovery_drill, value, above=self)
            case _:
                pass

    def refused(self, question: Question, error: "ClientError") -> bool:
        """What could not be learned stands where it would have been."""
        from console.state.problems import describe, ends_session

        if question.topic in {_DRY, _PLANS} and not ends_session(error):
            self._dry_problem = f"What it would do could not be learned: {describe(error)}"
            return True
        return super().refused(question, error)
