"""Owns how one cell becomes one value of the contract. Pure; nothing is guessed.

Blank stays blank. A time needs a zone, or a column that says UTC, or is seconds or milliseconds since 1970. Amounts are
read as exact decimals; a binary float (Parquet) by its shortest decimal form.
"""

import re
from collections.abc import Callable
from datetime import UTC, datetime
from decimal import Decimal
from typing import Final

Converter = Callable[[object], object]

MISSING: Final = frozenset({"", "null", "NULL", "Null", "none", "None", "nan", "NaN", "NAN", "N/A", "n/a", "\\N", "-"})
"""How databases, pandas and spreadsheets write "no value" in a column of numbers."""
_NUMBER: Final = re.compile(r"[+-]?(?:[0-9]+(?:\.[0-9]*)?|\.[0-9]+)(?:[eE][+-]?[0-9]{1,3})?")
_HEXADECIMAL: Final = re.compile(r"0[xX][0-9a-fA-F]{1,16}")
_EPOCH: Final = re.compile(r"(?:[0-9]{9,11}|[0-9]{12,14})(?:\.[0-9]{1,9})?")
_EPOCH_SECONDS_DIGITS: Final = 11
_MAX_NUMBER_CHARS: Final = 100
_SHOWN_CHARS: Final = 40


def shown(value: object) -> str:
    """A cell as it may stand in a reason: short, and visibly quoted."""
    text = str(value)
    return ascii(text if len(text) <= _SHOWN_CHARS else f"{text[:_SHOWN_CHARS]}...")


def to_text(value: object) -> object:
    """Text as it stands; a number is written out; nothing is an empty text.

    Raises:
        ValueError: a list or an object.
    """
    if isinstance(value, str):
        return value
    if value is None:
        return ""
    if isinstance(value, bool | int | float | Decimal):
        return str(value)
    raise ValueError("is neither text nor a number")


def to_integer(value: object) -> object:
    """A whole number, in digits or as 0x…; blank is None.

    Raises:
        ValueError: anything else.
    """
    if isinstance(value, str):
        value = value.strip()
        if value in MISSING:
            return None
        if _HEXADECIMAL.fullmatch(value):
            return int(value, 16)
    number = _decimal(value)
    if number is None:
        return None
    if number != number.to_integral_value():
        raise ValueError(f"is not a whole number: {shown(value)}")
    return int(number)


def to_amount(value: object) -> object:
    """An amount as exact decimal text; blank is None, never 0.

    Raises:
        ValueError: not a number.
    """
    if isinstance(value, str):
        value = value.strip()
        if value in MISSING:
            return None
        if len(value) <= _MAX_NUMBER_CHARS and _NUMBER.fullmatch(value):
            return value
        raise ValueError(f"is not a number: {shown(value)}")
    number = _decimal(value)
    return None if number is None else str(number)


def scaled(exponent: int) -> Converter:
    """An amount given in a smaller unit: wei is ether times ten to the power of -18."""

    def convert(value: object) -> object:
        amount = to_amount(value)
        return None if amount is None else str(Decimal(str(amount)).scaleb(exponent))

    return convert


def to_time(value: object) -> object:
    """An instant with its zone, in ISO 8601.

    Raises:
        ValueError: no zone, or not a time.
    """
    return _time(value, says_utc=False)


def to_time_utc(value: object) -> object:
    """An instant of a column that says UTC: one without a zone is read as UTC.

    Raises:
        ValueError: not a time.
    """
    return _time(value, says_utc=True)


def _decimal(value: object) -> Decimal | None:
    if value is None:
        return None
    if isinstance(value, str) and len(value) <= _MAX_NUMBER_CHARS and _NUMBER.fullmatch(value):
        return Decimal(value)
    if isinstance(value, bool) or not isinstance(value, int | float | Decimal):
        raise ValueError(f"is not a number: {shown(value)}")  # noqa: TRY004  it becomes the reason of a refused line
    number = Decimal(repr(value)) if isinstance(value, float) else Decimal(value)
    if number.is_nan():
        return None
    if not number.is_finite():
        raise ValueError(f"is not a number: {shown(value)}")
    return number


def _time(value: object, *, says_utc: bool) -> str:
    if isinstance(value, str):
        return _iso(_parsed_time(value.strip()), value, says_utc=says_utc)
    if isinstance(value, datetime):
        return _iso(value, value, says_utc=says_utc)
    if isinstance(value, int | Decimal) and not isinstance(value, bool) and _EPOCH.fullmatch(str(value)):
        return _iso(_since_1970(str(value)), value, says_utc=True)
    if value is None:
        raise ValueError("is blank")
    raise ValueError(f"is not a time: {shown(value)}")


def _parsed_time(text: str) -> datetime:
    if not text:
        raise ValueError("is blank")
    if _EPOCH.fullmatch(text):
        return _since_1970(text)
    try:
        return datetime.fromisoformat(f"{text[:-4]}+00:00" if text.endswith(" UTC") else text)
    except ValueError:
        raise ValueError(f"is not a time: {shown(text)}; write 2026-03-09T20:42:47Z") from None


def _since_1970(text: str) -> datetime:
    number = Decimal(text)
    whole_digits = len(text.partition(".")[0])
    seconds = number if whole_digits <= _EPOCH_SECONDS_DIGITS else number / 1000
    whole = int(seconds)
    microseconds = int((seconds - whole) * 1_000_000)
    return datetime.fromtimestamp(whole, UTC).replace(microsecond=microseconds)


def _iso(instant: datetime, value: object, *, says_utc: bool) -> str:
    if instant.tzinfo is None:
        if not says_utc:
            raise ValueError(f"has no zone: {shown(value)}; end it with Z, or map the column to block_time_utc")
        instant = instant.replace(tzinfo=UTC)
    return instant.isoformat()
