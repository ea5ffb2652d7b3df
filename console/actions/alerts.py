"""Actions on alerts: what a person does with one or with all that are marked, and on silences."""

from typing import Final

from console.actions.kinds import Action, Context, Danger
from contract.permissions import Permission

_ONE = (Context.ALERTS, Context.OVERVIEW, Context.ALERT)
_ANYWHERE = (*_ONE, Context.GROUPS)

WORKING: Final[tuple[Action, ...]] = (
    Action(
        "alert.ack",
        ("a",),
        "ack",
        "Say that you have seen the selected alert, or all marked ones; it stays until its rule clears it.",
        _ANYWHERE,
        Permission.ACKNOWLEDGE_ALERTS,
        Danger.CHANGES,
        "ack",
    ),
    Action(
        "alert.silence",
        ("s",),
        "silence",
        "Mute alerts until a time, for a reason: shows what it would mute before it does.",
        _ANYWHERE,
        Permission.SILENCE_ALERTS,
        Danger.CHANGES,
        "silence",
        "[MATCHERS]",
    ),
    Action(
        "alert.incident",
        ("i",),
        "declare",
        "Declare an incident from the selected alert, or from all marked ones, or make them part of an open one.",
        _ANYWHERE,
        Permission.HANDLE_INCIDENTS,
        Danger.CHANGES,
    ),
)

MORE: Final[tuple[Action, ...]] = (
    Action(
        "alert.groups",
        ("v",),
        "groups",
        "Show one line a group instead of one an alert; on the alerts of one group: back to the groups.",
        (Context.ALERTS,),
        command="groups",
    ),
    Action("alert.list", ("v",), "alerts", "Show one line an alert again.", (Context.GROUPS,), command="list"),
    Action(
        "alert.mark",
        ("space",),
        "mark",
        "Mark the selected alert, or unmark it: a, A, r, n, E, s, i and L then mean all marked ones. Esc unmarks all.",
        (Context.ALERTS, Context.GROUPS),
        command="mark",
    ),
    Action(
        "alert.mark-all",
        ("asterisk",),
        "",
        "Mark all alerts that are listed and not cleared, or unmark them.",
        (Context.ALERTS,),
        command="mark-all",
    ),
    Action(
        "alert.comment",
        ("A",),
        "",
        "Acknowledge with a comment.",
        _ANYWHERE,
        Permission.ACKNOWLEDGE_ALERTS,
        Danger.CHANGES,
    ),
    Action(
        "alert.assign",
        ("r",),
        "",
        "Give the selected alert, or all marked ones, to a person; to nobody with an empty name.",
        _ANYWHERE,
        Permission.ACKNOWLEDGE_ALERTS,
        Danger.CHANGES,
        "assign",
        "[PERSON]",
    ),
    Action(
        "alert.note",
        ("n",),
        "",
        "Write a note into the history of the selected alert, or of all marked ones.",
        _ANYWHERE,
        Permission.ACKNOWLEDGE_ALERTS,
        Danger.CHANGES,
        "note",
        "[TEXT]",
    ),
    Action(
        "alert.escalate",
        ("E", "e"),
        "",
        "Pass the selected alert, or all marked ones, on to the next in the escalation table, at once.",
        _ANYWHERE,
        Permission.ACKNOWLEDGE_ALERTS,
        Danger.CHANGES,
        "escalate",
    ),
    Action(
        "alert.unlink",
        ("L",),
        "",
        "Take the selected alert, or all marked ones, off the incident that they are part of, with a reason.",
        _ANYWHERE,
        Permission.HANDLE_INCIDENTS,
        Danger.CHANGES,
        "unlink",
    ),
    Action("alert.history", ("h",), "", "What happened to the selected alert, and who did what.", _ONE),
    Action(
        "alert.around",
        ("c",),
        "",
        "What changed around the time at which the selected alert was raised.",
        _ONE,
        command="around",
    ),
    Action(
        "alert.runbook",
        ("u",),
        "",
        "The runbook of the selected alert, and what its source says about it; y copies the address.",
        _ONE,
        command="runbook",
    ),
)

JOINING: Final[tuple[Action, ...]] = (
    Action(
        "join.choose",
        ("enter",),
        "choose",
        "Declare a new incident, or make what is meant part of the selected one.",
        (Context.JOINING,),
        Permission.HANDLE_INCIDENTS,
        Danger.CHANGES,
    ),
    Action("join.close", ("escape", "q"), "cancel", "Close without doing anything.", (Context.JOINING,)),
)

SILENCES: Final[tuple[Action, ...]] = (
    Action(
        "silence.end",
        ("x",),
        "end",
        "End the selected silence: its alerts that still go on are raised again.",
        (Context.SILENCES,),
        Permission.SILENCE_ALERTS,
        Danger.CHANGES,
    ),
    Action(
        "silence.new",
        ("n",),
        "new",
        "Make a silence: shows what it would mute before it does.",
        (Context.SILENCES,),
        Permission.SILENCE_ALERTS,
        Danger.CHANGES,
    ),
    Action("silence.all", ("a",), "ended too", "Show ended silences too, or no longer.", (Context.SILENCES,)),
)
