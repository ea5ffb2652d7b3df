"""Owns what the keys of one incident do besides writing a line: ticks, steps, and the dialogs and pages above it."""

from console.asking import Call
from console.client import incidents
from console.screens.base import FloorScreen
from console.state import incident_record
from console.state.incident_record import Record
from console.widgets.lines import outside
from contract.alerts import Link
from contract.incidents import AdvanceRequest, Incident, StepAction, StepActionRequest


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
        """Tick the selected action off, or the next one of the step; on a ticked one, take it back."""
        known = self._known
        if known is None:
            return
        meant = self._selected_action(known) or incident_record.open_action(known)
        if meant is None:
            self.desk.say("refused", "Every action of this step is done: v goes on to the next step.")
            return
        done = meant.done_at is None
        wanted = StepActionRequest(step=known.step, number=meant.number, done=done)
        word = "Done" if done else "Not done after all"
        self.act(lambda api: incidents.tick(api, self.ident, wanted), f"{word}: {outside(meant.text, 100)}")

    def _selected_action(self, known: Incident) -> StepAction | None:
        link, step = self.chosen, incident_record.current_step(known)
        if link is None or link.kind != "action" or step is None:
            return None
        return next((one for one in step.actions if link.id == f"{step.name}/{one.number}"), None)

    def do_incident_advance(self, _: str) -> None:
        """Go on to the next step."""
        known = self._known
        step = incident_record.next_step(known) if known is not None else None
        if step is not None:
            name = step.name
            told = f"The step is {outside(name, 60)} now."
            self.act(lambda api: incidents.advance(api, self.ident, AdvanceRequest(step=name)), told)
        elif known is not None:
            self.desk.say("refused", "This is the last step of the procedure.")

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
