"""What is remembered of a closed partition never says more than was seen of it, whatever was looked into."""

from datetime import UTC, datetime, timedelta

from hypothesis import given
from hypothesis import strategies as st

from backend.audit.barren import Barren, asked
from backend.audit.conditions import Where
from backend.audit.windows import Span
from backend.timed import TimedCache

_BEGIN = datetime(2026, 1, 1, tzinfo=UTC)
_HOURS = 20
_SPAN = Span("7y", 0, 2**18, "audit_entries_7y_0", _BEGIN, _BEGIN + timedelta(hours=_HOURS))
_LOOKS = st.lists(st.tuples(st.integers(-2, _HOURS + 2), st.integers(-2, _HOURS + 2)), max_size=12)


def _hour(number: int) -> datetime:
    return _BEGIN + timedelta(hours=number)


def _memory() -> TimedCache[tuple[bytes, str], datetime]:
    return TimedCache(60.0, 100, lambda: 0.0)


@given(st.sets(st.integers(0, _HOURS), max_size=4), _LOOKS)
def test_no_match_is_newer_than_what_is_remembered(matches: set[int], looks: list[tuple[int, int]]) -> None:
    """A look covers the hours from the first on and before the second; only what was covered without a gap counts."""
    barren = Barren(_memory(), b"question")
    covered: set[int] = set()
    for oldest, newest in looks:
        if not any(oldest <= match < newest for match in matches):
            barren.learn(_SPAN, _hour(oldest), _hour(newest))
            covered.update(range(max(0, oldest), min(newest, _HOURS + 1)))
        since = barren.since(_SPAN)
        if since is not None:
            known = [hour for hour in range(_HOURS + 1) if _hour(hour) >= since]
            assert not matches.intersection(known)
            assert covered.issuperset(known)


def test_looks_that_follow_one_another_add_up() -> None:
    barren = Barren(_memory(), b"question")
    barren.learn(_SPAN, _hour(10), _hour(15))
    assert barren.since(_SPAN) is None, "nobody has looked into what is newer"
    barren.learn(_SPAN, _hour(15), _hour(_HOURS + 1))
    barren.learn(_SPAN, _hour(10), _hour(15))
    barren.learn(_SPAN, _hour(3), _hour(9))
    assert barren.since(_SPAN) == _hour(10)


def test_a_question_is_known_by_all_it_asks_but_its_time_and_log() -> None:
    known = _memory()
    where = Where(("words @@ :words",), {"words": "'gas'"})
    asked(known, 1, where).learn(_SPAN, _BEGIN, _hour(_HOURS + 1))
    assert asked(known, 1, Where(where.clauses, dict(where.values), since=_BEGIN, log="7y")).since(_SPAN) == _BEGIN
    for other in (
        asked(known, 2, where),
        asked(known, 1, Where(where.clauses, {"words": "'spike'"})),
        asked(known, 1, Where(("actor = :words",), where.values)),
        asked(known, 1, Where(where.clauses, where.values, without_bookkeeping=True)),
    ):
        assert other.since(_SPAN) is None
