"""When the next recovery drill is due."""

from datetime import date, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from backend.continuity.due import after, end_of_period, schedule
from backend.policy.load import load_policy
from backend.policy.programme import ScheduledAudit

PERIODS = ("day", "week", "month", "quarter", "year")
DAYS = st.dates(date(2000, 1, 1), date(2100, 12, 31))


def entry(every: str = "quarter") -> ScheduledAudit:
    return ScheduledAudit.model_validate({"every": every, "name": "DR test", "scope": "all", "automated": False})


@pytest.mark.parametrize(
    ("every", "day", "next_one"),
    [
        ("quarter", date(2026, 11, 30), date(2027, 2, 28)),
        ("quarter", date(2026, 1, 2), date(2026, 4, 2)),
        ("month", date(2028, 1, 31), date(2028, 2, 29)),
        ("year", date(2028, 2, 29), date(2029, 2, 28)),
        ("week", date(2026, 12, 28), date(2027, 1, 4)),
        ("day", date(2026, 12, 31), date(2027, 1, 1)),
    ],
)
def test_a_period_later(every: str, day: date, next_one: date) -> None:
    assert after(every, day) == next_one


@pytest.mark.parametrize(
    ("every", "day", "last"),
    [
        ("quarter", date(2026, 11, 22), date(2026, 12, 31)),
        ("quarter", date(2028, 2, 1), date(2028, 3, 31)),
        ("month", date(2028, 2, 1), date(2028, 2, 29)),
        ("year", date(2026, 1, 1), date(2026, 12, 31)),
        ("week", date(2026, 11, 22), date(2026, 11, 22)),
        ("day", date(2026, 11, 22), date(2026, 11, 22)),
    ],
)
def test_the_last_day_of_a_period(every: str, day: date, last: date) -> None:
    assert end_of_period(every, day) == last


@given(st.sampled_from(PERIODS), DAYS)
def test_the_next_one_is_later_and_a_period_ends_no_sooner_than_it_began(every: str, day: date) -> None:
    assert after(every, day) > day
    assert day <= end_of_period(every, day) < day + timedelta(days=366)


@given(DAYS, st.integers(0, 1000))
def test_who_has_never_drilled_is_overdue_once_the_quarter_of_the_ledger_is_over(began: date, days: int) -> None:
    today = began + timedelta(days=days)
    found = schedule(entry(), None, began, today)
    assert found.due == end_of_period("quarter", began)
    assert "none has passed yet" in found.why
    assert str(began) in found.why
    assert (found.overdue_days > 0) is (today > found.due)


def test_one_that_passed_counts_from_its_day() -> None:
    found = schedule(entry(), date(2026, 8, 1), None, date(2026, 11, 4))
    assert (found.due, found.overdue_days) == (date(2026, 11, 1), 3)
    assert found.why == "a quarter after the last one that passed"


def test_without_a_ledger_nothing_says_from_when_on() -> None:
    found = schedule(entry(), None, None, date(2026, 11, 4))
    assert (found.due, found.overdue_days) == (None, 0)


def test_a_switchover_is_practice() -> None:
    assert {plan.name: plan.practice for plan in load_policy("mev").recovery.plans} == {
        "failover": False, "switchover": True,
    }  # fmt: skip
