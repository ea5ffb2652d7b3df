"""A bare Textual application: the floor that every figure of the console is compared with."""

from textual.app import App, ComposeResult
from textual.binding import Binding
from textual.widgets import Static


class Hello(App[None]):
    """One line of text; a key changes it."""

    BINDINGS = [Binding("q", "quit"), Binding("j", "count(1)"), Binding("k", "count(-1)")]

    count = 0

    def compose(self) -> ComposeResult:
        yield Static("Hello, ready 0", id="hello")

    def action_count(self, step: int) -> None:
        self.count += step
        self.query_one("#hello", Static).update(f"Hello, ready {self.count}")


if __name__ == "__main__":
    Hello().run()
