"""Owns the text of several lines: Textual's text area without blinking, frame or highlighting."""

from typing import Any, ClassVar

from textual.widgets._text_area import TextArea

from console.widgets.field import Typing


class Sheet(TextArea, Typing):
    """Text of several lines, wrapped where it does not fit. A paste is taken whole, its line ends too."""

    DEFAULT_CSS: ClassVar[str] = """
    Sheet {
        border: none; padding: 0; background: $panel; color: $foreground;
        &:focus { border: none; background-tint: $foreground 0%; }
        & > .text-area--cursor-line { background: $panel; }
        &:ansi { background: ansi_default; color: ansi_default; border: none; }
        &:ansi:focus { border: none; }
        &:ansi > .text-area--cursor { background: ansi_default; color: ansi_default; text-style: reverse; }
        &:ansi > .text-area--cursor-line { background: ansi_default; }
    }
    """

    def __init__(self, text: str = "", **options: Any) -> None:
        options.setdefault("compact", True)
        options.setdefault("highlight_cursor_line", False)
        super().__init__(text, **options)
        self.cursor_blink = False

    def put(self, text: str) -> None:
        """Replace all of it, the cursor at its end."""
        self.load_text(text)
        self.move_cursor(self.document.end)
