"""The rules of access reviews: which period it is, and what looks orphaned. Pure: knows no database."""

from collections.abc import Mapping
from datetime import UTC, datetime, timedelta

from backend.policy.access import Role
from contract.access import ReviewFinding

_FORMS: Mapping[str, str] = {"day": "%Y-%m-%d", "week": "%G-W%V", "month": "%Y-%m", "year": "%Y"}
_MONTHS_OF_QUARTER = 3


def period_of(every: str, now: datetime) -> str:
    """The name of the day, week, month, quarter or year (UTC) that an instant is in."""
    at = now.astimezone(UTC)
    if every == "quarter":
        return f"{at:%Y}-Q{(at.month - 1) // _MONTHS_OF_QUARTER + 1}"
    return at.strftime(_FORMS[every])


def findings_of(
    role: Role | None, last_used_at: datetime | None, now: datetime, unused_days: int, *, sealed: bool = False
) -> tuple[ReviewFinding, ...]:
    """What makes an account look orphaned. The sealed one is never used as long as all is well."""
    unused = () if sealed else unused_of(last_used_at, now, unused_days)
    return (*(() if role else (ReviewFinding.ROLE_NOT_IN_POLICY,)), *unused)


def unused_of(last_used_at: datetime | None, now: datetime, unused_days: int) -> tuple[ReviewFinding, ...]:
    """What looks as if nobody needed it."""
    if last_used_at is None:
        return (ReviewFinding.NEVER_USED,)
    return (ReviewFinding.UNUSED,) if now - last_used_at > timedelta(days=unused_days) else ()
