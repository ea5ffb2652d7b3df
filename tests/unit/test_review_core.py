"""Periods of access reviews, and what looks orphaned."""

from datetime import UTC, datetime, timedelta, timezone

import pytest

from backend.auth.review_core import findings_of, period_of
from backend.policy.access import Restrictions, Role
from contract.access import ReviewFinding

NOW = datetime(2026, 11, 30, 23, 30, tzinfo=UTC)
ROLE = Role("desk", frozenset(), Restrictions())


@pytest.mark.parametrize(
    ("every", "expected"),
    [("day", "2026-11-30"), ("week", "2026-W49"), ("month", "2026-11"), ("quarter", "2026-Q4"), ("year", "2026")],
)
def test_a_period_is_named_in_utc(every: str, expected: str) -> None:
    assert period_of(every, NOW) == expected
    assert period_of(every, NOW.astimezone(timezone(timedelta(hours=9)))) == expected


def test_quarters_begin_in_january_april_july_and_october() -> None:
    named = [period_of("quarter", datetime(2026, month, 1, tzinfo=UTC)) for month in (1, 3, 4, 6, 7, 9, 10, 12)]
    assert named == [f"2026-Q{n}" for n in (1, 1, 2, 2, 3, 3, 4, 4)]


def test_what_looks_orphaned() -> None:
    long_ago, lately = NOW - timedelta(days=90, seconds=1), NOW - timedelta(days=90)
    assert findings_of(ROLE, lately, NOW, 90) == ()
    assert findings_of(ROLE, long_ago, NOW, 90) == (ReviewFinding.UNUSED,)
    assert findings_of(ROLE, None, NOW, 90) == (ReviewFinding.NEVER_USED,)
    assert findings_of(ROLE, None, NOW, 90, sealed=True) == findings_of(ROLE, long_ago, NOW, 90, sealed=True) == ()
    assert findings_of(None, None, NOW, 90) == (ReviewFinding.ROLE_NOT_IN_POLICY, ReviewFinding.NEVER_USED)
