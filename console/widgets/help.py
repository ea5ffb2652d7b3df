"""Owns the help: made from the action table, with what a role may not do and why."""

from collections.abc import Iterable

from console.actions import ACTIONS, Action, Context, Danger, in_contexts, refusal
from console.keys import shown_key
from console.widgets.frame import Who
from console.widgets.lines import EMPTY, Line, left, line, outside, wrap
from console.widgets.view import View

_KEY_COLUMNS = 22
_TITLES = {
    Context.EVERYWHERE: "On every screen",
    Context.ALWAYS: "Always, also before the login",
    Context.LIST: "In a list",
    Context.OVERVIEW: "Overview",
    Context.ALERTS: "Alerts",
    Context.GROUPS: "Alert groups",
    Context.ALERT: "On an alert",
    Context.JOINING: "Choosing an incident",
    Context.SILENCES: "Silences",
    Context.OPERATIONS: "Operations",
    Context.BOARD: "On the board of a freeze",
    Context.AUDIT: "Audit",
    Context.LOGIN: "Login",
    Context.DIALOG: "In a dialog",
    Context.PALETTE: "In the palette",
    Context.ENTRY: "On an audit entry",
    Context.ERASURES: "Erasures",
    Context.LEGAL_HOLDS: "Legal holds",
    Context.SESSIONS: "Sessions",
    Context.LOCKED: "Locked",
    Context.DRILLS: "Freeze drills",
    Context.RECOVERY: "Recovery drills",
    Context.RECOVERY_DRILL: "On a recovery drill",
    Context.BACKUPS: "Backups",
    Context.NOTIFICATIONS: "Notifications",
    Context.VERIFY: "Verification",
    Context.INCIDENTS: "Incidents",
    Context.INCIDENT: "On an incident",
    Context.NOTE: "Typing a line of a timeline",
    Context.EVIDENCE: "Evidence",
    Context.FOLLOW_UPS: "Follow-ups",
    Context.FIGURES: "Incident figures",
    Context.POSTMORTEM: "Post-mortem",
    Context.REPORTS: "Imported reports",
    Context.EDITOR: "Writing a section",
    Context.READING: "On a page",
}

LEGEND = (
    "live: the backend was heard within the last two seconds. LOST: it was not; what is shown is old and dimmed.",
    "<1m, 4m, 2h05: the age of what stands beside it. --: too old or not known.",
    "STALE: older than twice its interval, or the backend is lost.",
    "response: time left to answer an alert by the policy, or by how much it is over.",
    "up in: time until an alert goes up the escalation table unless somebody acknowledges it; a number: how far it is.",
    "muted: kept and listed, but nobody is told and no clock runs, because of a silence, another alert or a mute time.",
    "All times are UTC. Amounts are ETH. The clock shows seconds while data keeps coming.",
)


def help_rows(title: str, reach: Iterable[Context], who: Who, view: View) -> list[Line]:
    """Every action, those of the screen first, and what the words on the screens mean."""
    here = list(reach)
    order = [*here, *(context for context in _TITLES if context not in here)]
    lines: list[Line] = []
    for context in order:
        known = [action for action in in_contexts([context]) if action.contexts[0] is context or context in here]
        if not known:
            continue
        mark = f" ({title}, where you are)" if context is here[0] else ""
        lines += [line((_TITLES[context] + mark, "head"))]
        for action in known:
            lines += _action_rows(action, who, view)
        lines.append(EMPTY)
    lines.append(line(("What the words mean", "head")))
    for text in LEGEND:
        lines += [line(row) for row in wrap(text, view.width)]
    return lines


def _action_rows(action: Action, who: Who, view: View) -> list[Line]:
    g = view.glyphs
    keys = ", ".join(shown_key(key) for key in action.keys)
    refused = refusal(action, who.permissions, who.role)
    text = action.help
    if action.command:
        text += f"  :{action.command}{' ' + action.argument if action.argument else ''}"
    rows = wrap(text, max(view.width - _KEY_COLUMNS - 2, 20))
    style = "dim" if refused else ""
    first = line((left(f"  {keys}", _KEY_COLUMNS, g), "dim" if refused else "key"), (rows[0], style))
    lines = [first, *(line(" " * _KEY_COLUMNS, (row, style)) for row in rows[1:])]
    if action.danger is Danger.STOPS and not refused:
        lines.append(line(" " * _KEY_COLUMNS, (f"{g.near} stops or restarts trading: asks first", "near")))
    if action.danger is Danger.ERASES and not refused:
        lines.append(line(" " * _KEY_COLUMNS, (f"{g.near} cannot be taken back: asks first", "near")))
    if refused:
        room = max(view.width - _KEY_COLUMNS - 4, 20)
        marks = [f"{g.near} ", *["  "] * len(refused)]
        reasons = zip(marks, wrap(outside(refused), room), strict=False)
        lines += [line(" " * _KEY_COLUMNS, (mark, "near"), (row, "near")) for mark, row in reasons]
    return lines


def table_rows() -> list[tuple[str, str, str, str, str]]:
    """Keys, command, help, permission and place of every action: for the documents."""
    return [
        (
            ", ".join(shown_key(key) for key in action.keys),
            f":{action.command}" if action.command else "",
            action.help,
            action.permission.value if action.permission else "",
            ", ".join(context.value for context in action.contexts),
        )
        for action in ACTIONS
    ]
