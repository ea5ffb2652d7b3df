"""What screens that list alerts share, beyond the acts on them: the way to the page of one, and what is selected."""

from typing import TYPE_CHECKING

from console.screens.alerts.working import AlertWork
from console.widgets.lines import outside

if TYPE_CHECKING:
    from console.widgets.rows import Rows
    from contract.alerts import Alert


class ListedAlerts(AlertWork):
    """A screen with a list of alerts."""

    @property
    def rows(self) -> "Rows":
        """The list."""
        raise NotImplementedError

    def marked(self) -> "list[Alert]":
        """Alerts that were marked: chosen one by one, wherever the cursor is now."""
        return []

    def _refuses_unread(self, key: str) -> bool:
        """Refuse an act on what has just come under the cursor: the one meant was under it when the key was pressed."""
        alerts = self.meant()
        if not alerts or self.marked() or not self.rows.is_unread(self.pressed_s):
            return False
        rule = outside(alerts[0].rule, 60)
        self.desk.say("refused", f"{rule} just came under the cursor: press {key} again.")
        return True

    async def do_alert_ack(self, argument: str) -> None:
        """Acknowledge what was under the cursor when the key was pressed, nothing that has just come there."""
        if not self._refuses_unread("a"):
            await super().do_alert_ack(argument)

    async def do_alert_incident(self, argument: str) -> None:
        """Declare from what was under the cursor: the dialog that comes next takes Enter."""
        if not self._refuses_unread("i"):
            await super().do_alert_incident(argument)

    async def do_alert_unlink(self, argument: str) -> None:
        """Take off what was under the cursor."""
        if not self._refuses_unread("L"):
            await super().do_alert_unlink(argument)

    async def do_alert_history(self, _: str) -> None:
        """Show what happened to an alert."""
        from console.screens.alerts.page import AlertScreen

        if (alert := self._one()) is not None:
            await self.desk.push_screen(AlertScreen(alert, at_history=True))
