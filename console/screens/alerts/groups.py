"""Alerts by group, one line each; an act on a group is one on its alerts, which the dialog shows first."""

from collections.abc import Awaitable, Callable
from time import monotonic
from typing import TYPE_CHECKING, ClassVar, Final

from console.actions import Context
from console.asking import Question
from console.client import alert_work
from console.screens.alerts.working import AlertWork
from console.screens.lists import SIDE_COLUMNS, WIDE_COLUMNS, ListScreen
from console.state.floor import Floor
from console.state.matching import matches
from console.widgets import alert_groups as draw
from console.widgets.lines import Line, line, outside
from console.widgets.view import View
from contract.alert_work import MAX_AT_ONCE, AlertGroup
from contract.alerts import Alert
from contract.base import Page

if TYPE_CHECKING:
    from console.client.errors import ClientError

PAGE_ROWS: Final = 100
"""More groups than anybody reads; the list loads more when its end is in sight."""
READ_ROWS_MAX: Final = 500
"""The most that the backend gives at once."""
RENEW_GAP_S: Final = 2.0
"""However often alerts change, the groups are read again at most this often."""
_GROUPS, _MEMBERS, _RENEW, _WAITING = "groups", "members", "renew", "waiting"

Act = Callable[[str], Awaitable[None]]


class GroupsScreen(ListScreen, AlertWork):
    """Groups of alerts that have not cleared, the gravest first, then the newest."""

    TITLE_TEXT: ClassVar[str] = "Alert groups"
    CONTEXTS = (Context.GROUPS,)
    STICKS = True

    def __init__(self) -> None:
        super().__init__()
        self._groups: dict[str, AlertGroup] = {}
        self._cursor: str | None = None
        self._total: int | None = None
        self._waiting: Page[AlertGroup] | None = None
        """The gravest group with an alert that waits for somebody, and how many such groups there are."""
        self._asked = False
        self._problem = ""
        self._read_for: tuple[object, ...] = ()
        """What was known of alerts when the groups were read last."""
        self._read_s = -RENEW_GAP_S
        self._marks: dict[str, None] = {}
        self._members: list[Alert] = []
        """The alerts that the act under way is about."""
        self._begun: tuple[Act, str, str] | None = None
        """What is to be done with them once they are known: the act, its id and its argument."""

    # what is shown

    def sentence(self, view: View) -> Line:
        """How many wait, or what is marked."""
        if self._marks:
            chosen = self._chosen()
            alerts = sum(group.total for group in chosen)
            groups = f"{len(chosen):,} group{' is' if len(chosen) == 1 else 's are'} marked"
            return self.headline_line("near", f"{groups}, with {alerts:,} alerts: a acknowledges, Esc unmarks.")
        if self._problem:
            return self.headline_line("near", f"What you see may be old: {self._problem}")
        if not self._asked or self._waiting is None:
            return line((f" {view.glyphs.unknown} ", "dim"), ("Asking for groups.", "dim"))
        if not self._waiting.items:
            return self.headline_line("ok", "No group waits for anybody.")
        mood = "bad" if self._waiting.items[0].severity == "critical" else "near"
        total, cap = self._waiting.total, self._waiting.total_cap
        at_least = "At least " if total is None or total >= cap else ""
        count = f"{at_least}{total or 1:,} group{' waits' if total == 1 else 's wait'} for somebody"
        return self.headline_line(mood, f"{count}: Enter opens one, a acknowledges its alerts.")

    def list_title(self, view: View) -> Line:
        """How many groups."""
        columns = view.width - SIDE_COLUMNS - 2 if view.width + 2 >= WIDE_COLUMNS else view.width
        shown, known = len(self._shown()), len(self._groups)
        count = f"{shown:,} of {known:,}" if self.filter_text else f"{known:,}"
        if self._total is not None and self._total > known:
            count += f" loaded of {self._total:,}"
        return draw.groups_title(self.desk.floor or Floor(), view, count, columns, len(self._marks))

    def _shown(self) -> list[str]:
        wanted = self.filter_text.split()
        return [
            group.id
            for group in self._groups.values()
            if not wanted
            or matches(wanted, draw.what(group), group.group, str(group.newest.scope), group.newest.message)
        ]

    def load_rows(self, view: View) -> None:
        """Show what is known, and read it again when alerts have changed."""
        floor = self.desk.floor or Floor()
        known, marks = self._groups, self._marks
        empty = draw.no_groups(floor, self._problem, asked=self._asked)
        if known and self.filter_text:
            empty = [line(("No group contains that. ", ""), ("Esc", "key"), (" clears the filter.", "dim"))]
        self.rows.load(
            self._shown(),
            lambda ident, width: draw.group_row(known[ident], floor, view.sized(width), marked=ident in marks),
            empty,
        )
        self._renew(floor)

    def detail_lines(self, view: View) -> list[Line]:
        """The selected group."""
        group = self._groups.get(self.rows.selected or "")
        return draw.group_lines(group, self.desk.floor or Floor(), view, self.place) if group is not None else []

    # loading

    def on_screen_resume(self) -> None:
        """Read them: an act may have changed them meanwhile."""
        self._read_for = ()
        self._renew(self.desk.floor or Floor())

    def _renew(self, floor: Floor) -> None:
        state = (floor.alerts, floor.many_changed)
        if not self.is_current:  # nobody sees it
            return
        same = len(self._read_for) == len(state) and all(a is b for a, b in zip(state, self._read_for, strict=True))
        if same or self.desk.api is None or self.questions.is_waiting(_RENEW):
            return
        wait_s = self._read_s + RENEW_GAP_S - monotonic()
        if wait_s > 0 and self._asked:
            self.set_timer(wait_s, self.redraw, name=_RENEW)
            return
        self._read_for, self._read_s = state, monotonic()
        rows = min(max(len(self._groups), PAGE_ROWS), READ_ROWS_MAX)
        self.ask(_RENEW, lambda api: alert_work.groups(api, limit=rows))
        self.ask(_WAITING, lambda api: alert_work.groups(api, limit=1, status="open", muted="false"))

    def load_more(self) -> None:
        """The next page, if there is one."""
        cursor = self._cursor
        if cursor is not None and not self.questions.is_waiting(_GROUPS) and not self.questions.is_waiting(_RENEW):
            self.ask(_GROUPS, lambda api: alert_work.groups(api, limit=PAGE_ROWS, cursor=cursor))

    def answered(self, question: Question, value: object) -> None:
        """Groups, or the alerts of those that an act is about."""
        if question.topic == _MEMBERS and isinstance(value, list):
            self._members = value
            if self._begun is not None:
                self.call_later(self.attempt, *self._begun)
        elif isinstance(value, Page) and question.topic == _WAITING:
            self._waiting = value
        elif isinstance(value, Page):
            page = {group.id: group for group in value.items}
            self._groups = page if question.topic == _RENEW else {**self._groups, **page}
            self._total = self._total if value.total is None else value.total
            self._cursor, self._asked, self._problem = value.next_cursor, True, ""
            self._marks = {ident: None for ident in self._marks if ident in self._groups}

    def refused(self, question: Question, error: "ClientError") -> bool:
        """What is shown stays, and it is said that it may be old; an act that could not begin says why."""
        from console.state.problems import describe, ends_session

        if question.topic == _MEMBERS or ends_session(error):
            return False
        if question.topic == _WAITING:
            self._waiting = None
        self._problem = describe(error)
        return True

    # acts on groups

    def meant(self) -> list[Alert]:
        """The alerts of the groups that were meant when the act was begun."""
        return self._members

    def acted(self, alerts: list[Alert]) -> None:  # noqa: ARG002  the groups are read again
        """Unmark what was meant; its numbers come with the next reading."""
        self._marks.clear()
        self._read_for = ()
        self.redraw()

    def _chosen(self) -> list[AlertGroup]:
        idents = list(self._marks) or [self.rows.selected or ""]
        return [self._groups[ident] for ident in idents if ident in self._groups]

    def _begin(self, act: Act, action: str, argument: str, *, most: int = MAX_AT_ONCE) -> None:
        """Ask for the alerts of the chosen groups; the act's own dialog then shows them."""
        chosen = self._chosen()
        total = sum(group.total for group in chosen)
        if not chosen:
            self.desk.say("refused", "No group is selected.")
        elif total > most:
            who = outside(draw.what(chosen[0]), 60) if len(chosen) == 1 else f"The {len(chosen)} groups"
            text = f"{who} has {total:,} alerts" if len(chosen) == 1 else f"{who} have {total:,} alerts"
            self.desk.say("refused", f"{text}, an act takes {most}: Enter opens a group, * marks the most urgent.")
        else:
            idents = [group.id for group in chosen]
            self._begun = (act, action, argument)
            self.ask(_MEMBERS, lambda api: alert_work.members(api, idents))

    async def do_alert_ack(self, argument: str) -> None:
        """Acknowledge all alerts of the groups, after their number was shown."""
        self._begin(super().do_alert_comment, "alert.ack", argument)

    async def do_alert_comment(self, argument: str) -> None:
        """Acknowledge with a comment."""
        self._begin(super().do_alert_comment, "alert.comment", argument)

    async def do_alert_assign(self, argument: str) -> None:
        """Give them to a person."""
        self._begin(super().do_alert_assign, "alert.assign", argument)

    async def do_alert_note(self, argument: str) -> None:
        """Write into their histories."""
        self._begin(super().do_alert_note, "alert.note", argument)

    async def do_alert_escalate(self, argument: str) -> None:
        """Pass them on."""
        self._begin(super().do_alert_escalate, "alert.escalate", argument)

    async def do_alert_silence(self, argument: str) -> None:
        """Mute what they share; the dialog shows all that this mutes, however many."""
        self._begin(super().do_alert_silence, "alert.silence", argument, most=2**31)

    async def do_alert_incident(self, argument: str) -> None:
        """Make them an incident, or part of one."""
        self._begin(super().do_alert_incident, "alert.incident", argument)

    async def do_alert_unlink(self, argument: str) -> None:
        """Take them off their incident."""
        self._begin(super().do_alert_unlink, "alert.unlink", argument)

    # other actions

    def do_alert_mark(self, _: str) -> None:
        """Mark the selected group, or unmark it, and go on to the next."""
        selected = self.rows.selected
        if selected is None:
            self.desk.say("refused", "No group is selected.")
            return
        if selected in self._marks:
            del self._marks[selected]
        else:
            self._marks[selected] = None
        self.rows.do_list_down("")
        self.redraw()

    async def do_back(self, argument: str) -> None:
        """Unmark before anything else is undone that nobody has to read."""
        if self._marks and not self.desk.message[1] and not self.desk.verdict_lines():
            self._marks.clear()
            self.redraw()
        else:
            await super().do_back(argument)

    async def do_open(self, _: str) -> None:
        """Show the alerts of the selected group."""
        from console.screens.alerts.group import GroupScreen

        group = self._groups.get(self.rows.selected or "")
        if group is not None:
            await self.desk.push_screen(GroupScreen(group))

    async def do_alert_list(self, _: str) -> None:
        """Back to one line an alert."""
        await self.desk.leave(self)

    def copy_text(self) -> str:
        """The selected group in one line."""
        group = self._groups.get(self.rows.selected or "")
        return (
            f"{draw.what(group)}: {group.total} alerts, {group.open} open, {group.group}" if group is not None else ""
        )
