"""The dialogs that make a silence and end one: what it mutes is shown before anything happens."""

from collections.abc import Mapping
from hashlib import sha256
from typing import TYPE_CHECKING, ClassVar, Final

from textual import on

from console.asking import Question
from console.client import alert_work
from console.client.api import new_idempotency_key
from console.screens.form import SEND, Entry, FormScreen
from console.screens.incidents.drafted import DraftedForm
from console.state.floor import Floor
from console.state.matchers import matchers_text, parse_matchers, parse_minutes
from console.widgets.alert_page import meant_rows
from console.widgets.field import Field
from console.widgets.lines import Line, line, outside, wrap
from console.widgets.silences import silence_rows
from console.widgets.view import View
from contract.alert_work import Matcher, Silence, SilencePreview, SilenceRequest
from contract.alerts import Severity
from contract.reasons import MAX_REASON_CHARS

if TYPE_CHECKING:
    from console.client.errors import ClientError

_PREVIEW: Final = "preview"
_PREVIEW_DELAY_S: Final = 0.15
"""What would be muted is asked for when typing has stopped for this long."""
_PREVIEW_AGAIN_S: Final = 3.0
"""When it is asked for again after it did not come."""
_FRAME_ROWS: Final = 19
"""What the dialog takes besides the alerts that it lists."""
_SHOWN_MIN, _SHOWN_MAX = 3, 12
_KEY_CHARS: Final = 32
"""Of a hash of matchers: they are longer than the key of a draft may be."""


class SilenceScreen(DraftedForm):
    """Mutes alerts until a time; only what was shown can be muted."""

    FIELDS: ClassVar[tuple[Entry, ...]] = (
        Entry("mute", "Mute", 'chain="arbitrum" alertname=~"GAS.*"', 2_000),
        Entry("for", "For", "45m, 2h, 1d", 20),
        Entry("why", "Reason", "why nobody needs to be told meanwhile", MAX_REASON_CHARS),
    )
    NAMES: ClassVar[Mapping[str, str]] = {"matchers": "Mute", "minutes": "For", "comment": "Reason"}
    BUTTON = "Mute"
    DRAFTED = ("why",)

    def __init__(self, text: str = "") -> None:
        """`text` are the matchers that the dialog starts with."""
        super().__init__("Silence")
        self._start = text
        self._key = new_idempotency_key()
        self._preview: SilencePreview | None = None
        self._previewed = ""
        """The matchers that the preview is of."""

    def draft_key(self) -> str:
        """One for what the dialog starts with."""
        start = sha256(self._start.encode()).hexdigest()[:_KEY_CHARS] if self._start else "new"
        return f"silence:{start}"

    def on_mount(self) -> None:
        """Start with what was meant, for an hour."""
        self.query_one("#mute", Field).value = self._start
        self.query_one("#for", Field).value = "1h"

    def sentence(self, view: View) -> Line:
        """What a silence is."""
        text = "Muted alerts are kept and listed; nobody is told of them, and none goes up."
        return line((f" {view.glyphs.near} ", "near"), text)

    def about(self, view: View) -> list[Line]:
        """What it would mute now."""
        preview = self._preview
        if self._matchers() is None:
            text = "Matchers with blanks between them: all of them have to match."
            return [line((f"{view.glyphs.unknown} {text}", "dim"))]
        if preview is None or not self._is_previewed():
            return [line((f"Asking what this would mute{view.glyphs.ellipsis}", "dim"))]
        critical = sum(alert.severity is Severity.CRITICAL for alert in preview.alerts)
        worst = (
            "" if not critical else f", {critical:,} of them CRITICAL" if preview.total > 1 else ", which is CRITICAL"
        )
        count = f"{preview.total:,} alert{'' if preview.total == 1 else 's'}" if preview.total else "no alert"
        style = "bad" if critical else "near" if preview.total else "dim"
        most = min(max(self.app.size.height - _FRAME_ROWS, _SHOWN_MIN), _SHOWN_MAX)
        rows = [line("This mutes ", (f"{count} now{worst}", style), ".")]
        rows += meant_rows(preview.alerts, view, most)
        if (more := preview.total - len(preview.alerts)) > 0:
            rows.append(line((f"  and {more:,} less urgent ones", "dim")))
        if preview.sources:
            names = ", ".join(outside(name, 60) for name in preview.sources)
            rows += [line((row, "dim")) for row in wrap(f"It is made there too: {names}.", view.width)]
        return rows

    def _matchers(self) -> list[Matcher] | None:
        try:
            return parse_matchers(self.text("mute"))
        except ValueError:
            return None

    def _is_previewed(self) -> bool:
        known = self._matchers()
        return known is not None and self._preview is not None and matchers_text(known) == self._previewed

    def missing(self) -> str:
        """What is still to be typed, or cannot be read."""
        try:
            parse_matchers(self.text("mute"))
            parse_minutes(self.text("for"))
        except ValueError as error:
            return str(error)
        if not self._is_previewed():
            return "wait for what it would mute"
        return "" if self.text("why") else "say why"

    @on(Field.Changed, "#mute")
    def _matchers_typed(self) -> None:
        self.questions.forget(_PREVIEW)
        if not self._is_previewed():
            self.set_timer(_PREVIEW_DELAY_S, self._ask_preview)

    def refused(self, question: Question, error: "ClientError") -> bool:
        """A preview that did not come is asked for again: without it nothing can be sent."""
        if question.topic == _PREVIEW:
            self.set_timer(_PREVIEW_AGAIN_S, self._ask_preview)
        return super().refused(question, error)

    def _ask_preview(self) -> None:
        known = self._matchers()
        if known is not None and not self._is_previewed() and not self.questions.is_waiting(_PREVIEW):
            self._problem = ""
            self.ask(_PREVIEW, lambda api: alert_work.preview(api, known), matchers_text(known))

    def send(self) -> None:
        """Make it."""
        wanted = SilenceRequest(
            matchers=parse_matchers(self.text("mute")),
            minutes=parse_minutes(self.text("for")),
            comment=self.text("why"),
            idempotency_key=self._key,
        )
        self.ask(SEND, lambda api: alert_work.silence(api, wanted))

    def answered(self, question: Question, value: object) -> None:
        """What it would mute, the silence, or that its reason is kept."""
        if self.draft_answered(question, value):
            return
        if isinstance(value, SilencePreview):
            self._preview, self._previewed = value, question.about
        elif isinstance(value, Silence):
            count = f"{value.muted_now:,} alert{'' if value.muted_now == 1 else 's'}"
            self.done(f"{count} muted until {value.ends_at:%m-%d %H:%M} UTC. Z lists silences.")


class EndScreen(FormScreen):
    """Ends a silence before its time."""

    BUTTON = "End"

    def __init__(self, silence: Silence) -> None:
        super().__init__("End a silence")
        self._silence = silence

    def sentence(self, view: View) -> Line:
        """What ending it does."""
        count = self._silence.muted_now
        text = (
            "It mutes nothing now: nobody is told of anything when it ends."
            if not count
            else f"{count:,} alert{' is' if count == 1 else 's are'} raised again when it ends, and people are told."
        )
        return line((f" {view.glyphs.near} ", "near"), text)

    def about(self, view: View) -> list[Line]:
        """Which silence."""
        now = (self.desk.latest or Floor()).now(view.desk_now)
        return silence_rows(self._silence, now, view)

    def missing(self) -> str:
        """Nothing."""
        return ""

    def send(self) -> None:
        """End it."""
        ident = self._silence.id
        self.ask(SEND, lambda api: alert_work.end_silence(api, ident))

    def answered(self, question: Question, value: object) -> None:  # noqa: ARG002  one topic
        """It is over."""
        if isinstance(value, Silence):
            self.done("Ended: what it muted and still goes on is raised again.")
