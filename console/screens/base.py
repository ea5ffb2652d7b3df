"""Owns what all screens share: the frame, the way of a key to its action, the message line.

Screens compose and route. Must never decide a business rule: the backend does.
"""

import inspect
from collections.abc import Callable
from typing import ClassVar, Final

from textual import events, on
from textual._path import CSSPathType
from textual.app import ComposeResult

from console import actions
from console.actions import Action, Context
from console.screens.asking import AskingScreen
from console.widgets import frame
from console.widgets.command_line import COMMAND, FILTER, CommandLine
from console.widgets.field import Typing
from console.widgets.lines import EMPTY, Line, folded, line, outside
from console.widgets.panel import Panel
from console.widgets.rows import Rows
from console.widgets.view import View

VERDICT_ROWS: Final = 3
"""As many of what became of unanswered freezes are shown at once; on what covers or asks, the worst one."""
BODY_ROWS_MIN: Final = 3
"""Below this many rows the body gets all and the frame shrinks."""


class FloorScreen(AskingScreen):
    """One screen with its frame."""

    CSS_PATH: ClassVar[CSSPathType | None] = "base.tcss"
    TITLE_TEXT: ClassVar[str] = ""
    CONTEXTS: ClassVar[tuple[Context, ...]] = ()
    AUTO_FOCUS: ClassVar[str | None] = "Rows"
    IS_ROOT: ClassVar[bool] = False
    """Whether `q` here leaves the program."""
    CLOSED: ClassVar[bool] = False
    """Whether only the screen's own actions work here."""
    IS_PAGE: ClassVar[bool] = False
    """Whether a number key leads here: another page takes its place instead of lying above it."""

    def __init__(self) -> None:
        super().__init__()
        self._prefix = ""
        self.pressed_s = 0.0
        """When the last key was sent, by the monotonic clock: what was on the screen then is what is meant."""
        self.filter_text = ""

    # what subclasses say

    def compose_body(self) -> ComposeResult:
        """What stands between line 2 and the key line."""
        yield from ()

    def draw(self, view: View) -> None:
        """Bring the body up to date."""

    def sentence(self, view: View) -> Line:  # noqa: ARG002  for subclasses
        """Line 2: the sentence that matters here."""
        return EMPTY

    def arguments(self, command: str) -> list[str]:
        """What can follow a command's name."""
        return self.desk.arguments(command)

    def reveal(self, ident: str) -> None:
        """Select what a link points at."""

    def hidden(self) -> frozenset[str]:
        """Ids of actions that would only be refused just now: the key line leaves them out."""
        return frozenset()

    def copy_text(self) -> str:
        """What `y` copies."""
        return ""

    # the frame

    def compose(self) -> ComposeResult:
        """Line 1, line 2, the banner, the body, messages and keys."""
        yield Panel(id="top", fill="bar", grows=False)
        yield Panel(id="sentence")
        yield Panel(id="banner", fill="banner")
        yield from self.compose_body()
        yield Panel(id="message")
        yield CommandLine(id="command")
        yield Panel(id="keys", grows=False)

    @property
    def is_current(self) -> bool:
        """Whether it is seen. Textual counts the one below as well, which ours cover: nobody would see it drawn."""
        stack = self.app.screen_stack
        return bool(stack) and stack[-1] is self

    def on_mount(self) -> None:
        """Draw at once: a screen is never empty."""
        self.redraw()

    def on_resize(self) -> None:
        """Draw for the new size."""
        self.redraw()

    def on_screen_resume(self) -> None:
        """Something may have happened meanwhile."""
        self.redraw()

    def view(self) -> View:
        """The conditions under which to draw now."""
        size = self.app.size
        return View(size.width, size.height, self.desk.looks.glyphs, self.desk.now())

    def redraw(self) -> None:
        """Bring everything up to date; only lines that differ are painted."""
        if not self.is_attached or not self.query("#keys"):
            return
        view = self.view()
        self.query_one("#top", Panel).show([frame.top_line(self.TITLE_TEXT, self.desk.who, self.desk.pulse(), view)])
        self.query_one("#sentence", Panel).show(folded(self.sentence(view), view.width, view.glyphs))
        banner = self.query_one("#banner", Panel)
        holds = self.desk.holds()
        banner.show([frame.banner_line(holds, view)] if holds else [])
        banner.display = bool(holds)
        self.redraw_message(view)
        self.redraw_keys(view)
        self.draw(view)

    def redraw_keys(self, view: View) -> None:
        """Show the keys that work here."""
        left_out = self.hidden()
        known = [one for one in actions.in_contexts(self.reach()) if one.id not in left_out]
        typing = isinstance(self.focused, Typing)
        self.query_one("#keys", Panel).show(
            [frame.keys_line(known, self.desk.who, view, prefix=self._prefix, typing=typing)]
        )

    def redraw_message(self, view: View) -> None:
        """Show what happened last."""
        told = [*self.desk.verdict_lines()[: self.verdict_rows()], self.desk.message]
        by_esc = actions.find("escape", self.reach())
        back = by_esc is not None and by_esc.id == "back"
        rows = [frame.message_line(kind, text, view, dismissed_by_esc=back) for kind, text in told if text]
        panel = self.query_one("#message", Panel)
        panel.show(rows)
        panel.display = bool(rows)

    def verdict_rows(self) -> int:
        """How many verdicts of unanswered freezes are shown."""
        return 1 if self.CLOSED else VERDICT_ROWS

    def headline_line(self, mood: str, text: str) -> Line:
        """A sentence with its mark."""
        mark, style = frame.mark_of(mood, self.desk.looks.glyphs)
        return line((f" {mark} ", style), (outside(text), "bold" if mood in {"bad", "near"} else ""))

    # keys

    def is_deaf_to(self, event: events.Event) -> bool:  # noqa: ARG002  for dialogs
        """Whether to drop a key unread."""
        return False

    def reach(self) -> tuple[Context, ...]:
        """Where the operator is, the nearest first."""
        nearest = (*self.CONTEXTS, Context.LIST) if isinstance(self.focused, Rows) else self.CONTEXTS
        return (*nearest, Context.ALWAYS) if self.CLOSED else (*nearest, Context.EVERYWHERE, Context.ALWAYS)

    async def take_key(self, event: events.Key) -> bool:
        """Do the action of a key before any widget gets it; False leaves the key to the focused widget.

        Called by the application for one key after the other: focus moved by a key is in place for the next one.
        """
        self.pressed_s = event.time
        prompt = self.query_one(CommandLine)
        if isinstance(self.focused, Typing):
            if event.is_printable:
                return False
            await self.focused.settled()
        if prompt.is_open:
            return prompt.take_key(event) or await self._edit_text(event)
        known = self.reach()
        prefix, self._prefix = self._prefix, ""
        keys = f"{prefix} {event.key}" if prefix else event.key
        action = actions.find(keys, known)
        if action is None and not prefix and actions.starts_sequence(event.key, known):
            self._prefix = event.key
        if prefix or self._prefix:
            self.redraw_keys(self.view())
        if action is None or self._doer(action) is None:
            return bool(prefix or self._prefix) or await self._edit_text(event)
        await self.perform(action)
        return True

    async def _edit_text(self, event: events.Key) -> bool:
        """Have a key that no action knows edit the text that has the focus now."""
        return isinstance(self.focused, Typing) and await self.focused.edit_by_key(event.key)

    async def perform(self, action: Action, argument: str = "") -> None:
        """Do an action where it belongs: the focused widget, the screen, or the application. Refusals are said."""
        refusal = actions.refusal(action, self.desk.who.permissions, self.desk.who.role)
        if refusal:
            self.desk.say("refused", refusal)
            return
        if action.id != "back":
            self.desk.clear_note()
        do = self._doer(action)
        if do is not None:
            await self.attempt(do, action.id, argument)

    def _doer(self, action: Action) -> Callable[[str], object] | None:
        """The method behind an action: of the focused widget, this screen, or the application."""
        for target in (self.focused, self, self.desk):
            do: Callable[[str], object] | None = getattr(target, action.method, None)
            if do is not None:
                return do
        return None

    async def attempt(self, do: Callable[[str], object], action: str, argument: str) -> None:
        """Do an action by its id; what it raises is said, and ends nothing."""
        try:
            done = do(argument)
            if inspect.isawaitable(done):
                await done
        except Exception as error:  # noqa: BLE001  boundary of one action: it must not take the console down
            self.desk.say("error", f"{action} failed: {_told(error)}")

    async def do_back(self, _: str) -> None:
        """Undo the nearest thing: the message, the filter, the screen."""
        if self.desk.message[1]:
            self.desk.say("", "")
        elif self.desk.put_verdicts_away(self.verdict_rows()):
            return
        elif self.filter_text:
            self.set_filter("")
        else:
            await self.desk.leave(self)

    async def do_quit(self, _: str) -> None:
        """Quit at the root, else go back."""
        if self.IS_ROOT:
            self.desk.exit()
        else:
            await self.desk.leave(self)

    def do_copy(self, _: str) -> None:
        """Copy what is selected, and say how much."""
        text = self.copy_text()
        if not text:
            self.desk.say("refused", "Nothing is selected to copy.")
            return
        self.desk.say("done", f"Copied {len(text)} characters to your clipboard.")
        self.desk.copy_to_clipboard(text)

    def do_reading_copy(self, argument: str) -> None:
        """Copy the whole page."""
        self.do_copy(argument)

    # command and filter line

    def do_command(self, argument: str) -> None:
        """Open the command line."""
        self._open_prompt(COMMAND, argument)

    def do_filter(self, _: str) -> None:
        """Open the filter line."""
        self._open_prompt(FILTER, self.filter_text)

    def _open_prompt(self, mode: str, text: str) -> None:
        from console.state.completion import complete

        known = actions.commands(self.reach())
        self.query_one("#keys", Panel).display = False
        prompt = self.query_one(CommandLine)
        prompt.open(mode, text, lambda typed: complete(typed, known, self.arguments) if mode == COMMAND else [])

    def close_prompt(self) -> None:
        """Give the keys back to the screen."""
        self.query_one(CommandLine).close()
        self.query_one("#keys", Panel).display = True
        self.set_focus(next((rows for rows in self.query(Rows) if rows.display), None))
        self.redraw_keys(self.view())

    @on(CommandLine.Edited)
    def _prompt_edited(self, event: CommandLine.Edited) -> None:
        if event.mode == FILTER and self.query_one(CommandLine).is_open:
            self.set_filter(event.text)

    @on(CommandLine.Dropped)
    def _prompt_dropped(self, event: CommandLine.Dropped) -> None:
        if event.mode == FILTER:
            self.set_filter("")
        self.close_prompt()

    @on(CommandLine.Entered)
    async def _prompt_entered(self, event: CommandLine.Entered) -> None:
        self.close_prompt()
        if event.mode == COMMAND:
            await self.run_command(event.text)

    async def run_command(self, text: str) -> None:
        """Do what was typed after the colon."""
        from console.state.completion import closest

        name, _, argument = text.strip().partition(" ")
        if not name:
            return
        known = actions.commands(self.reach())
        found = closest(name, known)
        if found is not None:
            await self.perform(known[found], argument.strip())
        elif name in actions.all_commands():
            where = ", ".join(context.value for context in actions.all_commands()[name].contexts)
            self.desk.say("refused", f":{name} works on {where}, not here.")
        else:
            self.desk.say("refused", f"There is no command :{outside(name, 40)}. Tab completes, ? lists all.")

    def set_filter(self, text: str) -> None:
        """Show only rows that contain these words."""
        self.filter_text = text
        self.redraw()


def _told(error: Exception) -> str:
    from pydantic import ValidationError

    from console.state.unsendable import why_not_sent

    return why_not_sent(error) if isinstance(error, ValidationError) else f"{type(error).__name__}: {error}"
