"""Owns every character beyond ASCII that a screen draws, each with its ASCII twin.

No other module writes a drawing character; a terminal without Unicode loses beauty, never meaning.
"""

from typing import NamedTuple


class Glyphs(NamedTuple):
    """One set of drawing characters, each exactly one cell wide."""

    ok: str
    near: str
    bad: str
    frozen: str
    partial: str
    unknown: str
    idle: str
    done: str
    arrow: str
    up: str
    down: str
    rule: str
    upright: str
    ellipsis: str
    middot: str
    at_least: str
    """A lower limit."""
    muted: str
    """Kept and listed, and nobody is told."""
    marked: str
    """Chosen beside the selected one."""
    hidden: str
    """One of three that stand for a value which is not shown."""
    bars: str
    """Eight rising levels of a sparkline."""
    gap: str
    """A sparkline's missing value: not the lowest bar."""
    full: str
    empty: str
    corners: str
    """Top left, top right, bottom left, bottom right."""
    tee: str
    """What joins a frame's side to a rule: left, right."""


UNICODE = Glyphs(
    ok="●",
    near="▲",
    bad="✖",
    frozen="■",
    partial="◐",
    unknown="○",
    idle="·",
    done="✔",
    arrow="→",
    up="↑",
    down="↓",
    rule="─",
    upright="│",
    ellipsis="…",
    middot="·",
    at_least="≥",
    muted="~",
    marked="◆",
    hidden="•",
    bars="▁▂▃▄▅▆▇█",
    gap="·",
    full="█",
    empty="░",
    corners="┌┐└┘",
    tee="├┤",
)

ASCII = Glyphs(
    ok="o",
    near="^",
    bad="x",
    frozen="#",
    partial="%",
    unknown="?",
    idle=".",
    done="+",
    arrow=">",
    up="^",
    down="v",
    rule="-",
    upright="|",
    ellipsis="~",
    middot="-",
    at_least=">",
    muted="~",
    marked="*",
    hidden="*",
    bars="_.-=+*%#",
    gap=" ",
    full="#",
    empty=".",
    corners="++++",
    tee="++",
)
