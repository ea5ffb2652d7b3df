"""Up which steps an alert goes that nobody acknowledges, and when. Pure; the steps are the policy's.

Passing on early, by a person, starts the next step's time anew: whoever gets it has as long as the policy gives.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from backend.policy.alerting import EscalationStep


@dataclass(frozen=True, slots=True)
class Standing:
    """Who has an alert, and when it goes on unless somebody acknowledges it."""

    level: int
    to: str | None
    """None: the policy names nobody for this severity."""
    next_to: str | None = None
    next_at: datetime | None = None
    """None at the top."""
    people: tuple[str, ...] = ()
    """Who has it by name, where the policy says."""


def begin(steps: Sequence[EscalationStep], raised_at: datetime) -> Standing:
    """With whom an alert begins."""
    return _at(steps, 0, raised_at)


def passed_on(steps: Sequence[EscalationStep], level: int, at: datetime) -> Standing | None:
    """One step up at an instant; None at the top. Where the policy has become shorter its last step is the top."""
    return _at(steps, level + 1, at) if level + 1 < len(steps) else None


def after_breach(steps: Sequence[EscalationStep], level: int, due_at: datetime, now: datetime) -> Standing | None:
    """Where an alert stands whose time was up: steps whose time has passed as well, while nobody looked, are gone over.

    None at the top already.
    """
    standing, at = passed_on(steps, level, due_at), due_at
    while standing is not None and standing.next_at is not None and standing.next_at <= now:
        at = standing.next_at
        further = passed_on(steps, standing.level, at)
        if further is None:
            break
        standing = further
    return standing


def _at(steps: Sequence[EscalationStep], level: int, at: datetime) -> Standing:
    if not steps:
        return Standing(level=0, to=None)
    here, above = steps[level], steps[level + 1] if level + 1 < len(steps) else None
    if above is None:
        return Standing(level, here.title, people=here.people)
    due = at + timedelta(minutes=above.after_minutes - here.after_minutes)
    return Standing(level, here.title, above.title, due, here.people)
