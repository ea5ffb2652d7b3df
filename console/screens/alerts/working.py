"""What screens with alerts share: acts on one alert or on all that are marked, and the pages about one.

Imports nothing heavy: the overview is one of these screens, and its first picture must not wait.
"""

from typing import TYPE_CHECKING

from console.screens.base import FloorScreen

if TYPE_CHECKING:
    from console.asking import Question
    from contract.alert_work import AlertAct
    from contract.alerts import Alert


ACK = "ack"
"""How topics of acknowledgements begin; each alert has its own."""


def is_acknowledgement(question: "Question") -> bool:
    """Whether an answer is to an acknowledgement."""
    return question.topic.startswith(f"{ACK} ")


class AlertWork(FloorScreen):
    """A screen on which alerts are worked on."""

    def meant(self) -> "list[Alert]":
        """The alerts that an act is about."""
        raise NotImplementedError

    def acted(self, alerts: "list[Alert]") -> None:
        """Take in alerts as an act has left them; the stream tells them too."""

    def _one(self) -> "Alert | None":
        """The alert that a page is about: the selected one."""
        alerts = self.meant()
        if not alerts:
            self.desk.say("refused", "No alert is selected.")
            return None
        return alerts[0]

    async def do_alert_ack(self, _: str) -> None:
        """Acknowledge: one alert at once, several after their number was shown."""
        from contract.alert_work import AlertAct

        alerts = self.meant()
        if len(alerts) == 1:
            ident = alerts[0].id
            self.ask(f"{ACK} {ident}", lambda api: api.acknowledge(ident), ident)  # one more takes none back
        else:
            await self._act(AlertAct.ACKNOWLEDGE)

    async def do_alert_comment(self, _: str) -> None:
        """Acknowledge with a comment."""
        from contract.alert_work import AlertAct

        await self._act(AlertAct.ACKNOWLEDGE)

    async def do_alert_assign(self, argument: str) -> None:
        """Give alerts to a person."""
        from contract.alert_work import AlertAct

        await self._act(AlertAct.ASSIGN, argument)

    async def do_alert_note(self, argument: str) -> None:
        """Write into the history of alerts."""
        from contract.alert_work import AlertAct

        await self._act(AlertAct.NOTE, argument)

    async def do_alert_escalate(self, _: str) -> None:
        """Pass alerts on."""
        from contract.alert_work import AlertAct

        await self._act(AlertAct.ESCALATE)

    async def _act(self, act: "AlertAct", argument: str = "") -> None:
        from console.screens.alerts.dialog import ActScreen

        alerts = self.meant()
        if not alerts:
            self.desk.say("refused", "No alert is selected.")
            return
        await self.desk.push_screen(ActScreen(act, alerts, self.acted, argument.strip()))

    async def do_alert_silence(self, argument: str) -> None:
        """Mute alerts like these until a time."""
        from console.screens.silences.dialogs import SilenceScreen
        from console.state.matchers import matchers_for, matchers_text

        text = argument.strip() or matchers_text(matchers_for(self.meant()))
        await self.desk.push_screen(SilenceScreen(text))

    async def do_alert_incident(self, _: str) -> None:
        """Declare an incident from alerts, or make them part of an open one."""
        from console.screens.alerts.joining import declare_or_join

        alerts = self.meant()
        free = [alert for alert in alerts if not alert.incident]
        of = ", ".join(sorted({alert.incident for alert in alerts if alert.incident})[:3])
        if not alerts:
            self.desk.say("refused", "No alert is selected.")
        elif not free:
            which = alerts[0].rule if len(alerts) == 1 else f"Each of the {len(alerts):,} alerts"
            self.desk.say("refused", f"{which} is part of {of} already.")
        else:
            await declare_or_join(self.desk, free)
            if left_out := len(alerts) - len(free):
                verb = "are" if left_out > 1 else "is"
                self.desk.say("notice", f"Left out: {left_out:,} that {verb} part of {of} already.")

    async def do_alert_unlink(self, _: str) -> None:
        """Take alerts off the incident that they are part of."""
        from console.screens.incidents.unlinking import UnlinkDialog, linked

        alerts = self.meant()
        meant = [linked(alert) for alert in alerts if alert.incident]
        if not alerts:
            self.desk.say("refused", "No alert is selected.")
        elif not meant:
            which = f"{alerts[0].rule} is" if len(alerts) == 1 else f"None of the {len(alerts):,} alerts is"
            self.desk.say("refused", f"{which} part of {'no' if len(alerts) == 1 else 'an'} incident.")
        else:
            await self.desk.push_screen(UnlinkDialog(meant))

    async def do_alert_around(self, _: str) -> None:
        """Show what changed around an alert."""
        from console.screens.alerts.about import AroundScreen

        if (alert := self._one()) is not None:
            await self.desk.push_screen(AroundScreen(alert))

    async def do_alert_runbook(self, _: str) -> None:
        """Show what to do about an alert."""
        from console.screens.alerts.about import RunbookScreen

        if (alert := self._one()) is not None:
            await self.desk.push_screen(RunbookScreen(alert))
