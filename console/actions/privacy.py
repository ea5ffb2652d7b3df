"""Actions on personal data: erasing people, and legal holds that forbid it."""

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
HOLDING: Final[tuple[Action, ...]] = (
    Action(
        "legal-hold.place",
        ("n",),
        "place",
        "Place a legal hold: nothing that it covers is erased or dropped.",
        (Context.LEGAL_HOLDS,),
        Permission.ERASE_PERSONAL_DATA,
        Danger.CHANGES,
    ),
    Action(
        "legal-hold.lift",
        ("t",),
        "ask to lift",
        "Ask for the selected legal hold to be lifted; another person has to do it.",
        (Context.LEGAL_HOLDS,),
        Permission.ERASE_PERSONAL_DATA,
        Danger.CHANGES,
    ),
    Action(
        "legal-hold.approve",
        ("T",),
        "lift",
        "Lift the selected legal hold, as the second one who wants it.",
        (Context.LEGAL_HOLDS,),
        Permission.ERASE_PERSONAL_DATA,
        Danger.CHANGES,
    ),
    Action(
        "legal-hold.all",
        ("a",),
        "all",
        "Show lifted legal holds too, or no longer.",
        (Context.LEGAL_HOLDS,),
        Permission.ERASE_PERSONAL_DATA,
    ),
)
