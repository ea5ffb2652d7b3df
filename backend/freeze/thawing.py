"""What a thaw is bound to, when it lapses, and in which stages it takes effect. Pure; does no I/O."""

import hashlib
import json
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, Final, Self
from uuid import UUID

from backend.freeze.core import Place, covers
from contract.scope import Scope, ScopeKind
from contract.states import Severity

VIOLATION_RULES: Final = frozenset({"HALT_VIOLATION"})
"""Alerts that say that somebody did more than was acknowledged: they break a thaw off whatever their severity."""
MAX_GAP: Final = timedelta(seconds=5)
"""A longer gap between two looks is time in which nobody watched: longer than a change of leader takes."""
_MAX_NAMED = 3
"""Changes of one kind that are named before they are counted."""


@dataclass(frozen=True, slots=True, order=True)
class AlertMark:
    """What a thaw remembers of an open alert. Its wording moves with its value and is left out."""

    id: str
    severity: str
    rule: str


@dataclass(frozen=True, slots=True)
class Subject:
    """Everything that a request and its approval are about."""

    freeze: str
    """The hold's id."""
    epoch: int
    scope: str
    mode: str
    other_holds: frozenset[str]
    """Refs of the holds that stay over its executors."""
    executors: frozenset[str]
    """Those that no other hold covers: they may trade again."""
    alerts: frozenset[AlertMark]
    """Open alerts that touch the scope."""

    def plain(self) -> dict[str, Any]:
        """As it is stored and hashed: in one order, whatever order it was found in."""
        return {
            "freeze": self.freeze,
            "epoch": self.epoch,
            "scope": self.scope,
            "mode": self.mode,
            "other_holds": sorted(self.other_holds),
            "executors": sorted(self.executors),
            "alerts": [[one.id, one.severity, one.rule] for one in sorted(self.alerts)],
        }

    @classmethod
    def of_plain(cls, stored: Mapping[str, Any]) -> Self:
        """Read what `plain` gave."""
        return cls(
            freeze=stored["freeze"],
            epoch=stored["epoch"],
            scope=stored["scope"],
            mode=stored["mode"],
            other_holds=frozenset(stored["other_holds"]),
            executors=frozenset(stored["executors"]),
            alerts=frozenset(AlertMark(*one) for one in stored["alerts"]),
        )

    @property
    def digest(self) -> str:
        """SHA-256 in hex: equal exactly if everything above is."""
        canonical = json.dumps({"thaw": 1, **self.plain()}, sort_keys=True, separators=(",", ":"))
        return hashlib.sha256(canonical.encode("ascii")).hexdigest()


def changes(before: Subject, after: Subject) -> list[str]:
    """What is no longer as it was, in plain words; empty exactly if the digests agree."""
    found = []
    if (before.freeze, before.epoch, before.scope, before.mode) != (after.freeze, after.epoch, after.scope, after.mode):
        found.append("the hold itself is another")
    old, new = ({one.id: one for one in subject.alerts} for subject in (before, after))
    named = {ident: f"{one.severity} {one.rule}" for ident, one in (old | new).items()}
    found += _listed("new alert", [named[ident] for ident in new.keys() - old.keys()])
    found += _listed("alert over", [named[ident] for ident in old.keys() - new.keys()])
    found += _listed("alert changed", [named[ident] for ident in old.keys() & new.keys() if old[ident] != new[ident]])
    found += _listed("hold added", after.other_holds - before.other_holds)
    found += _listed("hold gone", before.other_holds - after.other_holds)
    found += _listed("executor joined", after.executors - before.executors)
    found += _listed("executor left", before.executors - after.executors)
    return found


def _listed(kind: str, names: Collection[str]) -> list[str]:
    shown = sorted(names)
    if not shown:
        return []
    more = f" and {len(shown) - _MAX_NAMED:,} more" if len(shown) > _MAX_NAMED else ""
    return [f"{kind}: {', '.join(shown[:_MAX_NAMED])}{more}"]


def touches(one: Scope, other: Scope, places: Iterable[Place]) -> bool:
    """Whether two scopes have to do with each other: one lies within the other, or an executor is under both."""
    if ScopeKind.GLOBAL in {one.kind, other.kind}:
        return True
    mine, theirs = ({str(term).casefold() for term in scope.terms} for scope in (one, other))
    if mine <= theirs or theirs <= mine:
        return True
    return any(covers(one, place) and covers(other, place) for place in places)


def first_stage(freeze_id: UUID, executors: Collection[str], percent: int) -> tuple[str, ...]:
    """The executors that are let go first: a share of them, rounded up, in an order that nobody chooses."""

    def place_in_line(name: str) -> bytes:
        return hashlib.sha256(f"{freeze_id}{name}".encode()).digest()

    count = -(-len(executors) * percent // 100)
    return tuple(sorted(executors, key=place_in_line)[:count])


def breaks_off(known: Subject, alerts: Iterable[AlertMark]) -> AlertMark | None:
    """The alert that ends a thaw under way: a critical one, or a violation, that the approver had not seen."""
    seen = {one.id for one in known.alerts}
    grave = (one for one in alerts if one.severity == Severity.CRITICAL.value or one.rule in VIOLATION_RULES)
    return next((one for one in sorted(grave) if one.id not in seen), None)


def seconds_left(until: datetime, now: datetime) -> int:
    """Whole seconds until an instant, rounded up; 0 once it has come."""
    return max(0, -((now - until) // timedelta(seconds=1)))


def watched_until(until: datetime, *, looked_at: datetime, now: datetime) -> datetime:
    """When the watch ends: time in which no backend looked does not count as watched.

    Nor does a step of the clock: put forward it looks like such a time, put back it moves the end along.
    """
    gap = now - looked_at
    return until + gap if gap > MAX_GAP or gap < timedelta(0) else until


def held_from(created_at: datetime, held_since: datetime, acked_at: datetime) -> datetime:
    """From when on an executor's halt is counted: the freeze, or the break-off of a thaw that had let it go."""
    return created_at if acked_at < held_since else held_since


def stages(executors: Sequence[str], first: Sequence[str]) -> list[tuple[str, ...]]:
    """Who is let go when: the first ones, then the rest; one stage when there is no rest."""
    rest = tuple(sorted(set(executors) - set(first)))
    return [stage for stage in (tuple(sorted(first)), rest) if stage]
