"""Actions on the trading floor: executors, freezes, what is selected."""

from typing import Final

from console.actions.kinds import Action, Context, Danger
from contract.permissions import Permission

ON_THE_FLOOR: Final[tuple[Action, ...]] = (
    Action(
        "open",
        ("enter",),
        "open",
        "Open what is selected.",
        (Context.OVERVIEW, Context.ALERTS, Context.GROUPS, Context.OPERATIONS, Context.AUDIT),
    ),
    Action(
        "why",
        ("w",),
        "why",
        "Show the facts behind the three risk indicators, with their links.",
        (Context.OVERVIEW,),
        Permission.VIEW_RISK,
        command="why",
    ),
    Action(
        "thaw.request",
        ("t",),
        "thaw",
        "Ask for the selected freeze to be lifted; another person has to approve.",
        (Context.OPERATIONS,),
        Permission.FREEZE_OPERATIONS,
        Danger.STOPS,
        "thaw",
        "[FREEZE]",
    ),
    Action(
        "thaw.approve",
        ("T",),
        "approve",
        "Approve a thaw that somebody else has requested.",
        (Context.OPERATIONS,),
        Permission.APPROVE_THAW,
        Danger.STOPS,
        "approve",
        "[FREEZE]",
    ),
    Action(
        "thaw.stop",
        ("S",),
        "stop thaw",
        "Put a freeze back that is being lifted in stages, or turn down a thaw that was asked for.",
        (Context.OPERATIONS,),
        Permission.FREEZE_OPERATIONS,
        Danger.CHANGES,
        "stop",
        "[FREEZE]",
    ),
    Action(
        "freeze.incident",
        ("i",),
        "incident",
        "Declare an incident from the freeze, or make the freeze part of an open one.",
        (Context.OPERATIONS, Context.BOARD),
        Permission.HANDLE_INCIDENTS,
        Danger.CHANGES,
    ),
    Action(
        "pane.next",
        ("tab",),
        "",
        "Go to the other list of the screen.",
        (Context.OPERATIONS,),
    ),
)

FOLLOWING: Final[tuple[Action, ...]] = (
    Action("follow", ("f",), "follow", "Follow a link of what is selected.", (Context.ALERTS, Context.AUDIT)),
)

DRILLING: Final[tuple[Action, ...]] = (
    Action(
        "drill.start",
        ("n",),
        "start drill",
        "Freeze a canary for practice: the freeze dialog, tagged DRILL; it ends by itself.",
        (Context.DRILLS,),
        Permission.FREEZE_OPERATIONS,
        Danger.STOPS,
        "freeze-drill",
        "[SCOPE]",
    ),
    Action(
        "drill.evidence",
        ("e",),
        "evidence",
        "Write the evidence of the drill into a file: outcomes, proofs and signed statements.",
        (Context.DRILLS,),
        Permission.VIEW_FREEZES,
        command="evidence",
    ),
)

FREEZING: Final[tuple[Action, ...]] = (
    Action(
        "freeze",
        ("F F",),
        "freeze",
        "Stop trading of a scope: opens the freeze dialog, which shows what it would stop before it asks.",
        (Context.EVERYWHERE, Context.READING),
        permission=Permission.FREEZE_OPERATIONS,
        danger=Danger.STOPS,
        command="freeze",
        argument="[SCOPE]",
    ),
)
