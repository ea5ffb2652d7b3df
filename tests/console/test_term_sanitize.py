"""No text from outside reaches the terminal as anything but itself."""

import json
import unicodedata
from collections.abc import Iterator

import pyte
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from console.term.sanitize import COMBINING_LIMIT, MARK, clean, clean_content, clean_text
from tests.support.shared_data import shared_data

WIDTH = 600
FORBIDDEN = {"Cc", "Cf", "Co", "Cs", "Zl", "Zp"}


def strings(document: object) -> Iterator[str]:
    if isinstance(document, str):
        yield document
    elif isinstance(document, list):
        for item in document:
            yield from strings(item)
    elif isinstance(document, dict):
        for key, value in document.items():
            yield key
            yield from strings(value)


def assert_harmless(raw: str) -> None:
    """Whatever came in, a terminal shows one line of it, in no style, and does nothing else."""
    shown = clean(raw)
    assert not {unicodedata.category(char) for char in shown} & FORBIDDEN
    assert len(shown) <= 500
    screen = pyte.Screen(WIDTH * 2, 3)
    stream = pyte.Stream(screen)
    stream.feed("\x1b[2;1H")
    stream.feed(shown)
    assert screen.cursor.y == 1
    assert screen.display[0].strip() == screen.display[2].strip() == ""
    assert {cell[1:] for cell in screen.buffer[1].values()} <= {screen.default_char[1:]}
    assert screen.title == ""
    assert clean_text(raw).plain == shown
    assert clean_text(raw).spans == []
    assert clean_content(raw).plain == shown


@pytest.mark.parametrize(
    "path", ["vectors/naughty-strings/blns.json", "vectors/terminal-escape-payloads/ansi_payloads.json"]
)
def test_every_string_of_the_collections_is_harmless(path: str) -> None:
    collection = list(strings(json.loads(shared_data(path).read_text())))
    assert len(collection) > 20
    for raw in collection:
        assert_harmless(raw)


@given(st.text(st.characters(), max_size=80))
@example("\x1b]52;c;aGk=\x07")
@example("\ud800")
@example("\u0301")
def test_any_text_is_harmless(raw: str) -> None:
    assert_harmless(raw)


@given(
    st.text(
        st.one_of(
            st.characters(), st.sampled_from("\x1b[]();?0123456789mHJhl\x07\x9b\x9d\x9c\n\r\t\u202e\u200d\ufe0f")
        ),
        max_size=60,
    ),
    st.integers(1, 40),
    st.booleans(),
)
def test_cleaning_is_bounded_and_final(raw: str, limit: int, multiline: bool) -> None:  # noqa: FBT001  Hypothesis
    once = clean(raw, limit=limit, multiline=multiline)
    assert len(once) <= limit
    assert clean(once, limit=limit, multiline=multiline) == once
    assert multiline or "\n" not in once
    once.encode()


@pytest.mark.parametrize(
    "text",
    [
        "plain ASCII [bold]not markup[/bold]",
        "Größe naïve façade Ωμέγα Привет",
        "漢字かな交じり文 한국어 中文",
        "שלום العربية हिन्दी ไทย Tiếng Việt",
        "alert 🔥 done 👍 🇯🇵",
        "▁▂▃▄▅▆▇█ ● ▲ ✖ ■ → ≥ € …",
        "e\u0301".replace("e\u0301", "é"),
    ],
)
def test_ordinary_writing_stays(text: str) -> None:
    assert clean(text) == unicodedata.normalize("NFC", text)


@pytest.mark.parametrize(
    ("raw", "shown"),
    [
        ("ad\u200bmin", f"ad{MARK}min"),
        ("admin\ufe0f", f"admin{MARK}"),
        ("admin\u202e", f"admin{MARK}"),
        ("ad\x00\x01\x02min", f"ad{MARK}min"),
        ("\x1b[31mred\x1b[0m", f"{MARK}red{MARK}"),
        ("\x1b]0;title\x07x", f"{MARK}x"),
        ("\x1bPtmux;\x1b\x1b]52;c;eA==\x07\x1b\\x", clean("\x1bPtmux;\x1b\x1b]52;c;eA==\x07\x1b\\x")),
        ("a\tb", "a b"),
        ("a\r\nb\nc\u2028d", "a b c d"),
        ("\ue000x\U000f0000", f"{MARK}x{MARK}"),
        ("\udcff", MARK),
        ("👩\u200d👧", "👩👧"),
        ("❤\ufe0f", "❤"),
        ("1\ufe0f\u20e3", "1\u20e3"),
        ("\u0301alone", f"{MARK}alone"),
        ("non\u00a0breaking", "non breaking"),
        ("نیم\u200cفاصله", "نیمفاصله"),
    ],
)
def test_what_is_removed_leaves_a_mark_where_it_could_deceive(raw: str, shown: str) -> None:
    assert clean(raw) == shown


def test_stacked_marks_are_cut() -> None:
    marks = [char for char in clean("x" + "\u0316" * 50 + "y") if unicodedata.combining(char)]
    assert len(marks) == COMBINING_LIMIT


def test_a_long_text_ends_in_an_ellipsis() -> None:
    assert clean("x" * 501) == "x" * 499 + "…"
    assert clean("\x00" * 100_000 + "x") == MARK + "…"


def test_lines_stay_where_asked_for() -> None:
    assert clean("a\r\nb\tc\x85d", multiline=True) == "a\nb    c\nd"
