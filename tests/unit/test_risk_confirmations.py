"""Which assessments count towards an automatic freeze."""

from datetime import UTC, datetime, timedelta

from hypothesis import given
from hypothesis import strategies as st

from backend.policy.freezing import Confirmations
from backend.risk import confirmations
from backend.risk.confirmations import Look

NOW = datetime(2026, 11, 21, 3, 12, tzinfo=UTC)
TWO_OF_THREE = Confirmations(confirmations=2, of_assessments=3)
WITHIN = timedelta(seconds=10)
RULES = st.integers(1, 4).flatmap(
    lambda n: st.builds(Confirmations, confirmations=st.just(n), of_assessments=st.integers(n, 5))
)


def counted(
    told: str, rule: Confirmations = TWO_OF_THREE, *, every_s: float = 1, same_data: bool = False
) -> tuple[Look, ...]:
    """The looks that count after some assessments, X for a crossing and o for none."""
    looks: tuple[Look, ...] = ()
    for number, one in enumerate(told):
        data = "same" if same_data else f"{number}"
        look = Look(NOW + timedelta(seconds=number * every_s), one == "X", data)
        looks = confirmations.after(looks, look, rule, within=WITHIN)
    return looks


def confirmed(told: str, rule: Confirmations = TWO_OF_THREE) -> bool:
    return confirmations.is_confirmed(counted(told, rule), rule)


def test_two_of_the_last_three() -> None:
    assert not confirmed("X")
    assert confirmed("XX")
    assert confirmed("XoX")
    assert not confirmed("Xoo")
    assert not confirmed("XooX")
    assert not confirmed("oooX")


def test_once_is_enough_where_the_policy_says_so() -> None:
    assert confirmed("X", Confirmations(confirmations=1, of_assessments=1))


def test_the_same_data_looked_at_twice_confirm_nothing() -> None:
    looks = counted("XXXXXXXXXX", same_data=True)
    assert len(looks) == 1
    assert looks[0].at == NOW


def test_data_that_stand_still_confirm_themselves_in_a_bounded_time() -> None:
    assert not confirmations.is_confirmed(counted("X" * 10, same_data=True), TWO_OF_THREE)
    assert confirmations.is_confirmed(counted("X" * 11, same_data=True), TWO_OF_THREE)


def test_a_clock_set_back_does_not_make_a_standstill_last() -> None:
    first = (Look(NOW, True, "same"),)
    later = confirmations.after(first, Look(NOW - timedelta(hours=1), True, "same"), TWO_OF_THREE, within=WITHIN)
    assert confirmations.is_confirmed(later, TWO_OF_THREE)


@given(rule=RULES, gap_ms=st.integers(100, 2_000))
def test_a_true_loss_on_a_dead_feed_is_confirmed_within_the_bound(rule: Confirmations, gap_ms: int) -> None:
    looks: tuple[Look, ...] = ()
    at = NOW
    while not confirmations.is_confirmed(looks, rule):
        looks = confirmations.after(looks, Look(at, True, "same"), rule, within=WITHIN)
        at += timedelta(milliseconds=gap_ms)
        assert at - NOW <= WITHIN + timedelta(milliseconds=gap_ms) * (rule.confirmations + 1)


@given(rule=RULES, told=st.text("Xo", max_size=20))
def test_never_without_so_many_crossings_among_the_last(rule: Confirmations, told: str) -> None:
    looks = counted(told, rule)
    window = told[-rule.of_assessments :]
    assert [look.crossed for look in looks] == [one == "X" for one in window]
    assert confirmations.is_confirmed(looks, rule) is (window.count("X") >= rule.confirmations)
    assert confirmations.is_over(looks) is ("X" not in window)
    assert tuple(Look.of_plain(look.plain()) for look in looks) == looks
