"""Owns the dialogs in which somebody writes sentences: what is typed is kept as a draft until the act is done."""

from typing import TYPE_CHECKING, ClassVar

from console.asking import Question
from console.screens.form import FormScreen
from console.screens.incidents.drafting import DraftingScreen
from console.widgets.field import Field
from console.widgets.lines import Line
from contract.postmortem import Draft

if TYPE_CHECKING:
    from console.client.errors import ClientError

_KEPT = "Kept as a draft: it is there when you open this again."


class DraftedForm(FormScreen, DraftingScreen):
    """A dialog whose longest text outlives a lost line."""

    DRAFTED: ClassVar[str] = ""
    """The field that is kept; empty: none."""

    def __init__(self, title: str) -> None:
        super().__init__(title)
        self._before = ""
        """What the field held before anything was typed."""
        self._finished = False
        self._stays = False
        """It was to be closed, and stayed because the text is not kept."""

    def draft_key(self) -> str:
        """Under which the text is kept."""
        raise NotImplementedError

    def on_mount(self) -> None:
        """Look for what was typed before."""
        if self.DRAFTED:
            self._before = self.typed()
            self.begin_draft(self.draft_key(), self._before)

    @property
    def _field(self) -> Field:
        return self.query_one(f"#{self.DRAFTED}", Field)

    def typed(self) -> str:
        """The text as it stands."""
        return self._field.value

    def draft_found(self, draft: Draft) -> None:
        """Go on where somebody was cut off; what they have typed meanwhile stands behind it."""
        typed = self.typed()
        if draft.text in {self._before, typed}:
            return
        more = "" if typed == self._before else f" {typed.removeprefix(self._before)}"
        self._field.value = f"{draft.text}{more}"[: self._field.max_length]
        self._field.cursor_position = len(self._field.value)

    def take_over(self, text: str) -> None:
        """Others have written this meanwhile: it stands in the field as if it had from the beginning."""
        self._before = self._kept = self._field.value = text

    def not_kept(self, why: str) -> None:
        """Nobody is locked into a dialog: the second Esc closes it all the same."""
        self._stays = True
        self._problem = f"What you have typed is NOT kept; Esc again closes without it. {why}"

    def beside(self) -> Line:
        """Whether what is typed is safe."""
        return self.draft_note() if self.DRAFTED else ()

    @property
    def is_sending(self) -> bool:
        """Whether the act is under way, or done."""
        return self._finished or super().is_sending

    def refused(self, question: Question, error: "ClientError") -> bool:
        """A draft that is not kept is said beside the buttons."""
        return self.draft_refused(question, error) or super().refused(question, error)

    def died(self, question: Question) -> None:
        """A draft that is not kept is said beside the buttons."""
        self.draft_died(question)

    # closing

    def done(self, text: str) -> None:
        """Forget the draft, close, and say what became of it."""
        self._finished = True
        close = super().done
        self.end_draft(lambda: close(text))

    async def cancel(self) -> None:
        """Close once what is typed is kept; whoever insists closes at once."""
        insists = self._stays or self._then is not None
        if not self.DRAFTED or insists or (self.typed() == self._before and not self._kept_note):
            await super().cancel()
        elif self.typed() == self._before:
            self.close_draft(self._leave)
        else:
            self.leave_draft(lambda: self._leave(_KEPT))
            self.redraw()

    def _leave(self, told: str = "") -> None:
        self.desk.call_later(self.desk.leave, self)
        if told:
            self.desk.call_later(self.desk.say, "done", told)
