"""Which palette is chosen, and that meaning survives without colour."""

import os
from unittest import mock

import pytest
from rich.color import Color, ColorType
from textual.filter import NoColor

from console.widgets.looks import THEMES, choose_theme, looks_for, textual_theme
from tests.console.driving import TERMINAL, running


@pytest.mark.parametrize(
    ("wanted", "environ", "chosen"),
    [
        ("auto", {"COLORTERM": "truecolor"}, "dark"),
        ("auto", {"COLORTERM": "truecolor", "COLORFGBG": "0;15"}, "light"),
        ("auto", {"COLORTERM": "truecolor", "COLORFGBG": "15;0"}, "dark"),
        ("auto", {"TERM": "xterm-256color"}, "dark"),
        ("auto", {"TERM": "xterm"}, "terminal"),
        ("auto", {"TERM": "xterm-256color", "TEXTUAL_COLOR_SYSTEM": "standard"}, "terminal"),
        ("light", {"TERM": "xterm"}, "light"),
        ("dark", {"NO_COLOR": "", "COLORTERM": "truecolor"}, "terminal"),
    ],
)
def test_the_palette_follows_wish_and_terminal(wanted: str, environ: dict[str, str], chosen: str) -> None:
    assert choose_theme(wanted, environ) == chosen


@pytest.mark.parametrize("name", THEMES[1:])
def test_every_palette_has_every_style_and_a_textual_theme(name: str) -> None:
    looks = looks_for(name, unicode=True)
    assert set(looks.styles) == set(looks_for("dark", unicode=True).styles)
    assert textual_theme(name).name == f"watchfloor-{name}"
    assert looks.style("no such style") == looks.style("")


def test_the_terminal_palette_uses_the_terminals_own_sixteen_colours() -> None:
    for style in looks_for("terminal", unicode=True).styles.values():
        for colour in (style.color, style.bgcolor):
            assert colour is None or colour.type in {ColorType.DEFAULT, ColorType.STANDARD}


@pytest.mark.parametrize("name", ["dark", "light"])
def test_text_has_enough_contrast(name: str) -> None:
    looks = looks_for(name, unicode=True)
    for style_name in ("", "bold", "dim", "ok", "near", "bad", "frozen", "key", "bar.dim", "bar.ok", "bar.bad"):
        style = looks.style(style_name)
        assert style.color is not None
        assert style.bgcolor is not None
        assert _contrast(style.color, style.bgcolor) >= 4.5, style_name


def _contrast(one: Color, other: Color) -> float:
    first, second = sorted((_luminance(one), _luminance(other)), reverse=True)
    return (first + 0.05) / (second + 0.05)


def _luminance(colour: Color) -> float:
    parts = [value / 255 for value in colour.get_truecolor()]
    linear = [part / 12.92 if part <= 0.03928 else ((part + 0.055) / 1.055) ** 2.4 for part in parts]
    return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]


async def test_without_colour_only_the_terminals_own_colours_are_painted() -> None:
    with mock.patch.dict(os.environ, {"NO_COLOR": "1"}):
        async with running(environ={**TERMINAL, "NO_COLOR": "1"}) as run:
            await run.shows("DAILY_LOSS_LIMIT")
            assert any(isinstance(filter_, NoColor) for filter_ in run.app.get_line_filters())
            assert "▲ near" in run.screen
            assert "■ FROZEN" in run.screen
            strips = run.app.screen._compositor.render_strips()
            colours = {style.color for strip in strips for _, style, _ in strip if style and style.color}
            assert all(colour.is_default for colour in colours)


def test_an_unknown_theme_is_refused_by_name() -> None:
    with pytest.raises(ValueError, match="no theme 'nonsense': choose auto, dark, light or terminal"):
        choose_theme("nonsense", {})
