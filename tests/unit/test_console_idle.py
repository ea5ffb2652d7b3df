"""When a console warns and locks: how keys, the backend's word and the clock add up."""

from datetime import UTC, datetime, timedelta

from hypothesis import given
from hypothesis import strategies as st

from console.state.idle import Idle
from contract.presence import PRESENCE_GAP_S

START = datetime(2026, 3, 10, 12, 30, tzinfo=UTC)
AFTER_S = 900


def at(seconds: float) -> datetime:
    """An instant of these tests."""
    return START + timedelta(seconds=seconds)


def test_nothing_is_known_before_the_backend_has_said_it() -> None:
    idle = Idle()
    assert idle.key(at(0))
    assert idle.left_s(at(1)) is None


def test_the_backend_is_told_of_keys_at_most_every_half_minute() -> None:
    idle = Idle()
    told = [second for second in range(200) if idle.key(at(second))]
    assert told == list(range(0, 200, PRESENCE_GAP_S))


def test_a_clock_that_was_set_back_does_not_keep_the_backend_from_being_told() -> None:
    idle = Idle()
    assert idle.key(at(3_600))
    assert idle.key(at(0))


def test_it_locks_when_the_backend_does() -> None:
    idle = Idle()
    idle.know(at(0), 120, AFTER_S)
    assert idle.left_s(at(20)) == 100


def test_a_backend_that_cannot_be_told_locks_nobody_who_types() -> None:
    idle = Idle()
    idle.know(at(0), AFTER_S, AFTER_S)
    for second in range(0, 3_600, 10):
        idle.key(at(second))
    left_s = idle.left_s(at(3_600))
    assert left_s is not None
    assert left_s > 0


@given(st.lists(st.integers(1, 1_200), min_size=1, max_size=30))
def test_it_never_locks_later_than_the_policy_nor_much_earlier(pauses: list[int]) -> None:
    """Against a backend that hears of every key it is told of at once."""
    idle, now, used = Idle(), 0, 0
    idle.know(at(0), AFTER_S, AFTER_S)
    for pause in pauses:
        left_s = idle.left_s(at(now))
        assert left_s is not None
        if pause >= left_s:
            break
        now += pause
        if idle.key(at(now)):
            used = now
            idle.know(at(now), AFTER_S, AFTER_S)
    left_s = idle.left_s(at(now))
    assert left_s is not None
    assert AFTER_S - PRESENCE_GAP_S <= left_s <= AFTER_S
    assert used + AFTER_S <= now + left_s <= now + AFTER_S
