"""Which lines of two texts are the same line. Pure; bounded for any input, so that no text can hold a backend up.

Lines that occur once on both sides anchor the comparison (patience): they are what a reader takes for "the same line".
Where there is none, short stretches are compared line by line and long ones count as rewritten: that can only make
a merge report a conflict that a longer look would have avoided, never lose a line.
"""

from bisect import bisect_left
from collections import Counter
from collections.abc import Iterator, Sequence
from difflib import SequenceMatcher
from typing import Final, NamedTuple

_MAX_ROUNDS: Final = 40
"""Anchors inside the gaps between anchors; texts of people need three or four."""
_MAX_PAIRS: Final = 10_000
"""Pairs of lines in a stretch without an anchor that are compared one by one: a page of either side."""


class Match(NamedTuple):
    """`length` lines from line `left` of one text are the lines from `right` of the other."""

    left: int
    right: int
    length: int


class _Gap(NamedTuple):
    left: int
    left_end: int
    right: int
    right_end: int
    rounds: int


def matches(left: Sequence[str], right: Sequence[str]) -> list[Match]:
    """What two texts have in common, in the order of both, as long runs."""
    pairs: list[tuple[int, int]] = []
    waiting = [_Gap(0, len(left), 0, len(right), 0)]
    while waiting:
        gap = waiting.pop()
        inner, ends = _trimmed(left, right, gap)
        pairs += ends
        waiting += _looked_into(left, right, inner, pairs)
    return list(_runs(sorted(pairs)))


def _trimmed(left: Sequence[str], right: Sequence[str], gap: _Gap) -> tuple[_Gap, list[tuple[int, int]]]:
    ends = []
    start, start_right, end, end_right = gap.left, gap.right, gap.left_end, gap.right_end
    while start < end and start_right < end_right and left[start] == right[start_right]:
        ends.append((start, start_right))
        start, start_right = start + 1, start_right + 1
    while start < end and start_right < end_right and left[end - 1] == right[end_right - 1]:
        end, end_right = end - 1, end_right - 1
        ends.append((end, end_right))
    return _Gap(start, end, start_right, end_right, gap.rounds), ends


def _looked_into(left: Sequence[str], right: Sequence[str], gap: _Gap, pairs: list[tuple[int, int]]) -> list[_Gap]:
    height, width = gap.left_end - gap.left, gap.right_end - gap.right
    if not height or not width:
        return []
    anchors = _anchors(left, right, gap) if gap.rounds < _MAX_ROUNDS else []
    if anchors:
        pairs += anchors
        return list(_between(gap, anchors))
    if height * width <= _MAX_PAIRS:
        matcher = SequenceMatcher(None, left[gap.left : gap.left_end], right[gap.right : gap.right_end], autojunk=False)
        for block in matcher.get_matching_blocks():
            pairs += ((gap.left + block.a + line, gap.right + block.b + line) for line in range(block.size))
    return []


def _anchors(left: Sequence[str], right: Sequence[str], gap: _Gap) -> list[tuple[int, int]]:
    """The longest rising run of lines that occur exactly once on either side of a gap."""
    once = Counter(left[gap.left : gap.left_end])
    once_right = Counter(right[gap.right : gap.right_end])
    place = {right[line]: line for line in range(gap.right, gap.right_end) if once_right[right[line]] == 1}
    unique = [
        (line, place[left[line]])
        for line in range(gap.left, gap.left_end)
        if once[left[line]] == 1 and left[line] in place
    ]
    return _rising(unique)


def _rising(pairs: Sequence[tuple[int, int]]) -> list[tuple[int, int]]:
    tops: list[int] = []
    holders: list[int] = []
    before: list[int] = []
    for index, (_, right) in enumerate(pairs):
        place = bisect_left(tops, right)
        before.append(holders[place - 1] if place else -1)
        tops[place : place + 1] = [right]
        holders[place : place + 1] = [index]
    found = []
    index = holders[-1] if holders else -1
    while index >= 0:
        found.append(pairs[index])
        index = before[index]
    return found[::-1]


def _between(gap: _Gap, anchors: Sequence[tuple[int, int]]) -> Iterator[_Gap]:
    left, right = gap.left, gap.right
    for anchor_left, anchor_right in [*anchors, (gap.left_end, gap.right_end)]:
        if left < anchor_left and right < anchor_right:
            yield _Gap(left, anchor_left, right, anchor_right, gap.rounds + 1)
        left, right = anchor_left + 1, anchor_right + 1


def _runs(pairs: Sequence[tuple[int, int]]) -> Iterator[Match]:
    start = 0
    for index in range(1, len(pairs) + 1):
        apart = index - start
        ended = index == len(pairs) or pairs[index] != (pairs[start][0] + apart, pairs[start][1] + apart)
        if ended:
            yield Match(*pairs[start], apart)
            start = index
