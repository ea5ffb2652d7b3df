"""Owns what is known of the ledger's state: heads, witnesses, write path, retention, and its one sentence. Pure."""

from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import Final

from console.state.freshness import coarse_age, seconds_between
from contract.heads import LedgerHeads, Readiness
from contract.retention import RetentionReport

LOOK_S: Final = 10.0
"""How often the page asks: the signer signs every few seconds, witnesses follow."""
SLOW_OUTBOX_S: Final = 5.0
"""Entries reach the ledger within a quarter of a second; one that waits for seconds means that nobody takes them."""
UNSIGNED_LIMIT: Final = timedelta(minutes=5)
"""Past this an unsigned or unwitnessed tail is worth the operator's attention."""


@dataclass(frozen=True)
class LedgerState:
    """What the three routes said last; None where one has not answered."""

    heads: LedgerHeads | None = None
    ready: Readiness | None = None
    retention: RetentionReport | None = None
    heard_at: datetime | None = None

    def with_answer(self, value: object, now: datetime) -> "LedgerState":
        """After one of them answered."""
        match value:
            case LedgerHeads():
                return replace(self, heads=value, heard_at=now)
            case Readiness():
                return replace(self, ready=value, heard_at=now)
            case RetentionReport():
                return replace(self, retention=value, heard_at=now)
            case _:
                return self


def headline(state: LedgerState, now: datetime) -> tuple[str, str]:
    """Mood and sentence: the worst thing that is known; what is not known is not called good."""
    heads = state.heads
    if heads is None:
        return "", "Asking how the ledger stands."
    worst = _wrong(heads, state.ready)
    if worst:
        return "bad", worst
    doubtful = _doubtful(heads, state.retention, now)
    if doubtful:
        return "near", doubtful
    unheld = [one.log for one in heads.logs if one.size and not one.witnessed]
    if unheld and heads.witnesses:
        return "", f"No witness holds a head of {', '.join(unheld)} yet."
    return "ok" if state.ready is not None and heads.witnesses else "", heads.summary


def _wrong(heads: LedgerHeads, ready: Readiness | None) -> str:
    path = ready.audit if ready is not None else None
    if heads.fault is not None:
        return heads.fault
    if path is not None and path.quarantined:
        return f"{_counted(path.quarantined, 'row')} of the outbox could not become entries."
    if path is not None and path.outbox_age_seconds > SLOW_OUTBOX_S:
        return f"Entries wait for {path.outbox_age_seconds:,.0f} s: nothing takes them into the ledger."
    if path is not None and path.spool_problem:
        return f"The backend's spool: {path.spool_problem}"
    too_few = len(heads.witnesses) - silent(heads) < heads.witnesses_required
    return heads.summary if heads.signer.problem is not None or too_few else ""


def _doubtful(heads: LedgerHeads, kept: RetentionReport | None, now: datetime) -> str:
    late = [one.unwitnessed_since for one in heads.logs if one.unwitnessed_since is not None]
    if late and now - min(late) > UNSIGNED_LIMIT:
        age = coarse_age(seconds_between(min(late), now) or 0.0)
        return f"Too few witnesses hold the heads of the last {age}."
    if silent(heads):
        return heads.summary
    if kept is not None and kept.failing_copies:
        return f"{_counted(len(kept.failing_copies), 'archived copy', 'archived copies')} not as it should be."
    return ""


def silent(heads: LedgerHeads) -> int:
    """How many witnesses do not do their work."""
    return sum(one.problem is not None for one in heads.witnesses)


def _counted(number: int, one: str, many: str = "") -> str:
    return f"{number:,} {one if number == 1 else many or one + 's'}"
