"""Owns what dialogs share that change facts which others may change meanwhile, since they were read or since a draft.

What others have written is shown beside what was typed here. Must never put one in the other's place unseen.
"""

from collections.abc import Mapping
from typing import TYPE_CHECKING, Final

from console.asking import Call, Question
from console.screens.form import SEND
from console.screens.incidents.drafted import DraftedForm
from console.widgets.lines import Line, cut, line, outside, wrap
from console.widgets.view import View
from contract.errors import ErrorCode
from contract.postmortem import Draft

if TYPE_CHECKING:
    from console.client.errors import ClientError

AGAIN: Final = "again"
"""The topic under which it is asked how things stand now."""
_BESIDE: Final = "Somebody wrote that meanwhile; your text is still below. {button} puts yours in its place."
_OLD_DRAFT: Final = "Your draft below was typed before the last change; {button} puts it in the place of that."
_VALUE_CHARS: Final = 200


class ContestedForm(DraftedForm):
    """Only what was changed is sent, with the version that was seen, so that nobody else's change is undone."""

    facts: Mapping[str, str]
    """What each field says of the object as it was read last."""
    _contested: dict[str, str]
    """What others have written into fields that were changed here too."""
    _taken: list[str]
    """Fields that others have changed, and nobody here."""
    _beside: str
    """What is said of contested fields."""

    def begin_with(self, facts: Mapping[str, str]) -> None:
        """Start from what is known; called by each dialog before it is shown."""
        self.facts, self._contested, self._taken, self._beside = facts, {}, [], _BESIDE

    # what subclasses say

    def seen_version(self) -> int:
        """The version of the object as it was read last; 0 of one that is not there yet."""
        raise NotImplementedError

    def look_again(self) -> Call:
        """How it is asked how the object stands now."""
        raise NotImplementedError

    def caught_up(self, value: object) -> Mapping[str, str] | None:
        """Keep the object as it stands now, and give its facts; None if it is not there any more."""
        raise NotImplementedError

    def shown_as(self, name: str) -> str:
        """What a field is called in a sentence."""
        return name.replace("_", " ")

    # what was changed, here and elsewhere

    def changed_here(self) -> dict[str, str]:
        """What differs from the facts as they were read."""
        return {name: self.text(name) for name, before in self.facts.items() if self.text(name) != before}

    def contested_rows(self, view: View) -> list[Line]:
        """What others have written meanwhile; nothing where nobody has."""
        rows = []
        for name, text in self._contested.items():
            head = f"{self.shown_as(name)} is now "
            shown = cut(outside(text, _VALUE_CHARS) or "empty", max(view.width - len(head), 8), view.glyphs)
            rows.append(line((head, "dim"), (shown, "near")))
        said = [self._beside.format(button=self.BUTTON)] if rows else []
        if self._taken:
            names = ", ".join(self.shown_as(name) for name in self._taken)
            said.append(f"Changed by others meanwhile, as below: {names}.")
        return [*rows, *(line((row, "dim")) for text in said for row in wrap(text, view.width))]

    def typed_from(self) -> int:
        """What is kept as a draft was typed from this version."""
        return self.seen_version()

    def draft_found(self, draft: Draft) -> None:
        """A draft of an older version never takes the place of what was saved since without a word."""
        super().draft_found(draft)
        if draft.base_version < self.seen_version():
            mine = self.changed_here()
            old = {name: self.facts[name] for name in self.DRAFTED if name in mine}
            self._contested, self._beside = {**self._contested, **old}, _OLD_DRAFT

    def answered(self, question: Question, value: object) -> None:
        """It is done, or this is how it stands after somebody else's change."""
        if question.topic == AGAIN:
            self._catch_up(value)
        else:
            super().answered(question, value)

    def refused(self, question: Question, error: "ClientError") -> bool:
        """Somebody was quicker: look at what it says now."""
        from console.client.errors import ApiError

        if question.topic == SEND and isinstance(error, ApiError) and error.code is ErrorCode.CONFLICT:
            self.ask(AGAIN, self.look_again())
        return super().refused(question, error)

    def _catch_up(self, value: object) -> None:
        """Take what others have changed, except where something else was typed here."""
        mine, before = self.changed_here(), self.facts
        theirs = self.caught_up(value)
        if theirs is None:
            return
        others = [name for name, text in theirs.items() if text != before[name]]
        self._contested = {name: theirs[name] for name in others if name in mine and mine[name] != theirs[name]}
        self._taken, self._beside = [name for name in others if name not in mine], _BESIDE
        self.facts = theirs
        self.keep_from(theirs)
        for name in self._taken:
            self.take_over(name, theirs[name])
        if others:
            self._problem = ""
