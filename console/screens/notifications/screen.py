"""Notifications: who is told outside this console, what was sent, and whether it arrived."""

from datetime import datetime
from typing import ClassVar, Final, NamedTuple

from console.actions import Context
from console.asking import Call, Question
from console.client import notifications
from console.client.api import Api
from console.screens.reading.screen import ReadingScreen, Row
from console.screens.reading.watched import PAGE_ROWS, WatchedScreen
from console.widgets import notifications as draw
from console.widgets.lines import EMPTY, Line, line
from console.widgets.view import View
from contract.alerts import Link
from contract.base import Page
from contract.notifications import Channel, Delivery, DeliveryState

_TEST: Final = "test"
_TESTED: Final = "tested"
_AGAIN_S: Final = 1.0
"""How often it is asked what became of a test; one is sent within a second or two."""
_LOOKS: Final = 30
"""How often it is asked at most."""
_UNDELIVERED: Final = (DeliveryState.FAILED, DeliveryState.GIVEN_UP)
_SUBJECTS: Final = frozenset({"alert", "incident"})
"""What has a page of its own."""


class Told(NamedTuple):
    """What one look brings."""

    channels: list[Channel]
    log: Page[Delivery]
    only: str | None = None
    """The one channel whose log this is."""
    undelivered: bool = False
    """Whether this is only what did not arrive."""


class NotificationsScreen(WatchedScreen):
    """Every channel, and below it what was sent to them, newest first."""

    CONTEXTS: ClassVar[tuple[Context, ...]] = (Context.NOTIFICATIONS, Context.READING)
    ASKING = "Asking who is told."
    SAYS_ALL = True

    def __init__(self) -> None:
        super().__init__("Notifications")
        self._told = Told([], Page[Delivery](items=[]))
        self._only: str | None = None
        """The one channel whose log is asked for."""
        self._undelivered = False
        """Whether only what did not arrive is asked for."""
        self._looks = 0
        """How often it has been asked what became of the test."""

    def list_call(self) -> Call:
        """The channels, and the newest of the log."""
        only, undelivered = self._only, self._undelivered

        async def look(api: Api) -> Told:
            channels = await notifications.channels(api)
            states = _UNDELIVERED if undelivered else ()
            log = await notifications.deliveries(api, channel=only, states=states, limit=PAGE_ROWS)
            return Told(channels.items, log, only, undelivered)

        return look

    def answered(self, question: Question, value: object) -> None:
        """What one look brought, or what became of a test."""
        if isinstance(value, Told):
            self._told = value
            super().answered(question, value.log)
        elif isinstance(value, Delivery):
            self._tell(value)

    def take(self, items: list[Delivery]) -> None:
        """Kept already, with the channels."""

    def said(self) -> tuple[str, str]:
        """Whether somebody would be told."""
        return draw.said(self._told.channels)

    def listed(self, now: datetime, view: View) -> list[Row]:
        """The channels, then the log."""
        channels, log, only, undelivered = self._told
        rows: list[Row] = [(draw.channel_head(view), None)] if channels else []
        for channel in channels:
            rows += _linked(draw.channel_lines(channel, now, view), Link(kind="channel", id=channel.name, label=""))
        if not channels:
            rows.append((line(("docs/notifications.md says how a channel is set up.", "dim")), None))
        rows += [(EMPTY, None), (draw.log_title(only, undelivered=undelivered), None)]
        if not log.items:
            return [*rows, (line(("Nothing.", "dim")), None)]
        rows.append((draw.delivery_head(view), None))
        for sent in log.items:
            rows += _linked(draw.delivery_lines(sent, now, view), Link(kind="delivery", id=sent.id, label=""))
        return rows

    # actions

    async def follow(self, link: Link) -> None:
        """On a channel: its log only, or all again. On a notification: everything that is known of it."""
        if link.kind == "channel":
            self._only = None if self._only == link.id else link.id
            self.look()
        elif (sent := self._chosen_delivery()) is not None:
            await self.desk.push_screen(ReadingScreen("Notification", lambda view: _detail(sent, view)))

    def do_notifications_undelivered(self, _: str) -> None:
        """Show only what did not arrive, or everything."""
        self._undelivered = not self._undelivered
        self.look()

    def do_notifications_test(self, argument: str) -> None:
        """Have a test sent to the channel that is named, or selected, or that the selected notification went to."""
        link, sent = self.chosen, self._chosen_delivery()
        selected = link.id if link is not None and link.kind == "channel" else sent.channel if sent is not None else ""
        name = argument.strip() or selected
        if not name:
            self.desk.say("refused", "Select the channel that is to be tested.")
            return
        self._looks = 0
        self.ask(_TEST, lambda api: notifications.send_test(api, name))

    def arguments(self, command: str) -> list[str]:
        """The names of channels."""
        return [one.name for one in self._told.channels] if command == "test-channel" else super().arguments(command)

    def _chosen_delivery(self) -> Delivery | None:
        return next((one for one in self._told.log.items if self.followed(one.id)), None)

    def _tell(self, test: Delivery) -> None:
        name = test.channel
        match test.state:
            case DeliveryState.SENT:
                self.desk.say("done", f"{name} took the test.")
            case DeliveryState.QUEUED if self._looks < _LOOKS:
                self._looks += 1
                self.desk.say("done", f"A test is on its way to {name}.")
                self.set_timer(_AGAIN_S, lambda: self.ask(_TESTED, lambda api: notifications.delivery(api, test.id)))
                return
            case DeliveryState.QUEUED:
                self.desk.say("error", f"The test to {name} still waits after {_LOOKS} s: is a backend sending?")
            case _:
                self.desk.say("error", f"{name} did not take the test: {test.reason or 'no reason is known'}")
        self.look()


def _linked(lines: list[Line], link: Link) -> list[Row]:
    return [(row, link) for row in lines]


def _detail(sent: Delivery, view: View) -> list[Row]:
    leads = Link(kind=sent.subject_kind, id=sent.subject_id, label="") if sent.subject_kind in _SUBJECTS else None
    rows: list[Row] = [(row, None) for row in draw.detail_lines(sent, view)]
    if leads is not None:
        rows += [(EMPTY, None), (line((f"Enter: the {sent.subject_kind}", "head")), leads)]
    return rows
