"""Actions on recovery drills: starting one, its steps, ending it, its report, and backups."""

from typing import Final

from console.actions.kinds import Action, Context, Danger
from contract.permissions import Permission

_VIEW: Final = Permission.VIEW_RECOVERY
_RUN: Final = Permission.RUN_RECOVERY_DRILLS
_SIGN: Final = Permission.SIGN_RECOVERY_REPORTS

LISTED: Final[tuple[Action, ...]] = (
    Action(
        "recovery.start", ("n",), "start drill",
        "Start a recovery drill: shows what it would do and what it needs before it asks.",
        (Context.RECOVERY,), _RUN, Danger.STOPS, "recovery-drill", "[PLAN]",
    ),
    Action("recovery.backups", ("B",), "backups", "Backups: which there are, how old, and whether they restore.",
           (Context.RECOVERY,), _VIEW, command="backups"),
)  # fmt: skip

ONE: Final[tuple[Action, ...]] = (
    Action(
        "recovery.step", ("enter",), "run step",
        "Let the step that waits run, or say what it found; on a step that is over: what it printed.",
        (Context.RECOVERY_DRILL,), _VIEW, Danger.STOPS,
    ),
    Action(
        "recovery.abort", ("a",), "abort", "End the drill: what ran is rolled back, the last first.",
        (Context.RECOVERY_DRILL,), _RUN, Danger.STOPS, "abort-drill",
    ),
    Action("recovery.report", ("m",), "report", "Read the report.", (Context.RECOVERY_DRILL,), _VIEW),
    Action(
        "recovery.sign", ("S",), "sign", "Sign the report off, as another person than who ran the drill.",
        (Context.RECOVERY_DRILL,), _SIGN, Danger.CHANGES,
    ),
    Action(
        "recovery.finding", ("f",), "finding", "Make a finding a follow-up action, with owner and date.",
        (Context.RECOVERY_DRILL,), Permission.HANDLE_INCIDENTS, Danger.CHANGES,
    ),
    Action(
        "recovery.export", ("x",), "export", "Write the report into a file: Markdown, HTML, PDF or JSON.",
        (Context.RECOVERY_DRILL,), _VIEW,
    ),
)  # fmt: skip

BACKUPS: Final[tuple[Action, ...]] = (
    Action(
        "backup.check", ("c",), "check", "Look at the selected backup now: is it there, is it fresh?",
        (Context.BACKUPS,), _RUN, Danger.CHANGES,
    ),
    Action(
        "backup.restore", ("C",), "restore test", "Restore the selected backup into a scratch server and compare it.",
        (Context.BACKUPS,), _RUN, Danger.CHANGES,
    ),
)  # fmt: skip

GO: Final[tuple[Action, ...]] = (
    Action(
        "go.recovery", ("R",), "", "Recovery drills: would the standby really take over, and how soon?",
        permission=_VIEW, command="recovery",
    ),
)  # fmt: skip
