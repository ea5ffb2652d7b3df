"""Actions on sessions: the list of them, and what a locked console still does."""

from typing import Final

from console.actions.kinds import Action, Context, Danger
from contract.permissions import Permission

SESSIONS: Final[tuple[Action, ...]] = (
    Action(
        "session.end",
        ("x",),
        "end",
        "End the selected session: it is refused everywhere at once.",
        (Context.SESSIONS,),
        Permission.OWN_SESSION,
        Danger.CHANGES,
    ),
    Action(
        "session.all",
        ("a",),
        "everybody's",
        "Show everybody's sessions, or only your own again.",
        (Context.SESSIONS,),
        Permission.MANAGE_USERS,
    ),
)
LOCKED: Final[tuple[Action, ...]] = (
    Action("locked.unlock", ("enter",), "unlock", "Unlock with what the fields hold.", (Context.LOCKED,)),
    Action(
        "locked.freeze",
        ("f4",),
        "freeze",
        "Stop trading of a scope, also while the console is locked.",
        (Context.LOCKED,),
        Permission.FREEZE_OPERATIONS,
        Danger.STOPS,
    ),
)
