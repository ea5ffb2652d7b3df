"""Owns the wiring: looks, session, live feed, the floor, and which screen is shown. Decides nothing else.

Everything heavier than Textual itself is imported when it is first needed: the first frame must not wait for it.
"""

import asyncio
from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, ClassVar, Final

from textual import events, on

from console.asking import Answered, Questions, Refused, ask_backend
from console.feeding import Arrived, Box, FeedEnded, Tick, feed_updates, take_in
from console.locking import PRESENCE, Locking
from console.screens import registry
from console.screens.base import FloorScreen
from console.term.firstframe import speaks_utf8
from console.widgets.frame import Pulse, Who, quiet_seconds
from console.widgets.looks import Looks, choose_theme, looks_for, textual_theme

if TYPE_CHECKING:
    import httpx

    from console.client.api import Api
    from console.state.floor import Floor
    from contract.overview import Overview

THEME_VARIABLE: Final = "WATCHFLOOR_THEME"
ASCII_VARIABLE: Final = "WATCHFLOOR_ASCII"

PAINT_GAP_S: Final = 0.5
"""Live data is painted at most this often: a burst of updates must not cost a burst of repaints."""

Now = Callable[[], datetime]


def _system_now() -> datetime:
    return datetime.now(UTC)


class WatchfloorApp(Locking):
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
    ) -> None:
        """Prepare the console of one backend; nothing is sent before the first screen is shown."""
        self.environ = environ
        self.url = url
        self._now = now
        palette = choose_theme(environ.get(THEME_VARIABLE, "auto") if theme == "auto" else theme, environ)
        self.looks: Looks = looks_for(palette, unicode=speaks_utf8() and not environ.get(ASCII_VARIABLE))
        self.who = Who()
        self.floor: Floor | None = None
        """What the screens show; stands still while paused."""
        self.latest: Floor | None = None
        """What is known."""
        self.paused_at: datetime | None = None
        self.api: Api | None = None
        self.questions = Questions()
        self._token = token
        self.transport = transport
        self._box = Box()
        self._generation = 0
        self._painted_s = 0.0
        self._timer: asyncio.TimerHandle | None = None
        super().__init__(ansi_color=True if palette == "terminal" else None)
        chosen = textual_theme(palette)
        self.register_theme(chosen)
        self.theme = chosen.name

    def now(self) -> datetime:
        """The operator's clock."""
        return self._now()

    # start and session

    def session_token(self) -> str | None:
        """The token of the session, None while nobody is signed in."""
        return self._token

    async def on_mount(self) -> None:
        """Show the first screen, then look for the backend."""
        await self.push_screen(registry.root(self, "overview"))
        self.call_after_refresh(self.call_later, self._begin)  # not in the screen: it has to paint meanwhile

    async def on_unmount(self) -> None:
        """End the connections; the feed ends with the application."""
        if self._timer is not None:
            self._timer.cancel()
        if self.api is not None:
            await self.api.close()

    async def _begin(self) -> None:
        if self._token is None:
            await self.sign_in()
        else:
            await self.begin_session(self._token)

    async def begin_session(self, token: str) -> None:
        """Take in live data with this token."""
        from console.opening import PAINT_LIMIT_S, FirstAnswer, open_feed, touch_of

        self._generation += 1
        self._token = token
        first = FirstAnswer(self.url)
        if self._know(first.seen()):
            self.repaint()
            await self.next_paint(PAINT_LIMIT_S)
        self._know(overview := first.read())
        if self.api is not None:
            await self.api.close()
        self.api, self.feed = open_feed(self.url, token, overview, self.transport, self._now, environ=self.environ)
        self.api.touch = touch_of(self.environ, lambda: self.who.name, self.tell)
        updates = feed_updates(self, self.feed, self._box, self._generation)
        self.run_worker(updates, name="feed", group="feed", exclusive=True, exit_on_error=False)
        self.learn_of_freezes(self.api)
        asking = ask_backend(self, self.api, self.questions.put("whoami"), lambda api: api.whoami())
        self.run_worker(asking, name="whoami", group="whoami", exclusive=True, exit_on_error=False)

    def _know(self, overview: "Overview | None") -> bool:
        if overview is None:
            return False
        from console.state.floor import Floor, load

        self.floor = self.latest = load(self.latest or Floor(), overview, self.now())
        return True

    async def sign_in(self, reason: str = "") -> None:
        """Ask who the operator is, above whatever is shown: after it they are back where they were."""
        self.workers.cancel_group(self, "feed")
        self._token = None
        if not isinstance(self.screen, registry.login_class()):
            await self.push_screen(registry.login(reason))

    async def signed_in(self, token: str, problem: str = "") -> None:
        """The login screen has a token; `problem` says why it could not be kept for the next start."""
        self.say("refused" if problem else "", problem)
        self.forget_lock()
        self.pop_screen()
        await self.begin_session(token)

    def end_session(self) -> None:
        """Forget who is signed in, here and on the server."""
        self.who = Who()
        self.floor = self.latest = None
        self._generation += 1
        if self.api is not None:
            question = self.questions.put("logout")
            asking = ask_backend(self, self.api, question, lambda api: api.logout())
            self.run_worker(asking, name="logout", group="logout", exclusive=True, exit_on_error=False)

    @on(Answered)
    def _know_who(self, event: Answered) -> None:
        if self.questions.settle(event.question) and event.question.topic in {"whoami", PRESENCE}:
            self.know_person(event.value)

    @on(Refused)
    async def _not_known_who(self, event: Refused) -> None:
        if self.questions.settle(event.question):
            (self.not_told if event.question.topic == PRESENCE else self.complain)(event.error)

    async def on_event(self, event: events.Event) -> None:
        """Give keys to the screen before any widget sees them: one after the other, so that none is lost or misread."""
        screen = self.screen if self._screen_stack else None
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
        for screen in self.screen_stack[-2:]:
            if isinstance(screen, FloorScreen):
                screen.redraw()
        from console.state.pulse import next_look_s

        if self.latest is not None:
            # what has arrived meanwhile waits for the tick that this one replaces
            self._tick_in(PAINT_GAP_S if self._box.waits else next_look_s(self.latest, self.now()))

    def _tick_in(self, delay_s: float) -> None:
        if self._timer is not None:
            self._timer.cancel()
        self._timer = asyncio.get_running_loop().call_later(delay_s, self.post_message, Tick())

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

    @on(FeedEnded)
    def _feed_ended(self, event: FeedEnded) -> None:
        if event.generation == self._generation:
            self.complain(event.error)


def create_app(url: str, token: str | None, environ: Mapping[str, str], theme: str = "auto") -> WatchfloorApp:
    """The console of one backend, for `run_console`."""
    return WatchfloorApp(url, token, environ=environ, theme=theme)
