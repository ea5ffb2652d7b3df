"""What an action is: where its key works, what it may do to the floor, who may use it. Must never import Textual."""

from enum import StrEnum
from typing import NamedTuple

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
    GROUPS = "alert groups"
    ALERT = "alert"
    """The page of one alert."""
    JOINING = "which incident"
    """The choice of the incident that alerts or a freeze are part of."""
    BOARD = "freeze board"
    SILENCES = "silences"
    OPERATIONS = "operations"
    AUDIT = "audit"
    LOGIN = "login"
    LOCKED = "locked"
    SESSIONS = "sessions"
    DIALOG = "dialog"
    PALETTE = "palette"
    ENTRY = "entry"
    """The page of one audit entry."""
    ERASURES = "erasures"
    LEGAL_HOLDS = "legal holds"
    DRILLS = "freeze drills"
    """Their history, and one of them."""
    RECOVERY = "recovery drills"
    RECOVERY_DRILL = "one recovery drill"
    BACKUPS = "backups"
    NOTIFICATIONS = "notifications"
    VERIFY = "verify"
    INCIDENTS = "incidents"
    INCIDENT = "one incident"
    EVIDENCE = "evidence"
    FOLLOW_UPS = "follow-ups"
    FIGURES = "incident figures"
    POSTMORTEM = "post-mortem"
    REPORTS = "imported reports"
    NOTE = "note"
    """A line of a timeline that is being typed."""
    EDITOR = "editor"
    """A section of a post-mortem that is being written."""
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
