"""Actions that move: in lists, and from screen to screen."""

from typing import Final

from console.actions.kinds import Action, Context
from contract.permissions import Permission

_ALERTS = (Context.ALERTS, Context.OVERVIEW)

LISTS: Final[tuple[Action, ...]] = (
    Action(
        "filter",
        ("slash",),
        "filter",
        "Show only rows that contain the words you type.",
        (Context.ALERTS, Context.GROUPS, Context.OPERATIONS, Context.AUDIT, Context.INCIDENTS, Context.REPORTS),
    ),
    Action("list.down", ("j", "down"), "", "Next row.", (Context.LIST,)),
    Action("list.up", ("k", "up"), "", "Previous row.", (Context.LIST,)),
    Action("list.top", ("g", "home"), "", "First row.", (Context.LIST,)),
    Action("list.bottom", ("G", "end"), "", "Last row.", (Context.LIST,)),
    Action("list.page_down", ("pagedown", "space", "ctrl+f"), "", "One page on.", (Context.LIST,)),
    Action("list.page_up", ("pageup", "b", "ctrl+b"), "", "One page back.", (Context.LIST,)),
)

SCREENS: Final[tuple[Action, ...]] = (
    Action("go.overview", ("1",), "screens", "Overview: can I go back to sleep?", shown="1-9", command="overview"),
    Action(
        "go.alerts",
        ("2",),
        "",
        "Alerts: what crossed a limit, who has seen it.",
        permission=Permission.VIEW_ALERTS,
        command="alerts",
        argument="[FILTER]",
    ),
    Action(
        "go.operations",
        ("3",),
        "",
        "Operations: executors and freezes.",
        permission=Permission.VIEW_EXECUTORS,
        command="operations",
    ),
    Action(
        "go.audit",
        ("4",),
        "",
        "Audit: who did what to which resource.",
        permission=Permission.VIEW_AUDIT_LOGS,
        command="audit",
        argument="[WORDS AND FILTERS]",
    ),
    Action(
        "go.verify",
        ("5",),
        "",
        "Verification: is the ledger what was written?",
        permission=Permission.VIEW_AUDIT_LOGS,
        command="verify",
    ),
    Action(
        "go.ledger",
        ("6",),
        "",
        "Ledger: is it signed, witnessed, written and kept as it should be?",
        permission=Permission.VIEW_AUDIT_LOGS,
        command="ledger",
    ),
    Action(
        "go.erasures",
        ("7",),
        "",
        "Erasures: who is to be forgotten, and who has agreed?",
        permission=Permission.ERASE_PERSONAL_DATA,
        command="erasures",
    ),
    Action(
        "go.legal-holds",
        ("8",),
        "",
        "Legal holds: what must not be erased or dropped, and why?",
        permission=Permission.ERASE_PERSONAL_DATA,
        command="holds",
    ),
    Action(
        "go.freeze-drills",
        ("9",),
        "",
        "Freeze drills: how soon do canaries halt?",
        permission=Permission.VIEW_FREEZES,
        command="freeze-drills",
    ),
    Action(
        "go.sessions",
        ("0",),
        "",
        "Sessions: where am I signed in, and who else is?",
        permission=Permission.OWN_SESSION,
        command="sessions",
    ),
    Action(
        "go.silences",
        ("Z",),
        "",
        "Silences: which alerts are muted, until when, and why?",
        permission=Permission.VIEW_ALERTS,
        command="silences",
    ),
)
