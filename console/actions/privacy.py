"""Actions on personal data: erasing people."""

from typing import Final

from console.actions.kinds import Action, Context, Danger
from contract.permissions import Permission

ERASING: Final[tuple[Action, ...]] = (
    Action(
        "erasure.request",
        ("n",),
        "ask to erase",
        "Ask for a person to be erased; another person has to do it.",
        (Context.ERASURES,),
        Permission.ERASE_PERSONAL_DATA,
        Danger.ERASES,
    ),
    Action(
        "erasure.approve",
        ("T",),
        "erase",
        "Erase the person of the selected request, as the second one who wants it.",
        (Context.ERASURES,),
        Permission.ERASE_PERSONAL_DATA,
        Danger.ERASES,
    ),
    Action(
        "erasure.withdraw",
        ("W",),
        "withdraw",
        "Take back or turn down the selected request.",
        (Context.ERASURES,),
        Permission.ERASE_PERSONAL_DATA,
        Danger.CHANGES,
    ),
)
