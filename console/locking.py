"""Owns when the console locks: tells the backend that somebody is there, warns before, covers the screen, uncovers it.

A locked console keeps every screen and dialog below as it was, and freezes. Must never unlock by itself: the backend
has taken the factors first.
"""

import asyncio
from typing import TYPE_CHECKING, Any

from textual import on
from textual.message import Message

from console.asking import Questions, ask_backend
from console.doing import Doing
from console.screens import registry
from console.state.idle import WARNING_S, Idle
from console.widgets.frame import Who

if TYPE_CHECKING:
    from textual.screen import Screen

    from console.client.errors import ClientError
    from contract.auth import WhoAmI
    from contract.freeze import Freeze

PRESENCE = "presence"
"""The topic under which the backend is told that somebody is there."""


class IdleLook(Message):
    """Time has passed in which nobody may have been there."""

    def can_replace(self, message: Message) -> bool:
        """One look is enough."""
        return isinstance(message, IdleLook)


class Locking(Doing):
    """The lock of the application."""

    questions: Questions

    if TYPE_CHECKING:
        who: Who

        async def begin_session(self, token: str) -> None:
            """Take in live data with this token."""

    def __init__(self, **options: Any) -> None:
        super().__init__(**options)
        self.is_locked = False
        self.idle = Idle()
        self._covered: tuple[str, str] | None = None
        """What stood on the message line before the warning."""
        self._warning: tuple[str, str] = ("", "")
        """The warning itself, as long as nothing else is said."""
        self._look_timer: asyncio.TimerHandle | None = None
        self._opened_by = ""
        """Whose screens lie open."""

    def session_token(self) -> str | None:
        """The token of the session, None while nobody is signed in."""
        raise NotImplementedError

    # somebody is there

    def somebody_is_there(self) -> None:
        """A key was pressed: take the warning back, and tell the backend unless it was told a moment ago."""
        self._take_warning_back()
        api = self.api
        if self.is_locked or api is None or self.session_token() is None or self.idle.after is None:
            return
        if self.idle.key(self.now()):
            asking = ask_backend(self, api, self.questions.put(PRESENCE), lambda api: api.present())
            self.run_worker(asking, name=PRESENCE, group=PRESENCE, exclusive=True, exit_on_error=False)
        self._look_in()

    def know_person(self, person: "WhoAmI") -> None:
        """Take in who is signed in, and how long the session stays open."""
        other = self._opened_by not in {"", person.username}
        self._opened_by = person.username
        self.who = Who(person.username, person.role, person.permissions)
        if person.locked:
            self.call_later(self.lock)
        elif person.locks_in_seconds is not None and person.locks_after_seconds is not None:
            self.idle.know(self.now(), person.locks_in_seconds, person.locks_after_seconds)
            self._look_in()
        if other:
            self.call_later(self.go, "overview")  # what lies open is somebody else's
        self.repaint()

    def not_told(self, error: "ClientError") -> None:
        """The backend could not be told, or refuses the session: only the second is worth a word."""
        from console.state.problems import ends_session

        if ends_session(error):
            self.complain(error)

    # nobody is there

    def _look_in(self) -> None:
        left_s = self.idle.left_s(self.now())
        if self._look_timer is not None:
            self._look_timer.cancel()
        if left_s is not None and not self.is_locked:
            delay_s = left_s - WARNING_S if left_s > WARNING_S else left_s
            self._look_timer = asyncio.get_running_loop().call_later(max(delay_s, 0.0), self.post_message, IdleLook())

    @on(IdleLook)
    async def _look_at_idle(self) -> None:
        left_s = self.idle.left_s(self.now())
        if left_s is None or self.is_locked or self.session_token() is None:
            return
        if left_s <= 0:
            await self.lock()
            return
        if left_s <= WARNING_S and self._covered is None:
            self._covered = self.message
            text = f"Nobody uses this: it locks in {round(left_s)} s. Any key keeps it open."
            self._warning = ("notice", text)
            self.say(*self._warning)
        self._look_in()

    def _take_warning_back(self) -> None:
        if self._covered is not None:
            before, self._covered = self._covered, None
            if self.message == self._warning:  # what was said since is newer than what was there before
                self.say(*before)

    # locked

    async def lock(self, reason: str = "") -> None:
        """Cover the screen until the person has shown every factor; what was typed stays below."""
        if self.is_locked or self.session_token() is None:
            return
        self._take_warning_back()
        self.is_locked = True
        self.workers.cancel_group(self, "feed")
        from console.screens.locked.screen import LockedScreen

        await self.push_screen(LockedScreen(reason))

    async def unlocked(self) -> None:
        """The backend has taken the factors: show what was there, and go on."""
        from console.screens.locked.screen import LockedScreen

        token = self.session_token()
        self.forget_lock()
        if token is None:
            return
        if isinstance(self.screen, LockedScreen):  # else a dialog lies above it, with what was typed into it
            await self.pop_screen()
        await self.begin_session(token)

    def forget_lock(self) -> None:
        """The session is open, or another one has begun; a cover that lies below goes when it is reached."""
        self.is_locked = False
        self.idle = Idle()

    async def uncover(self, cover: "Screen[Any]") -> None:
        """Take a cover away that was reached after its lock was opened; never what was opened above it meanwhile."""
        if self.screen is cover:
            await self.pop_screen()

    def know_holds(self, held: "list[Freeze]", *, whole: bool) -> None:
        """Take in what is frozen while nothing else is heard; not `whole`: what a backend without database knows."""
        from dataclasses import replace

        from console.state.floor import Floor

        floor = self.latest or Floor()
        kept = {} if whole else dict(floor.freezes)
        self.latest = replace(floor, freezes=kept | {one.id: one for one in held})
        self.repaint()

    async def go(self, name: str) -> Any:
        """Show one of the root screens; while locked nobody goes anywhere."""
        if self.is_locked:
            return registry.root(self, name)
        return await super().go(name)
