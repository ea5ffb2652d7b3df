"""How tests run the console: the real application on a backend on paper, with a clock that stands still."""

import asyncio
import os
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path
from tempfile import TemporaryDirectory
from unittest import mock

from textual import events
from textual.pilot import Pilot

from console.app import WatchfloorApp
from console.screens.base import FloorScreen
from tests.console import floor_models as models
from tests.console.paper import Paper

GOLDEN = Path(__file__).parent / "golden"
UPDATE_VARIABLE = "UPDATE_GOLDEN"
"""Set it to write the golden screens anew; then read the diff."""

WAIT_S = 10.0
"""Longer than any step takes on a busy machine: only a failing test waits so long."""

_COVERS = frozenset({"Locked", "Log in"})

TERMINAL = {"LANG": "C.UTF-8", "LC_ALL": "C.UTF-8", "TERM": "xterm-256color", "COLORTERM": "truecolor"}


_NAMES = {" ": "space", ":": "colon", "/": "slash", "-": "minus", ".": "full_stop", "_": "underscore"}
_CHARACTERS = {name: char for char, name in _NAMES.items()} | {"question_mark": "?", "enter": "\r", "tab": "\t"}


@dataclass
class StandingClock:
    """A clock that tests move."""

    at: datetime = models.NOW

    def now(self) -> datetime:
        """What it shows."""
        return self.at

    def advance(self, **span: float) -> None:
        """Move it on."""
        self.at += timedelta(**span)


@dataclass
class Running:
    """A running console."""

    app: WatchfloorApp
    pilot: Pilot[None]
    paper: Paper
    clock: StandingClock

    @property
    def screen(self) -> str:
        """The whole screen as text."""
        strips = self.app.screen._compositor.render_strips()
        return "\n".join(strip.text.rstrip() for strip in strips) + "\n"

    @property
    def title(self) -> str:
        """Which screen is shown."""
        return str(getattr(self.app.screen, "TITLE_TEXT", ""))

    async def until(self, condition: Callable[[], bool], what: str = "") -> None:
        """Wait until something is so."""
        deadline = asyncio.get_running_loop().time() + WAIT_S
        while not condition():
            if asyncio.get_running_loop().time() > deadline:
                raise AssertionError(f"never happened: {what}\n{self.screen}")
            await self.pilot.pause(0.01)

    async def shows(self, text: str) -> None:
        """Wait until the screen contains a text."""
        await self.until(lambda: text in self.screen, f"screen shows {text!r}")

    async def hides(self, text: str) -> None:
        """Wait until the screen does not contain a text."""
        await self.until(lambda: text not in self.screen, f"screen without {text!r}")

    async def at(self, title: str) -> None:
        """Wait until a screen is shown and has drawn itself; one that covers others also until it takes keys."""
        await self.until(lambda: self.title == title, f"screen {title!r}")
        await self.pilot.pause()
        if title in _COVERS:
            await self.listens()

    async def listens(self) -> None:
        """Wait until a dialog takes keys."""
        screen = self.app.screen
        await self.until(
            lambda: isinstance(screen, FloorScreen) and not screen.is_deaf_to(events.Key("a", "a")), "it listens"
        )

    async def opens(self, key: str, title: str) -> None:
        """Press the key of a dialog and wait until it takes keys itself."""
        await self.press(key)
        await self.at(title)
        await self.listens()

    async def press(self, *keys: str) -> None:
        """Press keys one after the other, as fast as a terminal sends them."""
        for key in keys:
            character = key if len(key) == 1 else _CHARACTERS.get(key)
            self.app.post_message(events.Key(key, character))
        await self.pilot.pause()

    async def type(self, text: str) -> None:
        """Type text."""
        await self.press(*(_NAMES.get(char, char) for char in text))


@asynccontextmanager
async def running(
    paper: Paper | None = None,
    *,
    size: tuple[int, int] = (80, 24),
    token: str | None = "t" * 20,
    environ: dict[str, str] | None = None,
    theme: str = "dark",
    loaded: bool = True,
    url: str = "http://127.0.0.1:8420",
) -> AsyncIterator[Running]:
    """The console on a backend on paper; waits for live data unless told otherwise."""
    paper = paper or Paper()
    clock = StandingClock()
    with TemporaryDirectory(prefix="wf-state-") as state, mock.patch.dict(os.environ, TERMINAL | (environ or {})):
        variables = {**TERMINAL, "XDG_STATE_HOME": state, **(environ or {})}
        if "NO_COLOR" not in variables:
            os.environ.pop("NO_COLOR", None)
        app = WatchfloorApp(
            url,
            token,
            environ=variables,
            theme=theme,
            now=clock.now,
            transport=paper.transport(),
        )
        async with app.run_test(size=size) as pilot:
            run = Running(app, pilot, paper, clock)
            if loaded and token is not None:
                await run.until(lambda: app.who.name != "" and app.pulse().link == "live", "live data")
                await pilot.pause()
            yield run


@asynccontextmanager
async def on_backend(url: str, token: str, state: Path, size: tuple[int, int] = (80, 24)) -> AsyncIterator[Running]:
    """The console on a backend that really runs; its clock runs, too, and nothing is on paper."""
    with mock.patch.dict(os.environ, TERMINAL):
        app = WatchfloorApp(url, token, environ={**TERMINAL, "XDG_STATE_HOME": str(state)}, theme="dark")
        async with app.run_test(size=size) as pilot:
            run = Running(app, pilot, Paper(), StandingClock())
            await run.until(lambda: app.who.name != "" and app.pulse().link == "live", "live data")
            yield run


def compare_golden(name: str, screen: str) -> None:
    """Compare a screen with the stored one, or store it."""
    path = GOLDEN / f"{name}.txt"
    if os.environ.get(UPDATE_VARIABLE):
        path.write_text(screen)
    expected = path.read_text() if path.exists() else ""
    assert screen == expected, f"{path.name} differs; if it is meant to, run with {UPDATE_VARIABLE}=1\n{screen}"
