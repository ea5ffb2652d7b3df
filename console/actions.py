"""The one table of everything an operator can do: keys, names, help, permission and danger of each action.

Key line, `?` help, palette, `:` line, documents and tests read it. Must never import Textual or act by itself.
"""

from collections.abc import Iterable
from enum import StrEnum
from typing import Final, NamedTuple

from contract.permissions import Permission


class Danger(StrEnum):
    """What an action may do to the trading floor."""

    NONE = "none"
    CHANGES = "changes"
    """Recorded in the audit log, undone easily."""
    ERASES = "erases"
    """Cannot be taken back: asks for the typed name first."""
    STOPS = "stops"
    """Stops or restarts trading: asks for a reason and the typed name first."""


class Context(StrEnum):
    """Where a key works."""

    ALWAYS = "always"
    """Also before anybody has logged in."""
    EVERYWHERE = "everywhere"
    """On every screen of somebody who is logged in."""
    LIST = "list"
    OVERVIEW = "overview"
    ALERTS = "alerts"
    OPERATIONS = "operations"
    AUDIT = "audit"
    LOGIN = "login"
    DIALOG = "dialog"
    PALETTE = "palette"
    ENTRY = "entry"
    """The page of one audit entry."""
    ERASURES = "erasures"
    VERIFY = "verify"
    READING = "reading"
    """Help and other full-screen texts."""


class Action(NamedTuple):
    """One thing an operator can do."""

    id: str
    keys: tuple[str, ...]
    """Textual's names, the first one shown; two keys in a row are joined by a space."""
    label: str
    """One or two words for the key line; empty keeps it out of there."""
    help: str
    """One sentence for the help."""
    contexts: tuple[Context, ...] = (Context.EVERYWHERE,)
    permission: Permission | None = None
    danger: Danger = Danger.NONE
    command: str = ""
    """What to type after `:`; empty if it makes no sense there."""
    argument: str = ""
    """What the command takes, as shown in the help."""
    shown: str = ""
    """The key as the key line shows it, where one entry stands for several."""

    @property
    def method(self) -> str:
        """The name of the method that does it, on the widget, screen or application in reach."""
        return "do_" + self.id.replace(".", "_").replace("-", "_")


_ALERTS = (Context.ALERTS, Context.OVERVIEW)

ACTIONS: Final[tuple[Action, ...]] = (
    Action(
        "alert.ack",
        ("a",),
        "ack",
        "Say that you have seen the selected alert; it stays until its rule clears it.",
        _ALERTS,
        Permission.ACKNOWLEDGE_ALERTS,
        Danger.CHANGES,
        "ack",
    ),
    Action(
        "open",
        ("enter",),
        "open",
        "Open what is selected.",
        (Context.OVERVIEW, Context.ALERTS, Context.OPERATIONS, Context.AUDIT),
    ),
    Action("follow", ("f",), "follow", "Follow a link of what is selected.", (Context.ALERTS, Context.AUDIT)),
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
        "pane.next",
        ("tab",),
        "",
        "Go to the other list of the screen.",
        (Context.OPERATIONS,),
    ),
    Action(
        "audit.search",
        ("s",),
        "search",
        "Search the audit log: words and filters such as user:ana result:denied since:2h.",
        (Context.AUDIT,),
        Permission.VIEW_AUDIT_LOGS,
        command="search",
        argument="[WORDS AND FILTERS]",
    ),
    Action(
        "audit.more",
        ("m",),
        "",
        "Load the next page of older entries.",
        (Context.AUDIT,),
        Permission.VIEW_AUDIT_LOGS,
    ),
    Action(
        "search.save",
        ("w",),
        "",
        "Save the search that is shown, for you alone: `s saved:NAME` finds it again.",
        (Context.AUDIT,),
        Permission.VIEW_AUDIT_LOGS,
        command="save",
        argument="NAME",
    ),
    Action(
        "search.forget",
        ("W",),
        "",
        "Delete one of your saved searches.",
        (Context.AUDIT,),
        Permission.VIEW_AUDIT_LOGS,
        command="forget",
        argument="NAME",
    ),
    Action(
        "audit.verify",
        ("v",),
        "verify",
        "Whether the ledger is what was written: the last verification, and a new one.",
        (Context.AUDIT,),
        Permission.VIEW_AUDIT_LOGS,
    ),
    Action(
        "entry.reveal",
        ("R",),
        "reveal",
        "Show the sealed values of this entry, for a reason; that you did is recorded.",
        (Context.ENTRY,),
        Permission.REVEAL_PERSONAL_DATA,
    ),
    Action(
        "entry.proof",
        ("p",),
        "proof",
        "Ask whether a signed head covers this entry; that you did is recorded.",
        (Context.ENTRY,),
        Permission.VIEW_AUDIT_LOGS,
    ),
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
    Action(
        "verify.new",
        ("v",),
        "verify new",
        "Verify what was added since the last good verification; goes on if you leave.",
        (Context.VERIFY,),
        Permission.VIEW_AUDIT_LOGS,
    ),
    Action(
        "verify.full",
        ("V",),
        "verify all",
        "Verify the whole ledger from its first entry on; goes on if you leave.",
        (Context.VERIFY,),
        Permission.VIEW_AUDIT_LOGS,
    ),
    Action(
        "filter",
        ("slash",),
        "filter",
        "Show only rows that contain the words you type.",
        (Context.ALERTS, Context.OPERATIONS, Context.AUDIT),
    ),
    Action("list.down", ("j", "down"), "", "Next row.", (Context.LIST,)),
    Action("list.up", ("k", "up"), "", "Previous row.", (Context.LIST,)),
    Action("list.top", ("g", "home"), "", "First row.", (Context.LIST,)),
    Action("list.bottom", ("G", "end"), "", "Last row.", (Context.LIST,)),
    Action("list.page_down", ("pagedown", "space", "ctrl+f"), "", "One page on.", (Context.LIST,)),
    Action("list.page_up", ("pageup", "b", "ctrl+b"), "", "One page back.", (Context.LIST,)),
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
    Action(
        "audit.ledger",
        ("L",),
        "ledger",
        "The ledger's state: heads, witnesses, outbox, quarantine, retention.",
        (Context.VERIFY, Context.AUDIT),
        Permission.VIEW_AUDIT_LOGS,
    ),
    Action("go.overview", ("1",), "screens", "Overview: can I go back to sleep?", shown="1-7", command="overview"),
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
    Action("pause", ("p",), "pause", "Hold the screen still; updates are kept and shown on resume.", command="pause"),
    Action("copy", ("y",), "", "Copy what is selected to your clipboard (OSC 52).", command="copy"),
    Action("command", ("colon",), "command", "Type a command; Tab completes."),
    Action("palette", ("ctrl+p", "f2"), "", "List every action and run one.", command="palette"),
    Action(
        "help",
        ("question_mark", "f1"),
        "help",
        "What every key does here, and what you may not do.",
        (Context.ALWAYS,),
        command="help",
    ),
    Action("redraw", ("ctrl+l", "f5"), "", "Paint the whole screen again.", (Context.ALWAYS,), command="redraw"),
    Action("back", ("escape",), "", "Back: close, clear the filter, dismiss the message."),
    Action("logout", ("f12",), "", "End your session and return to the login.", command="logout"),
    Action("quit", ("q",), "quit", "Quit at the root; elsewhere go back.", command="quit"),
    Action("quit.now", ("ctrl+q", "ctrl+c"), "", "Quit at once, from anywhere.", (Context.ALWAYS,), command="quit!"),
    Action("login.send", ("enter",), "log in", "Log in with what the fields hold.", (Context.LOGIN,)),
    Action("login.fill", ("f3",), "demo user", "Fill in the next demonstration user.", (Context.LOGIN,)),
    Action("dialog.next", ("tab", "down"), "next field", "Go to the next field.", (Context.DIALOG,)),
    Action("dialog.previous", ("shift+tab", "up"), "", "Go to the previous field.", (Context.DIALOG,)),
    Action("dialog.complete", ("right",), "", "Complete the scope you are typing.", (Context.DIALOG,)),
    Action("dialog.close", ("escape",), "cancel", "Close without doing anything.", (Context.DIALOG,)),
    Action("palette.do", ("enter",), "do it", "Do the selected action.", (Context.PALETTE,)),
    Action("palette.close", ("escape",), "close", "Close without doing anything.", (Context.PALETTE,)),
    Action(
        "reading.follow", ("enter", "f"), "follow link", "Go to what the selected line points at.", (Context.READING,)
    ),
    Action("reading.copy", ("y",), "copy", "Copy the whole page to your clipboard.", (Context.READING,)),
    Action("reading.close", ("escape", "q"), "close", "Close.", (Context.READING,)),
)

_BY_ID: Final = {action.id: action for action in ACTIONS}


def by_id(action_id: str) -> Action:
    """The action of an id.

    Raises:
        KeyError: no such action.
    """
    return _BY_ID[action_id]


def in_contexts(contexts: Iterable[Context]) -> list[Action]:
    """All actions that work in any of these contexts, in the order of the table."""
    wanted = set(contexts)
    return [action for action in ACTIONS if wanted.intersection(action.contexts)]


def find(keys: str, contexts: Iterable[Context]) -> Action | None:
    """The action of a key, or of two keys joined by a space; the first context that knows the key decides."""
    for context in contexts:
        for action in ACTIONS:
            if context in action.contexts and keys in action.keys:
                return action
    return None


def starts_sequence(key: str, contexts: Iterable[Context]) -> bool:
    """Whether a key is the first of two."""
    start = f"{key} "
    return any(known.startswith(start) for action in in_contexts(contexts) for known in action.keys)


def refusal(action: Action, permissions: frozenset[Permission] | None, role: str) -> str:
    """Why a role may not do this, in one plain sentence; empty if it may."""
    if action.permission is None or permissions is None or action.permission in permissions:
        return ""
    return f"Your role {role or 'has no name'} may not do this: it lacks {action.permission.value}."


def commands(contexts: Iterable[Context]) -> dict[str, Action]:
    """What can be typed after `:` in these contexts, by name."""
    return {action.command: action for action in in_contexts(contexts) if action.command}


def all_commands() -> dict[str, Action]:
    """Every command, by name."""
    return {action.command: action for action in ACTIONS if action.command}
