"""What screens that list alerts share, beyond the acts on them: the way to the page of one."""

from console.screens.alerts.working import AlertWork


class ListedAlerts(AlertWork):
    """A screen with a list of alerts."""

    async def do_alert_history(self, _: str) -> None:
        """Show what happened to an alert."""
        from console.screens.alerts.page import AlertScreen

        if (alert := self._one()) is not None:
            await self.desk.push_screen(AlertScreen(alert, at_history=True))
