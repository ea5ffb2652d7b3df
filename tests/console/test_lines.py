"""Lines fit their room exactly, whatever they say."""

from decimal import Decimal

from hypothesis import given
from hypothesis import strategies as st

from console.widgets.glyphs import ASCII, UNICODE, Glyphs
from console.widgets.lines import (
    beside,
    crop,
    folded,
    left,
    line,
    middle_cut,
    outside,
    pad,
    paragraph,
    right,
    spread,
    text_of,
    titled_rule,
    width_of,
    wrap,
)
from console.widgets.words import sparkline

ANY = st.text(max_size=40).map(outside)
WIDTH = st.integers(min_value=0, max_value=60)


@given(ANY, WIDTH)
def test_columns_have_exactly_their_width(text: str, width: int) -> None:
    for make in (left, right):
        assert width_of(line((make(text, width, UNICODE), ""))) == width
    assert width_of(line((middle_cut(text, width, UNICODE), ""))) <= max(width, 0)


@given(st.lists(ANY, max_size=4), WIDTH)
def test_lines_are_padded_or_cut_to_exactly_their_width(texts: list[str], width: int) -> None:
    content = line(*texts)
    assert width_of(pad(content, width, UNICODE)) == width
    assert width_of(crop(content, width, UNICODE)) <= width
    assert width_of(spread(content, line("end"), width, UNICODE)) <= width
    assert width_of(titled_rule(content, width, UNICODE)) <= max(width, 0)


@given(ANY, st.integers(min_value=2, max_value=40))
def test_wrapping_loses_no_word_and_fits(text: str, width: int) -> None:
    rows = wrap(text, width)
    assert all(width_of(line(row)) <= width for row in rows)
    assert "".join("".join(rows).split()) == "".join(text.split())


@given(st.text(max_size=200).map(outside), st.integers(min_value=8, max_value=60))
def test_a_sentence_has_at_most_two_rows_that_fit_and_says_all_or_shows_that_it_does_not(text: str, width: int) -> None:
    rows = folded(line((" ! ", "bad"), (text, "bold")), width, UNICODE)
    assert len(rows) <= 2
    assert all(width_of(row) <= width for row in rows)
    said = "".join("".join(map(text_of, rows)).split())
    whole = "".join(f" ! {text}".split())
    assert said == whole or (said.endswith("…") and whole.startswith(said[:-1]))


def test_two_columns_stand_side_by_side() -> None:
    rows = beside([line("a"), line("bb")], [line("c")], 3, 1, UNICODE)
    assert [text_of(row) for row in rows] == ["a   c", "bb  "]


def test_a_missing_value_is_a_gap_and_the_last_is_at_the_right() -> None:
    values = [Decimal(0), None, Decimal(10)]
    assert sparkline(list(values), 4, UNICODE) == " ▁·█"
    assert sparkline([], 3, UNICODE) == "   "
    assert sparkline([None, None], 2, UNICODE) == "··"


def test_each_glyph_has_an_ascii_twin_of_the_same_width() -> None:
    for name, shown in UNICODE._asdict().items():
        twin = getattr(ASCII, name)
        assert twin.isascii()
        assert len(twin) == len(shown)


@given(st.text(max_size=200), st.integers(min_value=12, max_value=60), st.sampled_from([UNICODE, ASCII]))
def test_what_somebody_wrote_fits_its_room_and_never_ends_unsaid(text: str, width: int, glyphs: Glyphs) -> None:
    rows = paragraph(text, width, glyphs)
    assert len(rows) <= 3
    assert all(width_of(row) <= width for row in rows)
    whole = wrap(outside(text, 600), width - 2)
    assert (len(whole) > 3) <= text_of(rows[-1]).endswith(glyphs.ellipsis)
