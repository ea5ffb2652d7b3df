"""Windows of a text query: together they are the partition, newest first, however wrong the estimate is."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from itertools import pairwise

from hypothesis import given
from hypothesis import strategies as st

from backend.audit.windows import Expected, Span, Window, cut, together

_BEGIN = datetime(2026, 1, 1, tzinfo=UTC)
_END = _BEGIN + timedelta(days=30)
_SPAN = Span("7y", 0, 2**18, "audit_entries_7y_0", _BEGIN, _END)


@given(st.integers(0, 2**18), st.floats(0, 2**18), st.integers(2, 1_001), st.none() | st.integers(-9, 99))
def test_windows_cover_the_partition_without_gap_or_overlap(
    entries: int, matches: float, wanted: int, burst_h: int | None
) -> None:
    burst = None if burst_h is None else _END - timedelta(hours=burst_h)
    windows = list(cut(Window(_SPAN), Expected(entries, matches, _BEGIN, _END, burst), wanted))
    assert windows[0].until is None
    assert windows[-1].since is None
    for newer, older in pairwise(windows):
        assert newer.since == older.until
        assert newer.since is not None
        assert _BEGIN < newer.since < _END
    assert len(windows) < 30


def test_a_burst_of_entries_is_not_walked() -> None:
    """When the newest entries came all at once, the first window begins where as many as may be walked begin."""
    burst = _END - timedelta(minutes=1)
    first, second, *_ = cut(Window(_SPAN), Expected(2**18, 2**17, _BEGIN, _END, burst), 101)
    assert (first.since, first.collected, second.until, second.collected) == (burst, False, burst, True)
    older, *_ = cut(Window(_SPAN), Expected(2**18, 2**17, _BEGIN, burst, _END), 101)
    assert older.since is not None
    assert older.since < burst


def test_few_matches_are_collected_at_once() -> None:
    (window,) = cut(Window(_SPAN), Expected(2**18, 500.0, _BEGIN, _END), 101)
    assert window == Window(_SPAN, collected=True, matches=500.0, measured=True)


def test_a_common_word_is_walked_to_in_a_narrow_window_first() -> None:
    first, *rest = cut(Window(_SPAN), Expected(2**18, 2**17, _BEGIN, _END), 101)
    assert not first.collected
    assert all(one.collected for one in rest)
    assert first.newest - first.oldest < timedelta(hours=3)


@given(st.lists(st.tuples(st.integers(0, 30), st.floats(0, 2_000)), min_size=1, max_size=40), st.integers(1, 16))
def test_windows_are_read_together_while_few_matches_are_expected(made: list[tuple[int, float]], most: int) -> None:
    windows = [Window(replace(_SPAN, table=f"of {part}"), matches=matches) for part, matches in made]
    number = together(windows, most, 1_010)
    assert 1 <= number <= min(most, len(windows))
    assert number == 1 or sum(window.matches for window in windows[:number]) <= 1_010
    parts = [part for part, _ in made]
    assert len(set(parts[:number])) == number
    if number < min(most, len(windows)):
        assert parts[number] in parts[:number] or sum(window.matches for window in windows[: number + 1]) > 1_010
