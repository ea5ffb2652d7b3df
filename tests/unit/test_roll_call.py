"""When permits may be given again after the database was away."""

from hypothesis import given
from hypothesis import strategies as st

from backend.freeze.rollcall import LONGEST_S, UNSEEN_S, RollCall


def test_alone_nobody_is_waited_for() -> None:
    assert RollCall().passes({}, at=0)


def test_whoever_was_there_before_is_waited_for_until_it_has_come_back() -> None:
    roll = RollCall()
    assert not roll.passes({"b": 1, "c": 1}, at=0)
    assert not roll.passes({"b": 1, "c": 2}, at=1)
    assert not roll.passes({"b": 1, "c": 3}, at=1.5)
    assert roll.passes({"b": 2, "c": 3}, at=2)
    assert roll.passes({"b": 2, "c": 3}, at=3), "one that goes missing later is no reason to stop"
    roll.doubt()
    assert not roll.passes({"b": 2, "c": 3}, at=4)


def test_one_that_said_goodbye_is_not_waited_for_and_one_that_is_new_is_not_either() -> None:
    roll = RollCall()
    assert not roll.passes({"b": 1}, at=0)
    assert roll.passes({"c": 1}, at=1)


def test_one_that_never_comes_back_is_waited_for_no_longer_than_that() -> None:
    roll, at = RollCall(), 0.0
    while at <= LONGEST_S:
        assert not roll.passes({"b": 1}, at=at)
        at += 0.25
    assert roll.passes({"b": 1}, at=at)


def test_a_check_in_that_bears_an_earlier_time_than_before_counts_and_the_old_one_never_does() -> None:
    roll = RollCall()
    assert not roll.passes({"b": "12:00:00"}, at=0), "of a clock that has been put back since"
    assert not roll.passes({"b": "12:00:00"}, at=1)
    assert roll.passes({"b": "11:00:02"}, at=2)


def test_who_has_not_looked_for_long_knows_nothing() -> None:
    roll = RollCall()
    assert roll.passes({}, at=0)
    assert roll.passes({"b": 1}, at=UNSEEN_S)
    assert not roll.passes({"b": 1}, at=UNSEEN_S * 2 + 0.1)
    assert roll.passes({"b": 2}, at=UNSEEN_S * 2 + 0.2)


@given(looks=st.lists(st.tuples(st.floats(0, 1.9), st.integers(0, 3)), min_size=1, max_size=20))
def test_it_never_clears_before_everybody_has_come_back_or_the_longest_wait_is_over(
    looks: list[tuple[float, int]],
) -> None:
    roll, now = RollCall(), 0.0
    for step, turn in looks:
        now += step
        if roll.passes({"b": turn}, at=now):
            assert turn != looks[0][1] or now - looks[0][0] > LONGEST_S
            return
