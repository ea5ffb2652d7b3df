"""Owns what the keys of one incident do besides writing a line: ticks, steps, and the dialogs and pages above it."""

from console.asking import Call
from console.client import incidents
from console.screens.base import FloorScreen
from console.state import incident_record
from console.state.incident_record import Record
from console.widgets.lines import outside
from contract.alerts import Link
from contract.incident_records import REPORTS
from contract.incidents import AdvanceRequest, Incident, StepActionRequest


class IncidentDoing(FloorScreen):
    """The acts on one incident."""

    ident: str

    @property
    def record(self) -> Record | None:
        """The record as far as it is known."""
        raise NotImplementedError

    @property
    def chosen(self) -> Link | None:
        """Where the selected line leads."""
        raise NotImplementedError

    def act(self, call: Call, told: str) -> None:
        """Ask for a change, and say what it was once it is made."""
        raise NotImplementedError

    @property
    def _known(self) -> Incident | None:
        """The incident; that it is not known yet is said."""
        if self.record is None:
            self.desk.say("refused", "The incident is not loaded yet.")
            return None
        return self.record.incident

    # the procedure

    def do_incident_tick(self, _: str) -> None:
        """Tick the selected action off, or the next one that is not done; on a ticked one, take it back."""
        known = self._known
        if known is None:
            return
        link = self.chosen
        selected = incident_record.named_action(known, link.id) if link and link.kind == "action" else None
        meant = selected or incident_record.open_action(known)
        if meant is None:
            self.desk.say("refused", "Every action so far is done: v goes on to the next step.")
            return
        step, action = meant
        done = action.done_at is None
        wanted = StepActionRequest(step=step.name, number=action.number, done=done)
        word = "Done" if done else "Not done after all"
        self.act(lambda api: incidents.tick(api, self.ident, wanted), f"{word}: {outside(action.text, 100)}")

    def do_incident_advance(self, _: str) -> None:
        """Go on to the next step, and say what is left behind."""
        known = self._known
        step = incident_record.next_step(known) if known is not None else None
        if known is not None and step is not None:
            name, left = step.name, len(incident_record.left_behind(known.model_copy(update={"step": step.name})))
            rest = f"; {left:,} earlier action{' is' if left == 1 else 's are'} not done (t)" if left else ""
            told = f"The step is {outside(name, 60)} now{rest}."
            self.act(lambda api: incidents.advance(api, self.ident, AdvanceRequest(step=name)), told)
        elif known is not None:
            self.desk.say("refused", "This is the last step: V goes back to an earlier one.")

    async def do_incident_steps(self, _: str) -> None:
        """Go to another step, back as well, and say why."""
        from console.screens.incidents.stepping import StepDialog

        if (known := self._known) is not None:
            await self.desk.push_screen(StepDialog(known))

    # dialogs

    async def do_incident_role(self, _: str) -> None:
        """Take a role or hand it over."""
        from console.screens.incidents.dialogs import RoleDialog

        if (known := self._known) is not None:
            await self.desk.push_screen(RoleDialog(known))

    async def do_incident_milestone(self, _: str) -> None:
        """Say when a milestone was reached."""
        from console.screens.incidents.dialogs import MilestoneDialog

        if (known := self._known) is not None:
            await self.desk.push_screen(MilestoneDialog(known))

    async def do_incident_link(self, _: str) -> None:
        """Make an alert or a freeze part of it."""
        from console.screens.incidents.dialogs import LinkDialog

        if (known := self._known) is not None:
            await self.desk.push_screen(LinkDialog(known))

    async def do_incident_unlink(self, _: str) -> None:
        """Take the alert of the selected line off it; the only one needs no line."""
        from console.screens.incidents.unlinking import Linked, UnlinkDialog

        known, selected = self._known, self.chosen
        if known is None:
            return
        alerts = {link.id: link for link in known.links if link.kind == "alert"}
        entry = self.record.entries.get(selected.id) if self.record and selected and selected.kind == "entry" else None
        about = entry.link.id if entry is not None and entry.link is not None else ""
        meant = alerts.get(about) or (next(iter(alerts.values())) if len(alerts) == 1 else None)
        if meant is not None:
            await self.desk.push_screen(UnlinkDialog([Linked(meant.id, meant.label, known.id)]))
        elif alerts:
            self.desk.say("refused", f"Select a line about one of its {len(alerts):,} alerts: L takes that one off.")
        else:
            self.desk.say("refused", "No alert is part of it.")

    async def do_incident_edit(self, _: str) -> None:
        """Change what is said of it."""
        from console.screens.incidents.changing import EditDialog

        if (known := self._known) is not None:
            await self.desk.push_screen(EditDialog(known))

    async def do_incident_correct(self, _: str) -> None:
        """Correct the selected line of the timeline."""
        from console.screens.incidents.changing import CorrectDialog

        known, link = self._known, self.chosen
        entry = self.record.entries.get(link.id) if self.record and link and link.kind == "entry" else None
        if known is not None and entry is not None:
            await self.desk.push_screen(CorrectDialog(known, entry))
        elif known is not None:
            self.desk.say("refused", "Select the line of the timeline that is wrong.")

    async def do_incident_resolve(self, _: str) -> None:
        """Say that it is over."""
        from console.screens.incidents.dialogs import ResolveDialog

        if (known := self._known) is not None:
            await self.desk.push_screen(ResolveDialog(known))

    async def do_incident_reopen(self, _: str) -> None:
        """Say that it is not over after all."""
        from console.screens.incidents.dialogs import ReopenDialog

        if (known := self._known) is not None:
            await self.desk.push_screen(ReopenDialog(known))

    async def do_incident_close(self, _: str) -> None:
        """Put the record away."""
        from console.screens.incidents.dialogs import CloseDialog

        if (known := self._known) is not None:
            await self.desk.push_screen(CloseDialog(known))

    async def do_incident_report_sent(self, _: str) -> None:
        """Say that a report went to the authority."""
        from console.screens.incidents.dialogs import ReportSentDialog

        known = self._known
        if known is None:
            return
        if any(one.name in REPORTS for one in known.clocks):
            await self.desk.push_screen(ReportSentDialog(known))
        else:
            self.desk.say("refused", "No report of it to an authority is due, by policy or severity.")

    # pages

    async def do_incident_evidence(self, _: str) -> None:
        """What is kept with it."""
        from console.screens.incidents.evidence import EvidenceListScreen

        await self.desk.push_screen(EvidenceListScreen(self.ident))

    async def do_incident_follow_ups(self, _: str) -> None:
        """What is to be done."""
        from console.screens.incidents.follow_ups import FollowUpsScreen

        await self.desk.push_screen(FollowUpsScreen(self.ident))

    async def do_incident_postmortem(self, _: str) -> None:
        """Its post-mortem."""
        from console.screens.incidents.postmortem import PostmortemScreen

        await self.desk.push_screen(PostmortemScreen(self.ident))

    async def do_incident_figures(self, _: str) -> None:
        """The figures of all incidents."""
        from console.screens.incidents.figures import FiguresScreen

        await self.desk.push_screen(FiguresScreen())
