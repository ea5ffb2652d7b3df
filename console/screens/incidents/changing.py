"""The dialogs that change what is said of an incident: its facts, and a line of its timeline that was wrong.

What others have changed meanwhile is shown beside what was typed here, and never undone unseen.
"""

from collections.abc import Mapping
from decimal import Decimal, InvalidOperation
from typing import Any, Final

from console.asking import Call
from console.client import incidents
from console.screens.form import Entry
from console.screens.incidents.contesting import ContestedForm
from console.screens.incidents.dialogs import IncidentForm
from console.state.floor import SEVERITIES
from console.widgets.lines import Line, line, outside, wrap
from console.widgets.view import View
from contract.incidents import (
    MAX_NAME_CHARS,
    MAX_NOTE_CHARS,
    MAX_SERVICES,
    MAX_TITLE_CHARS,
    CorrectionRequest,
    Incident,
    IncidentChange,
    Severity,
    TimelineEntry,
)

_AMOUNTS: Final = (("loss_eth", "the loss in ETH"), ("loss_usd", "the loss in USD"))
_EXPONENT_MAX: Final = 40
"""Beyond any amount; written out, as it is sent, 1E+999999999 would take a gigabyte."""


class EditDialog(ContestedForm, IncidentForm):
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
    ACT, DRAFTED = "edit", ("description",)
    FACTS = "What nobody has said stays unknown; it never counts as 0."

    def __init__(self, known: Incident) -> None:
        super().__init__("Edit the incident", known)
        self.begin_with(_texts(known))

    def prefilled(self) -> Mapping[str, str]:
        """What is said of it now."""
        return self.facts

    def about(self, view: View) -> list[Line]:
        """What others have written meanwhile, else what an empty field means."""
        return self.contested_rows(view) or super().about(view)

    def seen_version(self) -> int:
        """Of the incident as it was read last."""
        return self.known.version

    def look_again(self) -> Call:
        """Read the incident."""
        return lambda api: incidents.incident(api, self.known.id)

    def caught_up(self, value: object) -> Mapping[str, str] | None:
        """The incident as it stands now."""
        if not isinstance(value, Incident):
            return None
        self.known = value
        return _texts(value)

    def shown_as(self, name: str) -> str:
        """As its label."""
        return _shown(name)

    def missing(self) -> str:
        """What cannot be read, or that nothing was changed."""
        changed = self.changed_here()
        if "severity" in changed and _severity(changed["severity"]) is None:
            return "write critical, high, medium or low"
        for name, what in _AMOUNTS:
            if changed.get(name) and _amount(changed[name]) is None:
                return f"write {what} as a number"
        if changed.get("users") and not (changed["users"].isascii() and changed["users"].isdecimal()):
            return "write how many users as a number"
        if too_much := _services_problem(changed.get("services", "")):
            return too_much
        emptied = [name for name in changed if not changed[name] and name not in {"services", "description"}]
        if emptied:
            return f"{_shown(emptied[0])} cannot be made unknown again"
        return "" if changed else "change something"

    def call(self) -> Call:
        """Send what was changed."""
        values: dict[str, Any] = {"version": self.known.version}
        for name, text in self.changed_here().items():
            values[name] = _value(name, text)
        wanted = IncidentChange(**values)
        return lambda api: incidents.change(api, self.known.id, wanted)

    def told(self) -> str:
        """What was done."""
        return f"Changed: {', '.join(_shown(name) for name in self.changed_here())}."


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
            return _services(text)
        case "loss_eth" | "loss_usd":
            return _amount(text)
        case "users":
            return int(text)
        case _:
            return text


def _services(text: str) -> list[str]:
    return [part.strip() for part in text.split(",") if part.strip()]


def _services_problem(text: str) -> str:
    names = _services(text)
    if len(names) > MAX_SERVICES:
        return f"name at most {MAX_SERVICES} services, not {len(names):,}"
    too_long = next((place for place, name in enumerate(names, start=1) if len(name) > MAX_NAME_CHARS), None)
    return "" if too_long is None else f"service {too_long:,}: write at most {MAX_NAME_CHARS} characters"


def _severity(text: str) -> Severity | None:
    found = [one for one in SEVERITIES if text and one.value.startswith(text.lower())]
    return found[0] if len(found) == 1 else None


def _amount(text: str) -> Decimal | None:
    try:
        value = Decimal(text)
    except InvalidOperation:
        return None
    return value if value.is_finite() and abs(value.adjusted()) <= _EXPONENT_MAX else None


class CorrectDialog(IncidentForm):
    """A later line takes the place of one that was wrong."""

    FIELDS = (
        Entry("text", "Text", "how it was", MAX_NOTE_CHARS),
        Entry("at", "When", "empty: the same time; else 03:08 or 2026-03-09T20:42 (UTC)", 40),
    )
    BUTTON = "Correct"
    ACT, DRAFTED = "correct", ("text",)

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
