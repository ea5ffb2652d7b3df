"""What a route asks of its caller: a permission, and what calling it does. Decides nothing: see `backend.auth`."""

from dataclasses import dataclass
from enum import StrEnum
from typing import Final

from contract.permissions import Permission

_SAFE_METHODS: Final = frozenset({"GET", "HEAD", "OPTIONS"})


class Effect(StrEnum):
    """What calling a route does, as restrictions of roles see it."""

    READS = "reads"
    """Tells something, changes nothing that anybody else sees. Some reads are POSTs, because their question is long."""
    SEES_FREEZES = "sees_freezes"
    """Tells what is frozen and what a freeze would stop: whoever may freeze has to see it, in whatever session."""
    SESSION = "session"
    """Concerns the caller's own session alone: my password, my other sessions."""
    ENROLS = "enrols"
    """Gives the caller's own account an authenticator, by password and code."""
    UNLOCKS = "unlocks"
    """Says who is calling, unlocks their session or ends it: all that a locked one may beside freezing."""
    OWN = "own"
    """Keeps or asks for something of the caller's own: a saved search, an elevation."""
    CHANGES = "changes"
    """Changes what others see or what the platform does."""
    FREEZES = "freezes"
    """Stops trading. Waits for nothing that a session could lack."""


@dataclass(frozen=True, slots=True)
class Demand:
    """What one route asks for."""

    permission: Permission
    effect: Effect
    exports: bool = False
    """Whether data leave in bulk, in a form made to be kept."""
    recorded: bool = False
    """Whether calling it leaves an audit entry that says what was read, whoever reads."""


def effect_of(method: str) -> Effect:
    """What a route does that says nothing else: HTTP's safe methods read, everything else changes something."""
    return Effect.READS if method in _SAFE_METHODS else Effect.CHANGES
