"""The painter writes less than Textual and shows the same: whole screens are compared, cell by cell."""

from collections.abc import Iterable, Iterator
from importlib.metadata import version
from itertools import pairwise

import pyte
import pytest
from hypothesis import given, note, settings
from hypothesis import strategies as st
from rich.console import Console
from rich.segment import Segment
from rich.style import Style
from textual._compositor import ChopsUpdate, CompositorUpdate, InlineUpdate, LayoutUpdate
from textual.geometry import Region
from textual.strip import Strip
from wcwidth import wcwidth

from console.term import painter
from console.term.painter import PaintedUpdate, Painter
from tests.support.vt import LinkScreen

WIDTH, HEIGHT = 12, 3
NO_WRAP = "\x1b[?7l"
HOME = "\x1b[1;1H"
"""What the application writes after every update."""
CONSOLE = Console(force_terminal=True, color_system="truecolor", width=WIDTH, height=HEIGHT, legacy_windows=False)

# Built once: every Style with a link draws its own random link id.
STYLES = [
    None,
    Style(),
    Style(bold=True),
    Style(color="red"),
    Style(color="#102030", bgcolor="#405060", italic=True),
    Style(reverse=True, underline=True),
    Style(link="https://example.invalid/a"),
    Style(color="red", link="https://example.invalid/a"),
    Style(color="red", link="https://example.invalid/b"),
    Style(bold=True, meta={"row": 1}),
]


def plain(update: CompositorUpdate) -> str:
    return update.render_segments(CONSOLE)


def reduced(subject: Painter, update: CompositorUpdate) -> str:
    result = subject.reduce(update, CONSOLE)
    assert isinstance(result, PaintedUpdate)
    assert subject.enabled
    return result.render_segments(CONSOLE)


def layout(*lines: list[Segment]) -> LayoutUpdate:
    return LayoutUpdate([[Strip(line)] for line in lines], Region(0, 0, WIDTH, len(lines)))


def row(text: str, style: Style | None = None) -> list[Segment]:
    return [Segment(text.ljust(WIDTH), style)]


def cells(screen: pyte.Screen) -> list[list[tuple[object, ...]]]:
    return [[tuple(screen.buffer[y][x]) for x in range(screen.columns)] for y in range(screen.lines)]


def test_knows_the_pinned_textual() -> None:
    assert version("textual") == painter.TEXTUAL_VERSION
    assert painter.is_supported()


def test_another_textual_is_painted_plainly(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(painter, "TEXTUAL_VERSION", "0.0.0")
    update = layout(row("a"))
    assert Painter().reduce(update, CONSOLE) is update


def test_every_single_cell_character_is_one_cell_wide() -> None:
    assert [char for char in painter._SINGLE_CELL if wcwidth(char) != 1] == []


def test_an_unchanged_screen_costs_nothing() -> None:
    subject = Painter()
    reduced(subject, layout(row("one"), row("two")))
    assert reduced(subject, layout(row("one"), row("two"))) == ""


def test_one_changed_cell_costs_one_move_and_one_character() -> None:
    subject = Painter()
    reduced(subject, layout(row("age 1s"), row("two")))
    assert reduced(subject, layout(row("age 2s"), row("two"))) == "\x1b[1;5H2"


def test_a_changed_style_repaints_only_its_cells() -> None:
    subject = Painter()
    reduced(subject, layout([Segment("ab"), Segment("cd"), Segment(" " * 8)]))
    changed = layout([Segment("ab"), Segment("cd", Style(bold=True)), Segment(" " * 8)])
    assert reduced(subject, changed) == "\x1b[1;3H\x1b[1mcd\x1b[0m"


def test_forgetting_paints_everything_again() -> None:
    subject = Painter()
    first = reduced(subject, layout(row("one")))
    subject.forget()
    assert reduced(subject, layout(row("one"))) == first


def test_another_size_paints_everything_again() -> None:
    subject = Painter()
    reduced(subject, layout(row("one"), row("two")))
    assert "one" in reduced(subject, layout(row("one"), row("two"), row("three")))


def test_an_unknown_update_passes_and_forgets() -> None:
    subject = Painter()
    reduced(subject, layout(row("one")))
    inline = InlineUpdate([Strip(row("one"))])
    assert subject.reduce(inline, CONSOLE) is inline
    assert "one" in reduced(subject, layout(row("one")))


def test_an_internal_error_falls_back_for_good() -> None:
    subject = Painter()
    reduced(subject, layout(row("one")))
    broken = layout(row("one"))
    broken.strips = [[None]]  # type: ignore[list-item]  # what a changed Textual might hand over
    assert subject.reduce(broken, CONSOLE) is broken
    assert not subject.enabled
    fine = layout(row("one"))
    assert subject.reduce(fine, CONSOLE) is fine


def test_text_that_moves_the_cursor_makes_everything_unknown() -> None:
    subject = Painter()
    reduced(subject, layout(row("one"), row("two")))
    hostile = layout([Segment("\x1b[2;1Hgotcha".ljust(18))], row("two"))
    reduced(subject, hostile)
    assert "two" in reduced(subject, layout(row("one"), row("two")))


def test_a_line_with_a_wide_character_is_painted_as_textual_does() -> None:
    subject = Painter()
    update = layout([Segment("漢字"), Segment(" " * 8)], row("two"))
    assert reduced(subject, update).startswith("\x1b[1;1H漢字        ")
    assert reduced(subject, update) == ""


CLUSTERS = [*"ab█▁●✖…→é", *"漢한🔥👍가", "e\u0301", " ", "👩\u200d👧", "❤\ufe0f", "1\ufe0f\u20e3"]
TEXTS = st.lists(st.sampled_from(CLUSTERS), min_size=1, max_size=6).map("".join)
SEGMENTS = st.lists(st.tuples(TEXTS, st.sampled_from(STYLES)).map(lambda pair: Segment(*pair)), max_size=4)


def fit(segments: list[Segment], width: int) -> Strip:
    """Make a line of one exact width, as Textual's compositor guarantees."""
    return Strip(segments).adjust_cell_length(width)


@st.composite
def updates(draw: st.DrawFn) -> CompositorUpdate:
    if draw(st.booleans()):
        lines: list[Iterable[Strip]] = [[fit(draw(SEGMENTS), WIDTH)] for _ in range(HEIGHT)]
        return LayoutUpdate(lines, Region(0, 0, WIDTH, HEIGHT))
    chops: list[dict[int, Strip | None]] = []
    ends: list[list[int]] = []
    spans: list[tuple[int, int, int]] = []
    for y in range(HEIGHT):
        inner = draw(st.sets(st.integers(1, WIDTH - 1), max_size=3))
        cuts = [0, *sorted(inner), WIDTH]
        chops.append({a: fit(draw(SEGMENTS), b - a) if draw(st.booleans()) else None for a, b in pairwise(cuts)})
        ends.append(cuts[1:])
        if draw(st.booleans()):
            x1 = draw(st.integers(0, WIDTH - 1))
            spans.append((y, x1, draw(st.integers(x1 + 1, WIDTH))))
    spans = spans or [(0, 0, WIDTH)]
    return ChopsUpdate(chops, spans, ends)


def repeated(sequence: list[CompositorUpdate]) -> Iterator[CompositorUpdate]:
    for update in sequence:
        yield update
        yield update


@settings(max_examples=200, deadline=None)
@given(st.lists(updates(), min_size=1, max_size=6), st.booleans())
def test_any_sequence_of_updates_shows_the_same(sequence: list[CompositorUpdate], twice: bool) -> None:  # noqa: FBT001
    subject = Painter()
    expected, actual = LinkScreen(WIDTH + 24, HEIGHT + 1), LinkScreen(WIDTH + 24, HEIGHT + 1)
    pyte_expected, pyte_actual = pyte.Screen(WIDTH, HEIGHT), pyte.Screen(WIDTH, HEIGHT)
    for update in repeated(sequence) if twice else sequence:
        want, got = plain(update) + HOME, reduced(subject, update) + HOME
        note(f"{want!r}\n{got!r}")
        expected.feed(want)
        actual.feed(got)
        pyte.Stream(pyte_expected).feed(NO_WRAP + want)
        pyte.Stream(pyte_actual).feed(NO_WRAP + got)
        assert actual.cells == expected.cells
        assert actual.at_rest
        assert cells(pyte_actual) == cells(pyte_expected)
