"""Owns how it reads what became of a freeze that nobody had answered: the verdict first. Pure."""

from datetime import UTC

from console.client.unanswered import Became, Fate
from contract.freeze import Freeze, FreezeStatus


def became_text(became: Became) -> str:
    """One sentence: taken, not taken, or unknown; which freeze; what now."""
    note = became.note
    which = f"the freeze of {note.scope} sent at {note.sent_at.astimezone(UTC):%H:%M:%S}"
    match became.fate:
        case Fate.TAKEN if became.freeze is not None:
            return f"TAKEN: {which} is {_standing(became.freeze)}."
        case Fate.NOT_TAKEN:
            return f"NOT TAKEN: {which}. It froze nothing."
        case _:
            why = f" {became.why}" if became.why else ""
            again = " Asking again." if became.again else ""
            return f"UNKNOWN if taken: {which}.{again}{why}"


def _standing(freeze: Freeze) -> str:
    match freeze.status:
        case FreezeStatus.LATCHED:
            return "latched, in force"
        case FreezeStatus.THAWED:
            return f"{freeze.ref}, thawed since by {freeze.thawed_by}"
        case _:
            return f"{freeze.ref}, in force"
