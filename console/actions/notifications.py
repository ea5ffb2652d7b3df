"""Actions on notifications: seeing what was sent where, and having a channel tested."""

from typing import Final

from console.actions.kinds import Action, Context, Danger
from contract.permissions import Permission

_MANAGE: Final = Permission.MANAGE_NOTIFICATIONS
_HERE: Final = (Context.NOTIFICATIONS,)

TOLD: Final[tuple[Action, ...]] = (
    Action(
        "notifications.test", ("t",), "test", "Have a test sent to the selected channel, and say what became of it.",
        _HERE, _MANAGE, Danger.CHANGES, "test-channel", "[CHANNEL]",
    ),
    Action(
        "notifications.undelivered", ("u",), "undelivered", "Show only what did not arrive, or everything again.",
        _HERE, _MANAGE,
    ),
)  # fmt: skip

GO: Final[tuple[Action, ...]] = (
    Action(
        "go.notifications", ("N",), "", "Notifications: who is told outside this console, and did it arrive?",
        permission=_MANAGE, command="notifications",
    ),
)  # fmt: skip
