"""The dialogs that change what is said of an incident: its facts, and a line of its timeline that was wrong.

What others have changed meanwhile is shown beside what was typed here, and never undone unseen.
"""

from collections.abc import Mapping
from decimal import Decimal, InvalidOperation
from typing import TYPE_CHECKING, Any, Final

from console.asking import Call, Question
from console.client import incidents
from console.screens.form import SEND, Entry
from console.screens.incidents.dialogs import IncidentForm
from console.state.floor import SEVERITIES
from console.widgets.field import Field
from console.widgets.lines import Line, line, outside, wrap
from console.widgets.view import View
from contract.errors import ErrorCode
from contract.incidents import (
    MAX_NOTE_CHARS,
    MAX_TITLE_CHARS,
    CorrectionRequest,
    Incident,
    IncidentChange,
    Severity,
    TimelineEntry,
)

if TYPE_CHECKING:
    from console.client.errors import ClientError

_AGAIN: Final = "incident again"
_AMOUNTS: Final = (("loss_eth", "the loss in ETH"), ("loss_usd", "the loss in USD"))


class EditDialog(IncidentForm):
    """Only what was changed is sent, so that nobody else's change is undone."""

    FIELDS = (
        Entry("title", "Title", "what is wrong, in a few words", MAX_TITLE_CHARS),
        Entry("severity", "Severity", "critical, high, medium or low", 8),
        Entry("type", "Type", "as the policy calls it", 100),
        Entry("services", "Services", "what was affected, with commas between", 2_000),
        Entry("loss_eth", "Loss ETH", "not known", 40),
        Entry("loss_usd", "Loss USD", "not known", 40),
        Entry("users", "Users", "how many were affected; not known", 12),
        Entry("description", "Impact", "what it meant, in a sentence", MAX_NOTE_CHARS),
    )
    BUTTON = "Change"
    ACT, DRAFTED = "edit", "description"
    FACTS = "What nobody has said stays unknown; it never counts as 0."

    def __init__(self, known: Incident) -> None:
        super().__init__("Edit the incident", known)
        self._facts = _texts(known)
        self._contested: dict[str, str] = {}
        """What others have written into fields that were changed here too."""
        self._taken: list[str] = []
        """Fields that others have changed, and nobody here."""

    def prefilled(self) -> Mapping[str, str]:
        """What is said of it now."""
        return self._facts

    def about(self, view: View) -> list[Line]:
        """What others have written meanwhile, else what an empty field means."""
        rows = [
            line((f"{_shown(name)} is now ", "dim"), (outside(text, 200) or "empty", "near"))
            for name, text in self._contested.items()
        ]
        said = []
        if rows:
            said.append("Somebody wrote that meanwhile; your text is still below. Change puts yours in its place.")
        if self._taken:
            said.append(f"Changed by others meanwhile, as below: {', '.join(_shown(name) for name in self._taken)}.")
        said = said or [self.FACTS]
        return [*rows, *(line((row, "dim")) for text in said for row in wrap(text, view.width))]

    def _changed(self) -> dict[str, str]:
        return {name: self.text(name) for name, before in self._facts.items() if self.text(name) != before}

    def answered(self, question: Question, value: object) -> None:
        """It is done, or this is how it stands after somebody else's change."""
        if question.topic == _AGAIN and isinstance(value, Incident):
            self._catch_up(value)
        else:
            super().answered(question, value)

    def refused(self, question: Question, error: "ClientError") -> bool:
        """Somebody was quicker: look at what it says now."""
        from console.client.errors import ApiError

        if question.topic == SEND and isinstance(error, ApiError) and error.code is ErrorCode.CONFLICT:
            self.ask(_AGAIN, lambda api: incidents.incident(api, self.known.id))
        return super().refused(question, error)

    def _catch_up(self, now: Incident) -> None:
        """Take what others have changed, except where something else was typed here."""
        mine, theirs = self._changed(), _texts(now)
        others = [name for name, text in theirs.items() if text != self._facts[name]]
        self._contested = {name: theirs[name] for name in others if name in mine and mine[name] != theirs[name]}
        self._taken = [name for name in others if name not in mine]
        self.known, self._facts = now, theirs
        for name in self._taken:
            if name == self.DRAFTED:
                self.take_over(theirs[name])
            self.query_one(f"#{name}", Field).value = theirs[name]
        if others:
            self._problem = ""

    def missing(self) -> str:
        """What cannot be read, or that nothing was changed."""
        changed = self._changed()
        if "severity" in changed and _severity(changed["severity"]) is None:
            return "write critical, high, medium or low"
        for name, what in _AMOUNTS:
            if changed.get(name) and _amount(changed[name]) is None:
                return f"write {what} as a number"
        if changed.get("users") and not changed["users"].isdigit():
            return "write how many users as a number"
        emptied = [name for name in changed if not changed[name] and name not in {"services", "description"}]
        if emptied:
            return f"{_shown(emptied[0])} cannot be made unknown again"
        return "" if changed else "change something"

    def call(self) -> Call:
        """Send what was changed."""
        values: dict[str, Any] = {"version": self.known.version}
        for name, text in self._changed().items():
            values[name] = _value(name, text)
        wanted = IncidentChange(**values)
        return lambda api: incidents.change(api, self.known.id, wanted)

    def told(self) -> str:
        """What was done."""
        return f"Changed: {', '.join(_shown(name) for name in self._changed())}."


def _shown(name: str) -> str:
    return "impact" if name == "description" else name.replace("_", " ")


def _texts(known: Incident) -> dict[str, str]:
    impact = known.impact
    return {
        "title": known.title,
        "severity": known.severity.value,
        "type": known.type,
        "services": ", ".join(impact.services),
        "loss_eth": "" if impact.loss_eth is None else format(impact.loss_eth, "f"),
        "loss_usd": "" if impact.loss_usd is None else format(impact.loss_usd, "f"),
        "users": "" if impact.users is None else str(impact.users),
        "description": impact.description,
    }


def _value(name: str, text: str) -> object:
    match name:
        case "severity":
            return _severity(text)
        case "services":
            return [part.strip() for part in text.split(",") if part.strip()]
        case "loss_eth" | "loss_usd":
            return _amount(text)
        case "users":
            return int(text)
        case _:
            return text


def _severity(text: str) -> Severity | None:
    found = [one for one in SEVERITIES if text and one.value.startswith(text.lower())]
    return found[0] if len(found) == 1 else None


def _amount(text: str) -> Decimal | None:
    try:
        value = Decimal(text)
    except InvalidOperation:
        return None
    return value if value.is_finite() else None


class CorrectDialog(IncidentForm):
    """A later line takes the place of one that was wrong."""

    FIELDS = (
        Entry("text", "Text", "how it was", MAX_NOTE_CHARS),
        Entry("at", "When", "empty: the same time; else 03:08 or 2026-03-09T20:42 (UTC)", 40),
    )
    BUTTON = "Correct"
    ACT, DRAFTED = "correct", "text"

    def __init__(self, known: Incident, entry: TimelineEntry) -> None:
        super().__init__("Correct a line", known)
        self._entry = entry

    def draft_key(self) -> str:
        """One for each line."""
        return f"{super().draft_key()}:{self._entry.id}"

    def prefilled(self) -> Mapping[str, str]:
        """The text as it is: mostly one word of it is wrong."""
        return {"text": " ".join(self._entry.text.split())}

    def about(self, view: View) -> list[Line]:
        """The line that is wrong, and what becomes of it."""
        was = wrap(
            f"{self._entry.occurred_at:%H:%M:%S} {outside(self._entry.actor, 40)}: {outside(self._entry.text, 300)}",
            view.width,
        )
        return [*(line(row) for row in was[:3]), line(("It stays readable, marked as corrected.", "dim"))]

    def missing(self) -> str:
        """The new text."""
        return "say how it was" if not self.text("text") else self.time_missing("at")

    def call(self) -> Call:
        """Correct it."""
        wanted = CorrectionRequest(text=self.text("text"), occurred_at=self.instant("at"))
        return lambda api: incidents.correct(api, self.known.id, self._entry.id, wanted)

    def told(self) -> str:
        """What was done."""
        return "The line is corrected; the old one stays readable."
