"""Owns how a session begins and ends in the console: the client, its feed, who it is, the way to the login and back.

The client is kept as long as its token: something may be under way with it, a freeze above all.
"""

from collections.abc import Callable, Mapping
from datetime import datetime
from typing import TYPE_CHECKING, Any

from textual import on

from console.answering import Answering
from console.asking import Answered, Died, Refused, ask_backend
from console.feeding import Box, FeedEnded, feed_updates
from console.locking import PRESENCE
from console.screens import registry
from console.widgets.frame import Who

if TYPE_CHECKING:
    import httpx

    from console.client.api import Api
    from console.state.floor import Floor
    from contract.overview import Overview


class Beginning(Answering):
    """The session of the application."""

    if TYPE_CHECKING:
        environ: Mapping[str, str]
        transport: httpx.AsyncBaseTransport | None
        _now: Callable[[], datetime]

        async def next_paint(self, limit_s: float) -> None:
            """Wait until something has been painted."""

    def __init__(self, token: str | None, reason: str, **options: Any) -> None:
        self.api: Api | None = None
        self.floor: Floor | None = None
        """What the screens show; stands still while paused."""
        self.latest: Floor | None = None
        """What is known."""
        self._token = token
        self._api_token = ""
        """The token of the client: of the last session while nobody is signed in."""
        self._why_signed_out = reason
        self._box = Box()
        self._generation = 0
        super().__init__(**options)

    def session_token(self) -> str | None:
        """The token of the session, None while nobody is signed in."""
        return self._token

    async def begin(self) -> None:
        """Go on with the session that was kept, or ask who the operator is."""
        if self._token is None:
            await self.sign_in(self._why_signed_out)
        else:
            await self.begin_session(self._token)

    async def begin_session(self, token: str) -> None:
        """Take in live data with this token."""
        self._generation += 1
        if self.api is None or self._api_token != token:
            await self._open(token)
        else:
            from console.client.stream import Feed

            self.feed = Feed(self.api, now=self._now)
        api, feed = self.api, self.feed
        assert api is not None and feed is not None  # noqa: S101, PT018  made above
        updates = feed_updates(self, feed, self._box, self._generation)
        self.run_worker(updates, name="feed", group="feed", exclusive=True, exit_on_error=False)
        asking = ask_backend(self, api, self.questions.put("whoami"), lambda api: api.whoami())
        self.run_worker(asking, name="whoami", group="whoami", exclusive=True, exit_on_error=False)

    async def _open(self, token: str) -> None:
        from console.opening import PAINT_LIMIT_S, FirstAnswer, open_feed, touch_of

        self._token = token
        first = FirstAnswer(self.url)
        if self._know(first.seen()):
            self.repaint()
            await self.next_paint(PAINT_LIMIT_S)
        self._know(overview := first.read())
        if self.api is not None:
            await self.api.close()
        self.api, self.feed = open_feed(self.url, token, overview, self.transport, self._now, environ=self.environ)
        self._api_token = token
        self.api.touch = touch_of(self.environ, lambda: self.who.name, self.tell)
        self.learn_of_freezes(self.api)

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
        while any(isinstance(screen, registry.login_class()) for screen in self.screen_stack):
            await self.pop_screen()  # and with it what was opened above it meanwhile
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

    @on(FeedEnded)
    def _feed_ended(self, event: FeedEnded) -> None:
        if event.generation == self._generation:
            self.complain(event.error)

    @on(Answered)
    def _know_who(self, event: Answered) -> None:
        if self.questions.settle(event.question) and event.question.topic in {"whoami", PRESENCE}:
            self.know_person(event.value)

    @on(Refused)
    async def _not_known_who(self, event: Refused) -> None:
        if self.questions.settle(event.question):
            (self.not_told if event.question.topic == PRESENCE else self.complain)(event.error)

    @on(Died)
    def _never_known(self, event: Died) -> None:
        self.questions.settle(event.question)
