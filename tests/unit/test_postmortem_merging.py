"""Merging two edits of a text: nothing is lost without a conflict, whatever anybody types."""

from collections import Counter

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from backend.incidents.postmortem.differing import matches
from backend.incidents.postmortem.merging import (
    BEFORE_MARK,
    CLOSING_MARK,
    MIDDLE_MARK,
    OPENING_MARK,
    has_marks,
    merge,
)

LINE = st.sampled_from(["", "a", "b", "c", "- one", "- two", "| x | y |", "\r", "\u2028", "=======", "~~~"])
TEXT = st.lists(LINE, max_size=14).map("\n".join)
MARKS = (OPENING_MARK, BEFORE_MARK, MIDDLE_MARK, CLOSING_MARK)


@st.composite
def edits(draw: st.DrawFn) -> tuple[list[str], list[str], list[str]]:
    """A text of distinct lines, and two edits of it that add lines nobody else has and drop or replace some."""
    base = [f"line {number}" for number in range(draw(st.integers(0, 14)))]
    sides = []
    for name in ("mine", "theirs"):
        side: list[str] = []
        added = 0
        for line in [*base, None]:
            for _ in range(draw(st.sampled_from([0, 0, 0, 0, 1, 2]))):
                side.append(f"{name} {added}")
                added += 1
            if line is not None and draw(st.sampled_from([True, True, True, True, False])):
                side.append(line)
        sides.append(side)
    return base, sides[0], sides[1]


@given(TEXT, TEXT)
def test_what_only_one_side_changed_is_taken_and_what_both_changed_alike_is_taken_once(base: str, text: str) -> None:
    assert merge(base, base, text) == (text, 0)
    assert merge(base, text, base) == (text, 0)
    assert merge(base, text, text) == (text, 0)


@given(TEXT, TEXT, TEXT)
def test_which_side_is_whose_makes_no_difference_to_a_clean_merge(base: str, mine: str, theirs: str) -> None:
    one, other = merge(base, mine, theirs), merge(base, theirs, mine)
    assert one.conflicts == other.conflicts
    if not one.conflicts:
        assert one.text == other.text


@given(edits())
def test_no_line_of_either_side_is_lost(sides: tuple[list[str], list[str], list[str]]) -> None:
    base, mine, theirs = sides
    merged = merge("\n".join(base), "\n".join(mine), "\n".join(theirs))
    lines = merged.text.split("\n")
    for side in (mine, theirs):
        added = [line for line in side if line not in base]
        assert [line for line in lines if line in added] == added
    if not merged.conflicts:
        kept = [line for line in base if line in mine and line in theirs]
        assert [line for line in lines if line in base] == kept
        assert len(lines) == len(set(lines)) or lines == [""]


@given(TEXT, TEXT, TEXT)
def test_lines_that_repeat_are_not_lost_either(base: str, mine: str, theirs: str) -> None:
    merged = merge(base, mine, theirs)
    found = Counter(merged.text.split("\n"))
    if merged.conflicts:
        for side in (mine, theirs):
            gone = Counter(side.split("\n")) - found
            assert not gone - Counter(base.split("\n"))
    before, left, right = (Counter(text.split("\n")) for text in (base, mine, theirs))
    for line in before | left | right:
        if left[line] >= before[line] and right[line] >= before[line]:
            assert found[line] >= min(left[line], right[line], before[line])


@given(TEXT, TEXT, TEXT)
def test_each_side_can_be_had_back_from_a_conflict(base: str, mine: str, theirs: str) -> None:
    merged = merge(base, mine, theirs)
    assert has_marks(merged.text) == bool(merged.conflicts)
    assert merged.text.split("\n").count(OPENING_MARK) == merged.conflicts
    assert merged.text.split("\n").count(CLOSING_MARK) == merged.conflicts


@given(TEXT, TEXT)
def test_matches_are_true_rising_and_separate(left: str, right: str) -> None:
    one, other = left.split("\n"), right.split("\n")
    at_left = at_right = 0
    for match in matches(one, other):
        assert match.left >= at_left
        assert match.right >= at_right
        assert one[match.left : match.left + match.length] == other[match.right : match.right + match.length]
        at_left, at_right = match.left + match.length, match.right + match.length


def test_edits_of_different_paragraphs_meet() -> None:
    base = "First.\n\nSecond.\n\nThird."
    merged = merge(base, base.replace("First.", "The first."), base.replace("Third.", "Third.\nFourth."))
    assert merged == ("The first.\n\nSecond.\n\nThird.\nFourth.", 0)


def test_edits_of_one_line_are_both_shown() -> None:
    merged = merge("a\nb\nc", "a\nmine\nc", "a\ntheirs\nc")
    assert merged.text.split("\n") == [
        "a", OPENING_MARK, "mine", BEFORE_MARK, "b", MIDDLE_MARK, "theirs", CLOSING_MARK, "c",
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("mine", "theirs"),
    [("a\nx\nc", "a\nb\ny"), ("a\nc", "a\nb2\nc"), ("a\nb\nc\nmine", "a\nb\nc\ntheirs")],
    ids=["neighbours", "deleted and changed", "both at the end"],
)
def test_what_cannot_be_told_apart_safely_is_a_conflict(mine: str, theirs: str) -> None:
    assert merge("a\nb\nc", mine, theirs).conflicts == 1


@settings(max_examples=8, deadline=None)
@given(st.sampled_from(["", "a", "ab"]), st.integers(1, 3))
def test_texts_made_to_be_slow_are_not(letters: str, words: int) -> None:
    """A look at every pair of 20,000 equal lines would take minutes: the whole suite would stop here."""
    lines = [(letters * 2)[:words]] * 20_000
    merged = merge("\n".join(lines), "\n".join([*lines, "mine"]), "\n".join(["theirs", *lines[1:], "x", *lines]))
    assert "mine" in merged.text
    assert "theirs" in merged.text


def test_anchors_inside_anchors_end() -> None:
    """Each round makes one more line unique: looked into to the end, this would be quadratic."""
    left = [line for number in range(6_000) for line in (f"{number}", f"{number + 1}")]
    right = [line for number in range(6_000) for line in (f"{number + 1}", f"{number}")]
    assert matches(left, right) is not None
