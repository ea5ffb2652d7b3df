"""The long list: only what is visible is drawn, and the selection stays where it was put."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from textual.app import App, ComposeResult
from textual.pilot import Pilot

from console.widgets.lines import Line, line
from console.widgets.looks import Looks, looks_for
from console.widgets.rows import Rows


class ListApp(App[None]):
    """An application with nothing but a list."""

    looks: Looks = looks_for("dark", unicode=True)

    def __init__(self) -> None:
        super().__init__()
        self.drawn: list[str] = []
        self.moves = 0

    def compose(self) -> ComposeResult:
        yield Rows(id="rows")

    def draw_row(self, ident: str, _: int) -> Line:
        self.drawn.append(ident)
        return line(f"row {ident}")

    def on_rows_moved(self) -> None:
        self.moves += 1

    @property
    def rows(self) -> Rows:
        return self.query_one(Rows)

    def load(self, ids: list[str]) -> None:
        self.rows.load(ids, self.draw_row, [line("nothing")])

    @property
    def shown(self) -> list[str]:
        return [strip.text.strip() for strip in self.screen._compositor.render_strips()]


@asynccontextmanager
async def listing(count: int) -> AsyncIterator[tuple[ListApp, Pilot[None]]]:
    app = ListApp()
    async with app.run_test(size=(40, 10)) as pilot:
        app.load([str(number) for number in range(count)])
        app.rows.focus()
        await pilot.pause()
        yield app, pilot


async def test_ten_thousand_rows_draw_only_what_is_visible() -> None:
    async with listing(10_000) as (app, pilot):
        assert app.shown[0] == "row 0"
        app.drawn.clear()
        app.rows.do_list_down("")
        await pilot.pause()
        assert set(app.drawn) <= {"0", "1"}
        app.drawn.clear()
        app.rows.do_list_bottom("")
        await pilot.pause()
        assert app.shown[-1] == "row 9999"
        assert len(set(app.drawn)) <= 11


async def test_reloading_the_same_rows_repaints_nothing() -> None:
    async with listing(100) as (app, pilot):
        app.load([str(number) for number in range(100)])
        assert not app.rows._repaint_regions
        await pilot.pause()


async def test_the_selected_row_stays_selected_and_in_place_when_rows_come_above() -> None:
    async with listing(50) as (app, pilot):
        for _ in range(3):
            app.rows.do_list_down("")
        before = app.shown.index("row 3")
        app.load(["new", "newer", *[str(number) for number in range(50)]])
        await pilot.pause()
        assert app.rows.selected == "3"
        assert app.shown.index("row 3") == before


async def test_a_list_nobody_has_moved_in_stays_at_the_top() -> None:
    async with listing(50) as (app, pilot):
        app.load(["new", *[str(number) for number in range(50)]])
        await pilot.pause()
        assert app.rows.selected == "new"
        assert app.shown[0] == "row new"


async def test_when_the_selected_row_goes_the_next_one_takes_its_place() -> None:
    async with listing(5) as (app, pilot):
        app.rows.do_list_down("")
        app.load(["0", "2", "3", "4"])
        await pilot.pause()
        assert app.rows.selected == "2"
        app.load([])
        await pilot.pause()
        assert app.rows.selected is None
        assert app.shown[0] == "nothing"
        app.rows.do_list_down("")
        app.rows.do_list_bottom("")
        assert app.rows.selected is None


async def test_leaving_the_page_scrolls_half_of_it() -> None:
    async with listing(100) as (app, pilot):
        for _ in range(10):
            app.rows.do_list_down("")
        await pilot.pause()
        assert app.rows.selected == "10"
        assert app.shown[0] == "row 6"
        app.rows.do_list_top("")
        await pilot.pause()
        assert app.shown[0] == "row 0"


async def test_a_click_selects_and_the_wheel_scrolls() -> None:
    async with listing(100) as (app, pilot):
        await pilot.click(Rows, offset=(2, 4))
        assert app.rows.selected == "4"
        assert app.moves >= 1


async def test_a_row_that_was_painted_before_a_resize_was_told_is_not_kept_by_the_next_load() -> None:
    async with listing(8) as (app, pilot):
        app.rows.on_resize()  # Textual tells it after it has painted for the new room
        app.rows.do_list_down("")
        await pilot.pause()
        app.load([f"new {number}" for number in range(8)])
        await pilot.pause()
        assert app.shown[:8] == [f"row new {number}" for number in range(8)]
