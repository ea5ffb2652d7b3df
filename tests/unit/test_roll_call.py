"""When permits may be given again after the database was away."""

from datetime import UTC, datetime, timedelta

from hypothesis import given
from hypothesis import strategies as st

from backend.freeze.rollcall import LONGEST, RollCall

START = datetime(2026, 1, 1, tzinfo=UTC)


def at(seconds: float) -> datetime:
    return START + timedelta(seconds=seconds)


def test_alone_nobody_is_waited_for() -> None:
    assert RollCall().passes(START, None)


def test_whoever_was_there_before_is_waited_for_until_it_has_come_back() -> None:
    roll = RollCall()
    assert not roll.passes(at(0), at(-1))
    assert not roll.passes(at(1), at(-1))
    assert not roll.passes(at(1), at(0))
    assert roll.passes(at(2), at(1.5))
    assert roll.passes(at(3), at(-100)), "one that goes missing later is no reason to stop"
    roll.doubt()
    assert not roll.passes(at(4), at(1.5))


def test_one_that_never_comes_back_is_waited_for_no_longer_than_that() -> None:
    roll = RollCall()
    assert not roll.passes(START, at(-1))
    assert not roll.passes(START + LONGEST, at(-1))
    assert roll.passes(START + LONGEST + timedelta(milliseconds=1), at(-1))


def test_a_clock_of_the_database_that_was_put_back_shortens_no_wait() -> None:
    roll = RollCall()
    assert not roll.passes(at(3600), at(3599))
    assert not roll.passes(at(0), at(-1))
    assert roll.passes(at(1), at(0.5))


@given(looks=st.lists(st.tuples(st.floats(0, 5), st.floats(-20, 25)), min_size=1, max_size=20))
def test_it_never_clears_before_everybody_has_come_back_or_the_longest_wait_is_over(
    looks: list[tuple[float, float]],
) -> None:
    roll, now = RollCall(), 0.0
    for step, oldest in looks:
        now += step
        if roll.passes(at(now), at(oldest)):
            first = looks[0][0]
            assert oldest > first or now - first > LONGEST.total_seconds()
            return
