"""Owns the wiring: looks, session, live feed, the floor, and which screen is shown. Decides nothing else.

Everything heavier than Textual itself is imported when it is first needed: the first frame must not wait for it.
"""

import asyncio
from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, ClassVar, Final

from textual import events, on

from console.asking import Questions
from console.beginning import Beginning
from console.feeding import Arrived, Tick, take_in
from console.screens import registry
from console.screens.base import FloorScreen
from console.term.firstframe import speaks_utf8
from console.widgets.frame import Pulse, Who, quiet_seconds
from console.widgets.looks import Looks, choose_theme, looks_for, textual_theme

if TYPE_CHECKING:
    import httpx


THEME_VARIABLE: Final = "WATCHFLOOR_THEME"
ASCII_VARIABLE: Final = "WATCHFLOOR_ASCII"

PAINT_GAP_S: Final = 0.5
"""Live data is painted at most this often: a burst of updates must not cost a burst of repaints."""

Now = Callable[[], datetime]


def _system_now() -> datetime:
    return datetime.now(UTC)


class WatchfloorApp(Beginning):
    """The console."""

    ENABLE_COMMAND_PALETTE: ClassVar[bool] = False
    BINDINGS: ClassVar[list[Any]] = []
    TITLE: str | None = "Watchfloor"

    def __init__(
        self,
        url: str,
        token: str | None,
        *,
        environ: Mapping[str, str],
        theme: str = "auto",
        now: Now = _system_now,
        transport: "httpx.AsyncBaseTransport | None" = None,
        reason: str = "",
    ) -> None:
        """Prepare the console of one backend; nothing is sent before the first screen is shown.

        `reason` says on the login why nobody is signed in.
        """
        self.environ = environ
        self.url = url
        self._now = now
        palette = choose_theme(environ.get(THEME_VARIABLE, "auto") if theme == "auto" else theme, environ)
        self.looks: Looks = looks_for(palette, unicode=speaks_utf8() and not environ.get(ASCII_VARIABLE))
        self.who = Who()
        self.paused_at: datetime | None = None
        self.questions = Questions()
        self.transport = transport
        self._painted_s = 0.0
        self._timer: asyncio.TimerHandle | None = None
        super().__init__(token, reason, ansi_color=True if palette == "terminal" else None)
        chosen = textual_theme(palette)
        self.register_theme(chosen)
        self.theme = chosen.name

    def now(self) -> datetime:
        """The operator's clock."""
        return self._now()

    # start and session

    async def on_mount(self) -> None:
        """Show the first screen, then look for the backend."""
        await self.push_screen(registry.root(self, "overview"))
        self.call_after_refresh(self.call_later, self.begin)  # not in the screen: it has to paint meanwhile

    async def on_unmount(self) -> None:
        """End the connections; the feed ends with the application."""
        if self._timer is not None:
            self._timer.cancel()
        if self.api is not None:
            await self.api.close()

    async def on_event(self, event: events.Event) -> None:
        """Give keys to the screen before any widget sees them: one after the other, so that none is lost or misread."""
        screen = self.on_top()
        if isinstance(event, events.Key | events.Paste) and not event.is_forwarded:
            self.somebody_is_there()
        if isinstance(screen, FloorScreen) and isinstance(event, events.Key | events.Paste) and not event.is_forwarded:
            taken = screen.is_deaf_to(event) or (isinstance(event, events.Key) and await screen.take_key(event))
            if taken:
                return
        await super().on_event(event)

    # live data

    @on(Arrived)
    def _arrived(self) -> None:
        waited_s = asyncio.get_running_loop().time() - self._painted_s
        if waited_s >= PAINT_GAP_S:
            self._take_in()
        elif self._timer is None or self._timer.when() > self._painted_s + PAINT_GAP_S:
            self._tick_in(PAINT_GAP_S - waited_s)

    @on(Tick)
    def _tick(self) -> None:
        self._take_in()

    def _take_in(self) -> None:
        """Bring the floor up to date with all that arrived, and the screen with the floor."""
        from console.state.floor import Floor

        updates = self._box.empty()
        if updates or self.latest is None:
            self.latest = take_in(self.latest or Floor(), updates)
        if self.paused_at is None:
            self.floor = self.latest
        self.repaint()

    def repaint(self) -> None:
        """Redraw what is shown and plan the next look at the clock."""
        self._painted_s = asyncio.get_running_loop().time()
        self.redraw()
        from console.state.pulse import next_look_s

        if self.latest is not None:
            # what has arrived meanwhile waits for the tick that this one replaces
            self._tick_in(PAINT_GAP_S if self._box.waits else next_look_s(self.latest, self.now()))

    def _tick_in(self, delay_s: float) -> None:
        if self._timer is not None:
            self._timer.cancel()
        self._timer = asyncio.get_running_loop().call_later(delay_s, self.post_message, Tick())

    async def do_alert_groups(self, _: str) -> None:
        """Show one line a group above the alerts, which know nothing of it."""
        from console.screens.alerts.groups import GroupsScreen

        await self.push_screen(GroupsScreen())

    def pulse(self) -> Pulse:
        """How current the screen is."""
        now = self.now()
        floor = self.latest
        if self.is_locked:
            return Pulse("locked", None, None, floor.now(now) if floor else now)
        paused_s = (now - self.paused_at).total_seconds() if self.paused_at is not None else None
        if floor is None:
            return Pulse("connecting" if self._token else "signed out", None, None, now, paused_s)
        quiet_s = quiet_seconds(floor.data_at, now)
        link = floor.connection.link.value if self._token else "signed out"
        return Pulse(link, floor.heard_s(now), quiet_s, floor.now(now), paused_s)


def create_app(
    url: str, token: str | None, environ: Mapping[str, str], theme: str = "auto", *, reason: str = ""
) -> WatchfloorApp:
    """The console of one backend, for `run_console`; `reason` says why nobody is signed in."""
    return WatchfloorApp(url, token, environ=environ, theme=theme, reason=reason)
