"""What somebody may say of an incident: instants, names, amounts. Pure; refuses in words that name the mistake."""

from collections.abc import Iterable, Mapping
from datetime import UTC, datetime, timedelta
from decimal import ROUND_HALF_EVEN, Context, Decimal
from typing import Final

from backend.errors import WatchfloorError
from contract.errors import ErrorCode
from contract.incidents import MilestoneName

CLOCKS_DIFFER: Final = timedelta(minutes=1)
"""How far somebody's own clock may be ahead of ours."""
_EARLIEST: Final = datetime(2000, 1, 1, tzinfo=UTC)
"""Whoever names an earlier instant has mistyped it."""
_AMOUNT_LIMIT: Final = Decimal(10) ** 20
"""What the database holds; above all money there is."""
_ATOM: Final = Decimal(1).scaleb(-18)
_EXACT: Final = Context(prec=60, rounding=ROUND_HALF_EVEN)
"""Room for every digit that the database keeps: 20 before the point and 18 behind it."""
_MOST_USERS: Final = 10**12


def refused(message: str, hint: str | None = None) -> WatchfloorError:
    """The refusal of something that cannot be so."""
    return WatchfloorError(ErrorCode.INVALID_REQUEST, message, hint=hint)


def instant(at: datetime | None, now: datetime) -> datetime:
    """An instant that somebody named, as UTC; none is now, and so is one that only a clock ahead of ours can name.

    Raises:
        WatchfloorError: INVALID_REQUEST for one that has not come yet, or is before the year 2000.
    """
    if at is None:
        return now
    try:
        named = at.astimezone(UTC)
    except OverflowError:  # the first and the last day that there are, in another zone
        raise refused("That instant is none that this can hold.") from None
    if named > now + CLOCKS_DIFFER:
        raise refused(f"{named:%Y-%m-%d %H:%M:%S} UTC has not come yet.", hint="Say when it happened, with its zone.")
    if named < _EARLIEST:
        raise refused(f"{named.isoformat()} is before the year 2000.", hint="Say when it happened, with its zone.")
    return min(named, now)


def name(what: str, text: str) -> str:
    """A name without blanks around it.

    Raises:
        WatchfloorError: INVALID_REQUEST for one of blanks only.
    """
    if not text.strip():
        raise refused(f"The {what} is blank.")
    return text.strip()


def one_of(what: str, text: str, known: Iterable[str]) -> str:
    """A name of the policy's list, in whatever capitals it was typed.

    Raises:
        WatchfloorError: INVALID_REQUEST, naming the list.
    """
    named = {one.casefold(): one for one in known}
    found = named.get(text.strip().casefold())
    if found is None:
        raise refused(f"{text[:100]!r} is no {what} of the policy.", hint=f"One of: {', '.join(named.values())}.")
    return found


def amount(what: str, value: Decimal) -> Decimal:
    """A loss: not negative, no larger than the database holds.

    Raises:
        WatchfloorError: INVALID_REQUEST.
    """
    if value < 0 or value >= _AMOUNT_LIMIT:
        raise refused(f"The {what} is negative, or larger than any amount there is.")
    return _EXACT.quantize(value, _ATOM)


def users(value: int) -> int:
    """How many people it touched.

    Raises:
        WatchfloorError: INVALID_REQUEST for more than there are.
    """
    if value > _MOST_USERS:
        raise refused("That is more people than there are.")
    return value


def in_order(wanted: MilestoneName, at: datetime, known: Mapping[MilestoneName, datetime]) -> None:
    """Nothing of an incident precedes its start. The other milestones come in whatever order they came.

    Raises:
        WatchfloorError: INVALID_REQUEST, naming the two that contradict each other.
    """
    if wanted is MilestoneName.STARTED:
        earlier = [(when, one) for one, when in known.items() if one is not wanted and when < at]
        if earlier:
            when, one = min(earlier)
            raise refused(f"It cannot have started after it was {one.value} ({when:%Y-%m-%d %H:%M:%S} UTC).")
        return
    started = known.get(MilestoneName.STARTED)
    if started is not None and at < started:
        raise refused(f"It cannot have been {wanted.value} before it started ({started:%Y-%m-%d %H:%M:%S} UTC).")
