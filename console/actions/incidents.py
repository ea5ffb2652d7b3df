"""Actions on incidents: the list, one record with its timeline, its post-mortem, what is left to do, the figures."""

from typing import Final

from console.actions.kinds import Action, Context, Danger
from contract.permissions import Permission

_HANDLE: Final = Permission.HANDLE_INCIDENTS
_VIEW: Final = Permission.VIEW_INCIDENTS


def _act(ident: str, key: str, label: str, text: str, *, command: str = "", argument: str = "") -> Action:
    """An act on one incident."""
    return Action(
        f"incident.{ident}", (key,), label, text, (Context.INCIDENT,), _HANDLE, Danger.CHANGES, command, argument
    )


def _look(ident: str, key: str, label: str, text: str, *contexts: Context, command: str = "") -> Action:
    """Something to read about incidents."""
    return Action(f"incident.{ident}", (key,), label, text, contexts, _VIEW, command=command)


LISTED: Final[tuple[Action, ...]] = (
    Action(
        "incident.declare",
        ("i",),
        "declare",
        "Declare an incident from nothing; alerts and freezes are linked to it later.",
        (Context.INCIDENTS,),
        _HANDLE,
        Danger.CHANGES,
        "declare",
    ),
    _look("all", "a", "all", "Show closed incidents too, or no longer.", Context.INCIDENTS),
    Action(
        "incident.reports",
        ("r",),
        "reports",
        "Reports written elsewhere and imported: list, search, read.",
        (Context.INCIDENTS,),
        _VIEW,
        command="reports",
        argument="[WORDS]",
    ),
)

RECORD: Final[tuple[Action, ...]] = (
    _act("note", "n", "note", "Write a line into the timeline; what you type is kept on the server every second."),
    _act("tick", "t", "tick", "Tick the selected action off, or the next one; on a ticked one: take it back."),
    _act("advance", "v", "next step", "Go on to the next step of the procedure."),
    _act("steps", "V", "", "Go to another step, back as well, with a reason; lists what is not done.", command="step"),
    _look("postmortem", "P", "post-mortem", "The post-mortem: write, submit, approve.", Context.INCIDENT),
    _act("resolve", "R", "resolve", "Say that it is over, and how it ended."),
    _act("role", "r", "roles", "Take a role or hand it over, with what the next one has to know."),
    _act("milestone", "m", "milestone", "Say when a milestone was reached; what was said before stays readable."),
    _act("link", "l", "link", "Make an alert or a freeze part of it."),
    _act("unlink", "L", "", "Take the alert of the selected line off it, with a reason."),
    _act(
        "report-sent", "A", "", "Say that a report of it went to an authority; its clock stops.", command="report-sent"
    ),
    _look(
        "evidence", "x", "evidence", "What is kept with it: files and answers, each with its hash.", Context.INCIDENT
    ),
    _look("follow-ups", "o", "follow-ups", "What is to be done so that it does not happen again.", Context.INCIDENT),
    _look("snapshot", "S", "", "Risk indicators and floor as they were when it was declared.", Context.INCIDENT),
    _act("edit", "E", "edit", "Change title, severity, type and what it has cost."),
    _act("correct", "C", "correct", "Put a new line in the place of the selected one, which stays readable."),
    _act("reopen", "U", "", "Say that it is not over after all."),
    _act("close", "D", "close", "Put the record away for good.", command="close"),
)

FIGURES: Final[tuple[Action, ...]] = (
    _look(
        "figures", "w", "figures", "How soon incidents were seen, answered and ended.",
        Context.INCIDENTS, Context.INCIDENT, command="figures",
    ),
    Action(
        "figures.drills", ("d",), "drills/real", "Show the figures of drills, or of real incidents again.",
        (Context.FIGURES,), _VIEW,
    ),
    Action("figures.span", ("t",), "span", "Show three months, a year or a month.", (Context.FIGURES,), _VIEW),
)  # fmt: skip

EVIDENCE: Final[tuple[Action, ...]] = (
    Action(
        "evidence.attach", ("n",), "attach file", "Keep a file of this machine with the incident.",
        (Context.EVIDENCE,), _HANDLE, Danger.CHANGES,
    ),
    Action(
        "evidence.query", ("x",), "attach answer", "Keep what Watchfloor answers to a question, as it is now.",
        (Context.EVIDENCE,), _HANDLE, Danger.CHANGES,
    ),
    Action(
        "evidence.save", ("s",), "save", "Write the selected piece into a file of this machine.",
        (Context.EVIDENCE,), _VIEW,
    ),
)  # fmt: skip

FOLLOW_UPS: Final[tuple[Action, ...]] = (
    Action(
        "follow-up.new", ("n",), "new", "Write down something to be done, by whom and until when.",
        (Context.FOLLOW_UPS,), _HANDLE, Danger.CHANGES,
    ),
    Action(
        "follow-up.done", ("d",), "done", "Say that the selected one is done, or that it is not.",
        (Context.FOLLOW_UPS,), _HANDLE, Danger.CHANGES,
    ),
    Action(
        "follow-up.change", ("e",), "change", "Change text, owner or date of the selected one.",
        (Context.FOLLOW_UPS,), _HANDLE, Danger.CHANGES,
    ),
    Action(
        "follow-up.all", ("a",), "all", "Show those that are done too, or no longer.", (Context.FOLLOW_UPS,), _VIEW,
    ),
)  # fmt: skip

POSTMORTEM: Final[tuple[Action, ...]] = (
    Action(
        "postmortem.open", ("n",), "open", "Open the post-mortem, or amend an approved one: its next version.",
        (Context.POSTMORTEM,), _HANDLE, Danger.CHANGES,
    ),
    Action(
        "postmortem.edit", ("e",), "edit", "Write the selected section, or the first empty one; others can write, too.",
        (Context.POSTMORTEM,), _HANDLE, Danger.CHANGES,
    ),
    Action(
        "postmortem.read", ("r",), "read", "Read all of it as it would be approved.", (Context.POSTMORTEM,), _VIEW,
    ),
    Action(
        "postmortem.submit", ("s",), "submit", "Ask for it to be approved by somebody who has not written it.",
        (Context.POSTMORTEM,), _HANDLE, Danger.CHANGES,
    ),
    Action(
        "postmortem.approve", ("T",), "approve", "Approve what you have read; it never changes again.",
        (Context.POSTMORTEM,), Permission.APPROVE_POSTMORTEMS, Danger.CHANGES,
    ),
    Action(
        "postmortem.send-back", ("B",), "send back", "Turn it down, and say what is missing.",
        (Context.POSTMORTEM,), Permission.APPROVE_POSTMORTEMS, Danger.CHANGES,
    ),
    Action(
        "postmortem.version", ("v",), "version", "Show the version before, and from the first one the newest.",
        (Context.POSTMORTEM,), _VIEW,
    ),
    Action(
        "postmortem.export", ("x",), "export", "Write it into a file: Markdown, HTML, PDF, JSON or OCSF.",
        (Context.POSTMORTEM,), _VIEW,
    ),
)  # fmt: skip

TYPING: Final[tuple[Action, ...]] = (
    Action(
        "note.send", ("enter",), "write it", "Write what is typed into the timeline.",
        (Context.NOTE,), _HANDLE, Danger.CHANGES,
    ),
    Action("note.line", ("f4", "ctrl+o"), "new line", "Begin a new line.", (Context.NOTE,)),
    Action("note.drop", ("f8",), "drop", "Throw away what is typed, after asking.", (Context.NOTE,)),
    Action("note.close", ("escape",), "close", "Back to the record; what is typed stays as a draft.", (Context.NOTE,)),
    Action(
        "section.save", ("f3", "ctrl+s"), "save", "Save the section; edits of others are kept.",
        (Context.EDITOR,), _HANDLE, Danger.CHANGES,
    ),
    Action("section.preview", ("f4",), "preview", "Show it as it will be read, or the text again.", (Context.EDITOR,)),
    Action("section.external", ("f9",), "$EDITOR", "Write it in your own editor.", (Context.EDITOR,)),
    Action("section.drop", ("f8",), "drop draft", "Take the saved text again, after asking.", (Context.EDITOR,)),
    Action("section.close", ("escape",), "close", "Close; what is typed stays as a draft.", (Context.EDITOR,)),
)  # fmt: skip

GO: Final[tuple[Action, ...]] = (
    Action(
        "go.incidents",
        ("I",),
        "",
        "Incidents: what went wrong, who handles it, what is left to do.",
        permission=_VIEW,
        command="incidents",
        argument="[WORDS]",
    ),
    Action(
        "go.follow-ups",
        ("O",),
        "",
        "Follow-ups: what is left to do after all incidents.",
        permission=_VIEW,
        command="follow-ups",
    ),
)
