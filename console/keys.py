"""Owns what keys are called: as Textual names them, and as an operator knows them. Must never import Textual."""

from typing import Final

FORBIDDEN_KEYS: Final = frozenset({"ctrl+m", "ctrl+h", "ctrl+i", "ctrl+j", "ctrl+left_square_bracket"})
"""Terminals send these as Enter, Backspace, Tab, line feed and Escape: nobody can press them apart."""

_SHOWN: Final = {
    "colon": ":",
    "slash": "/",
    "question_mark": "?",
    "enter": "Enter",
    "escape": "Esc",
    "tab": "Tab",
    "shift+tab": "Shift+Tab",
    "pagedown": "PgDn",
    "pageup": "PgUp",
    "space": "Space",
    "down": "Down",
    "up": "Up",
    "home": "Home",
    "end": "End",
}


def shown_key(key: str) -> str:
    """A key as an operator knows it."""
    return " ".join(_shown_part(part) for part in key.split(" "))


def _shown_part(key: str) -> str:
    if key.startswith("ctrl+"):
        return f"Ctrl+{key[5:].upper()}"
    if len(key) > 1 and key[0] == "f" and key[1:].isdigit():
        return key.upper()
    return _SHOWN.get(key, key)


def is_typed(key: str) -> bool:
    """Whether a key types a character where a text field has the focus."""
    return len(key) == 1 or key in {"colon", "slash", "question_mark", "space"} or " " in key
