"""What screens that list alerts share, beyond the acts on them: the way to the page of one, and what is selected."""

from typing import TYPE_CHECKING, Final

from console.screens.alerts.working import AlertWork
from console.widgets.lines import outside

if TYPE_CHECKING:
    from console.widgets.rows import Rows
    from contract.alerts import Alert

UNREAD_S: Final = 0.5
"""An alert that came under the cursor by itself is not acted on at once for so long: nobody has read it yet."""


class ListedAlerts(AlertWork):
    """A screen with a list of alerts."""

    @property
    def rows(self) -> "Rows":
        """The list."""
        raise NotImplementedError

    def marked(self) -> "list[Alert]":
        """Alerts that were marked: chosen one by one, wherever the cursor is now."""
        return []

    async def do_alert_ack(self, argument: str) -> None:
        """Acknowledge what was under the cursor when the key was pressed, nothing that has just come there."""
        alerts = self.meant()
        if alerts and not self.marked() and self.pressed_s < self.rows.slipped_s + UNREAD_S:
            rule = outside(alerts[0].rule, 60)
            self.desk.say("refused", f"{rule} came under the cursor just now: press a again if you mean it.")
            return
        await super().do_alert_ack(argument)

    async def do_alert_history(self, _: str) -> None:
        """Show what happened to an alert."""
        from console.screens.alerts.page import AlertScreen

        if (alert := self._one()) is not None:
            await self.desk.push_screen(AlertScreen(alert, at_history=True))
