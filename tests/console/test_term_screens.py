"""Real Textual screens through the painter: after every single update the terminal shows what plain painting shows."""

from typing import Any

import pyte
from rich.console import RenderableType
from textual._compositor import CompositorUpdate
from textual.app import ComposeResult
from textual.containers import VerticalScroll
from textual.coordinate import Coordinate
from textual.geometry import Size
from textual.pilot import Pilot
from textual.screen import ModalScreen, Screen
from textual.widgets import DataTable, Input, RichLog, Static

from console.term.app import TerminalApp
from console.term.painter import PaintedUpdate
from console.term.sanitize import clean

HOSTILE = (
    "\x1b[2J\x1b[1;1Hgone",
    "a\u202eb",
    "e" + "\u0301" * 30,
    "\u200b\u200badmin",
    "\x9b31mred",
    "[bold]no markup[/]",
)
WIDE = ("漢字テスト", "한국어", "🔥 alert 👍", "👩\u200d👧 family", "naïve café", "❤\ufe0f heart")


class Dialog(ModalScreen[None]):
    def compose(self) -> ComposeResult:
        yield Static("Freeze arbitrum? 漢字", id="question")
        yield Input(placeholder="reason")


class Other(Screen[None]):
    def compose(self) -> ComposeResult:
        yield RichLog()
        yield Static("[link='https://example.invalid/x']link[/link] and [b]bold[/b] [reverse]reverse[/reverse]")


class Compared(TerminalApp[None]):
    """Paints every update twice, plainly and reduced, and compares the two terminals."""

    CSS = "Dialog { align: center middle; } #question { width: 30; height: 3; border: round red; }"

    def __init__(self) -> None:
        super().__init__()
        self.updates = self.plain_bytes = self.reduced_bytes = 0
        self.expected = self.actual = pyte.Screen(0, 0)

    def fit_terminals(self, size: Size) -> None:
        if (self.expected.columns, self.expected.lines) != size:
            self.expected, self.actual = pyte.Screen(*size), pyte.Screen(*size)
            self.painter.forget()

    def compose(self) -> ComposeResult:
        yield Static("WATCHFLOOR", id="title")
        yield DataTable[str](cursor_type="row")
        with VerticalScroll(id="texts"):
            for text in (*HOSTILE, *WIDE):
                yield Static(clean(text), markup=False)
                yield Static(text.replace("\x1b", "").replace("\x9b", ""), markup=False)

    def on_mount(self) -> None:
        table: DataTable[str] = self.query_one(DataTable)
        table.styles.height = 12
        table.add_columns("age", "name", "detail")
        table.add_rows([(f"{n}s", f"alert {n}", WIDE[n % 6] if n % 5 == 0 else "limit reached") for n in range(80)])

    def _display(self, screen: Screen[Any], renderable: RenderableType | None) -> None:
        if isinstance(renderable, CompositorUpdate) and self._running and not self._batch_count and not self._closed:
            self.compare(renderable)
        super()._display(screen, renderable)

    def compare(self, update: CompositorUpdate) -> None:
        plain = update.render_segments(self.console)
        self.fit_terminals(self.screen._compositor.size)
        result = self.painter.reduce(update, self.console)
        assert isinstance(result, PaintedUpdate)
        self.updates += 1
        self.plain_bytes += len(plain)
        self.reduced_bytes += len(result.sequence)
        for terminal, sequence in ((self.expected, plain), (self.actual, result.sequence)):
            pyte.Stream(terminal).feed(f"\x1b[?7l{sequence}\x1b[1;1H")
        assert self.actual.display == self.expected.display
        assert cells(self.actual) == cells(self.expected)


def cells(screen: pyte.Screen) -> list[list[tuple[object, ...]]]:
    return [[tuple(screen.buffer[y][x]) for x in range(screen.columns)] for y in range(screen.lines)]


async def walk(pilot: Pilot[None], app: Compared) -> None:
    table: DataTable[str] = app.query_one(DataTable)
    for step in range(12):
        table.update_cell_at(Coordinate(1, 0), f"{step} min")
        await pilot.pause()
    await pilot.press("down", "down", "pagedown", "pagedown", "end", "home", "tab")
    app.query_one("#texts").scroll_end(animate=False)
    await pilot.pause()
    app.query_one("#title", Static).update("漢字 WATCHFLOOR")
    await pilot.pause()
    app.query_one("#title", Static).update("plain again")
    await pilot.pause()
    await app.push_screen(Dialog())
    await pilot.press("a", "b", "漢", "backspace", "left")
    app.pop_screen()
    await pilot.pause()
    other = Other()
    await app.push_screen(other)
    for number in range(30):
        other.query_one(RichLog).write(f"line {number} {WIDE[number % 6]}")
        await pilot.pause()
    app.pop_screen()
    await pilot.pause()


async def test_a_walk_through_screens_shows_the_same_for_fewer_bytes() -> None:
    app = Compared()
    async with app.run_test(size=(80, 24)) as pilot:
        await walk(pilot, app)
        await pilot.resize_terminal(120, 40)
        await walk(pilot, app)
        await pilot.resize_terminal(40, 12)
        app.theme = "textual-light"
        await pilot.pause()
        app.action_redraw()
        app.query_one(DataTable).clear()
        await pilot.pause()
        assert app.painter.enabled
    assert app.updates > 100
    assert app.reduced_bytes < app.plain_bytes / 3


async def test_one_cell_of_a_table_costs_less_than_a_hundred_bytes() -> None:
    app = Compared()
    async with app.run_test(size=(120, 40)) as pilot:
        table: DataTable[str] = app.query_one(DataTable)
        before = 0
        for age in ("7s", "8s", "9s"):
            before = app.reduced_bytes
            table.update_cell_at(Coordinate(1, 0), age)
            await pilot.pause()
        assert 0 < app.reduced_bytes - before < 100


async def test_redrawing_paints_the_whole_screen() -> None:
    app = Compared()
    async with app.run_test(size=(80, 24)) as pilot:
        await pilot.pause()
        before = app.reduced_bytes
        app.action_redraw()
        await pilot.pause()
        assert app.reduced_bytes - before > 80 * 24 / 2
