"""A bare DataTable, painted by Textual or by us (`--diff`), idle or changing one cell a second (`--feed`)."""

import sys
from typing import Any

from textual.app import App, ComposeResult
from textual.binding import Binding
from textual.coordinate import Coordinate
from textual.widgets import DataTable, Footer, Header

COLUMNS = ("age", "severity", "name", "scope", "detail")


class Table(App[None]):
    """Rows under a cursor; nothing else."""

    BINDINGS = [Binding("q", "quit"), Binding("j", "step(1)"), Binding("k", "step(-1)")]
    TITLE = "ready"

    ticks = 0

    def compose(self) -> ComposeResult:
        yield Header()
        yield DataTable[str](cursor_type="row")
        yield Footer()

    def on_mount(self) -> None:
        table: DataTable[str] = self.query_one(DataTable)
        table.add_columns(*COLUMNS)
        rows = _number("--rows", 10_000)
        table.add_rows([(f"{n % 60}m", "HIGH", f"alert {n}", f"chain:{n % 7}", "limit reached") for n in range(rows)])
        table.focus()
        if "--feed" in sys.argv:
            self.set_interval(1.0, self.tick)

    def tick(self) -> None:
        self.ticks += 1
        self.query_one(DataTable).update_cell_at(Coordinate(5, 0), f"{self.ticks % 60}s")

    def action_step(self, by: int) -> None:
        table: DataTable[Any] = self.query_one(DataTable)
        table.move_cursor(row=table.cursor_row + by)


def _number(option: str, default: int) -> int:
    return int(sys.argv[sys.argv.index(option) + 1]) if option in sys.argv else default


def main() -> None:
    if "--diff" not in sys.argv:
        Table().run()
        return
    from console.term.app import TerminalApp
    from console.term.firstframe import paint
    from console.term.run import run_console

    class DiffTable(Table, TerminalApp[None]):
        pass

    run_console(DiffTable, paint())


if __name__ == "__main__":
    main()
