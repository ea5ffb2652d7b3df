"""The palette: every action of the screen below, filtered while typing; Enter does the selected one."""

from textual import events, on
from textual.app import ComposeResult

from console import actions
from console.actions import Action, Context, Danger, refusal
from console.keys import shown_key
from console.screens.base import FloorScreen
from console.state.matching import matches
from console.widgets.field import Field
from console.widgets.lines import Line, column, left, line, outside, pad
from console.widgets.rows import Rows
from console.widgets.view import View

_MOVES = {"up": "do_list_up", "down": "do_list_down", "pageup": "do_list_page_up", "pagedown": "do_list_page_down"}


class PaletteScreen(FloorScreen):
    """Made from the action table; what the role may not do is shown as such."""

    CSS_PATH = ["../base.tcss", "screen.tcss"]
    TITLE_TEXT = "Palette"
    CONTEXTS = (Context.PALETTE,)
    CLOSED = True
    AUTO_FOCUS = "#wanted"

    def __init__(self, below: FloorScreen) -> None:
        super().__init__()
        self._below = below
        self._known = {
            action.id: action
            for action in actions.in_contexts(below.reach())
            if action.id not in {"palette", "command"} and Context.LIST not in action.contexts
        }

    def compose_body(self) -> ComposeResult:
        """What is looked for, and the actions."""
        yield Field(id="wanted", placeholder="type to find an action")
        yield Rows(id="actions")

    def sentence(self, view: View) -> Line:
        """How it works."""
        return line(
            (f" {view.glyphs.arrow} ", "key"),
            (f"Actions of {outside(self._below.TITLE_TEXT, 40)}: Enter does one.", ""),
        )

    def draw(self, view: View) -> None:
        """The actions that contain what was typed."""
        words = self.query_one("#wanted", Field).value.split()
        kept = [
            action.id
            for action in self._known.values()
            if matches(words, action.id, action.label, action.help, action.command, *action.keys)
        ]
        none = line(("No action contains that.", "dim"))
        self.query_one("#actions", Rows).load(
            kept, lambda ident, width: self._row(self._known[ident], view.sized(width)), [none]
        )

    def _row(self, action: Action, view: View) -> Line:
        g = view.glyphs
        who = self.desk.who
        refused = refusal(action, who.permissions, who.role)
        chosen = self.query_one("#actions", Rows).selected == action.id
        style = "dim" if refused else "near" if action.danger is Danger.STOPS else ""
        text = f"not for your role: needs {action.permission}" if refused and action.permission else action.help
        return pad(
            line(
                (f"{g.arrow if chosen else ' '} ", "key"),
                (left(shown_key(action.keys[0]), 10, g), "dim" if refused else "key"),
                (column(action.id, 20, g), "dim" if refused else "bold"),
                (text, style),
            ),
            view.width,
            g,
        )

    @on(Field.Changed, "#wanted")
    def _typed(self) -> None:
        self.query_one("#actions", Rows).follow_top()
        self.redraw()

    async def take_key(self, event: events.Key) -> bool:
        """Arrows move the selection while the field keeps the focus."""
        if event.key not in _MOVES:
            return await super().take_key(event)
        getattr(self.query_one("#actions", Rows), _MOVES[event.key])("")
        self.redraw()
        return True

    @on(Rows.Opened, "#actions")
    async def _opened(self) -> None:
        await self.do_palette_do("")

    async def do_palette_close(self, _: str) -> None:
        """Close without doing anything."""
        await self.desk.leave(self)

    async def do_palette_do(self, _: str) -> None:
        """Do the selected action on the screen below."""
        selected = self.query_one("#actions", Rows).selected
        if selected is None:
            return
        action = self._known[selected]
        below = self._below
        await self.app.pop_screen()
        below.call_later(below.perform, action)
