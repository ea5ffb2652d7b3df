"""Owns the dialogs in which somebody writes sentences: what is typed is kept as a draft until the act is done.

Must never say of a field that it is kept when it is not.
"""

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, ClassVar, Final

from console.asking import Question
from console.screens.form import FormScreen
from console.screens.incidents.drafting import DraftingScreen
from console.widgets.field import Field
from console.widgets.lines import Line
from contract.permissions import Permission
from contract.postmortem import Draft

if TYPE_CHECKING:
    from console.client.errors import ClientError

_BETWEEN: Final = "\n"
"""Between the texts of several fields in one draft: a field is one line, so that it stands in none of them."""
_EMPTIED: Final = " "
"""Stands for a field that somebody has emptied; one that nobody has touched has no text in a draft."""


class DraftedForm(FormScreen, DraftingScreen):
    """A dialog whose sentences outlive a lost line."""

    DRAFTED: ClassVar[tuple[str, ...]] = ()
    """The fields that are kept."""

    def __init__(self, title: str) -> None:
        super().__init__(title)
        self._before: dict[str, str] = {}
        """What each field held before anything was typed."""
        self._finished = False
        self._stays = False
        """It was to be closed, and stayed because the text is not kept."""

    def draft_key(self) -> str:
        """Under which the text is kept."""
        raise NotImplementedError

    def on_mount(self) -> None:
        """Look for what was typed before."""
        self._before = {one.id: self._field(one.id).value for one in self.FIELDS}
        if self.keeps_drafts:
            self.begin_draft(self.draft_key(), self.typed())

    @property
    def keeps_drafts(self) -> bool:
        """Whether anything is kept: the backend keeps drafts for those who handle incidents."""
        allowed = self.desk.who.permissions
        return bool(self.DRAFTED) and (allowed is None or Permission.HANDLE_INCIDENTS in allowed)

    def _field(self, name: str) -> Field:
        return self.query_one(f"#{name}", Field)

    def typed(self) -> str:
        """What was typed into the fields that are kept."""
        return _BETWEEN.join(self._typed_into(name) for name in self.DRAFTED)

    def _typed_into(self, name: str) -> str:
        value = self._field(name).value
        return "" if value == self._before[name] else value or _EMPTIED

    def draft_found(self, draft: Draft) -> None:
        """Go on where somebody was cut off; what they have typed meanwhile stands behind it."""
        for name, text in zip(self.DRAFTED, draft.text.split(_BETWEEN), strict=False):
            field, before = self._field(name), self._before[name]
            if text in {"", before, field.value}:
                continue
            found = "" if text == _EMPTIED else text
            more = "" if field.value == before else f" {field.value.removeprefix(before)}"
            field.value = f"{found}{more}"[: field.max_length]
            field.cursor_position = len(field.value)

    def keep_from(self, texts: Mapping[str, str]) -> None:
        """From now on what differs from these texts is what was typed."""
        self._before.update(texts)

    def take_over(self, name: str, text: str) -> None:
        """Others have written this meanwhile: it stands in the field as if it had from the beginning."""
        self._before[name] = self._field(name).value = text

    def not_kept(self, why: str) -> None:
        """Nobody is locked into a dialog: the second Esc closes it all the same."""
        self._stays = True
        self._problem = f"What you have typed is NOT kept; Esc again closes without it. {why}"

    def beside(self) -> Line:
        """Whether what is typed is safe."""
        return self.draft_note() if self.keeps_drafts else ()

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
        close = super().done
        self.finish(lambda: close(text))

    def finish(self, then: Callable[[], None]) -> None:
        """The act is done, and nothing is sent again: forget the draft, then do what comes next."""
        self._finished = True
        self.end_draft(then)

    async def cancel(self) -> None:
        """Close once what is typed is kept; whoever insists closes at once."""
        insists = self._stays or self._then is not None
        changed = self._changed_fields()
        untouched = not any(name in self.DRAFTED for name in changed)
        if not self.keeps_drafts or insists or (untouched and not self._kept_note):
            await super().cancel()
        elif untouched:
            self.close_draft(self._leave)
        else:
            told = self._told(changed)
            self.leave_draft(lambda: self._leave(told))
            self.redraw()

    def _changed_fields(self) -> list[str]:
        return [one.id for one in self.FIELDS if self._field(one.id).value != self._before.get(one.id, "")]

    def _told(self, changed: list[str]) -> str:
        """What is kept, and what is not: a dialog keeps sentences, not every field."""
        labels = {one.id: one.label for one in self.FIELDS}
        kept = ", ".join(labels[name] for name in changed if name in self.DRAFTED)
        lost = ", ".join(labels[name] for name in changed if name not in self.DRAFTED)
        rest = f" Not kept: {lost}." if lost else ""
        return f"Kept as a draft: {kept}; open this again to go on.{rest}"

    def _leave(self, told: str = "") -> None:
        self.desk.call_later(self.desk.leave, self)
        if told:
            self.desk.call_later(self.desk.say, "done", told)
