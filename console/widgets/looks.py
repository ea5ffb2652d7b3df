"""Owns every colour: the named styles of `lines`, in a dark, a light and a sixteen-colour palette.

Screens name styles; nothing else writes a colour. Colour is never the only carrier: each style that means something
stands beside a word and a glyph.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Final

from rich.style import Style
from textual.theme import Theme

from console.widgets.glyphs import ASCII, UNICODE, Glyphs

THEMES: Final = ("auto", "dark", "light", "terminal")
"""What `--theme` and WATCHFLOOR_THEME take."""

_LIGHT_BACKGROUNDS: Final = frozenset({"7", "15"})
"""The last field of COLORFGBG on a light terminal."""

_COLOURS: Final[dict[str, dict[str, str]]] = {
    "dark": {
        "back": "#0e1318",
        "raised": "#18212a",
        "text": "#d5dde4",
        "faint": "#8a97a3",
        "rule": "#33404c",
        "ok": "#5fc28a",
        "near": "#e6b450",
        "bad": "#ff6b6b",
        "frozen": "#7cc4ff",
        "accent": "#8fb8de",
        "chosen": "#24364a",
        "bar": "#16202b",
    },
    "light": {
        "back": "#fbfaf7",
        "raised": "#eeece6",
        "text": "#1d2429",
        "faint": "#5d6872",
        "rule": "#c3c7c9",
        "ok": "#17703f",
        "near": "#8f5b00",
        "bad": "#c2202b",
        "frozen": "#0b5fa5",
        "accent": "#285e8e",
        "chosen": "#d5e4f2",
        "bar": "#e6e9ea",
    },
    "terminal": {
        "back": "default",
        "raised": "default",
        "text": "default",
        "faint": "default",
        "rule": "default",
        "ok": "green",
        "near": "yellow",
        "bad": "red",
        "frozen": "cyan",
        "accent": "default",
        "chosen": "default",
        "bar": "default",
    },
}


@dataclass(frozen=True)
class Looks:
    """How the console draws: characters and styles."""

    name: str
    glyphs: Glyphs
    styles: Mapping[str, Style] = field(repr=False, compare=False)

    def style(self, name: str) -> Style:
        """The style of a name; an unknown name is plain text."""
        return self.styles.get(name) or self.styles[""]

    def chosen(self, name: str) -> Style:
        """The style of a name on the selected row."""
        return self.style(name) + self.styles["chosen"]


def looks_for(name: str, *, unicode: bool) -> Looks:
    """The looks of a palette."""
    return Looks(name=name, glyphs=UNICODE if unicode else ASCII, styles=_styles(name))


def choose_theme(wanted: str, environ: Mapping[str, str]) -> str:
    """The palette to use: what was asked for, else what the terminal can show and its background suggest.

    NO_COLOR wins over all: the terminal's own two colours, with bold and reverse.

    Raises:
        ValueError: there is no such theme.
    """
    if wanted not in THEMES:
        raise ValueError(f"there is no theme {wanted!r}: choose {', '.join(THEMES[:-1])} or {THEMES[-1]}")
    if "NO_COLOR" in environ:
        return "terminal"
    if wanted in THEMES[1:]:
        return wanted
    term = environ.get("TERM", "")
    colours = environ.get("TEXTUAL_COLOR_SYSTEM", "")
    few = colours == "standard" or (
        not colours and environ.get("COLORTERM", "") not in {"truecolor", "24bit"} and "256" not in term
    )
    if few:
        return "terminal"
    background = environ.get("COLORFGBG", "").rpartition(";")[2]
    return "light" if background in _LIGHT_BACKGROUNDS else "dark"


def textual_theme(name: str) -> Theme:
    """The same palette for Textual's own widgets (input fields, backgrounds)."""
    colours = {key: value.replace("default", "ansi_default") for key, value in _COLOURS[name].items()}
    ansi = name == "terminal"
    return Theme(
        name=f"watchfloor-{name}",
        primary=colours["accent"],
        secondary=colours["accent"],
        accent=colours["accent"],
        warning="ansi_yellow" if ansi else colours["near"],
        error="ansi_red" if ansi else colours["bad"],
        success="ansi_green" if ansi else colours["ok"],
        foreground=colours["text"],
        background=colours["back"],
        surface=colours["back"],
        panel=colours["raised"],
        dark=name != "light",
        ansi=ansi,
        variables={"ansi-background": "ansi_default", "ansi-foreground": "ansi_default"} if ansi else {},
    )


def _styles(name: str) -> dict[str, Style]:
    colours = _COLOURS[name]
    ansi = name == "terminal"

    def on(colour: str, back: str = "back", **attributes: Any) -> Style:
        return Style(color=colours[colour], bgcolor=colours[back], **attributes)

    return {
        "": on("text"),
        "bold": on("text", bold=True),
        "dim": on("faint", dim=ansi),
        "rule": on("rule", dim=ansi),
        "head": on("faint", bold=True),
        "key": on("accent", bold=True),
        "link": on("accent", underline=True),
        "ok": on("ok"),
        "near": on("near", bold=True),
        "bad": on("bad", bold=True),
        "frozen": on("frozen", bold=True),
        "spark": on("accent"),
        "bar": on("text", "bar", reverse=ansi),
        "bar.bold": on("text", "bar", bold=True, reverse=ansi),
        "bar.dim": on("faint", "bar", reverse=ansi),
        "bar.ok": on("ok", "bar", reverse=ansi),
        "bar.near": on("near", "bar", bold=True, reverse=ansi),
        "bar.bad": on("bad", "bar", bold=True, reverse=ansi),
        "banner": Style(color=colours["frozen"], bgcolor=colours["back"], bold=True, reverse=True),
        "alarm": Style(color=colours["bad"], bgcolor=colours["back"], bold=True, reverse=True),
        "field": on("text", "raised", underline=ansi),
        "chosen": Style(reverse=True) if ansi else Style(bgcolor=colours["chosen"]),
    }
