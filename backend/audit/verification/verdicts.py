"""The six verdicts of a verification and what they are made of. Pure; must never turn "not checked" into "ok"."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any, Final

FIRST_FINDINGS: Final = 20
"""Findings kept of each verdict; the rest is counted."""
NO_LOG: Final = "-"
"""Stands for the ledger as a whole."""
META_LOG: Final = "meta"
"""The ledger's own log."""
MAX_DETAIL_CHARS: Final = 200
"""A finding names what is wrong; what a forger wrote is not repeated at length."""


class Verdict(StrEnum):
    """What is judged, each for itself: one word for all would hide what still holds."""

    LINKAGE = "linkage"
    """Entries, their order and number, tree nodes, heads, sealed periods and earlier verifications belong together."""
    CONTENT = "content"
    """Every entry is canonical bytes in the shape of an entry, and its leaf column is their hash."""
    PROJECTION = "projection"
    """What is searched (columns, words, spans, sealed values) is what the entries say."""
    ERASURE = "erasure"
    """A personal value that is gone was erased by an authorised act."""
    EXTERNAL = "external"
    """Signatures and witnesses outside the database vouch for the heads."""
    COMPLETENESS = "completeness"
    """No number that a process gave to an entry is missing; nothing waits too long."""


class Outcome(StrEnum):
    """How one verdict came out."""

    OK = "ok"
    FAILED = "failed"
    NOT_CHECKED = "not_checked"


@dataclass(frozen=True, slots=True)
class Finding:
    """One thing that is wrong."""

    log: str
    seq: int | None
    what: str
    """A word for a program, e.g. `leaf`; stable."""
    detail: str = ""

    def to_tree(self) -> dict[str, Any]:
        """Give it as JSON values."""
        return {"log": self.log, "seq": self.seq, "what": self.what, "detail": self.detail}


@dataclass(slots=True)
class Tally:
    """One verdict while it is being made."""

    checked: int = 0
    """Things looked at: entries, or what the verdict is about."""
    findings: int = 0
    first: list[Finding] = field(default_factory=list)
    reason: str = "nothing was looked at"
    """Why nothing was checked, while nothing is."""
    looked: bool = False
    noted: int = 0
    notes: list[Finding] = field(default_factory=list)
    """What is not wrong and should be known; the first of so many."""

    def look(self, count: int = 0) -> None:
        """Note that so many things were looked at."""
        self.looked = True
        self.checked += count

    def find(self, log: str, seq: int | None, what: str, detail: str = "") -> None:
        """Note something wrong."""
        self.looked = True
        self.findings += 1
        if len(self.first) < FIRST_FINDINGS:
            self.first.append(Finding(log, seq, what, detail[:MAX_DETAIL_CHARS]))

    def note(self, what: str, detail: str) -> None:
        """Note something that is not wrong in itself."""
        self.noted += 1
        if len(self.notes) < FIRST_FINDINGS:
            self.notes.append(Finding(NO_LOG, None, what, detail[:MAX_DETAIL_CHARS]))

    def skip(self, reason: str) -> None:
        """Say why it cannot be judged; what was found meanwhile stays."""
        self.looked, self.reason = bool(self.findings), reason

    @property
    def outcome(self) -> Outcome:
        """How it stands."""
        if self.findings:
            return Outcome.FAILED
        return Outcome.OK if self.looked else Outcome.NOT_CHECKED

    def to_tree(self) -> dict[str, Any]:
        """Give it as JSON values."""
        return {
            "outcome": self.outcome.value,
            "checked": self.checked,
            "findings": self.findings,
            "first": [one.to_tree() for one in self.first],
            "reason": "" if self.looked else self.reason,
            "noted": self.noted,
            "notes": [one.to_tree() for one in self.notes],
        }

    @classmethod
    def from_tree(cls, tree: Mapping[str, Any]) -> "Tally":
        """Read what `to_tree` gave, to go on with it."""
        return cls(
            checked=tree["checked"],
            findings=tree["findings"],
            first=[Finding(**one) for one in tree["first"]],
            reason=tree["reason"],
            looked=tree["outcome"] != Outcome.NOT_CHECKED,
            noted=tree["noted"],
            notes=[Finding(**one) for one in tree["notes"]],
        )


class Verdicts(dict[Verdict, Tally]):
    """All six."""

    def __init__(self, known: Iterable[tuple[Verdict, Tally]] = ()) -> None:
        super().__init__({**{verdict: Tally() for verdict in Verdict}, **dict(known)})

    @property
    def failed(self) -> tuple[Verdict, ...]:
        """The verdicts that are against the ledger."""
        return tuple(verdict for verdict, tally in self.items() if tally.outcome is Outcome.FAILED)

    def to_tree(self) -> dict[str, Any]:
        """Give them as JSON values."""
        return {verdict.value: tally.to_tree() for verdict, tally in self.items()}

    @classmethod
    def from_tree(cls, tree: Mapping[str, Any]) -> "Verdicts":
        """Read what `to_tree` gave."""
        return cls((Verdict(name), Tally.from_tree(one)) for name, one in tree.items())
