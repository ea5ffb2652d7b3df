"""Owns QR codes on a terminal: two modules a character, dark on light whatever the terminal's colours are."""

from typing import Final

_DARK_ON_LIGHT: Final = "\x1b[30;107m"
_PLAIN: Final = "\x1b[0m"
_QUIET_MODULES: Final = 2
"""Readers of today ask for less than the four of the standard; with four an address of 130 letters needs 25 rows."""
_HALVES: Final = {(False, False): " ", (True, False): "▀", (False, True): "▄", (True, True): "█"}


def qr_lines(text: str) -> list[str]:
    """The rows of a QR code, to be written as they are: with their own colours, at the left edge."""
    import segno

    rows = [
        [bool(module) for module in row] for row in segno.make_qr(text, error="l").matrix_iter(border=_QUIET_MODULES)
    ]
    if len(rows) % 2:
        rows.append([False] * len(rows[0]))
    pairs = zip(rows[::2], rows[1::2], strict=True)
    return [
        _DARK_ON_LIGHT + "".join(_HALVES[pair] for pair in zip(upper, lower, strict=True)) + _PLAIN
        for upper, lower in pairs
    ]
