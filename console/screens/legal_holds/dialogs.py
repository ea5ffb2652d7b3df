"""The dialogs that place a legal hold and lift one: what it keeps is shown before a reason is given."""

from typing import TYPE_CHECKING, ClassVar

from console.asking import Question
from console.client import privacy
from console.screens.form import SEND, Entry, FormScreen
from console.state.instants import parse_instant
from console.widgets.field import Field
from console.widgets.legal_holds import extent, keeps, reach_line
from console.widgets.lines import EMPTY, Line, line, outside, wrap
from console.widgets.view import View
from contract.privacy import LegalHold, LegalHoldRequest, LegalHoldState, Reasoned
from contract.reasons import MAX_REASON_CHARS

if TYPE_CHECKING:
    from datetime import datetime

    from console.client.errors import ClientError

_TIMES = (("since", "the first time"), ("until", "the last time"))


class PlaceScreen(FormScreen):
    """Keeps a person's data, or a log between two instants. It counts at once."""

    FIELDS: ClassVar[tuple[Entry, ...]] = (
        Entry("subject", "Person", "the name of their account; empty for a log", 100),
        Entry("log", "Log", "7y, 3y, 1y, 90d, meta or import:NAME; empty for a person", 40),
        Entry("since", "Since", "of a log: 7d, yesterday, 2026-03-09; empty: from its first entry", 40),
        Entry("until", "Until", "of a log: in the same forms; empty: without an end", 40),
        Entry("reason", "Reason", "which case it is kept for", MAX_REASON_CHARS),
    )
    BUTTON = "Place"

    def __init__(self, subject: str = "") -> None:
        super().__init__("Place a legal hold")
        self._subject = subject

    def on_mount(self) -> None:
        """Start with the person who was meant."""
        self.query_one("#subject", Field).value = self._subject

    def sentence(self, view: View) -> Line:
        """What placing one means."""
        return line((f" {view.glyphs.near} ", "near"), "It counts at once. Two people lift it again.")

    def about(self, view: View) -> list[Line]:
        """What it does."""
        facts = "While it is in force nobody can erase the person, and no entry that it covers is dropped when its"
        return [line((row, "dim")) for row in wrap(f"{facts} date comes. That you place it is recorded.", view.width)]

    def missing(self) -> str:
        """What is still to be typed, or cannot be read."""
        if bool(self.text("subject")) == bool(self.text("log")):
            return "name a person or a log, not both" if self.text("log") else "name a person or a log"
        if self.text("subject") and (self.text("since") or self.text("until")):
            return "leave the times empty: a person is kept whole"
        for field, what in _TIMES:
            if self.text(field) and self._instant(field) is None:
                return f"write {what} as 7d or 2026-03-09"
        since, until = self._instant("since"), self._instant("until")
        if since and until and since >= until:
            return "let it begin before it ends"
        return "" if self.text("reason") else "say why"

    def _instant(self, field: str) -> "datetime | None":
        try:
            return parse_instant(self.text(field), self.desk.now()) if self.text(field) else None
        except (ValueError, OverflowError):
            return None

    def send(self) -> None:
        """Place it."""
        wanted = LegalHoldRequest(
            subject=self.text("subject") or None,
            log=self.text("log") or None,
            since=self._instant("since"),
            until=self._instant("until"),
            reason=self.text("reason"),
        )
        self.ask(SEND, lambda api: privacy.place_legal_hold(api, wanted))

    def answered(self, question: Question, value: object) -> None:  # noqa: ARG002  one topic
        """It is in force."""
        if isinstance(value, LegalHold):
            self.done(f"In force: {keeps(value)} is kept until two people lift it.")


class LiftScreen(FormScreen):
    """Step one with a reason, step two by somebody else with what the first one said."""

    def __init__(self, hold: LegalHold) -> None:
        self._second = hold.state is LegalHoldState.LIFT_REQUESTED
        reason = Entry("reason", "Reason", "why it need not be kept any longer", MAX_REASON_CHARS)
        self.FIELDS = () if self._second else (reason,)  # type: ignore[misc]
        self.BUTTON = "Lift" if self._second else "Ask to lift"  # type: ignore[misc]
        super().__init__("Lift a legal hold")
        self._hold = hold
        self._problem_of_reach = ""

    def on_mount(self) -> None:
        """Learn how much it keeps: the list does not say."""
        if self._hold.reach is None and self.desk.api is not None:
            self.ask("reach", lambda api: privacy.legal_hold(api, self._hold.id))

    def sentence(self, view: View) -> Line:
        """What this step is."""
        text = (
            "You ask; another person has to lift it. It stays in force until then."
            if not self._second
            else "You asked for this yourself: another person has to lift it."
            if self._is_own
            else "You are the second person: with you it is lifted at once."
        )
        return line((f" {view.glyphs.near} ", "near"), text)

    def about(self, view: View) -> list[Line]:
        """What it keeps, why, and what lifting it allows."""
        hold = self._hold
        rows = [
            line(("keeps   ", "dim"), (keeps(hold), "bold"), f"  {extent(hold)}"),
            line(("        ", ""), *self._reach(view)),
            *_row("because ", f"{hold.reason} ({hold.placed_by})", view),
        ]
        if self._second:
            rows += _row("lift    ", f"{hold.lift_reason} ({hold.lift_requested_by})", view)
        facts = "Once it is lifted the data can be erased, and is dropped when its date comes."
        return [*rows, EMPTY, *(line((row, "dim")) for row in wrap(facts, view.width))]

    def _reach(self, view: View) -> Line:
        if self._hold.reach is not None:
            return reach_line(self._hold.reach, view)
        if self._problem_of_reach:
            return line((f"{view.glyphs.near} How much could not be learned. {self._problem_of_reach}", "near"))
        return line((f"Counting{view.glyphs.ellipsis}", "dim"))

    @property
    def _is_own(self) -> bool:
        return self._second and self._hold.lift_requested_by == self.desk.who.name

    def missing(self) -> str:
        """A reason in the first step, a second person in the other, and how much it keeps in both."""
        if self._is_own:
            return "leave it to another person"
        if self._hold.reach is None and not self._problem_of_reach:
            return "wait for what it keeps"
        return "" if self._second or self.text("reason") else "say why"

    def send(self) -> None:
        """Ask for it to be lifted, or lift it."""
        reasoned = None if self._second else Reasoned(reason=self.text("reason"))
        self.ask(SEND, lambda api: privacy.lift_legal_hold(api, self._hold.id, reasoned))

    def answered(self, question: Question, value: object) -> None:
        """How much it keeps, or what became of the act."""
        if not isinstance(value, LegalHold):
            return
        if question.topic != SEND:
            self._hold = self._hold.model_copy(update={"reach": value.reach})
        elif value.state is LegalHoldState.LIFTED:
            self.done(f"Lifted: {keeps(value)} is no longer kept by this legal hold.")
        else:
            self.done(f"Asked: another person has to lift the legal hold on {keeps(value)} (T).")

    def refused(self, question: Question, error: "ClientError") -> bool:
        """Without a count the dialog says so; the act's own refusals stand beside the buttons."""
        from console.state.problems import describe, ends_session

        if question.topic == SEND or ends_session(error):
            return super().refused(question, error)
        self._problem_of_reach = outside(describe(error), 120)
        return True


def _row(label: str, text: str, view: View) -> list[Line]:
    parts = wrap(outside(text, 300), max(view.width - len(label), 10))[:3]
    return [line((label if not index else " " * len(label), "dim"), part) for index, part in enumerate(parts)]
