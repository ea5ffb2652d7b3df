"""What a program left switched on in a terminal, read from everything it wrote."""

import re
from typing import Final

_MODE: Final = re.compile(rb"\x1b\[\?([\d;]+)([hl])")
_KITTY: Final = re.compile(rb"\x1b\[([<>])\d*u")
_ON_AT_FIRST: Final = frozenset({7, 25})
"""Automatic wrap and the cursor; every other mode is off in a fresh terminal."""


def leftovers(received: bytes) -> set[str]:
    """Return the private modes (as `?1049 on`) and the keyboard protocol that are not as they were at first."""
    state: dict[int, bool] = {}
    for numbers, letter in _MODE.findall(received):
        for number in numbers.split(b";"):
            state[int(number)] = letter == b"h"
    left = {f"?{number} {'on' if on else 'off'}" for number, on in state.items() if on != (number in _ON_AT_FIRST)}
    depth = 0
    for direction in _KITTY.findall(received):
        depth = depth + 1 if direction == b">" else max(0, depth - 1)
    return left | ({"kitty keyboard"} if depth else set())
