"""Two people's edits of one text put together, line by line. Pure; no line of either is ever lost in silence.

What only one side changed is taken from it. What both changed alike is taken once. Everything else, changes of
neighbouring lines among it, is a conflict, and the merged text then shows both sides between marks.
"""

from collections.abc import Iterator, Sequence
from typing import Final, NamedTuple

from backend.incidents.postmortem.differing import Match, matches

OPENING_MARK: Final = "<<<<<<< your text"
BEFORE_MARK: Final = "||||||| before both edits"
MIDDLE_MARK: Final = "======="
CLOSING_MARK: Final = ">>>>>>> saved text"


class Merged(NamedTuple):
    """A merged text; with conflicts it has both sides of each between marks and must not be kept as it is."""

    text: str
    conflicts: int


class _Chunk(NamedTuple):
    base: list[str]
    mine: list[str]
    theirs: list[str]


class _Shared(NamedTuple):
    """A stretch of the base that both sides still have."""

    base: int
    mine: int
    theirs: int
    length: int


def merge(base: str, mine: str, theirs: str) -> Merged:
    """Put two edits of the same text together."""
    before, left, right = (text.split("\n") for text in (base, mine, theirs))
    lines: list[str] = []
    conflicts = 0
    for chunk in _chunks(before, left, right):
        settled = _settled(chunk)
        if settled is None:
            conflicts += 1
            settled = _both(chunk)
        lines += settled
    return Merged("\n".join(lines), conflicts)


def has_marks(text: str) -> bool:
    """Whether a text still shows a conflict that nobody has resolved."""
    return any(line.startswith(OPENING_MARK) for line in text.split("\n"))


def _settled(chunk: _Chunk) -> list[str] | None:
    if chunk.mine == chunk.base:
        return chunk.theirs
    if chunk.theirs in (chunk.base, chunk.mine):
        return chunk.mine
    return None


def _both(chunk: _Chunk) -> list[str]:
    return [
        OPENING_MARK, *chunk.mine, BEFORE_MARK, *chunk.base, MIDDLE_MARK, *chunk.theirs, CLOSING_MARK,
    ]  # fmt: skip


def _chunks(base: Sequence[str], mine: Sequence[str], theirs: Sequence[str]) -> Iterator[_Chunk]:
    at_base = at_mine = at_theirs = 0
    for shared in _shared(matches(base, mine), matches(base, theirs)):
        yield _Chunk(
            list(base[at_base : shared.base]),
            list(mine[at_mine : shared.mine]),
            list(theirs[at_theirs : shared.theirs]),
        )
        at_base, at_mine, at_theirs = (start + shared.length for start in shared[:3])
        kept = list(base[shared.base : at_base])
        yield _Chunk(kept, kept, kept)
    yield _Chunk(list(base[at_base:]), list(mine[at_mine:]), list(theirs[at_theirs:]))


def _shared(left: Sequence[Match], right: Sequence[Match]) -> Iterator[_Shared]:
    one = other = 0
    while one < len(left) and other < len(right):
        mine, theirs = left[one], right[other]
        start = max(mine.left, theirs.left)
        end = min(mine.left + mine.length, theirs.left + theirs.length)
        if start < end:
            yield _Shared(start, mine.right + start - mine.left, theirs.right + start - theirs.left, end - start)
        if mine.left + mine.length < theirs.left + theirs.length:
            one += 1
        else:
            other += 1
