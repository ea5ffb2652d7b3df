"""The dialog that declares an incident: from alerts, from a freeze, or from nothing. Enter declares it."""

from collections.abc import Sequence
from typing import TYPE_CHECKING, ClassVar, Final

from textual import on

from console.asking import Question
from console.client.api import new_idempotency_key
from console.client.declaring import Declared, declare
from console.screens.form import SEND, Entry
from console.screens.incidents.drafted import DraftedForm
from console.state.floor import SEVERITIES, Floor
from console.widgets import words
from console.widgets.alert_page import DRILL_MUTES
from console.widgets.field import Field
from console.widgets.lines import EMPTY, Line, line, outside, wrap
from console.widgets.overview import scope_text
from console.widgets.view import View
from contract.alerts import Alert, Severity
from contract.incidents import MAX_DECLARED_ALERTS, MAX_TITLE_CHARS, DeclareRequest

if TYPE_CHECKING:
    from contract.freeze import Freeze

_ALERTS_SHOWN: Final = 3
_DRILL: Final = frozenset({"yes", "y"})


class DeclareDialog(DraftedForm):
    """Everything is filled in as far as it is known, so that nobody has to type at three in the morning."""

    FIELDS: ClassVar[tuple[Entry, ...]] = (
        Entry("title", "Title", "what is wrong, in a few words", MAX_TITLE_CHARS),
        Entry("severity", "Severity", "critical, high, medium or low", 8),
        Entry("type", "Type", "as the policy calls it; other if it fits none", 100),
        Entry("commander", "Commander", "empty: you", 100),
        Entry("drill", "Drill", "yes if this is only practice; empty: it is real", 3),
    )
    BUTTON = "Declare"
    LABEL_COLUMNS = 12
    AUTO_FOCUS = "#title"
    DRAFTED = ("title",)

    def __init__(self, alerts: Sequence[Alert] = (), freeze: str | None = None) -> None:
        """Declare one from these alerts, or from a freeze by its id or reference."""
        super().__init__("Declare an incident")
        self._alerts = tuple(alerts)
        self._freeze = freeze
        self._key = new_idempotency_key()
        self._tried: list[DeclareRequest] = []
        """What was sent under the key, of which something may have been taken though no answer came."""

    def draft_key(self) -> str:
        """One for each alert or freeze that it is declared from, and one from nothing."""
        origin = self._alerts[0].id if self._alerts else self._freeze or "nothing"
        return f"declare:{origin}"

    def on_mount(self) -> None:
        """Fill in what is known."""
        known = {
            "title": self._known_title(),
            "severity": self._known_severity().value,
            "type": "other",
            "commander": self.desk.who.name,
        }
        for field, value in known.items():
            self.query_one(f"#{field}", Field).value = value

    def _known_title(self) -> str:
        if self._alerts:
            first, more = self._alerts[0], len(self._alerts) - 1
            tail = f" and {more:,} more" if more else ""
            return f"{first.rule} on {first.scope}"[: MAX_TITLE_CHARS - len(tail)] + tail
        if self._freeze:
            hold = self._hold()
            return f"Freeze {hold.ref} of {hold.scope}: {hold.reason}"[:MAX_TITLE_CHARS] if hold else ""
        return ""

    def _known_severity(self) -> Severity:
        if self._alerts:
            return min((alert.severity for alert in self._alerts), key=SEVERITIES.index)
        return Severity.HIGH if self._freeze else Severity.MEDIUM

    def _hold(self) -> "Freeze | None":
        held = (self.desk.latest or Floor()).freezes.values()
        return next((hold for hold in held if self._freeze in {hold.id, hold.ref}), None)

    def sentence(self, view: View) -> Line:  # noqa: ARG002  it says nothing that depends on the room
        """What declaring one does."""
        return self.headline_line("near", "From now on everything that happens is written down. Enter declares.")

    def about(self, view: View) -> list[Line]:
        """From what it is declared."""
        facts = "It gets the next number of the year, its timeline fills itself, and the commander is named in it."
        mutes = self._alerts and self.text("drill").lower() in _DRILL
        text, style = (DRILL_MUTES, "near") if mutes else (facts, "dim")
        return [*self._origin(view), EMPTY, *(line((row, style)) for row in wrap(text, view.width))]

    def _origin(self, view: View) -> list[Line]:
        if self._freeze is not None:
            return [line(("from    ", "dim"), f"freeze {outside(self._freeze, 60)}")]
        if not self._alerts:
            return [line(("from    ", "dim"), "nothing: link alerts and freezes to it later")]
        rows = []
        for index, alert in enumerate(self._alerts[:_ALERTS_SHOWN]):
            label = "from    " if not index else " " * 8
            where = scope_text(alert.scope, 30, view)
            rows.append(
                line(
                    (label, "dim"),
                    *words.severity(alert.severity, view.glyphs).spans(),
                    f" {outside(alert.rule, 40)} {where}",
                )
            )
        more = len(self._alerts) - _ALERTS_SHOWN
        return [*rows, line((f"        and {more:,} more alerts", "dim"))] if more > 0 else rows

    def missing(self) -> str:
        """What is still to be typed, or cannot be read; more alerts than it takes are said before anything is typed."""
        if len(self._alerts) > MAX_DECLARED_ALERTS:
            return f"mark at most {MAX_DECLARED_ALERTS} alerts"
        if not self.text("title"):
            return "say what is wrong"
        if self._severity() is None:
            return "write critical, high, medium or low"
        if self.text("drill").lower() not in {*_DRILL, "no", "n", ""}:
            return "write yes or no for a drill"
        return ""

    def _severity(self) -> Severity | None:
        typed = self.text("severity").lower()
        found = [one for one in SEVERITIES if typed and one.value.startswith(typed)]
        return found[0] if len(found) == 1 else None

    @on(Field.Submitted)
    def _entered(self, event: Field.Submitted) -> None:
        """Declare, if nothing is missing: nobody should have to look for the button."""
        event.stop()
        event.prevent_default()
        if self.lacks():
            self.focus_next()
        else:
            self._send()

    def send(self) -> None:
        """Declare it; sent again under the same key, whatever was typed anew: no answer must not make two of them."""
        severity = self._severity()
        if severity is None:
            return
        wanted = DeclareRequest(
            title=self.text("title"),
            type=self.text("type") or "other",
            severity=severity,
            commander=self.text("commander") or None,
            alerts=[alert.id for alert in self._alerts],
            freezes=[self._freeze] if self._freeze else [],
            drill=self.text("drill").lower() in _DRILL,
            idempotency_key=self._key,
        )
        tried = tuple(self._tried)
        self._tried = [*(one for one in tried if one != wanted), wanted]
        self.ask(SEND, lambda api: declare(api, wanted, tried))

    def answered(self, question: Question, value: object) -> None:
        """Show it in place of the dialog, once its draft is dropped."""
        if not self.draft_answered(question, value) and isinstance(value, Declared):
            self.finish(lambda: self._shown(value))

    def _shown(self, declared: Declared) -> None:
        self.desk.call_later(self.desk.show_incident, declared.incident.id, self)
        if declared.changed or declared.kept:
            self.desk.call_later(self.desk.say, "notice" if declared.kept else "done", _told(declared))


def _told(declared: Declared) -> str:
    kept = f"; NOT as typed last: {', '.join(declared.kept)}" if declared.kept else ""
    changed = f"; now as typed last: {', '.join(declared.changed)}" if declared.changed else ""
    return f"An earlier try declared it{kept}{changed}."
