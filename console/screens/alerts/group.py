"""The alerts of one group: the alerts screen, narrowed to them."""

from collections.abc import Mapping
from typing import ClassVar

from console.screens.alerts.screen import AlertsScreen
from console.state.floor import Floor
from console.widgets.alert_groups import what
from contract.alert_work import AlertGroup
from contract.alerts import Alert


class GroupScreen(AlertsScreen):
    """Alerts that belong together; everything that can be done with alerts can be done here."""

    TITLE_TEXT: ClassVar[str] = "Alert group"

    def __init__(self, group: AlertGroup) -> None:
        super().__init__()
        self._group = group

    @property
    def narrowed(self) -> dict[str, str]:
        """To this group."""
        return {"group": self._group.id}

    @property
    def heading(self) -> str:
        """What it is about."""
        return f"GROUP {what(self._group)}"

    def ours(self, alerts: Mapping[str, Alert]) -> Mapping[str, Alert]:
        """Those of the group, among all that the floor knows."""
        return {ident: alert for ident, alert in alerts.items() if alert.group == self._group.group}

    def total(self, floor: Floor) -> int:  # noqa: ARG002  the floor counts all groups
        """How many there are, as far as they are loaded."""
        return self.tally.live - self.tally.muted

    async def do_alert_groups(self, _: str) -> None:
        """Back to the groups."""
        await self.desk.leave(self)
